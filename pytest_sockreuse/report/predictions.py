"""What the models say, as text and as JSON: one platform step by step, or many side by side where they differ."""

from __future__ import annotations

import itertools
import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..model import Clause, Prediction, StepPrediction
from ..model.prediction import outcome_text
from ..platforms import Platform, registry

Row = Sequence[str]


def to_json(prediction: Prediction, title: str | None, why: Mapping[str, Clause] | None = None) -> str:
    """The object that ``sockreuse predict --json`` prints; with `why`, the book, also the clauses that decide."""
    found: dict[str, Any] = {"platform": prediction.platform}
    if title is not None:
        found["title"] = title
    if prediction.not_run:
        return json.dumps(found | {"not_run": prediction.not_run})
    found["steps"] = [_step_json(step) for step in prediction.steps]
    if why is not None:
        found["clauses"] = [clause_json(clause) for clause in _deciding(prediction, why)]
    return json.dumps(found)


def _step_json(step: StepPrediction) -> dict[str, Any]:
    entry: dict[str, Any] = {"step": step.step, "outcomes": list(step.outcomes), "clause": step.clause}
    if step.against:
        entry["against"] = step.against
    if step.values:
        entry["values"] = [str(value) for value in step.values]
    if step.unknown:
        entry["unknown"] = step.unknown
    return entry


def clause_json(clause: Clause) -> dict[str, Any]:
    """A clause as JSON has it; `since` and `until` name release lines, empty where that side is open."""
    return {
        "name": clause.name,
        "sentence": clause.sentence,
        "source": clause.source,
        "confidence": clause.confidence,
        "since": list(clause.span.since),
        "until": list(clause.span.until),
    }


def clause_text(clause: Clause) -> str:
    """Its name; below it what it says, where that is written or was seen, and the versions."""
    about = f"{clause.source} ({clause.confidence}), {str(clause.span) or 'every version'}"
    return f"{clause.name}\n" + textwrap.indent(f"{clause.sentence}\n{about}", "    ")


def show(prediction: Prediction, why: Mapping[str, Clause] | None = None) -> str:
    """One line a step: outcome and the clause that decides.

    With `why`, the book, also the socket that the clause sets against this one, and below the clauses themselves.
    """
    if prediction.not_run:
        return f"not run: {prediction.not_run}"
    rows = [(step.step, outcome_text(step), _reason(step, why is not None)) for step in prediction.steps]
    clauses = [clause_text(clause) for clause in _deciding(prediction, why or {})]
    return "\n\n".join(["\n".join(_table(rows)), *clauses])


def _reason(step: StepPrediction, why: bool) -> str:
    return step.unknown or (f"{step.clause}, against {step.against}" if why and step.against else step.clause)


def _deciding(prediction: Prediction, book: Mapping[str, Clause]) -> Iterable[Clause]:
    """The clauses that decide a step, in the order of the steps."""
    return [book[name] for name in dict.fromkeys(step.clause for step in prediction.steps) if name in book]


def unnamed(why: str) -> str:
    """Why a scenario is not run, without the name of the platform: the same for all that lack a setting."""
    return re.sub(r"^.{1,60}? has no setting ", "This system has no setting ", why)


def compare(predictions: Sequence[tuple[Platform, Prediction]], width: int = 0) -> str:
    """A table of the steps in which the platforms differ, with a column for each group of platforms that agree.

    Where it has more than `width` characters (0: there is no limit) a group is a row instead.
    """
    columns = list(_groups(predictions))
    labels = [step.step for step in columns[0][1].steps]
    steps = [
        (label, *row)
        for label, *row in zip(labels, *(prediction.texts for _, prediction in columns), strict=True)
        if len(set(row)) > 1
    ]
    if not steps:
        return "all of them do the same"
    table: list[Row] = [("", *(name for name, _ in columns)), *steps]
    lines = _table(table)
    if width and max(map(len, lines)) > width:
        lines = _table(list(zip(*table, strict=True)))
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _groups(predictions: Sequence[tuple[Platform, Prediction]]) -> list[tuple[str, Prediction]]:
    """Neighbours of one stack that do the same, by whatever clause, are one group, named by the first and the last."""
    found = []
    for (stack, _), group in itertools.groupby(predictions, key=_does):
        members = list(group)
        first, last = members[0][0].label, members[-1][0].label
        title = registry()[stack]["title"]
        found.append((f"{title} {first}" if first == last else f"{title} {first} to {last}", members[0][1]))
    return found


def _does(entry: tuple[Platform, Prediction]) -> tuple[str, list[str]]:
    platform, prediction = entry
    return platform.stack, prediction.texts
