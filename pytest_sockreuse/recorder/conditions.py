"""Whether a call would be made on another system, with the same values: by the code between the test and the call.

The conditions around each line count, what stands before it and leaves the function, and what the arguments are made
of. They are followed as far as they ask for nothing but the system; nothing of the project is run.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import field
from functools import lru_cache
from itertools import pairwise

from ..dataclass import dataclass
from ..options import options
from ..scenario import Option
from . import lookup
from .asker import Asker
from .callees import is_another
from .events import INNER, staged, whose
from .frames import Frame, frames
from .loaded import is_stdlib
from .locations import Place
from .required import MODULE, calls
from .syntax import Code, Condition, Def, Scope, Step, call_at, conditions, innermost, remembered, there_are
from .systems import ASKS, MODULES, SYSTEMS
from .values import Open, differs

_DEEP = 2  # calls that are followed to what they require
_SKIPS = {"skip", "skipTest", "fail", "xfail", "exit", "abort", "_exit", "importorskip"}
_HARMLESS = {
    "print",
    "debug",
    "info",
    "warning",
    "warn",
    "error",
    "log",
    "exception",
    "cast",
    "super",
    "set_inheritable",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call is made there (None: not known), and the options that its socket has there instead or besides."""

    made: bool | None = True
    options: tuple[Option, ...] = ()
    raises: str = ""  # what Python's own code raises there before the call


@dataclass(eq=False, slots=True)
class _Reading:
    """One trail read for two systems."""

    asker: Asker
    made: bool | None = True
    options: list[Option] = field(default_factory=list)
    raises: str = ""

    def unknown(self) -> None:
        if self.made:
            self.made = None

    def raised(self, there: Sequence[ast.stmt], frame: Frame) -> bool:
        """Whether Python's own code raises there: that is the call's error. A project's own is its answer."""
        if not there or not isinstance(there[-1], ast.Raise) or not is_stdlib(frame.scope.code.file):
            return False
        self.raises = "".join(re.findall(r"raise (\w+)\(", ast.unparse(there[-1])))
        return bool(self.raises) and self.raises != "SkipTest"

    # --- one frame ----------------------------------------------------------------------------------------------------

    def frame(self, frame: Frame, steps: Sequence[Step]) -> None:
        """The conditions around a line, and what stands before it."""
        code, scope = frame.scope.code, Scope(frame.scope.code)
        if not _is_there(code, self.asker.there):
            self.unknown()
        for node in code.tree.body:
            self.required(node, scope, 0)
        inside = False
        for step in steps:
            if isinstance(step.parent, Def):
                inside = step.parent is frame.scope.function
                scope = frame.scope if inside else Scope(code, step.parent)
            for condition in conditions(step, scope):
                self.around(condition, _other(step), frame)
            if isinstance(step.parent, ast.For | ast.AsyncFor) and differs(self.asker.ask(step.parent.iter, scope)):
                self.unknown()
            if inside and step.field in ("body", "orelse", "finalbody"):
                self.before([node for node in step.block[: step.at] if isinstance(node, ast.stmt)], frame, True, 0)
        for condition, instead in _within(steps[-1].node, frame) if steps else ():
            self.around(condition, instead, frame)

    def around(self, condition: Condition, instead: Sequence[ast.stmt], frame: Frame) -> None:
        """A condition of the call, and what is done where it does not hold."""
        try:
            holds = self.asker.holds(condition.test, condition.held, condition.scope)
        except Open:
            self.unknown()
            return
        if holds is None or holds == condition.held:
            return
        if self.raised(instead, frame):
            return
        found = _set_there(instead, frame)
        if instead and found is None:
            self.unknown()  # something else is done there
        else:
            self.made = False
            self.options += found or []

    def before(self, block: Sequence[ast.stmt], frame: Frame, here: bool, deep: int) -> None:
        """What statements before the line do otherwise there. `here`: whether break ends what the line is in."""
        for node in block:
            self.required(node, frame.scope, 0)
            match node:
                case ast.If(test=test, body=body, orelse=other):
                    self.branch(test, body, other, frame, here, deep)
                case ast.Try(body=body, handlers=handlers) if (there := there_are(node)) is not None:
                    self.branch(there, [*body, *node.orelse], handlers[0].body, frame, here, deep)
                case ast.Try(body=body, orelse=other, finalbody=last):
                    self.before([*body, *other, *last], frame, here, deep)
                case ast.With(body=body) | ast.AsyncWith(body=body):
                    self.before(body, frame, here, deep)
                case ast.For(body=body) | ast.AsyncFor(body=body) | ast.While(body=body):
                    self.before(body, frame, False, deep)
                case ast.Assert(test=test):
                    self.branch(test, [], [ast.Raise()], frame, here, deep)
                case ast.Match(cases=cases) if differs(self.asker.ask(node.subject, frame.scope)):
                    if not all(_harmless(case.body) for case in cases):
                        self.unknown()
                case ast.Expr(value=ast.Call(func=func)) if deep < 2 and (found := lookup.function(func, frame.scope)):
                    inner = Frame(frame.place, Scope(found[1].code, found[0]))
                    self.helper(found[0], inner, deep + 1)

    def required(self, node: ast.AST, scope: Scope, deep: int) -> None:
        """What a statement requires of the system by our own ``require``, itself or in what it calls."""
        for call in calls(node, deep > 0) if MODULE in sys.modules else ():
            if self.asker.is_required(call, scope):
                if differs(self.asker.ask(call, scope)):
                    self.unknown()
            elif deep < _DEEP:
                found = lookup.function(call.func, scope) or lookup.constructor(call.func, scope)
                if found is not None:
                    self.required(found[0], Scope(found[1].code, found[0]), deep + 1)

    def helper(self, function: Def, frame: Frame, deep: int) -> None:
        """A function that was called before: whether there it raises or skips, where it did not here."""
        reading = _Reading(self.asker)
        reading.before(function.body, frame, False, deep)
        if reading.made is None:
            self.unknown()

    def branch(
        self, test: ast.expr, body: Sequence[ast.stmt], other: Sequence[ast.stmt], frame: Frame, here: bool, deep: int
    ) -> None:
        try:
            holds = self.asker.holds(test, None, frame.scope)
        except Open:
            if not (_harmless(body) and _harmless(other)):
                self.unknown()
            return
        if holds is None:
            self.before([*body, *other], frame, here, deep)
            return
        there = body if holds else other
        if self.raised(there, frame):
            return
        if (there and isinstance(there[-1], ast.Raise)) or skips(there):
            self.unknown()  # it ends with an error there, for all to see
        elif there and isinstance(there[-1], ast.Return | ast.Break | ast.Continue) and not deep:
            if isinstance(there[-1], ast.Return) or here:
                self.made = False
        elif (found := _set_there(there, frame)) is not None:
            self.options += found
        elif not _harmless(there):
            self.unknown()


def _within(statement: ast.AST, frame: Frame) -> Iterator[tuple[Condition, Sequence[ast.stmt]]]:
    """What has to hold within a statement so that the call in it is made: ``wanted and sock.bind(…)``.

    Each with what is done instead.
    """
    chain = call_at(statement, frame.place)
    for outer, inner in pairwise(chain):
        match outer:
            case ast.IfExp(test=test, body=body, orelse=other) if inner is not test:
                yield Condition(test, inner is body, frame.scope), [ast.Expr(other if inner is body else body)]
            case ast.BoolOp(op=op, values=values) if inner in values:
                for value in values[: values.index(inner)]:
                    yield Condition(value, isinstance(op, ast.And), frame.scope), ()
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for test in (test for generator in outer.generators for test in generator.ifs):
                    yield Condition(test, True, frame.scope), ()


@lru_cache(1024)
def _is_there(code: Code, there: str) -> bool:
    return imports(code.tree, there)


def imports(tree: ast.Module, there: str) -> bool:
    """Whether the system has the modules that a file cannot do without."""
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        if any(there not in MODULES[name] for name in names if name in MODULES):
            return False
    return True


def _other(step: Step) -> Sequence[ast.stmt]:
    """What is done where a condition does not hold."""
    match step.parent:
        case ast.If(body=body, orelse=other):
            return other if step.field == "body" else body
        case ast.Try(body=body, handlers=handlers):
            return handlers[0].body if step.field == "orelse" else body
    return ()


def _set_there(block: Sequence[ast.stmt], frame: Frame) -> list[Option] | None:
    """The options that a block sets on the socket that the frame has to do with; None if it does anything else."""
    mine = _receiver(frame)
    found = []
    for node in block:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=sock, attr="setsockopt"), args=[_, name, value])):
                option = _option(name, value)
                if option is None:
                    return None
                if option and ast.unparse(sock) in mine:
                    found.append(option[0])
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                return None
    return found


def _receiver(frame: Frame) -> set[str]:
    """What the frame's call is made on or with."""
    found = set()
    for call in frame.calls:
        if isinstance(call.func, ast.Attribute):
            found.add(ast.unparse(call.func.value))
        found |= {ast.unparse(argument) for argument in call.args if isinstance(argument, ast.Name | ast.Attribute)}
    return found


def _option(name: ast.expr, value: ast.expr) -> tuple[Option, ...] | None:
    """An option that is set by name, in a tuple; an empty one for one that bears on no port; None if it is not read."""
    text = name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ""
    if not re.fullmatch(r"[A-Z][A-Z0-9_]+", text) or not isinstance(value, ast.Constant):
        return None
    if text not in options() or not options()[text].ports:
        return ()
    return (Option(text),) if value.value in (1, True) else None


def skips(block: Sequence[ast.stmt]) -> bool:
    """Whether a block leaves the test."""
    return any(isinstance(node, ast.Raise) and "Skip" in ast.unparse(node) for node in block) or any(
        isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _SKIPS
        for statement in block
        for node in ast.walk(statement)
    )


def _harmless(block: Sequence[ast.stmt]) -> bool:
    """Whether a block does nothing but give names values, which is looked at where they are used."""
    for statement in block:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue | ast.Assert | ast.Yield | ast.Await):
                return False
            if isinstance(node, ast.Call) and isinstance(statement, ast.Expr):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name not in _HARMLESS:
                    return False
    return True


@lru_cache(8192)
def reading(trail: tuple[Place, ...], here: str, there: str) -> Verdict:
    """What becomes of the call at the end of `trail` (innermost first) on the stack `there`, seen on `here`."""
    if here == there or not trail or staged(trail):
        return Verdict()
    found = frames(trail)
    asker = Asker(here, there, found)
    if here not in SYSTEMS or there not in SYSTEMS:
        return Verdict(True if not any(_asks(frame) for frame in found) else None)
    files = frozenset(frame.scope.code.file for frame in found)
    parts = []
    for at in range(len(found)):
        parts.append(_part(at, asker, (found[at].place, here, there, files)))
        asker.used |= parts[-1].used
    made = False if any(part.made is False for part in parts) else None if any(p.made is None for p in parts) else True
    if made and any(argument not in asker.used for part in parts for argument in part.arguments):
        made = None
    raises = next((part.raises for part in parts if part.raises), "")
    return Verdict(made, tuple(option for part in parts for option in part.options), raises)


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """What one frame says: good wherever the frames `outer` called it."""

    made: bool | None
    options: tuple[Option, ...]
    raises: str
    used: frozenset[ast.expr]
    arguments: tuple[ast.expr, ...]
    outer: tuple[Place, ...]


_parts: dict[object, list[_Part]] = {}
_MOST_PARTS = 20_000
remembered(_parts.clear)
remembered(_is_there.cache_clear)


def _part(at: int, asker: Asker, key: object) -> _Part:
    """One frame read; as it was before, where all that has a part in it is the same."""
    if len(_parts) > _MOST_PARTS:
        _parts.clear()
    known = _parts.setdefault(key, [])
    further = [frame.place for frame in asker.frames[at + 1 :]]
    for part in known:
        if tuple(further[: len(part.outer)]) == part.outer:
            return part
    before, asker.used, asker.reach = asker.used, set(), at
    frame = asker.frames[at]
    read = _Reading(asker)
    inner = innermost(frame.place)
    read.frame(frame, inner[1] if inner is not None else ())
    arguments = tuple(_arguments(frame, asker))
    reach = tuple(further[: max(0, asker.reach - at)])
    part = _Part(read.made, tuple(read.options), read.raises, frozenset(asker.used), arguments, reach)
    asker.used = before
    known.append(part)
    return part


def _arguments(frame: Frame, asker: Asker) -> Iterator[ast.expr]:
    """The arguments of a frame's call that differ, or what it calls where that does."""
    for call in frame.calls:
        yield from asker.arguments(call, frame.scope)
        own = frame is not asker.frames[0] and whose(frame.place.file) != INNER  # the innermost calls the system
        if own and is_another(call.func, frame.scope, asker):
            yield call.func


def _asks(frame: Frame) -> bool:
    function = frame.scope.function
    first, last = (function.lineno, function.end_lineno) if function is not None else (1, None)
    return bool(ASKS.search("".join(frame.scope.code.lines[first - 1 : last])))


@lru_cache(4096)
def names(trail: tuple[Place, ...], name: str) -> bool:
    """Whether the code of a trail has this name from Python's socket module."""
    pattern = re.compile(rf"[^#]*(?:\b\w+\.{name}\b|\bimport\b.*\b{name}\b)")
    return any(name in line and pattern.match(line) for frame in frames(trail) for line in frame.scope.code.lines)


def names_number(trail: tuple[Place, ...], number: int) -> bool:
    """Whether a call on the trail is given this number by a name, wherever that is given it."""
    found = frames(trail)
    asker = Asker("", "", found)
    given = ((argument, frame.scope) for frame in found for call in frame.calls for argument in call.args)
    return any(
        asker.ask(node, scope) == (number, number)
        for argument, scope in given
        for node in ast.walk(argument)
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Constant)
    )
