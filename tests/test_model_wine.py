"""The model of Wine: the binds as Wine 8.0 showed them, what it makes of its host's answers, and its versions."""

from __future__ import annotations

import itertools

import pytest

from pytest_sockreuse.model import families, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, known, named, version

NONE, RA, EX = "", "SO_REUSEADDR", "SO_EXCLUSIVEADDRUSE"
COLUMNS = tuple(itertools.product((NONE, RA, EX), ("0.0.0.0", "127.0.0.1")))
X, A, OK = "EADDRINUSE", "EACCES", "ok"

# first socket -> second: none any, none lo, ra any, ra lo, ex any, ex lo
TCP = {
    (NONE, "0.0.0.0"): (X, OK, A, OK, X, OK),
    (NONE, "127.0.0.1"): (OK, X, OK, A, X, X),
    (RA, "0.0.0.0"): (X, OK, OK, OK, X, OK),
    (RA, "127.0.0.1"): (OK, X, OK, OK, X, X),
    (EX, "0.0.0.0"): (A, A, A, A, A, A),
    (EX, "127.0.0.1"): (OK, X, OK, A, X, X),
}
LISTENING = dict.fromkeys(COLUMNS, (X, X, A, A, X, X)) | {(EX, "0.0.0.0"): (A, A, A, A, A, A)}
UDP = dict.fromkeys(COLUMNS, (X, X, A, A, X, X)) | {(RA, address): (X, X, OK, OK, X, X) for _, address in COLUMNS}


def outcomes(text: str, on: str = "wine-8.0") -> dict[str, str]:
    """What is not plainly ok or unreached, as an expectation spells it."""
    steps = predict(parse(text), named(on)).steps
    return {s.step: s.unknown or "|".join(s.outcomes) for s in steps if s.outcomes not in (("ok",), ("unreached",))}


@pytest.mark.parametrize("on", ["wine-8.0", "wine-10.0"])
@pytest.mark.parametrize("second", range(len(COLUMNS)))
@pytest.mark.parametrize("first", COLUMNS)
@pytest.mark.parametrize(
    ("kind", "then", "table"), [("tcp4", "", TCP), ("tcp4", "A.listen()\n", LISTENING), ("udp4", "", UDP)]
)
def test_the_bind_table(
    kind: str, then: str, table: dict[tuple[str, str], tuple[str, ...]], first: tuple[str, str], second: int, on: str
) -> None:
    (p, x), (q, y) = first, COLUMNS[second]
    text = f"A = {kind}({p})\nA.bind({x}:P)\n{then}B = {kind}({q})\nB.bind({y}:P)\n"
    assert outcomes(text, on).get("B.bind", OK) == table[first][second]


DUAL = "IPV6_V6ONLY=0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"A = tcp6({DUAL}, {EX})\nA.bind([::]:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\n", {"B.bind": A}),
        (f"A = tcp6({EX})\nA.bind([::]:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\n", {}),
        ("A = tcp4()\nA.bind([::1]:P)\n", {"A.bind": "EOPNOTSUPP"}),
        ("A = tcp4()\nA.listen()\n", {"A.listen": "EINVAL"}),
        ("A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()\nA.shutdown(RDWR)?\n", {"A.shutdown": "ENOTCONN"}),
        ("A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()\nA.connect(127.0.0.1:Q)\n", {"A.connect": "EINVAL"}),
        ("A = udp4()\nA.send()\n", {"A.send": "EINVAL"}),
        ("A = tcp4()\nA.send()\n", {"A.send": "ECONNRESET"}),
    ],
)
def test_what_was_seen_on_wine_8(text: str, expected: dict[str, str]) -> None:
    assert outcomes(text) == expected


def test_an_address_of_loopback_that_nobody_added_is_no_source() -> None:
    text = "L = tcp4()\nL.bind(0.0.0.0:P)\nL.listen()\nC = tcp4()\nC.connect(127.0.0.2:P)\nC.name()\n"
    plain, given = (predict(parse(above + text), named("wine-8.0")).texts for above in ("", "address 127.0.0.2\n"))
    assert plain[-1].startswith("127.0.0.1:")
    assert given == plain


def test_a_listener_that_closes_leaves_its_address_to_the_next() -> None:
    text = "A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\nS = A.accept()\n"
    again = "B = tcp4()\nB.bind(127.0.0.1:P)\nB.listen()\n"
    assert outcomes(text + again) == {"B.bind": X}
    assert outcomes(text + "A.close()\n" + again) == {}


def test_what_changed_from_8_to_10() -> None:
    unbound, foreign = "A = udp4()\nA.listen()\n", "A = udp4()\nA.bind(192.0.2.1:P)\n"
    assert outcomes(unbound) == {"A.listen": "EINVAL"}
    assert outcomes(foreign) == {}
    assert outcomes(unbound, "wine-10.0") == {"A.listen": "EOPNOTSUPP"}
    assert outcomes(foreign, "wine-10.0") == {"A.bind": "EADDRNOTAVAIL"}


def test_what_is_not_known() -> None:
    for label in ("7.0", "9.0"):
        assert predict(parse("A = tcp4()\n"), Platform("wine", version(label), label)).unknown
    refused = "A = tcp4()\nA.connect(127.0.0.1:P)?\nA.listen()\n"
    assert "failed" in outcomes(refused)["A.listen"]


def test_beside_its_own_clauses_those_of_the_host_hold() -> None:
    newest = [platform for platform in known() if platform.stack == "linux"][-1]
    book = families()["wine"].BOOK.on(named("wine-10.0"))
    assert families()["linux"].BOOK.on(newest) < book
