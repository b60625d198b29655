"""Code as it is written: the statements around a line, the calls in it, and where names are given what they stand for.

Everything is read from files; nothing of the project is run. Modules are found by those that this process has loaded.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache

from ..dataclass import dataclass
from .locations import Place, source
from .required import REFUSES
from .systems import HAS, MODULES

Def = ast.FunctionDef | ast.AsyncFunctionDef
FILL = {"append", "add", "update", "extend", "setdefault", "insert", "pop", "remove", "discard", "clear"}
_MOST = 20  # definitions of one name that are looked at


@dataclass(frozen=True, eq=False, slots=True)
class Scope:
    """Where names are looked up: a function, or the module, of a file; in frame `at` of a trail, if it is one.

    Of a function's names what is assigned before `line` counts.
    """

    code: Code
    function: Def | None = None
    at: int = -1
    line: int = 1 << 30


@dataclass(frozen=True, eq=False, slots=True)
class Condition:
    """A test, whether it held here, and where its names are looked up."""

    test: ast.expr
    held: bool
    scope: Scope


@dataclass(frozen=True, eq=False, slots=True)
class Definition:
    """What a name stands for: an expression, a function, a class, or (module, name) where it is imported."""

    value: ast.expr | Def | ast.ClassDef | tuple[str, str] | None
    scope: Scope
    conditions: tuple[Condition, ...]
    line: int

    def is_over(self, line: int) -> bool:
        """Whether it stands before a line that is run, or in it; what the line still computes is given to nobody."""
        value = self.value if isinstance(self.value, ast.expr) else None
        return self.line <= line and (value is None or not value.lineno <= line <= (value.end_lineno or line))


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """A statement that contains a line, in a block of another."""

    parent: ast.AST
    field: str
    block: Sequence[ast.stmt] | Sequence[ast.ExceptHandler] | Sequence[ast.match_case]
    at: int

    @property
    def node(self) -> ast.AST:
        return self.block[self.at]


class Code:
    """A file of code, parsed."""

    def __init__(self, file: str, tree: ast.Module, lines: list[str]) -> None:
        self.file, self.tree, self.lines = file, tree, lines
        self._functions: dict[Def, dict[str, list[Definition]]] = {}
        self._steps: dict[int, list[Step]] = {}
        self._attributes: dict[str, list[Definition]] = {}

    def steps(self, line: int) -> list[Step]:
        """The statements that contain a line, the outermost first."""
        found = self._steps.get(line)
        if found is None:
            found = self._steps[line] = []
            node: ast.AST = self.tree
            while (step := _inner(node, line)) is not None:
                found.append(step)
                node = step.node
        return found

    @cached_property
    def globals(self) -> dict[str, list[Definition]]:
        """What the module's names stand for."""
        found: dict[str, list[Definition]] = {}
        _collect(self.tree.body, (), Scope(self), found)
        return found

    def locals(self, function: Def) -> dict[str, list[Definition]]:
        """What the names of a function stand for, but for its parameters."""
        found = self._functions.get(function)
        if found is None:
            found = self._functions[function] = {}
            _collect(function.body, (), Scope(self, function), found)
        return found

    def attributes(self, name: str) -> list[Definition]:
        """Everything that is assigned to an attribute of this name, in classes and by ``self.name = …``."""
        if name in self._attributes:
            return self._attributes[name]
        word = re.escape(name)
        pattern = re.compile(
            rf"\s+(?:[\w.]+\.)?{word}\s*(?::[^=]+)?=(?!=)|\s+(?:async\s+)?def\s+{word}\b|\S.*\.{word}\s*=(?!=)"
        )
        found = self._attributes[name] = []
        for number, text in enumerate(self.lines, 1):
            if name in text and pattern.match(text) and len(found) < _MOST:
                found += self._attribute(name, number)
        return found

    def _attribute(self, name: str, line: int) -> Iterator[Definition]:
        steps = self.steps(line)
        if not steps:
            return
        statement = steps[-1].node
        function, held = None, []
        for step in steps:
            if isinstance(step.parent, Def):
                function = step.parent
            held += conditions(step, Scope(self, function))
        inside = isinstance(steps[-1].parent, ast.ClassDef) or function is None
        for n, step in enumerate(steps):  # all of it may stand on one line
            if isinstance(step.node, Def) and step.node.name == name and step.node.lineno == line:
                within = [it for outer in steps[: n + 1] for it in conditions(outer, Scope(self))]
                yield Definition(step.node, Scope(self), tuple(within), line)
        for target, value in _assigned(statement):
            if (isinstance(target, ast.Attribute) and target.attr == name) or (
                inside and isinstance(target, ast.Name) and target.id == name
            ):
                yield Definition(value, Scope(self, function), tuple(held), line)


def _inner(node: ast.AST, line: int) -> Step | None:
    for field, child in ast.iter_fields(node):
        if (
            not isinstance(child, list)
            or not child
            or not isinstance(child[0], ast.stmt | ast.excepthandler | ast.match_case)
        ):
            continue
        for at, item in enumerate(child):
            if _first(item) <= line <= _last(item):
                return Step(node, field, child, at)
    return None


def _first(node: ast.AST) -> int:
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    decorators = getattr(node, "decorator_list", None)
    return int(decorators[0].lineno if decorators else node.lineno)  # type: ignore[attr-defined]


def _last(node: ast.AST) -> int:
    return _last(node.body[-1]) if isinstance(node, ast.match_case) else int(node.end_lineno or 0)  # type: ignore[attr-defined]


def _assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The targets of a statement, each with what it is given."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if (
                    isinstance(target, ast.Tuple)
                    and isinstance(value, ast.Tuple)
                    and len(target.elts) == len(value.elts)
                ):
                    yield from zip(target.elts, value.elts, strict=True)
                else:
                    yield from ((inner, value) for inner in _targets(target))
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
            yield target, value
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            yield from ((inner, value) for inner in _targets(target))
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in items:
                if item.optional_vars is not None:
                    yield from ((inner, item.context_expr) for inner in _targets(item.optional_vars))


def _targets(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for inner in target.elts:
            yield from _targets(inner)
    else:
        yield target.value if isinstance(target, ast.Starred) else target


def _collect(
    block: Sequence[ast.stmt], held: tuple[Condition, ...], scope: Scope, found: dict[str, list[Definition]]
) -> None:
    """The definitions of a block, and of the blocks within it that are of the same scope."""

    def add(name: str, value: ast.expr | Def | ast.ClassDef | tuple[str, str] | None, line: int) -> None:
        known = found.setdefault(name, [])
        if len(known) < _MOST:
            known.append(Definition(value, scope, held, line))

    for node in block:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                add(node.name, node, node.lineno)
                continue
            case ast.Import(names=names):
                for alias in names:
                    whole = alias.name if alias.asname else alias.name.partition(".")[0]
                    add(alias.asname or whole, (whole, ""), node.lineno)
            case ast.ImportFrom(names=names):
                for alias in names:
                    add(alias.asname or alias.name, (_module(node, scope.code.file), alias.name), node.lineno)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) as call) if (
                attr in FILL
            ):
                add(name, call, node.lineno)
            case _:
                for target, value in _assigned(node):
                    base = target.value if isinstance(target, ast.Subscript) else target
                    if isinstance(base, ast.Name):
                        add(base.id, value, node.lineno)
        for field, child in ast.iter_fields(node):
            if not isinstance(child, list) or not child:
                continue
            if isinstance(child[0], ast.stmt):
                step = Step(node, field, child, 0)
                _collect(child, (*held, *conditions(step, scope)), scope, found)
            elif isinstance(child[0], ast.excepthandler | ast.match_case):
                for at, item in enumerate(child):
                    outer = conditions(Step(node, field, child, at), scope)
                    _collect(item.body, (*held, *outer), scope, found)


def _module(node: ast.ImportFrom, file: str) -> str:
    """The module that is imported from; of a relative one the path of its file without ending."""
    if not node.level:
        return node.module or ""
    folder = os.path.dirname(file)
    for _ in range(node.level - 1):
        folder = os.path.dirname(folder)
    return os.path.join(folder, *(node.module or "").split("."))


def conditions(step: Step, scope: Scope) -> list[Condition]:
    """What has to hold so that a block is entered, as far as a test says it."""
    match step.parent:
        case ast.If(test=test) | ast.While(test=test):
            return [Condition(test, step.field == "body", scope)]
        case ast.Try() as node if (there := there_are(node)) is not None and step.field in ("handlers", "orelse"):
            return [Condition(there, step.field == "orelse", scope)]
        case ast.Match(subject=subject, cases=cases):
            before = [
                Condition(pattern_as_test(subject, case.pattern), False, scope)
                for case in cases[: step.at]
                if not case.guard
            ]
            pattern = cases[step.at].pattern
            anything = isinstance(pattern, ast.MatchAs) and pattern.pattern is None
            return before if anything else [*before, Condition(pattern_as_test(subject, pattern), True, scope)]
    return []


def pattern_as_test(subject: ast.expr, pattern: ast.pattern) -> ast.expr:
    """A pattern of texts as a comparison; any other as one with what nobody knows."""
    options = pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]
    values = [option.value for option in options if isinstance(option, ast.MatchValue)]
    if len(values) < len(options):
        return ast.Compare(subject, [ast.Eq()], [ast.Name("_", ast.Load())])
    return ast.Compare(subject, [ast.In()], [ast.Tuple(values, ast.Load())])


@lru_cache(1024)
def there_are(node: ast.Try) -> ast.expr | None:
    """What a ``try`` asks for, that names are there or rules are honoured, if some handler waits for it; else None."""
    wanted = {
        "ImportError",
        "ModuleNotFoundError",
        "AttributeError",
        "NameError",
        "Exception",
        "BaseException",
        *REFUSES,
    }
    caught = [handler.type for handler in node.handlers]
    if not any(type_ is None or wanted & set(re.findall(r"\w+", ast.unparse(type_))) for type_ in caught):
        return None
    tests: list[ast.expr] = []
    for inner in (inner for statement in node.body for inner in ast.walk(statement)):
        match inner:
            case ast.ImportFrom(module=str(module), names=names) if module in ("socket", "os", "select", "signal"):
                tests += [_has(module, alias.name) for alias in names]
            case ast.Import(names=names):
                tests += [_has("sys.modules", alias.name) for alias in names if alias.name in MODULES]
            case ast.ImportFrom(module=str(module)) if module in MODULES:
                tests.append(_has("sys.modules", module))
            case ast.Attribute(
                value=ast.Name(id="socket" | "os" | "select" | "signal" | "sys" as module), attr=name
            ) if name[:1].isupper() or f"{module}.{name}" in HAS:
                tests.append(_has(module, name))
            case ast.Call(func=ast.Attribute(attr="require") | ast.Name(id="require")):
                tests.append(inner)
    return (tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)) if tests else None


def _has(module: str, name: str) -> ast.expr:
    return ast.Call(ast.Name("hasattr", ast.Load()), [ast.parse(module, mode="eval").body, ast.Constant(name)], [])


# --- what is remembered of code ---------------------------------------------------------------------------------------

_memories: list[Callable[[], None]] = []


def remembered(forget: Callable[[], None]) -> None:
    """Let `forget` be called when all code is let go."""
    _memories.append(forget)


def forget() -> None:
    """Let go of all code that was read, and of what is remembered of it."""
    for memory in _memories:
        memory()


def asked() -> int:
    """How often code was asked for since it was let go."""
    return sum(info.hits + info.misses for info in (parsed.cache_info(), innermost.cache_info()))


# --- files ------------------------------------------------------------------------------------------------------------


@lru_cache(256)
def parsed(file: str) -> Code | None:
    """The code of a file; None where it cannot be read."""
    lines = source(file)
    try:
        return Code(file, ast.parse("".join(lines)), lines) if lines else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def imported(module: str) -> Code | None:
    """The code of a module that is imported by this name or, from beside the file, by this path."""
    if os.path.isabs(module):
        return parsed(f"{module}.py") or parsed(os.path.join(module, "__init__.py"))
    file: object = getattr(sys.modules.get(module), "__file__", None)
    return parsed(file) if isinstance(file, str) and file.endswith(".py") else None


@lru_cache(8192)
def innermost(place: Place) -> tuple[Code, list[Step], Def | None] | None:
    """The code of a place, the statements around its line, and the function that runs there."""
    code = parsed(place.file)
    if code is None:
        return None
    steps = code.steps(place.line)
    function = None
    for step in steps:
        if isinstance(step.parent, Def) and (function is None or _first(step.parent) <= place.start):
            function = step.parent
    return code, steps, function


for _cache in (there_are, parsed, innermost):
    remembered(_cache.cache_clear)


def call_at(statement: ast.AST, place: Place) -> list[ast.expr]:
    """The expressions from a statement down to the call that is made at a place, the call last."""
    if place.column < 0:
        return []
    found: list[ast.expr] = []
    start, end = (place.line, place.column), (place.end_line, place.end_column)
    inside: list[ast.AST] = [statement]
    while inside:
        node = inside.pop(0)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
                continue
            if not isinstance(child, ast.expr):  # a keyword, an item of with
                inside.append(child)
            elif (child.lineno, child.col_offset) <= start and end <= (
                child.end_lineno or 0,
                child.end_col_offset or 0,
            ):
                found.append(child)
                inside = [child]
                break
    return found
