"""Where an error ends."""

from __future__ import annotations

from ..dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Fate:
    """Where an error ends: with a handler at `line` of `file`, after which the code goes on; None where nobody has one.

    `quiet`: the handler does nothing but go on. `asked`: what is answered to those who ask on the way which error it
    is, None where that is not known.
    """

    handler: tuple[str, int] | None = None
    quiet: bool = False
    asked: tuple[bool | None, ...] = ()
    told: bool = False  # to whoever waits for a future, which the trail does not show

    def is_as(self, other: Fate) -> bool:
        """Whether the code does the same with another error."""
        return (self.handler, self.asked) == (other.handler, other.asked) and None not in self.asked


NOBODY = Fate()
