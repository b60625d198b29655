"""Sockets that change hands by their descriptors."""

from __future__ import annotations

import contextlib
import os
import socket


def test_descriptors() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        other = socket.socket(fileno=sock.detach())
    with other.dup():
        other.listen()
        os.close(other.detach())
    for bad in (-5, 9999):
        with contextlib.suppress(OSError, ValueError):
            socket.socket(fileno=bad)
