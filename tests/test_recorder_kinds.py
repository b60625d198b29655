"""What real projects write around their sockets, kind by kind: what the recorder makes of it.

conftest.py leaves this file out where it is not Linux: a mark would say that its tests are skipped elsewhere.
"""

# mypy: disable-error-code="attr-defined, assignment, misc"

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import http.server
import os
import platform
import socket
import socketserver
import sys
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from recording import LOCAL, misused, stacks

from pytest_sockreuse.hooks.recorder import Recording
from pytest_sockreuse.ports import Lease

REUSEADDR = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT, a name that Python 3.11 does not have
NOT_OPTIONAL = (errno.ENOPROTOOPT, errno.EINVAL)

IS_WINDOWS = os.name == "nt"
SYSTEM = os.name  # in twisted a function finds it out
REUSE = os.name == "posix" and sys.platform != "cygwin"
ANY = "127.0.0.1" if IS_WINDOWS else "0.0.0.0"
REUSE_LATER = True
if sys.platform == "win32":
    REUSE_LATER = False
try:
    from socket import SO_REUSEPORT
except ImportError:
    SO_REUSEPORT = None
HOSTS = {"nt": "127.0.0.1", "posix": "0.0.0.0"}
skipped_on_windows = pytest.mark.skipif(IS_WINDOWS, reason="not there")


def on_windows() -> bool:
    return platform.system().lower() == "windows"


def any_host() -> str:
    if on_windows():
        return "127.0.0.1"
    return "0.0.0.0"


# --- SO_REUSEPORT, which Windows does not have ------------------------------------------------------------------------


def plain(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def left_early(sock: socket.socket) -> None:
    if not hasattr(socket, "SO_REUSEPORT"):
        return
    plain(sock)


def left_by_a_flag(sock: socket.socket) -> None:
    if on_windows():
        return
    plain(sock)


def left_a_loop(sock: socket.socket) -> None:
    for name in ("SO_REUSEADDR", "SO_REUSEPORT"):
        if not hasattr(socket, name) or (name == "SO_REUSEPORT" and IS_WINDOWS):
            continue
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)


def refused_by_name(sock: socket.socket) -> None:
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("there is no SO_REUSEPORT here")
    plain(sock)


def asserted(sock: socket.socket) -> None:
    assert os.name == "posix"
    plain(sock)


def by_getattr(sock: socket.socket) -> None:
    option = getattr(socket, "SO_REUSEPORT", None)
    if option is not None:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)


def imported(sock: socket.socket) -> None:
    if SO_REUSEPORT is not None:
        sock.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 1)


def in_an_expression(sock: socket.socket) -> None:
    hasattr(socket, "SO_REUSEPORT") and sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def from_a_list(sock: socket.socket) -> None:
    wanted = []
    if hasattr(socket, "SO_REUSEPORT"):
        wanted.append(socket.SO_REUSEPORT)
    for option in wanted:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)


def by_match(sock: socket.socket) -> None:
    match sys.platform:
        case "win32":
            pass
        case _:
            plain(sock)


def without_a_name(sock: socket.socket) -> None:
    with contextlib.suppress(AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def caught_further_out(sock: socket.socket) -> None:
    try:
        plain(sock)
    except (AttributeError, OSError):
        return


@pytest.mark.parametrize(
    "set_it",
    [
        left_early, left_by_a_flag, left_a_loop, refused_by_name, asserted, by_getattr, imported, in_an_expression,
        from_a_list, by_match, without_a_name, caught_further_out,
    ],
)  # fmt: skip
def test_an_option_that_is_not_set_there(set_it: Callable[[socket.socket], None], socket_recording: Recording) -> None:
    with socket.socket() as sock:
        set_it(sock)
        sock.bind(LOCAL)
        sock.listen()
    assert not stacks(socket_recording)


def test_an_option_without_a_condition_is_told_with_the_name_that_is_missing(socket_recording: Recording) -> None:
    with socket.socket() as sock:
        plain(sock)
        sock.bind(LOCAL)
        sock.listen()
    assert stacks(socket_recording) == {"windows"}
    assert "would fail with AttributeError" in socket_recording.report
    assert "the socket module has no SO_REUSEPORT there (missing-name)" in socket_recording.report


# --- SO_REUSEADDR, which others can share on Windows ------------------------------------------------------------------


def visited(server: socket.socket) -> None:
    with server, socket.create_connection(server.getsockname()), server.accept()[0]:
        pass


def serve(port: int, options: Callable[[socket.socket], None]) -> None:
    sock = socket.socket()
    options(sock)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    visited(sock)


def by_a_constant(sock: socket.socket) -> None:
    if REUSE:
        sock.setsockopt(*REUSEADDR)


def by_a_constant_that_is_changed(sock: socket.socket) -> None:
    if REUSE_LATER:
        sock.setsockopt(*REUSEADDR)


def by_the_systems_name(sock: socket.socket) -> None:
    if SYSTEM == "posix" and sys.platform != "cygwin":
        sock.setsockopt(*REUSEADDR)


def by_a_function(sock: socket.socket) -> None:
    if not on_windows():
        sock.setsockopt(*REUSEADDR)


def by_a_default(sock: socket.socket, reuse: bool = not IS_WINDOWS) -> None:
    if reuse:
        sock.setsockopt(*REUSEADDR)


def as_is_recommended(sock: socket.socket) -> None:
    if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        sock.setsockopt(*REUSEADDR)


@pytest.mark.parametrize(
    "options",
    [
        by_a_constant, by_a_constant_that_is_changed, by_the_systems_name, by_a_function, by_a_default,
        as_is_recommended, functools.partial(by_a_default),
    ],
)  # fmt: skip
def test_a_server_that_follows_the_remedy(
    options: Callable[[socket.socket], None], held_port: Lease, socket_recording: Recording
) -> None:
    serve(held_port.port, options)
    assert not stacks(socket_recording)


def test_a_server_that_does_not(held_port: Lease, socket_recording: Recording) -> None:
    serve(held_port.port, lambda sock: sock.setsockopt(*REUSEADDR))
    assert misused(socket_recording) == ["reuseaddr-on-windows"]


def test_the_other_branch_is_judged(socket_recording: Recording) -> None:
    """On Windows the second server is refused as it is here, since both have the other option."""
    with socket.socket() as first, socket.socket() as second:
        as_is_recommended(first)
        first.bind(LOCAL)
        first.listen()
        as_is_recommended(second)
        with contextlib.suppress(OSError):
            second.bind(first.getsockname())
    assert not socket_recording.record


class Server(socketserver.TCPServer):
    allow_reuse_address = sys.platform != "win32"


class Configured(http.server.HTTPServer):
    def __init__(self, *arguments: Any, reuse: bool = True) -> None:
        self.allow_reuse_address = reuse
        super().__init__(*arguments)


def test_a_class_that_says_it(held_port: Lease, socket_recording: Recording) -> None:
    for make in (Server, functools.partial(Configured, reuse=os.name == "posix")):
        with make(("127.0.0.1", held_port.port), socketserver.BaseRequestHandler) as server:
            socket.create_connection(held_port.address).close()
            server.handle_request()
    assert not stacks(socket_recording)


def test_an_argument_that_says_it(held_port: Lease, socket_recording: Recording) -> None:
    async def main() -> None:
        done = asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            done.set()

        options = {}
        if hasattr(socket, "SO_REUSEPORT"):
            options["reuse_port"] = True
        server = await asyncio.start_server(serve, "127.0.0.1", held_port.port, reuse_address=REUSE, **options)
        async with server:
            await asyncio.to_thread(lambda: socket.create_connection(held_port.address).close())
            await done.wait()

    asyncio.run(main())
    assert not stacks(socket_recording)


# --- another address, which Windows cannot reach ----------------------------------------------------------------------


def client(host: str, port: int) -> None:
    with socket.socket() as sock:
        sock.connect((host, port))


def changed_before(port: int) -> None:
    host = "0.0.0.0"
    if platform.system() == "Windows":
        host = "127.0.0.1"
    client(host, port)


def by_a_table(port: int) -> None:
    client(HOSTS[os.name], port)


def by_a_choice(port: int) -> None:
    client("127.0.0.1" if IS_WINDOWS else "0.0.0.0", port)


class Dialer:
    def host(self) -> str:
        return "127.0.0.1" if on_windows() else "0.0.0.0"

    def dial(self, port: int) -> None:
        client(self.host(), port)


@pytest.mark.parametrize(
    "connect",
    [
        changed_before, by_a_table, by_a_choice, lambda port: client(ANY, port), lambda port: client(any_host(), port),
        Dialer().dial,
    ],
)  # fmt: skip
def test_another_address_there(
    connect: Callable[[int], None], listener: socket.socket, socket_recording: Recording
) -> None:
    connect(listener.getsockname()[1])
    assert "windows" not in stacks(socket_recording)


class Acceptor:
    def __init__(self) -> None:
        self.socket = socket.socket()

    def share(self) -> None:
        self.socket.setsockopt(*REUSEADDR)


class Polite(Acceptor):
    if os.name == "nt":

        def share(self) -> None:
            pass


def test_another_method_there(held_port: Lease, socket_recording: Recording) -> None:
    acceptor = Polite()
    acceptor.share()
    acceptor.socket.bind(("127.0.0.1", held_port.port))
    acceptor.socket.listen()
    visited(acceptor.socket)
    assert not stacks(socket_recording)


# --- tests that are skipped there -------------------------------------------------------------------------------------


def to_nowhere_on_windows(listener: socket.socket) -> None:
    client("0.0.0.0", listener.getsockname()[1])


@skipped_on_windows
def test_by_a_mark_under_a_name(listener: socket.socket, socket_recording: Recording) -> None:
    to_nowhere_on_windows(listener)
    assert "windows" not in stacks(socket_recording)


@pytest.mark.skipif("sys.platform == 'win32'", reason="a text")
def test_by_a_mark_that_is_a_text(listener: socket.socket, socket_recording: Recording) -> None:
    to_nowhere_on_windows(listener)
    assert "windows" not in stacks(socket_recording)


@pytest.mark.xfail(sys.platform == "win32", reason="known")
def test_by_an_expected_failure(listener: socket.socket, socket_recording: Recording) -> None:
    to_nowhere_on_windows(listener)
    assert "windows" not in stacks(socket_recording)


def test_in_its_body(listener: socket.socket, socket_recording: Recording) -> None:
    if IS_WINDOWS:
        pytest.skip("not there")
    to_nowhere_on_windows(listener)
    assert "windows" not in stacks(socket_recording)


@pytest.fixture
def posix() -> None:
    if os.name != "posix":
        pytest.skip("only there")


def test_by_a_fixture(posix: None, listener: socket.socket, socket_recording: Recording) -> None:
    to_nowhere_on_windows(listener)
    assert "windows" not in stacks(socket_recording)


@pytest.mark.sockreuse_requires("ordering-quirk")
def test_by_a_guard_of_ours(listener: socket.socket, socket_recording: Recording) -> None:
    with socket.socket() as outgoing, socket.socket() as server:
        for sock in (outgoing, server):
            sock.setsockopt(*REUSEADDR)
        outgoing.bind(LOCAL)
        server.bind(outgoing.getsockname())
        server.listen()
        outgoing.connect(listener.getsockname())
    assert not socket_recording.findings


class TestSkipped(unittest.TestCase):
    recording: Recording
    listener: socket.socket

    @pytest.fixture(autouse=True)
    def _given(self, listener: socket.socket, socket_recording: Recording) -> None:
        self.recording, self.listener = socket_recording, listener

    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_by_unittest(self) -> None:
        to_nowhere_on_windows(self.listener)
        assert "windows" not in stacks(self.recording)


# --- who catches the error --------------------------------------------------------------------------------------------


def ignored(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)
    except OSError as error:
        if error.errno not in NOT_OPTIONAL:
            raise


def returned(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)
    except OSError as error:
        if error.args[0] == errno.ENOPROTOOPT or error.errno == errno.EINVAL:
            return
        raise


def suppressed(sock: socket.socket) -> None:
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)


@pytest.mark.parametrize("set_it", [ignored, returned, suppressed])
def test_an_error_that_is_expected(set_it: Callable[[socket.socket], None], socket_recording: Recording) -> None:
    with socket.socket() as sock:
        set_it(sock)
        sock.bind(LOCAL)
    assert not socket_recording.findings


def test_another_error_than_is_expected(socket_recording: Recording) -> None:
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
        sock.bind(LOCAL)
    assert socket_recording.findings and not any(found.caught for found in socket_recording.findings)


def test_create_connection_raises_when_no_address_is_left(socket_recording: Recording) -> None:
    with socket.create_server(LOCAL) as server:
        socket.create_connection(("0.0.0.0", server.getsockname()[1])).close()
    (found,) = socket_recording.findings
    assert not found.caught


def is_free(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        try:
            sock.connect(address)
        except OSError:
            return True
    return False


def test_another_error_in_code_that_treats_all_alike(socket_recording: Recording) -> None:
    assert is_free(LOCAL)
    with socket.socket() as sock:
        assert sock.connect_ex(LOCAL)
    assert not socket_recording.findings


def test_another_error_in_code_that_looks_at_it(socket_recording: Recording) -> None:
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(LOCAL)
    assert socket_recording.findings
