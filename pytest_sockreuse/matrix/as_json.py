"""The matrix as JSON, by `conformance/schema/matrix.json`, for any other program."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ..suite import Statement
from ..version import __version__
from .claims import claims
from .differences import differences
from .table import Cell, Column, Matrix, Seen

FORMAT = 1


class _Numbered:
    """Values by number, each once: what recurs in the text."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[Any, ...], int] = {}

    def __call__(self, value: tuple[Any, ...]) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    def values(self) -> list[tuple[Any, ...]]:
        return list(self.numbers)


def text(matrix: Matrix) -> str:
    """The whole of it. What recurs is in a table and named by its number there."""
    steps, outcomes, clauses, vectors = _Numbered(), _Numbered(), _Numbered(), _Numbered()
    variants = [
        {
            "id": variant.id,
            "content": variant.content,
            "steps": steps(variant.labels),
            "cells": vectors(tuple(vector[row] for vector in matrix.vectors)),
        }
        for row, variant in enumerate(matrix.variants)
    ]
    held = {
        id_: [None if one is None else {**one._asdict(), "row": matrix.variants[one.row].id} for one in columns]
        for id_, columns in claims(matrix).items()
    }
    found: dict[str, Any] = {
        "sockreuse_matrix": FORMAT,
        "by": f"pytest-sockreuse {__version__}",
        "suite": matrix.suite.version,
        "left_out": [one._asdict() for one in matrix.left_out],
        "platforms": [_platform(column) for column in matrix.columns],
        "variants": variants,
        "steps": steps.values(),
        "vectors": vectors.values(),
        "cells": [_cell(cell, outcomes, clauses) for cell in matrix.cells],
        "outcomes": outcomes.values(),
        "clauses": clauses.values(),
        "statements": [_statement(statement) for statement in matrix.statements],
        "claims": held,
        "differences": [{"id": matrix.variants[one.row].id, "text": one.text} for one in differences(matrix, 10)],
    }
    return json.dumps(found, separators=(",", ":")) + "\n"


def _platform(column: Column) -> dict[str, Any]:
    platform = column.platform
    found = {"name": platform.name, "stack": platform.stack, "family": column.family, "version": platform.label}
    more = {"not_modelled": column.not_modelled} if column.not_modelled else {}
    return {**found, "runs": [asdict(run) for run in column.runs], **more}


def _cell(cell: Cell, outcomes: _Numbered, clauses: _Numbered) -> dict[str, Any]:
    """What is empty is left out."""
    found: dict[str, Any] = {"outcome": outcomes(cell.outcome), "basis": cell.basis}
    if cell.clauses:
        found["clauses"] = clauses(cell.clauses)
    if cell.statement >= 0:
        found["statement"] = cell.statement
    if cell.seen:
        found["seen"] = [_seen(seen, outcomes) for seen in cell.seen]
    if cell.expected:
        found["expected"] = outcomes(cell.expected)
    if cell.disputed:
        found["disputed"] = True
    return found | ({"why": cell.why} if cell.why else {})


def _seen(seen: Seen, outcomes: _Numbered) -> dict[str, Any]:
    found: dict[str, Any] = {"state": seen.state}
    if seen.asked:
        found["outcome"] = outcomes(seen.outcome)
    return found | ({"reason": seen.reason} if seen.reason else {})


def _statement(statement: Statement) -> dict[str, Any]:
    return {
        "on": list(statement.on),
        "since": list(statement.span.since),
        "until": list(statement.span.until),
        "basis": statement.basis,
        "evidence": list(statement.evidence),
        "note": statement.note,
        "at": str(statement.at),
    }
