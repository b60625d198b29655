"""Calls that Python refuses itself, and a test after them."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

ODD: list[Any] = [None, 5, (), ("127.0.0.1",), ("127.0.0.1", "x"), ("127.0.0.1", -1), ("127.0.0.1", 2**70), (None, 0)]
ODD += [(bytearray(b"127.0.0.1"), 0), ("\ud800", 0), ("127.0.0.1", 0, 0, 0, 0), ["127.0.0.1", 0], ("x" * 5000, 0)]


def test_odd_arguments() -> None:
    with socket.socket() as sock:
        for odd in ODD:
            for call in (sock.connect, sock.connect_ex, sock.bind, sock.listen):
                with contextlib.suppress(Exception):
                    call(odd)


def test_later() -> None:
    socket.socket().close()
