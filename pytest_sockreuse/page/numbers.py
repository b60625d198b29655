"""Lists of numbers, written so that they are short.

Values are numbered in the order of use, and most lists are written as differences, each from the one before: a third of
the size once it is compressed, for what is used next is new, or was used just now.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

Numbers = tuple[int, ...]


class Table:
    """Values in the order in which they are first used; ``table(value)`` is the number of one."""

    def __init__(self, *first: Hashable) -> None:
        self.numbers: dict[Any, int] = {value: number for number, value in enumerate(first)}

    def __call__(self, value: Hashable) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.numbers)


def differences(numbers: Iterable[int]) -> list[int]:
    """Each number less the one before; the first as it is."""
    found = [0, *numbers]
    return [after - before for before, after in itertools.pairwise(found)]


def lengths(numbers: Iterable[int]) -> Numbers:
    """Each number, and how often it comes in a row."""
    return tuple(part for number, group in itertools.groupby(numbers) for part in (number, sum(1 for _ in group)))


def steps(numbered: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Numbers of steps, each as its distance from the one before, and each with what is said of it."""
    before, found = 0, []
    for at, said in numbered:
        found += [at - before, said]
        before = at
    return tuple(found)


class Strands:
    """Rows of numbers over all platforms: of each row a strand a family, and of these those that are not alike."""

    def __init__(self, families: Iterable[range]) -> None:
        self.families = list(families)
        self.strands = [Table() for _ in self.families]
        self.vectors = Table()

    def add(self, row: Iterable[int]) -> int:
        """The number of the vector that a row is."""
        whole = tuple(row)
        each = zip(self.strands, self.families, strict=True)
        return self.vectors(tuple(table(lengths(whole[columns.start : columns.stop])) for table, columns in each))

    def tables(self) -> dict[str, Any]:
        """The strands of each family; and of all vectors the first family's strands, the second's, and so on."""
        return {
            "strands": [[*_written(table)] for table in self.strands],
            "vectors": [differences(column) for column in zip(*self.vectors, strict=True)],
        }


def _written(table: Iterable[Numbers]) -> Iterator[int | list[int]]:
    """Run lengths, their numbers as differences through the whole table; the last length goes without saying."""
    before = 0
    for strand in table:
        each = list(strand)
        for at in range(0, len(each), 2):
            each[at], before = each[at] - before, each[at]
        yield each[:-1] if len(each) > 2 else each[0]
