"""Where in the code a call was made: files and lines of a trail, as a reader wants to see them."""

from __future__ import annotations

import contextlib
import linecache
import os
import re
import stat
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import CodeType
from typing import NamedTuple

from ..text import visible
from .events import INNER, Trail, whose

_LARGEST = 4 * 1024 * 1024  # bytes
_PACKAGES = re.compile(r".*[/\\](?:site|dist)-packages[/\\]")
_ASSIGNED = re.compile(r"\s*(?:\w+\.)*(\w+)\s*(?::[^=]+)?=(?!=)[^;]*$", re.ASCII)
_WITH = re.compile(r"\s*(?:async\s+)?with\b.*\bas\s+(\w+)\s*:", re.ASCII)
_TELLS_NOTHING = re.compile(r"s|sock|socket|sock_|s\d|sk|ret|result|self|_*", re.ASCII)


class Place(NamedTuple):
    """A line of code: its file, its number, the function that it is in, where that begins, and what is called there.

    Columns are bytes from 0; -1 where they are not known.
    """

    file: str
    line: int
    function: str
    start: int
    column: int = -1
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        """``p2p.py:41``: below the directory of the run relative to it, of a package as it is imported."""
        return f"{_shown(self.file, _root[0])}:{self.line}"

    @property
    def source(self) -> str:
        """The text of the line; empty where there is none to read."""
        lines = source(self.file)
        return lines[self.line - 1] if 0 < self.line <= len(lines) else ""

    @property
    def variable(self) -> str:
        """The name that the line gives to what it makes, if that says anything; else empty."""
        return _variable(self)


@lru_cache(4096)
def _variable(place: Place) -> str:
    line = place.source
    found = _ASSIGNED.match(line) or (_WITH.match(line) if line.count(" as ") == 1 else None)
    name = found[1].strip("_") if found else ""
    return name if name[:1].isalpha() and not _TELLS_NOTHING.fullmatch(name) and len(name) < 40 else ""


def shown_places(found: Sequence[Place]) -> list[Place]:
    """The lines that a reader can do something about: those outside of the standard library, where there are any."""
    return [place for place in found if whose(place.file) != INNER] or list(found[:1])


def source(file: str) -> list[str]:
    """The lines of a file of code; none of what is no file, or too large to be code."""
    with contextlib.suppress(OSError, ValueError):  # it may be in an archive, or a name alone
        found = os.stat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return []
    return linecache.getlines(file)


_root = [os.getcwd()]  # where the run was started


def start_at(directory: str) -> None:
    """Show places relative to this directory, wherever a test goes."""
    _root[0] = directory


@lru_cache(4096)
def _shown(file: str, root: str) -> str:
    inside = _PACKAGES.match(file)
    if inside:
        file = file[inside.end() :]
    with contextlib.suppress(ValueError):
        file = str(Path(file).relative_to(root))
    return visible(file, 300)


def places(trail: Trail) -> tuple[Place, ...]:
    """The lines of a trail, innermost first."""
    if trail and isinstance(trail[0], Place):  # from a log or a child process, which have no code
        return trail
    return tuple(_place(code, at) for code, at in zip(trail[::2], trail[1::2], strict=True))


def gap(trail: Trail, function: str) -> str:
    """Where a trail does not lead to this function, the test's.

    "cut": it begins where a thread or an event loop does. "loop": the loop is run by the function, but what began the
    task is not seen.
    """
    found = places(trail)
    names = [place.function.rpartition(".")[2] for place in found]
    began = [p.function if whose(p.file) == INNER else "" for p in found]
    if function not in names:
        return "cut" if {"Handle._run", "Thread._bootstrap"} & set(began) else ""
    return "loop" if "Handle._run" in began[: names.index(function)] else ""


def shown_place(trail: Trail) -> Place | None:
    """The first of the places of a trail that a reader can do something about; the others are not worked out."""
    if not trail or isinstance(trail[0], Place):
        return next(iter(shown_places(trail)), None)
    files = [code.co_filename for code in trail[::2]]
    at = next((n for n, file in enumerate(files) if whose(file) != INNER), 0)
    return _place(*trail[2 * at : 2 * at + 2])


#: By identity: to hash a code object takes longer than all the rest. The code is kept, so that its id stays its own.
_known: dict[tuple[int, int], tuple[CodeType, Place]] = {}


def _place(code: CodeType, offset: int) -> Place:
    key = id(code), offset
    found = _known.get(key)
    if found is None:
        at = next(islice(code.co_positions(), offset // 2, None), (None,) * 4)
        line, end, column, end_column = at if None not in at else (_line(code, offset), 0, -1, 0)
        place = Place(
            code.co_filename, line or 0, code.co_qualname, code.co_firstlineno, column or 0, end or 0, end_column or 0
        )
        found = _known[key] = code, place
    return found[1]


def _line(code: CodeType, offset: int) -> int:
    """The line of an instruction."""
    lines = (line for start, end, line in code.co_lines() if start <= offset < end and line is not None)
    return next(lines, code.co_firstlineno)
