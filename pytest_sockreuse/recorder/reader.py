"""What the code around a call says: the door to the modules that read it, which are loaded when the first one asks.

Few tests need them, and the trees of code are so many objects that each collection of garbage takes longer by a half.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .fate import Fate
from .locations import Place

if TYPE_CHECKING:
    from .conditions import Verdict

_PATIENCE = 10  # tests without a question, after which code is forgotten; twice as many each time


def reading(trail: tuple[Place, ...], here: str, there: str) -> Verdict:
    """What becomes of the call at the end of `trail` (innermost first) on the stack `there`, seen on `here`."""
    from .conditions import reading

    return reading(trail, here, there)


def names(trail: tuple[Place, ...], name: str) -> bool:
    """Whether the code of a trail has this name from Python's socket module."""
    from .conditions import names

    return names(trail, name)


def names_number(trail: tuple[Place, ...], number: int) -> bool:
    """Whether the code of a trail gives a call this number, by a name that it has for it."""
    from .conditions import names_number

    return names_number(trail, number)


def fate(trail: tuple[Place, ...], error: str, lasts: bool = True) -> Fate:
    """What becomes of `error`, raised at the end of `trail`; `lasts`: who tries again meets it again."""
    from .failures import fate

    return fate(trail, error, lasts)


class Memory:
    """How long ago somebody asked for code."""

    def __init__(self) -> None:
        self.asked = 0
        self.tests = 0
        self.patience = _PATIENCE

    def test_is_over(self) -> None:
        """Let go of all code if none was asked for in the last tests."""
        if f"{__package__}.syntax" not in sys.modules:
            return
        from . import syntax

        asked = syntax.asked()
        self.tests = self.tests + 1 if asked == self.asked else 0
        if self.tests == self.patience:
            self.patience *= 2
            syntax.forget()
            asked = syntax.asked()
        self.asked = asked
