"""What changed between two sets of results, by canonical outcome: a port that was chosen, or a basis, is no change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..report.fold import fold
from .table import Cell, Matrix, Outcome

Pair = tuple[int, int]  # a column of the old matrix and one of the new


def pairs(old: Matrix, new: Matrix) -> list[Pair]:
    """The columns to compare: those of one platform; and of a family of which each side has one left, these two."""
    places = {column.platform.name: at for at, column in enumerate(new.columns)}
    found = [(at, places[one.platform.name]) for at, one in enumerate(old.columns) if one.platform.name in places]
    left = [at for at in range(len(old.columns)) if at not in {a for a, _ in found}]
    others = [at for at in range(len(new.columns)) if at not in {b for _, b in found}]
    for stack in old.families:
        mine = [at for at in left if old.columns[at].platform.stack == stack]
        theirs = [at for at in others if new.columns[at].platform.stack == stack]
        if len(mine) == len(theirs) == 1:
            found.append((mine[0], theirs[0]))
    return sorted(found)


def alone(old: Matrix, new: Matrix) -> Iterator[str]:
    """The platforms of one side that are compared with none, a line each."""
    compared = pairs(old, new)
    for side, matrix, taken in (("old", old, {a for a, _ in compared}), ("new", new, {b for _, b in compared})):
        yield from (f"only in the {side}: {one.title}" for at, one in enumerate(matrix.columns) if at not in taken)


def compared(old: Matrix, new: Matrix, pair: Pair) -> Iterator[tuple[Cell, Cell, int]]:
    """The cells of a pair of columns that a run was asked on either side, and their row."""
    for row in range(len(old.variants)):
        before, after = old.cell(pair[0], row), new.cell(pair[1], row)
        if _is_told(before) and _is_told(after):
            yield before, after, row


def changes(old: Matrix, new: Matrix, pair: Pair) -> list[str]:
    """Each change of an outcome, by its first step, a line for all variants of a case that changed alike."""
    groups: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for before, after, row in compared(old, new, pair):
        if before.outcome != after.outcome:
            variant = old.variants[row]
            what = next(_changed(variant.labels, before.outcome, after.outcome))
            groups[f"{variant.case.rule}/{variant.case.id}", what].append(variant.values)
    return [f"{fold(case, values)}: {what}" for (case, what), values in groups.items()]


def _is_told(cell: Cell) -> bool:
    """Whether a run was asked, so that its outcome is more than what models and statements of today say."""
    return any(seen.asked for seen in cell.seen)


def _changed(labels: tuple[str, ...], before: Outcome, after: Outcome) -> Iterator[str]:
    for label, old, new in zip(labels, before, after, strict=True):
        if old != new:
            yield f"{label} {old} -> {new}"
