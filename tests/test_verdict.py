"""Outcomes compared with expectations."""

from __future__ import annotations

import pytest

from pytest_sockreuse.scenario import Observation, StepOutcome
from pytest_sockreuse.verdict import ExpectationError, Verdict, check_outcome, judge, meets

PORTS = {"P": 10000, "Q": 10001}


def observed(**outcomes: str) -> Observation:
    """An observation from ``A_bind="EADDRINUSE"``; what is no outcome is a recorded value."""
    steps = []
    for label, text in outcomes.items():
        name = label.replace("_", ".", 1).replace("__", "#")
        plain = text in ("ok", "timeout", "unreached") or text.startswith("E")
        steps.append(StepOutcome(name, text if plain else "ok", None if plain else text))
    return Observation("linux-6.18.44", tuple(steps), PORTS)


@pytest.mark.parametrize(
    ("expected", "seen", "wrong"),
    [
        ({}, {"A_bind": "ok"}, ()),
        ({}, {"A_bind": "EADDRINUSE"}, ("A.bind",)),
        ({}, {"A_bind": "timeout"}, ("A.bind",)),
        ({}, {"A_bind": "ok", "A_listen": "unreached"}, ("A.listen",)),
        ({"A.bind": "EADDRINUSE"}, {"A_bind": "EADDRINUSE", "A_listen": "unreached"}, ()),
        ({"A.bind": "EADDRINUSE"}, {"A_bind": "ok"}, ("A.bind",)),
        ({"A.bind": "EADDRINUSE"}, {"A_bind": "EACCES"}, ("A.bind",)),
        ({"A.bind": "EADDRINUSE"}, {"A_bind": "unreached"}, ("A.bind",)),
        ({"A.bind": "EADDRINUSE"}, {"A_bind": "EADDRINUSE", "B_bind": "EINVAL"}, ("B.bind",)),
        ({"A.bind": "EADDRINUSE|EACCES"}, {"A_bind": "EACCES"}, ()),
        ({"A.bind": "ok|EADDRINUSE"}, {"A_bind": "ok"}, ()),
        ({"A.bind": "ok|EADDRINUSE"}, {"A_bind": "EINVAL"}, ("A.bind",)),
        ({"A.bind": "unreached"}, {"A_bind": "unreached"}, ()),
        ({"A.bind": "unreached"}, {"A_bind": "ok"}, ("A.bind",)),
        ({"A.accept": "timeout"}, {"A_accept": "timeout"}, ()),
        ({"A.connect__2": "ok"}, {"A_connect": "ok"}, ()),
        ({"A.name": "127.0.0.1:P"}, {"A_name": "127.0.0.1:10000"}, ()),
        ({"A.name": "127.0.0.1:P"}, {"A_name": "127.0.0.1:10001"}, ("A.name",)),
        ({"A.name": "127.0.0.1:P|127.0.0.1:Q"}, {"A_name": "127.0.0.1:10001"}, ()),
        ({"A.name": "[::1]:P"}, {"A_name": "[::1]:10000"}, ()),
        ({"A.name": "[::1]:P"}, {"A_name": "127.0.0.1:10000"}, ("A.name",)),
        ({"A.name": "127.0.0.1:P"}, {"A_name": "EBADF"}, ("A.name",)),
        ({"A.name": "127.0.0.1:X"}, {"A_name": "127.0.0.1:10000"}, ("A.name",)),
        ({"A.name": "127.0.0.1:40000..40007"}, {"A_name": "127.0.0.1:40000"}, ()),
        ({"A.name": "127.0.0.1:40000..40007"}, {"A_name": "127.0.0.1:40007"}, ()),
        ({"A.name": "127.0.0.1:40000..40007"}, {"A_name": "127.0.0.1:40008"}, ("A.name",)),
        ({"A.name": "127.0.0.1:40000..40007"}, {"A_name": "0.0.0.0:40000"}, ("A.name",)),
        ({"A.name": "127.0.0.1:5"}, {"A_name": "127.0.0.1:5"}, ()),
        ({"A.get": "0"}, {"A_get": "0"}, ()),
        ({"A.get": "0|1"}, {"A_get": "1"}, ()),
        ({"A.get": "0|1"}, {"A_get": "2"}, ("A.get",)),
        ({"A.get": "off"}, {"A_get": "off"}, ()),
        ({"A.get": "40000-40007"}, {"A_get": "40000-40007"}, ()),
        ({"A.get": "1|ENOPROTOOPT"}, {"A_get": "ENOPROTOOPT"}, ()),
        ({"A.get": "ok"}, {"A_get": "17"}, ()),
        ({}, {"A_get": "17"}, ()),
    ],
)
def test_matching(expected: dict[str, str], seen: dict[str, str], wrong: tuple[str, ...]) -> None:
    assert judge(expected, observed(**seen)) == Verdict("mismatch" if wrong else "match", wrong)


def test_all_differences_are_named_in_order() -> None:
    seen = observed(A_bind="EINVAL", A_listen="unreached", B_bind="ok", C_bind="ok")
    assert judge({"B.bind": "EADDRINUSE"}, seen).wrong == ("A.bind", "B.bind")


def test_nothing_expected_is_unknown() -> None:
    assert judge(None, observed(A_bind="EADDRINUSE")).state == "unknown"


def test_not_run_is_unsupported_with_the_reason() -> None:
    here = Observation("linux-6.18.44", not_run="needs user1")
    assert judge({}, here) == judge(None, here) == Verdict("unsupported", reason="needs user1")


@pytest.mark.parametrize(
    ("errno", "what"),
    [("EPROTONOSUPPORT", "protocol"), ("ESOCKTNOSUPPORT", "socket type"), ("EAFNOSUPPORT", "address family")],
)
def test_a_kind_of_socket_that_is_absent_is_unsupported(errno: str, what: str) -> None:
    seen = observed(A_socket=errno, A_bind="unreached")
    for expected in (None, {}, {"A.bind": "EADDRINUSE"}):
        verdict = judge(expected, seen)
        assert verdict.state == "unsupported"
        assert what in verdict.reason
        assert errno in verdict.reason
    assert judge({"A.socket": errno}, seen).state == "match"
    assert judge({}, observed(A_socket="EMFILE", A_bind="unreached")).state == "mismatch"


def test_meets_an_outcome_not_a_value() -> None:
    step = StepOutcome("A.name", "ok", "127.0.0.1:10000")
    assert meets(step, "ok", PORTS)
    assert not meets(step, "EADDRINUSE", PORTS)
    assert not meets(StepOutcome("A.name", "unreached"), "127.0.0.1:P", PORTS)


LABELS = ["A.bind", "A.bind#2", "A.name", "A.get"]


@pytest.mark.parametrize(
    "outcome",
    [{}, {"A.bind": "ok|EADDRINUSE"}, {"A.bind#2": "timeout"}, {"A.name": "127.0.0.1:P"}, {"A.get": "0|EINVAL"}],
)
def test_an_expectation_that_can_be(outcome: dict[str, str]) -> None:
    check_outcome(outcome, LABELS)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"B.bind": "ok"}, r"no step 'B.bind' .*A.bind, A.bind#2"),
        ({"A.bind#3": "ok"}, "no step 'A.bind#3'"),
        ({"A.bind": "eaddrinuse"}, "'eaddrinuse': neither ok"),
        ({"A.bind": "fails"}, "'fails'"),
        ({"A.bind": "EADDRINUSE|"}, "alternatives"),
        ({"A.bind": ""}, "alternatives"),
        ({"A.bind": "EADDRINUSE | ok"}, "'EADDRINUSE '"),
        ({"A.bind": "127.0.0.1:P"}, "neither ok"),
    ],
)
def test_an_expectation_that_cannot_be(outcome: dict[str, str], message: str) -> None:
    with pytest.raises(ExpectationError, match=message):
        check_outcome(outcome, LABELS)
