"""What names a device: scoped addresses and memberships of multicast groups, recorded, traced, and performed again."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from here import linux_only
from recording import text, trace

from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current, named
from pytest_sockreuse.recorder.compare import Comparer, Comparison
from pytest_sockreuse.recorder.reconstruct import reconstruct

pytestmark = linux_only
ADD, DROP, BY, LOOP, ALL = 35, 36, 32, 34, 49
JOIN, LEAVE, BY6 = 20, 21, 17
BINDTODEVICE = 25  # which Python has not on every system
GROUP, GROUP6 = socket.inet_aton("224.0.0.251"), socket.inet_pton(socket.AF_INET6, "ff02::fb")
LO = socket.inet_aton("127.0.0.1")
ANY = bytes(4)


def udp(six: bool = False) -> socket.socket:
    return socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)


def index(name: str) -> bytes:
    return struct.pack("@I", socket.if_nametoindex(name))


def arrange(*lines: str) -> None:
    """The same in this namespace as a scenario's lines of the environment."""
    if sys.platform == "linux":
        from pytest_sockreuse.live import namespace

        namespace.arrange(parse("\n".join(lines)).environment)


def performed_again(act: Callable[[], object]) -> str:
    """What is told of it, which comes to the same again."""
    found = trace(act)
    scenario = str(found.scenario)
    with contextlib.closing(Runner()) as runner:
        done = runner.run(parse(scenario))
    assert done.not_run is None
    assert [step.outcome for step in done.steps] == [call.outcome for call in found.calls], scenario
    assert not found.left_out
    for step, seen in zip(predict(parse(scenario), current()).steps, done.steps, strict=True):
        assert seen.outcome in step.outcomes or "raw:e0" in scenario, (step, scenario)
    return scenario


@pytest.mark.sockreuse_netns
def test_memberships_by_each_way_to_name_a_device() -> None:
    arrange("device d1")

    def act() -> None:
        with udp() as sock:
            for value in (GROUP + LO, GROUP + ANY + index("d1"), GROUP + ANY, GROUP + ANY + b"\xff\xff\0\0", GROUP):
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_IP, ADD, value)
            sock.setsockopt(socket.IPPROTO_IP, BY, LO)
            sock.setsockopt(socket.IPPROTO_IP, BY, GROUP + ANY + index("d1"))
            sock.setsockopt(socket.IPPROTO_IP, BY, ANY)
            sock.setsockopt(socket.IPPROTO_IP, LOOP, b"\0")
            sock.setsockopt(socket.IPPROTO_IP, ALL, 0)
            sock.setsockopt(socket.IPPROTO_IP, DROP, GROUP + LO)
            sock.bind(("224.0.0.251", 40_000))

    assert performed_again(act) == text("""
        device d1
        udp = udp4()
        udp.set(IP_ADD_MEMBERSHIP=224.0.0.251%lo)
        udp.set(IP_ADD_MEMBERSHIP=224.0.0.251%d1)
        udp.set(IP_ADD_MEMBERSHIP=224.0.0.251)?
        udp.set(IP_ADD_MEMBERSHIP=224.0.0.251%nosuch)?
        udp.set(IP_ADD_MEMBERSHIP=raw:e00000fb)?
        udp.set(IP_MULTICAST_IF=lo)
        udp.set(IP_MULTICAST_IF=d1)
        udp.set(IP_MULTICAST_IF=raw:00000000)
        udp.set(IP_MULTICAST_LOOP=raw:00)
        udp.set(IP_MULTICAST_ALL=0)
        udp.set(IP_DROP_MEMBERSHIP=224.0.0.251%lo)
        udp.bind(224.0.0.251:P)
        udp.close()
    """)


@pytest.mark.sockreuse_netns
def test_a_device_that_the_system_chose_is_one_of_its_own() -> None:
    arrange("device d1", "address fe80::7%d1")

    def act() -> None:
        with udp(six=True) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, JOIN, GROUP6 + ANY)
            with pytest.raises(OSError, match="in use"):
                sock.setsockopt(socket.IPPROTO_IPV6, JOIN, GROUP6 + ANY)
            sock.setsockopt(socket.IPPROTO_IPV6, LEAVE, GROUP6 + ANY)
            sock.setsockopt(socket.IPPROTO_IPV6, JOIN, GROUP6 + index("lo"))
            with pytest.raises(OSError, match="in use"):
                sock.setsockopt(socket.IPPROTO_IPV6, JOIN, GROUP6 + ANY)
            sock.setsockopt(socket.IPPROTO_IPV6, LEAVE, GROUP6 + ANY)
            sock.setsockopt(socket.IPPROTO_IPV6, BY6, socket.if_nametoindex("d1"))
            sock.bind(("", 40_000))

    assert performed_again(act) == text("""
        device routed
        device d1
        udp = udp6()
        udp.set(IPV6_JOIN_GROUP=ff02::fb%routed)
        udp.set(IPV6_JOIN_GROUP=ff02::fb%routed)?
        udp.set(IPV6_LEAVE_GROUP=ff02::fb%routed)
        udp.set(IPV6_JOIN_GROUP=ff02::fb%lo)
        udp.set(IPV6_JOIN_GROUP=ff02::fb%lo)?
        udp.set(IPV6_LEAVE_GROUP=ff02::fb%lo)
        udp.set(IPV6_MULTICAST_IF=d1)
        udp.bind([::]:P)
        udp.close()
    """)


@pytest.mark.sockreuse_netns
def test_addresses_of_one_link() -> None:
    arrange("device d1", "address fe80::7%d1", "address fe80::7%lo")
    d1, lo = (socket.if_nametoindex(name) for name in ("d1", "lo"))

    def act() -> None:
        with socket.socket(socket.AF_INET6) as listener, socket.socket(socket.AF_INET6) as other:
            listener.bind(("fe80::7", 40_000, 0, d1))
            listener.listen()
            other.bind(("fe80::7", 40_000, 0, lo))
            other.listen()
            with socket.socket(socket.AF_INET6) as client:
                client.connect(other.getsockname())
                other.accept()[0].close()
        for address in (("fe80::7%lo", 40_000), ("fe80::7", 40_000, 0, 99_999), ("fe80::8", 40_000, 0, d1)):
            with udp(six=True) as sock, pytest.raises(OSError, match="Errno"):
                sock.bind(address)
        with udp(six=True) as sock:
            sock.setsockopt(socket.SOL_SOCKET, BINDTODEVICE, b"d1\0")
            sock.bind(("ff02::fb", 40_000, 0, d1))

    assert performed_again(act) == text("""
        device d1
        address fe80::1%d1
        address fe80::1%lo
        listener = tcp6()
        listener2 = tcp6()
        listener.bind([fe80::1%d1]:P)
        listener.listen()
        listener2.bind([fe80::1%lo]:P)
        listener2.listen()
        client = tcp6()
        client.connect([fe80::1%lo]:P)
        child = listener2.accept()
        child.close()
        client.close()
        listener2.close()
        listener.close()
        udp = udp6()
        udp.bind([fe80::1]:P)?
        udp.close()
        udp2 = udp6()
        udp2.bind([fe80::1%nosuch]:P)?
        udp2.close()
        udp3 = udp6()
        udp3.bind([fe80:0:0:1::1%d1]:P)?
        udp3.close()
        udp4 = udp6(SO_BINDTODEVICE=d1)
        udp4.bind([ff02::fb%d1]:P)
        udp4.close()
    """)


PROGRAM = """
import socket, struct
d1 = socket.if_nametoindex("d1")
group, group6 = socket.inet_aton("224.0.0.251"), socket.inet_pton(socket.AF_INET6, "ff02::fb")
with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as two:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("", 40000))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + socket.inet_aton("127.0.0.1"))
    try:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + socket.inet_aton("127.0.0.1"))
    except OSError:
        pass
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    two.bind(("fe80::7", 40000, 0, d1))
    two.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group6 + struct.pack("@I", d1))
    two.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, group6 + struct.pack("@I", d1))
    two.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, d1)
"""
SAID = text("""
    device d1
    address fe80::1%d1
    udp = udp4(SO_REUSEADDR)
    udp2 = udp6()
    udp.bind(0.0.0.0:P)
    udp.set(IP_ADD_MEMBERSHIP=224.0.0.251%lo)
    udp.set(IP_ADD_MEMBERSHIP=224.0.0.251%lo)?
    udp.set(IP_MULTICAST_IF=lo)
    udp.set(IP_MULTICAST_LOOP=0)
    udp2.bind([fe80::1%d1]:P)
    udp2.set(IPV6_JOIN_GROUP=ff02::fb%d1)
    udp2.set(IPV6_LEAVE_GROUP=ff02::fb%d1)
    udp2.set(IPV6_MULTICAST_IF=d1)
    udp2.close()
    udp.close()
""")


@pytest.mark.sockreuse_netns
@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
def test_a_program_that_is_recorded_or_traced_says_the_same_and_does_it_again() -> None:
    arrange("device d1", "address fe80::7%d1")
    assert performed_again(lambda: exec(PROGRAM, {})).splitlines() == SAID.splitlines()
    tool = [sys.executable, "-m", "pytest_sockreuse.cli"]
    words = [*tool, "trace", "--json", "--on", "linux-6.18,macos-26", "--", sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, capture_output=True, text=True)
    if "cannot be traced here" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["left_out"] == {"a membership of a group, or the device that it is sent by, which cannot be told": 1}, (
        "by number"
    )
    (found,) = told["pieces"]
    assert found["scenario"] == SAID.replace("udp2.set(IPV6_MULTICAST_IF=d1)\n", "")
    assert found.get("findings") is None
    again = subprocess.run([*tool, "run", "--json", "-"], input=found["scenario"], capture_output=True, text=True)
    steps: dict[str, Any] = {step["step"]: step["outcome"] for step in json.loads(again.stdout)["steps"]}
    assert steps == found["outcomes"]


JOINED: list[Any] = [
    ("socket", 3, (2, 2, 0), 0, ()),
    ("set", 3, (1, 15, 1), 0, ()),
    ("set", 3, (0, ADD, "224.0.0.251"), 0, ()),
    ("bind", 3, (("0.0.0.0", 40_000), None), 0, ()),
]


def judged(events: list[Any]) -> Comparison:
    (piece,) = reconstruct(events)[0].pieces
    targets = [named(name) for name in ("linux-6.18", "windows-11", "macos-26")]
    return Comparer(named("linux-6.18"), targets).compare(piece)


def test_what_bears_on_a_port_is_judged_where_a_membership_is_not_known() -> None:
    """The socket has SO_REUSEPORT, which Windows has not; whether it can join there is not asked before that."""
    found = judged(JOINED)
    assert [(one.step, one.here, one.outcomes) for one in found.findings] == [("udp.socket", "ok", ("ENOPROTOOPT",))]
    plain = judged([event for event in JOINED if event[0] != "set"] + JOINED[2:3])
    assert not plain.findings
    assert plain.unknown["windows-11"] == "IP_ADD_MEMBERSHIP is not modelled"
    assert "linux-6.18" not in plain.unknown


def test_a_bind_after_a_membership_is_judged() -> None:
    reuse = [("set", fd, (1, 2, 1), 0, ()) for fd in (3, 4)]
    other = [(verb, 4, *rest) for verb, _, *rest in (JOINED[0], JOINED[3])]
    found = judged([JOINED[0], reuse[0], *JOINED[2:], other[0], reuse[1], other[1]])
    assert [(one.step, one.outcomes, str(one.platforms[0])) for one in found.findings] == [
        ("udp2.bind", ("EADDRINUSE",), "macos-26")
    ]
