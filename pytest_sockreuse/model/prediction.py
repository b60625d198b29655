"""What is predicted of a step and of a scenario."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .ports import Value

DEPARTED = "what was observed before this step is not what the model says"


class StepPrediction(NamedTuple):
    """What one step may show: `outcomes` sorted; `values` that name and get may record (None: any); the name of the
    `clause` that decides, and of the socket that it sets `against` this one. Where the model does not know, `outcomes`
    is empty and `unknown` says why."""

    step: str
    outcomes: tuple[str, ...] = ()
    values: tuple[Value, ...] | None = None
    clause: str = ""
    unknown: str = ""
    against: str = ""

    def matches(self, outcome: str, value: str | None, ports: Mapping[str, int]) -> bool:
        """Whether this was predicted; everything is where the model does not know."""
        if self.unknown:
            return True
        if outcome not in self.outcomes:
            return False
        return outcome != "ok" or not self.values or any(may.matches(value, ports) for may in self.values)


class Prediction(NamedTuple):
    """A scenario predicted: one entry for each labelled step, in order.

    `not_run` says why the platform does not run it; then every step is unknown.
    """

    platform: str
    steps: tuple[StepPrediction, ...]
    not_run: str = ""

    @property
    def unknown(self) -> str:
        """Why a step is not covered, of the first such step; else empty."""
        return next((step.unknown for step in self.steps if step.unknown), "")

    @property
    def texts(self) -> list[str]:
        """Each step's outcomes as text."""
        return ["not run" if self.not_run else outcome_text(step) for step in self.steps]


def outcome_text(step: StepPrediction) -> str:
    """Every outcome a step may show, with the values it may record."""
    if step.unknown:
        return "unknown"
    values = "|".join(map(str, step.values or ()))
    return "|".join(values if outcome == "ok" and values else outcome for outcome in step.outcomes)


def united(label: str, courses: Iterable[StepPrediction]) -> StepPrediction:
    """One step, from what it shows in each execution that gets there; of an outcome the first clause counts."""
    first: dict[str, StepPrediction] = {}  # by outcome
    values: dict[Value, None] = {}
    for course in courses:
        if course.unknown:
            return course
        first.setdefault(course.outcomes[0], course)
        values.update(dict.fromkeys(course.values or ()))
    if not first:
        return StepPrediction(label, unknown=DEPARTED)
    outcomes = tuple(sorted(first))
    decides = first[outcomes[0]]
    return StepPrediction(label, outcomes, tuple(values) or None, decides.clause, against=decides.against)
