"""The scenario language, version 1: from text to `Scenario`, every mistake named by line and column.

The syntax of a line is in `lines`; here is what depends on the lines above it: a name that lives, a label that recurs.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from .dataclass import dataclass
from .lines import BLANK, MAX_STEPS, Wrong, expand, placed, read, said
from .scenario import Scenario, ScenarioError, Setting, Step

MAX_LINE = 2_000  # characters
MAX_TEXT = 16 * 1024 * 1024  # bytes of one file, each line counted as often as it stands for a step
MAX_LINES = 300_000  # lines of one file, counted so too
MAX_WAIT = 3_600.0  # seconds, all waits of a scenario together


@dataclass(slots=True)
class _Builder:
    """One scenario in the making; remembers what the lines so far made."""

    title: str | None
    lines: list[str]
    environment: list[Setting]
    steps: list[Step]
    open: dict[str, bool]  # name -> not closed yet
    count: dict[str, int]  # label -> how often
    size: int = 0  # steps that it has, and lines of the environment
    waits: float = 0.0

    def feed(self, text: str, line: int) -> None:
        try:
            body, ranges, shown = read(text)
            if ranges:
                self._keep_all(body, line)
            elif body:
                self._keep(body, line)
        except Wrong as wrong:
            indent = len(text) - len(text.lstrip(BLANK))
            raise ScenarioError(line, indent + wrong.at + 1, wrong.expected) from None
        self.lines.append(shown)

    def _keep_all(self, text: str, line: int) -> None:
        """Every line that one with index ranges stands for."""
        original: Callable[[int], int] = lambda at: at  # noqa: E731
        try:
            for expanded, original in expand(text):  # noqa: B007 the handler needs the last
                self._keep(expanded, line)
        except Wrong as wrong:
            raise Wrong(original(wrong.at), wrong.expected) from None

    def _keep(self, text: str, line: int) -> None:
        item, label, owner = said(text)
        if self.size >= MAX_STEPS:
            raise Wrong(0, f"expected at most {MAX_STEPS} steps in a scenario")
        self.size += 1
        if isinstance(item, Setting):
            if self.open:
                raise Wrong(0, "expected environment lines before the first socket")
            device = item.value.partition("%")[2] if item.kind == "address" else ""
            if device not in ("", "lo", *(other.value for other in self.environment if other.kind == "device")):
                raise Wrong(text.index("%") + 1, f"expected lo or a device made above, {device} is not")
            self.environment.append(item)
        elif not label:
            self.waits += float(item.seconds)
            if self.waits > MAX_WAIT:
                raise Wrong(0, f"expected waits of at most {MAX_WAIT:g} s in all")
            self.steps.append(placed(text, "", line))
        else:
            self._name(item, owner)
            count = self.count[label] = self.count.get(label, 0) + 1
            self.steps.append(placed(text, label if count == 1 else f"{label}#{count}", line))

    def _name(self, step: Step, owner: str | None) -> None:
        """A name is bound once, and `close` ends it; a port may be asked of one that is closed."""
        verb, name, of = step.verb, step.name, step.of
        if (verb == "socket" or of) and name in self.open:
            raise Wrong(0, f"expected a new name, {name} is bound already")
        used = of or name
        if verb != "socket" and not self.open.get(used):
            how = "was closed" if used in self.open else "is not"
            at = len(f"{name} = ") if of else 0
            raise Wrong(at, f"expected a socket that was made above and is open, {used} {how}")
        if owner is not None and owner not in self.open:
            at = len(f"{name}.{verb}(") + str(step.address).rindex(":") + 1
            raise Wrong(at, f"expected the port of a socket made above, {owner} is not")
        self.open[name] = verb != "close"

    def scenario(self) -> Scenario:
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        return Scenario(tuple(self.lines), tuple(self.environment), tuple(self.steps), self.title)


def parse_file(text: str) -> list[Scenario]:
    """Read a text of one scenario, or of several opened by ``--- TITLE`` lines.

    Raises ScenarioError, with the line in `text`, where it does not parse.
    """
    scenarios: list[Scenario] = []
    builder = _Builder(None, [], [], [], {}, {})
    more = 0  # steps beyond one a line
    size = 0  # characters of all that the lines so far stand for
    for number, line in enumerate(text.split("\n"), 1):
        if number + more > MAX_LINES:
            raise ScenarioError(number, 1, f"expected at most {MAX_LINES} lines and steps in a file")
        if size > MAX_TEXT:
            raise ScenarioError(number, 1, f"expected at most {MAX_TEXT} characters in all steps of a file")
        if len(line) > MAX_LINE:
            raise ScenarioError(number, MAX_LINE + 1, f"expected a line of at most {MAX_LINE} characters")
        steps = 1
        if line.startswith("---"):
            if builder.title is not None:
                scenarios.append(builder.scenario())
            elif builder.steps or builder.environment:
                raise ScenarioError(number, 1, "expected '--- TITLE' above the first step too")
            if not (title := line[3:].strip(BLANK)):
                raise ScenarioError(number, 4, "expected a title")
            builder = _Builder(title, [], [], [], {}, {})
        else:
            before = builder.size
            builder.feed(line, number)
            steps = builder.size - before or 1
        more += steps - 1
        size += steps * len(line)
    return [*scenarios, builder.scenario()]


def parse(text: str) -> Scenario:
    """Read one scenario. Raises ScenarioError."""
    scenarios = parse_file(text)
    if len(scenarios) > 1:
        raise ScenarioError(1, 1, f"expected one scenario, not {len(scenarios)}")
    return scenarios[0]


def decode(data: bytes) -> str:
    """The text of a file. Raises ScenarioError where it is not UTF-8, holds control characters, or is too large."""
    if len(data) > MAX_TEXT:
        raise ScenarioError(1, 1, f"expected at most {MAX_TEXT} bytes")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = data.removeprefix(codecs.BOM_UTF8)[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        raise ScenarioError(before.count(b"\n") + 1, column, "expected UTF-8 text") from None
    if junk := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", text):
        before_junk = text[: junk.start()]
        column = len(before_junk.rpartition("\n")[2]) + 1
        raise ScenarioError(before_junk.count("\n") + 1, column, "expected printable text")
    return text
