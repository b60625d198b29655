"""What becomes of an error on its way from a call to the test: who catches it, and whether anybody asks which it is."""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from ..dataclass import dataclass
from .fate import Fate
from .frames import Frame, call_name, frames, keyword
from .handlers import ENDS, Handler, kinds_of, names_of
from .loaded import is_stdlib
from .locations import Place
from .lookup import calls_of, named
from .syntax import Def, Scope, Step, innermost

_SUPPRESS = {"suppress"}
_RAISES = {"raises", "assertRaises", "assertRaisesRegex", "RaisesGroup"}
#: Who calls what runs by itself. What a task or an executor gave to a future does not come to them.
_MACHINES = {"Handle._run", "_worker"}
_QUIET = {"close", "debug", "info", "warning", "print", "log", "setblocking", "settimeout"}
_ADDRESSES = re.compile(r"addr_?info|\binfos\b|addresses", re.I)
_CODES = re.compile(r"\berrno\.|\bE[A-Z]{4,}\b|errorcode|winerror")


@lru_cache(4096)
def fate(trail: tuple[Place, ...], error: str, lasts: bool = True) -> Fate:
    """What becomes of `error`, an errno name, ``timeout`` or the name of an exception, raised at the end of `trail`.

    `lasts`: who tries again meets it again.
    """
    raised, told = _Error(error, kinds_of(error), lasts), False
    asked: tuple[bool | None, ...] = ()
    found = frames(trail)
    for frame in found:
        inner = innermost(frame.place)
        if frame is found[0] and any(getattr(call.func, "attr", "") == "connect_ex" for call in frame.calls):
            return Fate((frame.place.file, frame.place.line), False, (None,) if _asks_for_codes(frame) else ())
        if frame.place.function == "Thread._bootstrap_inner":
            break  # the thread ends, and that is all
        if told and frame.place.function in _MACHINES:
            continue
        if _is_expected(frame, raised):
            return Fate((frame.place.file, frame.place.line), False, asked)
        function = frame.scope.function
        steps = _within(inner[1] if inner is not None else [], function)
        for step, after in reversed(list(zip(steps, _after(steps), strict=True))):
            end = _guarded(step, after, frame, raised)
            if end is None:
                continue
            asked += end.asked
            if end.raised is None:
                line = getattr(step.parent, "lineno", 0)
                return Fate((frame.place.file, line), end.quiet, asked)
            told |= end.told
            raised = _Error(end.raised, kinds_of(end.raised), lasts) if end.raised else raised
        if isinstance(function, ast.AsyncFunctionDef):
            told = True
            if (line := _awaited(frame, found[frame.scope.at + 1 :], raised)) is not None:
                return Fate(line, False, asked)
    return Fate(None, False, asked, told)


def _awaited(frame: Frame, further: Sequence[Frame], error: _Error) -> tuple[str, int] | None:
    """Who catches what a task raises, if all do that make one of its function; the trail does not lead there."""
    name = frame.scope.function.name if frame.scope.function is not None else ""
    whole = {call_name(call) for outer in further for call in outer.calls if not is_stdlib(outer.place.file)}
    if name in whole or not further or further[0].place.function != "Handle._run":
        return None
    lines = []
    for code in {it.place.file: it.scope.code for it in (frame, *further) if not is_stdlib(it.place.file)}.values():
        for call, scope in calls_of((name,), code):
            steps = _within(code.steps(call.lineno), scope.function)
            ends = [_guarded(step, (), Frame(frame.place, scope, (call,)), error) for step in reversed(steps)]
            end = next((end for end in ends if end is not None), None)
            if not _is_gathered(steps, call) and (end is None or end.raised is not None):
                return None
            lines.append((code.file, call.lineno))
    return lines[0] if lines else None


def _is_gathered(steps: Sequence[Step], call: ast.Call) -> bool:
    """Whether a call is given to ``gather(…, return_exceptions=True)``."""
    outer = [node for node in ast.walk(steps[-1].node) if isinstance(node, ast.Call)] if steps else []
    return any(call in node.args and keyword(node, "return_exceptions") is not None for node in outer)


@dataclass(frozen=True, eq=False, slots=True)
class _Error:
    """An error on its way: its name, those of its classes, and whether it lasts."""

    name: str
    kinds: set[str]
    lasts: bool


def _is_expected(frame: Frame, error: _Error) -> bool:
    """Whether a frame's call expects the error of what it calls: ``raises(OSError, sock.bind, address)``."""
    match frame.calls[:1]:
        case [ast.Call(func=func, args=[type_, _, *_])]:
            name = getattr(func, "attr", getattr(func, "id", ""))
            return name in _RAISES and bool(error.kinds & names_of(type_, frame.scope))
    return False


def _after(steps: Sequence[Step]) -> Sequence[Sequence[ast.AST]]:
    """For each step what comes after the statement that it is in."""
    return [(), *(step.block[step.at + 1 :] for step in steps)][: len(steps)]


def _within(steps: Sequence[Step], function: Def | None) -> list[Step]:
    """The steps that are within the function that runs."""
    at = next((n for n, step in enumerate(steps) if step.parent is function), 0) if function is not None else 0
    return list(steps[at:])


@dataclass(frozen=True, slots=True)
class _End:
    """How a guard ends: what it raises ("": the error as it was), None where the code goes on."""

    raised: str | None
    quiet: bool = False
    asked: tuple[bool | None, ...] = ()
    told: bool = False  # to whoever waits for a future


def _guarded(step: Step, after: Sequence[ast.AST], frame: Frame, error: _Error) -> _End | None:
    """What the statement around a line makes of an error, and what comes `after` it; None where it lets it pass."""
    match step.parent:
        case ast.Try(handlers=handlers) | ast.TryStar(handlers=handlers) as node if step.field == "body":
            for handler in handlers:
                if handler.type is None or error.kinds & names_of(handler.type, frame.scope):
                    return _handled(handler, node, frame, error)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            entered = (_entered(node) for node in reversed(step.block[: step.at]))
            contexts = [*(it for it in entered if it is not None), *((it.context_expr, it) for it in reversed(items))]
            for expr, item in contexts:
                found = _context(_made(expr, frame.scope), frame, error)
                if found is not None and found.raised is None and item is not None and item.optional_vars is not None:
                    kept = ast.unparse(item.optional_vars)
                    asked = Handler((f"{kept}.value", f"{kept}.exception"), frame, error.name)
                    return _End(asked.asserted(after), found.quiet, (*found.asked, *asked.asked))
                if found is not None:
                    return found
    return None


def _entered(node: ast.AST) -> tuple[ast.expr, ast.withitem | None] | None:
    """The context that a statement enters by an ExitStack."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="enter_context"), args=[context])):
            return context, None
    return None


def _made(expr: ast.expr, scope: Scope) -> ast.expr:
    """What a name of the module stands for."""
    named = scope.code.globals.get(expr.id, ()) if isinstance(expr, ast.Name) else ()
    return next((it.value for it in named if isinstance(it.value, ast.Call)), expr)


def _context(call: ast.expr, frame: Frame, error: _Error) -> _End | None:
    """What a context makes of an error."""
    if not isinstance(call, ast.Call):
        return None
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    caught = set().union(*(names_of(argument, frame.scope) for argument in call.args)) & error.kinds
    if name in _SUPPRESS:
        return _End(None, True) if caught else None
    if name in _RAISES:
        match_ = keyword(call, "match")
        if match_ is None and name == "assertRaisesRegex" and len(call.args) > 1:
            match_ = call.args[1]
        if match_ is None or not caught:
            return _End(None) if caught else None
        matches = _matches(match_, error.name)
        return _End("AssertionError" if matches is False else None, asked=(matches,))
    for it in named(call.func, frame.scope):
        if isinstance(it.value, ast.ClassDef):
            return _End(None, True) if _swallows(it.value) and (caught or not call.args) else None
        if isinstance(it.value, Def) and any("contextmanager" in ast.unparse(it) for it in it.value.decorator_list):
            return _managed(it.value, Frame(frame.place, Scope(it.scope.code, it.value), (call,)), error)
    return None


def _swallows(class_: ast.ClassDef) -> bool:
    """Whether a context of this class may let nobody know of an error: what its ``__exit__`` returns says so."""
    ends = [node for node in class_.body if isinstance(node, Def) and node.name in ("__exit__", "__aexit__")]
    returned = [node.value for end in ends for node in ast.walk(end) if isinstance(node, ast.Return)]
    return any(value is not None and getattr(value, "value", True) not in (None, False) for value in returned)


def _managed(function: Def, frame: Frame, error: _Error) -> _End | None:
    """What a function of the project that is a context manager makes of an error at its ``yield``."""
    yields = next((node for node in ast.walk(function) if isinstance(node, ast.Yield)), None)
    steps = _within(frame.scope.code.steps(yields.lineno), function) if yields is not None else []
    ends = (_guarded(step, (), frame, error) for step in reversed(steps))
    return next((end for end in ends if end is not None), None)


def _matches(pattern: ast.expr, error: str) -> bool | None:
    """Whether the message of an error is one that a test waits for; None where that cannot be said."""
    number = getattr(errno, error, None)
    if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str) or number is None:
        return None
    message = str(OSError(number, os.strerror(number)))
    try:
        return bool(re.search(pattern.value, message)) if len(pattern.value) < 200 else None
    except re.error:
        return None


def _handled(handler: ast.ExceptHandler, node: ast.AST, frame: Frame, error: _Error) -> _End:
    found = Handler((handler.name,) if handler.name else (), frame, error.name)
    raised = found.run(handler.body)
    loop = _loop(frame.scope.function, node) if raised is None else None
    if loop is not None and (error.lasts or _ADDRESSES.search(ast.unparse(getattr(loop, "iter", loop)))):
        if found.perhaps or _kept(handler, frame.scope.function) or _is_last(handler, loop, frame.scope.function):
            raised = ""
    return _End(raised, raised is None and _is_quiet(handler.body), tuple(found.asked), found.told)


_Loop = ast.For | ast.AsyncFor | ast.While


def _loop(function: Def | None, node: ast.AST) -> _Loop | None:
    """The innermost loop of a function around a statement: over addresses, or to try again."""
    found = None
    for loop in ast.walk(function) if function is not None else ():
        if isinstance(loop, _Loop) and node in ast.walk(loop):
            found = loop
    return found


def _kept(handler: ast.ExceptHandler, function: Def | None) -> bool:
    """Whether the error is kept and raised when nothing is left to try, as ``socket.create_connection`` does."""
    kept = set()
    for node in _all(handler.body) if handler.name else ():
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=value)) if value == handler.name:
                kept.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[ast.Name(id=value)]):
                if value == handler.name:
                    kept.add(name)
    return function is not None and any(
        isinstance(node, ast.Raise) and node.exc is not None and kept & set(re.findall(r"\w+", ast.unparse(node.exc)))
        for node in ast.walk(function)
    )


def _is_last(handler: ast.ExceptHandler, loop: _Loop, function: Def | None) -> bool:
    """Whether the loop goes on to what is left to try, and an error is raised after it."""
    if function is None or isinstance(handler.body[-1], ast.Return | ast.Break):
        return False
    inside = set(_all(loop.body))
    return any(
        node not in inside and node.lineno > handler.lineno and (isinstance(node, ast.Raise) or _ends(node))
        for node in ast.walk(function)
        if isinstance(node, ast.stmt)
    )


def _ends(node: ast.stmt) -> bool:
    called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return getattr(called, "attr", getattr(called, "id", "")) in ENDS


def _is_quiet(block: Sequence[ast.stmt]) -> bool:
    """Whether a handler does nothing but go on, or say that it did not work."""
    for node in _all(block):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) not in _QUIET:
            return False
        if isinstance(node, ast.Raise):
            return False
    return True


def _all(block: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    return (node for statement in block for node in ast.walk(statement))


def _asks_for_codes(frame: Frame) -> bool:
    function = frame.scope.function
    first, last = (function.lineno, function.end_lineno) if function is not None else (1, None)
    return bool(_CODES.search("".join(frame.scope.code.lines[first - 1 : last])))
