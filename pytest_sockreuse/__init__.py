"""Which bind, listen or connect fails, with which error, when sockets share a local port, on which OS and version?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .guard import GuardError as GuardError
    from .guard import UnknownRule as UnknownRule
    from .requirement import RuleNotHonoured as RuleNotHonoured
    from .requirement import RuleNotTried as RuleNotTried
    from .requirement import require as require
    from .version import __version__ as __version__

_PUBLIC = {  # name -> the module that has it
    "GuardError": "guard",
    "RuleNotHonoured": "requirement",
    "RuleNotTried": "requirement",
    "UnknownRule": "guard",
    "__version__": "version",
    "require": "requirement",
}


def __getattr__(name: str) -> object:
    """What applications use is imported when it is asked for: pytest loads this package in every run."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
