"""Scenarios performed on this kernel: what each verb does, what is isolated, and what survives a death."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_sockreuse import platforms
from pytest_sockreuse.live import errnos
from pytest_sockreuse.live.runner import Broken, Runner
from pytest_sockreuse.live.sandbox import touches_the_host
from pytest_sockreuse.parser import parse
from pytest_sockreuse.scenario import OPTIONS, Observation, Scenario

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
LINUX = sys.platform == "linux" and platforms.current().stack == "linux"
linux_only = pytest.mark.skipif(not LINUX, reason="what is expected here is Linux's")
in_namespaces = pytest.mark.usefixtures("namespaces")

SINCE_6_3 = pytest.mark.skipif(LINUX and platforms.current().version < (6, 3), reason="an option of Linux 6.3")
ABSENT = {"EPROTONOSUPPORT", "ESOCKTNOSUPPORT"}


def parsed(text: str) -> Scenario:
    return parse(textwrap.dedent(text))


def shown(observation: Observation) -> dict[str, str]:
    """The steps that were not just ok, and the values, with symbols for ports."""
    assert observation.not_run is None, observation.not_run
    names = {str(port): symbol for symbol, port in observation.ports.items()}
    found = {}
    for step in observation.steps:
        if step.outcome != "ok":
            found[step.step] = step.outcome
        elif step.value is not None:
            found[step.step] = re.sub(r"(?<=:)\d+$", lambda port: names.get(port[0], port[0]), step.value)
    return found


CONNECTED = """
L = tcp4(SO_REUSEADDR)
L.bind(127.0.0.1:P)
L.listen()
C = tcp4(SO_REUSEADDR)
C.bind(127.0.0.1:Q)
C.connect(127.0.0.1:P)
S = L.accept()
"""

PERFORMED: dict[str, tuple[str, dict[str, str]]] = {
    "a connection from bind to close": (
        CONNECTED + "C.name()\nS.name()\nL.name()\nC.send()\nS.recv()\nS.send()\nC.recv()\nC.shutdown(WR)\nS.eof()\n"
        "S.shutdown(RDWR)\nC.eof()\nC.shutdown(RD)?\nC.close()\nS.close()\nL.close()",
        {"C.name": "127.0.0.1:Q", "S.name": "127.0.0.1:P", "L.name": "127.0.0.1:P", "C.shutdown#2": "ENOTCONN"},
    ),
    "a connection over IPv6": (
        "L = tcp6()\nL.bind([::1]:P)\nL.listen(1)\nC = tcp6()\nC.connect([::1]:L.port)\nS = L.accept()\nS.name()",
        {"S.name": "[::1]:P"},
    ),
    "datagrams": (
        "A = udp4()\nA.bind(127.0.0.1:P)\nB = udp4()\nB.bind(127.0.0.1:Q)\nB.sendto(127.0.0.1:P)\nA.recv()\n"
        "A.connect(127.0.0.1:Q)\nA.send()\nB.recv()\nA.disconnect()\nA.send()",
        {"A.send#2": "EDESTADDRREQ"},
    ),
    "datagrams over IPv6": (
        "A = udp6()\nA.bind([::1]:P)\nB = udp6()\nB.sendto([::1]:P)\nA.recv()\nA.name()", {"A.name": "[::1]:P"},
    ),
    "accept has nothing to return": ("L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nS = L.accept()\nS.name()\nL.name()",
        {"S.accept": "timeout", "S.name": "unreached", "L.name": "127.0.0.1:P"},
    ),
    "the listener goes on after an accept that failed": (
        "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nS = L.accept()\nC = tcp4()\nC.connect(127.0.0.1:P)\n"
        "T = L.accept()",
        {"S.accept": "timeout"},
    ),
    "a backlog below zero is passed on": (
        "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen(-1)\nC[1-2] = tcp4()\nC[1-2].connect(127.0.0.1:P)", {},
    ),
    "accept on what does not listen": ("L = tcp4()\nL.bind(127.0.0.1:P)\nS = L.accept()", {"S.accept": "EINVAL"}),
    "recv has nothing to return": (
        "A = udp4()\nA.bind(127.0.0.1:P)\nA.recv()\nA.send()\nA.close()", {"A.recv": "timeout", "A.send": "unreached"},
    ),
    "recv on what is not connected": ("A = tcp4()\nA.recv()", {"A.recv": "ENOTCONN"}),
    "a failed step ends its socket, not the others": (
        "A = tcp4()\nA.bind(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\nB.listen()\nB.connect(127.0.0.1:Q)\n"
        "A.listen()\n"
        "B.name()\nB.get(SO_REUSEADDR)\nB.set(SO_REUSEADDR)\nB.close()",
        {
            "B.bind": "EADDRINUSE", "B.listen": "unreached", "B.connect": "unreached", "B.name": "0.0.0.0:0",
            "B.get": "0",
        },
    ),
    "a failure that the socket survives": (
        "A = tcp4()\nA.bind(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:P)?\nB.bind(127.0.0.1:Q)\nB.name()",
        {"B.bind": "EADDRINUSE", "B.name": "127.0.0.1:Q"},
    ),
    "nothing listens": ("A = tcp4()\nA.connect(127.0.0.1:P)", {"A.connect": "ECONNREFUSED"}),
    "a reset": (
        CONNECTED + "C.set(SO_LINGER=0)\nC.close()\nS.recv()", {"S.recv": "ECONNRESET"},
    ),
    "the options after one that fails are skipped": (
        "A = tcp4(SO_BINDTODEVICE=absent0, SO_REUSEADDR)\nA.get(SO_REUSEADDR)\nA.bind(127.0.0.1:P)",
        {"A.socket": "ENODEV", "A.get": "0", "A.bind": "unreached"},
    ),
    "a creation that is survived": (
        "A = tcp4(SO_BINDTODEVICE=absent0)?\nA.bind(127.0.0.1:P)", {"A.socket": "ENODEV"},
    ),
    "an option of another OS": ("A = tcp4(SO_EXCLUSIVEADDRUSE)", {"A.socket": "ENOPROTOOPT"}),
    "the port of a socket that was closed": (
        "A = tcp4()\nA.bind(127.0.0.1:P)\nA.close()\nB = tcp4()\nB.bind(127.0.0.1:A.port)\nB.name()",
        {"B.name": "127.0.0.1:P"},
    ),
    "the port of a socket that was never made": (
        "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nS = L.accept()\nB = tcp4()\nB.bind(127.0.0.1:S.port)\nB.name()",
        {"S.accept": "timeout", "B.bind": "unreached", "B.name": "0.0.0.0:0"},
    ),
    "the port of a socket that has none": (
        "A = tcp4()\nB = tcp4()\nB.connect(127.0.0.1:A.port)", {"B.connect": "unreached"},
    ),
    "a mapped address": (
        "A = tcp6()\nA.bind([::ffff:127.0.0.1]:P)\nA.name()\nB = tcp4()\nB.bind(127.0.0.1:P)",
        {"A.name": "[::ffff:127.0.0.1]:P", "B.bind": "EADDRINUSE"},
    ),
    "an address of the other family": (
        "A = tcp4()\nA.bind([::1]:P)?\nA.connect([::1]:P)?\nB = tcp6()\nB.bind(127.0.0.1:P)?\nB.name()\nA.name()",
        {
            "A.bind": "EAFNOSUPPORT", "A.connect": "EAFNOSUPPORT", "B.bind": "EINVAL", "B.name": "[::]:0",
            "A.name": "0.0.0.0:0",
        },
    ),
    "an IPv6 datagram socket sends to an IPv4 address": (
        "A = udp4()\nA.bind(127.0.0.1:P)\nB = udp6()\nB.sendto(127.0.0.1:P)\nA.recv()\nB.connect(127.0.0.1:P)\n"
        "B.send()\nA.recv()",
        {},
    ),
    "disconnect and connect again": (
        CONNECTED + "C.disconnect()\nC.name()\nC.connect(127.0.0.1:P)\nT = L.accept()", {"C.name": "127.0.0.1:Q"},
    ),
    "flags": (
        "A = tcp4()\nA.get(SO_REUSEADDR)\nA.set(SO_REUSEADDR)\nA.get(SO_REUSEADDR)\nA.set(SO_REUSEADDR=0)\n"
        "A.get(SO_REUSEADDR)\n"
        "A.set(SO_REUSEPORT=7)\nA.get(SO_REUSEPORT)",
        {"A.get": "0", "A.get#2": "1", "A.get#3": "0", "A.get#4": "1"},
    ),
    "linger": (
        "A = tcp4()\nA.get(SO_LINGER)\nA.set(SO_LINGER=0)\nA.get(SO_LINGER)\nA.set(SO_LINGER=5)\nA.get(SO_LINGER)\n"
        "A.set(SO_LINGER=off)\nA.get(SO_LINGER)",
        {"A.get": "off", "A.get#2": "0", "A.get#3": "5", "A.get#4": "off"},
    ),
    "numbers": ("A = tcp4(TCP_LINGER2=7)\nA.get(TCP_LINGER2)", {"A.get": "7"}),
    "the name decides the level": (
        "A = tcp6(IP_BIND_ADDRESS_NO_PORT, IPV6_V6ONLY)\nA.get(IP_BIND_ADDRESS_NO_PORT)\nA.get(IPV6_V6ONLY)",
        {"A.get": "1", "A.get#2": "1"},
    ),
    "raw values": (
        "A = tcp4(SO_REUSEADDR=raw:01000000)\nA.get(SO_REUSEADDR)\nA.set(SO_LINGER=raw:0100000003000000)\n"
        "A.get(SO_LINGER)\n"
        "A.set(SO_REUSEADDR=raw:)?\nA.set(SO_REUSEADDR=raw:01)?",
        {"A.get": "1", "A.get#2": "3", "A.set#2": "EINVAL", "A.set#3": "EINVAL"},
    ),
    "low ports are root's": (
        "A = tcp4()\nA.bind(127.0.0.1:80)\nB = tcp4() as root\nB.bind(127.0.0.1:81)", {},
    ),
    "indices": (
        "S[1-3] = tcp4()\nS[1-3].bind(127.0.0.[1-3]:P)\nT[1-2] = tcp4()\nT[1-2].bind(127.0.0.[3-4]:P)",
        {"T1.bind": "EADDRINUSE"},
    ),
    "a range of ephemeral ports": (
        "ephemeral 40000-40000\nA = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\nB = tcp4()\nB.bind(127.0.0.1:0)",
        {"A.name": "127.0.0.1:40000", "B.bind": "EADDRINUSE"},
    ),
    "an address more": ("address 10.9.8.7\nA = tcp4()\nA.bind(10.9.8.7:P)\nA.name()", {"A.name": "10.9.8.7:P"}),
    "an IPv6 address more": ("address fd00::7\nA = tcp6()\nA.bind([fd00::7]:P)\nA.name()", {"A.name": "[fd00::7]:P"}),
    "an address that is not local": ("A = tcp4()\nA.bind(10.9.8.7:P)", {"A.bind": "EADDRNOTAVAIL"}),
    "a setting": ("sysctl net.ipv4.ip_nonlocal_bind = 1\nA = tcp4()\nA.bind(10.9.8.7:P)", {}),
    "the loopback device": ("A = tcp4(SO_BINDTODEVICE=lo)\nA.get(SO_BINDTODEVICE)", {"A.get": "lo"}),
    "wild addresses": ("A = tcp4()\nA.bind(0.0.0.0:P)\nB = tcp6()\nB.bind([::]:P)", {"B.bind": "EADDRINUSE"}),
    "a wait": ("A = tcp4()\nwait 0.01\nA.bind(127.0.0.1:P)", {}),
    "nothing": ("", {}),
    "a dead socket in TIME_WAIT keeps its port": (
        CONNECTED + "C.close()\nS.eof()\nS.close()\nD = tcp4()\nD.bind(127.0.0.1:Q)\nE = tcp4(SO_REUSEADDR)\n"
        "E.bind(127.0.0.1:Q)\n"
        "E.listen()",
        {"D.bind": "EADDRINUSE"},
    ),
    "where there is no TIME_WAIT the port is free": (
        "sysctl net.ipv4.tcp_max_tw_buckets = 0\n" + CONNECTED + "C.close()\nS.eof()\nS.close()\nD = tcp4()\n"
        "D.bind(127.0.0.1:Q)",
        {},
    ),
    "a dead socket in FIN_WAIT2 keeps its port": (
        CONNECTED + "C.close()\nS.eof()\nD = tcp4()\nD.bind(127.0.0.1:Q)", {"D.bind": "EADDRINUSE"},
    ),
    "a reset leaves nothing": (
        CONNECTED + "C.set(SO_LINGER=0)\nC.close()\nD = tcp4()\nD.bind(127.0.0.1:Q)", {},
    ),
}  # fmt: skip


@linux_only
@pytest.mark.parametrize(("text", "expected"), PERFORMED.values(), ids=PERFORMED)
def test_performed(runner: Runner, isolation: str, text: str, expected: dict[str, str]) -> None:
    seen = runner.run(parsed(text))
    if isolation == "none" and seen.not_run:
        pytest.skip(seen.not_run)
    assert shown(seen) == expected


@linux_only
@in_namespaces
@pytest.mark.parametrize("kind", ["mptcp4", "mptcp6", "sctp4", "sctp6", "udplite4", "udplite6"])
def test_further_kinds_or_their_errno(runner: Runner, kind: str) -> None:
    host = "127.0.0.1" if kind.endswith("4") else "[::1]"
    found = shown(runner.run(parsed(f"A = {kind}()\nA.bind({host}:P)\nB = {kind}()\nB.bind({host}:P)")))
    if found["B.bind"] == "unreached":
        assert {found["A.socket"], found["B.socket"]} <= ABSENT | {"ENOPROTOOPT"}
    else:
        assert found == {"B.bind": "EADDRINUSE"}


@linux_only
@in_namespaces
def test_a_multipath_connection(runner: Runner) -> None:
    text = "L = mptcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nC = mptcp4()\nC.connect(127.0.0.1:P)\n"
    "S = L.accept()\nC.send()\nS.recv()"
    found = shown(runner.run(parsed(text)))
    assert not found or found["L.socket"] in ABSENT | {"ENOPROTOOPT"}


@linux_only
@in_namespaces
@SINCE_6_3
def test_local_port_range(runner: Runner) -> None:
    text = """
        A = tcp4(IP_LOCAL_PORT_RANGE=40000-40007)
        A.get(IP_LOCAL_PORT_RANGE)
        A.set(IP_LOCAL_PORT_RANGE=0-40001)
        A.get(IP_LOCAL_PORT_RANGE)
        A.set(IP_LOCAL_PORT_RANGE=raw:409c419c)
        A.get(IP_LOCAL_PORT_RANGE)
    """
    assert shown(runner.run(parsed(text))) == {"A.get": "40000-40007", "A.get#2": "0-40001", "A.get#3": "40000-40001"}


@linux_only
@in_namespaces
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_can_be_read_can_be_set_to_what_was_read(runner: Runner, option: str) -> None:
    """The form that `get` records is the form that `set` takes."""
    steps = runner.run(parsed(f"A = tcp6()\nA.get({option})")).steps
    got = steps[1]
    if got.outcome != "ok":
        assert re.fullmatch(r"E[A-Z]+", got.outcome)
        return
    assert got.value is not None
    if got.value:  # "" is no device
        again = shown(runner.run(parsed(f"A = tcp6()\nA.set({option}={got.value})?")))
        assert set(again.values()) <= {"EINVAL", "ENOPROTOOPT", "EPERM"}


@linux_only
@in_namespaces
def test_a_device_more(runner: Runner) -> None:
    seen = runner.run(parsed("device d1\nA = tcp4(SO_BINDTODEVICE=d1)\nA.get(SO_BINDTODEVICE)"))
    if seen.not_run:
        assert "'device d1' is refused (E" in seen.not_run
        pytest.skip(seen.not_run)
    assert shown(seen) == {"A.get": "d1"}


@linux_only
@pytest.mark.usefixtures("root_namespaces")
def test_other_users(runner: Runner) -> None:
    text = """
        A = tcp4(SO_REUSEPORT) as user1
        A.bind(127.0.0.1:80)?
        A.bind(127.0.0.1:P)
        B = tcp4(SO_REUSEPORT) as user2
        B.bind(127.0.0.1:P)
        C = tcp4(SO_REUSEPORT) as user1
        C.bind(127.0.0.1:P)
        D = tcp4() as root
        D.bind(127.0.0.1:80)
    """
    assert shown(runner.run(parsed(text))) == {"A.bind": "EACCES", "B.bind": "EADDRINUSE"}


@linux_only
def test_other_users_need_root(runner: Runner, isolation: str) -> None:
    if isolation != "userns":
        pytest.skip("what an unprivileged user is told")
    for user in ("user1", "root"):  # that of a user namespace is not uid 0 to the kernel
        assert "needs other users (run as root" in (runner.run(parsed(f"A = tcp4() as {user}")).not_run or "")
    assert shown(runner.run(parsed("A = tcp4()\nA.bind(127.0.0.1:80)"))) == {}


@linux_only
@in_namespaces
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("sysctl kernel.hostname = other", "no setting that a network namespace isolates"),
        ("sysctl net.core.somaxconn = 1", "no setting that a network namespace isolates"),
        ("sysctl vm.swappiness = 1", "no setting that a network namespace isolates"),
        ("sysctl net.ipv4.no_such_setting = 1", "no setting net.ipv4.no_such_setting"),
        ("sysctl net.ipv4.ip_local_port_range = 9 8 7", "is refused (EINVAL)"),
        ("sysctl net.ipv4.ip_local_port_range = high", "is refused (EINVAL)"),
        ("ephemeral 1024-65535", "no port outside the ephemeral range 1024-65535 is left for P"),
    ],
)
def test_an_environment_that_cannot_be(runner: Runner, line: str, why: str) -> None:
    seen = runner.run(parsed(f"{line}\nA = tcp4()\nA.bind(127.0.0.1:P)"))
    assert why in (seen.not_run or "")
    assert seen.steps == ()
    assert shown(runner.run(parsed("A = tcp4()\nA.bind(127.0.0.1:P)"))) == {}


@linux_only
@in_namespaces
def test_ports_of_symbols(runner: Runner) -> None:
    text = "ephemeral 10000-30000\n" + "".join(f"A{n} = tcp4()\nA{n}.bind(127.0.0.1:P{n})\n" for n in range(50))
    seen = runner.run(parsed(text + "Z = tcp4()\nZ.bind(127.0.0.1:30001)"))
    assert shown(seen) == {}
    assert len(set(seen.ports.values())) == 50
    assert all(30001 < port <= 65535 or 1024 <= port < 10000 for port in seen.ports.values())


# --- time -------------------------------------------------------------------------------------------------------------

HANGS = """
L = tcp4()
L.bind(127.0.0.1:P)
L.listen(0)
C[1-3] = tcp4()
C[1-3].connect(127.0.0.1:P)
C3.close()
D = tcp4()
"""


@linux_only
@in_namespaces
def test_a_call_that_hangs_costs_the_scenarios_time_and_no_more() -> None:
    with Runner(timeout=0.3) as runner:
        began = time.monotonic()
        seen = runner.run(parsed(HANGS))
        assert time.monotonic() - began < 5
        found = shown(seen)
        hung = [label for label, outcome in found.items() if outcome == "timeout"]
        assert len(hung) == 1
        assert hung[0] in ("C2.connect", "C3.connect")
        labels = [step.step for step in seen.steps]
        assert labels == [step.label for step in parsed(HANGS).steps]
        after = labels[labels.index(hung[0]) + 1 :]
        assert {found[label] for label in after} == {"unreached"}
        assert shown(runner.run(parsed("A = tcp4()\nA.bind(127.0.0.1:P)"))) == {}


@linux_only
@in_namespaces
def test_waits_are_beside_the_scenarios_time() -> None:
    with Runner(timeout=0.2) as runner:
        assert shown(runner.run(parsed("A = tcp4()\nwait 0.3\nA.bind(127.0.0.1:P)"))) == {}


def states(pid: int, port: int) -> set[str]:
    """The TCP states of the sockets on a local port, in the namespace of a process; as in include/net/tcp_states.h."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {row[3] for row in rows if int(row[1].rpartition(":")[2], 16) == port}


FIN_WAIT2, TIME_WAIT = "05", "06"


@linux_only
@in_namespaces
@pytest.mark.parametrize(
    ("after", "state"), [("S.eof()", FIN_WAIT2), ("S.eof()\nS.close()", TIME_WAIT), ("S.close()", TIME_WAIT)]
)
def test_dead_states_are_there_when_the_step_returns(after: str, state: str) -> None:
    text = CONNECTED.replace(":Q", ":9999") + f"C.close()\n{after}\nwait 30"
    with Runner() as runner:
        runner.ask(parsed(text))
        assert runner._worker is not None
        until = time.monotonic() + 20
        seen: set[str] = set()
        while state not in seen and time.monotonic() < until:
            with contextlib.suppress(OSError):
                seen = states(runner._worker.pid, 9999)
            time.sleep(0.001)
        assert seen == {state}


# --- isolation --------------------------------------------------------------------------------------------------------


def host_settings() -> dict[str, str]:
    found = {}
    for path in sorted(Path("/proc/sys/net").glob("ipv[46]/*")):
        with contextlib.suppress(OSError):
            found[path.name] = path.read_text()
    # what the kernel itself changes
    return {name: text for name, text in found.items() if "mem" not in name and "tfo" not in name}


CHANGES = """
sysctl net.ipv4.ip_nonlocal_bind = 1
sysctl net.ipv4.tcp_fin_timeout = 7
ephemeral 40000-40001
address 10.9.8.7
A = tcp4()
A.bind(0.0.0.0:P)
A.listen()
B = udp6()
B.bind([::]:0)
"""


@linux_only
@in_namespaces
def test_nothing_on_the_host_changes() -> None:
    before = host_settings()
    sockets = Path("/proc/self/ns/net").readlink()
    with Runner() as runner:
        assert shown(runner.run(parsed(CHANGES))) == {}
        assert host_settings() == before
        assert Path("/proc/self/ns/net").readlink() == sockets
        assert runner._worker is not None
        assert Path(f"/proc/{runner._worker.pid}/ns/net").readlink() != sockets


@linux_only
@in_namespaces
def test_each_scenario_begins_anew(runner: Runner) -> None:
    for _ in range(3):
        seen = runner.run(parsed("A = tcp4()\nA.bind(0.0.0.0:7777)\nA.listen()\nB = tcp4()\nB.bind(127.0.0.1:0)"))
        assert shown(seen) == {}
        assert shown(runner.run(parsed(CHANGES))) == {}
        found = shown(runner.run(parsed("A = tcp4()\nA.bind(10.9.8.7:P)")))
        assert found == {"A.bind": "EADDRNOTAVAIL"}


@linux_only
@in_namespaces
def test_no_descriptor_process_or_namespace_is_left() -> None:
    def descriptors(pid: int) -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    runner = Runner()
    with runner:
        texts = [CONNECTED + "C.close()\nS.close()", CHANGES, "A = tcp4()\nA.bind(10.1.1.1:P)", "A = udp4()"]
        for text in texts:
            runner.run(parsed(text))
        assert runner._worker is not None
        pid = runner._worker.pid
        before = descriptors(pid)
        for text in texts:
            runner.run(parsed(text))
        assert descriptors(pid) == before
        namespace = Path(f"/proc/{pid}/ns/net").readlink()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert runner._worker is None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            assert (process / "ns" / "net").readlink() != namespace


@linux_only
@in_namespaces
def test_a_killed_worker_costs_one_scenario() -> None:
    with Runner() as runner:
        runner.ask(parsed("A = tcp4()\nwait 60"))
        runner.ask(parsed("B = tcp4()\nB.name()"))
        runner.ask(parsed("C = tcp4()\nC.name()"))
        assert runner._worker is not None
        os.kill(runner._worker.pid, KILL)
        with pytest.raises(Broken, match=r"ended with status -9 in the middle of the scenario"):
            runner.answer()
        assert shown(runner.answer()) == {"B.name": "0.0.0.0:0"}
        assert shown(runner.answer()) == {"C.name": "0.0.0.0:0"}
        os.kill(runner._worker.pid, KILL)  # while it has nothing to do
        with contextlib.suppress(Broken):
            runner.run(parsed("D = tcp4()"))
        assert shown(runner.run(parsed("D = tcp4()\nD.name()"))) == {"D.name": "0.0.0.0:0"}


def test_what_goes_wrong_in_the_worker_is_told_and_the_next_runs(runner: Runner) -> None:
    good = parsed("A = tcp4()")
    runner.ask(Scenario(("no scenario",), (), ()))
    runner.ask(good)
    with pytest.raises(Broken, match="ScenarioError"):
        runner.answer()
    assert shown(runner.answer()) == {}


def test_closing_twice_and_using_it_again() -> None:
    runner = Runner()
    runner.close()
    assert shown(runner.run(parsed("A = tcp4()"))) == {}
    runner.close()
    runner.close()
    runner.ask(parsed("A = tcp4()\nwait 60"))
    runner.close()  # in the middle


PARENT = """
import sys, time
sys.path[:0] = sys.argv[1:]
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.parser import parse
runner = Runner()
runner.run(parse("A = tcp4()"))
runner.ask(parse({text!r}))
print(runner._worker.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def parent() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process that has a runner, and has asked it a scenario."""
    started = []

    def start(text: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PARENT.format(text=text), *sys.path]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@linux_only
@pytest.mark.parametrize("text", ["A = tcp4()", "A = tcp4()\nwait 0.3"], ids=["idle", "busy"])
def test_a_worker_ends_with_its_parent(parent: Callable[[str], subprocess.Popen[bytes]], text: str) -> None:
    process = parent(text)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    os.kill(worker, 0)
    process.kill()
    _, errors = process.communicate(timeout=20)  # at the end of its standard error the worker, who shares it, has ended
    assert b"Traceback" not in errors


# --- errno names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (errno.EADDRINUSE, "EADDRINUSE"),
        (errno.EAGAIN, "EAGAIN"),
        (errno.EWOULDBLOCK, "EAGAIN"),
        (errno.EOPNOTSUPP, "EOPNOTSUPP"),
        (errno.EDEADLK, "EDEADLK"),
        (99999, "E99999"),
    ],
)
def test_errno_names(number: int, name: str) -> None:
    assert errnos.name_of(OSError(number, "why")) == name


def test_every_number_has_one_name_of_posix_form() -> None:
    for number in errno.errorcode:
        name = errnos.name_of(OSError(number, "why"))
        assert re.fullmatch(r"E[A-Z0-9]+", name)
        assert not name.startswith("EWSA")


class WindowsError_(OSError):
    """As Windows raises it: `errno` is translated for some, `winerror` never."""

    winerror: Any = None


@pytest.mark.parametrize(
    ("winerror", "translated", "name"),
    [
        (10048, 10048, "EADDRINUSE"),
        (10013, errno.EACCES, "EACCES"),
        (10035, errno.EAGAIN, "EAGAIN"),
        (10049, 10049, "EADDRNOTAVAIL"),
        (None, errno.EINVAL, "EINVAL"),
    ],
)
def test_winsocks_numbers_never_leak(
    monkeypatch: pytest.MonkeyPatch, winerror: int | None, translated: int, name: str
) -> None:
    for wsa, number in (("EADDRINUSE", 10048), ("EACCES", 10013), ("EWOULDBLOCK", 10035), ("EADDRNOTAVAIL", 10049)):
        monkeypatch.setattr(errno, f"WSA{wsa}", number, raising=False)
    monkeypatch.setattr(errno, "EADDRINUSE", 10048)  # as on Windows
    monkeypatch.setattr(errnos, "_NAMES", errnos._table())
    error = WindowsError_(translated, "why")
    error.winerror = winerror
    assert errnos.name_of(error) == name


# --- without namespaces -----------------------------------------------------------------------------------------------

FORBIDDEN = """
import json, sys
texts = json.loads(sys.argv[1])
sys.path[:0] = sys.argv[2:]
from pytest_sockreuse.live import namespace
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.parser import parse
try:
    namespace.own_user_namespace()
    for kind in ("net", "user"):
        with open(f"/proc/sys/user/max_{kind}_namespaces", "w") as file:
            file.write("0")
except OSError:
    pass  # perhaps they are forbidden already
with Runner() as one, Runner() as other:
    if one.isolation() != "none":
        sys.exit("cannot forbid namespaces here")
    for runner in (one, other):
        for text in texts:
            runner.ask(parse(text))
    print(json.dumps([[[(o := r.answer()).to_json(), o.ports] for _ in texts] for r in (one, other)]))
"""


def forbidden(*texts: str) -> list[list[Any]]:
    """What two runners at once make of the texts where no namespace may be made: for each its objects and ports."""
    command = [sys.executable, "-c", FORBIDDEN, json.dumps(texts), *sys.path]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "cannot forbid" in run.stderr:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stderr
    found: list[list[Any]] = json.loads(run.stdout)
    return found


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["outcome"] for step in answer["steps"] if step["outcome"] != "ok"}


@linux_only
def test_without_namespaces_what_can_run_does() -> None:
    taken = "A = tcp4()\nA.bind(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\nC = udp4()\nC.bind(127.0.0.1:Q)"
    one, other = forbidden(*[taken] * 20, CONNECTED + "C.close()\nS.close()")
    ports: list[set[int]] = []
    for runner in (one, other):
        for answer, _ in runner[:20]:
            assert outcomes(answer) == {"B.bind": "EADDRINUSE"}
        assert outcomes(runner[20][0]) == {}
        ports.append({port for _, found in runner for port in found.values()})
        assert len(ports[-1]) == 42
    assert not ports[0] & ports[1]


@linux_only
def test_without_namespaces_the_rest_says_why() -> None:
    texts = [
        "A = tcp4()\nA.bind(0.0.0.0:P)",
        "A = tcp6()\nA.bind([::]:P)",
        "A = tcp4()\nA.bind(10.0.0.1:P)",
        "A = tcp4()\nA.bind(127.0.0.1:80)",
        "A = tcp4()\nA.listen()",
        "A = udp4()\nA.sendto(127.0.0.1:P)",
        "A = tcp4() as user1",
        "sysctl net.ipv4.tcp_fin_timeout = 7\nA = tcp4()",
        "ephemeral 40000-40001\nA = tcp4()",
        "device d1\nA = tcp4()",
        "address 10.9.8.7\nA = tcp4()",
    ]
    before = host_settings()
    for answer, _ in forbidden(*texts)[0]:
        assert answer["not_run"].startswith("needs a network namespace (run as root, or allow")
    assert host_settings() == before


@pytest.mark.parametrize(
    ("text", "beyond"),
    [
        ("A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()", False),
        ("A = tcp4()\nA.listen()", True),
        ("A = tcp4()\nA.bind(127.0.0.1:P)?\nA.listen()", True),
        ("A = tcp4()\nA.connect(127.0.0.1:P)?\nA.listen()", True),
        ("A = udp4()\nA.connect(127.0.0.1:P)\nA.disconnect()\nA.sendto(127.0.0.1:P)", True),
        ("A = udp4()\nA.connect(127.0.0.1:P)\nA.sendto(127.0.0.1:P)", False),
    ],
)
def test_what_the_os_would_bind_to_a_wildcard_is_left_off_the_host(text: str, beyond: bool) -> None:
    assert touches_the_host(parsed(text)) is beyond


def test_an_answer_that_came_too_late_is_not_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with Runner() as worker:
        monkeypatch.setattr("pytest_sockreuse.live.runner._START", 0.0)
        with pytest.raises(Broken, match="was killed before its first scenario"):
            worker.isolation()
        assert worker.run(parsed("A = tcp4()")).steps[0].outcome == "ok"
