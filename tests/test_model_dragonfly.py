"""The model of DragonFly BSD: where it departs from its relatives, as its sources say."""

from __future__ import annotations

import pytest

from pytest_sockreuse.model import clauses, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named

DRAGONFLY = named("dragonfly-6.4.2")
RP = "SO_REUSEPORT"
LISTENER = "S = tcp4()\nS.bind(127.0.0.1:P)\nS.listen()\n"
ACCEPTED = LISTENER + "C = tcp4()\nC.connect(127.0.0.1:P)\nK = S.accept()\nS.close()\n"
USERS = f"A = tcp4({RP}) as user1\nA.bind(0.0.0.0:P)\nB = tcp4({RP}) as user2\nB.bind(0.0.0.0:P)\n"
AGAIN = "B = tcp4()\nB.bind(127.0.0.1:P)\nB.listen()\n"
SHARED = f"A[1-2] = tcp4({RP})\nA[1-2].bind(127.0.0.1:P)\nA[1-2].listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ACCEPTED + AGAIN, {}),
        ((ACCEPTED + AGAIN).replace("tcp4", "tcp6").replace("127.0.0.1", "[::1]"), {"B.bind": "EADDRINUSE"}),
        (LISTENER + AGAIN, {"B.bind": "EADDRINUSE"}),
        (LISTENER + "S.shutdown(RDWR)\n" + AGAIN + "S.listen()\n", {"S.listen#2": "EINVAL"}),
        (USERS, {"B.bind": "EADDRINUSE"}),
        ("A = tcp6(IPV6_V6ONLY=0)\n", {"A.socket": "EOPNOTSUPP"}),
        ("A = tcp6()\nA.bind([::ffff:127.0.0.1]:P)\n", {"A.bind": "EADDRNOTAVAIL"}),
        ("A = tcp6()\nA.bind([::]:P)\nB = tcp4()\nB.bind(0.0.0.0:P)\n", {}),
        (SHARED + "K = A1.accept()\nL = A2.accept()\n", {"K.accept": "ok|timeout", "L.accept": "ok|timeout"}),
        ("A = tcp4(SO_REUSEPORT_LB)\n", {"A.socket": "ENOPROTOOPT"}),
    ],
)  # fmt: skip
def test_what_its_sources_say(text: str, expected: dict[str, str]) -> None:
    steps = predict(parse(text), DRAGONFLY).steps
    said = {s.step: s.unknown or "|".join(s.outcomes) for s in steps if s.outcomes not in (("ok",), ("unreached",))}
    assert said == expected


def test_an_ephemeral_port_is_a_low_one() -> None:
    (value,) = predict(parse("A = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\n"), DRAGONFLY).steps[-1].values or ()
    assert str(value) == "127.0.0.1:1024..5000"


def test_nothing_of_it_is_called_measured() -> None:
    assert "measured" not in {clause.confidence for clause in clauses(DRAGONFLY)}
