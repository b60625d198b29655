"""Every clause of the models is pinned: inverting it changes what is said of some case of the suite.

A clause is a flag that the code asks for. Inverted, it is missing on the versions that have it, and holds on those that
have not, which is tried right beyond each of its bounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cache

import pytest
from shipped import shipped

from pytest_sockreuse import model
from pytest_sockreuse.model import Clause, families, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.pins import candidates, pins, said, versions
from pytest_sockreuse.platforms import Platform, known, version
from pytest_sockreuse.suite import Variant

# A case of the suite for these would take until the scenario's time is up, or a minute and more, in every run.
SLOW = {
    "fin-wait2-ends": """
L = tcp4()
L.bind(127.0.0.1:P)
L.listen()
C = tcp4()
C.bind(127.0.0.1:Q)
C.connect(127.0.0.1:P)
A = L.accept()
C.close()
wait 1000
B = tcp4()
B.bind(127.0.0.1:Q)
""",
    "nothing-arrives": """
L = tcp4()
L.bind(127.0.0.1:P)
L.listen()
C = tcp4()
C.connect(127.0.0.1:P)
C.eof()
""",
    "minute-of-time-wait": """
L = tcp4()
L.bind(127.0.0.1:P)
L.listen()
C = tcp4()
C.connect(127.0.0.1:P)
A = L.accept()
L.close()
A.shutdown(WR)
C.close()
A.eof()
wait 70
B = tcp4()
B.bind(127.0.0.1:P)
""",
    "time-wait-ends": """
L = tcp4()
L.bind(127.0.0.1:P)
L.listen()
C = tcp4()
C.bind(127.0.0.1:Q)
C.connect(127.0.0.1:P)
A = L.accept()
C.close()
A.close()
wait 400
B = tcp4()
B.bind(127.0.0.1:Q)
B.connect(127.0.0.1:P)
""",
}


@cache
def _variants() -> list[Variant]:
    return candidates(shipped())


def _book(stack: str) -> list[Clause]:
    """The clauses of a stack; those of its host, where it runs on another system, are pinned there."""
    family = families()[stack]
    host = family.HOST.clauses if stack == "wine" else {}
    return [clause for name, clause in family.BOOK.clauses.items() if name not in host]


def _inside(stack: str) -> dict[Platform, set[str]]:
    """Each clause of a stack, by the first platform on which it holds."""
    found: dict[Platform, set[str]] = defaultdict(set)
    for clause in _book(stack):
        holds = [p for p in versions(stack) if p.version in clause.span and not families()[stack].covers(p)]
        assert holds, f"{clause.name} holds on no version that is modelled"
        found[holds[0]].add(clause.name)
    return found


def _before(stack: str, label: str) -> Platform | None:
    """The last version before `label`, in its line if that begins before."""
    at = version(label)
    if len(at) > 2 and at[2]:
        text = ".".join(map(str, (*at[:2], at[2] - 1)))
        return Platform(stack, version(text), text)
    return next((p for p in reversed(known()) if p.stack == stack and p.version < at), None)


def _outside(stack: str) -> dict[Platform, set[str]]:
    """The clauses of a stack that have bounds, by the platforms right beyond each bound."""
    found: dict[tuple[Clause, ...], tuple[Platform, set[str]]] = {}
    for clause in _book(stack):
        ends = [Platform(stack, version(label), label) for label in clause.span.until]
        for platform in (*(_before(stack, label) for label in clause.span.since), *ends):
            if platform and platform.version not in clause.span and not families()[stack].covers(platform):
                found.setdefault(model.clauses(platform), (platform, set()))[1].add(clause.name)
    return dict(found.values())


def _partners(stack: str, name: str) -> list[str]:
    """The clauses that begin or end where this one does: they take its place, or without them it means nothing."""
    bounds = {clause.name: {*clause.span.since, *clause.span.until} for clause in _book(stack)}
    return [other for other, labels in bounds.items() if other != name and labels & bounds[name]]


def _shown(platform: Platform, name: str, variant: Variant) -> str | None:
    """Whether a case catches a clause beyond its bounds: alone, else beside the inversion of which partner."""
    for partner in ([], *([other] for other in _partners(platform.stack, name))):
        plain, else_ = (predict(variant.scenario, platform, inverted=names) for names in (partner, [name, *partner]))
        if said(plain) != said(else_):
            return " beside ".join([variant.id, *partner])
    return None


@pytest.mark.parametrize("stack", families())
def test_a_case_catches_the_inversion_of_every_clause(
    stack: str, record_property: Callable[[str, object], None]
) -> None:
    """A clause is taken away where it holds; right beyond its bounds it holds, alone or beside an inverted partner.

    Not where its case needs a setting that came with the clause.
    """
    cases: dict[str, str] = {}
    inside: dict[str, Variant] = {}
    for platform, names in _inside(stack).items():
        for name in names & SLOW.keys():
            scenario = parse(SLOW[name])
            assert said(predict(scenario, platform)) != said(predict(scenario, platform, inverted={name})), name
        found = pins(platform, names - SLOW.keys(), _variants())
        inside |= found
        cases |= {f"{name} on {platform}": variant.id for name, variant in found.items()}
        cases |= {f"{name} on {platform}": "" for name in names - found.keys() - SLOW.keys()}
    for platform, bounded in _outside(stack).items():
        names = {n for n in bounded if n not in inside or not predict(inside[n].scenario, platform).not_run}
        shown = {name: _shown(platform, name, inside[name]) for name in names & inside.keys()}
        others = pins(platform, {name for name in names if not shown.get(name)}, _variants())
        shown |= {name: variant.id for name, variant in others.items()}
        cases |= {f"{name} beyond its bounds, on {platform}": shown.get(name) or "" for name in names}
    for pin, case in cases.items():
        record_property(pin, case)
        print(f"{pin}: {case}")
    free = [pin for pin, case in cases.items() if not case]
    assert not free, f"clauses of {stack} that no case pins: {', '.join(free)}"


def test_a_case_that_a_platform_does_not_run_pins_nothing_there() -> None:
    wine = next(p for p in known() if p.stack == "wine")
    variant = next(v for v in _variants() if predict(v.scenario, wine).not_run)
    assert not pins(wine, families()["wine"].BOOK.clauses, [variant])
