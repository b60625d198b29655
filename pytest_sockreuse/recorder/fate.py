"""Where an error ends."""

from __future__ import annotations

from ..dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Fate:
    """Where an error ends: with a handler at `line` of `file`, after which the code goes on; None where nobody has one.

    `quiet`: the handler does nothing but go on. `asked`: on the way somebody asks which error it is.
    """

    handler: tuple[str, int] | None = None
    quiet: bool = False
    asked: bool = False


NOBODY = Fate()
