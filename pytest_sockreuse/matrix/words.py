"""Outcomes and ranges of versions in words, the same in every output."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from ..verdict import is_outcome
from .table import UNKNOWN, Matrix, Outcome


class Range(NamedTuple):
    """Neighbouring columns of one family that do the same, the first and the last of them; `words` names them.

    No word where it is the whole family. A column of which nothing is known is in no range, and none goes over it.
    """

    first: int
    last: int
    outcome: Hashable
    words: str


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
    """The columns of a family by what they do; None for one of which that is not known."""
    found = []
    for outcome, group in groupby(columns, key=does):
        if outcome is not None:
            first, *others = group
            found.append(Range(first, others[-1] if others else first, outcome, ""))
    ends = {one.last for one in found}, {one.first for one in found}
    return [
        one._replace(words=_words(matrix, one, columns, one.first - 1 in ends[0], one.last + 1 in ends[1]))
        for one in found
    ]


def _words(matrix: Matrix, one: Range, columns: range, before: bool, after: bool) -> str:
    """``since 6.3`` and ``until 6.2`` where the other version is known to do otherwise, and never across a gap."""
    first, last = one.first == columns[0], one.last == columns[-1]
    if first and last:
        return ""
    here = range(one.first, one.last + 1)
    labels = [_label(matrix, column, here, columns) for column in (one.first, one.last)]
    if last and before:
        return f"since {labels[0]}"
    if first and after:
        return f"until {labels[1]}"
    return labels[0] if labels[0] == labels[1] else f"{labels[0]} \N{EN DASH} {labels[1]}"


def _label(matrix: Matrix, column: int, here: range, columns: range) -> str:
    """The release line of a column, if all that is known of that line is in the range; else its version."""
    label = matrix.columns[column].platform.label
    line = _line(label)
    outside = (matrix.columns[other].platform.label for other in columns if other not in here)
    return label if line in map(_line, outside) else line


def _line(label: str) -> str:
    numbers = label.split(".")
    return ".".join(numbers[:2]) if len(numbers) > 2 else label


def listed(names: Iterable[str]) -> str:
    """``Linux, macOS and Windows``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
