"""`Lease.wait`: until somebody serves the port, or the process that is to do so has ended, with what it said."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_sockreuse.live import service
from pytest_sockreuse.ports import PortError, Ports, Protocol

Start = Callable[..., subprocess.Popen[str]]

SERVE = """
import socket, sys
kind, port, reuse = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "reuse"
print("starting", flush=True)
sys.stdin.readline()
server = socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
server.bind(("127.0.0.1", port))
if kind == "tcp":
    server.listen()
sys.stdin.readline()
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python code in a process that is ended with the test."""
    started = []

    def start(code: str, *arguments: str, stdout: int | None = subprocess.PIPE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=None if stdout is None else subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("reuse", ["reuse", "none"])
def test_a_port_is_waited_for_until_it_is_served(
    give: Ports, start: Start, kind: Protocol, reuse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = give.hold(kind)
    process = start(SERVE, kind, str(lease), reuse)
    if reuse == "none":
        lease.release()
    asked = threading.Event()
    serves = service._serves

    def noted(port: int, protocol: str) -> bool:
        found = serves(port, protocol)
        asked.set()
        return found

    def go() -> None:
        assert asked.wait(30) and process.stdin is not None
        print(file=process.stdin, flush=True)

    monkeypatch.setattr(service, "_serves", noted)  # the process goes on when it has been asked for
    helper = threading.Thread(target=go)
    helper.start()
    lease.wait(process=process)
    helper.join()
    assert serves(lease, kind)


def test_a_port_that_is_served_already_is_not_waited_for(give: Ports) -> None:
    lease = give.hold()
    with lease.socket() as server:
        server.listen()
        lease.wait(0)
    with lease.socket("udp"):
        lease.wait(0, protocol="udp")


def test_a_process_that_ends_says_what_it_said(give: Ports, start: Start) -> None:
    lease = give.hold("tcp")
    process = start("import sys; print('no \\x1b[1mdatabase', flush=True); sys.exit('twice')")
    began = time.monotonic()
    with pytest.raises(PortError) as told:
        lease.wait(60, process)
    assert str(told.value).splitlines() == [
        f"nobody serves port {lease}: the process ended with status 1; it said:",
        "    no \\x1b[1mdatabase",
        "    twice",
    ]
    assert time.monotonic() - began < 30


def test_a_process_that_was_killed_is_told_of(give: Ports, start: Start) -> None:
    lease = give.hold("tcp")
    process = start("input()")
    process.kill()
    with pytest.raises(PortError, match=r"the process ended (by signal 9|with status 1); it said nothing"):
        lease.wait(60, process)
    process.communicate()
    with pytest.raises(PortError, match="the process ended"):  # and whose pipes are closed
        lease.wait(60, process)


def test_a_process_that_does_not_serve_in_time(give: Ports, start: Start) -> None:
    lease = give.hold("tcp")
    process = start("print('loading', flush=True); input()")
    with pytest.raises(PortError) as told:
        lease.wait(0.3, process)
    first, *rest = str(told.value).splitlines()
    assert first.startswith(f"nobody serves port {lease}: 0.3 s have passed, and process {process.pid} runs; it said")
    assert rest in (["    loading"], [])
    with pytest.raises(PortError, match=f"nobody serves port {lease}: 0 s have passed$"):
        lease.wait(0)
    assert process.communicate("\n")[0] == ("" if rest else "loading\n")  # it runs on, and can be talked to


def test_a_server_that_needs_the_port_released_is_told_so(give: Ports, start: Start) -> None:
    lease = give.hold("tcp")
    process = start(SERVE, "tcp", str(lease), "none")
    assert process.stdin is not None
    print(file=process.stdin, flush=True)
    if sys.platform == "win32":
        lease.wait(60, process)
        return
    with pytest.raises(PortError, match="; a server that does not set SO_REUSEADDR needs release\\(\\) before it"):
        lease.wait(60, process)


def test_output_that_went_elsewhere_cannot_be_shown(give: Ports, start: Start) -> None:
    with pytest.raises(PortError, match=r"with status 3; start it with stdout=subprocess\.PIPE, stderr="):
        give.hold("tcp").wait(60, start("import sys; sys.exit(3)", stdout=None))


def test_a_long_output_is_cut(give: Ports, start: Start) -> None:
    with pytest.raises(PortError) as told:
        give.hold("tcp").wait(60, start("for n in range(100): print(n, 'x' * 500)"))
    lines = str(told.value).splitlines()
    assert len(lines) == 41 and lines[-1].startswith("    99 xxx")
    assert max(map(len, lines)) < 400


def test_a_protocol_that_is_not_held_is_not_waited_for(give: Ports) -> None:
    with pytest.raises(PortError, match="is held for tcp, not for 'udp'"):
        give.hold("tcp").wait(0, protocol="udp")


def test_where_the_system_tells_nothing_a_connection_does(give: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = give.hold("tcp")
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert not service._serves(lease.port, "tcp")
    with lease.socket() as server:
        server.listen()
        assert service._serves(lease.port, "tcp")
