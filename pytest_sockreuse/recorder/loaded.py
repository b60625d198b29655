"""What this process has loaded: modules by their files, and where an attribute is given what asks for the system."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from .events import INNER, LIBRARY, PROJECT, of_stdlib, whose
from .locations import Place
from .syntax import Code, parsed


def is_stdlib(file: str) -> bool:
    return whose(file) == INNER


#: What is between a coroutine and who has it run.
_LOOP = {
    *("Handle._run", "BaseEventLoop._run_once", "BaseEventLoop.run_forever", "BaseEventLoop.run_until_complete"),
    *("Runner.run", "run"),
}


def runs_coroutines(place: Place) -> bool:
    """Whether a place is the event loop's own."""
    return place.function in _LOOP and is_stdlib(place.file)


def is_plain(module: str, name: str) -> bool:
    """Whether the standard library has a number, a function, a class or so under a name: that asks for no system."""
    value = vars(sys.modules[module]).get(name) if of_stdlib(module) else None
    return value is not None and not isinstance(value, bool | str | bytes | tuple | list | dict | set | frozenset)


def value_of(file: str, name: str) -> object:
    """What a module that is loaded has under a name."""
    module = _loaded().get(file)
    return vars(module).get(name) if module is not None else None


_by_file: tuple[int, dict[str, object]] = (0, {})


def _loaded() -> dict[str, object]:
    """The modules of this process by their files."""
    global _by_file
    if _by_file[0] != len(sys.modules):
        modules = list(sys.modules.values())
        _by_file = len(modules), {str(vars(m).get("__file__")): m for m in modules if hasattr(m, "__dict__")}
    return _by_file[1]


_ASSIGNED = re.compile(rb"[ \t]+(?:\w+\.)?(\w+)[ \t]*(?::[^=\n]+)?=(?!=)")
_DEFINED = re.compile(rb"def (\w+)")
_WORDS = (b"platform", b"os.name", b"hasattr", b"WINDOWS", b"WIN32", b"POSIX", b"LINUX")
_looked: set[str] = set()  # files
_elsewhere: dict[str, list[str]] = {}
_MANY = 3_000  # files


def _asking(file: str) -> set[str]:
    """The attributes of a file that are assigned, or the functions that do, what has one of the words.

    Of many files, so nothing is decoded.
    """
    try:
        data = Path(file).read_bytes()
    except OSError:  # in an archive
        return set()
    found = set()
    for word in _WORDS:
        at = data.find(word)
        while at >= 0:
            assigned = _ASSIGNED.match(data, data.rfind(b"\n", 0, at) + 1)
            if assigned is None or assigned.end() > at:
                assigned = _DEFINED.match(data, data.rfind(b"def ", 0, at))
            if assigned is not None:
                found.add(assigned[1].decode("ascii", "replace"))
            at = data.find(word, at + 1)
    return found


def elsewhere(attr: str) -> list[Code]:
    """The code of projects and packages in which something like ``attr = …`` asks for the system."""
    for file in _loaded().keys() - _looked if len(_looked) < _MANY else ():
        _looked.add(file)
        if file.endswith(".py") and whose(file) in (LIBRARY, PROJECT):
            for name in _asking(file):
                _elsewhere.setdefault(name, []).append(file)
    return [code for file in _elsewhere.get(attr, ()) if (code := parsed(file)) is not None]
