"""Which bind, listen or connect fails, with which error, when sockets share a local port, on which OS and version?"""

from __future__ import annotations

TYPE_CHECKING = False  # of typing, which every run would import
if TYPE_CHECKING:
    from . import endings as endings
    from . import ports as ports
    from .guard import GuardError as GuardError
    from .guard import UnknownRule as UnknownRule
    from .live import NotRun as NotRun
    from .requirement import RuleNotHonoured as RuleNotHonoured
    from .requirement import RuleNotTried as RuleNotTried
    from .requirement import require as require
    from .version import __version__ as __version__

_PUBLIC = {  # name -> the module that has it, or is it; docs/api.md says what each is for
    "GuardError": "guard",
    "NotRun": "live",
    "RuleNotHonoured": "requirement",
    "RuleNotTried": "requirement",
    "UnknownRule": "guard",
    "__version__": "version",
    "endings": "endings",
    "ports": "ports",
    "require": "requirement",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> object:
    """What applications use is imported when it is asked for: pytest loads this package in every run."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f".{_PUBLIC[name]}", __name__)
    return module if name == _PUBLIC[name] else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
