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
from .frames import Frame, frames
from .handlers import ENDS, Handler, kinds_of, names_of
from .locations import Place
from .lookup import function
from .syntax import Def, Scope, Step, innermost

_SUPPRESS = {"suppress"}
_RAISES = {"raises", "assertRaises", "assertRaisesRegex", "RaisesGroup"}
#: Who calls what runs by itself. What a task or an executor gave to a future does not come to them.
_MACHINES = {"Handle._run", "_worker"}
_QUIET = {"close", "debug", "info", "warning", "print", "log", "setblocking", "settimeout"}
_CODES = re.compile(r"\berrno\.|\bE[A-Z]{4,}\b|errorcode|winerror")


@lru_cache(4096)
def fate(trail: tuple[Place, ...], error: str) -> Fate:
    """What becomes of `error`, an errno name, ``timeout`` or the name of an exception, raised at the end of `trail`."""
    kinds, told = kinds_of(error), False
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
        if _is_expected(frame, kinds):
            return Fate((frame.place.file, frame.place.line), False, asked)
        function = frame.scope.function
        steps = _within(inner[1] if inner is not None else [], function)
        for step, after in reversed(list(zip(steps, _after(steps), strict=True))):
            end = _guarded(step, after, frame, kinds, error)
            if end is None:
                continue
            asked += end.asked
            if end.raised is None:
                line = getattr(step.parent, "lineno", 0)
                return Fate((frame.place.file, line), end.quiet, asked)
            told |= end.told
            kinds, error = (kinds, error) if end.raised == "" else (kinds_of(end.raised), end.raised)
        told |= isinstance(function, ast.AsyncFunctionDef)
    return Fate(None, False, asked, told)


def _is_expected(frame: Frame, kinds: set[str]) -> bool:
    """Whether a frame's call expects the error of what it calls: ``raises(OSError, sock.bind, address)``."""
    match frame.calls[:1]:
        case [ast.Call(func=func, args=[type_, _, *_])]:
            return getattr(func, "attr", getattr(func, "id", "")) in _RAISES and bool(
                kinds & names_of(type_, frame.scope)
            )
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


def _guarded(step: Step, after: Sequence[ast.AST], frame: Frame, kinds: set[str], error: str) -> _End | None:
    """What the statement around a line makes of an error, and what comes `after` it; None where it lets it pass."""
    match step.parent:
        case ast.Try(handlers=handlers) as node if step.field == "body":
            for handler in handlers:
                if handler.type is None or kinds & names_of(handler.type, frame.scope):
                    return _handled(handler, node, frame, error)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in reversed(items):
                if isinstance(item.context_expr, ast.Call):
                    found = _context(item.context_expr, frame, kinds, error)
                    if found is not None and found.raised is None and item.optional_vars is not None:
                        kept = ast.unparse(item.optional_vars)
                        asked = Handler((f"{kept}.value", f"{kept}.exception"), frame, error)
                        return _End(asked.asserted(after), found.quiet, (*found.asked, *asked.asked))
                    if found is not None:
                        return found
    return None


def _context(call: ast.Call, frame: Frame, kinds: set[str], error: str) -> _End | None:
    """What a context makes of an error."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    caught: set[str] = set().union(*(names_of(argument, frame.scope) for argument in call.args)) if call.args else set()
    if name in _SUPPRESS:
        return _End(None, True) if caught & kinds else None
    if name in _RAISES:
        match_ = next((keyword.value for keyword in call.keywords if keyword.arg == "match"), None)
        if match_ is None and name == "assertRaisesRegex" and len(call.args) > 1:
            match_ = call.args[1]
        if match_ is None or not caught & kinds:
            return _End(None) if caught & kinds else None
        matches = _matches(match_, error)
        return _End("AssertionError" if matches is False else None, asked=(matches,))
    return _managed(call, frame, kinds, error)


def _managed(call: ast.Call, frame: Frame, kinds: set[str], error: str) -> _End | None:
    """What a function of the project that is a context manager makes of an error at its ``yield``."""
    found = function(call.func, frame.scope)
    if found is None or not any("contextmanager" in ast.unparse(it) for it in found[0].decorator_list):
        return None
    yields = next((node for node in ast.walk(found[0]) if isinstance(node, ast.Yield)), None)
    steps = _within(found[1].code.steps(yields.lineno), found[0]) if yields is not None else []
    inner = Frame(frame.place, Scope(found[1].code, found[0]), (call,))
    ends = (_guarded(step, (), inner, kinds, error) for step in reversed(steps))
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


def _handled(handler: ast.ExceptHandler, node: ast.Try, frame: Frame, error: str) -> _End:
    found = Handler((handler.name,) if handler.name else (), frame, error)
    raised = found.run(handler.body)
    if raised is None and (loop := _loop(frame.scope.function, node)) is not None:
        if found.perhaps or _kept(handler, frame.scope.function) or _is_last(handler, loop, frame.scope.function):
            raised = ""
    return _End(raised, raised is None and _is_quiet(handler.body), tuple(found.asked), found.told)


def _loop(function: Def | None, node: ast.AST) -> ast.AST | None:
    """The innermost loop of a function around a statement: over addresses, or to try again."""
    found = None
    for loop in ast.walk(function) if function is not None else ():
        if isinstance(loop, ast.For | ast.AsyncFor | ast.While) and node in ast.walk(loop):
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


def _is_last(handler: ast.ExceptHandler, loop: ast.AST, function: Def | None) -> bool:
    """Whether the loop goes on to what is left to try, and an error is raised after it."""
    if function is None or isinstance(handler.body[-1], ast.Return | ast.Break):
        return False
    inside = set(_all(loop.body))  # type: ignore[attr-defined]
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
