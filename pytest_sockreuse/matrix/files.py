"""Results files of strangers, taken in as numbers: bounded, and of this suite, or refused by name."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

from ..dataclass import dataclass
from ..platforms import Platform, PlatformError, named, registry, version
from ..report.results import Line, Results, ResultsError, read_lines
from ..suite import Suite
from ..text import visible
from ..verdict import VERDICTS
from .shape import Shape
from .table import LeftOut, Run

MOST_RUNS = 500
MOST_FACTS, LONGEST_FACT = 100, 1000  # of a header, and its characters
SHOWN_FACT, SHOWN_REASON = 200, 500  # characters that go on

MISSING, STALE = 0, 1  # the numbers of no answer, and of one to another scenario

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,60}")
_OWN = ("sockreuse", "platform", "suite", "selected", "knobs")  # of a header, what is no fact of the run


class Answer(NamedTuple):
    """What a run said of a variant; the same for many."""

    verdict: str
    outcome: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass
class Taken:
    """A run that was taken in: the number of its answer by row."""

    platform: Platform
    run: Run
    rows: array[int]


@dataclass
class Intake:
    """The runs that were taken in, the answers by number, and what was refused."""

    suite: Suite
    shapes: list[Shape]  # by row
    runs: list[Taken] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=lambda: [Answer("missing"), Answer("stale")])
    refused: list[LeftOut] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = {answer: number for number, answer in enumerate(self.answers)}
        self.contents = [variant.content for variant in self.suite.variants]
        self._rows = {variant.id: row for row, variant in enumerate(self.suite.variants)}

    def take(self, path: Path) -> None:
        """Take in every run of a file, or refuse all of it."""
        name = visible(path, 1000)
        found: list[Taken] = []
        rows = self._no_rows()
        try:
            for results, line in read_lines(path, self.suite):
                if line is not None:
                    self._take(line, results, rows)
                else:
                    found.append(self._run(results, path.name, rows))
                    rows = self._no_rows()
            if len(self.runs) + len(found) > MOST_RUNS:
                raise ResultsError(f"{name}: more than {MOST_RUNS} runs in all; leave out some")
        except ResultsError as error:
            self.refused.append(_left_out(name, str(error)))
        else:
            self.runs += found

    def _no_rows(self) -> array[int]:
        return array("I", [MISSING]) * len(self.suite.variants)

    def _take(self, line: Line, results: Results, rows: array[int]) -> None:
        """Note what a line says in the rows of those of its variants that were asked what this suite asks."""
        numbers: dict[int, int] = {}  # of what the line says, by the shape of who is asked
        for id_, content in zip(line.ids, line.contents, strict=True):
            row = self._rows.get(id_)
            if row is None or content != self.contents[row]:
                if results.about["suite"] == self.suite.version:
                    what = f"it is not of the suite {self.suite.version} that it names: {id_}"
                    raise ResultsError(f"{line.at}: {what}; make it anew")
                if row is not None:
                    rows[row] = STALE
                continue
            of = self.shapes[row]
            number = numbers.get(id(of))
            if number is None:
                number = numbers[id(of)] = self._number(line, id_, of)
            rows[row] = number

    def _number(self, line: Line, id_: str, of: Shape) -> int:
        if lost := line.outcome.keys() - {call.label for call in of.calls}:
            raise ResultsError(f"{line.at}: {id_}: its scenario has no step {visible(min(lost))}; make it anew")
        answer = Answer(line.verdict, tuple(line.outcome.items()), line.reason[:SHOWN_REASON])
        number = self._numbers.setdefault(answer, len(self.answers))
        if number == len(self.answers):
            self.answers.append(answer)
        return number

    def _run(self, results: Results, file: str, rows: array[int]) -> Taken:
        platform, (facts, knobs) = _platform(results), _facts(results)
        count = Counter[str]()
        for number, times in Counter(rows).items():
            count[self.answers[number].verdict] += times
        if not any(count[verdict] for verdict in VERDICTS):
            remedy = "run the suite of this version there"
            raise ResultsError(f"{results.at}: it was asked no scenario of this suite, {self.suite.version}; {remedy}")
        asked = sum(count[verdict] for verdict in ("match", "mismatch", "unknown"))
        counts = asked, count["unsupported"], count["stale"], count["missing"]
        taken = Taken(platform, Run(visible(file, SHOWN_FACT), results.about["suite"], facts, knobs, *counts), rows)
        self._once(taken)
        return taken

    def _once(self, taken: Taken) -> None:
        for other in self.runs:
            if (other.platform, other.run.facts, other.rows) == (taken.platform, taken.run.facts, taken.rows):
                raise ResultsError(f"the same run as in {other.run.file}; name one of the two")


def _left_out(name: str, error: str) -> LeftOut:
    """An error that names a file and, if it is of one, a line: taken apart."""
    text = error.removeprefix(f"{name}:").strip()
    line, colon, why = text.partition(": ")
    return LeftOut(name, int(line), why) if colon and line.isdecimal() else LeftOut(name, 0, text)


def _platform(results: Results) -> Platform:
    """The platform of a run, which may be of a system that we have not heard of."""
    name = results.about["platform"]
    stack, _, label = name.partition("-")
    try:
        return named(name)
    except PlatformError as error:
        if stack in registry() or not label[0].isdigit():
            raise ResultsError(f"{results.at}: {error}") from None
    return Platform(stack, version(label), label)


def _facts(results: Results) -> tuple[dict[str, str], dict[str, str]]:
    """What a header says of its run, and the settings that were on; each cut to a length that can be shown."""
    facts: dict[str, Any] = {}
    for key, value in results.about.items():
        if key not in _OWN:
            facts |= {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
    knobs = results.about.get("knobs", {})
    for table in (facts, knobs):
        wrong = [key for key, value in table.items() if not _NAME.fullmatch(key) or not _is_fact(value)]
        if wrong or len(table) > MOST_FACTS:
            what = f"'{visible(wrong[0])}'" if wrong else f"more than {MOST_FACTS} facts"
            form = f"a name and a text of at most {LONGEST_FACT} characters"
            raise ResultsError(f"{results.at}: {what} in the header; a fact of a run is {form}")
    return _shown(facts), _shown(knobs)


def _is_fact(value: Any) -> bool:
    return (isinstance(value, str) and len(value) <= LONGEST_FACT) or (isinstance(value, int) and abs(value) < 10**15)


def _shown(table: Mapping[str, Any]) -> dict[str, str]:
    return {key: visible(value, SHOWN_FACT) for key, value in table.items() if value != ""}
