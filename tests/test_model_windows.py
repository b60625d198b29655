"""The model of Windows: Microsoft's bind table row by row, dual stack, scenarios, and what nobody tells."""

from __future__ import annotations

import itertools
from functools import partial

import modelling
import pytest
from modelling import bound

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import known, named

W = named("windows-11")
NONE, RA, EX = "", "SO_REUSEADDR", "SO_EXCLUSIVEADDRUSE"
USED, DENIED, EITHER = "EADDRINUSE", "EACCES", "EACCES|EADDRINUSE"
OK = ""
outcomes = partial(modelling.outcomes, platform=W)

# first socket -> second: none wild, none spec, ra wild, ra spec, ex wild, ex spec
TABLE = {
    (NONE, "wild"): (USED, OK, DENIED, OK, USED, OK),
    (NONE, "spec"): (OK, USED, OK, DENIED, USED, USED),
    (RA, "wild"): (USED, OK, OK, OK, USED, OK),
    (RA, "spec"): (OK, EITHER, OK, OK, USED, USED),
    (EX, "wild"): (EITHER, DENIED, DENIED, DENIED, EITHER, DENIED),
    (EX, "spec"): (OK, USED, OK, DENIED, USED, USED),
}
OTHER_USER = TABLE | {
    (NONE, "wild"): (USED, DENIED, DENIED, DENIED, USED, DENIED),
    (RA, "wild"): (USED, DENIED, OK, OK, USED, DENIED),
}
COLUMNS = tuple(itertools.product((NONE, RA, EX), ("wild", "spec")))
HOSTS = {("4", "wild"): "0.0.0.0", ("4", "spec"): "127.0.0.1", ("6", "wild"): "[::]", ("6", "spec"): "[::1]"}


def second_bind(first: str, second: str, kind: str = "tcp", user: str = "") -> str:
    """Two sockets, each as OPTIONS@ADDRESS, bound to one port: the outcome of the second bind()."""
    users = ("user1", "user2") if user else ("", "")
    return outcomes(bound(first, second, kind, users=users)).get("B.bind", OK)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("family", "46")
@pytest.mark.parametrize("first", TABLE)
def test_the_bind_table(first: tuple[str, str], family: str, kind: str) -> None:
    for second, expected in zip(COLUMNS, TABLE[first], strict=True):
        one, two = (f"{option}@{HOSTS[family, where]}" for option, where in (first, second))
        assert second_bind(one, two, kind) == expected, second


@pytest.mark.parametrize("first", OTHER_USER)
def test_the_bind_table_of_two_users(first: tuple[str, str]) -> None:
    for second, expected in zip(COLUMNS, OTHER_USER[first], strict=True):
        one, two = (f"{option}@{HOSTS['4', where]}" for option, where in (first, second))
        assert second_bind(one, two, user="two") == expected, second


DUAL = "IPV6_V6ONLY=0"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (f"{DUAL}, {EX}@[::]", "@0.0.0.0", DENIED),
        (f"{DUAL}, {EX}@[::]", "@127.0.0.1", DENIED),
        (f"{DUAL}, {EX}@[::]", f"{RA}@0.0.0.0", DENIED),
        (f"{DUAL}@[::]", "@0.0.0.0", OK),
        (f"{DUAL}@[::]", f"{EX}@0.0.0.0", OK),
        ("@127.0.0.1", f"{DUAL}, {EX}@[::]", EITHER),
        ("@[::1]", f"{EX}@0.0.0.0", OK),
        (f"{EX}@[::1]", f"{EX}@127.0.0.1", OK),
        (f"{DUAL}@[::ffff:127.0.0.1]", f"{EX}@0.0.0.0", USED),
        (f"{DUAL}@[::ffff:127.0.0.1]", "@127.0.0.1", USED),
        ("@127.0.0.1", f"{DUAL}@[::ffff:127.0.0.1]", USED),
        (f"{DUAL}@[::ffff:0.0.0.0]", "@0.0.0.0", USED),
        ("@[::]", "@0.0.0.0", OK),
        ("@127.0.0.1", "@127.0.0.2", OK),
        (f"{EX}@127.0.0.1", f"{EX}@127.0.0.2", OK),
    ],
)
def test_dual_stack(first: str, second: str, expected: str) -> None:
    assert second_bind(first, second) == expected


LISTENER = "L = tcp4({0})\nL.bind(127.0.0.1:P)\nL.listen()\n"
PAIR = LISTENER + "C = tcp4()\nC.connect(127.0.0.1:P)\nS = L.accept()\n"
SHARED = f"A = tcp4({RA})\nA.bind(127.0.0.1:P)\nB = tcp4({RA})\nB.bind(127.0.0.1:P)\n"


def test_shared_listeners() -> None:
    text = SHARED + "B.listen()\nA.listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\nS = A.accept()\nT = B.accept()\n"
    assert outcomes(text) == {"S.accept": "timeout"}
    after = text.replace("C = tcp4()", "B.close()\nC = tcp4()").replace("T = B.accept()\n", "")
    assert outcomes(after) == {}


def test_the_specific_listener_wins() -> None:
    text = "A = tcp4()\nA.bind(0.0.0.0:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\nA.listen()\nB.listen()\n"
    assert outcomes(text + "C = tcp4()\nC.connect(127.0.0.1:P)\nS = A.accept()\nT = B.accept()\n") == {
        "S.accept": "timeout"
    }


def test_one_port_outwards() -> None:
    peers = "L[1-2] = tcp4()\nL[1-2].bind(127.0.0.1:0)\nL[1-2].listen()\n"
    text = peers + SHARED + "A.connect(127.0.0.1:L1.port)\nB.connect(127.0.0.1:L{}.port)\n"
    assert outcomes(text.format(2)) == {}
    assert outcomes(text.format(1)) == {"B.connect": USED}


@pytest.mark.parametrize("option", [NONE, RA, EX])
def test_time_wait_holds_no_port(option: str) -> None:
    text = PAIR.format("") + f"L.close()\nS.close()\nC.close()\nB = tcp4({option})\nB.bind(127.0.0.1:P)\nB.listen()\n"
    assert outcomes(text) == {}


def test_time_wait_holds_its_tuple() -> None:
    text = (
        LISTENER.format("")
        + "C = tcp4()\nC.bind(127.0.0.1:Q)\nC.connect(127.0.0.1:P)\nS = L.accept()\nC.close()\nS.close()\n"
    )
    again = "D = tcp4()\nD.bind(127.0.0.1:Q)\nD.connect(127.0.0.{}:P)\n"
    assert outcomes(text + again.format(1)) == {"D.connect": USED}
    assert outcomes(text.replace("L.bind(127.0.0.1", "L.bind(0.0.0.0") + again.format(2)) == {}


def test_what_nobody_tells() -> None:
    established = PAIR.format("") + "L.close()\nB = tcp4({})\nB.bind(127.0.0.1:P)\n"
    assert outcomes(established.format(RA)) == {}
    assert "SO_EXCLUSIVEADDRUSE" in outcomes(established.format(EX))["B.bind"]
    for text in (
        "A = tcp4()\nA.bind(127.0.0.1:P)\nA.connect(127.0.0.1:P)\n",
        f"ephemeral 50000-50000\nA[1-2] = tcp4({RA})\nA[1-2].bind(127.0.0.1:0)\n",
        "A = mptcp4()\n",
        second_text("@0.0.0.0", f"{DUAL}, {EX}@[::]"),
        f"A = tcp6({DUAL}, {RA})\nA.bind([::]:P)\nB = tcp4()\nB.bind(0.0.0.0:P)\n",
        "A = udp4()\nA.connect(127.0.0.1:P)\nA.send()\nA.recv()\n",
    ):
        assert predict(parse(text), W).unknown, text


def second_text(first: str, second: str) -> str:
    """As `second_bind`, with 0.0.0.0 that has an option, for which nothing is told."""
    return f"A = tcp4({RA})\nA.bind({first[1:]}:P)\nB = tcp6({second.partition('@')[0]})\nB.bind([::]:P)\n"


def test_every_windows_answers() -> None:
    for platform in known():
        if platform.stack == "windows":
            assert not predict(parse(SHARED), platform).unknown
