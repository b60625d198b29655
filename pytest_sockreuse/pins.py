"""Which cases of the suite pin a clause: what is predicted of them is another where the clause is inverted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from .model import Prediction, families, predict, predict_asking
from .platforms import Platform, known, version
from .suite import Suite, Variant

_LONG = 16  # steps: there are enough shorter cases


def versions(stack: str) -> list[Platform]:
    """The known versions of a modelled stack, newest first, and those at which a clause begins."""
    found = [platform for platform in reversed(known()) if platform.stack == stack]
    labels = dict.fromkeys(label for clause in families()[stack].BOOK.clauses.values() for label in clause.span.since)
    return [*found, *(Platform(stack, version(label), label) for label in labels)]


def candidates(suite: Suite) -> list[Variant]:
    """One variant of each text: the cases made for this first, then one of each case, and so on; long ones last."""
    cases = [case for rule in suite.rules.values() for case in rule.cases]
    cases.sort(key=lambda case: case.rule != "clauses")
    turns = itertools.zip_longest(*(case.variants for case in cases))
    texts = {variant.text: variant for turn in turns for variant in turn if variant is not None}
    return sorted(texts.values(), key=lambda variant: len(variant.scenario.steps) > _LONG)


def said(prediction: Prediction) -> list[object]:
    """What a case can show of a prediction: anything but the clauses."""
    return [(step.outcomes, step.values, step.unknown) for step in prediction.steps]


def pins(platform: Platform, clauses: Iterable[str], variants: Iterable[Variant]) -> dict[str, Variant]:
    """The first of `variants` that pins each of the clauses, by their names, on a platform that is modelled."""
    wanted, found = set(clauses), dict[str, Variant]()
    for variant in variants:
        if not wanted - found.keys():
            break
        plain, asked = predict_asking(variant.scenario, platform)
        for name in (wanted & asked) - found.keys():
            if said(predict(variant.scenario, platform, inverted={name})) != said(plain):
                found[name] = variant
    return found
