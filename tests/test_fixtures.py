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
"""


@linux_only
@pytest.mark.usefixtures("mode")
def test_ports_are_left_in_a_state_that_the_kernel_shows(run: Run) -> None:
    run(LEFT).assert_outcomes(passed=17)


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
