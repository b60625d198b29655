"""What the models say, as text and as JSON: one platform step by step, or many side by side where they part."""

from __future__ import annotations

import itertools
import json
import textwrap
from collections.abc import Sequence
from typing import Any

from ..model import Clause, Prediction, StepPrediction
from ..model.prediction import outcome_text
from ..platforms import Platform, registry


def to_json(prediction: Prediction, title: str | None) -> str:
    """The object that ``sockreuse predict --json`` prints."""
    head: dict[str, Any] = {"platform": prediction.platform}
    if title is not None:
        head["title"] = title
    return json.dumps(head | {"steps": [_step_json(step) for step in prediction.steps]})


def _step_json(step: StepPrediction) -> dict[str, Any]:
    entry: dict[str, Any] = {"step": step.step, "outcomes": list(step.outcomes), "clause": step.clause}
    if step.values:
        entry["values"] = [str(value) for value in step.values]
    if step.unknown:
        entry["unknown"] = step.unknown
    return entry


def show(prediction: Prediction, clauses: dict[str, Clause], why: bool) -> str:
    """One line a step: outcome and the clause that decides; with `why` the clauses' sentences and sources below."""
    rows = [(step.step, outcome_text(step), step.unknown or step.clause) for step in prediction.steps]
    widths = [max(len(row[column]) for row in rows) if rows else 0 for column in (0, 1)]
    lines = [f"{label:<{widths[0]}}  {outcome:<{widths[1]}}  {rule}".rstrip() for label, outcome, rule in rows]
    if why:
        for name in dict.fromkeys(step.clause for step in prediction.steps if step.clause in clauses):
            clause = clauses[name]
            lines += ["", name, textwrap.indent(f"{clause.sentence}\n{clause.source} ({clause.confidence})", "    ")]
    return "\n".join(lines)


def compare(predictions: Sequence[tuple[Platform, Prediction]]) -> str:
    """A table: a row for each step at which the platforms part, a column for each group of platforms that agree."""
    columns = list(_groups(predictions))
    steps = [
        (labels[0], [outcome_text(step) for step in row])
        for row in zip(*(prediction.steps for _, prediction in columns), strict=True)
        if len({outcome_text(step) for step in row}) > 1
        for labels in [[step.step for step in row]]
    ]
    if not steps:
        return "all of them do the same"
    names = [name for name, _ in columns]
    first = max(len(label) for label, _ in steps)
    widths = [max(len(name), *(len(row[n]) for _, row in steps)) for n, name in enumerate(names)]
    table = [("", names), *steps]
    return "\n".join(
        "  ".join(
            [f"{label:<{first}}", *(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))]
        ).rstrip()
        for label, row in table
    )


def _groups(predictions: Sequence[tuple[Platform, Prediction]]) -> list[tuple[str, Prediction]]:
    """Neighbours of one stack that say the same are one column, named by the first and the last of them."""
    found = []
    for (stack, _), group in itertools.groupby(predictions, key=lambda entry: (entry[0].stack, entry[1].steps)):
        members = list(group)
        first, last = members[0][0].label, members[-1][0].label
        title = registry()[stack]["title"]
        found.append((f"{title} {first}" if first == last else f"{title} {first} to {last}", members[0][1]))
    return found
