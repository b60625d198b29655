"""Which bind, listen or connect fails, with which error, when sockets share a local port, on which OS and version?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .guard import GuardError as GuardError
    from .guard import RuleNotHonoured as RuleNotHonoured
    from .guard import RuleNotTried as RuleNotTried
    from .guard import UnknownRule as UnknownRule
    from .guard import require as require

__version__ = "0.1.0"

_PUBLIC = dict.fromkeys(("GuardError", "RuleNotHonoured", "RuleNotTried", "UnknownRule", "require"), "guard")


def __getattr__(name: str) -> object:
    """What applications use is imported when it is asked for: pytest loads this package in every run."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
