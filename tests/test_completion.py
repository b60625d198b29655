"""What may be written next: every word that is offered leads to a scenario."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse.completion import complete
from pytest_sockreuse.options import options
from pytest_sockreuse.parser import parse
from pytest_sockreuse.scenario import CALLS, KINDS, ScenarioError

ABOVE = "listener = tcp4(SO_REUSEADDR)\nlistener.bind(127.0.0.1:P)\nsix = udp6()\ngone = tcp4()\ngone.close()\n"


def offered(line: str, above: str = ABOVE) -> list[str]:
    """What is offered at the end of a line below others."""
    text = above + line
    found = complete(text, text.count("\n") + 1, len(line) + 1)
    return [line[: found.start - 1] + offer.text for offer in found.offers]


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("", ["listener.", "six.", "wait "]),
        ("lis", ["listener."]),
        ("A = ", ["A = tcp4(", "A = udplite6(", "A = listener.accept()", "A = six.dup()"]),
        ("A = ud", ["A = udp4(", "A = udplite6("]),
        ("A = listener.", ["A = listener.accept()", "A = listener.dup()"]),
        ("listener.", ["listener.bind(", "listener.close()", "listener.shutdown("]),
        ("six.b", ["six.bind("]),
        ("A = tcp4(", ["A = tcp4(SO_REUSEADDR", "A = tcp4(SO_LINGER="]),
        ("A = tcp4(SO_REUSEADDR, reuse", ["A = tcp4(SO_REUSEADDR, SO_REUSEPORT"]),
        ("A = tcp4(SO_LINGER=", ["A = tcp4(SO_LINGER=off"]),
        ("six.set(IP_ADD_MEMBERSHIP=22", ["six.set(IP_ADD_MEMBERSHIP=224.0.0.251%lo"]),
        ("six.set(IPV6_JOIN_GROUP=", ["six.set(IPV6_JOIN_GROUP=ff02::fb%lo"]),
        ("six.set(IPV6_MULTICAST_IF=", ["six.set(IPV6_MULTICAST_IF=lo"]),
        ("listener.set(IPV6", ["listener.set(IPV6_V6ONLY"]),
        ("listener.get(SO_L", ["listener.get(SO_LINGER"]),
        ("six.bind(", ["six.bind([::1]:", "six.bind(127.0.0.1:"]),
        ("listener.bind(12", ["listener.bind(127.0.0.1:"]),
        ("six.connect([::1]:", ["six.connect([::1]:P)", "six.connect([::1]:0)", "six.connect([::1]:gone.port)"]),
        ("six.connect([::1]:lis", ["six.connect([::1]:listener.port)"]),
        ("listener.shutdown(", ["listener.shutdown(RDWR)"]),
        ("A = tcp4() as ", ["A = tcp4() as user1"]),
    ],
)
def test_what_fits_is_offered(line: str, some: list[str]) -> None:
    assert set(some) <= set(offered(line))


def test_what_does_not_fit_is_not() -> None:
    assert "gone." not in offered("")
    assert "listener.accept()" not in offered("listener.")
    assert not [word for word in offered("") if word.startswith(("sysctl", "ephemeral"))]
    assert {"sysctl ", "ephemeral ", "address ", "device "} <= set(offered("", ""))
    assert offered("# A = ") == offered("A = tcp4() # ") == offered("listener.close()") == []
    assert offered("six.bind(")[0] == "six.bind([::1]:"
    assert offered("listener.bind(")[0] == "listener.bind(127.0.0.1:"


def test_every_verb_kind_and_option_of_the_language_is_offered() -> None:
    calls = {word.removeprefix("listener.").partition("(")[0] for word in offered("listener.")}
    made = {word.rpartition(".")[2].partition("(")[0] for word in offered("A = listener.")}
    assert calls | made == {line.verb for line in CALLS} - {"socket", "wait"}
    assert {f"A = {kind}(" for kind in KINDS} <= set(offered("A = "))
    assert {word.partition("(")[2].rstrip("=") for word in offered("A = tcp4(")} == set(options())


@pytest.mark.parametrize("first", ["listener.", "six.", "A = ", "A = tcp4(", "listener.set("])
def test_whatever_is_taken_leads_to_a_scenario(first: str) -> None:
    """Taken is what is offered first, and from each word that is offered now; at last a bracket is closed."""
    for line in offered(first):
        while not any(map(is_scenario, ends := (line, f"{line})", f"{line}1)"))):
            following = [word for word in offered(line) if word != line]
            assert following, ends
            line = following[0]


def is_scenario(line: str) -> bool:
    with contextlib.suppress(ScenarioError):
        return bool(parse(ABOVE + line))
    return False


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(st.text(alphabet='AaSO_=.(),:[]#0-9 \t\n"é', max_size=40), st.integers(-1, 9), st.integers(-3, 60))
def test_no_text_breaks_it(text: str, line: int, column: int) -> None:
    found = complete(ABOVE + text, line, column)
    assert found.start <= column or not found.offers
