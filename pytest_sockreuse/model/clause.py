"""Clauses: what decides a call on a stack, each with its sentence, its source and the versions in which it holds.

Code asks for a clause by the object itself, ``NAME in m.on``, and a failure carries it, so that no name can be
misspelled.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..dataclass import dataclass
from ..platforms import Platform, Span


class ModelError(ValueError):
    """A scenario that the model refuses, for its size; the message is one line."""


class Unknown(Exception):
    """What happens here is not covered by the model; the message says what it does not know."""


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """What several systems may have: a name and one sentence. Each system's book says where it is from and when."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class Clause(Declared):
    """A clause in a book: where it is written or was seen, how sure we are, and in which versions it holds."""

    source: str
    confidence: str = "measured"  # or source, documented, inferred
    span: Span = Span()


PLAIN = Declared("nothing-against", "No clause stands against the call.")  # of a step that no clause decided


class Errno(Exception):
    """A call that fails: the errno's name and the clause that decided."""

    def __init__(self, name: str, clause: Declared) -> None:
        self.name, self.clause = name, clause


class TimeUp(Exception):
    """A call that blocks until the scenario's own time is over; carries the clause that decided."""

    def __init__(self, clause: Declared) -> None:
        super().__init__(clause)
        self.clause = clause


class Book:
    """The clauses of one family, or of a part of it, in the order in which its files declare them."""

    def __init__(self, *parts: Book) -> None:
        self.clauses: dict[str, Clause] = {}
        self.declared: dict[str, Declared] = {}  # by name, what the code asks for
        for part in parts:
            self.add(part)

    def __call__(
        self,
        name: str,
        sentence: str,
        source: str,
        confidence: str = "measured",
        since: tuple[str, ...] = (),
        until: tuple[str, ...] = (),
    ) -> Clause:
        """Enter a clause and return it."""
        clause = Clause(name, sentence, source, confidence, Span(since, until))
        self._enter(clause, clause)
        return clause

    def has(
        self,
        declared: Declared,
        source: str,
        confidence: str = "measured",
        since: tuple[str, ...] = (),
        until: tuple[str, ...] = (),
    ) -> None:
        """Enter what was declared for several systems."""
        clause = Clause(declared.name, declared.sentence, source, confidence, Span(since, until))
        self._enter(declared, clause)

    def _enter(self, declared: Declared, clause: Clause) -> None:
        assert clause.name not in self.clauses, clause.name
        self.clauses[clause.name], self.declared[clause.name] = clause, declared

    def add(self, part: Book) -> None:
        """Take over the clauses of a part."""
        for name, clause in part.clauses.items():
            self._enter(part.declared[name], clause)

    def on(self, platform: Platform) -> frozenset[Declared]:
        """The clauses that hold on `platform`, as code asks for them."""
        return frozenset(self.declared[name] for name, c in self.clauses.items() if platform.version in c.span)

    def called(self, names: Iterable[str]) -> frozenset[Declared]:
        """The clauses of these names, as code asks for them. Raises KeyError."""
        return frozenset(self.declared[name] for name in names)
