"""The model of gVisor: where it parts from Linux, what each clause decides, and what newer builds changed."""

from __future__ import annotations

import pytest

from pytest_sockreuse.model import clauses, families, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named

OLD, NEW, LINUX = named("gvisor-20240729"), named("gvisor-20260427"), named("linux-6.18.44")
RA, RP, V6 = "SO_REUSEADDR", "SO_REUSEPORT", "IPV6_V6ONLY"
USED = {"B.bind": "EADDRINUSE"}


def outcomes(text: str, platform: object = OLD) -> dict[str, str]:
    """What is not plainly ok or unreached, as an expectation spells it."""
    steps = predict(parse(text), platform).steps  # type: ignore[arg-type]
    return {s.step: s.unknown or "|".join(s.outcomes) for s in steps if s.outcomes not in (("ok",), ("unreached",))}


def bound(first: str, second: str, kind: str = "tcp", listen: str = "") -> str:
    """Two sockets, each as OPTIONS@ADDRESS, bound to one port; then those of `listen` listen."""
    text = ""
    for name, what in (("A", first), ("B", second)):
        options, _, address = what.partition("@")
        text += f"{name} = {kind}{6 if '[' in address else 4}({options})\n{name}.bind({address}:P)\n"
        if listen == "first" and name == "A":
            text += "A.listen()\n"
    return text + ("A.listen()\nB.listen()\n" if listen == "both" else "")


@pytest.mark.parametrize(
    ("first", "second", "bind", "heard", "both"),
    [
        ("@127.0.0.1", "@127.0.0.1", USED, USED, USED),
        (f"{RA}@127.0.0.1", f"{RA}@127.0.0.1", {}, USED, {"B.listen": "EADDRINUSE"}),
        (f"{RP}@127.0.0.1", f"{RP}@127.0.0.1", {}, {}, {}),
        (f"{RA}@0.0.0.0", f"{RA}@127.0.0.1", {}, {}, {}),
        (f"{RA}@127.0.0.1", f"{RA}@0.0.0.0", {}, {}, {}),
        (f"{RA}@[::]", f"{RA}@127.0.0.1", {}, {}, {}),
        (f"{RA}@[::]", f"{RA}@0.0.0.0", {}, USED, {"B.listen": "EADDRINUSE"}),
        (f"{RA}@127.0.0.1", f"{RP}@127.0.0.1", USED, USED, USED),
        ("@0.0.0.0", f"{V6}@[::]", {}, {}, {}),
        ("@[::]", "@127.0.0.1", USED, USED, USED),
        ("@[::ffff:127.0.0.1]", "@127.0.0.1", USED, USED, USED),
        ("@[::1]", "@127.0.0.1", {}, {}, {}),
    ],
)
def test_bind_and_listen(
    first: str, second: str, bind: dict[str, str], heard: dict[str, str], both: dict[str, str]
) -> None:
    assert outcomes(bound(first, second)) == bind
    assert outcomes(bound(first, second, listen="first")) == heard
    assert outcomes(bound(first, second, listen="both")) == both
    assert outcomes(bound(first, second, "udp")) == bind


CONNECTION = "L = tcp4({0})\nL.bind(127.0.0.1:P)\nL.listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\nS = L.accept()\n"


@pytest.mark.parametrize("ends", ["", "S.close()\nC.close()\n"])
@pytest.mark.parametrize(
    ("first", "second", "free"),
    [
        ("", "", False),
        ("", RA, False),
        (RA, "", False),
        (RA, RA, True),
        ("", RP, True),  # Linux: EADDRINUSE
        (RA, RP, True),
        (RP, RA, False),
        ("", f"{RA}, {RP}", True),
    ],
)
def test_after_the_listener(ends: str, first: str, second: str, free: bool) -> None:
    text = CONNECTION.format(first) + f"L.close()\n{ends}B = tcp4({second})\nB.bind(127.0.0.1:P)\nB.listen()\n"
    assert outcomes(text) == ({} if free else USED)


def test_options_after_bind_do_nothing() -> None:
    late = "A = {0}4()\nA.bind(127.0.0.1:P)\nA.set({1}=1)\nB = {0}4({1})\nB.bind(127.0.0.1:P)\n"
    for kind in ("tcp", "udp"):
        for option in (RA, RP):
            text = late.format(kind, option)
            assert outcomes(text) == USED
            assert outcomes(text, LINUX) == {}


def test_users_do_not_count() -> None:
    text = f"A = tcp4({RP}) as user1\nA.bind(127.0.0.1:81)\nB = tcp4({RP}) as user2\nB.bind(127.0.0.1:81)\n"
    assert outcomes(text) == {}


def test_ranges() -> None:
    text = "ephemeral 40000-40002\nS[1-4] = {0}4()\nS[1-4].{1}\n"
    assert outcomes(text.format("tcp", "bind(127.0.0.1:0)")) == {"S4.bind": "EADDRINUSE"}
    assert outcomes(text.format("tcp", "listen()")) == {"S4.listen": "EAGAIN"}
    assert outcomes(text.format("udp", "connect(127.0.0.1:P)")) == {"S4.connect": "EAGAIN"}
    one = "ephemeral 40000-40000\nL = tcp4()\nL.bind(0.0.0.0:P)\nL.listen()\nC[1-2] = tcp4()\nC[1-2].connect({}:P)\n"
    assert outcomes(one.format("127.0.0.1")) == {"C2.connect": "EADDRNOTAVAIL"}
    assert outcomes(one.format("127.0.0.[1-2]")) == {}


def test_the_default_range() -> None:
    (value,) = predict(parse("A = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\n"), OLD).steps[-1].values or ()
    assert str(value) == "127.0.0.1:16000..65535"


def test_no_such_protocols() -> None:
    text = "M = mptcp4()\nS = sctp6()\nU = udplite4()\n"
    assert outcomes(text) == {"M.socket": "EINVAL", "S.socket": "EINVAL", "U.socket": "EPROTONOSUPPORT"}


DUAL_LEFT = """L = tcp6()
L.bind([::]:P)
L.listen()
C = tcp6()
C.bind([::]:Q)
C.connect([::1]:P)
B = tcp4()
B.bind(127.0.0.1:Q)
"""


def test_newer_builds() -> None:
    assert outcomes(DUAL_LEFT) == USED
    assert outcomes(DUAL_LEFT, NEW) == {}
    assert outcomes("A = tcp4(SO_DONTROUTE)\n") == {}
    assert outcomes("A = tcp4(SO_DONTROUTE)\n", NEW) == {"A.socket": "ENOPROTOOPT"}


LISTENER = "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\n"
PAIR = LISTENER + "C = tcp4()\nC.connect(127.0.0.1:P)\nS = L.accept()\n"
TW = "ephemeral 40000-40000\n" + PAIR
UDP = "A = udp4({0})\nA.bind(127.0.0.1:P)\nB = udp4({0})\nB.bind(127.0.0.1:P)\n"
BUSY = "A[1-2] = udp4(SO_REUSEPORT)\nA[1-2].bind(127.0.0.1:P)\nA[1-2].connect(127.0.0.1:Q)?\n"

PINS = {
    "address-family": "A = tcp4()\nA.bind([::1]:P)\n",
    "address-not-local": "A = tcp4()\nA.bind(192.0.2.1:P)\n",
    "accept-needs-listener": "A = tcp4()\nB = A.accept()\n",
    "backlog-full": "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen(0)\nC[1-2] = tcp4()\nC[1-2].connect(127.0.0.1:P)\n",
    "backlog-shrinks": LISTENER + "C[1-2] = tcp4()\nC[1-2].connect(127.0.0.1:P)\nL.listen(0)\n",
    "bind-once": "A = tcp4()\nA.bind(127.0.0.1:P)\nA.bind(127.0.0.1:Q)\n",
    "bind0-shares-nothing": f"ephemeral 40000-40000\nA[1-2] = tcp4({RP})\nA[1-2].bind(127.0.0.1:0)\n",
    "child-inherits-flags-only": PAIR.replace("L = tcp4()", f"L = tcp4({RA})") + f"S.get({RA})\n",
    "connect-on-listener": LISTENER + "L.connect(127.0.0.1:Q)\n",
    "connected-once": PAIR + "C.connect(127.0.0.1:P)\n",
    "connected-yields-to-reuseport": PAIR + f"L.close()\nB = tcp4({RP})\nB.bind(127.0.0.1:P)\n",
    "datagram-has-no-listener": "A = udp4()\nA.listen()\n",
    "destination-family": "A = tcp4()\nA.connect([::1]:P)\n",
    "destination-keeps-apart": "ephemeral 40000-40000\nL = tcp4()\nL.bind(0.0.0.0:P)\nL.listen()\nC[1-2] = tcp4()\n"
    "C[1-2].bind(127.0.0.1:Q)?\nM = tcp4()\nM.bind(0.0.0.0:R)\nM.listen()\nD[1-2] = tcp4()\nD1.connect(127.0.0.1:P)\n"
    "D2.connect(127.0.0.1:R)\n",
    "device-unknown": "A = tcp4(SO_BINDTODEVICE=nowhere)\n",
    "devices-keep-apart": "device d1\nA = tcp4(SO_BINDTODEVICE=d1)\nB = tcp4(SO_BINDTODEVICE=lo)\nA.bind(0.0.0.0:P)\n"
    "B.bind(0.0.0.0:P)\n",
    "dual-stack-meets-both": bound("@[::]", "@127.0.0.1"),
    "failed-connect-frees-port": "A = tcp4()\nA.bind(127.0.0.1:P)\nA.connect(127.0.0.1:Q)?\n"
    "B = tcp4()\nB.bind(127.0.0.1:P)\n",
    "failed-connect-keeps-address": LISTENER + "A = tcp4()\nA.bind(127.0.0.1:P)?\nA.name()\n",
    "failed-connect-kills": "A = tcp4()\nA.connect(127.0.0.1:P)?\nA.connect(127.0.0.1:P)\n",
    "linger-zero-resets": PAIR + "S.set(SO_LINGER=0)\nS.close()\nC.recv()\n",
    "listen-once-connected": PAIR + "C.listen()\n",
    "listen-ports-exhausted": "ephemeral 40000-40000\nA[1-2] = tcp4()\nA[1-2].listen()\n",
    "listen-reopens": LISTENER + "L.shutdown(RD)\nL.listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\n",
    "listener-excludes-its-address": bound(f"{RA}@127.0.0.1", f"{RA}@127.0.0.1", listen="first"),
    "mapped-on-v6only": f"A = tcp6({V6})\nA.bind([::ffff:127.0.0.1]:P)\n",
    "mixed-families": "A = tcp6()\nA.bind([::1]:P)\nA.connect([::ffff:127.0.0.1]:Q)\n",
    "newest-gets-it": UDP.format(RA) + "C = udp4()\nC.sendto(127.0.0.1:P)\nA.recv()\nB.recv()\n",
    "no-chosen-self-connection": "ephemeral 40000-40000\nA = tcp4()\nA.connect(127.0.0.1:40000)\n",
    "no-route": "A = tcp4()\nA.connect(192.0.2.1:P)\n",
    "nobody-listens": "A = tcp4()\nA.connect(127.0.0.1:P)\n",
    "not-connected": "A = tcp4()\nA.recv()\n",
    "one-endpoint-each": bound(f"{RA}@127.0.0.1", f"{RA}@127.0.0.1", listen="first"),
    "one-range-any-port": "A = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\n",
    "option-ignored": "A = tcp4()\nA.get(IP_FREEBIND)\n",
    "option-too-short": f"A = tcp4({RA}=raw:01)\n",
    "option-unknown": "A = tcp4(SO_REUSEPORT_LB)\n",
    "options-latched": f"A = tcp4()\nA.bind(127.0.0.1:P)\nA.set({RA}=1)\nB = tcp4({RA})\nB.bind(127.0.0.1:P)\n",
    "peer-decides": PAIR + "S.set(SO_LINGER=0)\nS.close()\nC.recv()\n",
    "ports-exhausted": "ephemeral 40000-40000\nA[1-2] = tcp4()\nA[1-2].bind(127.0.0.1:0)\n",
    "protocols-missing": "A = mptcp4()\n",
    "reservation-conflict": bound("@127.0.0.1", "@127.0.0.1"),
    "reservation-reuseaddr": bound(f"{RA}@127.0.0.1", f"{RA}@127.0.0.1"),
    "reservation-reuseport": bound(f"{RP}@127.0.0.1", f"{RP}@127.0.0.1"),
    "reuseport-spreads": UDP.format(RP) + "C = udp4()\nC.sendto(127.0.0.1:P)\nA.recv()\nB.recv()\n",
    "second-listener-dies": bound(f"{RA}@127.0.0.1", f"{RA}@127.0.0.1") + "A.listen()\nB.listen()?\nB.listen()\n",
    "shut-down": PAIR + "C.shutdown(WR)\nC.send()\n",
    "shutdown-in-time-wait": PAIR + "C.shutdown(WR)\nS.shutdown(WR)\nC.shutdown(WR)\n",
    "shutdown-listener": LISTENER + "L.shutdown(RD)\nC = tcp4()\nC.connect(127.0.0.1:P)\n",
    "socket-option-ignored": "A = tcp4(SO_DONTROUTE)\n",
    "source-is-destination": "L = tcp4()\nL.bind(0.0.0.0:P)\nL.listen()\nC = tcp4()\n"
    "C.connect(127.0.0.2:P)\nC.name()\n",
    "specific-endpoint-first": bound(f"{RA}@0.0.0.0", f"{RA}@127.0.0.1", listen="both")
    + "C = tcp4()\nC.connect(127.0.0.1:P)\nS = A.accept()\nT = B.accept()\n",
    "tcp-disconnect-missing": PAIR + "C.disconnect()\n",
    "time-wait-answers-no-syn": LISTENER
    + f"C = tcp4({RA})\nC.bind(127.0.0.1:Q)\nC.connect(127.0.0.1:P)\nS = L.accept()\nS.close()\nC.close()\n"
    + f"L.close()\nD = tcp4({RA})\nD.bind(127.0.0.1:Q)\nD.connect(127.0.0.1:P)\n",
    "time-wait-keeps-reservation": PAIR + "S.close()\nC.close()\nL.close()\nB = tcp4()\nB.bind(127.0.0.1:P)\n",
    "time-wait-reuse": TW + "C.close()\nS.close()\nwait 1.3\nD = tcp4()\nD.connect(127.0.0.1:P)\n",
    "tuple-busy": "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nC[1-2] = tcp4(SO_REUSEPORT)\nC[1-2].bind(127.0.0.1:Q)\n"
    "C[1-2].connect(127.0.0.1:P)\n",
    "udp-bind-once": "A = udp4()\nA.bind(127.0.0.1:P)\nA.bind(127.0.0.1:Q)\n",
    "udp-disconnect-drops-port": "A = udp4()\nA.connect(127.0.0.1:P)\nA.disconnect()\nA.name()\n",
    "udp-failed-connect-loses-port": BUSY + "A1.close()\nB = udp4()\nB.bind(127.0.0.1:P)\n",
    "udp-no-destination": "A = udp4()\nA.send()\n",
    "udp-not-connected": "A = udp4()\nA.shutdown(WR)\n",
    "udp-options-latched-again": f"A = udp4({RA})\nA.bind(127.0.0.1:P)\nA.set({RA}=0)\n"
    f"A.connect(127.0.0.1:Q)\nA.close()\n"
    f"C = udp4({RA})\nC.bind(127.0.0.1:P)\nB = udp4({RA})\nB.bind(127.0.0.1:P)\n"
    f"B.connect(127.0.0.1:Q)\nD = udp4({RA})\n"
    f"D.bind(127.0.0.1:P)\nD.connect(127.0.0.1:Q)?\nB.set({RA}=0)\nB.disconnect()\nB.connect(127.0.0.1:Q)\n",
    "udp-port-zero": "A = udp4()\nA.sendto(127.0.0.1:0)\n",
    "udp-ports-exhausted": "ephemeral 40000-40000\nA[1-2] = udp4()\nA[1-2].bind(127.0.0.1:0)\n",
    "udp-refused": "A = udp4()\nA.connect(127.0.0.1:P)\nA.send()\nA.recv()\n",
    "udp-shut-down": "A = udp4()\nA.connect(127.0.0.1:P)\nA.shutdown(WR)\nA.send()\n",
    "udp-tuple-busy": BUSY,
    "unread-data-resets": PAIR + "C.send()\nS.close()\nC.recv()\n",
    "v6only-before-bind": f"A = tcp6()\nA.bind([::]:P)\nA.set({V6}=1)\n",
    "wildcard-destination": "L = tcp4()\nL.bind(127.0.0.2:P)\nL.listen()\nA = tcp4()\n"
    "A.bind(127.0.0.2:Q)\nA.connect(0.0.0.0:P)\n",
    "wildcard-meets-all": bound("@0.0.0.0", "@127.0.0.1"),
    "wildcard-of-other-family": "A = tcp6()\nA.bind([::ffff:127.0.0.1]:P)\nA.connect([::]:Q)\n",
    "wildcard-reservation-stays": LISTENER
    + "C = tcp4()\nC.bind(0.0.0.0:Q)\nC.connect(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.2:Q)\n",
    "dual-stack-reservation-freed": DUAL_LEFT,
}


def test_every_clause_is_pinned() -> None:
    assert PINS.keys() == families()["gvisor"].BOOK.clauses.keys()
    for clause in clauses(OLD):
        assert clause.sentence.endswith(".") and clause.source, clause.name


@pytest.mark.parametrize("clause", PINS)
def test_without_the_clause_something_else_is_said(clause: str) -> None:
    platform = NEW if clause == "dual-stack-reservation-freed" else OLD
    scenario = parse(PINS[clause])
    said, else_ = predict(scenario, platform), predict(scenario, platform, inverted={clause})
    assert not said.unknown
    assert [(s.outcomes, s.values) for s in said.steps] != [(s.outcomes, s.values) for s in else_.steps]
