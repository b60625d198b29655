"""The executable models: what a stack does with a scenario, every outcome it may show, the clause that decides.

A family of stacks is a module with `BOOK`, its clauses, `covers(platform)`, why a version is not modelled if it is not,
and `rules(platform, on)`, its `machine.Rules`; `families` lists them by stack.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import ModuleType

from ..platforms import Platform
from ..scenario import Observation, Scenario
from .clause import Clause, ModelError, Unknown
from .machine import UNKNOWN, Course, Machine, Rules
from .ports import Contradiction, Value

__all__ = [
    "Clause",
    "ModelError",
    "Prediction",
    "StepPrediction",
    "Value",
    "clauses",
    "families",
    "predict",
    "predictions",
]

DEPARTED = "what was observed before this step is not what the model says"
MAX_STEPS = 20_000  # steps performed for one prediction, over all courses of events
_FAMILIES = {  # stack -> module of this package
    "linux": "linux",
    "gvisor": "gvisor",
    "freebsd": "bsd_freebsd",
    "macos": "bsd_macos",
    "netbsd": "bsd_netbsd",
    "openbsd": "bsd_openbsd",
    "windows": "windows",
}


@dataclass(frozen=True, slots=True)
class StepPrediction:
    """What one step may show: `outcomes` sorted; `values` that name and get may record (None: any); the `rule` that
    decides. Where the model does not know, `outcomes` is empty and `unknown` says why."""

    step: str
    outcomes: tuple[str, ...] = ()
    values: tuple[Value, ...] | None = None
    rule: str = ""
    unknown: str = ""

    def matches(self, outcome: str, value: str | None, ports: Mapping[str, int]) -> bool:
        """Whether this was foretold; everything is where the model does not know."""
        if self.unknown:
            return True
        if outcome not in self.outcomes:
            return False
        return outcome != "ok" or not self.values or any(may.matches(value, ports) for may in self.values)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A scenario predicted: one entry for each labelled step, in order."""

    platform: str
    steps: tuple[StepPrediction, ...]

    @property
    def unknown(self) -> str:
        """Why a step is not covered, of the first such step; else empty."""
        return next((step.unknown for step in self.steps if step.unknown), "")


@cache
def families() -> dict[str, ModuleType]:
    """The family module of each stack that is modelled."""
    return {stack: importlib.import_module(f".{name}", __name__) for stack, name in _FAMILIES.items()}


def clauses(platform: Platform) -> tuple[Clause, ...]:
    """The clauses that hold on `platform`, in the order of its family's files; none where it is not modelled."""
    if platform.stack not in _FAMILIES:
        return ()
    book, on = families()[platform.stack].BOOK, _on(platform)
    return tuple(clause for name, clause in book.clauses.items() if name in on)


@lru_cache(256)
def _on(platform: Platform) -> frozenset[str]:
    on: frozenset[str] = families()[platform.stack].BOOK.on(platform)
    return on


@lru_cache(4096)
def _rules(platform: Platform, without: frozenset[str]) -> tuple[Rules, frozenset[str]]:
    family = families()[platform.stack]
    if lost := without - family.BOOK.clauses.keys():
        raise ModelError(f"no clause {', '.join(sorted(lost))} in the model of {platform.stack}")
    on = _on(platform) - without
    return family.rules(platform, on), on


class _Sums:
    """What the courses of events showed, step by step."""

    __slots__ = ("outcomes", "values", "rules", "unknown", "first", "done")

    def __init__(self, count: int) -> None:
        self.outcomes: list[dict[str, str]] = [{} for _ in range(count)]
        self.values: list[dict[Value, None] | None] = [None] * count
        self.unknown: dict[int, str] = {}  # from which step on, and why
        self.first = count  # the first step at which the OS may choose
        self.done = 0

    def add(self, at: int, outcome: str, value: Value | None, rule: str) -> None:
        self.done += 1
        self.outcomes[at].setdefault(outcome, rule)
        if value is not None:
            values = self.values[at]
            if values is None:
                values = self.values[at] = {}
            values[value] = None


def predict(
    scenario: Scenario,
    platform: Platform,
    observed: Observation | None = None,
    without: Iterable[str] = (),
) -> Prediction:
    """What `platform` may do with `scenario`, step by step; `without` disables clauses by name.

    With `observed` each step is predicted from what was seen of the steps before it. Raises ModelError where the
    scenario is too large.
    """
    if platform.stack not in _FAMILIES:
        return _all_unknown(scenario, platform, f"there is no model of {platform.stack}")
    if why := families()[platform.stack].covers(platform):
        return _all_unknown(scenario, platform, why)
    rules, on = _rules(platform, frozenset(without))
    return _predict(scenario, platform, rules, on, observed)


class _Noting(frozenset[str]):
    """The clauses that hold; notes which of them are asked for: no other has a part in the answer."""

    asked: set[str]

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


def predictions(scenario: Scenario, platforms: Iterable[Platform]) -> Iterator[Prediction]:
    """What each of the platforms may do, worked out once for all versions that agree on the clauses asked for."""
    done: dict[str, list[tuple[set[str], set[str], Prediction]]] = {}  # by stack; the clauses asked for, those held
    for platform in platforms:
        if platform.stack not in _FAMILIES or families()[platform.stack].covers(platform):
            yield predict(scenario, platform)
            continue
        on, others = _on(platform), done.setdefault(platform.stack, [])
        found = next((prediction for asked, held, prediction in others if asked & on == held), None)
        if found is None:
            noting = _Noting(on)
            noting.asked = set()
            rules = families()[platform.stack].rules(platform, noting)
            found = _predict(scenario, platform, rules, noting, None)
            others.append((noting.asked, noting.asked & on, found))
        yield Prediction(platform.name, found.steps)


def _predict(
    scenario: Scenario, platform: Platform, rules: Rules, on: frozenset[str], observed: Observation | None
) -> Prediction:
    count = len(scenario.steps)
    sums, course = _Sums(count), Course()
    while True:
        machine = Machine(scenario, rules, on, course, observed)
        try:
            machine.run(sums.add)
        except Contradiction:
            pass
        except Unknown as why:
            sums.unknown.setdefault(machine.at, str(why))
        if not course.trail:
            break
        sums.first = min(sums.first, course.first)
        if not course.next():
            break
        if sums.done > MAX_STEPS:
            sums.unknown.setdefault(sums.first, "more courses of events are possible than are followed")
            break
    return Prediction(platform.name, tuple(_steps(scenario, sums)))


def _steps(scenario: Scenario, sums: _Sums) -> Iterable[StepPrediction]:
    lost = min(sums.unknown, default=len(scenario.steps))
    for at, step in enumerate(scenario.steps):
        if not step.label:
            continue
        outcomes, values = sums.outcomes[at], sums.values[at]
        if at >= lost:
            yield StepPrediction(step.label, unknown=sums.unknown[lost])
        elif UNKNOWN in outcomes:
            yield StepPrediction(step.label, unknown=outcomes[UNKNOWN])
        elif not outcomes:
            yield StepPrediction(step.label, unknown=DEPARTED)
        else:
            names = tuple(sorted(outcomes))
            yield StepPrediction(step.label, names, None if values is None else tuple(values), outcomes[names[0]])


def _all_unknown(scenario: Scenario, platform: Platform, why: str) -> Prediction:
    return Prediction(platform.name, tuple(StepPrediction(s.label, unknown=why) for s in scenario.steps if s.label))
