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
from .locations import Place
from .syntax import Def, Scope, Step, innermost

#: What Python's own names for OSError are, beside the class of the error.
_OS_ERROR = {"OSError", "error", "EnvironmentError", "IOError", "WindowsError"}
_ALL = {"Exception", "BaseException"}
_SUPPRESS = {"suppress"}
_RAISES = {"raises", "assertRaises", "assertRaisesRegex", "RaisesGroup"}
_ENDS = {"fail", "exit", "_exit", "abort", "skip", "xfail", "skipTest"}
_QUIET = {"close", "debug", "info", "warning", "print", "log", "setblocking", "settimeout"}
_ADDRESSES = re.compile(r"addr_?info|\binfos\b|addresses", re.I)
_CODES = re.compile(r"\berrno\.|\bE[A-Z]{4,}\b|errorcode|winerror")


@lru_cache(4096)
def fate(trail: tuple[Place, ...], error: str) -> Fate:
    """What becomes of `error`, an errno name, ``timeout`` or the name of an exception, raised at the end of `trail`."""
    kinds, asked = _kinds(error), False
    found = frames(trail)
    for frame in found:
        inner = innermost(frame.place)
        if frame is found[0] and any(getattr(call.func, "attr", "") == "connect_ex" for call in frame.calls):
            return Fate((frame.place.file, frame.place.line), False, _asks_for_codes(frame))
        function = frame.scope.function
        steps = inner[1] if inner is not None else []
        for step in reversed(_within(steps, function)):
            end = _guarded(step, frame, kinds, error)
            if end is None:
                continue
            asked |= end.asked
            if end.raised is None:
                line = getattr(step.parent, "lineno", 0)
                return Fate((frame.place.file, line), end.quiet, asked)
            kinds, error = (kinds, error) if end.raised == "" else (_kinds(end.raised), end.raised)
    return Fate(None, False, asked)


def _within(steps: Sequence[Step], function: Def | None) -> list[Step]:
    """The steps that are within the function that runs."""
    at = next((n for n, step in enumerate(steps) if step.parent is function), 0) if function is not None else 0
    return list(steps[at:])


@dataclass(frozen=True, slots=True)
class _End:
    """How a guard ends: what it raises ("": the error as it was), None where the code goes on."""

    raised: str | None
    quiet: bool = False
    asked: bool = False


def _kinds(error: str) -> set[str]:
    """The names of the classes that an error is an instance of."""
    if error[:1] == "E" and error.isupper():
        number = getattr(errno, error, None)
        names = {kind.__name__ for kind in (type(OSError(number, "")) if number else OSError).__mro__}
        return names | _OS_ERROR | ({"timeout"} if "TimeoutError" in names else set())
    if error == "timeout":
        return {"TimeoutError", "timeout", *_OS_ERROR, *_ALL}
    return {error, *_ALL} | (_OS_ERROR if error in _OS_ERROR else set())


def _guarded(step: Step, frame: Frame, kinds: set[str], error: str) -> _End | None:
    """What the statement around a line makes of an error; None where it lets it pass."""
    match step.parent:
        case ast.Try(handlers=handlers) as node if step.field == "body":
            for handler in handlers:
                if handler.type is None or kinds & _names(handler.type, frame.scope):
                    return _handled(handler, node, frame, error)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in reversed(items):
                if isinstance(item.context_expr, ast.Call):
                    found = _context(item.context_expr, frame.scope, kinds, error)
                    if found is not None:
                        return found
    return None


def _names(type_: ast.expr, scope: Scope, deep: int = 0) -> set[str]:
    """The names of the exceptions that an expression stands for."""
    match type_:
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return set().union(*(_names(element, scope, deep) for element in elements)) if elements else set()
        case ast.Attribute(attr=name):
            return {name}
        case ast.Name(id=name):
            for it in scope.code.globals.get(name, ()):
                if isinstance(it.value, ast.Tuple | ast.Name | ast.Attribute) and deep < 4:
                    return {name} | _names(it.value, it.scope, deep + 1)
            return {name}
        case ast.Starred(value=value) | ast.BinOp(left=value):
            return _names(value, scope, deep)
    return set()


def _context(call: ast.Call, scope: Scope, kinds: set[str], error: str) -> _End | None:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    caught: set[str] = set().union(*(_names(argument, scope) for argument in call.args)) if call.args else set()
    if name in _SUPPRESS and caught & kinds:
        return _End(None, True)
    if name in _RAISES and caught & kinds:
        match_ = next((keyword.value for keyword in call.keywords if keyword.arg == "match"), None)
        if match_ is None and name == "assertRaisesRegex" and len(call.args) > 1:
            match_ = call.args[1]
        if match_ is None:
            return _End(None)
        return _End(None if _matches(match_, error) else "AssertionError", asked=True)
    return None


def _matches(pattern: ast.expr, error: str) -> bool:
    """Whether the message of an error is one that a test waits for; taken for one where that cannot be said."""
    number = getattr(errno, error, None)
    if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str) or number is None:
        return True
    try:
        return len(pattern.value) > 200 or bool(re.search(pattern.value, str(OSError(number, os.strerror(number)))))
    except re.error:
        return True


# --- handlers ---------------------------------------------------------------------------------------------------------


def _handled(handler: ast.ExceptHandler, node: ast.Try, frame: Frame, error: str) -> _End:
    found = _Handler(handler.name or "", frame, error)
    raised = found.run(handler.body)
    if raised is None and (_kept(handler, frame) or _next_address(handler, node, frame)):
        raised = ""
    return _End(raised, raised is None and _is_quiet(handler.body), found.asked)


class _Handler:
    """A handler that is read for one error."""

    def __init__(self, name: str, frame: Frame, error: str) -> None:
        self.name, self.frame, self.error = name, frame, error
        self.asked = False
        self.codes: set[str] = set()  # names that the error's number was given

    def run(self, block: Sequence[ast.stmt]) -> str | None:
        """What the block raises: "" for the error as it was; None where it goes on, or that is not known."""
        for node in block:
            match node:
                case ast.Raise(exc=None):
                    return ""
                case ast.Raise(exc=ast.expr() as raised):
                    return self.raised(raised)
                case ast.Return() | ast.Continue() | ast.Break():
                    return None
                case ast.If(test=test, body=body, orelse=other):
                    holds = self.holds(test)
                    taken = [body] if holds else [other] if holds is False else [body, other]
                    ends = [self.run(one) for one in taken]
                    if all(end is not None for end in ends):
                        return ends[0]
                    if holds is not None and (
                        taken[0] and isinstance(taken[0][-1], ast.Return | ast.Continue | ast.Break)
                    ):
                        return None
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if self.is_code(value):
                    self.codes.add(name)
                case ast.Expr(value=ast.Call(func=func, args=args)):
                    called = getattr(func, "attr", getattr(func, "id", ""))
                    if called == "set_exception" and any(ast.unparse(argument) == self.name for argument in args):
                        return ""
                    if called in _ENDS:
                        return called
        return None

    def raised(self, raised: ast.expr) -> str:
        text = ast.unparse(raised)
        if text == self.name:
            return ""
        name = getattr(raised.func, "attr", getattr(raised.func, "id", "")) if isinstance(raised, ast.Call) else text
        return "" if name in _OS_ERROR and self.name and self.name in text else name or "Exception"

    def is_code(self, node: ast.expr) -> bool:
        """Whether an expression is the error's number."""
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr="errno" | "winerror"):
                return name == self.name
            case ast.Subscript(value=value):
                return ast.unparse(value) in (self.name, f"{self.name}.args")
            case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id=name), ast.Constant(value="errno"), *_]):
                return name == self.name
            case ast.Name(id=name):
                return name in self.codes
        return False

    def holds(self, test: ast.expr) -> bool | None:
        """Whether a condition on the error holds; None where that is not known."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                found = self.holds(operand)
                return None if found is None else not found
            case ast.BoolOp(op=op, values=values):
                answers = [self.holds(value) for value in values]
                decides = isinstance(op, ast.Or)
                return decides if decides in answers else None if None in answers else not decides
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), kinds]) if name == self.name:
                self.asked = True
                return bool(_kinds(self.error) & _names(kinds, self.frame.scope))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                code, other = (left, right) if self.is_code(left) else (right, left)
                if self.is_code(code):
                    self.asked = True
                    names = self.numbers(other)
                    if names is not None and isinstance(op, ast.Eq | ast.In):
                        return self.error in names
                    if names is not None and isinstance(op, ast.NotEq | ast.NotIn):
                        return self.error not in names
                    return None
        if self.name and re.search(rf"\b{re.escape(self.name)}\b", ast.unparse(test)):
            self.asked = True
        return None

    def numbers(self, node: ast.expr, deep: int = 0) -> set[str] | None:
        """The errno names that an expression stands for; None where that is not known."""
        match node:
            case ast.Attribute(attr=name) if name.isupper():
                return {name, name.removeprefix("WSA")}
            case ast.Constant(value=int(number)):
                return {errno.errorcode[number]} if number in errno.errorcode else set()
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                parts = [self.numbers(element, deep) for element in elements]
                return None if None in parts else set().union(*(part for part in parts if part is not None))
            case ast.Call(func=ast.Name(id="frozenset" | "set" | "tuple"), args=[inner]):
                return self.numbers(inner, deep)
            case ast.Name(id=name):
                for it in self.frame.scope.code.globals.get(name, ()):
                    if isinstance(it.value, tuple) and it.value[0] == "errno":
                        return {it.value[1]}
                    if isinstance(it.value, ast.expr) and deep < 4:
                        return self.numbers(it.value, deep + 1)
        return None


def _kept(handler: ast.ExceptHandler, frame: Frame) -> bool:
    """Whether the error is kept and raised when no address is left, as ``socket.create_connection`` does."""
    function = frame.scope.function
    if not handler.name or function is None or not _walks_addresses(function, handler):
        return False
    kept = set()
    for node in (node for statement in handler.body for node in ast.walk(statement)):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=value)) if value == handler.name:
                kept.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[ast.Name(id=value)]):
                if value == handler.name:
                    kept.add(name)
    return any(
        isinstance(node, ast.Raise) and node.exc is not None and kept & set(re.findall(r"\w+", ast.unparse(node.exc)))
        for node in ast.walk(function)
    )


def _next_address(handler: ast.ExceptHandler, node: ast.Try, frame: Frame) -> bool:
    """Whether the next address is tried, and an error raised when there is none."""
    function = frame.scope.function
    if (
        function is None
        or not isinstance(handler.body[-1], ast.Continue | ast.Pass)
        or not _walks_addresses(function, node)
    ):
        return False
    return any(isinstance(inner, ast.Raise) and inner.lineno > (node.end_lineno or 0) for inner in ast.walk(function))


def _walks_addresses(function: Def, inside: ast.AST) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.AsyncFor) and node.lineno <= getattr(inside, "lineno", 0) <= (
            node.end_lineno or 0
        ):
            if _ADDRESSES.search(ast.unparse(node.iter)):
                return True
    return False


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
