"""The documents' claims held against the matrix: where each holds or is refuted, and the variant that shows it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ..expected import agrees
from .table import BASES, Matrix, Outcome


class Held(NamedTuple):
    """A claim on a platform: `word` is holds, refuted or depends; the `row` that shows it, and how that is known.

    Of `tried` rows `against` contradict it.
    """

    word: str
    row: int
    basis: str
    tried: int
    against: int


def claims(matrix: Matrix) -> dict[str, list[Held | None]]:
    """Each claim on each column; None where nothing is known of it."""
    rows: dict[str, list[int]] = {id_: [] for id_ in matrix.suite.claims}
    for row, variant in enumerate(matrix.variants):
        for id_ in variant.case.claims:
            rows[id_].append(row)
    return {
        id_: [_held(matrix, id_, mine, column) for column in range(len(matrix.columns))] for id_, mine in rows.items()
    }


def _held(matrix: Matrix, id_: str, rows: list[int], column: int) -> Held | None:
    tried = {row: answer for row in rows if (answer := shows(matrix, id_, row, column)) is not None}
    if not tried:
        return None
    against = [row for row, holds in tried.items() if not holds]
    word = "holds" if not against else "refuted" if len(against) == len(tried) else "depends"
    row = min(against or tried, key=lambda row: BASES.index(matrix.cell(column, row).basis))
    return Held(word, row, matrix.cell(column, row).basis, len(tried), len(against))


def shows(matrix: Matrix, id_: str, row: int, column: int) -> bool | None:
    """Whether a cell shows that a claim of its case holds, or that it does not; None where it tells neither."""
    cell = matrix.cell(column, row)
    if not cell.known:
        return None
    variant = matrix.variants[row]
    return _shows(variant.labels, cell.outcome, tuple(variant.case.claims[id_].items()))


@lru_cache(1 << 14)
def _shows(labels: tuple[str, ...], outcome: Outcome, claimed: tuple[tuple[str, str], ...]) -> bool | None:
    wanted, given = dict(claimed), dict(zip(labels, outcome, strict=True))
    for label in wanted.keys() & given.keys():
        within = _within(given[label], wanted[label])
        if within is False:
            return False
        if within:
            given[label] = wanted[label]  # the same, said of fewer ports
    return agrees(given, wanted, labels)


def _within(given: str, wanted: str) -> bool | None:
    """Whether recorded addresses are all among those that are wanted; or none is; or neither, or that is not known."""
    have, want = _addresses(given), _addresses(wanted)
    if not have or not want:
        return None
    if all(any(host == other and low <= a <= b <= high for other, low, high in want) for host, a, b in have):
        return True
    return (
        False if all(host != other or b < low or high < a for host, a, b in have for other, low, high in want) else None
    )


def _addresses(text: str) -> list[tuple[str, int, int]]:
    """Alternatives that are all addresses with ports in numbers: host, lowest, highest; else none."""
    found = [re.fullmatch(r"(.+):(\d+)(?:\.\.(\d+))?", one) for one in text.split("|")]
    return [(one[1], int(one[2]), int(one[3] or one[2])) for one in found if one] if all(found) else []
