"""Results and models merged: the matrix.

A result counts if it answers the very scenario that this suite asks, whatever suite its file is of. Of two runs of a
platform the one that was asked wins over the one that could not be; two that were asked are both kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from ..data import LONGEST, MAX_COMPLAINTS
from ..loader import load
from ..model import families, not_modelled
from ..platforms import CONFORMANCE, Platform, known, registry
from ..suite import Case, Statement, Suite, Table
from ..text import few
from ..verdict import Outcome as Expected
from . import shape as shapes
from .files import MOST_RUNS, Answer, Intake, Taken
from .kept import NONE, Predicted, Stack
from .shape import Shape
from .table import UNKNOWN, Cell, Column, Matrix, Outcome, Seen

PREDICTIONS = CONFORMANCE / "predictions"


class MergeError(ValueError):
    """Files that do not fit, one line each: the file, the line, what to do. Of many the first, and how many more."""

    def __init__(self, lines: str) -> None:
        super().__init__(few(lines, MAX_COMPLAINTS, 4 * LONGEST))


def committed() -> list[Path]:
    """The results that come with the suite."""
    return sorted((CONFORMANCE / "results").glob("*.jsonl"))


def build(
    paths: Sequence[Path] | None = None,
    *,
    keep_going: bool = False,
    suite: Suite | None = None,
    all_known: bool = True,
    say: Callable[[str], object] = lambda _: None,
) -> Matrix:
    """The matrix of these results files (of those that come with the suite), of the models and of what is stated.

    It has `all_known` platforms, or those alone that were run. A file that does not fit raises MergeError, with all
    others of the kind; or is left out, to `keep_going`. `say` is told what takes long.
    """
    paths = committed() if paths is None else paths
    if len(paths) > MOST_RUNS:  # each has one at least
        raise MergeError(f"{len(paths)} results files, of at most {MOST_RUNS} runs in all; leave out some")
    suite = suite or load(check=False)
    intake = Intake(suite, _shapes(suite))
    for path in paths:
        intake.take(path)
    if intake.refused and not keep_going:
        raise MergeError("\n".join(map(str, intake.refused)))
    return _Merge(suite, intake, say).matrix(known() if all_known else [])


def _shapes(suite: Suite) -> list[Shape]:
    """The shape of each row, each once."""
    once: dict[Shape, Shape] = {}
    return [once.setdefault(found, found) for found in (shapes.shape(variant.scenario) for variant in suite.variants)]


def _ordered(known: Iterable[Platform], runs: Iterable[Platform]) -> list[Platform]:
    """Both: stack by stack, oldest version first."""
    found = list(known)
    for platform in sorted(set(runs) - set(found), key=lambda one: (one.stack, one.version, one.label)):
        family = [at for at, other in enumerate(found) if other.stack == platform.stack]
        later = [at for at in family if found[at].version > platform.version]
        found.insert(later[0] if later else family[-1] + 1 if family else len(found), platform)
    return found


class _Merge:
    """One merge: what goes into a cell is numbers, and a cell of the same numbers is made once."""

    def __init__(self, suite: Suite, intake: Intake, say: Callable[[str], object]) -> None:
        self.suite, self.intake, self.say = suite, intake, say
        self.of = [id(shape) for shape in intake.shapes]
        self.cells: dict[Cell, int] = {}
        self.made: dict[tuple[int, ...], int] = {}  # the number of a cell, by the numbers of what goes into it
        self.predicted: dict[int, Predicted] = {}  # by id, which no other has as long as it is kept
        self.expected: list[tuple[int, Statement | None, Expected]] = [(-1, None, {})]
        self.by_case: dict[tuple[int, ...], list[int]] = {}  # the numbers in `expected` of a case's variants
        self.statements: dict[int, Statement] = {}  # by id

    def matrix(self, known: Iterable[Platform]) -> Matrix:
        runs: dict[Platform, list[Taken]] = {}
        for taken in self.intake.runs:
            runs.setdefault(replace(taken.platform, flavour=""), []).append(taken)
        columns, vectors = [], []
        for stack, group in groupby(_ordered(known, runs), key=lambda platform: platform.stack):
            model = Stack(stack, self.suite, PREDICTIONS) if stack in families() else None
            if model is not None and model.anew:
                self.say(f"{stack}: {model.anew} cases are predicted now; `sockreuse results predict` would keep that")
            for platform in group:
                here = runs.get(platform, [])
                predicted = model.column(platform) if model is not None else [NONE] * len(self.suite.variants)
                vectors.append(self._vector(platform, predicted, here))
                family = registry()[stack]["title"] if stack in registry() else stack
                columns.append(Column(platform, family, tuple(taken.run for taken in here), not_modelled(platform)))
        cells, statements = tuple(self.cells), tuple(self.statements.values())
        left_out = tuple(self.intake.refused)
        return Matrix(self.suite, self.suite.variants, columns, cells, vectors, statements, left_out)

    def _vector(self, platform: Platform, predicted: Sequence[Predicted], runs: Sequence[Taken]) -> array[int]:
        ids = [id(one) for one in predicted]
        self.predicted.update(zip(ids, predicted, strict=True))
        keys = list(zip(self.of, ids, self._expected(platform), *(run.rows for run in runs), strict=True))
        for row, key in enumerate(keys):
            if key not in self.made:
                cell = self._cell(self.intake.shapes[row], *key[1:])
                self.made[key] = self.cells.setdefault(cell, len(self.cells))
        return array("I", map(self.made.__getitem__, keys))

    def _expected(self, platform: Platform) -> list[int]:
        """For each row the number of what is stated of it."""
        found = []
        for case in (case for rule in self.suite.rules.values() for case in rule.cases):
            statements = case.stated(platform)
            key = (id(case), *map(id, statements))
            if key not in self.by_case:
                self.by_case[key] = self._of_case(case, statements)
            found += self.by_case[key]
        return found

    def _of_case(self, case: Case, statements: Sequence[Statement]) -> list[int]:
        numbers: dict[tuple[int, int], int] = {}
        found = []
        for variant in case.variants:
            statement = next((one for one in statements if one.covers(variant.named_values)), None)
            if statement is None:
                found.append(0)
                continue
            outcome = statement.outcome
            if isinstance(outcome, Table):
                outcome = case.cells[outcome.cell(variant.named_values)]
            key = id(statement), id(outcome)
            if key not in numbers:
                self.statements.setdefault(id(statement), statement)
                numbers[key] = len(self.expected)
                self.expected.append((list(self.statements).index(id(statement)), statement, outcome))
            found.append(numbers[key])
        return found

    def _cell(self, of: Shape, predicted: int, expected: int, *answers: int) -> Cell:
        said = self.predicted[predicted]
        at, statement, outcome = self.expected[expected]
        possible = [said.outcome] if said.outcome else []
        if statement is not None:
            possible.append(shapes.stated(of, outcome))
        known = next((one for one in possible if UNKNOWN not in one), said.outcome)
        seen = tuple(_seen(of, self.intake.answers[answer], possible) for answer in answers)
        whole = bool(known) and UNKNOWN not in known
        why = "" if whole else said.why
        found = Cell(known or (UNKNOWN,) * len(of.calls), "", said.clauses, at, seen, (), why)
        if any(one.asked for one in seen):
            return _run(of, found)
        if whole:
            return found._replace(basis="model" if statement is None else statement.basis)
        reasons = [one.reason for one in seen if one.state == "unsupported"]
        if said.not_run or reasons:
            return found._replace(basis="unsupported", why=said.why if said.not_run else reasons[0])
        return found._replace(basis="missing" if seen else "unknown")


def _seen(of: Shape, answer: Answer, possible: Sequence[Outcome]) -> Seen:
    if answer.verdict in ("missing", "stale"):
        return Seen("missing", (), "" if answer.verdict == "missing" else "another scenario was asked under this name")
    if answer.verdict in ("unsupported", "broken"):
        return Seen(answer.verdict, (), answer.reason)
    outcome = shapes.recorded(of, dict(answer.outcome))
    if not possible:
        return Seen("recorded", outcome)
    return Seen("match" if any(shapes.has_room(one, outcome) for one in possible) else "differs", outcome)


def _run(of: Shape, cell: Cell) -> Cell:
    """A cell that was run: what is known, or where a run departs from that what was seen."""
    asked = [seen for seen in cell.seen if seen.asked]
    did = shapes.united(shapes.canonical(of, seen.outcome) for seen in asked)
    if any(seen.state == "differs" for seen in asked):
        return cell._replace(outcome=did, basis="run", expected=cell.outcome, why="")
    filled = tuple(one if may == UNKNOWN else may for may, one in zip(cell.outcome, did, strict=True))
    return cell._replace(outcome=filled, basis="run", why="")
