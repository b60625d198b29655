"""Whether what a line calls is another function, or of another class, on another system."""

from __future__ import annotations

import ast

from . import lookup
from .asker import Asker
from .syntax import Condition, Def, Definition, Scope
from .values import Open, differs

_DEEP = 4  # names that are followed, one from another


def is_another(func: ast.expr, scope: Scope, asker: Asker, deep: int = 0) -> bool:
    """Whether a function, or an object whose method is called, is another there, or may be."""
    match func:
        case ast.Name(id=name) if deep < _DEEP:
            named = (*lookup.locals_of(name, scope), *scope.code.globals.get(name, ()))
            return any(_is_given_otherwise(it, asker, deep) for it in named)
        case ast.Attribute(value=value, attr=name):
            methods = scope.code.attributes(name) if not deep and not name.startswith("__") else ()
            conditions = [it.conditions for it in methods if isinstance(it.value, Def)]
            return any(differ(held, asker) for held in conditions) or is_another(value, scope, asker, deep + 1)
        case ast.Call(func=ast.Name(id="partial") | ast.Attribute(attr="partial")):
            return differs(asker.ask(func, scope))
        case ast.Call(func=inner):
            made = lookup.function(inner, scope)
            return (made is not None and differs(asker.returned(made[0], made[1].code))) or is_another(
                inner, scope, asker, deep + 1
            )
        case ast.IfExp() | ast.BoolOp() | ast.Subscript():
            return differs(asker.ask(func, scope))
    return False


def _is_given_otherwise(it: Definition, asker: Asker, deep: int) -> bool:
    """Whether a name is given what it stands for in a condition on the system, or stands for another thing there."""
    if not isinstance(it.value, tuple) and differ(it.conditions, asker):
        return True
    return isinstance(it.value, ast.expr) and is_another(it.value, it.scope, asker, deep + 1)


def differ(conditions: tuple[Condition, ...], asker: Asker) -> bool:
    """Whether conditions may not hold there, or may there alone."""
    try:
        return asker.hold(conditions) is not None
    except Open:
        return True
