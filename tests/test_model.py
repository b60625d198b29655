"""The model of Linux: its API, the rules that documents and measurements agree on, and the boundaries of versions."""

from __future__ import annotations

import re
from functools import partial

import modelling
import pytest
from modelling import CONNECTION, bound

from pytest_sockreuse.model import ModelError, clauses, families, predict, walk
from pytest_sockreuse.model.prediction import outcome_text
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, known, named, version
from pytest_sockreuse.scenario import Observation, StepOutcome

NOW = named("linux-6.18.44")


def linux(label: str) -> Platform:
    return Platform("linux", version(label), label)


RA, RP, V6 = "SO_REUSEADDR", "SO_REUSEPORT", "IPV6_V6ONLY"
USED = {"B.bind": "EADDRINUSE"}
outcomes = partial(modelling.outcomes, platform=NOW)


@pytest.mark.parametrize(
    ("first", "second", "free", "heard"),
    [
        ("@127.0.0.1", "@127.0.0.1", False, False),
        (f"{RA}@127.0.0.1", f"{RA}@127.0.0.1", True, False),
        (f"{RA}@127.0.0.1", f"{RP}@127.0.0.1", False, False),
        (f"{RP}@127.0.0.1", f"{RA}, {RP}@0.0.0.0", True, True),
        ("@127.0.0.1", "@127.0.0.2", True, True),
        ("@0.0.0.0", "@127.0.0.2", False, False),
        ("@[::]", "@127.0.0.1", False, False),
        (f"{V6}@[::]", "@127.0.0.1", True, True),
        ("@[::1]", "@127.0.0.1", True, True),
        ("@[::ffff:127.0.0.1]", "@127.0.0.1", False, False),
        ("@0.0.0.0", f"{V6}@[::]", True, True),
    ],
)
def test_bind_conflicts(first: str, second: str, free: bool, heard: bool) -> None:
    assert outcomes(bound(first, second)) == ({} if free else USED)
    assert outcomes(bound(first, second, early="A.listen()\n")) == ({} if heard else USED)
    assert outcomes(bound(first, second, "udp")) == ({} if free else USED)


def test_the_clause_is_named() -> None:
    steps = predict(parse(bound(f"{RA}@127.0.0.1", f"{RA}@127.0.0.1", early="A.listen()\n")), NOW).steps
    assert steps[-1].clause == "listener-excludes"
    assert {steps[-1].clause} <= {clause.name for clause in clauses(NOW)}


def test_every_clause_says_what_and_where() -> None:
    for stack, family in families().items():
        for clause in family.BOOK.clauses.values():
            assert clause.sentence.endswith(".") and clause.source, f"{stack}: {clause.name}"
            assert re.fullmatch("[a-z0-9-]+", clause.name), "it is a place of a page"
            assert clause.confidence != "measured" or stack != "windows", f"{clause.name}: no Windows was measured"


def test_a_clause_can_be_taken_away() -> None:
    text = bound(f"{RA}@127.0.0.1", f"{RA}@127.0.0.1", early="A.listen()\n")
    assert outcomes(text, inverted={"listener-excludes"}) == {}
    with pytest.raises(ModelError, match="no clause nonsense"):
        predict(parse(text), NOW, inverted={"nonsense"})


def test_reuseport_needs_one_user() -> None:
    text = f"A = tcp4({RP}) as user1\nA.bind(127.0.0.1:P)\nB = tcp4({RP}) as user2\nB.bind(127.0.0.1:P)\n"
    assert outcomes(text) == USED
    assert outcomes(text.replace("user2", "user1")) == {}
    assert outcomes("A = tcp4() as user1\nA.bind(127.0.0.1:80)\n") == {"A.bind": "EACCES"}


RESTART = "L.close()\nN = tcp4({1})\nN.bind(127.0.0.1:P)\n"


def test_time_wait_is_the_active_closers() -> None:
    active, passive = "S.close()\nC.close()\n", "C.close()\nS.close()\n"
    busy = {"N.bind": "EADDRINUSE"}
    assert outcomes((CONNECTION + active + RESTART).format("", RA)) == busy
    assert outcomes((CONNECTION + active + RESTART).format(RA, "")) == busy
    assert outcomes((CONNECTION + active + RESTART).format(RA, RA)) == {}
    assert outcomes((CONNECTION + passive + RESTART).format("", "")) == {}
    assert outcomes((CONNECTION + "S.set(SO_LINGER=0)\n" + active + RESTART).format("", "")) == {}


def test_tuple_and_ports_of_connect() -> None:
    server = "ephemeral 40000-40000\nL = tcp4()\nL.bind(0.0.0.0:P)\nL.listen()\nC[1-2] = tcp4()\n"
    assert outcomes(server + "C[1-2].connect(127.0.0.1:P)\n") == {"C2.connect": "EADDRNOTAVAIL"}
    assert outcomes(server + "C[1-2].connect(127.0.0.[1-2]:P)\n") == {}


def test_a_range_is_used_up() -> None:
    text = "ephemeral 40000-40003\nS[1-5] = tcp4()\nS[1-5].bind(127.0.0.1:0)\n"
    assert outcomes(text) == {"S5.bind": "EADDRINUSE"}
    assert outcomes(text.replace("tcp", "udp")) == {"S5.bind": "EADDRINUSE"}
    assert outcomes("ephemeral 40000-40000\nS[1-2] = udp4()\nS[1-2].connect(127.0.0.1:P)\n") == {"S2.connect": "EAGAIN"}


def test_odd_ranges_lose_ports() -> None:
    text = "ephemeral 40000-40002\nS[1-3] = tcp4()\nS[1-3].bind(127.0.0.1:0)\n"
    assert outcomes(text) == {"S3.bind": "EADDRINUSE"}
    five = "ephemeral 40000-40004\nS[1-5] = tcp4()\nS[1-5].bind(127.0.0.1:0)\n"
    assert outcomes(five)["S5.bind"] == "EADDRINUSE|ok"


def test_values_tell_what_may_be_chosen() -> None:
    step = predict(parse("ephemeral 40000-40007\nA = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\n"), NOW).steps[-1]
    assert step.values is not None
    (value,) = step.values
    assert value.matches("127.0.0.1:40001", {}) and not value.matches("127.0.0.1:40000", {})
    assert not value.matches("127.0.0.2:40001", {}) and not value.matches(None, {})


def test_what_was_observed_narrows() -> None:
    text = "ephemeral 40000-40007\nA = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\nB = tcp4()\nB.bind(127.0.0.1:40003)\n"
    assert outcomes(text) == {"B.bind": "EADDRINUSE|ok"}
    for port, seen in (("40003", {"B.bind": "EADDRINUSE"}), ("40005", {})):
        steps = [StepOutcome(s, "ok") for s in ("A.socket", "A.bind")] + [
            StepOutcome("A.name", "ok", f"127.0.0.1:{port}")
        ]
        assert outcomes(text, observed=Observation("here", tuple(steps))) == seen


def test_a_group_spreads_and_a_specific_listener_wins() -> None:
    pair = (
        "L[1-2] = tcp4(SO_REUSEPORT)\nL[1-2].bind(127.0.0.1:P)\nL[1-2].listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\n"
    )
    text = pair + "A = L1.accept()\nB = L2.accept()\n"
    assert outcomes(text) == {"A.accept": "ok|timeout", "B.accept": "ok|timeout"}
    one = text.replace("L[1-2].bind(127.0.0.1:P)", "L1.bind(0.0.0.0:P)\nL2.bind(127.0.0.1:P)")
    assert outcomes(one) == {"A.accept": "timeout"}


def test_a_chosen_port_is_lost_by_failure() -> None:
    text = "A = tcp4()\nA.bind(127.0.0.1:0)\nA.connect(127.0.0.1:P)?\nB = tcp4()\nB.bind(127.0.0.1:A.port)\n"
    assert outcomes(text) == {"A.connect": "ECONNREFUSED"}
    assert outcomes(text.replace(":0)", ":Q)")) == {"A.connect": "ECONNREFUSED", "B.bind": "EADDRINUSE"}


CLEARED = f"A = tcp4({RA})\nA.bind(127.0.0.1:P)\nA.set({RA}=0)\nB = tcp4({RA})\nB.bind(127.0.0.1:P)\n"
MANY = "S[1-11] = udp4()\nS[1-11].bind(127.0.0.[1-11]:P)\nB = udp4()\nB.bind(0.0.0.0:P)\n"
HIDDEN = f"A = tcp4()\nA.bind(0.0.0.0:P)\nC = tcp6({V6})\nC.bind([::]:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\n"
UNBLOCKED = """ephemeral 40000-40000
L = tcp4()
L.bind(0.0.0.0:P)
L.listen()
A = tcp4()
A.connect(127.0.0.1:P)
B = tcp4()
B.bind(127.0.0.2:40000)
B.close()
C = tcp4()
C.connect(127.0.0.2:P)
"""
ORPHAN = f"""L = tcp4({RP}) as user1
L.bind(127.0.0.1:P)
L.listen()
C = tcp4()
C.connect(127.0.0.1:P)
X = tcp4() as user1
X.bind(127.0.0.2:P)
B = tcp4({RP}) as user1
B.bind(127.0.0.1:P)
"""


@pytest.mark.parametrize(
    ("text", "step", "old", "new", "last", "first"),
    [
        (bound("@[::]", "@127.0.0.1"), "B.bind", "", "EADDRINUSE", "6.1.20 6.2.16", "6.0.19 6.1.21 6.3"),
        (
            bound("@[::ffff:127.0.0.1]", "@127.0.0.1"),
            "B.bind",
            "",
            "EADDRINUSE",
            "6.1.53 6.5.3",
            "6.0 6.1.54 6.5.4 6.6",
        ),
        (
            bound("@[::ffff:0.0.0.0]", "@[::ffff:127.0.0.1]"),
            "B.bind",
            "",
            "EADDRINUSE",
            "6.1.176",
            "5.10.223 6.1.160 6.12.107",
        ),
        (bound(f"{V6}@[::]", "@[::ffff:127.0.0.1]"), "B.bind", "EADDRINUSE", "", "6.8.1", "6.7.12 6.8.12 6.9"),
        (HIDDEN, "B.bind", "", "EADDRINUSE", "6.1.84 6.2 6.8.4", "6.0 6.1.85 6.9"),
        (CLEARED, "B.bind", "", "EADDRINUSE", "5.10.223 6.7.12", "6.8 6.12.107"),
        (MANY, "B.bind", "", "EADDRINUSE", "5.10.223 6.12.79 6.18.20", "6.1.168 6.12.80 6.18.21 7.0"),
        (UNBLOCKED, "C.connect", "EADDRNOTAVAIL", "", "5.10.223 6.17.7", "6.17.8 6.18"),
        (ORPHAN, "B.bind", "EADDRINUSE", "", "5.10.223 6.12.107", "6.16.12 6.17.13"),
        ("A = udplite4()\n", "A.socket", "", "EPROTONOSUPPORT", "7.0", "7.1"),
        ("A = tcp4(IP_LOCAL_PORT_RANGE=1-2)\n", "A.socket", "ENOPROTOOPT", "", "6.1.31 6.2", "6.1.32 6.3"),
    ],
)
def test_versions(text: str, step: str, old: str, new: str, last: str, first: str) -> None:
    for label in last.split():
        assert outcomes(text, platform=linux(label)).get(step, "") == old, label
    for label in first.split():
        assert outcomes(text, platform=linux(label)).get(step, "") == new, label


def test_what_is_not_covered_says_so() -> None:
    steps = predict(parse("A = sctp4()\nA.shutdown(RD)?\nA.sendto(127.0.0.1:P)\nB = tcp4()\nB.listen()\n"), NOW).steps
    assert [bool(step.unknown) for step in steps] == [False, False, True, False, False]
    text = "L = sctp4()\nL.bind(127.0.0.1:P)\nL.listen()\nL.shutdown(RD)\n"
    steps = predict(parse(text + "B = sctp4()\nB.bind(127.0.0.1:P)\nC = tcp4()\nC.bind(127.0.0.1:P)\n"), NOW).steps
    assert [step.step for step in steps if step.unknown] == ["L.shutdown", "B.bind"]
    assert predict(parse("A = tcp4()\n"), Platform("plan9", (4,), "4")).unknown
    assert clauses(Platform("plan9", (4,), "4")) == ()


def test_hostile_sizes_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_COPIES", 20_000)
    many = "S[1-4000] = tcp4(SO_REUSEADDR)\nS[1-4000].bind(127.0.0.1:P)\n"
    with pytest.raises(ModelError, match="more than"):
        predict(parse(many), NOW)
    crowd = "ephemeral 40000-40007\nS[1-20] = udp4(SO_REUSEADDR)\nS[1-20].bind(127.0.0.1:0)\nC = udp4()\n"
    open_ended = predict(parse(crowd + "C.sendto(127.0.0.1:S[1-20].port)\nS[1-20].recv()?\n"), NOW)
    assert "more executions" in open_ended.unknown


@pytest.mark.parametrize("platform", known(), ids=str)
def test_every_known_version_is_modelled_or_says_why_not(platform: Platform) -> None:
    found = outcomes("A = tcp4()\nA.bind(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\n", platform=platform)
    if platform.stack not in families():
        assert found["B.bind"] == f"there is no model of {platform.stack}"
    elif why := families()[platform.stack].covers(platform):
        assert found["B.bind"] == why
    else:
        assert found == {"B.bind": "EADDRINUSE"}


def test_a_prediction_can_be_printed_also_of_ports_whose_mask_has_too_many_digits() -> None:
    assert "127.0.0.1:32769..60999" in repr(predict(parse("A = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\n"), NOW))


def test_mptcp_that_was_accepted_tells_its_address_after_it_was_disconnected() -> None:
    text = "A = mptcp4()\nA.bind(0.0.0.0:P)\nA.listen()\nB = mptcp4()\nB.connect(127.0.0.1:P)\n"
    text += "C = A.accept()\nC.disconnect()\nC.name()\n"
    assert outcome_text(predict(parse(text), NOW).steps[-1]) == "127.0.0.1:P"


def test_a_bind_that_fails_leaves_mptcp_the_address_that_it_had_though_its_subflow_has_none() -> None:
    text = "A = {}()\nA.bind(127.0.0.1:0)\nA.listen()\nA.shutdown(RD)\nB = tcp4()\nB.bind(127.0.0.6:P)\n"
    text += "A.bind(127.0.0.6:P)?\nA.name()\n"
    for kind, shown in (("mptcp4", "127.0.0.1:"), ("tcp4", "0.0.0.0:")):
        assert outcome_text(predict(parse(text.format(kind)), NOW).steps[-1]).startswith(shown)


def test_where_kernels_differ_after_a_listen_without_a_port_sctp_is_unknown() -> None:
    text = "ephemeral 40000-40000\nA = sctp4()\nA.bind(127.0.0.1:0)\nB = sctp4()\nB.listen()?\nC = B.accept()\n"
    asked = predict(parse(text), NOW).steps
    assert (asked[-2].outcomes, asked[-1].unknown) == (("EAGAIN",), "SCTP after a listen() that found no port")


def test_an_option_that_is_not_known_makes_its_own_socket_unknown_and_no_other() -> None:
    text = """A = mptcp4(TCP_NODELAY)
B = tcp4()
B.bind(127.0.0.1:P)
A.get(SO_REUSEADDR)
B.listen()
A.bind(127.0.0.1:Q)
B.name()
"""
    steps = predict(parse(text), linux("6.0.19")).steps
    assert [step.step for step in steps if step.unknown] == ["A.socket", "A.get", "A.bind", "B.name"]
    late = parse(text.replace("A.bind(127.0.0.1:Q)", "A.set(SO_REUSEADDR)"))
    assert predict(late, linux("6.0.19")).steps[-1].unknown
    asked = text.replace("TCP_NODELAY", "IP_TRANSPARENT")  # it bears on who may have a port
    assert all(step.unknown for step in predict(parse(asked), linux("6.0.19")).steps)


def test_versions_before_the_model_are_unknown() -> None:
    assert "before 5.7" in predict(parse("A = tcp4()\n"), linux("4.19.0")).unknown


@pytest.mark.parametrize(("device", "known"), [("lo", True), ("d1", False)])
def test_linux_does_not_tell_what_a_connection_does_that_is_bound_to_another_device(device: str, known: bool) -> None:
    text = (
        "device d1\nl = tcp4()\nl.bind(127.0.0.1:P)\nl.listen()\nc = tcp4()\nc.connect(127.0.0.1:P)\ns = l.accept()\n"
    )
    prediction = predict(parse(f"{text}c.set(SO_BINDTODEVICE={device})\ns.close()\nc.recv()\n"), named("linux-6.18"))
    assert bool(prediction.unknown) is not known


def test_a_connect_over_ipv6_that_finds_no_way_leaves_a_socket_with_ipv4() -> None:
    text = "A = tcp6()\nA.connect([::ffff:127.0.0.1]:P)?\n{}A.connect([::1]:P)\n"
    assert outcomes(text.format(""))["A.connect#2"] == "timeout"
    assert outcomes(text.format("A.connect([2001:db8::1]:P)?\n"))["A.connect#3"] == "timeout"
