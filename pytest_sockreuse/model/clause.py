"""Clauses: the named rules of a stack, each with its sentence, its source and the versions in which it holds."""

from __future__ import annotations

from dataclasses import dataclass

from ..platforms import Platform, Span


class ModelError(ValueError):
    """A scenario that the model refuses, for its size; the message is one line."""


class Unknown(Exception):
    """What happens here is not covered by the model; the message says what it does not know."""


class Errno(Exception):
    """A call that fails: the errno's name and the clause that decided."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(name, rule)
        self.name, self.rule = name, rule


class TimeUp(Exception):
    """A call that blocks until the scenario's own time is over; carries the clause that decided."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A rule: its name, one sentence, where it is written or was seen, how sure we are, and when it holds."""

    name: str
    sentence: str
    source: str
    confidence: str = "measured"  # or source, documented, inferred
    span: Span = Span()  # noqa: RUF009 frozen


class Book:
    """The clauses of one family, in the order in which its files declare them."""

    def __init__(self) -> None:
        self.clauses: dict[str, Clause] = {}

    def __call__(
        self,
        name: str,
        sentence: str,
        source: str,
        confidence: str = "measured",
        since: tuple[str, ...] = (),
        until: tuple[str, ...] = (),
    ) -> str:
        """Enter a clause; returns its name, which the code asks for by ``NAME in on``."""
        assert name not in self.clauses, name
        self.clauses[name] = Clause(name, sentence, source, confidence, Span(since, until))
        return name

    def on(self, platform: Platform) -> frozenset[str]:
        """The names of the clauses that hold on `platform`."""
        return frozenset(name for name, clause in self.clauses.items() if platform.version in clause.span)
