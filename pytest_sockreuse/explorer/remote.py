"""Random scenarios for another machine: drawn here, performed there by the runner in C, its answers compared here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from ..dataclass import dataclass
from ..live.symbols import Dealer
from ..model import ModelError, predict
from ..parser import MAX_LINES, parse
from ..platforms import Platform
from ..report.exchange import answer, of_scenario
from ..report.results import ResultsError, lines
from ..scenario import Observation, Scenario
from ..verdict import ABSENT
from .differential import HANG, TIME, Disagreement, disagreement, may_hang, up_to_unknown
from .draw import texts

MOST = MAX_LINES // 2  # lines of a draft: both readers count them alike, and refuse twice as many
_UNPRIVILEGED = 1024  # the first port that anybody may bind


@dataclass(frozen=True, slots=True)
class Draft:
    """Scenarios to perform with some options of the runner."""

    options: str
    scenarios: list[Scenario]

    @property
    def text(self) -> str:
        """One file for the runner; a scenario's title is its number."""
        return "".join(f"--- {number}\n{scenario}" for number, scenario in enumerate(self.scenarios))


def draw(platform: Platform, seed: int, count: int) -> list[Draft]:
    """`count` scenarios that the model of `platform` knows from end to end.

    accept and recv look once, and where the model predicts that a call does not return little time is spent on it.
    """
    quick, hanging = Draft(f"p0-t{TIME:g}", []), Draft(f"p0-t{HANG:g}", [])
    for text in texts(seed, True, platform.stack):
        try:
            scenario = up_to_unknown(whole := parse(text), predict(whole, platform))
        except ModelError:
            continue
        if scenario is not None:
            hangs = may_hang(predict(scenario, platform))
            (hanging if hangs else quick).scenarios.append(scenario)
            if len(quick.scenarios) + len(hanging.scenarios) == count:
                break
    return [part for draft in (quick, hanging) for part in _parts(draft)]


def _parts(draft: Draft) -> Iterator[Draft]:
    """A draft in pieces that fit into a file."""
    part, size = Draft(draft.options, []), 0
    for scenario in draft.scenarios:
        lines = 2 + len(scenario.environment) + len(scenario.steps)  # with its title and a blank line
        if size + lines > MOST and part.scenarios:
            yield part
            part, size = Draft(draft.options, []), 0
        part.scenarios.append(scenario)
        size += lines
    if part.scenarios:
        yield part


def disagreements(draft: Draft, answers: Path, platform: Platform) -> tuple[int, list[Disagreement]]:
    """How many were performed, and those where the machine did not do what was predicted.

    Raises ResultsError where an answer is missing or is none.
    """
    performed, found = 0, []
    given = lines(answers)
    for number, scenario in enumerate(draft.scenarios):
        at, text = next(given, (str(answers), ""))
        title, seen = answer(text, at)
        if title != str(number):
            raise ResultsError(f"{at}: {title} where the answer to scenario {number} should stand")
        seen = of_scenario(seen, scenario, at)
        if seen.not_run is None and not _lacks(seen):
            performed += 1
            seen = replace(seen, ports=_dealt(scenario, platform) | seen.ports)
            if suspect := disagreement(scenario, platform, seen):
                found.append(suspect)
    return performed, found


def _lacks(seen: Observation) -> bool:
    """Whether the machine lacks a protocol that the scenario asks for."""
    return any(step.step.endswith(".socket") and step.outcome in ABSENT for step in seen.steps)


def _dealt(scenario: Scenario, platform: Platform) -> dict[str, int]:
    """The ports that the runner deals to the symbols: none in the range from which this system chooses by itself."""
    environment = "".join(f"{setting}\n" for setting in scenario.environment)
    low, high = _range(environment, platform)
    return Dealer(low, high, _UNPRIVILEGED).deal(scenario)


@cache
def _range(environment: str, platform: Platform) -> tuple[int, int]:
    """The least and the greatest port that bind(0) may have, by the model; of all where it does not know."""
    last = predict(parse(f"{environment}A = udp4()\nA.bind(127.0.0.1:0)\nA.name()"), platform).steps[-1]
    found = [int(port) for value in last.values or () for port in re.findall(r"\d+", str(value).rpartition(":")[2])]
    return (min(found), max(found)) if found else (_UNPRIVILEGED, 65535)


def again(suspects: Iterable[Disagreement]) -> Draft:
    """The same scenarios once more, with the patience and the time that `sockreuse run` gives them."""
    return Draft("p0.2", [suspect.scenario for suspect in suspects])
