"""The matrix in a screenful: what was run, and the differences that bite most."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator

from .differences import differences
from .table import BASES, Matrix


def overview(matrix: Matrix) -> Iterator[str]:
    """Line by line."""
    yield from (f"left out: {one}" for one in matrix.left_out)
    yield f"{len(matrix.variants)} scenarios, {len(matrix.columns)} platforms; of the newest version of each system:"
    for stack in matrix.families:
        column = matrix.newest(stack)
        counts = Counter(matrix.cells[number].basis for number in matrix.vectors[column])
        known = ", ".join(f"{counts[basis]} {basis}" for basis in BASES if counts[basis])
        yield f"    {matrix.columns[column].title}: {known}"
    for number, one in enumerate(differences(matrix, 10), 1):
        yield ""
        yield from textwrap.wrap(one.text, 116, initial_indent=f"{number:>2}. ", subsequent_indent="    ")
        yield f"    {matrix.variants[one.row].id}"
