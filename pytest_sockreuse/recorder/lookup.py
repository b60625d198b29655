"""Where a name is defined: in a function, in its module, or in the module that it is imported from."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from .events import of_stdlib
from .frames import Frame, call_name, given_to, parameters
from .loaded import elsewhere, is_stdlib
from .syntax import Code, Condition, Def, Definition, Scope, imported, remembered


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
    return next((it for it in named(func, scope) if isinstance(it.value, Def)), None)


def named(func: ast.expr, scope: Scope) -> Iterator[Definition]:
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
    for it in named(func, scope):
        if isinstance(it.value, ast.ClassDef):
            found = [node for node in it.value.body if isinstance(node, Def) and node.name == "__init__"]
            return (found[0], it.scope) if found else None
    return None


def members(value: ast.expr, attr: str, scope: Scope, frames: Sequence[Frame]) -> Iterator[Definition]:
    """What an attribute stands for, where its class is from and in the files of the trail; else in what is loaded."""
    near = [frame.scope.code for frame in frames] if scope.at >= 0 else []
    all_codes = {id(c): c for c in (scope.code, *_from(value, scope), *near)}
    codes = [c for c in all_codes.values() if not is_stdlib(c.file)]
    found = [it for code in codes for it in code.attributes(attr)]
    yield from found
    if not any(isinstance(it.value, ast.expr) for it in found):
        for code in elsewhere(attr):
            if code not in codes:
                yield from code.attributes(attr)


def _from(value: ast.expr, scope: Scope) -> Iterator[Code]:
    """The module that an object's class is imported from: ``Made(…)``, or a name that was given that."""
    while isinstance(value, ast.Call | ast.Attribute):
        value = value.func if isinstance(value, ast.Call) else value.value
    if isinstance(value, ast.Name):
        for it in (*locals_of(value.id, scope), *scope.code.globals.get(value.id, ())):
            made = it.value.func if isinstance(it.value, ast.Call) else None
            named = scope.code.globals.get(made.id, ()) if isinstance(made, ast.Name) else (it,)
            for origin in named:
                if isinstance(origin.value, tuple) and (code := _foreign(origin.value[0])) is not None:
                    yield code


def table_of(value: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
    """The table that a name of a module stands for, and where; else the name itself."""
    if isinstance(value, ast.Name) and not locals_of(value.id, scope):
        match scope.code.globals.get(value.id, ()):
            case [Definition(value=ast.Dict() as table, scope=where)]:
                return table, where
            case [Definition(value=(module, name))] if (code := _foreign(module)) is not None:
                return table_of(ast.Name(name, ast.Load()), Scope(code))
    return value, scope


def passed(it: Definition, frames: Sequence[Frame]) -> Iterator[tuple[ast.expr, Scope]]:
    """What an attribute is given by those who call the function that gives it a parameter: ``self.reuse = reuse``."""
    function, name = it.scope.function, it.value.id if isinstance(it.value, ast.Name) else ""
    if function is None:
        return
    rest = function.args.kwarg is not None and function.args.kwarg.arg == name
    if not rest and name not in parameters(function):
        return
    names = [function.name]
    if function.name == "__init__":
        steps = it.scope.code.steps(function.lineno)
        names += [step.parent.name for step in steps if isinstance(step.parent, ast.ClassDef)][-1:]
    codes = {frame.place.file: frame.scope.code for frame in frames if not is_stdlib(frame.place.file)}
    for code in codes.values():
        for call, scope in calls_of(tuple(names), code):
            if rest:
                yield from ((it.value, scope) for it in call.keywords if it.arg not in parameters(function))
            elif (given := given_to(call, function, name)) is not None:
                yield given, scope


@lru_cache(8192)
def calls_of(names: tuple[str, ...], code: Code) -> tuple[tuple[ast.Call, Scope], ...]:
    """The calls of functions by these names."""
    return tuple(_calls_of(names, code))


remembered(calls_of.cache_clear)


def _calls_of(names: tuple[str, ...], code: Code) -> Iterator[tuple[ast.Call, Scope]]:
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\(")
    for number, text in enumerate(code.lines, 1):
        steps = code.steps(number) if pattern.search(text) else ()
        function = next((step.parent for step in reversed(steps) if isinstance(step.parent, Def)), None)
        for node in ast.walk(steps[-1].node) if steps else ():
            if isinstance(node, ast.Call) and node.lineno == number:
                if call_name(node) in names:
                    yield node, Scope(code, function)


def joined(module: str, name: str) -> str:
    return os.path.join(module, name) if os.path.isabs(module) and name else module if not name else f"{module}.{name}"


def framed(condition: Condition, scope: Scope) -> Condition:
    """A condition whose names are looked up in the frame that its function has."""
    return Condition(condition.test, condition.held, scope) if condition.scope.function is scope.function else condition
