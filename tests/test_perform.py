"""Scenarios performed on this kernel: what each step does, and what it does where it cannot."""

from __future__ import annotations

import re

import pytest
from here import LINUX, linux_only
from performing import CONNECTED, in_namespaces, parsed, shown

from pytest_sockreuse import platforms
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.options import options

SINCE_6_3 = pytest.mark.skipif(LINUX and platforms.current().version < (6, 3), reason="an option of Linux 6.3")
ABSENT = {"EPROTONOSUPPORT", "ESOCKTNOSUPPORT"}

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
    "recv waits for nothing where reading was shut down": (
        "A = udp4()\nA.connect(127.0.0.1:P)\nA.shutdown(RD)\nA.recv()\nB = udp4()\nB.sendto(127.0.0.1:A.port)\n"
        "A.recv()\nA.recv()",
        {},
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
    if seen.not_run and (isolation == "none" or (isolation == "userns" and " as " in text)):
        pytest.skip(seen.not_run)  # whoever is no root has no other user to be
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
    text = """
        L = mptcp4()
        L.bind(127.0.0.1:P)
        L.listen()
        C = mptcp4()
        C.connect(127.0.0.1:P)
        S = L.accept()
        C.send()
        S.recv()
    """
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
@pytest.mark.parametrize("option", options())
def test_an_option_that_can_be_read_can_be_set_to_what_was_read(runner: Runner, option: str) -> None:
    """The form that `get` records is the form that `set` takes."""
    steps = runner.run(parsed(f"A = tcp6()\nA.get({option})")).steps
    got = steps[1]
    if got.outcome != "ok":
        assert re.fullmatch(r"E[A-Z]+", got.outcome)
        return
    assert got.value is not None
    if option in ("IP_MULTICAST_IF", "IPV6_MULTICAST_IF"):  # set by a device's name, read as an address or a number
        assert got.value in ("0.0.0.0", "0")
    elif got.value:  # "" is no device
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
        ("sysctl net.core.rmem_max = 1", "no setting that a network namespace isolates"),
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
