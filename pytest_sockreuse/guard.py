"""Guards: rules that an application stands on, found by name and tried on this OS."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache

from .data import DataError
from .dataclass import dataclass
from .live.runner import Broken, Runner
from .loader import guard_names, load, rule_ids
from .platforms import current
from .scenario import Observation
from .suite import Guard, Variant
from .text import nearest
from .verdict import Verdict, judge


class GuardError(Exception):
    """A rule cannot be relied on; the message says why, and what to do."""


class UnknownRule(GuardError):
    """No rule has this name."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A guard tried on this OS: what each of its variants gave."""

    guard: Guard
    seen: tuple[tuple[Variant, Observation | None, Verdict], ...]

    @property
    def honoured(self) -> bool | None:
        """Whether every variant that could be asked did what honours the guard; None if none could, or one broke."""
        states = {verdict.state for _, _, verdict in self.seen}
        return False if "mismatch" in states else None if self.broken or "match" not in states else True

    @property
    def broken(self) -> str:
        """Why a trial failed that should not have; else empty."""
        return next((verdict.reason for _, _, verdict in self.seen if verdict.state == "broken"), "")

    @property
    def untried(self) -> str:
        """Why some variants were not asked; else empty."""
        return "; ".join(dict.fromkeys(verdict.reason for _, _, verdict in self.seen if verdict.state == "unsupported"))

    @property
    def against(self) -> tuple[Variant, Observation, Verdict] | None:
        """The first variant that did otherwise."""
        for variant, observation, verdict in self.seen:
            if verdict.state == "mismatch" and observation is not None:
                return variant, observation, verdict
        return None

    def __str__(self) -> str:
        id_ = self.guard.id
        if self.against is not None:
            variant, observation, verdict = self.against
            step = next(step for step in observation.steps if step.step == verdict.wrong[0])
            wanted = self.guard.outcome.get(step.step, "ok").replace("|", " or ")
            seen = step.outcome if step.value is None else step.value
            return f"{current()} does not honour {id_}: {step.step} gives {seen}, not {wanted} ({variant.name})"
        if self.broken:
            return f"{id_} could not be tried: {self.broken}"
        if self.honoured is None:
            return f"{id_} cannot be tried here: {self.untried}"
        tried = sum(verdict.state == "match" for _, _, verdict in self.seen)
        rest = f" ({tried} of {len(self.seen)} variants; the others: {self.untried})" if self.untried else ""
        return f"{current()} honours {id_}{rest}"


@cache
def find(name: str) -> Guard:
    """The guard called `name`, an id or alias of conformance/guards.toml. Raises UnknownRule, or GuardError if the data
    that says what it is, is wrong.

    A case of the suite that shows a claim, or a variant of it, is called by its id; the claim's outcome honours it.
    """
    try:
        guard = _find(name)
        for variant in guard.variants:
            _ = variant.scenario
    except DataError as error:
        raise GuardError(f"the conformance data is wrong:\n{error}") from None
    return guard


def _find(name: str) -> Guard:
    id_ = guard_names().get(name, name)
    rule = id_.partition("/")[0]
    if rule in rule_ids():
        suite = load(rules=[rule], check=False, sources=False)
        if id_ in suite.guards:
            return suite.guards[id_]
        for case in suite.rules[rule].cases:
            variants = [v for v in case.variants if id_ in (f"{rule}/{case.id}", v.id)]
            if variants:
                return _claimed(id_, variants)
    raise UnknownRule(_unknown(name))


def _claimed(id_: str, variants: Sequence[Variant]) -> Guard:
    case = variants[0].case
    if case.claimed is None:
        which = f"claims of several outcomes ({', '.join(case.claims)})" if case.claims else "no claim"
        raise UnknownRule(f"{id_} shows {which}, so nothing says what would honour it (see sockreuse rules)")
    return Guard(id_, (), case.title, "", case.claimed, tuple(variants))


@cache
def _unknown(name: str) -> str:
    names, suite = guard_names(), load(check=False, sources=False)
    cases = [f"{rule.id}/{case.id}" for rule in suite.rules.values() for case in rule.cases if case.claimed is not None]
    close = nearest(name, [*names, *cases], 3, 0.5)
    hint = f", perhaps {' or '.join(close)}" if close else ""
    return f"no rule {name!r}{hint}; there are {', '.join(n for n in names if '/' not in n)} (see sockreuse rules)"


_done: dict[str, Trial] = {}  # by the name asked for: the OS under a process stays what it is


def tried(names: Iterable[str]) -> list[Trial]:
    """The trials of the rules called so, each performed once a process. Raises UnknownRule."""
    names = list(names)
    new = [name for name in dict.fromkeys(names) if name not in _done]
    if new:
        _done.update(zip(new, _try(new), strict=True))
    return [_done[name] for name in names]


def _try(names: Sequence[str]) -> list[Trial]:
    if getattr(sys, "frozen", False):  # sys.executable is the application, which would start itself again and again
        why = Verdict("unsupported", reason="needs a Python interpreter beside the program, which is frozen")
        return [Trial(guard, tuple((variant, None, why) for variant in guard.variants)) for guard in map(find, names)]
    with Runner() as runner:
        runner.begin()  # while the data is read
        guards = list(map(find, names))
        for guard in guards:
            for variant in guard.variants:
                runner.ask(variant.scenario)
        return [Trial(guard, tuple(_answer(runner, guard, variant) for variant in guard.variants)) for guard in guards]


def _answer(runner: Runner, guard: Guard, variant: Variant) -> tuple[Variant, Observation | None, Verdict]:
    try:
        observation = runner.answer()
    except Broken as error:
        return variant, None, Verdict("broken", reason=str(error))
    return variant, observation, judge(guard.outcome, observation)
