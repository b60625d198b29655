"""Whether a test would be skipped on another system: by its marks, its class's or module's, or by what sets it up."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from ..dataclass import dataclass
from . import lookup
from .asker import Asker
from .callees import differ
from .conditions import imports, skips
from .helpers import Helpers
from .required import catches
from .syntax import Code, Condition, Def, Definition, Scope, Step, conditions, imported, parsed, remembered
from .values import Open, differs

_DEEP = 3  # helpers that are followed, one from another
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


#: Hooks that choose tests, or skip them.
_HOOKS = (
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_pyfunc_call",
    "pytest_ignore_collect",
    "pytest_itemcollected",
    "pytest_collection_modifyitems",
    "pytest_generate_tests",
)
_MARKER = re.compile(
    r"""(?:marker|markers)\(\s*(?:name\s*=\s*)?["'](\w+)|["'](\w+)["']\s+(?:not\s+)?in\s+\w+\.keywords"""
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A test: its own function, which is the first, and those of its fixtures, the classes that it is in, its marks.

    `files` may have hooks for it: its module, and each conftest.py above.
    """

    functions: tuple[Callable[..., Any], ...]
    classes: tuple[type, ...] = ()
    marks: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()


@lru_cache(1024)
def skipped(test: Subject, here: str, there: str) -> bool | None:
    """Whether a test that ran on the stack `here` would be skipped on `there`; None where that is not known."""
    if here == there:
        return False
    asker = Asker(here, there, ())
    answers: list[bool | None] = []
    for n, function in enumerate(test.functions):
        found = _definition(function)
        if found is not None:
            code, node = found
            if n == 0:
                answers.append(_module(code, here, there))
            answers += [_mark(mark, Scope(code), asker) for mark in node.decorator_list]
            answers.append(_leaves(node.body, Scope(code, node), asker))
    for file in test.files:
        if (whole := parsed(file)) is not None:
            answers += list(_hooks(whole, test.marks, test.files[0], asker))
    for class_ in test.classes:
        if (whole := imported(class_.__module__)) is not None and (
            body := _class(whole, class_.__qualname__)
        ) is not None:
            answers += [_mark(mark, Scope(whole), asker) for mark in body.decorator_list]
            answers += list(_body(body, whole, asker))
    return _any(answers)


def _any(answers: Sequence[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def _hooks(code: Code, marks: frozenset[str], file: str, asker: Asker) -> Iterator[bool | None]:
    """Hooks that do otherwise there, but for tests with marks that this one has not; and what is not collected."""
    for name in _HOOKS:
        for it in code.globals.get(name, ()):
            if isinstance(it.value, Def):
                lines = code.lines[it.value.lineno - 1 : it.value.end_lineno]
                wanted = {word for found in _MARKER.findall("".join(lines)) for word in found if word}
                if (not wanted or wanted & marks) and asker.asks(it.value, code):
                    yield None
    for name in ("collect_ignore", "collect_ignore_glob"):
        for it in code.globals.get(name, ()):
            if isinstance(it.value, ast.expr) and _may_name(it.value, file):
                if differ(it.conditions, asker) or differs(asker.ask(it.value, it.scope)):
                    yield None


def _may_name(value: ast.expr, file: str) -> bool:
    """Whether a list of files may have this one, or its folder: by the names that stand in it, if there are any."""
    names = [it.value for it in ast.walk(value) if isinstance(it, ast.Constant) and isinstance(it.value, str)]
    parts = PurePath(file).parts
    return not names or any(fnmatch(part, PurePath(name).name) for name in names for part in parts)


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
    return _any(answers)


for _cache in (_class, _module):
    remembered(_cache.cache_clear)


def _body(class_: ast.ClassDef, code: Code, asker: Asker) -> Iterator[bool | None]:
    for node in class_.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="pytestmark")], value=value):
                yield _mark(value, Scope(code), asker)
            case ast.FunctionDef(name=name, body=body) | ast.AsyncFunctionDef(name=name, body=body) if name in _SET_UP:
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
            return _any(answers)
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
                if any(_mark(node, scope, asker, 4) is not False for node in inner):
                    return None
            if asker.arguments(mark, scope):
                return None
            if deep < 4:
                return _decorates(func, scope, asker)
        case ast.Name(id=name) if deep < 4:
            if lookup.function(mark, scope) is not None:
                return _decorates(mark, scope, asker)
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


def _decorates(func: ast.expr, scope: Scope, asker: Asker) -> bool | None:
    """Whether a function that decorates, or makes a decorator, has marks that skip, or leaves the test itself."""
    found = lookup.function(func, scope)
    return _wraps(found[0], found[1].code, asker.here, asker.there) if found is not None else False


@lru_cache(4096)
def _wraps(function: Def, code: Code, here: str, there: str) -> bool | None:
    asker, inner = Asker(here, there, ()), list(ast.walk(function))
    answers = [_mark(node, Scope(code, function), asker, 4) for node in inner if isinstance(node, ast.Call)]
    answers += [_leaves(node.body, Scope(code, node), asker) for node in inner[1:] if isinstance(node, Def)]
    return _any(answers)


remembered(_wraps.cache_clear)


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


def _leaves(block: Sequence[ast.stmt], scope: Scope, asker: Asker, deep: int = 0) -> bool | None:
    """Whether a block leaves the test there, where it did not here; helpers that it calls are followed."""
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
            case ast.Expr(value=ast.Call() as call) | ast.Assign(value=ast.Call() as call):
                answers.append(_called(call, scope, asker, deep))
    return _any(answers)


def _called(call: ast.Call, scope: Scope, asker: Asker, deep: int) -> bool | None:
    """Whether a call leaves the test there: of importorskip, or of a helper."""
    match call.args:
        case [ast.Constant(value=str(module)), *_] if getattr(call.func, "attr", "") == "importorskip":
            return not imports(_import(module), asker.there)
    found = lookup.function(call.func, scope) if deep < _DEEP else None
    if found is None:
        return False
    if asker.arguments(call, scope) and skips(found[0].body):
        return None
    return _leaves(found[0].body, Scope(found[1].code, found[0]), asker, deep + 1)


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
