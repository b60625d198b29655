"""The fixtures, in a project of its own: sockets, and what connections leave behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from here import linux_only

from pytest_sockreuse import endings
from pytest_sockreuse.hooks import fixtures
from pytest_sockreuse.live import NotRun

Run = Callable[..., pytest.RunResult]
_IMPORTED = fixtures  # before a run in this process imports it, and drops it again


# --- sockets ----------------------------------------------------------------------------------------------------------


def test_ports_are_held_and_sockets_closed(run: Run) -> None:
    result = run(
        """
        import socket
        import pytest

        class Socket(socket.socket):
            pass

        @pytest.fixture(scope="session")
        def socket_class():
            return Socket

        seen = []

        def test_one(tcp, udp, held_port, held_ports, held_port_factory):
            server = tcp("SO_REUSEADDR")
            server.bind(held_port.address)
            server.listen()
            assert isinstance(server, Socket) and server.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            other = udp("SO_REUSEADDR", "SO_SNDBUF=5000")
            other.bind(held_port.address)
            row = held_ports(3, "tcp", consecutive=True)
            assert [lease.port - row[0].port for lease in row] == [0, 1, 2]
            seen.extend([server, other, held_port, *row, held_port_factory.hold()])

        def test_after():
            server, other, lease, *row, longer = seen
            assert server.fileno() == other.fileno() == -1
            assert not lease.open and not any(lease.open for lease in row)
            assert longer.open

        def test_given(listener, connected_pair):
            client, server = connected_pair
            client.sendall(b"x")
            assert server.recv(1) == b"x"
            assert client.getpeername() == server.getsockname()
            with socket.create_connection(listener.getsockname()):
                listener.accept()[0].close()
        """
    )
    result.assert_outcomes(passed=3)


def test_a_held_port_is_served_by_those_who_want_a_number(run: Run) -> None:
    result = run(
        """
        import asyncio, json, socket, sys, urllib.request
        import pytest

        async def served(port):
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "localhost", port)
            async with server:
                reader, writer = await asyncio.open_connection("localhost", port)
                assert await reader.read() == b""
                writer.close()

        def test_plain(held_tcp_port):
            assert type(held_tcp_port) is int
            asyncio.run(served(held_tcp_port))

        def test_a_lease(held_port):
            assert f"http://127.0.0.1:{held_port}/" == f"http://127.0.0.1:{held_port.port}/"
            asyncio.run(served(held_port.port))

        @pytest.mark.skipif(sys.platform == "win32", reason="its placeholder keeps nobody off")
        def test_held(held_tcp_port):
            with socket.socket() as thief, pytest.raises(OSError):
                thief.bind(("127.0.0.1", held_tcp_port))

        def test_ended(request):
            assert not request.getfixturevalue("held_port_factory").leases
        """
    )
    result.assert_outcomes(passed=4)


# --- numbers of one's own, and names of others ------------------------------------------------------------------------


def test_ports_of_the_ini_file(run: Run, project: pytest.Pytester, numbers: Callable[[int], list[int]]) -> None:
    among = numbers(8)
    project.makeini(
        f"[pytest]\nsockreuse_ports = {among[0]} {' '.join(f'{it}-{it}' for it in among[1:6])} {among[6]},{among[7]}\n"
        f"sockreuse_ports_without = {among[0]}\n"
    )
    code = f"""
        def test_it(held_port, held_ports):
            assert {{held_port, *held_ports(5)}} == {{*{among[2:]}}}
    """
    run(code).assert_outcomes(passed=1)
    result = run(code, "-o", "sockreuse_ports_without=", "-o", f"sockreuse_ports={among[0]} {among[1]}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*PortError: 5 free ports were not found among the 2 from {among[0]} to*"])


@pytest.mark.parametrize(
    ("ports", "without", "told"),
    [
        (
            "20000:20999",
            "",
            "sockreuse_ports: '20000:20999' is neither a port nor a range of ports that goes up; write",
        ),
        ("20999-20000", "", "sockreuse_ports: '20999-20000' is neither"),
        ("0-10", "", "sockreuse_ports: '0-10' is neither"),
        ("", "\u0662", "sockreuse_ports_without: '\u0662' is neither"),
        ("65535-65536", "", "sockreuse_ports: '65535-65536' is neither"),
        ("", "http", "sockreuse_ports_without: 'http' is neither"),
        ("20000", "", "sockreuse_ports: one number is left to choose from; give two, at least: one of them keeps"),
        ("20000-20002", "20000-20009", "sockreuse_ports: no number is left to choose from; give two, at least"),
    ],
)
def test_ports_that_the_ini_file_cannot_ask_for(run: Run, ports: str, without: str, told: str) -> None:
    result = run("", "-o", f"sockreuse_ports={ports}", "-o", f"sockreuse_ports_without={without}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {told}*"])


UNUSED = """
import socket
import pytest

NAMES = ["unused_tcp_port", "unused_udp_port", "free_tcp_port", "free_udp_port"]

@pytest.fixture(scope="session")
def wide(unused_tcp_port_factory):
    return unused_tcp_port_factory()

@pytest.mark.parametrize("name", NAMES)
def test_names(name, request, wide, held_port_factory):
    port = request.getfixturevalue(name)
    assert type(port) is int and port in held_port_factory.leases and wide in held_port_factory.leases
    factory = request.getfixturevalue(f"{name}_factory")
    kind = socket.SOCK_STREAM if "tcp" in name else socket.SOCK_DGRAM
    for number in (port, factory(), factory(socket.AF_INET), factory(family=socket.AF_INET6)):
        with socket.socket(type=kind) as sock:
            sock.bind(("127.0.0.1", number))  # without an option

def test_aiohttp(aiohttp_unused_port, held_port_factory):
    assert aiohttp_unused_port() in held_port_factory.leases

class TestOwn:
    @pytest.fixture
    def unused_tcp_port(self, unused_tcp_port):
        return -unused_tcp_port

    def test_own(self, unused_tcp_port):
        assert unused_tcp_port < 0
"""
OTHERS = """
import pytest

@pytest.fixture
def unused_tcp_port():
    return "theirs"
"""


def test_held_ports_go_by_the_names_of_others(run: Run, project: pytest.Pytester) -> None:
    on = ("-o", "sockreuse_unused_ports=true")
    project.makepyfile(others=OTHERS)
    project.syspathinsert()
    for first in ([], ["-p", "others"]):  # another plugin, whichever comes first
        run(UNUSED, *first, *on).assert_outcomes(passed=6)
    theirs = "def test_it(unused_tcp_port): assert unused_tcp_port == 'theirs'"
    run(theirs, "-p", "others").assert_outcomes(passed=1)  # off by default
    project.makeconftest(OTHERS)
    run(theirs, *on).assert_outcomes(passed=1)  # a project's own are its own
    project.path.joinpath("conftest.py").unlink()
    run(theirs).assert_outcomes(errors=1)


def test_a_leaked_listener_fails_the_test(run: Run) -> None:
    result = run(
        """
        import socket
        kept = []

        def test_global(tcp):
            kept.append(socket.create_server(("127.0.0.1", 0)))

        def test_closed(tcp, held_ports):
            with socket.create_server(("127.0.0.1", 0)):
                held_ports(40)  # whose locks listen too

        def test_left_to_the_collector(tcp):
            class Server:
                def __init__(self):
                    self.me, self.sock = self, socket.create_server(("127.0.0.1", 0))
            Server()

        def test_that_failed_already(tcp):
            server = socket.create_server(("127.0.0.1", 0))
            assert 0
        """,
        "-W",
        "default",
    )
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["this test leaked a listening socket: 127.0.0.1:* by this process (pid *); close it"], consecutive=True
    )


@linux_only
def test_a_listener_leaked_to_a_child_fails_the_test(run: Run) -> None:
    result = run(
        """
        import subprocess, sys
        import pytest
        children = []

        @pytest.fixture(scope="session", autouse=True)
        def reap():
            yield
            for child in children:
                child.communicate()

        def test_it(tcp):
            server = tcp()
            server.bind(("127.0.0.1", 0))
            server.listen()
            command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
            child = subprocess.Popen(
                command, pass_fds=[server.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            children.append(child)
            child.stdout.readline()
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.re_match_lines(
        [r"this test leaked a listening socket: 127.0.0.1:\d+ by python\S* \(pid \d+\); close"]
    )


def test_what_a_test_may_not_ask_for(run: Run) -> None:
    result = run(
        """
        import socket

        def test_option(tcp): tcp("SO_REUSEADR")
        def test_value(tcp): tcp("SO_LINGER=x")
        def test_family(udp): udp(family=socket.AF_UNIX)
        def test_protocol(held_ports): held_ports(1, "sctp")
        def test_count(held_ports): held_ports(0)
        def test_side(time_wait): time_wait(side="both")
        """
    )
    result.assert_outcomes(failed=6)
    told = [line.removeprefix("E   ") for line in result.outlines if line.startswith("E   ")]
    assert [line.split(":")[0].rpartition(".")[2] for line in told] == ["ValueError"] * 3 + ["PortError"] * 2 + [
        "ValueError"
    ]
    assert "perhaps" in told[0] or "SO_REUSEADDR" in told[0]
    assert "fixtures.py" not in str(result.stdout)  # the line is the test's


def test_what_there_is_is_shown(run: Run) -> None:
    shown = str(run("", "--fixtures").stdout) + str(run("", "--markers").stdout)
    names = "held_port held_ports tcp udp listener connected_pair time_wait fin_wait2 sockreuse_netns port_range"
    for name in names.split():
        assert f"\n{name} -- " in shown
    assert "@pytest.mark.sockreuse_netns(port_range=(low, high), sysctls={name: value}): " in shown


# --- what a connection leaves -----------------------------------------------------------------------------------------

LEFT = """
import errno, socket
import pytest
from pytest_sockreuse.endings import _listed

@pytest.mark.sockreuse_netns
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("ending", ["time_wait", "fin_wait2"])
def test_left(ending, side, reuse, host, request, tcp):
    left = request.getfixturevalue(ending)(side, reuse, host)
    assert left.state == _listed(left.local, left.foreign) == ending.upper()
    assert left.local[0] == host and left.port == left.local[1]
    for mine in (False, True):
        server = tcp(*["SO_REUSEADDR"] * mine, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        if mine and reuse:
            server.bind((host, left.port))
        else:
            with pytest.raises(OSError) as refused:
                server.bind((host, left.port))
            assert refused.value.errno == errno.EADDRINUSE
    left.close()
    assert _listed(left.local, left.foreign) == ("TIME_WAIT" if ending == "time_wait" else None)

def test_port(time_wait, sockreuse_netns):
    assert time_wait(port=80).local == ("127.0.0.1", 80)

@pytest.mark.sockreuse_netns
@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("ending", ["time_wait", "fin_wait2"])
def test_held(ending, side, reuse, request, held_port, tcp):
    left = request.getfixturevalue(ending)(side, reuse, port=held_port)
    assert left.port == held_port
    server = tcp("SO_REUSEADDR")
    if reuse:
        server.bind(held_port.address)
        server.listen()
    else:
        with pytest.raises(OSError):
            server.bind(held_port.address)

def test_restart(time_wait, held_port):
    left = time_wait(port=held_port)
    with socket.create_server(left.local):
        pass
"""


@linux_only
@pytest.mark.usefixtures("mode")
def test_ports_are_left_in_a_state_that_the_kernel_shows(run: Run) -> None:
    run(LEFT).assert_outcomes(passed=26)


@linux_only
def test_a_system_that_shows_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "_state", lambda *_: None)
    with pytest.raises(NotRun, match="this system shows nothing, not FIN_WAIT2, of a connection over loopback"):
        endings.fin_wait2()


DOWN = """
import fcntl, socket, struct
import pytest
from pytest_sockreuse.live import namespace
from pytest_sockreuse.ports import PortError

@pytest.fixture
def down(sockreuse_netns):
    namespace._unshare(namespace._NEWNET)

@pytest.fixture
def down_again(sockreuse_netns):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, namespace._SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", 0))

def test_ports(down, held_ports):
    with pytest.raises(PortError, match="^there is no way to 127.0.0.1 on this host: bring its loopback interface up$"):
        held_ports(2)

def test_left(down, time_wait):
    time_wait()

def test_left_again(down_again, fin_wait2):
    fin_wait2()

def test_pair_again(down_again, connected_pair):
    pass
"""


@linux_only
@pytest.mark.usefixtures("mode")
def test_a_host_whose_loopback_is_down_is_told_of(run: Run) -> None:
    result = run(DOWN, "-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(
        ["SKIPPED*: there is no way to 127.0.0.1 on this host: bring its loopback interface up"] * 2
    )


NETSTAT = """
Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)
tcp4       0      0  127.0.0.1.5000         127.0.0.1.6000         TIME_WAIT
tcp6       0      0  ::1.5000               ::1.6000               FIN_WAIT_2
tcp4       0      0  *.22                   *.*                    LISTEN
"""


def test_netstat_tells_where_psutil_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    import psutil

    def refuse(kind: str) -> None:
        raise psutil.AccessDenied

    def listing(*arguments: object, **rest: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, NETSTAT)

    monkeypatch.setattr(psutil, "net_connections", refuse)
    monkeypatch.setattr(subprocess, "run", listing)
    assert endings._listed(("127.0.0.1", 5000), ("127.0.0.1", 6000)) == "TIME_WAIT"
    assert endings._listed(("::1", 5000), ("::1", 6000)) == "FIN_WAIT2"
    assert endings._listed(("127.0.0.1", 5000), ("127.0.0.1", 6001)) is None
