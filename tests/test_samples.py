"""The playground's situations are those of docs/explain.md, and come to what that page says."""

from __future__ import annotations

import pytest
from samples import situations
from situations import SITUATIONS

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import newest

FAILS = {  # on Linux: the step, and the clause that docs/explain.md names, or one as good
    "A server is there already": ("second.bind", "EADDRINUSE", "listener-excludes"),
    "A restart within the minute": ("new.bind", "EADDRINUSE", "time-wait-keeps-port"),
    "The server was killed, its client is still there": ("new.bind", "EADDRINUSE", "time-wait-keeps-port"),
    "Connections that nobody closed": ("new.bind", "EADDRINUSE", "bind-conflict"),
    "A child has the listener": ("new.bind", "EADDRINUSE", "listener-excludes"),
    "Workers share the listener": ("new.bind", "EADDRINUSE", "listener-excludes"),
    "IPv6's wildcard has IPv4's port": ("four.bind", "EADDRINUSE", "bind-conflict"),
    "Another user has it": ("second.bind", "EADDRINUSE", "reuseport-same-user"),
    "A low port": ("A.bind", "EACCES", "low-port-privileged"),
    "An outgoing connection was given the port": ("server.bind", "EADDRINUSE", "bind-conflict"),
    "Ports run out": ("next.connect", "EADDRNOTAVAIL", ""),
    "The address is not of this host": ("A.bind", "EADDRNOTAVAIL", "address-not-local"),
}


def test_they_are_the_twelve_of_the_page() -> None:
    assert [one.title for one in situations()] == list(SITUATIONS) == list(FAILS)


@pytest.mark.parametrize("title", FAILS)
def test_each_fails_on_linux_as_the_page_says(title: str) -> None:
    text = next(one.text for one in situations() if one.title == title)
    steps = predict(parse(text), newest("linux")).steps
    first = next(step for step in steps if step.outcomes != ("ok",))
    step, outcome, clause = FAILS[title]
    assert (first.step, first.outcomes) == (step, (outcome,))
    assert first.clause == clause or not clause
