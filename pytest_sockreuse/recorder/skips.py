"""Whether a test would be skipped on another system: by its marks, its class's or module's, or by what sets it up."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from . import lookup
from .asker import Asker
from .conditions import imports, skips
from .helpers import Helpers
from .required import catches
from .syntax import Code, Condition, Def, Definition, Scope, Step, conditions, imported, parsed, remembered
from .values import Open

_SET_UP = (
    "setUp",
    "setUpClass",
    "setup_method",
    "setup_class",
    "asyncSetUp",
    "setUpModule",
    "setup_module",
    "setup_function",
)


@lru_cache(1024)
def skipped(functions: tuple[Callable[..., Any], ...], classes: tuple[type, ...], here: str, there: str) -> bool | None:
    """Whether a test that ran on the stack `here` would be skipped on the stack `there`; None where that is not known.

    `functions` are the test's own, which is the first, and those of its fixtures; `classes` those that it is in.
    """
    if here == there:
        return False
    asker = Asker(here, there, ())
    answers: list[bool | None] = []
    for n, function in enumerate(functions):
        found = _definition(function)
        if found is not None:
            code, node = found
            if n == 0:
                answers.append(_module(code, here, there))
                answers += [_mark(mark, Scope(code), asker) for mark in node.decorator_list]
            answers.append(_leaves(node.body, Scope(code, node), asker))
    for class_ in classes:
        if (whole := imported(class_.__module__)) is not None and (
            body := _class(whole, class_.__qualname__)
        ) is not None:
            answers += [_mark(mark, Scope(whole), asker) for mark in body.decorator_list]
            answers += list(_body(body, whole, asker))
    return True if True in answers else None if None in answers else False


@lru_cache(1024)
def asks(functions: tuple[Callable[..., Any], ...], here: str, there: str, whole: bool) -> bool:
    """Whether what leads to a task asks for the system in a way that differs: helpers, as a `whole` the test as well.

    `functions` are the test's own, which is the first, and those of its fixtures.
    """
    helpers = Helpers(here, there)
    for n, found in enumerate(map(_definition, functions if here != there else ())):
        if found is not None:
            code, node = found
            if (whole and not n and helpers.asker.asks(node, code)) or helpers.ask(node, code):
                return True
    return False


@lru_cache(4096)
def _definition(function: Callable[..., Any]) -> tuple[Code, Def] | None:
    at = getattr(inspect.unwrap(function), "__code__", None)
    code = parsed(at.co_filename) if at is not None else None
    if code is None or at is None:
        return None
    nodes = [step.node for step in code.steps(at.co_firstlineno)]
    node = next((node for node in reversed(nodes) if isinstance(node, Def)), None)
    return (code, node) if node is not None else None


@lru_cache(1024)
def _class(code: Code, name: str) -> ast.ClassDef | None:
    """A class of a module, also one within another."""
    block: Sequence[ast.stmt] = code.tree.body
    found = None
    for part in name.split("."):
        found = next((node for node in block if isinstance(node, ast.ClassDef) and node.name == part), None)
        if found is None:
            return None
        block = found.body
    return found


@lru_cache(1024)
def _module(code: Code, here: str, there: str) -> bool | None:
    """By the module: its ``pytestmark``, what it imports, and where it leaves at its top."""
    asker = Asker(here, there, ())
    if not imports(code.tree, asker.there):
        return True
    answers = [
        _leaves([node for node in code.tree.body if not isinstance(node, Def | ast.ClassDef)], Scope(code), asker)
    ]
    answers += [_assigned(it, asker) for it in code.globals.get("pytestmark", ())]
    for name in ("setUpModule", "setup_module"):
        answers += [
            _leaves(it.value.body, Scope(code, it.value), asker)
            for it in code.globals.get(name, ())
            if isinstance(it.value, Def)
        ]
    return True if True in answers else None if None in answers else False


for _cache in (_class, _module):
    remembered(_cache.cache_clear)


def _body(class_: ast.ClassDef, code: Code, asker: Asker) -> Iterator[bool | None]:
    for node in class_.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="pytestmark")], value=value):
                yield _mark(value, Scope(code), asker)
            case ast.FunctionDef(name=name, body=body) if name in _SET_UP:
                yield _leaves(body, Scope(code, node), asker)


def _assigned(it: Definition, asker: Asker) -> bool | None:
    """A mark under a name, which may be given in some conditions only."""
    if not isinstance(it.value, ast.expr):
        return False
    try:
        holds = asker.hold(it.conditions)
    except Open:
        return None
    if holds and _unconditional(it.value):
        return True
    return _mark(it.value, it.scope, asker) if holds is None else False


def _unconditional(mark: ast.expr) -> bool:
    func = mark.func if isinstance(mark, ast.Call) else mark
    return getattr(func, "attr", getattr(func, "id", "")) == "skip"


def _mark(mark: ast.expr, scope: Scope, asker: Asker, deep: int = 0) -> bool | None:
    """Whether a mark or decorator skips the test there."""
    match mark:
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            answers = [_mark(element, scope, asker, deep) for element in elements]
            return True if True in answers else None if None in answers else False
        case ast.Call(func=func, args=args, keywords=keywords):
            name = getattr(func, "attr", getattr(func, "id", ""))
            given = args or [keyword.value for keyword in keywords if keyword.arg in ("condition", "conditions")]
            if (
                name in ("skipif", "skipIf", "skipUnless", "skip_if", "skip_unless", "xfail", "expectedFailureIf")
                and given
            ):
                return _condition(given[0], "nless" in name, scope, asker)
            if name == "parametrize":
                inner = [node for node in ast.walk(mark) if isinstance(node, ast.Call) and node is not mark]
                return None if any(_mark(node, scope, asker, 4) is not False for node in inner) else False
        case ast.Name(id=name) if deep < 4:
            for it in scope.code.globals.get(name, ()):
                if isinstance(it.value, ast.expr):
                    return _mark(it.value, it.scope, asker, deep + 1)
                if isinstance(it.value, tuple) and (code := imported(it.value[0])) is not None:
                    return _mark(ast.Name(it.value[1], ast.Load()), Scope(code), asker, deep + 1)
        case ast.Attribute(value=value, attr=name) if deep < 4:
            code = imported(lookup.dotted(value, scope))
            if code is not None and name in code.globals:
                return _mark(ast.Name(name, ast.Load()), Scope(code), asker, deep + 1)
    return False


def _condition(test: ast.expr, unless: bool, scope: Scope, asker: Asker) -> bool | None:
    if isinstance(test, ast.Constant) and isinstance(test.value, str):  # as pytest evaluates it
        try:
            test = ast.parse(test.value, mode="eval").body
        except SyntaxError:
            return False
    try:
        holds = asker.holds(test, unless, scope)
    except Open:
        return None
    return False if holds is None else holds != unless


def _leaves(block: Sequence[ast.stmt], scope: Scope, asker: Asker) -> bool | None:
    """Whether a block leaves the test there, where it did not here."""
    answers: list[bool | None] = []
    for node in block:
        match node:
            case ast.If(test=test, body=body, orelse=other):
                answers.append(_branch(test, body, other, scope, asker))
            case ast.Try() | ast.With() | ast.AsyncWith():
                inner = [*node.body, *getattr(node, "orelse", ()), *getattr(node, "finalbody", ())]
                if isinstance(node, ast.Try) and catches(node):
                    inner = [it for it in inner if not _requires(it, scope, asker)]
                answers.append(_leaves(inner, scope, asker))
                for handler in getattr(node, "handlers", ()):
                    made = conditions_of(node, handler, scope)
                    if made and skips(handler.body):
                        answers.append(_condition(made.test, True, scope, asker))
            case ast.Expr(value=call) if _requires(node, scope, asker):
                answers.append(_condition(call, True, scope, asker))
            case ast.Expr(value=ast.Call(args=[ast.Constant(value=str(module))]) as call):
                if getattr(call.func, "attr", "") == "importorskip" and not imports(_import(module), asker.there):
                    answers.append(True)
    return True if True in answers else None if None in answers else False


def _requires(node: ast.stmt, scope: Scope, asker: Asker) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and asker.is_required(node.value, scope)


def conditions_of(node: ast.AST, handler: ast.ExceptHandler, scope: Scope) -> Condition | None:
    """That the names are there which a ``try`` is about, so that a handler of it is not needed."""
    found = conditions(Step(node, "orelse", (handler,), 0), scope)
    return found[0] if found else None


def _import(module: str) -> ast.Module:
    return ast.Module([ast.Import([ast.alias(module)])], [])


def _branch(
    test: ast.expr, body: Sequence[ast.stmt], other: Sequence[ast.stmt], scope: Scope, asker: Asker
) -> bool | None:
    try:
        holds = asker.holds(test, None, scope)
    except Open:
        return None if skips(body) or skips(other) else False
    if holds is None:
        return _leaves([*body, *other], scope, asker)
    return skips(body if holds else other)
