"""The fixtures: ports that are held and given away, beside children too, and what connections leave behind."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable

import pytest

from pytest_sockreuse.ports import Lease


def test_held(held_ports: Callable[[int], list[Lease]]) -> None:
    for port in held_ports(20):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port.release()))


def test_held_while_children_are_forked(held_ports: Callable[[int], list[Lease]]) -> None:
    if sys.platform == "win32":
        pytest.skip("there is no fork")
    for port in held_ports(20):
        reader, writer = os.pipe()
        if not (pid := os.fork()):  # it lives until the port was bound
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port.release()))
        os.close(reader)
        os.close(writer)
        os.waitpid(pid, 0)


def test_endings(time_wait: Callable[[], object], fin_wait2: Callable[[], object]) -> None:
    time_wait()
    fin_wait2()
