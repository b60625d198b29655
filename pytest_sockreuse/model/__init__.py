"""The executable models: what a stack does with a scenario, every outcome it may show, the clause that decides.

A family of stacks is a module with `BOOK`, its clauses, `covers(platform)`, why a version is not modelled if it is not,
and `family(platform, on)`, its `machine.Family`; `families` lists them by stack.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

from .. import settings
from ..platforms import Platform
from ..scenario import Observation, Scenario
from .clause import Clause, Declared, ModelError
from .machine import Family
from .ports import Value
from .prediction import DEPARTED, Prediction, StepPrediction
from .walk import Walk

__all__ = [
    "DEPARTED",
    "STACKS",
    "Clause",
    "ModelError",
    "Prediction",
    "StepPrediction",
    "Value",
    "clauses",
    "families",
    "not_modelled",
    "predict",
    "predict_asking",
    "predict_state",
    "predictions",
]

_FAMILIES = {  # stack -> module of this package
    "linux": "linux.calls",
    "gvisor": "gvisor.calls",
    "freebsd": "bsd.freebsd",
    "dragonfly": "bsd.dragonfly",
    "macos": "bsd.macos",
    "netbsd": "bsd.netbsd",
    "openbsd": "bsd.openbsd",
    "illumos": "illumos.calls",
    "windows": "windows.calls",
    "wine": "wine.calls",
}


_NONE = frozenset[str]()

#: The stacks that are modelled.
STACKS = frozenset(_FAMILIES)


@cache
def families() -> dict[str, ModuleType]:
    """The family module of each stack that is modelled."""
    return {stack: _family(stack) for stack in _FAMILIES}


@cache
def _family(stack: str) -> ModuleType:
    """One of them: who asks of few stacks loads no others."""
    return importlib.import_module(f".{_FAMILIES[stack]}", __name__)


def clauses(platform: Platform) -> tuple[Clause, ...]:
    """The clauses that hold on `platform`, in the order of its family's files; none where it is not modelled."""
    if platform.stack not in _FAMILIES:
        return ()
    book, on = _family(platform.stack).BOOK, _on(platform)
    return tuple(clause for name, clause in book.clauses.items() if book.declared[name] in on)


@lru_cache(256)
def _on(platform: Platform) -> frozenset[Declared]:
    on: frozenset[Declared] = _family(platform.stack).BOOK.on(platform)
    return on


@lru_cache(4096)
def _asked(platform: Platform, inverted: frozenset[str] = _NONE) -> tuple[str, Family[Any] | None, frozenset[Declared]]:
    """Why nothing is known of a platform; else what answers for it, and the clauses that hold."""
    if why := not_modelled(platform):
        return why, None, frozenset()
    module = _family(platform.stack)
    if lost := inverted - module.BOOK.clauses.keys():
        raise ModelError(f"no clause {', '.join(sorted(lost))} in the model of {platform.stack}")
    on = _on(platform) ^ module.BOOK.called(inverted)
    return "", module.family(platform, on), on


def predict(
    scenario: Scenario,
    platform: Platform,
    observed: Observation | None = None,
    inverted: Iterable[str] = (),
) -> Prediction:
    """What `platform` may do with `scenario`, step by step.

    With `observed` each step is predicted from what was seen of the steps before it. The clauses named in `inverted`
    are missing on the versions that have them, and hold on those that have not. Raises ModelError where the scenario
    is too large.
    """
    why, family, on = _asked(platform, frozenset(inverted)) if inverted else _asked(platform)
    if family is None or scenario.environment:
        if (unasked := _unasked(scenario, platform, why)) is not None:
            return unasked
    assert family is not None
    return Prediction(platform.name, tuple(Walk(scenario, platform.stack, family, on, observed).steps))


@lru_cache(256)
def not_modelled(platform: Platform) -> str:
    """Why nothing is known of a platform; empty if it is modelled."""
    if platform.stack not in _FAMILIES:
        return f"there is no model of {platform.stack}"
    why: str = _family(platform.stack).covers(platform)
    return why


def predict_state(scenario: Scenario, platform: Platform) -> tuple[Prediction, bytes]:
    """The prediction, and a digest of all that is remembered after it: where those are equal, so is what follows.

    Raises ModelError where the scenario is too large.
    """
    why, family, on = _asked(platform)
    if (unasked := _unasked(scenario, platform, why)) is not None:
        return unasked, b""
    assert family is not None
    walk = Walk(scenario, platform.stack, family, on, None, whole=True)
    return Prediction(platform.name, tuple(walk.steps)), b"".join(machine.memory() for machine in walk.states)


class _Noting(frozenset[Declared]):
    """The clauses that hold; notes which of them are asked for: no other has a part in the answer."""

    asked: set[Declared]

    def __contains__(self, clause: object) -> bool:
        self.asked.add(clause)  # type: ignore[arg-type]
        return frozenset.__contains__(self, clause)


def _asking(scenario: Scenario, platform: Platform) -> tuple[Prediction, set[Declared]]:
    noting = _Noting(_on(platform))
    noting.asked = set()
    family = _family(platform.stack).family(platform, noting)
    walk = Walk(scenario, platform.stack, family, noting, None)
    return Prediction(platform.name, tuple(walk.steps)), noting.asked


def predict_asking(scenario: Scenario, platform: Platform) -> tuple[Prediction, set[str]]:
    """A prediction for a modelled platform, and the names of the clauses it asked for: no other could change it."""
    if (unasked := _unasked(scenario, platform, not_modelled(platform))) is not None:
        return unasked, set()
    prediction, asked = _asking(scenario, platform)
    return prediction, {clause.name for clause in asked}


def predictions(scenario: Scenario, platforms: Iterable[Platform]) -> Iterator[Prediction]:
    """What each of the platforms may do, worked out once for all versions that agree on the clauses asked for."""
    done: dict[str, list[tuple[set[Declared], set[Declared], tuple[StepPrediction, ...]]]] = {}  # asked for, held; what
    for platform in platforms:
        why, _, on = _asked(platform)
        if why or scenario.environment:
            if (unasked := _unasked(scenario, platform, why)) is not None:
                yield unasked
                continue
        others = done.setdefault(platform.stack, [])
        steps = next((steps for asked, held, steps in others if asked & on == held), None)
        if steps is None:
            found, asked = _asking(scenario, platform)
            steps = found.steps
            others.append((asked, asked & on, steps))
        yield Prediction(platform.name, steps)


def _unasked(scenario: Scenario, platform: Platform, why: str) -> Prediction | None:
    """The prediction where no machine is asked: `why` it is not modelled, or a setting is missing or unknown."""
    not_run = ""
    if not why and scenario.environment:
        not_run = settings.missing(scenario, platform)
        why = not_run or settings.uncovered(scenario, platform)
    if not why:
        return None
    steps = tuple(StepPrediction(step.label, unknown=why) for step in scenario.steps if step.label)
    return Prediction(platform.name, steps, not_run)
