"""Every clause of the models is pinned: taking it away changes what is said of some case of the suite."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from pytest_sockreuse import loader, model
from pytest_sockreuse.model import Clause, Prediction, families, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, known, version
from pytest_sockreuse.suite import Variant

LONG = 16  # steps: there are enough shorter cases


# A case of the suite for these would hang in every run until the scenario's time is up.
HANGING = {
    "nothing-arrives": """
L = tcp4()
L.bind(127.0.0.1:P)
L.listen()
C = tcp4()
C.connect(127.0.0.1:P)
C.eof()
"""
}


class _Noting(frozenset[str]):
    """The clauses that hold; notes which of them the model asks for: no other could change its answer."""

    asked: set[str]

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


@cache
def _variants() -> list[Variant]:
    """One variant of each text: the cases made for this first, then one of each case, and so on; long ones last."""
    cases = [case for rule in loader.load().rules.values() for case in rule.cases]
    cases.sort(key=lambda case: case.rule != "clauses")
    turns = itertools.zip_longest(*(case.variants for case in cases))
    texts = {variant.text: variant for turn in turns for variant in turn if variant is not None}
    return sorted(texts.values(), key=lambda variant: len(variant.scenario.steps) > LONG)


def _platforms(stack: str) -> list[Platform]:
    """The known versions of a stack, newest first, and those at which a clause begins."""
    found = [platform for platform in reversed(known()) if platform.stack == stack]
    spans = [clause.span for clause in families()[stack].BOOK.clauses.values()]
    labels = dict.fromkeys(label for span in spans for label in span.since)
    return [*found, *(Platform(stack, version(label), label) for label in labels)]


def _clauses(stack: str) -> dict[Platform, list[Clause]]:
    """Each clause of a stack, by the first platform on which it holds."""
    found: dict[Platform, list[Clause]] = defaultdict(list)
    for clause in families()[stack].BOOK.clauses.values():
        holds = [p for p in _platforms(stack) if p.version in clause.span and not families()[stack].covers(p)]
        assert holds, f"{clause.name} holds on no version that is modelled"
        found[holds[0]].append(clause)
    return found


def _asked(platform: Platform, variant: Variant) -> tuple[Prediction, set[str]]:
    """What is said of a variant, and the clauses that were asked for on the way."""
    plain: Callable[..., tuple[Any, frozenset[str]]] = model._rules
    noting = _Noting(plain(platform, frozenset())[1])
    noting.asked = set()
    rules = families()[platform.stack].rules(platform, noting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "_rules", lambda *_: (rules, noting))
        return predict(variant.scenario, platform), noting.asked


def _said(prediction: Prediction) -> list[object]:
    return [(step.outcomes, step.values, step.unknown) for step in prediction.steps]


def _catching(platform: Platform, wanted: set[str]) -> dict[str, str]:
    """The first case that catches each of the clauses."""
    found: dict[str, str] = {}
    for variant in _variants():
        if not wanted - found.keys():
            break
        said, asked = _asked(platform, variant)
        for name in (wanted & asked) - found.keys():
            if _said(predict(variant.scenario, platform, inverted={name})) != _said(said):
                found[name] = variant.id
    return found


@pytest.mark.parametrize("stack", families())
def test_a_case_catches_the_loss_of_every_clause(stack: str, record_property: Callable[[str, object], None]) -> None:
    free = []
    for platform, clauses in _clauses(stack).items():
        names = {clause.name for clause in clauses}
        hanging = {name: parse(HANGING[name]) for name in names & HANGING.keys()}
        for name, scenario in hanging.items():
            assert _said(predict(scenario, platform)) != _said(predict(scenario, platform, inverted={name})), name
        names -= hanging.keys()
        found = _catching(platform, names)
        for name, caught in found.items():
            record_property(name, caught)
            print(f"{name} on {platform}: {caught}")
        free += [f"{name} (on {platform})" for name in sorted(names - found.keys())]
    assert not free, f"clauses of {stack} that no case pins: {', '.join(free)}"
