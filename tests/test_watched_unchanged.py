"""Watched sockets do what they did, whatever the call and its arguments: the recorder, the explainer, both together."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from inspect import isfunction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import LOCAL, recorded

from pytest_sockreuse.hooks.explain import Explainer
from pytest_sockreuse.recorder.events import Known, Tape
from pytest_sockreuse.recorder.reconstruct import reconstruct

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=200)
BEFORE = dict(vars(socket.socket))


class Number:
    """A port that tells how often it was asked for its number."""

    def __init__(self) -> None:
        self.asked = 0

    def __index__(self) -> int:
        self.asked += 1
        return 0


ODD = st.one_of(
    st.none(), st.integers(-(2**70), 2**70), st.text(max_size=3), st.binary(max_size=4), st.booleans(), st.floats(),
    st.builds(Number), st.builds(bytearray, st.binary(max_size=4)), st.lists(st.integers(), max_size=2),
)  # fmt: skip
NO_HOST = st.one_of(st.none(), st.integers(), st.floats(), st.builds(Number), st.lists(st.integers(), max_size=2))
HOSTS = st.sampled_from(["127.0.0.1", "::1", b"127.0.0.1", bytearray(b"127.0.0.1"), "127.0.0.1\0", "\udcff"])
ADDRESSES = st.one_of(
    ODD,
    st.tuples(HOSTS, st.one_of(st.just(0), st.sampled_from([-1, 70_000, True, 1.5]), st.builds(Number))),
    st.tuples(HOSTS, st.just(0), ODD),
    st.tuples(NO_HOST, ODD),
)
ARGUMENTS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "bind": st.tuples(ADDRESSES),
    "connect": st.tuples(ADDRESSES),
    "connect_ex": st.tuples(ADDRESSES),
    "listen": st.tuples(ODD),
    "setsockopt": st.tuples(st.sampled_from([socket.SOL_SOCKET, 41, None]), st.sampled_from([2, 15, "x"]), ODD),
    "getsockopt": st.tuples(st.sampled_from([socket.SOL_SOCKET, 41]), st.sampled_from([2, 4, "x"])),
    "shutdown": st.tuples(st.one_of(ODD, st.integers(0, 2))),
    "getsockname": st.just(()),
    "accept": st.just(()),
    "dup": st.just(()),
    "close": st.just(()),
    "detach": st.just(()),
    "__init__": st.tuples(ODD, ODD),
}
CALLS = st.one_of(
    *(st.tuples(st.just(verb), st.one_of(usual, st.lists(ODD, max_size=3).map(tuple)), st.booleans())
      for verb, usual in ARGUMENTS.items())
)  # fmt: skip


def shown(value: object) -> str:
    """A value or an exception, without what differs from run to run: descriptors, and ports that the system chose."""
    if isinstance(value, socket.socket):
        value.close()
        return "a socket"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}".replace("socket.", "")  # so the same method is called by its class
    return re.sub(r"\d{2,}|0x\w+", "N", repr(value))


def play(family: int, calls: Sequence[tuple[str, tuple[Any, ...], bool]]) -> list[object]:
    """What came of each call of a socket, and how often a number was asked for."""
    found: list[object] = []
    with socket.socket(family) as sock:
        sock.settimeout(0.0)
        for verb, arguments, keyword in calls:
            if verb == "listen" and _free(sock):  # it would listen at every address
                continue
            asked = [value.asked for value in _numbers(arguments)]
            try:
                named = {"timeout": 1} if keyword and not arguments else {}
                value: object = getattr(sock, verb)(*arguments, **named)
                if verb == "detach" and isinstance(value, int) and value >= 0:
                    os.close(value)
            except Exception as error:
                value = error
            found.append((verb, shown(value), [n.asked - a for n, a in zip(_numbers(arguments), asked, strict=True)]))
        found.append(sock.gettimeout())
    return found


def _free(sock: socket.socket) -> bool:
    """Whether a socket of the internet has no port."""
    name = sock.getsockname() if sock.fileno() >= 0 else ""
    return isinstance(name, tuple) and not name[1]


def _numbers(arguments: tuple[Any, ...]) -> list[Number]:
    inner = [value for argument in arguments if isinstance(argument, tuple) for value in argument]
    return [value for value in (*arguments, *inner) if isinstance(value, Number)]


@contextlib.contextmanager
def explained() -> Iterator[None]:
    explainer = Explainer(SimpleNamespace(rootpath=Path()))  # type: ignore[arg-type]
    try:
        yield
    finally:
        explainer.pytest_unconfigure()


@PROPERTY
@given(st.sampled_from([socket.AF_INET, socket.AF_INET6]), st.lists(CALLS, min_size=1, max_size=6))
def test_any_call_with_any_arguments(family: int, calls: Sequence[tuple[str, tuple[Any, ...], bool]]) -> None:
    plain = play(family, calls)
    with explained():
        assert play(family, calls) == plain
    with recorded() as tape:
        assert play(family, calls) == plain
    reconstruct(tape.events)
    with explained(), recorded() as tape:
        assert play(family, calls) == plain
    reconstruct(tape.events)
    assert dict(vars(socket.socket)) == BEFORE


@pytest.mark.parametrize("verb", ["bind", "connect", "listen", "accept", "setsockopt", "shutdown", "getsockname"])
def test_what_somebody_else_put_there_is_called_and_stays(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = getattr(socket.socket, verb)
    asked = []

    def theirs(self: socket.socket, *arguments: Any) -> Any:
        asked.append(verb)
        return real(self, *arguments)

    monkeypatch.setattr(socket.socket, verb, theirs)
    for watched in (recorded, explained):
        asked.clear()
        with watched(), socket.socket() as server, socket.socket() as client:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(LOCAL)
            server.listen()
            client.connect(server.getsockname())
            server.accept()[0].close()
            client.shutdown(socket.SHUT_RDWR)
        assert asked, watched
        assert vars(socket.socket)[verb] is theirs


def mocked(verb: str) -> list[object]:
    """What mocks made after a method, or after the whole class, are called with: `self` where it is a function.

    It is, since Python 3.13, if the method that is mocked is one.
    """
    with socket.socket() as sock:
        with mock.patch.object(socket.socket, verb, autospec=True) as method:
            getattr(sock, verb)("x")
        whole = mock.create_autospec(socket.socket)
        getattr(whole(), verb)("x")
        seen = ["self" if each is sock else each for each in method.call_args.args]
        return [
            *seen,
            getattr(whole(), verb).call_args.args,
            type(method).__name__,
            isfunction(getattr(socket.socket, verb)),
        ]


@pytest.mark.parametrize("verb", ["bind", "connect", "connect_ex", "listen", "accept", "setsockopt", "dup", "shutdown"])
def test_a_mock_of_a_watched_method_is_that_of_the_method(verb: str) -> None:
    def asked() -> list[object]:
        try:
            return mocked(verb)
        except TypeError as error:
            return [str(error)]

    plain = asked()
    with explained():
        assert asked() == plain
    with recorded():
        assert asked() == plain
    with explained(), recorded():
        assert asked() == plain
    assert dict(vars(socket.socket)) == BEFORE


def test_a_wrapper_that_outlives_a_recording_is_no_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded():
        ours = socket.socket.bind
        monkeypatch.setattr(socket.socket, "bind", lambda self, address: ours(self, address))
    for _ in range(2):
        with recorded() as tape, socket.socket() as sock:
            sock.bind(LOCAL)
        assert [event[0] for event in tape.events] == ["socket", "bind", "close"]


def test_sockets_of_descriptors_are_met_while_threads_make_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded() as tape, socket.socket() as sock:
        numbers, real = iter(range(10_000, 20_000)), os.fstat

        def meanwhile(fd: int) -> os.stat_result:
            tape.fds[next(numbers)] = Known()
            return real(fd)

        monkeypatch.setattr(os, "fstat", meanwhile)
        socket.socket(fileno=os.dup(sock.fileno())).close()
        monkeypatch.undo()
        assert [event[0] for event in tape.events] == ["socket", "dup", "close"]


def test_the_explainer_below_makes_no_accepted_socket_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tape, "adopt", lambda *_: pytest.fail("it was made by a call that is watched"))
    with explained(), recorded(), socket.socket() as server, socket.socket() as client:
        server.bind(LOCAL)
        server.listen()
        client.connect(server.getsockname())
        server.accept()[0].close()
        server.dup().close()
