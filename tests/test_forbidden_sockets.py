"""Beside pytest-socket, which forbids a test its sockets: held ports, the recorder, the explanation and the suite."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from pytest_sockreuse.hooks import fixtures

Run = Callable[..., pytest.RunResult]
_IMPORTED = fixtures  # before a run in this process imports it, and drops it again


@pytest.fixture(autouse=True)
def _class_as_it_was() -> Iterator[None]:
    """What pytest-socket gives back, it leaves in the class that had inherited it."""
    before = dict(vars(socket.socket))
    yield
    for name in vars(socket.socket).keys() - before.keys():
        delattr(socket.socket, name)


#: What pytest-socket 0.8 does: a class that cannot be made, a connect() that asks, both taken back after each test.
GUARD = """
import socket
import pytest

true_socket, true_connect = socket.socket, socket.socket.connect

class SocketBlockedError(RuntimeError):
    pass

def pytest_addoption(parser):
    parser.addoption("--disable-socket", action="store_true")
    parser.addoption("--allow-hosts")

def pytest_runtest_setup(item):
    allowed = item.config.getoption("--allow-hosts")
    if allowed:
        def guarded_connect(sock, address):
            if address[0] not in allowed.split(","):
                raise SocketBlockedError(address[0])
            return true_connect(sock, address)
        socket.socket.connect = guarded_connect
    elif item.config.getoption("--disable-socket"):
        class GuardedSocket(socket.socket):
            def __new__(cls, *arguments, **keywords):
                raise SocketBlockedError
        socket.socket = GuardedSocket

def pytest_runtest_teardown():
    socket.socket = true_socket
    socket.socket.connect = true_connect
"""


@pytest.fixture
def guarded(run: Run, project: pytest.Pytester) -> Run:
    """Runs a project beside such a plugin."""
    installed = importlib.util.find_spec("pytest_socket") is not None
    project.makepyfile(pytest_socket=GUARD)
    project.syspathinsert()

    def guarded(code: str, *arguments: str) -> pytest.RunResult:
        return run(code, *(["-p", "no:socket"] if installed else []), "-p", "pytest_socket", *arguments)

    return guarded


HELD = """
import subprocess, sys
import pytest
from pytest_socket import SocketBlockedError

SERVE = "import socket, sys; server = socket.create_server(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"

def test_held(held_port, held_ports, held_tcp_port):
    held_ports(2)
    assert held_port.release() != held_tcp_port

def test_served(held_port):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(held_port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        held_port.wait(30, server)
    finally:
        server.communicate()

def test_range(port_range, held_port):
    port_range(40000, 40001)

def test_own(held_port, request):
    if request.config.getoption("--allow-hosts"):
        held_port.socket().close()
    else:
        with pytest.raises(SocketBlockedError):
            held_port.socket()
"""


@pytest.mark.parametrize("forbidden", ["--disable-socket", "--allow-hosts=127.0.0.1"])
@pytest.mark.parametrize("more", [[], ["--sockreuse-record", "--sockreuse-explain"]])
def test_a_port_is_held_where_sockets_are_forbidden(guarded: Run, forbidden: str, more: list[str]) -> None:
    found = guarded(HELD, forbidden, *more).parseoutcomes()
    assert found["passed"] + found.get("skipped", 0) == 4 and "failed" not in found and "errors" not in found


TALK = """
import socket

def talk():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(("0.0.0.0", server.getsockname()[1])):
            server.accept()[0].close()

def test_one(): talk()
def test_two(): talk()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="connects to the wildcard address")
@pytest.mark.parametrize("allowed", [[], ["--allow-hosts=0.0.0.0"]])
@pytest.mark.parametrize("explained", [[], ["--sockreuse-explain"]])
def test_the_recorder_sees_what_is_allowed(guarded: Run, allowed: list[str], explained: list[str]) -> None:
    result = guarded(TALK, "--sockreuse-record=windows-11", *allowed, *explained)
    result.assert_outcomes(passed=2)
    told = [line for line in result.outlines if "connect()" in line or "with EADDRNOTAVAIL" in line or "::" in line]
    assert all(any(f"test_it.py::test_{name}" in line for line in told) for name in ("one", "two")), told
    assert any("with EADDRNOTAVAIL" in line for line in told)


@pytest.mark.skipif(sys.platform != "linux", reason="needs namespaces")
@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("allowed", [[], ["--allow-hosts=127.0.0.1"]])
def test_what_is_allowed_is_explained(guarded: Run, allowed: list[str]) -> None:
    code = """
        import socket
        from contextlib import ExitStack
        import pytest

        @pytest.mark.parametrize("n", range(2))
        def test_it(n, port_range):
            port_range(40000, 40001)
            with ExitStack() as kept:
                kept.enter_context(socket.create_server(("127.0.0.1", 7777)))
                while True:
                    kept.enter_context(socket.create_connection(("127.0.0.1", 7777)))
    """
    result = guarded(code, "--sockreuse-explain", *allowed, "-W", "ignore")
    result.assert_outcomes(failed=2)
    assert str(result.stdout).count("call     connect to 127.0.0.1:7777, TCP") == 2


def test_the_suite_is_performed_where_sockets_are_forbidden(guarded: Run) -> None:
    result = guarded("def test_it(): pass", "--sockreuse=lost-ports", "--disable-socket", "-k", "test_it or ip4")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["lost-ports *"])
