"""Outcomes and ranges of versions in words, the same in every output."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from ..report import ranges as versions
from ..report.ranges import Range
from ..verdict import is_outcome
from .table import UNKNOWN, Matrix, Outcome


def shown(labels: Sequence[str], outcome: Outcome) -> str:
    """The first step that does not just succeed, and how it ends: ``second.bind EADDRINUSE``; or ok; ? if unknown."""
    for label, text in zip(labels, outcome, strict=True):
        if text == UNKNOWN:
            return UNKNOWN
        if text != "ok" and any(map(is_outcome, text.split("|"))):
            return f"{label} {text.replace('|', ' or ')}"
    return "ok"


def ranges(matrix: Matrix, row: int, columns: range) -> list[Range]:
    """What the versions of a family, which are `columns`, do in a row."""

    def does(column: int) -> Outcome | None:
        cell = matrix.cell(column, row)
        return cell.outcome if cell.known else None

    return folded(matrix, columns, does)


def folded(matrix: Matrix, columns: range, does: Callable[[int], Hashable]) -> list[Range]:
    """The columns of a family by what they do; None for one of which that is not known. A range names columns."""
    labels = [matrix.columns[column].platform.label for column in columns]
    found = versions.folded(labels, [does(column) for column in columns])
    return [one._replace(first=columns[one.first], last=columns[one.last]) for one in found]


def listed(names: Iterable[str]) -> str:
    """``Linux, macOS and Windows``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
