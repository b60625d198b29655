"""The suite: rules, cases, their variants, and what each platform is stated to do. `loader` reads it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from .data import DataError
from .dataclass import dataclass
from .parser import MAX_TEXT, parse
from .platforms import Platform, Span, known, registry
from .scenario import Scenario, ScenarioError
from .verdict import Outcome

_WORD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Source:
    """A place in a data file, for messages."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}"


@dataclass(frozen=True, slots=True)
class Table:
    """A vector of expectations: rows and columns of axis values, each cell the name of an outcome."""

    rows: tuple[str, ...]  # axes
    column: str  # axis
    cells: Mapping[tuple[str, ...], str]  # row values, then the column value

    def cell(self, values: Mapping[str, str]) -> str:
        key = tuple(values[axis] for axis in self.rows)
        return self.cells.get((*key, values[self.column]), "?")


@dataclass(frozen=True, slots=True)
class Statement:
    """What the platforms `on`, in the versions of `span`, do in the variants of `where`; how we know."""

    on: tuple[str, ...]
    span: Span
    where: Mapping[str, tuple[str, ...]]
    outcome: Outcome | Table
    basis: str
    evidence: tuple[str, ...]
    note: str
    at: Source

    def covers(self, values: Mapping[str, str]) -> bool:
        """Whether it speaks of the variant with these axis values."""
        if any(values[axis] not in wanted for axis, wanted in self.where.items()):
            return False
        return not isinstance(self.outcome, Table) or self.outcome.cell(values) != "?"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A statement as it bears on one variant: the outcome, the basis, the sources."""

    outcome: Outcome
    basis: str
    evidence: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of one of the documents."""

    id: str
    document: str
    text: str


@dataclass(frozen=True)
class Case:
    """A question to an OS, asked once for each combination of its axes' values."""

    id: str
    rule: str
    title: str
    why: str
    fact: str
    claims: Mapping[str, Outcome]
    axes: Mapping[str, Mapping[str, Mapping[str, str]]]
    scenario: str
    cells: Mapping[str, Outcome]
    statements: tuple[Statement, ...]
    at: Source
    scenario_at: Source

    @cached_property
    def variants(self) -> list[Variant]:
        return [Variant(self, values) for values in itertools.product(*self.axes.values())]

    def stated(self, platform: Platform) -> list[Statement]:
        """What is stated of a platform, for whichever variants."""
        if platform not in self._stated:
            self._stated[platform] = [
                s for s in self.statements if platform.stack in s.on and platform.version in s.span
            ]
        return self._stated[platform]

    @cached_property
    def _stated(self) -> dict[Platform, list[Statement]]:
        return {}

    @property
    def claimed(self) -> Outcome | None:
        """The outcome that makes its claims true, if it has claims and they agree on one."""
        outcomes = list(self.claims.values())
        return outcomes[0] if outcomes and all(outcome == outcomes[0] for outcome in outcomes) else None


@dataclass(frozen=True)
class Variant:
    """One scenario of a case. `values` are its axis values, in the order of the axes."""

    case: Case
    values: tuple[str, ...]

    @cached_property
    def id(self) -> str:
        """Such as ``order-dependence/outgoing-after-listener[ip4]``."""
        return f"{self.case.rule}/{self.name}"

    @cached_property
    def name(self) -> str:
        return f"{self.case.id}[{'-'.join(self.values)}]" if self.values else self.case.id

    @cached_property
    def named_values(self) -> dict[str, str]:
        return dict(zip(self.case.axes, self.values, strict=True))

    @property
    def words(self) -> dict[str, str]:
        """What the words in braces stand for."""
        words: dict[str, str] = {}
        for axis, value in self.named_values.items():
            words[axis] = value
            words.update(self.case.axes[axis][value])
        return words

    @cached_property
    def text(self) -> str:
        """The scenario with the axis values put in; a value may itself name others. Raises DataError."""
        words, text = self.words, self.case.scenario
        for _ in range(4):
            if "{" not in text:
                break
            parts = _WORD.split(text)  # a word is every second
            parts[1::2] = [words.get(word, f"{{{word}}}") for word in parts[1::2]]
            if sum(map(len, parts)) > MAX_TEXT:
                raise DataError(f"{self.case.scenario_at}: {self.name}: words in braces that name words grow too long")
            text = "".join(parts)
        return text

    @cached_property
    def scenario(self) -> Scenario:
        """The parsed scenario. Raises DataError, with the line in the rule's file where the case has no axes."""
        at = self.case.scenario_at
        if unknown := [word for word in _WORD.findall(self.text) if word not in self.words]:
            line = at.line + self.case.scenario.partition(f"{{{unknown[0]}}}")[0].count("\n") + 1
            there = ", ".join(f"{{{word}}}" for word in sorted(self.words)) or "none; axes bring them"
            raise DataError(f"{at.file.name}:{line}: {self.name}: no word {{{unknown[0]}}} here (there are {there})")
        try:
            scenario = parse(self.text)
        except ScenarioError as error:
            line = at.line + (0 if self.values else error.line)
            where = f"line {error.line}, column {error.column} of the scenario"
            raise DataError(f"{at.file.name}:{line}: {self.name}: {where}: {error.expected}") from None
        if scenario.title is not None:
            raise DataError(f"{at}: {self.name}: a case is one scenario, without a line '--- TITLE'")
        return scenario

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels that its outcomes carry, in order."""
        return tuple(step.label for step in self.scenario.steps if step.label)

    @cached_property
    def content(self) -> str:
        """A hash of what is asked: results of another scenario under the same name are not mistaken for this one's."""
        return _hash(str(self.scenario))

    def expected(self, platform: Platform) -> Expectation | None:
        """What `platform` is stated to do, or None where nothing is known."""
        for statement in self.case.stated(platform):
            if statement.covers(self.named_values):
                outcome = statement.outcome
                if isinstance(outcome, Table):
                    outcome = self.case.cells[outcome.cell(self.named_values)]
                return Expectation(outcome, statement.basis, statement.evidence, statement.note)
        return None


def _hash(text: str) -> str:
    import hashlib  # and OpenSSL with it, which a guard does not need

    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Rule:
    """One question of the documents, or beyond them, and its cases."""

    id: str
    title: str
    about: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Guard:
    """A behaviour that an application may stand on: the variants that try it, the outcome that honours it."""

    id: str
    aliases: tuple[str, ...]
    text: str
    instead: str  # what to do where it does not hold
    outcome: Outcome
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Suite:
    """Everything in `conformance/` but results."""

    rules: Mapping[str, Rule]
    claims: Mapping[str, Claim]
    evidence: Mapping[str, Mapping[str, str]]
    guards: Mapping[str, Guard]

    @cached_property
    def variants(self) -> list[Variant]:
        return [variant for rule in self.rules.values() for case in rule.cases for variant in case.variants]

    @cached_property
    def by_id(self) -> dict[str, Variant]:
        return {variant.id: variant for variant in self.variants}

    @cached_property
    def version(self) -> str:
        """A hash of all questions."""
        return _hash("".join(f"{v.id} {v.text}" for v in self.variants))


def behaves_like(variant: Variant, matches: Any) -> Iterator[str]:
    """The known platforms whose stated outcome satisfies `matches(outcome)`, as ranges for a reader."""
    expected = ((platform, variant.expected(platform)) for platform in known())
    return ranges((platform, entry is not None and matches(entry.outcome)) for platform, entry in expected)


def ranges(platforms: Iterable[tuple[Platform, bool]]) -> Iterator[str]:
    """Those of the platforms, oldest first, of which it is true: ``Linux``, ``Windows server-2016 to server-2025``."""
    by_stack: dict[str, list[tuple[str, bool]]] = {}
    for platform, true in platforms:
        by_stack.setdefault(platform.stack, []).append((platform.label, true))
    for stack, labels in by_stack.items():
        title = registry()[stack]["title"]
        for same, group in itertools.groupby(labels, key=lambda entry: entry[1]):
            if same:
                names = [label for label, _ in group]
                if len(names) == len(labels):
                    yield title
                else:
                    yield f"{title} {names[0]}" if len(names) == 1 else f"{title} {names[0]} to {names[-1]}"
