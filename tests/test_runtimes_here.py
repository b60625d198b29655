"""Python's own servers, started here twice: what they set and what the second meets is what their rows say."""

from __future__ import annotations

import asyncio
import http.server
import multiprocessing.connection
import socket
import socketserver
import subprocess
import sys
import wsgiref.simple_server
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from pytest_sockreuse.encounters import meetings
from pytest_sockreuse.live.errnos import name_of
from pytest_sockreuse.platforms import current
from pytest_sockreuse.runtimes import named

Sockets = Iterator[list[socket.socket]]

pytestmark = pytest.mark.sockreuse_netns
FLAGS = ("SO_REUSEADDR", "SO_REUSEPORT", "SO_EXCLUSIVEADDRUSE")
KINDS = {(socket.SOCK_STREAM, socket.AF_INET): "tcp4", (socket.SOCK_STREAM, socket.AF_INET6): "tcp6"}


@contextmanager
def plain(port: int) -> Sockets:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield [listener]


@contextmanager
def created(port: int) -> Sockets:
    with socket.create_server(("127.0.0.1", port)) as listener:
        yield [listener]


@contextmanager
def listener(port: int) -> Sockets:
    with multiprocessing.connection.Listener(("127.0.0.1", port)) as made:
        inner: Any = made
        yield [inner._listener._socket]


def server(make: Callable[[int], socketserver.TCPServer]) -> Callable[[int], Any]:
    @contextmanager
    def made(port: int) -> Sockets:
        with make(port) as one:
            yield [one.socket]

    return made


@contextmanager
def asynchronous(port: int) -> Sockets:
    with asyncio.Runner() as runner:
        made = runner.run(_listening(port))
        try:
            yield [_own(sock) for sock in made.sockets]
        finally:
            made.close()


async def _listening(port: int) -> asyncio.Server:
    return await asyncio.start_server(print, None, port)


def _own(sock: Any) -> socket.socket:
    """The socket that asyncio shows through a wrapper."""
    found: socket.socket = sock._sock
    return found


STARTS: dict[str, Callable[[int], Any]] = {
    "python-socket": plain,
    "python-create-server": created,
    "multiprocessing": listener,
    "socketserver": server(lambda port: socketserver.TCPServer(("", port), socketserver.BaseRequestHandler)),
    "wsgiref": server(lambda port: wsgiref.simple_server.make_server("", port, wsgiref.simple_server.demo_app)),
    "http.server": server(lambda port: http.server.HTTPServer(("0.0.0.0", port), http.server.BaseHTTPRequestHandler)),
    "asyncio": asynchronous,
}


def shown(sock: socket.socket) -> tuple[str, str, list[str]]:
    """A socket as a row would have it: kind, address, options."""
    options = [
        name
        for name in FLAGS
        if hasattr(socket, name) and sock.getsockopt(socket.SOL_SOCKET, int(getattr(socket, name)))
    ]
    if sock.family == socket.AF_INET6:
        options.append(f"IPV6_V6ONLY={sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)}")
    return KINDS[sock.type, sock.family], sock.getsockname()[0], sorted(options)


def error(start: AbstractContextManager[object]) -> str:
    """What a start comes to: empty, or the name of the error."""
    try:
        with start:
            return ""
    except OSError as failed:
        return name_of(failed)


@pytest.fixture
def port() -> int:
    """A port of a namespace in which nobody else is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("name", STARTS)
def test_the_row_says_what_is_set_and_met(name: str, port: int) -> None:
    runtime = named(name)
    listen = runtime.listen(current().stack)
    assert listen is not None
    with STARTS[name](port) as sockets:
        rows = [
            (
                maker.partition("(")[0],
                host.strip("[]"),
                sorted(filter(None, maker.rstrip(")").partition("(")[2].split(", "))),
            )
            for maker, host in listen.sets.sockets
        ]
        assert sorted(map(shown, sockets)) == sorted(rows)
        (met,) = meetings("twice", runtime, runtime, [current()])
        assert met.outcome.ok is False
        assert error(STARTS[name](port)) == met.outcome.error


def test_a_child_holds_the_socket_of_a_server_that_has_gone(port: int) -> None:
    first, second = named("python-create-server"), named("multiprocessing")
    with created(port) as (held,):
        code = "import sys; print('holds', flush=True); sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[held.fileno()]
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"holds\n"
    (met,) = meetings("child", first, second, [current()])
    assert met.outcome.ok is False
    assert error(listener(port)) == met.outcome.error
    child.communicate()
    with listener(port):
        pass
