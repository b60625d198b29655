"""The differences that bite most, in plain words, drawn from the matrix.

A difference bites where the same calls succeed on some systems and fail on others: the more systems on either side and
the surer we are of them, the fewer calls it takes, the more documents claim the one or the other; and more where
applications are known to stand on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..suite import Case
from .claims import shows
from .table import Matrix
from .words import listed, ranges, shown

_LONGEST = 16  # steps: what needs more is no everyday program
_SURE = {"run": 1.0, "measured": 1.0, "documented": 0.9, "source": 0.8, "model": 0.4, "inferred": 0.3}


class Difference(NamedTuple):
    """A variant in which systems part: in one `text`; in `groups` what happens, and on which systems."""

    case: Case
    row: int
    text: str
    groups: list[tuple[str, list[str]]]


def differences(matrix: Matrix, most: int) -> list[Difference]:
    """The `most` that bite most; a second one of a rule only where there are not rules enough."""
    newest = [matrix.newest(stack) for stack in matrix.families]
    guarded = {id(guard.variants[0].case) for guard in matrix.suite.guards.values() if guard.variants}
    worst: dict[int, tuple[float, int]] = {}  # by case: how much it bites, in which row
    for row, variant in enumerate(matrix.variants):
        bite = _bite(matrix, row, newest) * (1.5 if id(variant.case) in guarded else 1.0)
        if bite > worst.get(id(variant.case), (0.0, 0))[0]:
            worst[id(variant.case)] = bite, row
    of_rule: dict[str, int] = {}
    turns: list[tuple[int, float, int]] = []
    for bite, row in sorted(worst.values(), key=lambda one: (-one[0], one[1])):
        rule = matrix.variants[row].case.rule
        of_rule[rule] = of_rule.get(rule, 0) + 1
        turns.append((of_rule[rule], -bite, row))
    chosen = sorted(turns)[:most]
    return [_told(matrix, row, newest) for _, _, row in sorted(chosen, key=lambda one: one[1:])]


def _bite(matrix: Matrix, row: int, columns: Sequence[int]) -> float:
    variant = matrix.variants[row]
    if len(variant.labels) > _LONGEST:
        return 0.0
    succeed = fail = 0.0
    for column in columns:
        cell = matrix.cell(column, row)
        if cell.known:
            answer = shown(variant.labels, cell.outcome)
            if answer == "ok":
                succeed += _SURE[cell.basis]
            elif not (_lacks(answer) or " or " in answer or answer.endswith(" timeout")):
                fail += _SURE[cell.basis]
    if not succeed or not fail:
        return 0.0
    parting = [{shows(matrix, id_, row, column) for column in columns} >= {True, False} for id_ in variant.case.claims]
    return succeed * fail * (1 + sum(parting) / 2) / (8 + len(variant.labels))


def _lacks(answer: str) -> bool:
    """Whether an answer says that a system has not got what is asked about."""
    step, _, error = answer.partition(" ")
    return step.endswith((".socket", ".set")) and error in ("ENOPROTOOPT", "EOPNOTSUPP", "EINVAL", "EPROTONOSUPPORT")


def _told(matrix: Matrix, row: int, columns: Sequence[int]) -> Difference:
    variant = matrix.variants[row]
    groups: dict[str, list[str]] = {}
    for column in columns:
        cell, at = matrix.cell(column, row), matrix.columns[column]
        if cell.known:
            same = ranges(matrix, row, matrix.families[at.platform.stack])
            words = next(one.words for one in same if one.first <= column <= one.last)
            groups.setdefault(_plainly(shown(variant.labels, cell.outcome)), []).append(f"{at.family} {words}".strip())
    parts = [f"on {listed(systems)} {words}" for words, systems in groups.items()]
    text = f"{variant.case.title}: {'; '.join(parts)}. {variant.case.why}"
    return Difference(variant.case, row, text, list(groups.items()))


def _plainly(answer: str) -> str:
    if answer == "ok":
        return "every call succeeds"
    step, _, outcome = answer.partition(" ")
    if _lacks(answer) and outcome == "ENOPROTOOPT":
        return "there is no such option"
    words = {"ok": "succeeds", "timeout": "waits in vain"}
    return f"{step} {' or '.join(words.get(one, f'fails with {one}') for one in outcome.split(' or '))}"
