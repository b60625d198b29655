"""The recorder's bounds: how much it keeps and for how long, and that it leaves no trace."""

from __future__ import annotations

import contextlib
import gc
import socket
import warnings
from typing import Any

from recording import LOCAL, plain, recorded

from pytest_sockreuse.recorder.reconstruct import reconstruct


def test_too_many_calls_are_counted_not_kept() -> None:
    with recorded(limit=10) as tape:
        for _ in range(10):
            plain()
    assert len(tape.events) == 10
    assert tape.cut > 50


def test_sockets_that_live_on_are_part_of_the_next_story() -> None:
    with recorded() as tape:
        with socket.create_server(LOCAL) as server:
            plain()
            _, rest = reconstruct(tape.events)
            assert [event[0] for event in rest] == ["socket", "set", "bind", "listen"]
            before = len(rest)
            tape.go_on(rest)
            with socket.create_connection(server.getsockname()), server.accept()[0]:
                pass
        found, rest = reconstruct(tape.events, before)
    assert not rest
    assert [call.verb for call in found.calls if call.old] == ["socket", "bind", "listen"]
    assert "visitor" not in str(found.scenario)
    assert [call.verb for call in found.calls if not call.old] == [
        "socket", "connect", "accept", "close", "close", "close",
    ]  # fmt: skip


def test_the_class_is_as_it_was() -> None:
    before = dict(vars(socket.socket))
    with contextlib.suppress(ZeroDivisionError), recorded() as outer:
        assert vars(socket.socket)["bind"] is not before.get("bind")
        with recorded() as inner:
            plain()
        assert inner.events
        assert not outer.events
        plain()
        raise ZeroDivisionError
    assert outer.events
    assert dict(vars(socket.socket)) == before
    assert list(vars(socket.socket)) == list(before)


def test_a_wrapper_of_the_programs_own_stays() -> None:
    real = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        real_bind(self, address)

    try:
        with recorded():
            real_bind = socket.socket.bind
            socket.socket.bind = bind  # type: ignore[method-assign, assignment]
        assert socket.socket.bind is bind
        with socket.socket() as sock:
            sock.bind(LOCAL)
    finally:
        del socket.socket.bind
    assert socket.socket.bind is real


def test_an_unclosed_socket_is_warned_of_once() -> None:
    def leak() -> list[warnings.WarningMessage]:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            sock = socket.socket()
            del sock
            gc.collect()
        return seen

    with recorded() as tape:
        assert len(leak()) == 1
    assert [event[0] for event in tape.events] == ["socket", "close"]
    assert len(leak()) == 1
