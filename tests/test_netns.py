"""Tests in private namespaces, in a project of its own: what is isolated, what is told, what is refused."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable

import pytest
from here import linux_only

from pytest_sockreuse.hooks import fixtures, netns

Run = Callable[..., pytest.RunResult]
_IMPORTED = fixtures  # before a run in this process imports it, and drops it again

PRIVATE = """
import asyncio, os, socket, subprocess, sys, threading, warnings
import pytest

def place():
    return os.readlink("/proc/thread-self/ns/net")

def note(what):
    with open("log", "a") as file:
        print(what, file=file)

def content(name):
    with open(name) as file:
        return file.read()

HOST = place()
AUTOBIND = "/proc/sys/net/ipv4/ip_autobind_reuse"
AS_IT_WAS = content(AUTOBIND)

@pytest.fixture(scope="session")
def whole():
    yield place(), os.getpid()
    note("whole")

@pytest.fixture
def before():
    yield place()
    note("before")

@pytest.fixture
def own():
    yield place()
    note("own")

def test_private(before, sockreuse_netns, own, whole, tmp_path):
    assert place() != HOST
    assert own == place() and before == HOST and whole[0] == HOST
    with socket.create_server(("0.0.0.0", 80)):
        pass
    (tmp_path / "x").touch()

def test_back(whole):
    assert place() == HOST
    assert whole == (HOST, os.getpid())
    assert content("log").split() == ["own", "before"]

@pytest.mark.sockreuse_netns(port_range=(40000, 40001), sysctls={"net.ipv4.ip_autobind_reuse": 1})
class TestMarked:
    def test_marked(self, own, whole):
        assert own == place() != HOST == whole[0]
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            assert sock.getsockname()[1] in (40000, 40001)
        assert content(AUTOBIND) == "1\\n"

    @pytest.mark.sockreuse_netns(port_range=(50000, 50000))
    def test_nearer(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            assert sock.getsockname()[1] == 50000

def test_range(port_range, held_ports):
    port_range(40000, 40000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[1] == 40000
    for lease in held_ports(40):
        assert lease.port != 40000
        with socket.create_server(("", lease.port)):
            pass

def test_thread(sockreuse_netns):
    def serve():
        nonlocal server
        server = socket.create_server(("0.0.0.0", 81))
    server = None
    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    with server, socket.create_connection(("127.0.0.1", 81)):
        pass

def test_child(sockreuse_netns):
    command = [sys.executable, "-c", "import os; print(os.readlink('/proc/self/ns/net'))"]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == place()

async def serve():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "0.0.0.0", 82)
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", 82)
        assert await reader.read() == b""
        writer.close()
    return await asyncio.get_running_loop().run_in_executor(None, place)

def test_async(sockreuse_netns):
    assert asyncio.run(serve()) == place() != HOST

def test_warns(sockreuse_netns):
    warnings.warn("from the inside", UserWarning)

def test_skips(sockreuse_netns):
    pytest.skip("as meant")

@pytest.mark.xfail(strict=True)
def test_xfails(sockreuse_netns):
    assert 0

def test_fails(sockreuse_netns):
    print("said inside")
    assert place() == HOST, "told inside"

def test_teardown(sockreuse_netns, request):
    request.addfinalizer(lambda: 1 / 0)

def test_host_is_as_it_was():
    assert place() == HOST
    assert content(AUTOBIND) == AS_IT_WAS
"""


@linux_only
@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("spread", [False, True])
def test_a_test_in_a_namespace(run: Run, pytester: pytest.Pytester, spread: bool) -> None:
    if spread and not importlib.util.find_spec("xdist"):
        pytest.skip("needs pytest-xdist")
    result = run(PRIVATE, "-W", "default", "-rA", *["-n1"] * spread)
    result.assert_outcomes(passed=11, failed=1, errors=1, skipped=1, xfailed=1, warnings=1)
    result.stdout.fnmatch_lines(["*test_it.py*test_warns*", "*UserWarning: from the inside"])
    result.stdout.fnmatch_lines(["E*AssertionError: told inside"])
    result.stdout.fnmatch_lines(["*Captured stdout call*", "said inside"])
    assert (pytester.path / "log").read_text().split()[-1] == "whole"
    assert (pytester.path / "log").read_text().count("whole") == 1


@linux_only
def test_what_happens_in_a_child(run: Run, mode: str) -> None:
    if mode != "userns":
        pytest.skip("without root a test goes on in a child")
    result = run(
        """
        import os, signal
        import pytest

        def test_uid(sockreuse_netns):
            assert os.getuid() == uid
            assert sockreuse_netns.isolation == "userns"

        def test_dies(sockreuse_netns):
            os.kill(os.getpid(), signal.SIGKILL)

        def test_exits(sockreuse_netns):
            os._exit(3)

        def test_too_late(request):
            request.getfixturevalue("sockreuse_netns")

        def test_unpicklable(sockreuse_netns, record_property):
            record_property("it", lambda: 1)

        def test_property(sockreuse_netns, record_property):
            record_property("it", (1, 2))

        def test_ends(sockreuse_netns):
            os._exit(0)

        def test_last():
            pass

        uid = os.getuid()
        """
    )
    result.assert_outcomes(passed=3, failed=5)
    result.stdout.fnmatch_lines(
        [
            "the child in which this test went on ended by signal 9",
            "the child in which this test went on ended with status 3",
            "sockreuse_netns: without root it must be an argument of the test or its marker, not asked later",
            "what this test reports cannot be brought back from its child: *",
            "the child in which this test went on ended with status 0",
        ]
    )


@linux_only
def test_subtests_are_reported(run: Run, mode: str) -> None:
    if int(pytest.__version__.split(".")[0]) < 9:
        pytest.skip("pytest has subtests since 9")
    result = run(
        """
        def test_it(subtests, sockreuse_netns):
            for number in range(3):
                with subtests.test(number=number):
                    assert number != 1
        """
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["SUBFAILED(*) test_it.py::test_it - assert 1 != 1"])


@linux_only
@pytest.mark.usefixtures("mode")
def test_what_a_namespace_cannot_have(run: Run) -> None:
    result = run(
        """
        import pytest

        def test_order(port_range): port_range(40001, 40000)
        def test_type(port_range): port_range("1", 2)
        def test_high(port_range): port_range(1, 65536)
        def test_refused(port_range): port_range(80, 90)
        def test_name(sockreuse_netns): sockreuse_netns.set("kernel.hostname", "other")
        def test_value(sockreuse_netns): sockreuse_netns.set("net.ipv4.ip_autobind_reuse", "x\\x1b")
        def test_absent(sockreuse_netns): sockreuse_netns.set("net.ipv4.ip_absent", 1)
        def test_misspelt(sockreuse_netns): sockreuse_netns.set("net.ipv4.tcp_tw_reus", 0)
        @pytest.mark.sockreuse_netns(ports=(1, 2))
        def test_keyword(): pass
        @pytest.mark.sockreuse_netns((1, 2))
        def test_positional(): pass
        @pytest.mark.sockreuse_netns(port_range=1)
        def test_pair(): pass
        @pytest.mark.sockreuse_netns(sysctls=["a"])
        def test_table(): pass
        """,
        "-rs",
    )
    result.assert_outcomes(failed=7, errors=4, skipped=1)
    said = ("port_range(", "sockreuse_netns", "unexpected", "net.", "'kernel", "this kernel")
    found = [line for line in result.outlines if line.startswith(said)]
    assert found == [
        "unexpected argument 'ports': sockreuse_netns takes port_range=(low, high) and sysctls={…}",
        "unexpected argument (1, 2): sockreuse_netns takes port_range=(low, high) and sysctls={…}",
        "sockreuse_netns: port_range=1 is no pair of ports (low, high)",
        "sockreuse_netns: sysctls=['a'] is no table {name: value}",
        "port_range(40001, 40000): two numbers are wanted that go up, from 1 to 65535",
        "port_range('1', 2): two numbers are wanted that go up, from 1 to 65535",
        "port_range(1, 65536): two numbers are wanted that go up, from 1 to 65535",
        "net.ipv4.ip_local_port_range = 80 90 is refused by this kernel (EINVAL)",
        "'kernel.hostname' is no setting that a network namespace isolates "
        "(net.ipv4.…, net.ipv6.…, net.mptcp.…, net.sctp.…, net.core.somaxconn)",
        r"net.ipv4.ip_autobind_reuse = x\x1b is refused by this kernel (EINVAL)",
        "this kernel has no setting net.ipv4.tcp_tw_reus: it has net.ipv4.tcp_tw_reuse",
    ]
    result.stdout.fnmatch_lines(["SKIPPED*this kernel has no setting net.ipv4.ip_absent"])


def test_without_namespaces_such_a_test_is_skipped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns, "how", lambda: "none")
    result = run(
        """
        import pytest

        def test_range(port_range): assert 0
        @pytest.mark.sockreuse_netns
        def test_marked(): assert 0
        """,
        "-rs",
    )
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*: needs a network namespace (*"])


@linux_only
def test_a_test_in_a_child_ends_with_its_pytest(mode: str, project: pytest.Pytester) -> None:
    """Whose standard output it has: that is at its end when nobody is left."""
    project.makepyfile("import time\ndef test_it(sockreuse_netns):\n    print('here', flush=True)\n    time.sleep(60)")
    pipe = subprocess.PIPE
    with project.popen(
        [sys.executable, "-m", "pytest", "-s"], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
    ) as process:
        assert process.stdout is not None
        while b"here" not in (line := process.stdout.readline()):
            assert line
        process.kill()
        process.communicate(timeout=30)


STOPPED = """
import os
import pytest

@pytest.fixture
def own(sockreuse_netns):
    yield
    open("torn down", "w").close()

def test_stops(own):
    {}

def test_later():
    pass
"""


@linux_only
@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize(
    ("stop", "status", "said"),
    [
        ("pytest.exit('enough', 7)", 7, "*Exit: enough*"),
        ("pytest.exit('enough')", 2, "*Exit: enough*"),
        ("raise KeyboardInterrupt", 2, "*KeyboardInterrupt*"),
    ],
)
def test_the_run_stops_where_a_test_says_so(project: pytest.Pytester, stop: str, status: int, said: str) -> None:
    project.makepyfile(STOPPED.format(stop))
    result = project.runpytest_subprocess("-v", timeout=60)
    assert result.ret == status
    result.stdout.fnmatch_lines([said])
    result.stdout.no_fnmatch_line("*test_later PASSED*")
    assert (project.path / "torn down").exists()


AGAIN = """
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(3):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if not any(report.failed for report in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


@linux_only
@pytest.mark.usefixtures("mode")
def test_a_test_can_be_run_again(run: Run, project: pytest.Pytester) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + AGAIN)
    result = run(
        """
        import pytest

        def tries(name):
            with open(name, "a+") as file:
                file.write(".")
                return file.tell()

        @pytest.fixture
        def before():
            yield tries("before")

        @pytest.fixture
        def own(sockreuse_netns):
            assert tries("own") > 1

        def test_passes_then(before, own):
            assert before == tries("called") + 1 == 3

        def test_never_passes(sockreuse_netns):
            assert tries("never") > 3

        def test_other():
            assert tries("other") == 1
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    assert len((project.path / "never").read_text()) == 3


@linux_only
def test_a_child_whose_end_is_told_to_nobody_is_heard(project: pytest.Pytester, mode: str) -> None:
    if mode != "userns":
        pytest.skip("without root a test goes on in a child")
    project.makepyfile(
        """
        import os, signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        def test_passes(sockreuse_netns): pass
        def test_dies(sockreuse_netns): os._exit(3)
        def test_fails(sockreuse_netns): assert 0
        """
    )
    result = project.runpytest_subprocess(timeout=60)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*ended too early, and nobody is told how: SIGCHLD is ignored"])


@linux_only
@pytest.mark.usefixtures("root_namespaces")
def test_where_a_namespace_cannot_be_left_root_forks_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        return
    from pytest_sockreuse.live import namespace

    def refuse(_: object) -> None:
        raise PermissionError

    assert namespace.can_come_back()
    with monkeypatch.context() as here:
        here.setattr(namespace.Place, "enter", refuse)
        assert not namespace.can_come_back()
    monkeypatch.setattr(netns, "_can_come_back", lambda: False)
    run(
        """
        import os

        def test_it(sockreuse_netns):
            assert sockreuse_netns.isolation == "netns"
            assert os.getppid() == pid

        def test_later():
            assert os.getpid() == pid

        pid = os.getpid()
        """
    ).assert_outcomes(passed=2)


@linux_only
@pytest.mark.usefixtures("root_namespaces")
def test_no_test_runs_in_the_namespace_of_another_that_cannot_come_back(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import os
        import pytest

        @pytest.fixture
        def user():
            yield
            os.seteuid(0)

        def test_it(user, sockreuse_netns):
            os.seteuid(64001)

        def test_later():
            pass
        """
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "-v", timeout=60)
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*test_it: the test cannot come back from its network namespace (EPERM), in which *"])
    result.stdout.no_fnmatch_line("*test_later PASSED*")


# --- a whole run ------------------------------------------------------------------------------------------------------

WHOLE = """
import os, socket, unittest
import pytest

def place():
    return os.readlink("/proc/thread-self/ns/net")

HOST, SEEN = place(), []

@pytest.fixture(scope="module")
def wide():
    assert place() == HOST

@pytest.fixture
def own():
    yield place()
    assert place() != HOST

@pytest.mark.parametrize("n", range(3))
def test_plain(n, wide, own):
    \"\"\"
    >>> place() == HOST
    True
    \"\"\"
    with socket.create_server(("0.0.0.0", 80)):
        assert own == place() != HOST

class TestCase(unittest.TestCase):
    def test_it(self):
        assert place() != HOST

@pytest.mark.sockreuse_netns(port_range=(40000, 40000))
def test_marked(held_port):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(held_port.address):
        assert server.getsockname()[1] == 40000
"""


@linux_only
@pytest.mark.parametrize("spread", [False, True])
def test_each_test_of_a_run_in_a_namespace(run: Run, mode: str, spread: bool) -> None:
    if spread and not importlib.util.find_spec("xdist"):
        pytest.skip("needs pytest-xdist")
    result = run(WHOLE, "--sockreuse-netns", "--doctest-modules", *["-n1"] * spread)
    result.assert_outcomes(passed=6)
    where = "as root" if mode == "netns" else "in a child process, by a user namespace"
    result.stdout.fnmatch_lines([f"sockreuse: each test function in a network namespace of its own, {where}"])


def test_a_run_that_can_have_no_namespace_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns, "how", lambda: "none")
    result = run("def test_it(): pass", "--sockreuse-netns")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --sockreuse-netns: this machine gives no network namespace (*"])
    run("def test_it(): pass", "--sockreuse-netns", "--collect-only").assert_outcomes()
