"""The fixtures: ports that are held and given away, and what connections leave behind."""

from __future__ import annotations

import socket
from collections.abc import Callable

from pytest_sockreuse.ports import Lease


def test_held(held_ports: Callable[[int], list[Lease]]) -> None:
    for port in held_ports(20):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port.release()))


def test_endings(time_wait: Callable[[], object], fin_wait2: Callable[[], object]) -> None:
    time_wait()
    fin_wait2()
