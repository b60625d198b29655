"""``sockreuse explore --exhaustive N``: all scenarios of the small scope, performed and compared with the model.

A scenario's outcomes contain those of everything it begins with, so only those that cannot go on are performed. A call
that is refused for the state of its own socket changes nothing, nor does an accept that finds nothing: what could
follow is a scenario without that call, so these end there. The work is dealt in pieces, scenarios that begin alike.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import closing
from dataclasses import field

from ..dataclass import dataclass
from ..live.perform import Observed, Performance
from ..live.runner import Broken, Runner
from ..live.sandbox import Sandbox, isolation
from ..live.worker import Alarm, heed_alarms
from ..parser import parse
from ..platforms import Platform
from ..scenario import Observation, Scenario, StepOutcome
from ..text import visible
from .differential import DifferentialTest, Disagreement, disagreement
from .graph import Graph, Path
from .pool import Ended, share
from .scope import Scope

_LIMIT = 5.0  # seconds of one scenario
_SHOWN = 5  # disagreements that are kept of one piece
_MOST = 1 << 24  # bytes of a file of progress
_PIECE = 2  # calls that the scenarios of one piece have in common


class Unable(Exception):
    """This machine cannot explore exhaustively; the message says why."""


@dataclass
class Count:
    """What was done, of one piece or of all."""

    scenarios: int = 0  # every one up to the size
    performed: int = 0
    unknown: int = 0
    unrepeated: int = 0
    disagreements: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        self.scenarios += other.scenarios
        self.performed += other.performed
        self.unknown += other.unknown
        self.unrepeated += other.unrepeated
        self.disagreements += other.disagreements


def longest(graph: Graph, path: Path, size: int, count: Count, depth: int | None = None) -> Iterator[Path]:
    """The longest scenarios of up to `size` calls that begin with `path`, cut at `depth` calls. Raises ModelError."""
    for longer in graph.longer(path, size):
        if not longer.predicted[-1]:
            count.unknown += 1
            continue
        count.scenarios += 1
        if longer.state is None or longer.depth in (size, depth):
            yield longer
        else:
            yield from longest(graph, longer, size, count, depth)


class _Hands:
    """Performs scenarios in this process, many in one namespace, and compares them with the model."""

    def __init__(self, platform: Platform, runner: Runner) -> None:
        self._platform, self._test = platform, DifferentialTest(runner, platform)
        self._sandbox = Sandbox()

    def explore(self, paths: Iterable[Path], count: Count) -> None:
        """Perform each of the scenarios and keep `count`."""
        for path in paths:
            count.performed += 1
            outcomes, ports = self._perform(path)
            if tuple(outcome for _, outcome, _ in outcomes) == path.predicted:
                continue
            suspect = self._suspect(path, outcomes, ports)
            if suspect is None:
                continue
            again = self._again(suspect.scenario)
            if again is None:
                count.unrepeated += 1
            else:
                text = f"--- {again.signature}\n{again}\n"
                count.disagreements.append(text if len(count.disagreements) < _SHOWN else "")

    def _perform(self, path: Path) -> tuple[list[Observed], dict[str, int]]:
        ports = self._sandbox.enter_shared("P")
        nothing = [step.label for step, may in zip(path.steps, path.predicted, strict=True) if may != "ok"]
        performance = Performance(Scenario((), (), path.steps), ports, self._sandbox.become, nothing)
        with Alarm(_LIMIT, _hung):
            return performance.run(), ports

    def _suspect(self, path: Path, outcomes: list[Observed], ports: dict[str, int]) -> Disagreement | None:
        """Whether what was seen was not predicted, of a scenario in which the OS may choose too."""
        scenario = parse(path.text)
        seen = zip(scenario.steps, outcomes, strict=True)
        steps = tuple(StepOutcome(step.label, outcome, value) for step, (_, outcome, value) in seen)
        return disagreement(scenario, self._platform, Observation(self._platform.name, steps, ports))

    def _again(self, scenario: Scenario) -> Disagreement | None:
        try:
            return self._test.patiently(scenario)
        except Broken:
            return None


def _hung() -> None:
    """Without alarms; no OS without them has the namespaces."""


def explore_all(
    platform: Platform, scope: Scope, size: int, processes: int, resume: str | None, say: Callable[[str], None]
) -> bool:
    """Explore exhaustively and report; whether everything was as predicted. Raises Unable."""
    if isolation() == "none":
        raise Unable("exhaustive exploration needs network namespaces, of root or of an unprivileged user namespace")
    start = time.monotonic()
    graph, total = Graph(scope, platform), Count()
    beginnings = list(longest(graph, graph.root, size, total, _PIECE))
    begun = {" / ".join(map(str, path.steps)): path for path in beginnings if path.state is not None}
    header = {"sockreuse-explore": 2, "scope": str(scope), "size": size, "platform": platform.name}
    done = _Progress(resume, header, begun)
    for count in done.counts.values():
        total.add(count)
    todo = [name for name in begun if name not in done.counts]
    say(f"{scope}, up to {size} calls: {len(begun)} pieces, {len(begun) - len(todo)} of them done before")

    def begin() -> Callable[[str | None], Count]:
        heed_alarms()
        hands = _Hands(platform, Runner())

        def do(name: str | None) -> Count:
            """A piece, or all scenarios that end before there is one."""
            count = Count()
            ended = (path for path in beginnings if path.state is None)
            hands.explore(ended if name is None else longest(graph, begun[name], size, count), count)
            return count

        return do

    try:
        with closing(share(begin, [None, *todo], processes)) as pieces:
            for name, count in pieces:
                if name is not None:
                    done.keep(name, count)
                total.add(count)
                for text in filter(None, count.disagreements):
                    say(text)
    except Ended as why:
        kept = "with --resume FILE to keep what is done" if resume is None else "what is done is kept"
        raise Unable(f"{why}; start again, {kept}") from None
    seconds = time.monotonic() - start
    say(
        f"all {total.scenarios} scenarios of up to {size} calls of {scope}, by the {total.performed} longest: "
        f"{len(total.disagreements)} disagreements, {total.unrepeated} that did not repeat, {total.unknown} that the "
        f"model does not know; {seconds:.0f} s"
    )
    return not total.disagreements


class _Progress:
    """The pieces that are done, in a file if there is one: a header, then a line a piece.

    Raises Unable where the file cannot be read or written, or is not the progress of this exploration.
    """

    def __init__(self, path: str | None, header: dict[str, object], pieces: Container[str]) -> None:
        self.counts: dict[str, Count] = {}
        self._path = path
        if path is None:
            return
        if not os.path.exists(path):
            self._write(header)
        for number, line in enumerate(self._lines(path), 1):
            try:
                if number > 1:
                    name, count = _counted(line, pieces)
                    self.counts[name] = count
                elif json.loads(line) != header:
                    raise ValueError
            except (ValueError, RecursionError):
                what = f"is not the progress of this exploration, {json.dumps(header)}"
                raise Unable(f"{visible(path, 1000)}:{number}: {what}; delete the file or name another one") from None

    def _lines(self, path: str) -> list[bytes]:
        if not os.path.isfile(path):
            raise Unable(f"{visible(path, 1000)}: is no file")
        try:
            with open(path, "rb") as file:
                data = file.read(_MOST + 1)
        except OSError as error:
            raise Unable(f"{visible(path, 1000)}: {error.strerror}") from None
        if len(data) > _MOST:
            raise Unable(f"{visible(path, 1000)}: has more than {_MOST} bytes")
        first, *rest = data.split(b"\n")
        return [first, *rest[:-1]]  # a last line without its end was cut short

    def keep(self, name: str, count: Count) -> None:
        self._write([name, vars(count)])

    def _write(self, entry: object) -> None:
        if self._path is None:
            return
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Unable(f"{visible(self._path, 1000)}: {error.strerror}") from None


def _counted(line: bytes, pieces: Container[str]) -> tuple[str, Count]:
    """The piece that a line of progress is about, and what was done of it. Raises ValueError."""
    match json.loads(line):
        case [str(name), dict(done)] if name in pieces and done.keys() == vars(Count()).keys():
            texts = done.pop("disagreements")
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise ValueError
            if any(type(number) is not int or number < 0 for number in done.values()):
                raise ValueError
            return name, Count(**done, disagreements=texts)
    raise ValueError
