"""The models of FreeBSD, macOS, NetBSD and OpenBSD: what was measured or read of each, row by row."""

from __future__ import annotations

import modelling
import pytest
from modelling import bound

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named

FREE, MAC, NET, OPEN = "freebsd-14.0", "macos-15", "netbsd-10", "openbsd-7"
ALL = ("freebsd-13.0", FREE, "freebsd-15.0", "macos-11.6", MAC, NET, OPEN)
RA, RP, LB = "SO_REUSEADDR", "SO_REUSEPORT", "SO_REUSEPORT_LB"
USED = {"B.bind": "EADDRINUSE"}


def outcomes(text: str, platform: str) -> dict[str, str]:
    return modelling.outcomes(text, named(platform))


@pytest.mark.parametrize("platform", ALL)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("family", [("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")])
@pytest.mark.parametrize("first", ["", RA, RP, f"{RA}, {RP}", LB])
def test_the_bind_matrix(platform: str, kind: str, family: tuple[str, str], first: str) -> None:
    if LB in first and "freebsd" not in platform:
        assert outcomes(f"A = {kind}4({LB})\n", platform) == {"A.socket": "ENOPROTOOPT"}
        return
    any_, lo = family
    for early in ("", "A.listen()\n") if kind == "tcp" else ("",):
        for second in ("", RA, RP, f"{RA}, {RP}") + ((LB,) if "freebsd" in platform else ()):
            shared = bool(set(first.split(", ")) & set(second.split(", ")) & {RP, LB})
            for same in (any_, lo):
                got = outcomes(bound(f"{first}@{same}", f"{second}@{same}", kind, early), platform)
                assert got == ({} if shared else USED), (same, second)
            for one, other in ((any_, lo), (lo, any_)):
                got = outcomes(bound(f"{first}@{one}", f"{second}@{other}", kind, early), platform)
                assert got == ({} if second else USED), (one, second)


@pytest.mark.parametrize(
    ("options", "address", "users", "used"),
    [
        (RP, "127.0.0.1", ("user1", "user2"), ALL),
        (RP, "0.0.0.0", ("user1", "user2"), ("freebsd-13.0", FREE, "freebsd-15.0", OPEN)),
        (LB, "0.0.0.0", ("user1", "user2"), ("freebsd-15.0",)),
        (LB, "127.0.0.1", ("user1", "user2"), ("freebsd-13.0", FREE, "freebsd-15.0")),
        (f"{RP}, {LB}", "0.0.0.0", ("user1", "user2"), ("freebsd-13.0", FREE, "freebsd-15.0")),
        (RP, "127.0.0.1", ("user1", "root"), ()),
        (RP, "127.0.0.1", ("root", "user1"), ALL),
        (RP, "127.0.0.1", ("user1", "user1"), ()),
    ],
)
def test_other_users(options: str, address: str, users: tuple[str, str], used: tuple[str, ...]) -> None:
    for platform in ALL if LB not in options else ALL[:3]:
        for kind in ("tcp", "udp"):
            text = bound(f"{options}@{address}", f"{options}@{address}", kind, users=users)
            assert outcomes(text, platform) == (USED if platform in used else {}), (platform, kind)


def test_another_users_connection() -> None:
    text = "D = tcp4()\nD.bind(127.0.0.1:Q)\nD.listen()\n" + bound(
        "@127.0.0.1", f"{RA}@127.0.0.1", early="A.connect(127.0.0.1:Q)\n", users=("user1", "user2")
    )
    for platform in ALL:
        assert outcomes(text, platform) == ({} if "freebsd" in platform else USED), platform


#            [::] is dual-stack       none RA RP: x is EADDRINUSE
@pytest.mark.parametrize(
    ("first", "second", "shared", "netbsd"),
    [
        ("0.0.0.0", "[::]", "...", "..."),
        ("[::]", "0.0.0.0", "xx.", "x.."),
        ("127.0.0.1", "[::]", "x..", "..."),
        ("[::]", "127.0.0.1", "x..", "x.."),
    ],
)
def test_dual_stack(first: str, second: str, shared: str, netbsd: str) -> None:
    for option, cell, net in zip(("", RA, RP), shared, netbsd, strict=True):
        for kind in ("tcp", "udp"):
            a, b = (
                f"{option}, IPV6_V6ONLY=0".strip(", ") + f"@{side}" if "[" in side else f"{option}@{side}"
                for side in (first, second)
            )
            for platform in (FREE, "freebsd-13.0", MAC):
                assert outcomes(bound(a, b, kind), platform) == (USED if cell == "x" else {}), (platform, option)
            assert outcomes(bound(a, b, kind), NET) == (USED if net == "x" else {}), option
            apart = bound(a.replace("ONLY=0", "ONLY=1"), b.replace("ONLY=0", "ONLY=1"), kind)
            assert all(outcomes(apart, platform) == {} for platform in ALL)


def test_v6only() -> None:
    values = {p: predict(parse("A = tcp6()\nA.get(IPV6_V6ONLY)\n"), named(p)).steps[-1].values for p in ALL}
    assert {p: v and str(v[0]) for p, v in values.items()} == {p: "0" if "macos" in p else "1" for p in ALL}
    assert outcomes("A = tcp6(IPV6_V6ONLY=0)\n", OPEN) == {"A.socket": "EINVAL"}
    mapped = bound("@[::ffff:127.0.0.1]", "@127.0.0.1").replace("tcp6()", "tcp6(IPV6_V6ONLY=0)")
    assert all(outcomes(mapped, platform) == USED for platform in ALL[:-1])
    assert all(outcomes(bound("@[::1]", "@127.0.0.1"), platform) == {} for platform in ALL)


D = "D[1-2] = tcp4()\nD1.bind(127.0.0.1:Q)\nD2.bind(127.0.0.1:R)\nD[1-2].listen()\n"


@pytest.mark.parametrize("platform", ALL)
def test_outgoing(platform: str) -> None:
    join = bound("@127.0.0.1", f"{RA}@127.0.0.1", early="A.connect(127.0.0.1:Q)\n")
    assert outcomes(D + join + "B.connect(127.0.0.1:R)\n", platform) == {}
    assert outcomes(D + join + "B.connect(127.0.0.1:Q)\n", platform) == {"B.connect": "EADDRINUSE"}
    ahead = bound(f"{RA}@127.0.0.1", f"{RA}@127.0.0.1") + "A.connect(127.0.0.1:Q)\nB.connect(127.0.0.1:R)\n"
    assert outcomes(D + ahead, platform) == USED
    assert outcomes(D + ahead.replace(RA, RP), platform) == {}
    listening = join.replace("B.bind(127.0.0.1:P)", "B.bind(127.0.0.1:P)\nB.listen()")
    assert outcomes(D + listening, platform) == {}
    assert outcomes(D + listening.replace(RA, ""), platform) == USED
    assert outcomes(D + join + "B.connect(127.0.0.1:0)\n", platform) == {"B.connect": "EADDRNOTAVAIL"}
    assert outcomes("D = tcp4()\nD.listen()\nD.connect(127.0.0.1:P)\n", platform) == {"D.connect": "EOPNOTSUPP"}
    udp = bound(f"{RP}@127.0.0.1", f"{RP}@127.0.0.1", "udp") + "A.connect(127.0.0.1:Q)\nB.connect(127.0.0.1:Q)\n"
    assert outcomes(udp, platform) == {"B.connect": "EADDRINUSE"}


@pytest.mark.parametrize("platform", ALL)
def test_options_are_read_when_the_second_one_binds(platform: str) -> None:
    def late(first: str, change: str, second: str, address: str = "127.0.0.1") -> dict[str, str]:
        return outcomes(bound(f"{first}@{address}", f"{second}@127.0.0.1", early=f"A.set({change})\n"), platform)

    assert late("", RA, RA) == USED
    assert late("", RP, RP) == {}
    assert late(RP, f"{RP}=0", RP) == USED
    assert late(RA, f"{RA}=0", RA, "0.0.0.0") == {}
    retry = bound("@127.0.0.1", "@127.0.0.1").rstrip() + f"?\nA.set({RP})\nB.set({RP})\nB.bind(127.0.0.1:P)\n"
    assert outcomes(retry, platform) == USED


SERVER = "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nC = tcp4()\nC.bind(127.0.0.1:Q)\nC.connect(127.0.0.1:P)\n"
SERVER += "S = L.accept()\n"
RESTART = "L.close()\nB = tcp4({0})\nB.bind(127.0.0.1:P)\nB.listen()\n"
KNOB = "sysctl net.inet.tcp.nolocaltimewait = 0\n"


@pytest.mark.parametrize(
    ("middle", "free"),
    [
        ("S.close()\nC.close()\n", ("freebsd-14.0", "freebsd-15.0")),  # TIME_WAIT here
        ("C.close()\nS.close()\n", ALL),  # TIME_WAIT at the client's
        ("", ()),  # established
        ("S.set(SO_LINGER=0)\nS.close()\nC.close()\n", ALL),
        ("S.close()\nC.close()\nwait 61\n", ALL),
    ],
)
def test_restart(middle: str, free: tuple[str, ...]) -> None:
    for platform in ALL:
        none = {} if platform in (*free, NET) else USED  # NetBSD does not see what was accepted
        assert outcomes(SERVER + middle + RESTART.format(""), platform) == none, platform
        for option in (RA, RP):
            assert outcomes(SERVER + middle + RESTART.format(option), platform) == {}, platform


def test_time_wait_of_a_client() -> None:
    again = "C.close()\nS.close()\nB = tcp4(SO_REUSEADDR)\nB.bind(127.0.0.1:Q)\nB.connect(127.0.0.1:P)\n"
    for platform in ALL:
        gone = platform in ("freebsd-14.0", "freebsd-15.0")
        assert outcomes(SERVER + again, platform) == ({} if gone else {"B.connect": "EADDRINUSE"}), platform
    assert outcomes(KNOB + SERVER + again, FREE) == {"B.connect": "EADDRINUSE"}
    busy = SERVER + "S.close()\nC.close()\n" + RESTART.format("")
    assert outcomes(KNOB + busy, FREE) == USED
    assert outcomes(KNOB + busy + "B.name()\n", "freebsd-13.0") == USED


def test_who_gets_the_connection() -> None:
    group = f"L[1-2] = tcp4({RP})\nL[1-2].bind(127.0.0.1:P)\nL[1-2].listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\n"
    accept = "A = L1.accept()\nB = L2.accept()\n"
    for platform in (FREE, MAC, NET):
        assert outcomes(group + accept, platform) == {"A.accept": "timeout"}
        specific = group.replace("L[1-2].bind(127.0.0.1:P)", "L1.bind(127.0.0.1:P)\nL2.bind(0.0.0.0:P)")
        assert outcomes(specific + accept, platform) == {"B.accept": "timeout"}
        udp = (
            f"L[1-2] = udp4({RP})\nL[1-2].bind(127.0.0.1:P)\nC = udp4()\nC.sendto(127.0.0.1:P)\nL1.recv()\nL2.recv()\n"
        )
        assert outcomes(udp, platform) == {"L1.recv": "timeout"}
    spread = {"A.accept": "ok|timeout", "B.accept": "ok|timeout"}
    assert outcomes(group.replace(RP, LB) + accept, FREE) == spread


def test_who_has_a_dead_or_silent_port() -> None:
    quiet = "A = tcp4()\nA.bind(127.0.0.1:P)\nC = tcp4()\nC.connect(127.0.0.1:P)\n"
    for platform in ALL:
        assert outcomes(quiet, platform) == {"C.connect": "ECONNREFUSED" if "freebsd" in platform else "timeout"}
    dead = "C = tcp4()\nC.bind(127.0.0.1:P)\nC.connect(127.0.0.1:Q)\nB = tcp4()\nB.bind(127.0.0.1:P)\n"
    for platform in ALL:
        expected = {"C.connect": "ECONNREFUSED"} | (USED if "macos" in platform else {})
        assert outcomes(dead, platform) == expected


RANGE = "ephemeral 40000-40001\n"


@pytest.mark.parametrize(
    ("platform", "bind", "connect", "shares"),
    [
        *((p, "EADDRNOTAVAIL", "EADDRNOTAVAIL", True) for p in ALL[:3]),
        (MAC, "EADDRNOTAVAIL", "EADDRNOTAVAIL", False),
        (NET, "EAGAIN", "EAGAIN", False),
        (OPEN, "EADDRNOTAVAIL", "EADDRNOTAVAIL", False),
    ],
)
def test_exhaustion(platform: str, bind: str, connect: str, shares: bool) -> None:
    for kind in ("tcp", "udp"):
        for option in ("", RA, RP):
            binds = RANGE + f"S[1-3] = {kind}4({option})\nS[1-3].bind(127.0.0.1:0)\n"
            assert outcomes(binds, platform) == {"S3.bind": bind}, (kind, option)
        other = (
            RANGE + "address 127.0.0.2\n" + f"S[1-4] = {kind}4()\nS[1-2].bind(127.0.0.1:0)\nS[3-4].bind(127.0.0.2:0)\n"
        )
        assert outcomes(other, platform) == {}
        connects = f"C[1-4] = {kind}4()\nC[1-3].connect(127.0.0.1:Q)\nC4.connect(127.0.0.1:R)\n"
        destinations = D if kind == "tcp" else ""
        last = {} if shares else {"C4.connect": connect}
        assert outcomes(RANGE + destinations + connects, platform) == {"C3.connect": connect} | last, kind


@pytest.mark.parametrize(
    ("platform", "low", "high"),
    [(FREE, 10000, 65535), (MAC, 49152, 65535), (NET, 49152, 65535), (OPEN, 1024, 49151)],
)
def test_ephemeral_ranges(platform: str, low: int, high: int) -> None:
    (value,) = predict(parse("A = udp4()\nA.bind(127.0.0.1:0)\nA.name()\n"), named(platform)).steps[-1].values or ()
    assert str(value) == f"127.0.0.1:{low}..{high}"
    text = "A = tcp4(IP_PORTRANGE=2) as user1\nA.bind(127.0.0.1:0)\n"
    assert outcomes(text, platform) == {"A.bind": "EPERM" if platform in (FREE, MAC) else "EACCES"}


def test_self_connection_and_low_ports() -> None:
    self_ = "A = tcp4()\nA.bind(127.0.0.1:P)\nA.connect(127.0.0.1:P)\nA.send()\nA.recv()\n"
    assert [outcomes(self_, p) for p in (FREE, MAC, NET)] == [{}, {"A.connect": "EINVAL"}, {}]
    assert "itself" in outcomes(self_, OPEN)["A.connect"]
    assert all(outcomes(self_.replace("tcp4", "udp4"), p) == {} for p in ALL)
    low = "A = tcp4() as user1\nA.bind({}:80)\n"
    for platform in ALL:
        assert outcomes(low.format("127.0.0.1"), platform) == {"A.bind": "EACCES"}
        assert outcomes(low.format("0.0.0.0"), platform) == ({} if "macos" in platform else {"A.bind": "EACCES"})
        assert outcomes(low.format("127.0.0.2"), platform) == {"A.bind": "EADDRNOTAVAIL"}
    assert outcomes("A = tcp4()\nA.bind(0.0.0.0:55555)\n", MAC) == {"A.bind": "EADDRINUSE"}


def test_what_differs_between_versions() -> None:
    child = "L = tcp4(SO_REUSEADDR)\nL.listen()\nC = tcp4()\nC.connect(127.0.0.1:L.port)\n"
    child += "S = L.accept()\nS.get(SO_REUSEADDR)\n"
    inherits = {p: str((predict(parse(child), named(p)).steps[-1].values or ("",))[0]) for p in ALL}
    assert inherits == {p: "0" if p in (FREE, "freebsd-15.0") else "1" for p in ALL}
    lb = D + f"A = tcp4({LB})\nA.connect(127.0.0.1:Q)\n"
    assert [outcomes(lb, p) for p in (FREE, "freebsd-15.0")] == [{}, {"A.connect": "EOPNOTSUPP"}]
    assert outcomes(lb, "freebsd-14.3") == {"A.connect": "EOPNOTSUPP|ok"}
    assert predict(parse(lb), named("freebsd-12.4")).unknown


def test_other_errors() -> None:
    for platform in ALL:
        assert outcomes("A = tcp4()\nA.bind(0.0.0.0:P)\nA.bind(0.0.0.0:Q)\n", platform) == {"A.bind#2": "EINVAL"}
        assert outcomes(D + "A = tcp4()\nA.connect(127.0.0.1:Q)\nA.listen()\n", platform) == {"A.listen": "EINVAL"}
        wild = {"freebsd-15.0": {"A.connect": "ENETUNREACH"}, OPEN: {"A.connect": "EINVAL"}}.get(platform, {})
        assert outcomes(D + "A = tcp4()\nA.connect(0.0.0.0:Q)\n", platform) == wild
    multicast = "A = tcp4()\nA.bind(224.0.0.1:P)\n"
    assert [outcomes(multicast, p) for p in (FREE, MAC, NET)] == [{"A.bind": "EAFNOSUPPORT"}] * 2 + [{}]
    shut = bound(f"{RA}@127.0.0.1", f"{RA}@127.0.0.1", early="A.listen()\nA.shutdown(RDWR)?\n")
    assert [outcomes(shut, p).get("B.bind") for p in (FREE, MAC, NET)] == ["EADDRINUSE", "EADDRINUSE", None]
