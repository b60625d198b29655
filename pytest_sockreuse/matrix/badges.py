"""Badges for shields.io's endpoint: a file for each rule on each platform that has a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from .as_ctrf import status as status_of
from .table import Matrix


def badges(matrix: Matrix) -> Iterator[tuple[str, str]]:
    """The path of each, ``PLATFORM/RULE.json``, and its text; and what was left out, if there is any."""
    for at, column in enumerate(matrix.columns):
        if column.runs:
            counts: dict[str, Counter[str]] = {}
            for row, variant in enumerate(matrix.variants):
                counts.setdefault(variant.case.rule, Counter())[status_of(matrix.cell(at, row))] += 1
            for rule, count in counts.items():
                message, color = _says(count)
                yield f"{column.platform.name}/{rule}.json", _badge(f"{rule} on {column.title}", message, color)
    if matrix.left_out:
        yield "left-out.json", _badge("files left out", str(len(matrix.left_out)), "orange")
        yield "left-out.txt", "".join(f"{one}\n" for one in matrix.left_out)


def _says(count: Counter[str]) -> tuple[str, str]:
    """No share and no score: what was seen that nobody expected, or that there was no such thing."""
    if failed := count["failed"]:
        return f"{failed} not as known", "orange"
    for status, message, color in (
        ("passed", "as known", "brightgreen"),
        ("other", "recorded", "blue"),
        ("skipped", "cannot be asked", "lightgrey"),
    ):
        if count[status]:
            return message, color
    return "not run", "lightgrey"


def _badge(label: str, message: str, color: str) -> str:
    return json.dumps({"schemaVersion": 1, "label": label, "message": message, "color": color}) + "\n"
