"""What a function gives back on two systems: its statements are gone through once for each, as far as that leads."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from .syntax import FILL, Def, Scope, Step, conditions, remembered, there_are
from .values import OPEN, SAME, Answer, Open, Vague, differs

_Ask = Callable[[ast.expr, Scope], Answer]
_PLAIN = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Pass, ast.FunctionDef)


def given_back(ask: _Ask, function: Def, scope: Scope) -> Answer:
    """What a function returns; OPEN where that depends on the system in more ways than are followed."""
    try:
        here, there = (_run(ask, function.body, scope, side) for side in (0, 1))
    except (Open, LookupError):
        return OPEN if does_otherwise(ask, function, scope, True) else SAME
    return here, there


def _run(ask: _Ask, block: Sequence[ast.stmt], scope: Scope, side: int) -> object:
    """What a block returns on one side. Raises LookupError where it goes on after it, Open where that is not known."""
    for node in block:
        match node:
            case ast.Return(value=ast.expr() as value):
                return _known(ask(value, scope), side)
            case ast.If() | ast.Try() | ast.Match():
                try:
                    return _run(ask, _taken(ask, node, scope, side), scope, side)
                except LookupError:
                    continue
            case ast.Expr(value=ast.Constant()):
                continue
            case _ if not isinstance(node, _PLAIN):
                raise Open
    raise LookupError


def _taken(ask: _Ask, node: ast.stmt, scope: Scope, side: int) -> Sequence[ast.stmt]:
    """The block of a statement that is run on one side. Raises Open."""
    for step in _blocks(node):
        if all(bool(_known(ask(it.test, it.scope), side)) == it.held for it in conditions(step, scope)):
            taken = step.node.body if step.block and isinstance(step.node, ast.match_case) else step.block
            return [one for one in taken if isinstance(one, ast.stmt)]
    return ()


def _blocks(node: ast.stmt) -> Iterator[Step]:
    match node:
        case ast.If(body=body, orelse=other):
            yield from (Step(node, "body", body, 0), Step(node, "orelse", other, 0))
        case ast.Try(body=body, orelse=other, handlers=handlers) if there_are(node) is not None:
            yield from (Step(node, "orelse", [*body, *other], 0), Step(node, "handlers", handlers[0].body, 0))
        case ast.Match(cases=cases) if not any(case.guard for case in cases):
            yield from (Step(node, "cases", cases, at) for at in range(len(cases)))
        case _:
            raise Open


def _known(answer: Answer, side: int) -> object:
    if isinstance(answer, Vague):
        raise Open
    return answer[side]


def does_otherwise(ask: _Ask, function: Def, scope: Scope, back: bool = False) -> bool:
    """Whether a function asks for the system, and does another thing there, or `back`: gives another thing back."""
    return any(differs(ask(node, scope)) for node in _deciding(function, back))


@lru_cache(8192)
def _deciding(function: Def, back: bool) -> tuple[ast.expr, ...]:
    """What decides what a function does, or gives back: its conditions, and what it returns."""
    found: list[ast.expr | None] = []
    for node in ast.walk(function):
        match node:
            case ast.If(test=test) | ast.Match(subject=test) if not back or _matters(node):
                found.append(test)
            case ast.Try() if not back or _matters(node):
                found.append(there_are(node))
            case ast.IfExp(test=test) | ast.Return(value=test):
                found.append(test)
    return tuple(node for node in found if node is not None)


remembered(_deciding.cache_clear)


def _matters(node: ast.stmt) -> bool:
    """Whether what a function gives back may depend on a statement: it returns, raises, or gives names values."""
    return any(
        isinstance(inner, ast.Return | ast.Raise | ast.Yield | ast.YieldFrom | ast.Assign | ast.AugAssign | ast.Break)
        or (isinstance(inner, ast.Call) and getattr(inner.func, "attr", "") in FILL)
        for inner in ast.walk(node)
    )
