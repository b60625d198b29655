"""What two connected SCTP sockets do, as user-mode Linux 7.2.7, 6.1.176 and 5.10.46 did it."""

from __future__ import annotations

import pytest

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named

NOW = named("linux-7.2")

LISTENS = "l = sctp4()\nl.bind(127.0.0.1:P)\nl.listen()\nc = sctp4()\nc.connect(127.0.0.1:P)\n"
CONNECTED = LISTENS + "s = l.accept()\n"


def after(before: str, lines: str) -> list[str]:
    """The outcomes that are predicted of `lines`, after `before`."""
    steps = predict(parse(f"{before}{lines}\n"), NOW).steps
    return ["|".join(step.outcomes) for step in steps[len(predict(parse(before), NOW).steps) :]]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("c.send()\ns.send()\nc.close()\ns.recv()?\ns.recv()?\ns.recv()?", "ok ok ok ok ECONNRESET timeout"),
        ("c.send()\ns.close()\nc.eof()?\nc.eof()?", "ok ok ECONNRESET ENOTCONN"),
        ("c.shutdown(WR)\nc.recv()?\nc.eof()?\ns.eof()?\ns.recv()?", "ok timeout ENOTCONN ok ok"),
        ("c.shutdown(RD)\nc.recv()?\nc.send()?\ns.send()?\nc.recv()?\ns.recv()?", "ok ok ok ok ok ok"),
        ("s.send()\nc.shutdown(WR)\nc.recv()?\nc.recv()?\nc.shutdown(WR)", "ok ok ok timeout ok"),
        ("s.close()\nc.connect(127.0.0.1:P)?\nc.listen()?\nc.sendto(127.0.0.1:P)?", "ok EISCONN EINVAL EADDRNOTAVAIL"),
        ("c.sendto(127.0.0.1:P)\nc.sendto(127.0.0.1:Q)?\ns.recv()\ns.recv()?", "ok EADDRNOTAVAIL ok timeout"),
        ("l.close()\nn = sctp4()\nn.bind(127.0.0.1:P)?\ns.close()\nn.bind(127.0.0.1:P)", "ok ok EADDRINUSE ok ok"),
        ("c.set(SO_LINGER=1)\nc.close()\ns.recv()?\ns.send()?", "ok ok ok EPIPE"),
    ],
)
def test_the_end_of_a_connection(lines: str, expected: str) -> None:
    assert after(CONNECTED, lines) == expected.split()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("c.send()\nl.close()\nc.recv()?\nc.recv()?", "ok ok ECONNRESET timeout"),
        ("l.close()\nc.recv()?\nc.send()?", "ok ok EPIPE"),
        ("c.close()\ns = l.accept()\ns.recv()?\ns.shutdown(WR)?\ns.shutdown(WR)?", "ok ok ok ENOTCONN ok"),
        ("c.set(SO_LINGER=0)\nc.close()\ns = l.accept()\ns.recv()?\ns.send()?", "ok ok ok ok EPIPE"),
        ("l.listen(0)\na = l.accept()?\nl.listen()\nb = l.accept()\nc.send()\nb.recv()", "ok EINVAL ok ok ok ok"),
    ],
)
def test_the_end_of_a_connection_that_waits_to_be_accepted(lines: str, expected: str) -> None:
    assert after(LISTENS, lines) == expected.split()


def test_a_refused_connection_is_told_once_more() -> None:
    lines = "a.recv()?\na.recv()?\na.send()?\na.connect(127.0.0.1:P)?\na.send()?"
    seen = after("a = sctp4()\na.connect(127.0.0.1:P)?\na.name()\n", lines)
    assert seen == ["ECONNREFUSED", "timeout", "EPIPE", "ECONNREFUSED", "ECONNREFUSED"]


@pytest.mark.parametrize(
    "lines",
    [
        "c.send()\nc.send()\nc.close()\ns.recv()\n",  # the second datum is acknowledged after 0.2 s: SHUTDOWN waits
        "c.send()\nc.send()\nc.send()\ns.recv()\n",  # and so does the third, by Nagle's rule
    ],
)
def test_what_waits_for_an_acknowledgement_is_unknown(lines: str) -> None:
    assert "acknowledged" in predict(parse(CONNECTED + lines), NOW).unknown


def test_what_goes_back_acknowledges_what_came() -> None:
    assert not predict(
        parse(CONNECTED + "c.send()\ns.send()\nc.send()\ns.send()\nc.recv()\nc.recv()\nc.close()\n"), NOW
    ).unknown
