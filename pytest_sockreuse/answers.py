"""One scenario on every modelled platform, as data for whoever draws it: the playground, which runs this in a browser.

Platforms that do the same stand together, versions folded to ranges; of each line of the text it says what its calls
come to in each group, and which clauses decide them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from .model import Clause, ModelError, Prediction, families, predictions
from .parser import decode, parse
from .platforms import Platform, known, registry
from .report.predictions import unnamed
from .report.python import program
from .report.ranges import folded
from .scenario import Scenario, ScenarioError

MAX_TEXT = 50_000  # characters
MAX_STEPS = 1_000


@cache
def platforms() -> tuple[Platform, ...]:
    """Every platform that is modelled, stack by stack, oldest first."""
    return tuple(platform for platform in known() if platform.stack in families())


def answer(text: str) -> dict[str, Any]:
    """What every modelled platform does with the scenario of a text.

    Returns:
        ``error``, if the text is none: its line, column and what was expected there; then the rest is about the lines
        above. ``lines``: a dictionary for each line with calls. ``groups``: platforms that do the same. ``differ``: the
        number of the first of the lines in which groups differ, or -1. ``clauses``: those that decide, by number.
        ``refused``: why there is no answer, instead of all others.
    """
    found: dict[str, Any] = {}
    try:
        scenario = _scenario(text)
    except ScenarioError as error:
        found["error"] = _mistake(error)
        scenario = _scenario("\n".join(text.split("\n")[: error.line - 1]))
    if len(scenario.steps) > MAX_STEPS:
        return found | {"refused": f"{len(scenario.steps)} steps are more than the {MAX_STEPS} that fit on this page"}
    try:
        predicted = list(predictions(scenario, platforms()))
    except ModelError as error:
        return found | {"refused": str(error)}
    return found | _Answer(scenario, predicted).to_json()


def python(text: str) -> dict[str, Any]:
    """The scenario of a text as a Python program: ``python``, or ``error`` as in an answer."""
    try:
        return {"python": program(_scenario(text))}
    except ScenarioError as error:
        return {"error": _mistake(error)}


def _mistake(error: ScenarioError) -> dict[str, Any]:
    return {"line": error.line, "column": error.column, "expected": error.expected}


def _scenario(text: str) -> Scenario:
    """Raises ScenarioError."""
    if len(text) > MAX_TEXT:
        raise ScenarioError(1, 1, f"expected at most {MAX_TEXT} characters")
    return parse(decode(text.encode("utf-8", "replace")))


class _Answer:
    """Groups of platforms by what they do, and lines by what their steps come to.

    What versions share is worked out once: a prediction's steps are one object for all that agree.
    """

    def __init__(self, scenario: Scenario, predicted: Sequence[Prediction]) -> None:
        self.steps = [step for step in scenario.steps if step.label]
        self.does = dict(zip(platforms(), predicted, strict=True))
        self.clauses: dict[tuple[str, str], int] = {}
        texts: dict[int, tuple[str, ...]] = {}
        self.groups: dict[tuple[str, ...], list[Platform]] = {}
        for platform, one in self.does.items():
            if id(one.steps) not in texts:
                texts[id(one.steps)] = tuple(one.texts)
            self.groups.setdefault(texts[id(one.steps)], []).append(platform)

    def to_json(self) -> dict[str, Any]:
        lines = [
            self._line(line, [number for number, _ in group])
            for line, group in groupby(enumerate(self.steps), key=lambda numbered: numbered[1].line)
        ]
        differ = next((at for at, line in enumerate(lines) if len(set(line["says"])) > 1), -1)
        groups = [{"who": self._who(members), "known": self._known(members[0])} for members in self.groups.values()]
        return {"lines": lines, "groups": groups, "differ": differ, "clauses": [_clause(*key) for key in self.clauses]}

    def _line(self, line: int, steps: Sequence[int]) -> dict[str, Any]:
        return {
            "line": line,
            "labels": [self.steps[step].label for step in steps],
            "says": [_summary([texts[step] for step in steps]) for texts in self.groups],
            "why": [list(self._why(steps, members)) for members in self.groups.values()],
        }

    def _known(self, platform: Platform) -> bool:
        return not self.does[platform].unknown

    def _why(self, steps: Sequence[int], members: Sequence[Platform]) -> Iterator[list[Any]]:
        """Of each system in a group: which versions, the number of a clause, the sockets that it sets against; or
        which versions, -1, why nothing is known."""
        for stack, group in groupby(members, key=lambda platform: platform.stack):
            reasons: dict[tuple[int, str], set[Platform]] = {}
            found: dict[int, list[tuple[int, str]]] = {}
            for platform in group:
                same = id(self.does[platform].steps)
                if same not in found:
                    found[same] = self._reasons(platform, steps)
                for reason in found[same]:
                    reasons.setdefault(reason, set()).add(platform)
            for reason, which in reasons.items():
                yield [self._ranges(stack, which), *reason]

    def _reasons(self, platform: Platform, steps: Sequence[int]) -> list[tuple[int, str]]:
        against: dict[int, dict[str, None]] = {}
        for step in (self.does[platform].steps[number] for number in steps):
            if step.unknown:
                return [(-1, unnamed(self.does[platform].not_run or step.unknown))]
            if step.clause in families()[platform.stack].BOOK.clauses:
                number = self.clauses.setdefault((platform.stack, step.clause), len(self.clauses))
                against.setdefault(number, {})[step.against] = None
        return [(number, ", ".join(filter(None, names))) for number, names in against.items()]

    def _who(self, members: Iterable[Platform]) -> list[list[str]]:
        groups = groupby(members, key=lambda platform: platform.stack)
        return [each for stack, group in groups for each in self._ranges(stack, set(group))]

    def _ranges(self, stack: str, which: set[Platform]) -> list[list[str]]:
        """A system and some of its versions in words, for each range of those that are meant."""
        family = [platform for platform in platforms() if platform.stack == stack]
        gaps = {platform for platform in family if not self._known(platform)} - which
        does = [None if platform in gaps else platform in which for platform in family]
        ranges = folded([platform.label for platform in family], does)
        return [[registry()[stack]["title"], one.words] for one in ranges if one.outcome is True]


def _clause(stack: str, name: str) -> dict[str, str]:
    clause: Clause = families()[stack].BOOK.clauses[name]
    return {
        "name": name,
        "sentence": clause.sentence,
        "source": clause.source,
        "confidence": clause.confidence,
        "span": str(clause.span),
    }


def _summary(texts: Sequence[str]) -> str:
    """What the steps of a line come to: their one text, or how many came to which."""
    counts = Counter(texts)
    return texts[0] if len(counts) == 1 else ", ".join(f"{count} {text}" for text, count in counts.items())
