"""Calls that the code makes on some systems only: ``if os.name != "nt": sock.setsockopt(…)``.

What the code would do on another system is read from the conditions around the line. They are evaluated as far as they
ask for nothing but the system; nothing of the project is run.
"""

from __future__ import annotations

import ast
import inspect
import operator
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from .locations import Place, source

#: What Python calls the systems: os.name, sys.platform, platform.system().
SYSTEMS = {
    "linux": ("posix", "linux", "Linux"),
    "gvisor": ("posix", "linux", "Linux"),
    "macos": ("posix", "darwin", "Darwin"),
    "windows": ("nt", "win32", "Windows"),
    "freebsd": ("posix", "freebsd", "FreeBSD"),
    "dragonfly": ("posix", "dragonfly", "DragonFly"),
    "netbsd": ("posix", "netbsd", "NetBSD"),
    "openbsd": ("posix", "openbsd", "OpenBSD"),
    "illumos": ("posix", "sunos5", "SunOS"),
    "wine": ("nt", "win32", "Windows"),
}
_NT = ("windows", "wine")
#: The options that Python's socket module has on some of them only.
_HAS = {
    "SO_REUSEADDR": tuple(SYSTEMS),
    "SO_REUSEPORT": tuple(name for name in SYSTEMS if name not in (*_NT, "illumos")),
    "SO_REUSEPORT_LB": ("freebsd",),
    "SO_EXCLUSIVEADDRUSE": _NT,
    "IPV6_V6ONLY": tuple(SYSTEMS),
    "IPPROTO_IPV6": tuple(SYSTEMS),
    "AF_INET6": tuple(SYSTEMS),
}
_FLAGS = {  # names of flags that projects have for it
    re.compile(r"_*(IS_|ON_)?(WIN|WIN32|WINDOWS|NT)", re.I): _NT,
    re.compile(r"_*(IS_|ON_)?(LINUX)", re.I): ("linux", "gvisor"),
    re.compile(r"_*(IS_|ON_)?(MAC|MACOS|OSX|DARWIN)", re.I): ("macos",),
    re.compile(r"_*(IS_|ON_)?(POSIX|UNIX)", re.I): tuple(name for name in SYSTEMS if name not in _NT),
}
_ASKS = re.compile(r"platform|\bos\.name\b|hasattr|win32|windows|darwin|macos|linux|posix|bsd|cygwin", re.I)
_CATCH = {"OSError", "error", "Exception", "BaseException", "EnvironmentError", "IOError"}
_COMPARED: dict[type[ast.cmpop], Callable[[str, object], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, of: item in of,  # type: ignore[operator]
    ast.NotIn: lambda item, of: item not in of,  # type: ignore[operator]
}


class _Open(Exception):
    """A condition that asks for the system in a way that is not understood."""


@lru_cache(1024)
def caught(place: Place) -> bool:
    """Whether the function around the line goes on if the call there raises OSError."""
    tree = _parsed(place.file, place.start)
    line = place.line - place.start + 1
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Try) and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0):
            for handler in node.handlers:
                names = set(re.findall(r"\w+", ast.unparse(handler.type))) if handler.type is not None else _CATCH
                if names & _CATCH and not any(isinstance(inner, ast.Raise) for inner in ast.walk(handler)):
                    return True
    return False


@dataclass(frozen=True, slots=True)
class _Between:
    """Two systems, and the function in which a condition stands."""

    here: str
    there: str
    function: ast.AST


@lru_cache(4096)
def made_on(place: Place, here: str, there: str) -> bool | None:
    """Whether the call at `place`, seen on the stack `here`, would be made on the stack `there`, all else being equal.

    None where that is not known.
    """
    answer: bool | None = True
    if here == there:
        return answer
    for condition, then, alternative, function in _conditions(place.file, place.start, place.line):
        try:
            holds = _holds(condition, then, _Between(here, there, function))
        except _Open:
            answer = None
            continue
        if holds is None or holds == then:
            continue
        if not alternative:
            return False
        answer = None  # something else is done there instead
    return answer


Condition = tuple[ast.expr, bool, bool, ast.AST]


@lru_cache(1024)
def _conditions(file: str, start: int, line: int) -> tuple[Condition, ...]:
    """The conditions around a line: each with whether it held, whether there is another branch, and its function."""
    tree = _parsed(file, start)
    return tuple(_around(tree, line - start + 1, tree)) if tree is not None else ()


@lru_cache(256)
def _parsed(file: str, start: int) -> ast.Module | None:
    """The function that begins at line `start`; of module level the whole file."""
    lines = source(file)
    try:
        block = inspect.getblock(lines[start - 1 :]) if start > 1 else lines
        return ast.parse(textwrap.dedent("".join(block)))
    except (SyntaxError, ValueError, IndexError, RecursionError, MemoryError):
        return None


def _around(node: ast.AST, line: int, function: ast.AST) -> Iterator[Condition]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = node
    for name, child in ast.iter_fields(node):
        for item in child if isinstance(child, list) else [child]:
            if not isinstance(item, ast.stmt | ast.excepthandler | ast.match_case):
                continue
            first, last = (item.pattern, item.body[-1]) if isinstance(item, ast.match_case) else (item, item)
            if not first.lineno <= line <= (last.end_lineno or 0):
                continue
            if isinstance(node, ast.If) and name in ("body", "orelse"):
                yield node.test, name == "body", bool(node.orelse if name == "body" else node.body), function
            yield from _around(item, line, function)


def _holds(test: ast.expr, held: bool | None, between: _Between) -> bool | None:
    """Whether a condition holds there; None where it asks for nothing that differs, and so is as it was here.

    `held` is whether it held here, None if that is not known.
    """
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            answer = _holds(inner, None if held is None else not held, between)
            return None if answer is None else not answer
        case ast.BoolOp(op=op, values=values):
            decides = isinstance(op, ast.Or)  # one of these decides alone
            known = None if held == decides else held
            answers = [_holds(value, known, between) for value in values]
            if decides in answers:
                return decides
            if not any(answer is not None for answer in answers):
                return None
            if None in answers and known is None:
                raise _Open
            return not decides
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _flag(test, name, between)
    if not _ASKS.search(ast.unparse(test)):
        return None
    return _differs(_asked(test, between.here), _asked(test, between.there))


def _differs(here: bool | None, there: bool | None) -> bool | None:
    """The answer there if it is another than here, else None. Raises _Open where one of them is not known."""
    if here is None or there is None:
        raise _Open
    return there if there != here else None


def _flag(test: ast.expr, name: str, between: _Between) -> bool | None:
    """A name: what its function set it to, if that asks for the system, else what it says."""
    for node in ast.walk(between.function) if isinstance(test, ast.Name) else ():
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            if _ASKS.search(ast.unparse(node.value)):
                return _holds(node.value, None, replace(between, function=ast.Module([], [])))
    for pattern, stacks in _FLAGS.items():
        if pattern.fullmatch(name):
            return _differs(between.here in stacks, between.there in stacks)
    if _ASKS.search(name):
        raise _Open
    return None


def _asked(test: ast.expr, stack: str) -> bool | None:
    """The answer to a plain question for the system; None where it is another."""
    try:
        names = dict(zip(("os.name", "sys.platform", "platform.system()"), SYSTEMS[stack], strict=True))
        match test:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _COMPARED[type(op)](names[ast.unparse(left)], ast.literal_eval(right))
            case ast.Call(func=ast.Attribute(value=value, attr="startswith"), args=[start]):
                return names[ast.unparse(value)].startswith(ast.literal_eval(start))
            case ast.Call(func=ast.Name(id="hasattr"), args=[module, ast.Constant(value=str(name))]):
                return stack in _HAS[name] if ast.unparse(module) in ("socket", "_socket") else None
    except (KeyError, ValueError, TypeError):
        pass
    return None
