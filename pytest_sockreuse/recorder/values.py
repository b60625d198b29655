"""Answers: what an expression is here and there, and how answers go together."""

from __future__ import annotations

import ast
import enum
import operator
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final


class Vague(enum.Enum):
    """The answers that are no values."""

    SAME = "same"
    OPEN = "open"


SAME: Final = Vague.SAME
OPEN: Final = Vague.OPEN
Answer = tuple[object, object] | Vague

_Op = Callable[[object, object], object]
COMPARED: dict[type[ast.cmpop], _Op] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, of: item in of,  # type: ignore[operator]
    ast.NotIn: lambda item, of: item not in of,  # type: ignore[operator]
}


class Open(Exception):
    """A condition that asks for the system in a way that is not followed."""


def differs(answer: Answer) -> bool:
    """Whether it is, or may be, another on the other system."""
    if isinstance(answer, Vague):
        return answer is OPEN
    here, there = answer
    return type(here) is not type(there) or here != there


def together(answers: Sequence[bool | Vague | None], decides: bool, known: bool | None) -> bool | None:
    if decides in answers:
        return decides
    if OPEN in answers:
        raise Open
    if not any(answer is not None for answer in answers):
        return None
    if None in answers and known is None:
        raise Open
    return not decides


def values_of(answers: Sequence[Answer]) -> list[tuple[object, object]] | None:
    """The answers, if all are values."""
    found = [answer for answer in answers if not isinstance(answer, Vague)]
    return found if len(found) == len(answers) else None


def crossed(here: Answer, there: Answer) -> Answer:
    """What is as one answer says here, and as another there."""
    values = values_of((here, there))
    return OPEN if values is None else (values[0][0], values[1][1])


def compare(parts: list[Answer], ops: Sequence[ast.cmpop]) -> Answer:
    if (values := values_of(parts)) is None:
        return OPEN if any(map(differs, parts)) else SAME
    sides = [
        all(COMPARED[type(op)](a[side], b[side]) for op, (a, b) in zip(ops, pairwise(values), strict=True))
        for side in (0, 1)
    ]
    return sides[0], sides[1]


def either_or_all(is_or: bool, parts: list[Answer]) -> Answer:
    sides: list[object] = []
    for side in (0, 1):
        value: object = not is_or
        for part in parts:
            if isinstance(part, Vague):
                value = part
                continue
            if bool(part[side]) == is_or:
                value = part[side]
                break
            if not isinstance(value, Vague):
                value = part[side]
        sides.append(value)
    if OPEN in sides or (SAME in sides and sides != [SAME, SAME]):
        return OPEN
    return SAME if SAME in sides else (sides[0], sides[1])
