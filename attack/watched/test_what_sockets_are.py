"""What code asks of sockets and their classes beside calling them, and other ways to call."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import socket
import weakref
from typing import Any
from unittest import mock

import pytest

LOCAL = ("127.0.0.1", 0)
CALLS = "bind connect connect_ex listen accept close getsockname setsockopt shutdown detach".split()


class Own(socket.socket):
    """A class of the project's, which has slots, a meaning of its own for a call, and one that nobody knows."""

    __slots__ = ("bound",)

    def bind(self, address: Any) -> None:
        self.bound = True
        super().bind(address or LOCAL)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


def test_classes() -> None:
    with socket.socket() as sock, Own() as own:
        assert type(sock) is socket.socket
        assert isinstance(sock, socket.SocketType)
        assert isinstance(own, socket.SocketType)
        assert Own.__mro__[1] is socket.socket
        own.bind(None)
        own.listen()
        sock.connect(own.getsockname())
        child, _ = own.accept()
        with child:
            assert type(child) is socket.socket
        assert own.bound
        assert not hasattr(own, "__dict__")
        assert weakref.ref(sock)() is sock
        for refusal in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="pickle"):
                refusal(sock)


def test_methods() -> None:
    for name in CALLS:
        method = getattr(socket.socket, name)
        assert method.__name__ == name
        assert method.__doc__ or name in ("close", "detach", "accept")
        assert callable(inspect.unwrap(method))
    assert [*inspect.signature(socket.socket.accept).parameters] == ["self"]
    assert [*inspect.signature(socket.socket).parameters] == ["family", "type", "proto", "fileno"]
    assert pickle.loads(pickle.dumps(socket.SOCK_STREAM)) is socket.SOCK_STREAM


def test_other_ways_to_call() -> None:
    with socket.socket(family=socket.AF_INET, type=socket.SOCK_DGRAM, proto=0, fileno=None) as sock:
        socket.socket.bind(sock, LOCAL)
        functools.partial(socket.socket.connect, sock)(sock.getsockname())
        assert [*map(sock.getsockopt, [socket.SOL_SOCKET], [socket.SO_TYPE])] == [socket.SOCK_DGRAM]
        sock.send(b"x")
        assert sock.recvfrom(1)[1] == sock.getsockname()
    with pytest.raises(TypeError):
        socket.socket.bind()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        socket.socket.bind("no socket", LOCAL)  # type: ignore[arg-type]
    one, other = socket.socketpair()
    with one, other, socket.fromfd(one.fileno(), one.family, one.type) as again:
        again.sendall(b"x")
        assert other.recv(1) == b"x"


def test_mocks() -> None:
    with mock.patch.object(socket.socket, "bind") as bind, socket.socket() as sock:
        sock.bind("nowhere")
    bind.assert_called_once_with("nowhere")
    with mock.patch("socket.socket") as made:
        assert socket.create_connection(LOCAL) is made.return_value
    mock.create_autospec(socket.socket)().bind(LOCAL)
    with socket.socket() as sock:
        sock.bind(LOCAL)
        assert sock.getsockname()[1]
