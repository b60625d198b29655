"""``sockreuse distinguish`` and ``resemble``: short scenarios in which models differ, and what this OS does there."""

from __future__ import annotations

import itertools
import json
import textwrap
from collections.abc import Callable, Iterator, Sequence

from ..dataclass import dataclass
from ..live.runner import Runner
from ..model import Prediction, predict
from ..parser import parse
from ..platforms import Platform
from ..report.predictions import compare
from ..scenario import Observation, Scenario
from .scope import Board, Scope

_SCOPES = (Scope("tcp", 4), Scope("udp", 4), Scope("tcp", 6))
_DEEPEST = 5  # calls
_LOOKED_AT = 10_000  # scenarios of one scope
_PROBES = 1_500  # the same, where a few will do


@dataclass(frozen=True, slots=True)
class Difference:
    """A scenario in which platforms differ."""

    scenario: Scenario
    predictions: tuple[tuple[Platform, Prediction], ...]

    @property
    def sides(self) -> tuple[int, ...]:
        """For each platform the number of the first that says the same."""
        said = [_said(prediction) for _, prediction in self.predictions]
        return tuple(said.index(one) for one in said)

    def __str__(self) -> str:
        return f"{self.scenario}\n{compare(self.predictions)}\n"


def _said(prediction: Prediction) -> tuple[tuple[str, ...], ...]:
    return tuple(step.outcomes for step in prediction.steps)


def differences(platforms: Sequence[Platform], most: int = _LOOKED_AT) -> Iterator[Difference]:
    """Scenarios at which two platforms cannot do the same, of each protocol the shortest first, out of `most`."""
    for scope in _SCOPES:
        yield from _search(scope, platforms, most)


def _search(scope: Scope, platforms: Sequence[Platform], most: int) -> Iterator[Difference]:
    """Breadth first: a scenario is made longer where the platforms, so far, all did the same."""
    front: list[tuple[tuple[str, ...], Board]] = [((), Board(scope))]
    looked_at = 0
    for _ in range(_DEEPEST):
        longer = []
        for before, call in ((lines, call) for lines, board in front for call in board.calls()):
            looked_at += 1
            if looked_at > most:
                return
            scenario = parse("\n".join(before + call.lines))
            predictions = tuple((platform, predict(scenario, platform)) for platform in platforms)
            lasts = [prediction.steps[-1] for _, prediction in predictions]
            if any(last.unknown for last in lasts):
                continue
            if _part([set(last.outcomes) for last in lasts]):
                yield Difference(scenario, predictions)
            elif "ok" in lasts[0].outcomes:
                longer.append((before + call.lines, call.succeeded))
        front = longer


def _part(outcomes: list[set[str]]) -> bool:
    return any(not one & other for one, other in itertools.combinations(outcomes, 2))


def shortest(platforms: Sequence[Platform], most: int = 5) -> list[Difference]:
    """The shortest differences, of each way to divide the platforms the first; then more, of other calls."""
    found, more = _kinds(differences(platforms, _PROBES), most)
    if not found:
        found, more = _kinds(differences(platforms), most)
    chosen = [*found.values(), *(one for one in more.values() if one not in found.values())][:most]
    return sorted(chosen, key=lambda difference: len(difference.scenario.steps))


def _kinds(
    source: Iterator[Difference], most: int
) -> tuple[dict[tuple[int, ...], Difference], dict[object, Difference]]:
    """The first difference of each division of the platforms, and of each division, protocol and last call."""
    found: dict[tuple[int, ...], Difference] = {}
    more: dict[object, Difference] = {}
    for difference in source:
        found.setdefault(difference.sides, difference)
        kind = (difference.scenario.steps[-1].verb + difference.scenario.steps[0].kind, difference.sides)
        more.setdefault(kind, difference)
        if len(more) >= 3 * most:
            break
    return found, more


def distinguish(platforms: Sequence[Platform], say: Callable[[str], None]) -> bool:
    """Report the shortest scenarios that distinguish `platforms`; whether there are any."""
    found = shortest(platforms)
    for number, difference in enumerate(found, 1):
        say(f"--- {number}\n{difference}")
    if not found:
        say(
            f"the models do the same in all scenarios looked at (up to {_DEEPEST} calls, {_LOOKED_AT} of each protocol)"
        )
    return bool(found)


# --- this OS ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far this OS does what the models of a stack say."""

    platform: Platform
    same: int
    differs: tuple[tuple[Scenario, str], ...]  # where it does not, and how


def probes(platforms: Sequence[Platform], most: int = 12) -> list[Scenario]:
    """At most `most` short scenarios that together distinguish as many of `platforms` as possible."""
    chosen: list[Difference] = []
    seen: set[tuple[int, ...]] = set()
    for difference in differences(platforms, _PROBES):
        if difference.sides not in seen:
            seen.add(difference.sides)
            chosen.append(difference)
        if len(chosen) == most:
            break
    return [difference.scenario for difference in chosen]


def resemble(platforms: Sequence[Platform]) -> list[Likeness]:
    """Perform what distinguishes `platforms` on this OS; the most alike first."""
    scenarios = probes(platforms)
    with Runner() as runner:
        for scenario in scenarios:
            runner.ask(scenario)
        seen = [(scenario, runner.answer()) for scenario in scenarios]
    asked = [(scenario, observation) for scenario, observation in seen if observation.not_run is None]
    return sorted((_likeness(platform, asked) for platform in platforms), key=lambda one: -one.same)


def _likeness(platform: Platform, asked: list[tuple[Scenario, Observation]]) -> Likeness:
    differs = []
    for scenario, observation in asked:
        prediction = predict(scenario, platform, observation)
        for step, seen in zip(prediction.steps, observation.steps, strict=True):
            if not step.matches(seen.outcome, seen.value, observation.ports):
                expected = " or ".join(step.outcomes)
                differs.append((scenario, f"{seen.step}: {expected} there, {seen.outcome} here"))
                break
    return Likeness(platform, len(asked) - len(differs), tuple(differs))


def show(likenesses: Sequence[Likeness]) -> str:
    """What `resemble` found, as text."""
    if not likenesses or not any(one.same or one.differs for one in likenesses):
        return "no scenario that distinguishes the platforms can be performed on this OS"
    best = [one for one in likenesses if one.same == likenesses[0].same]
    lines = [f"this OS behaves like {' and '.join(one.platform.name for one in best)}", ""]
    lines += [f"{one.platform.name:<24} {one.same} of {one.same + len(one.differs)}" for one in likenesses]
    for one in best:
        for scenario, how in one.differs:
            lines += ["", f"differs from {one.platform.name} at {how}", textwrap.indent(str(scenario), "    ").rstrip()]
    return "\n".join(lines)


def to_json(likenesses: Sequence[Likeness]) -> str:
    """The same as JSON."""
    return json.dumps(
        [
            {
                "platform": one.platform.name,
                "same": one.same,
                "of": one.same + len(one.differs),
                "differs": [{"scenario": str(scenario), "how": how} for scenario, how in one.differs],
            }
            for one in likenesses
        ]
    )
