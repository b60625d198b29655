"""The matrix as data: variants in rows, platforms in columns, and of each cell what happens there and how we know.

`build` makes one. Among a million cells few thousand differ, so each is kept once and a column is their numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from ..dataclass import dataclass
from ..platforms import Platform
from ..suite import Statement, Suite, Variant

#: How a cell is known. run: on this very version · measured: stated of a range of versions, by runs on some of them ·
#: documented, source, inferred: stated, as the suite says it · model: by the model alone · unknown: to nobody ·
#: unsupported: such a system cannot be asked · missing: the runs of this version were not asked, and nobody knows.
BASES = ("run", "measured", "documented", "source", "model", "inferred", "unknown", "unsupported", "missing")
UNKNOWN = "?"  # stands for a step whose outcome is not known

Outcome = tuple[str, ...]  # a text for each labelled step


class Seen(NamedTuple):
    """What one run showed of a variant.

    `state` is match; differs, from what was known; recorded, where nothing was; unsupported; broken; or missing.
    `outcome` is as it was recorded, ports by their symbols, where it was asked; `reason` says why it was not.
    """

    state: str
    outcome: Outcome = ()
    reason: str = ""

    @property
    def asked(self) -> bool:
        return bool(self.outcome)


class Cell(NamedTuple):
    """A variant on a platform.

    `outcome` is canonical: what the model says, else what is stated, else what was seen; and where a run departed from
    what was known, what was seen, with `expected` beside it. `clauses` decide the steps, by the model.
    """

    outcome: Outcome
    basis: str
    clauses: tuple[str, ...] = ()
    statement: int = -1  # its number in the matrix
    seen: tuple[Seen, ...] = ()  # by each run of the column
    expected: Outcome = ()
    why: str = ""  # nothing is known, or not all

    @property
    def known(self) -> bool:
        return self.basis not in ("unknown", "unsupported", "missing")

    @property
    def disputed(self) -> bool:
        """Whether two runs were asked and did not do the same, where the system may not choose."""
        asked = [seen for seen in self.seen if seen.asked]
        return len({seen.outcome for seen in asked}) > 1 and any(seen.state != "match" for seen in asked)


@dataclass(frozen=True)
class Run:
    """One run of a platform: its file, what its header says, and of how many rows it tells what.

    `stale` ones it answered for another scenario under the same name, `missing` ones not at all.
    """

    file: str
    suite: str
    facts: dict[str, str]
    knobs: dict[str, str]
    asked: int
    unsupported: int
    stale: int
    missing: int


@dataclass(frozen=True)
class Column:
    """A platform, its runs, and why it is not modelled, if it is not."""

    platform: Platform
    family: str
    runs: tuple[Run, ...] = ()
    not_modelled: str = ""

    @property
    def title(self) -> str:
        return f"{self.family} {self.platform.label}"


class LeftOut(NamedTuple):
    """A file that does not fit, and why; its `line`, or 0 for the whole of it."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}" if self.line else f"{self.file}: {self.why}"


@dataclass(frozen=True)
class Matrix:
    """Everything that is known. `vectors[column][row]` is the number of a cell."""

    suite: Suite
    variants: Sequence[Variant]
    columns: Sequence[Column]
    cells: Sequence[Cell]
    vectors: Sequence[array[int]]
    statements: Sequence[Statement]
    left_out: Sequence[LeftOut] = ()

    def cell(self, column: int, row: int) -> Cell:
        return self.cells[self.vectors[column][row]]

    @cached_property
    def starts(self) -> dict[str, int]:
        """The first row of each case, by ``rule/case``; its other variants follow."""
        found: dict[str, int] = {}
        for row, variant in enumerate(self.variants):
            found.setdefault(f"{variant.case.rule}/{variant.case.id}", row)
        return found

    @cached_property
    def families(self) -> dict[str, range]:
        """The columns of each stack, oldest version first."""
        found: dict[str, range] = {}
        for at, column in enumerate(self.columns):
            stack = column.platform.stack
            found[stack] = range(found[stack].start if stack in found else at, at + 1)
        return found

    def newest(self, stack: str) -> int:
        """The newest column of a stack that has a run or a model; else its newest."""
        told = [at for at in self.families[stack] if self.columns[at].runs or not self.columns[at].not_modelled]
        return (told or self.families[stack])[-1]
