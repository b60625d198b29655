"""Random scenarios without end, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from .grammar import SIZE, scenario_text


def texts(seed: int, users: bool, stack: str = "linux") -> Iterator[str]:
    """Scenarios as text, with settings of `stack`; with `users`, of other users too."""
    chance = Random(seed)
    while True:
        yield scenario_text(chance.randbytes(SIZE), users, stack)
