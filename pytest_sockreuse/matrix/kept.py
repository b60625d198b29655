"""What the models say of the whole suite, kept as data in ``conformance/predictions``.

A file for each stack: a header, tables, a line for each case; `sockreuse results predict` makes them. Versions of a
stack that agree on the clauses that were asked for have one prediction, so it serves versions that nobody has listed
too. What is kept is not believed blindly: a case whose scenarios have changed since, and all of them if the model has,
are predicted anew when they are asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .. import output, settings
from ..data import DataError
from ..model import clauses, families, not_modelled, predict_asking
from ..model.prediction import outcome_text
from ..platforms import CONFORMANCE, Platform, Span
from ..scenario import Scenario, Setting
from ..suite import Case, Suite, Variant
from .shape import ordered
from .table import UNKNOWN, Outcome

FORMAT = 1
REMEDY = "make it anew by `sockreuse results predict`"


class Predicted(NamedTuple):
    """What a model says of a variant, step by step: outcomes, the clauses that decide, why one is not known."""

    outcome: Outcome
    clauses: tuple[str, ...] = ()
    why: str = ""
    not_run: bool = False


NONE = Predicted(())
#: Where the clauses asked for that not all versions have are in force just so, a prediction.
Entry = tuple[frozenset[str], frozenset[str], Predicted]


@cache
def model(stack: str) -> str:
    """A hash of everything that a prediction for a stack depends on but the scenario: its model, not the others'."""
    package = Path(__file__).parent.parent
    paths = [package / "settings.py", package / "options.py", *sorted(package.glob("model/*.py"))]
    for folder in sorted(_folders(package / "model", families()[stack].__name__.split(".")[2])):
        paths += sorted(package.glob(f"model/{folder}/*.py"))
    paths += [CONFORMANCE / "settings.toml", CONFORMANCE / "options.toml"]
    return hashlib.sha256(b"\0".join(path.read_bytes().replace(b"\r\n", b"\n") for path in paths)).hexdigest()[:12]


def _folders(package: Path, folder: str) -> set[str]:
    """The folder of a family, and those of the families that its model stands on."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (package / folder).glob("*.py"))
    names = re.findall(r"^from \.\.(\w+)", sources, re.MULTILINE)
    return {folder}.union(*(_folders(package, name) for name in set(names) if (package / name).is_dir()))


def content(variants: Iterable[Variant]) -> str:
    """A hash of all scenarios of a case."""
    return hashlib.sha256("".join(variant.content for variant in variants).encode()).hexdigest()[:12]


class Stack:
    """The predictions of one stack: kept, or made when they are asked for."""

    def __init__(self, name: str, suite: Suite, folder: Path) -> None:
        self.name, self.suite = name, suite
        book = families()[name].BOOK.clauses
        self.varying = frozenset(name for name, clause in book.items() if clause.span != Span())
        self.entries: list[tuple[Entry, ...]] = [()] * len(suite.variants)  # by row
        self.anew = 0  # cases that are not kept as they are now
        self.set: dict[tuple[Setting, ...], list[int]] = {}  # the rows whose scenarios set something, by that
        for row, variant in enumerate(suite.variants):
            if variant.scenario.environment:
                self.set.setdefault(variant.scenario.environment, []).append(row)
        path = folder / f"{name}.jsonl"
        kept = _read(path) if path.exists() else {}
        row = 0
        for case in _cases(suite):
            entries = kept.get(f"{case.rule}/{case.id} {content(case.variants)}")
            if entries is not None and len(entries) == len(case.variants):
                self.entries[row : row + len(entries)] = entries
            else:
                self.anew += 1
            row += len(case.variants)

    def column(self, platform: Platform) -> list[Predicted]:
        """What is predicted of each variant."""
        if why := not_modelled(platform):
            return [Predicted((), (), why)] * len(self.entries)
        on = self.varying.intersection(clause.name for clause in clauses(platform))
        holds: dict[int, Predicted | None] = {}  # by the entries of a row, which many share
        for entries in self.entries:
            if id(entries) not in holds:
                holds[id(entries)] = next((said for asked, held, said in entries if asked & on == held), None)
        found = [holds[id(entries)] for entries in self.entries]
        for rows in self.set.values():
            if unasked := _unasked(self.suite.variants[rows[0]].scenario, platform):
                for row in rows:
                    found[row] = unasked
        return [said or self._predict(row, platform, on) for row, said in enumerate(found)]

    def _predict(self, row: int, platform: Platform, on: frozenset[str]) -> Predicted:
        prediction, asked = predict_asking(self.suite.variants[row].scenario, platform)
        said = Predicted(
            tuple(UNKNOWN if step.unknown else ordered(outcome_text(step)) for step in prediction.steps),
            tuple(step.clause for step in prediction.steps),
            prediction.unknown,
        )
        asked &= self.varying
        self.entries[row] = (*self.entries[row], (frozenset(asked), on & asked, said))
        return said

    def text(self) -> str:
        """All that is known by now, as a file keeps it."""
        steps, conditions, predictions, answers = _Table(), _Table(), _Table(), _Table()
        lines: list[dict[str, Any]] = []
        row = 0
        for case in _cases(self.suite):
            numbers = []
            for entries in self.entries[row : row + len(case.variants)]:
                pairs = []
                for asked, held, said in entries:
                    parts = zip(said.outcome, said.clauses, strict=True)
                    these = [
                        steps.number([text, clause, said.why if text == UNKNOWN else ""]) for text, clause in parts
                    ]
                    pairs.append([conditions.number([sorted(asked), sorted(held)]), predictions.number(these)])
                numbers.append(answers.number(sorted(pairs)))
            runs = [[number, len(list(group))] for number, group in itertools.groupby(numbers)]
            lines.append({"case": f"{case.rule}/{case.id}", "content": content(case.variants), "answers": runs})
            row += len(case.variants)
        header = {"sockreuse_predictions": FORMAT, "stack": self.name, "model": model(self.name)}
        tables = {"steps": steps, "conditions": conditions, "predictions": predictions, "answers": answers}
        head = [header, *({name: table.values} for name, table in tables.items())]
        return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [*head, *lines])


def keep(suite: Suite, platforms: Iterable[Platform], folder: Path) -> Iterator[str]:
    """Predict the suite for these platforms, where they are modelled and it is not kept, and keep it. Raises OSError.

    Yields a line for each stack.
    """
    folder.mkdir(exist_ok=True)
    platforms = list(platforms)
    stacks = {platform.stack for platform in platforms}
    for name in filter(stacks.__contains__, families()):
        stack = Stack(name, suite, folder)
        for platform in platforms:
            if platform.stack == name:
                stack.column(platform)
        output.write(folder / f"{name}.jsonl", stack.text())
        yield f"{folder.name}/{name}.jsonl: {stack.anew} cases predicted anew"


class _Table:
    """Values by number, each once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        number = self._numbers.setdefault(json.dumps(value), len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


def _unasked(scenario: Scenario, platform: Platform) -> Predicted | None:
    """What is said where no machine is asked, because of a setting."""
    not_run = settings.missing(scenario, platform)
    why = not_run or settings.uncovered(scenario, platform)
    return Predicted((), (), why, bool(not_run)) if why else None


def _cases(suite: Suite) -> Iterator[Case]:
    return (case for rule in suite.rules.values() for case in rule.cases)


def _read(path: Path) -> dict[str, list[tuple[Entry, ...]]]:
    """The entries of each case's variants, by its id and content; none if its model is another. Raises DataError."""
    try:
        with open(path, encoding="utf-8") as file:
            header = json.loads(next(file))
            if header != {"sockreuse_predictions": FORMAT, "stack": path.stem, "model": model(path.stem)}:
                return {}
            tables = {key: value for _ in range(4) for key, value in json.loads(next(file)).items()}
            parts = [[tables["steps"][number] for number in numbers] for numbers in tables["predictions"]]
            said = [
                Predicted(tuple(text for text, *_ in steps), tuple(clause for _, clause, _ in steps), _why(steps))
                for steps in parts
            ]
            when = [(frozenset(asked), frozenset(held)) for asked, held in tables["conditions"]]
            answers = [tuple((*when[c], said[p]) for c, p in pairs) for pairs in tables["answers"]]
            found = {}
            for line in map(json.loads, file):
                rows = [answers[number] for number, count in line["answers"] for _ in range(count)]
                found[f"{line['case']} {line['content']}"] = rows
            return found
    except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        raise DataError(f"{path.name}: damaged ({type(error).__name__}); {REMEDY}") from None


def _why(steps: Iterable[list[str]]) -> str:
    return next((why for *_, why in steps if why), "")
