"""Versions of one system that do the same, folded to ranges in words that cannot be read backwards."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import NamedTuple


class Range(NamedTuple):
    """Neighbouring versions of one system that do the same, the first and the last of them; `words` names them.

    No word where it is the whole system. A version of which nothing is known is in no range, and none goes over it.
    """

    first: int
    last: int
    outcome: Hashable
    words: str


def folded(labels: Sequence[str], does: Sequence[Hashable]) -> list[Range]:
    """The versions of one system by what each `does`; None for one of which that is not known."""
    found = []
    for outcome, group in groupby(range(len(labels)), key=does.__getitem__):
        if outcome is not None:
            first, *others = group
            found.append(Range(first, others[-1] if others else first, outcome, ""))
    ends = {one.last for one in found}, {one.first for one in found}
    return [
        one._replace(words=_words(labels, one.first, one.last, one.first - 1 in ends[0], one.last + 1 in ends[1]))
        for one in found
    ]


def _words(labels: Sequence[str], first: int, last: int, before: bool, after: bool) -> str:
    """``since 6.3`` and ``until 6.2`` where the other version is known to do otherwise, and never across a gap."""
    if last - first == len(labels) - 1:
        return ""
    here = range(first, last + 1)
    if first < last and not all(labels[at][0].isdigit() for at in (first, last)):
        return ", ".join(labels[at] for at in here)  # names have no order that everybody knows
    ends = [_label(labels, at, here) for at in (first, last)]
    if last == len(labels) - 1 and before:
        return f"since {ends[0]}"
    if first == 0 and after:
        return f"until {ends[1]}"
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} \N{EN DASH} {ends[1]}"


def _label(labels: Sequence[str], at: int, here: range) -> str:
    """The release line of a version, if all that is known of that line is in the range; else the version."""
    line = _line(labels[at])
    outside = (label for other, label in enumerate(labels) if other not in here)
    return labels[at] if line in map(_line, outside) else line


def _line(label: str) -> str:
    numbers = label.split(".")
    return ".".join(numbers[:2]) if len(numbers) > 2 else label
