"""Held ports: which numbers are given, once among all processes, and what is refused."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from here import linux_only
from holding import line, opened, running

from pytest_sockreuse.live import port_blocks
from pytest_sockreuse.ports import PortError, Ports

# --- numbers ----------------------------------------------------------------------------------------------------------


def test_numbers_are_given_once(give: Ports) -> None:
    leases = give.hold_many(100)
    low, high = port_blocks.ephemeral()
    assert len({lease.port for lease in leases}) == 100
    if low > port_blocks._UNLIKELY + 200:
        assert not [lease.port for lease in leases if low <= lease.port <= high]


def test_consecutive_numbers(give: Ports) -> None:
    rows = [give.hold_many(count, consecutive=True) for count in (1, 2, 31)]
    for row in rows:
        assert [lease.port for lease in row] == [row[0].port + n for n in range(len(row))]


def test_what_cannot_be_given_is_let_go(give: Ports) -> None:
    if sys.platform != "linux":
        pytest.skip("descriptors are counted in /proc")
    import resource

    limits, before = resource.getrlimit(resource.RLIMIT_NOFILE), len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 200, limits[1]))
    try:
        with pytest.raises(PortError, match=r"^1000 ports need more descriptors .* see ulimit -n$"):
            give.hold_many(1000, "tcp")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_number_is_given_again_only_when_it_is_free() -> None:
    pool = port_blocks.HeldPorts()
    try:
        port = pool.take()
        pool.give_back(port)
        sock = port_blocks.bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))
        assert pool.take() != port
        sock.close()
        assert pool.take() == port
    finally:
        pool.close()


def test_a_port_in_use_is_not_free() -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as sock:
            sock.bind(("127.0.0.1", 0))
            assert not port_blocks.is_free(sock.getsockname()[1])


@pytest.mark.parametrize(
    ("system", "told", "low", "numbers_given"),
    [
        ("freebsd14", ["10000", "65535"], 10000, range(5120, 10000)),
        ("darwin", ["49152", "65535"], 49152, range(10016, 49152)),
        ("openbsd7", ["1024", "65535"], 1024, range(0)),
        ("netbsd10", ["", ""], 49152, range(10016, 49152)),  # sysctl fails
        ("sunos5", [], 49152, range(10016, 49152)),
    ],
)
def test_numbers_of_other_systems(
    monkeypatch: pytest.MonkeyPatch, system: str, told: list[str], low: int, numbers_given: range
) -> None:
    answers = iter(told)

    def sysctl(command: list[str], **rest: Any) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["sysctl", "-n"]
        return subprocess.CompletedProcess(command, 0, next(answers) + "\n")

    monkeypatch.setattr(subprocess, "run", sysctl)
    monkeypatch.setattr(sys, "platform", system)
    found = port_blocks.ephemeral()
    monkeypatch.undo()
    assert found[0] == low
    monkeypatch.setattr(port_blocks, "ephemeral", lambda: found)
    pool = port_blocks.HeldPorts()
    try:
        if numbers_given:
            assert pool.take() in numbers_given
        else:
            with pytest.raises(port_blocks.NoPort):
                pool.take()
    finally:
        pool.close()


HOLD = """
import sys
from pytest_sockreuse.ports import hold_many
print(*[lease.port for lease in hold_many(int(sys.argv[1]))], flush=True)
sys.stdin.read()
"""


def test_runs_at_once_are_given_different_numbers() -> None:
    runs = [running(HOLD, "60") for _ in range(3)]
    try:
        found = [int(port) for run in runs for port in line(run).split()]
        assert len(set(found)) == len(found) == 180
    finally:
        for run in runs:
            run.communicate(timeout=30)


@linux_only
def test_where_the_os_may_choose_every_port(namespaces: str) -> None:
    """The placeholders alone keep others out."""
    run = running(
        """
        import socket
        from pytest_sockreuse.live import namespace
        from pytest_sockreuse.ports import Ports, hold
        if namespace.isolation() == "userns":
            namespace.own_user_namespace()
        namespace.new()
        namespace.write("net.ipv4.ip_local_port_range", "1024 65535")
        with Ports() as ports:
            assert 1024 <= ports.hold().port
            row = [lease.port for lease in ports.hold_many(31, consecutive=True)]
            assert row == list(range(row[0], row[0] + 31))
        namespace.write("net.ipv4.ip_local_port_range", "40000 40040")
        with Ports() as ports:
            ports._numbers = lambda count: ((None, list(range(n, n + count))) for n in range(40000, 40041))
            held = {lease.port for lease in ports.hold_many(40)}
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(type=kind) as free, socket.socket(type=kind) as none:
                    free.bind(("127.0.0.1", 0))
                    assert free.getsockname()[1] == 40040
                    try:
                        none.bind(("127.0.0.1", 0))
                    except OSError:
                        print("kept out", flush=True)
        """
    )
    out, err = run.communicate(timeout=60)
    assert (out, err) == ("kept out\n" * 2, "")


# --- numbers of one's own ---------------------------------------------------------------------------------------------

Numbers = Callable[[int], list[int]]


def test_ports_have_the_numbers_that_are_asked_for(numbers: Numbers) -> None:
    among = numbers(8)
    with Ports(among=among, without=among[3:5]) as few:
        assert {*few.hold_many(5)} < {*among} - {*among[3:5]}
        with pytest.raises(PortError) as refused:
            few.hold()
    assert str(refused.value) == (
        f"1 free ports were not found among the 6 from {among[0]} to {among[-1]} that are to be used: give more "
        "numbers, or hold fewer (5 in a row at the most)"
    )


def test_a_row_of_ones_own_numbers_has_no_gap(give: Ports) -> None:
    row = [lease.release() for lease in give.hold_many(9, consecutive=True)]
    with Ports(among=row[:8], without=[row[4]]) as few:
        assert few.hold_many(3, consecutive=True) in ([*row[1:4]], [*row[5:8]])
        with pytest.raises(PortError, match=r"^4 free ports in a row were not found among the 7 from "):
            few.hold_many(4, consecutive=True)
    with Ports(among=row) as more:
        assert [*more.hold_many(7, consecutive=True)] == row[1:8]


def test_two_numbers_are_needed() -> None:
    with pytest.raises(PortError, match=r"^two numbers to choose from are needed, at least"):
        Ports(among=[5000, 5001], without=[5001])


def test_a_number_that_is_left_out_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither given nor bound: somebody else wants it."""
    touched = []
    bound = port_blocks.bound

    def noted(family: int, kind: int, address: tuple[str, int]) -> Any:
        touched.append(address[1])
        return bound(family, kind, address)

    monkeypatch.setattr(port_blocks, "bound", noted)
    without = [*range(10016, 65536, 3)]
    pool = port_blocks.HeldPorts(without=without)
    try:
        assert not {pool.take() for _ in range(40)}.intersection(without)
        assert not {*touched}.intersection(without)
    finally:
        pool.close()


def test_what_the_os_chooses_may_be_left_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with Ports(without=range(1, 65536)) as none, pytest.raises(PortError, match=r"^1 free ports were not found"):
        none.hold()


def test_a_number_that_a_service_has_is_given_if_asked_for(numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getservbyport", lambda _: "known")
    with Ports(among=numbers(8)) as few:
        few.hold_many(7)


def test_numbers_that_the_os_chooses_from_are_not_reserved() -> None:
    low, high = port_blocks.ephemeral()
    pool = port_blocks.HeldPorts(among=[low - 1, low, high, high + 1])
    assert [pool.is_reserved(port) for port in (low - 1, low, high, high + 1)] == [True, False, False, True]
    pool.close()


HOLD_OWN = """
import sys
from pytest_sockreuse.ports import Ports
with Ports(among=[*map(int, sys.argv[1:])]) as ports:
    print(*[lease.release() for lease in ports.hold_many(4, "tcp")], flush=True)
    sys.stdin.read()
"""


def test_runs_at_once_with_the_same_numbers_are_given_different_ones(numbers: Numbers) -> None:
    """Released ones, too."""
    among = [str(port) for port in numbers(40)]
    runs = [running(HOLD_OWN, *among) for _ in range(5)]
    try:
        found = [int(port) for run in runs for port in line(run).split()]
        assert len(set(found)) == len(found) == 20
    finally:
        for run in runs:
            run.communicate(timeout=30)


# --- processes --------------------------------------------------------------------------------------------------------


def _wait(event: Any, done: Any) -> None:
    event.set()
    done.wait(30)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_what_is_released_after_a_fork_is_free_at_once(give: Ports) -> None:
    if sys.platform == "win32":
        pytest.skip("needs fork")
    children = []
    for _ in range(20):
        lease = give.hold("tcp")
        pid = os.fork()
        if not pid:
            os._exit(0)
        children.append(pid)
        port_blocks.bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", lease.release())).close()
    for pid in children:
        os.waitpid(pid, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_holds_nothing(give: Ports) -> None:
    lease = give.hold()
    context: Any = multiprocessing.get_context("fork")
    started, done = context.Event(), context.Event()
    child = context.Process(target=_wait, args=(started, done))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child.start()
    try:
        assert started.wait(30)
        lease.release()
        opened(lease).close()
    finally:
        done.set()
        child.join(30)


def test_a_killed_process_lets_go(give: Ports) -> None:
    run = running(HOLD, "1")
    port = int(line(run))
    assert not port_blocks.is_free(port)
    run.kill()
    run.communicate(timeout=30)
    assert port_blocks.is_free(port)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "protocols", "consecutive", "told"),
    [
        (1, ["sctp"], False, "no protocol 'sctp': there are tcp and udp"),
        (0, [], False, "0 ports cannot be held: 1 to 10000 can"),
        (32, [], True, "32 ports cannot be held: 1 to 31 consecutive ones can"),
    ],
)
def test_what_cannot_be_held(give: Ports, count: int, protocols: list[Any], consecutive: bool, told: str) -> None:
    with pytest.raises(PortError) as refused:
        give.hold_many(count, *protocols, consecutive=consecutive)
    assert str(refused.value) == told


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_too_many_ports_for_the_descriptors() -> None:
    run = running(
        """
        import os, resource
        from pytest_sockreuse.ports import PortError, Ports
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        before = len(os.listdir("/dev/fd"))
        with Ports() as ports:
            for count in (40, 20):
                try:
                    ports.hold_many(count, consecutive=count == 20)
                except PortError as error:
                    print(error)
            ports.hold()
        assert len(os.listdir("/dev/fd")) == before
        """
    )
    out, err = run.communicate(timeout=60)
    assert err == ""
    assert [text.split(":")[0] for text in out.splitlines()] == [
        f"{count} ports need more descriptors than this process may open" for count in (40, 20)
    ]


def test_no_port_is_left(monkeypatch: pytest.MonkeyPatch, give: Ports) -> None:
    def refuse(*arguments: Any) -> Any:
        raise OSError(98, "in use")

    monkeypatch.setattr(give.placeholders, "make", refuse)
    with pytest.raises(PortError, match="1 free ports were not found on this host: widen"):
        give.hold()
