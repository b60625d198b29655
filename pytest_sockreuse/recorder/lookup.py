"""Where a name is defined: in a function, in its module, or in the module that it is imported from."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence

from .events import of_stdlib
from .frames import Frame
from .loaded import elsewhere, is_stdlib
from .syntax import Code, Condition, Def, Definition, Scope, imported


def dotted(node: ast.expr, scope: Scope) -> str:
    """The name of what is asked for, as the standard library has it: ``sys.platform``; empty if it has none."""
    match node:
        case ast.Name(id=name):
            for found in (*scope.code.globals.get(name, ()), *locals_of(name, scope)):
                if isinstance(found.value, tuple):
                    module, what = found.value
                    return f"{module}.{what}".strip(".") if not os.path.isabs(module) else ""
            return name if name in ("os", "sys", "platform", "socket") else ""
        case ast.Attribute(value=value, attr=attr):
            inner = dotted(value, scope)
            return f"{inner}.{attr}".replace("_socket.", "socket.", 1) if inner else ""
        case ast.Call(func=func, args=[], keywords=[]):
            inner = dotted(func, scope)
            return f"{inner}()" if inner else ""
        case ast.Subscript(value=value, slice=ast.Constant(value=int(key))):
            inner = dotted(value, scope)
            return f"{inner}[{key}]" if inner else ""
    return ""


def locals_of(name: str, scope: Scope) -> Sequence[Definition]:
    return scope.code.locals(scope.function).get(name, ()) if scope.function is not None else ()


def beside(value: ast.expr, scope: Scope) -> Code | None:
    """The code of a module that was imported relatively."""
    if isinstance(value, ast.Name):
        for found in scope.code.globals.get(value.id, ()):
            if isinstance(found.value, tuple) and (code := _foreign(joined(*found.value))) is not None:
                return code
    return None


def function(func: ast.expr, scope: Scope) -> tuple[Def, Scope] | None:
    """The function that a name stands for, as far as it is found."""
    found = definition(func, scope)
    return (found.value, found.scope) if found is not None and isinstance(found.value, Def) else None


def definition(func: ast.expr, scope: Scope) -> Definition | None:
    """Where a function is defined that a name stands for."""
    return next((it for it in _named(func, scope) if isinstance(it.value, Def)), None)


def _named(func: ast.expr, scope: Scope) -> Iterator[Definition]:
    """What the name of a function or class stands for, here or in the module that it is imported from.

    The standard library's are not read: of its calls the trail tells.
    """
    name, code = "", None
    if isinstance(func, ast.Name):
        for it in (*locals_of(func.id, scope), *scope.code.globals.get(func.id, ())):
            if isinstance(it.value, tuple):
                code, name = _foreign(it.value[0]), it.value[1]
            else:
                yield it
    elif isinstance(func, ast.Attribute):
        code, name = _foreign(dotted(func.value, scope)) or beside(func.value, scope), func.attr
    if code is not None:
        yield from code.globals.get(name, ())


def _foreign(module: str) -> Code | None:
    return imported(module) if not of_stdlib(module) else None


def constructor(func: ast.expr, scope: Scope) -> tuple[Def, Scope] | None:
    """What makes an object of the class that a name stands for, where it says so itself."""
    for it in _named(func, scope):
        if isinstance(it.value, ast.ClassDef):
            found = [node for node in it.value.body if isinstance(node, Def) and node.name == "__init__"]
            return (found[0], it.scope) if found else None
    return None


def members(attr: str, scope: Scope, frames: Sequence[Frame]) -> Iterator[Definition]:
    """What an attribute stands for, in the files of the trail; else in all that this process has loaded."""
    near = [frame.scope.code for frame in frames] if scope.at >= 0 else []
    codes = [c for c in {id(c): c for c in (scope.code, *near)}.values() if not is_stdlib(c.file)]
    found = [it for code in codes for it in code.attributes(attr)]
    yield from found
    if not any(isinstance(it.value, ast.expr) for it in found):
        for code in elsewhere(attr):
            if code not in codes:
                yield from code.attributes(attr)


def joined(module: str, name: str) -> str:
    return os.path.join(module, name) if os.path.isabs(module) and name else module if not name else f"{module}.{name}"


def framed(condition: Condition, scope: Scope) -> Condition:
    """A condition whose names are looked up in the frame that its function has."""
    return Condition(condition.test, condition.held, scope) if condition.scope.function is scope.function else condition
