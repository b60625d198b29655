"""The matrix as the page's data block: tables that name each other by number, so that nothing is written twice.

`source/data.js` reads it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..matrix.claims import claims
from ..matrix.table import BASES, Cell, Matrix, Outcome, Run, Seen
from ..model import families
from ..report.predictions import unnamed
from ..suite import Case, Statement
from ..version import __version__
from .numbers import Numbers, Strands, Table, differences, steps
from .servers import servers


def encode(matrix: Matrix) -> dict[str, Any]:
    """Everything that the page shows, as JSON has it."""
    coded = _Coded(matrix)
    names = {stack: matrix.columns[columns[0]].family for stack, columns in matrix.families.items()}
    runs = [run for column in matrix.columns for run in column.runs]
    numbers, stacks = iter(range(len(runs))), list(names)
    return {
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "version": __version__,
        "suite": matrix.suite.version,
        "bases": BASES,
        "families": list(names.items()),
        "platforms": [
            [stacks.index(one.platform.stack), one.platform.label, [next(numbers) for _ in one.runs], one.not_modelled]
            for one in matrix.columns
        ],
        "runs": [_run(run) for run in runs],
        "left": [list(left) for left in matrix.left_out],
        "rules": [[rule.id, rule.title, rule.about] for rule in matrix.suite.rules.values()],
        "claims": [[claim.id, claim.document, claim.text] for claim in matrix.suite.claims.values()],
        **_held(matrix),
        "evidence": {key: [entry["title"], entry.get("url", "")] for key, entry in matrix.suite.evidence.items()},
        **coded.tables(),
        "servers": servers(matrix),
    }


class _Coded:
    """The cells and the cases of a matrix, and the tables that they name."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self.books = {stack: module.BOOK.clauses for stack, module in families().items() if stack in matrix.families}
        self.sentenced = {name for book in self.books.values() for name in book}
        self.texts, self.names, self.cells, self.seen, self.axes = (Table() for _ in range(5))
        self.outcomes, self.clauses, self.statements, self.whys = Table(()), Table(()), Table(-1), Table("")
        self.numbers: dict[int, int] = {}  # of a cell of the matrix, the number of ours
        for columns in matrix.families.values():  # a family's cells are alike, and so are numbered one after another
            for row in zip(*matrix.vectors[columns.start : columns.stop], strict=True):
                for cell in dict.fromkeys(row):
                    self._number(cell)
        self.strands = Strands(matrix.families.values())
        self.rows = [self.strands.add(map(self.numbers.__getitem__, row)) for row in zip(*matrix.vectors, strict=True)]

    def _number(self, cell: int) -> None:
        if cell not in self.numbers:
            self.numbers[cell] = self.cells(self._cell(self.matrix.cells[cell]))

    def _cell(self, cell: Cell) -> Numbers:
        decides = ((at, self.names(name)) for at, name in enumerate(cell.clauses) if name in self.sentenced)
        return (
            self._outcome(cell.outcome),
            self.clauses(steps(decides)),
            BASES.index(cell.basis),
            self.statements(cell.statement),
            self.whys(unnamed(cell.why)),
            self._outcome(cell.expected) if cell.expected else -1,
            *(self._seen(one, cell.outcome) for one in cell.seen),
        )

    def _outcome(self, outcome: Outcome) -> int:
        """Its steps that are not just ok, each after its number."""
        return self.outcomes(steps((at, self.texts(text)) for at, text in enumerate(outcome) if text != "ok"))

    def _seen(self, seen: Seen, outcome: Outcome) -> int:
        if seen.state == "match" and seen.outcome == outcome:
            return 0
        exact = self._outcome(seen.outcome) if seen.outcome else -1
        return 1 + self.seen((seen.state, exact, self.whys(unnamed(seen.reason))))

    def _case(self, rule: int, case: Case) -> list[Any]:
        axes = [
            self.axes((name, tuple((value, tuple(words.items())) for value, words in values.items())))
            for name, values in case.axes.items()
        ]
        scenario = re.sub(r"[ \t]+#", "  #", case.scenario)  # as the language spells it, and contents are hashes of
        return [rule, case.id, case.title, case.why, case.fact, list(case.claims), axes, scenario, len(case.variants)]

    def tables(self) -> dict[str, Any]:
        rules = self.matrix.suite.rules.values()
        cases = [self._case(number, case) for number, rule in enumerate(rules) for case in rule.cases]
        statements = (self.matrix.statements[at] for at in self.statements if at >= 0)
        sentences = Table()
        books = {stack: self._book(book, sentences) for stack, book in self.books.items()}
        return {
            "texts": list(self.texts),
            "outcomes": list(self.outcomes),
            "names": list(self.names),
            "clauses": list(self.clauses),
            "books": books,
            "sentences": list(sentences),
            "statements": _statements(statements),
            "whys": list(self.whys),
            "seen": list(self.seen),
            "cells": [differences(column) for column in zip(*(cell[:6] for cell in self.cells), strict=True)],
            "seenIn": [list(cell[6:]) or 0 for cell in self.cells],
            **self.strands.tables(),
            "rows": differences(self.rows),
            "axes": [[name, {value: dict(words) for value, words in values}] for name, values in self.axes],
            "cases": cases,
        }

    def _book(self, book: Mapping[str, Any], sentences: Table) -> dict[int, list[Any]]:
        """The clauses of a stack that decide anything here."""
        return {
            self.names(name): [sentences(clause.sentence), clause.source, clause.confidence, str(clause.span)]
            for name, clause in book.items()
            if name in self.names.numbers
        }


def _run(run: Run) -> dict[str, Any]:
    counts = {"asked": run.asked, "unsupported": run.unsupported, "stale": run.stale, "missing": run.missing}
    return {"file": run.file, "suite": run.suite, "facts": run.facts, "knobs": run.knobs, **counts}


def _statements(statements: Iterable[Statement]) -> dict[str, Any]:
    """Columns of numbers: of each statement its line, and the words that say its file, basis, evidence and note."""
    words = Table()
    rows = [
        (words(one.at.file.name), one.at.line, words(one.basis), words(tuple(one.evidence)), words(one.note))
        for one in statements
    ]
    return {"words": list(words), "columns": [differences(column) for column in zip(*rows, strict=True)]}


def _held(matrix: Matrix) -> dict[str, Any]:
    """What each claim comes to, column by column."""
    holds, strands = Table(None), Strands(matrix.families.values())
    found = {
        claim: strands.add(holds(one and (one.word, one.row, one.basis, one.tried, one.against)) for one in row)
        for claim, row in claims(matrix).items()
    }
    return {"holds": list(holds), "held": found, **{f"{key}Held": table for key, table in strands.tables().items()}}
