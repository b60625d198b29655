"""More ways in which real projects ask for the system: what the recorder makes of them.

conftest.py leaves this file out where it is not Linux: a mark would say that its tests are skipped elsewhere.
"""

# mypy: disable-error-code="attr-defined, no-untyped-def, no-untyped-call, var-annotated"

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dataclasses
import functools
import os
import platform
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
from recording import LOCAL, misused, stacks

from pytest_sockreuse.hooks.recorder import Recording
from pytest_sockreuse.ports import Lease

REUSEADDR = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
WINDOWS = sys.platform.startswith(("win", "cygwin"))


def share(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def nothing(sock: socket.socket) -> None:
    pass


def listening(setter: Callable[[socket.socket], object]) -> None:
    with socket.socket() as sock:
        setter(sock)
        sock.bind(LOCAL)
        sock.listen()


# --- SO_REUSEPORT, which Windows does not have ------------------------------------------------------------------------


def has_share() -> bool:
    try:
        assert socket.SO_REUSEPORT
    except AttributeError:
        return False
    return True


def by_a_helper_that_tries(sock: socket.socket) -> None:
    if has_share():
        share(sock)


def by_a_helper_that_imports(sock: socket.socket) -> None:
    def has() -> bool:
        try:
            from socket import SO_REUSEPORT  # noqa: F401
        except ImportError:
            return False
        return True

    if has():
        share(sock)


def by_names_in_a_loop(sock: socket.socket) -> None:
    for name in ("SO_REUSEADDR", "SO_REUSEPORT"):
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)


def in_a_comprehension(sock: socket.socket) -> None:
    names = ("SO_REUSEADDR", "SO_REUSEPORT")
    [sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1) for name in names if hasattr(socket, name)]


def by_the_platforms_whole_name(sock: socket.socket) -> None:
    if not platform.platform().startswith("Windows"):
        share(sock)


def by_uname(sock: socket.socket) -> None:
    if platform.uname().system != "Windows":
        share(sock)


def by_a_name_that_sys_has(sock: socket.socket) -> None:
    try:
        sys.getwindowsversion()
    except AttributeError:
        share(sock)


def by_a_module_that_is_there(sock: socket.socket) -> None:
    try:
        import msvcrt  # noqa: F401
    except ImportError:
        pass
    else:
        return
    share(sock)


def by_the_environment(sock: socket.socket) -> None:
    if os.environ.get("OS") != "Windows_NT":
        share(sock)


def by_ctypes(sock: socket.socket) -> None:
    if not hasattr(ctypes, "windll"):
        share(sock)


def by_a_table_of_functions(sock: socket.socket) -> None:
    {"posix": share, "nt": nothing}[os.name](sock)


def by_a_function_that_was_chosen(sock: socket.socket) -> None:
    chosen = nothing if WINDOWS else share
    chosen(sock)


@pytest.mark.parametrize(
    "setter",
    [
        by_a_helper_that_tries, by_a_helper_that_imports, by_names_in_a_loop, in_a_comprehension,
        by_the_platforms_whole_name, by_uname, by_a_table_of_functions, by_a_function_that_was_chosen,
        by_a_name_that_sys_has, by_a_module_that_is_there, by_the_environment, by_ctypes,
    ],
)  # fmt: skip
def test_an_option_that_is_not_set_there(setter: Callable[[Any], None], socket_recording: Recording) -> None:
    listening(setter)
    assert not stacks(socket_recording)


def guarded_by_another_name(sock: socket.socket) -> None:
    if hasattr(socket, "SO_REUSEADDR"):
        share(sock)


def guarded_for_macos(sock: socket.socket) -> None:
    if sys.platform != "darwin":
        share(sock)


@pytest.mark.parametrize("setter", [guarded_by_another_name, guarded_for_macos])
def test_an_option_that_is(setter: Callable[[Any], None], socket_recording: Recording) -> None:
    listening(setter)
    assert stacks(socket_recording) == {"windows"}


def by_socket() -> None:
    socket.create_server(LOCAL, reuse_port=True).close()


def by_asyncio() -> None:
    async def main() -> None:
        (await asyncio.start_server(print, *LOCAL, reuse_port=True)).close()

    asyncio.run(main())


@pytest.mark.parametrize("make", [by_socket, by_asyncio])
def test_what_pythons_own_code_raises_is_told(make: Callable[[], None], socket_recording: Recording) -> None:
    make()
    assert "would fail with ValueError" in socket_recording.report


@pytest.mark.parametrize(
    "make", [socket.create_server, functools.partial(socket.create_server, reuse_port=has_share())]
)
def test_an_argument_that_another_gave(make: Callable[..., socket.socket], socket_recording: Recording) -> None:
    make(LOCAL).close()
    assert not stacks(socket_recording)


# --- SO_REUSEADDR, which others can share on Windows ------------------------------------------------------------------


class Reuse:
    BY_DEFAULT = sys.platform != "win32"

    @classmethod
    def wanted(cls) -> bool:
        return cls.BY_DEFAULT


@dataclasses.dataclass
class Settings:
    reuse: bool = dataclasses.field(default_factory=lambda: sys.platform != "win32")


class Server:
    def __init__(self, port: int, reuse: bool = True) -> None:
        self._port, self._reuse = port, False
        self._reuse = reuse

    def share(self, sock: socket.socket) -> None:
        sock.setsockopt(*REUSEADDR)

    def start(self) -> None:
        with socket.socket() as sock:
            if self._reuse:
                self.share(sock)
            sock.bind(("127.0.0.1", self._port))
            sock.listen()


class Polite(Server):
    def __init__(self, port: int) -> None:
        super().__init__(port, os.sep == "/")


class Optional(Server):
    def __init__(self, port: int, **options: bool) -> None:
        super().__init__(port)
        self.options = options

    def share(self, sock: socket.socket) -> None:
        if self.options.get("reuse", True):
            sock.setsockopt(*REUSEADDR)


class Silent(Server):
    def share(self, sock: socket.socket) -> None:
        pass


Chosen = Silent if WINDOWS else Server


def made(port: int) -> Server:
    if WINDOWS:
        return Silent(port)
    return Server(port)


def test_of_a_class(held_port: Lease, socket_recording: Recording) -> None:
    for wanted in (Reuse.wanted(), Settings().reuse):
        with socket.socket() as sock:
            if Reuse.wanted() and Settings().reuse and wanted:
                sock.setsockopt(*REUSEADDR)
            sock.bind(("127.0.0.1", held_port.port))
            sock.listen()
    assert not stacks(socket_recording)


def test_given_to_an_object_before(held_port: Lease, socket_recording: Recording) -> None:
    server = Server(held_port.port, not WINDOWS)
    server.start()
    polite = Polite(held_port.port)
    polite.start()
    optional = Optional(held_port.port, reuse=not WINDOWS)
    optional.start()
    assert not stacks(socket_recording)


@pytest.mark.parametrize("make", [lambda port: Chosen(port).start(), lambda port: made(port).start()])
def test_of_a_class_that_was_chosen(make: Callable[[int], None], held_port: Lease, socket_recording: Recording) -> None:
    make(held_port.port)
    assert not stacks(socket_recording)


def test_what_asyncio_is_given(held_port: Lease, socket_recording: Recording) -> None:
    async def served(**options: Any) -> None:
        (await asyncio.start_server(print, "127.0.0.1", held_port.port, **options)).close()

    asyncio.run(served(reuse_address=True))
    assert misused(socket_recording) == ["reuseaddr-on-windows"]


def serving(port: int) -> list[socket.socket]:
    sock = socket.socket()
    sock.setsockopt(*REUSEADDR)
    with contextlib.suppress(AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    return [sock] if has_share() else []


def ready(port: int, socks: list[socket.socket] | None = None) -> None:
    if socks is None:
        socks = serving(port)
    for sock in socks:
        sock.close()


def test_what_a_line_assigns_decides_not_whether_it_runs(held_port: Lease, socket_recording: Recording) -> None:
    ready(held_port.port)
    assert misused(socket_recording) == ["reuseaddr-on-windows"]


# --- other misuse -----------------------------------------------------------------------------------------------------


@pytest.mark.sockreuse_requires("ordering-quirk")
def test_what_hurts_on_systems_only_where_it_is_skipped(listener: socket.socket, socket_recording: Recording) -> None:
    with socket.socket() as sock:
        sock.setsockopt(*REUSEADDR)
        sock.bind(LOCAL)
        sock.connect(listener.getsockname())
    assert "reuseaddr-with-port-zero" not in misused(socket_recording)


def test_a_number_by_a_name(pytester: pytest.Pytester) -> None:
    with socket.create_server(LOCAL) as server:
        number = server.getsockname()[1]
    pytester.makepyfile(settings=f"PORT = {number}\nLISTEN = {{'port': {number}}}")
    pytester.makepyfile(
        """
        import socket
        from settings import LISTEN, PORT
        def test_a():
            socket.create_server(("127.0.0.1", PORT)).close()
        def test_b():
            socket.create_server(("127.0.0.1", LISTEN["port"])).close()
        """
    )
    found = pytester.runpytest_subprocess("--sockreuse-record").stdout.str()
    assert found.count("fixed-port at") == 2


def test_nothing_is_known_of_what_only_follows(socket_recording: Recording) -> None:
    """A child that would never have been accepted on Windows, where `::` takes no IPv4."""
    with socket.socket(socket.AF_INET6) as server, socket.socket(socket.AF_INET6) as data:
        server.bind(("::", 0))
        server.listen()
        client = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
        child, _ = server.accept()
        data.bind((child.getsockname()[0], 0))
        child.close()
        client.close()
    assert stacks(socket_recording) == {"windows", "freebsd"}
    assert "unknown" not in socket_recording.record
    assert "connect to 127.0.0.1:PORT, after `server.bind" in socket_recording.report
