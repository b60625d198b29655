"""ephemeral-port-reserve leaves a port in TIME_WAIT: nobody is given it, and who sets SO_REUSEADDR can have it."""

from __future__ import annotations

import errno
import socket

import pytest
from ephemeral_port_reserve import reserve  # type: ignore[import-not-found]


def bound(port: int, *, reuse: bool) -> socket.socket:
    sock = socket.socket()
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


def test_the_port_is_for_those_who_set_the_option() -> None:
    port = reserve()
    with pytest.raises(OSError, match="in use") as caught:
        bound(port, reuse=False)
    assert caught.value.errno == errno.EADDRINUSE
    with bound(port, reuse=True) as server:
        server.listen()


def test_two_ports_are_two() -> None:
    assert len({reserve() for _ in range(20)}) == 20


def test_a_port_that_is_wished_for() -> None:
    port = reserve()
    assert reserve(port=port) == port


def test_a_port_that_is_wished_for_and_taken() -> None:
    with bound(reserve(), reuse=True) as server:
        server.listen()
        assert reserve(port=server.getsockname()[1]) != server.getsockname()[1]
