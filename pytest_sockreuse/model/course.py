"""Where the OS may choose: the ways of one step, one after another."""

from __future__ import annotations


class Course:
    """The choices of one execution: those given are repeated, those beyond take the first way."""

    __slots__ = ("trail", "at")

    def __init__(self) -> None:
        self.trail: list[list[int]] = []  # [chosen, of how many]
        self.at = 0

    def choose(self, ways: int) -> int:
        """One of `ways` numbers from 0."""
        if self.at == len(self.trail):
            self.trail.append([0, ways])
        self.at += 1
        return self.trail[self.at - 1][0]

    def next(self) -> bool:
        """Turn to the next execution; False if there is none."""
        trail = self.trail
        del trail[self.at :]
        while trail and trail[-1][0] + 1 == trail[-1][1]:
            trail.pop()
        self.at = 0
        if trail:
            trail[-1][0] += 1
        return bool(trail)
