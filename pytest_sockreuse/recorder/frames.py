"""The functions that were running when a call was made: their code, and what they were called with."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import lru_cache

from ..dataclass import dataclass
from .locations import Place
from .syntax import Def, Scope, call_at, innermost, remembered


@dataclass(frozen=True, slots=True)
class Frame:
    """A function that was running: where, in which code, and the calls that it was making: ``await f()`` has one."""

    place: Place
    scope: Scope
    calls: tuple[ast.Call, ...] = ()


def parameters(function: Def) -> set[str]:
    given = function.args
    return {arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def default(function: Def, name: str) -> ast.expr | None:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    for arg, default in zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True):
        if arg.arg == name:
            return default
    return next((d for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if a.arg == name), None)


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == name), None)


def call_name(call: ast.Call) -> str:
    """The name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else str(getattr(call.func, "id", ""))


def calls(call: ast.Call, function: Def) -> bool:
    """Whether a call is of this function, by its name."""
    return call_name(call) == function.name or function.name == "__init__"


def given_to(call: ast.Call, function: Def, name: str) -> ast.expr | None:
    """The argument that a call gives to a parameter of a function."""
    if (found := keyword(call, name)) is not None:
        return found
    names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    if names[:1] in (["self"], ["cls"]):
        del names[0]
    if name not in names or any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    at = names.index(name)
    return call.args[at] if calls(call, function) and at < len(call.args) else None


def outer(scope: Scope) -> Scope | None:
    """The function around a function; None where that is the module."""
    if scope.function is None:
        return None
    found = None
    for step in scope.code.steps(scope.function.lineno):
        if step.node is scope.function:
            break
        if isinstance(step.node, Def):
            found = step.node
    return Scope(scope.code, found) if found is not None else None


def frames(trail: Sequence[Place]) -> list[Frame]:
    """The frames of a trail, innermost first; those whose code cannot be read are left out."""
    found: list[Frame] = []
    for place in trail:
        inner = innermost(place)
        if inner is not None and inner[1]:
            found.append(Frame(place, Scope(inner[0], inner[2], len(found)), _calls(place)))
    return found


@lru_cache(8192)
def _calls(place: Place) -> tuple[ast.Call, ...]:
    inner = innermost(place)
    found = call_at(inner[1][-1].node, place) if inner is not None else []
    return tuple(node for node in ast.walk(found[-1]) if isinstance(node, ast.Call)) if found else ()


remembered(_calls.cache_clear)
