"""The model of gVisor: where it parts from Linux, what each clause decides, and what newer builds changed."""

from __future__ import annotations

from functools import partial

import modelling
import pytest
from modelling import CONNECTION, bound
from shipped import shipped

from pytest_sockreuse.expected import expected
from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named
from pytest_sockreuse.scenario import Observation, StepOutcome

OLD, NEW, LINUX = named("gvisor-20240729"), named("gvisor-20260427"), named("linux-6.18.44")
RA, RP, V6 = "SO_REUSEADDR", "SO_REUSEPORT", "IPV6_V6ONLY"
USED = {"B.bind": "EADDRINUSE"}
outcomes = partial(modelling.outcomes, platform=OLD)


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
    assert outcomes(bound(first, second, early="A.listen()\n")) == heard
    assert outcomes(bound(first, second) + "A.listen()\nB.listen()\n") == both
    assert outcomes(bound(first, second, "udp")) == bind


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
            assert outcomes(text, platform=LINUX) == {}


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


def test_bounds_of_options() -> None:
    for value in (-2, 0, 256):
        assert outcomes(f"A = udp4(IP_TTL={value})\n") == {"A.socket": "EINVAL"}
    for value in (-1, 1, 255):
        assert outcomes(f"A = udp4(IP_TTL={value})\n") == {}
    assert outcomes("A = tcp4(TCP_USER_TIMEOUT=-1)\n") == {"A.socket": "EINVAL"}
    assert outcomes("A = tcp4(TCP_USER_TIMEOUT=0)\n") == {}


@pytest.mark.parametrize(
    ("option", "outcome"),
    [
        ("IP_TOS=raw:", "ok"),
        ("IP_TOS=raw:01", "ok"),
        ("IP_TTL=raw:", "EINVAL"),
        ("IP_TTL=raw:00", "EINVAL"),
        ("IP_TTL=raw:0101", "ok"),
        ("SO_KEEPALIVE=raw:01", "EINVAL"),
        ("TCP_SYNCNT=0", "EINVAL"),
        ("TCP_SYNCNT=255", "ok"),
        ("TCP_SYNCNT=256", "EINVAL"),
        ("IP_MULTICAST_ALL=raw:", "ok"),
        ("IPV6_MULTICAST_LOOP=0", "ok"),
    ],
)
def test_values_of_options_as_they_were_seen(option: str, outcome: str) -> None:
    (_, step) = predict(parse(f"A = tcp6()\nA.set({option})\n"), OLD).steps
    assert step.outcomes == (outcome,)


def test_after_shutdown_udp_waits_for_nothing() -> None:
    text = "A = udp4()\nA.bind(127.0.0.1:P)\nA.connect(127.0.0.1:Q)\n{}A.recv()\n"
    assert outcomes(text.format("")) == {"A.recv": "timeout"}
    assert outcomes(text.format("A.shutdown(RD)\n")) == {}


def test_broadcast_is_not_modelled() -> None:
    assert "broadcast" in outcomes("A = udp4()\nA.sendto(127.255.255.255:P)\n")["A.sendto"]


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
    assert outcomes(DUAL_LEFT, platform=NEW) == {}
    assert outcomes("A = tcp4(SO_DONTROUTE)\n") == {}
    assert outcomes("A = tcp4(SO_DONTROUTE)\n", platform=NEW) == {"A.socket": "ENOPROTOOPT"}


BUSY = """
L = tcp4()
L.bind(127.0.0.1:P)
L.listen()
A = tcp4(SO_REUSEADDR)
A.bind(127.0.0.1:Q)
A.connect(127.0.0.1:P)
B = tcp4(SO_REUSEADDR)
B.bind(127.0.0.1:Q)
B.connect(127.0.0.1:P)?
{}B.listen()
C = tcp4()
C.connect(127.0.0.1:Q)
"""


def test_a_socket_whose_connect_failed_listens_for_that_peer_alone() -> None:
    busy = {"B.connect": "EADDRNOTAVAIL", "C.connect": "ECONNREFUSED"}
    assert outcomes(BUSY.format("")) == busy | {"B.listen": "EADDRINUSE"}
    assert outcomes(BUSY.format("A.set(SO_LINGER=0)\nA.close()\n")) == busy


def test_what_no_execution_of_the_model_shows_is_compared_with_what_it_predicts() -> None:
    variant = shipped().by_id["tuple-uniqueness/socket-survives-busy-tuple[ip4-listening]"]
    predicted = {"second.connect": "EADDRNOTAVAIL", "second.listen": "EADDRINUSE"}
    for seen in (predicted, {"second.connect": "EADDRNOTAVAIL"}, {}):
        steps = tuple(StepOutcome(label, seen.get(label, "ok")) for label in variant.scenario.labels)
        expectation = expected(variant, OLD, Observation("gvisor-20240729", steps, {"P": 10000}))
        assert expectation is not None
        assert {label: expectation.outcome[label] for label in predicted} == predicted
