"""``sockreuse explore --exhaustive N``: all scenarios of the small scope, performed and held against the model.

A scenario's outcomes contain those of everything it begins with, so only those that cannot go on are performed. A call
that is refused for the state of its own socket changes nothing, nor does an accept that finds nothing: what could
follow is a scenario without that call, so these end there. The work is dealt in pieces, scenarios that begin alike.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path as File

from ..live.perform import Performance
from ..live.runner import Broken, Runner
from ..live.sandbox import Sandbox, isolation
from ..live.worker import alarm, heed_alarms
from ..model import Prediction, predict
from ..platforms import Platform
from ..scenario import Observation
from .contest import Contest, Disagreement, disagreement, foretells
from .scope import Path, Scope

_NOTHING_CHANGED = frozenset({"EINVAL", "EISCONN", "ENOTCONN", "EOPNOTSUPP", "timeout"})
_LIMIT = 5.0  # seconds of one scenario
_SHOWN = 5  # disagreements that are kept of one piece
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


def paths(path: Path, size: int, platform: Platform, count: Count) -> Iterator[tuple[Path, Prediction]]:
    """The longest scenarios of up to `size` calls that begin with `path`, as the model sees them."""
    for longer in path.longer():
        prediction = predict(longer.scenario, platform)
        last = prediction.steps[-1]
        if last.unknown:
            count.unknown += 1
            continue
        count.scenarios += 1
        if longer.depth == size or _NOTHING_CHANGED.issuperset(last.outcomes):
            yield longer, prediction
        else:
            yield from paths(longer.settled("ok" in last.outcomes), size, platform, count)


def pieces(scope: Scope, size: int, platform: Platform) -> tuple[list[Path], list[tuple[Path, Prediction]], Count]:
    """Where the work divides: paths to go on from, the scenarios that end before, and how many those are."""
    count = Count()
    begun: list[Path] = []
    ended: list[tuple[Path, Prediction]] = []
    for path, prediction in paths(scope.root, min(_PIECE, size), platform, count):
        last = prediction.steps[-1]
        if path.depth < size and not _NOTHING_CHANGED.issuperset(last.outcomes):
            begun.append(path.settled("ok" in last.outcomes))
        else:
            ended.append((path, prediction))
    return begun, ended, count


class _Hands:
    """Performs scenarios in this process, many in one namespace."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.sandbox = Sandbox()

    def perform(self, path: Path, prediction: Prediction) -> Disagreement | None:
        scenario = path.scenario
        glance = {step.step for step in prediction.steps if step.outcomes != ("ok",)}  # for accept: nothing will come
        ports = self.sandbox.enter(scenario, shared=True)
        with alarm(_LIMIT, _hung):
            outcomes = Performance(scenario, ports, self.sandbox.become, glance).run()
        self.sandbox.leave(outcomes)
        observation = Observation(self.platform.name, tuple(outcomes), ports)
        if foretells(prediction, observation):
            return None
        return disagreement(scenario, self.platform, observation)


def _hung() -> None:
    """Without alarms; no OS without them has the namespaces."""


def _explore(source: Iterable[tuple[Path, Prediction]], hands: _Hands, runner: Runner, count: Count) -> None:
    contest = Contest(runner, hands.platform)
    for path, prediction in source:
        count.performed += 1
        if hands.perform(path, prediction) is None:
            continue
        try:
            again = contest.patiently(path.scenario)
        except Broken:
            again = None
        if again is None:
            count.unrepeated += 1
        else:
            count.disagreements.append(f"--- {again.signature}\n{again}\n" if len(count.disagreements) < _SHOWN else "")


_worker: tuple[_Hands, Runner] | None = None


def _begin(platform: Platform) -> None:
    """A process of the pool begins."""
    global _worker
    heed_alarms()
    _worker = _Hands(platform), Runner()


def _piece(work: tuple[str, Path, int]) -> tuple[str, Count]:
    name, path, size = work
    assert _worker is not None
    hands, runner = _worker
    count = Count()
    _explore(paths(path, size, hands.platform, count), hands, runner, count)
    return name, count


def explore_all(
    platform: Platform, scope: Scope, size: int, processes: int, resume: str | None, say: Callable[[str], None]
) -> bool:
    """Explore exhaustively and report; whether everything was as foretold. Raises Unable."""
    if isolation() == "none":
        raise Unable("exhaustive exploration needs network namespaces, of root or of an unprivileged user namespace")
    start = time.monotonic()
    begun, ended, total = pieces(scope, size, platform)
    work = {" / ".join(path.lines): path for path in begun}
    header = {"sockreuse-explore": 1, "scope": str(scope), "size": size, "platform": platform.name}
    done = _Progress(resume, header)
    for count in done.counts.values():
        total.add(count)
    todo = [(name, path, size) for name, path in work.items() if name not in done.counts]
    say(f"{scope}, up to {size} calls: {len(work)} pieces, {len(work) - len(todo)} of them done before")
    with multiprocessing.get_context("fork").Pool(processes, _begin, (platform,)) as pool:
        ends = pool.apply_async(_ended, (ended,))
        for name, count in pool.imap_unordered(_piece, todo):
            done.keep(name, count)
            total.add(count)
            for text in filter(None, count.disagreements):
                say(text)
        total.add(ends.get())
    seconds = time.monotonic() - start
    say(
        f"all {total.scenarios} scenarios of up to {size} calls of {scope}, by the {total.performed} longest: "
        f"{len(total.disagreements)} disagreements, {total.unrepeated} that did not repeat, {total.unknown} that the "
        f"model does not know; {seconds:.0f} s"
    )
    return not total.disagreements


def _ended(source: list[tuple[Path, Prediction]]) -> Count:
    assert _worker is not None
    count = Count()
    _explore(source, *_worker, count)
    return count


class _Progress:
    """The pieces that are done, in a file if there is one: a header, then a line a piece."""

    def __init__(self, path: str | None, header: dict[str, object]) -> None:
        self.counts: dict[str, Count] = {}
        self._file = File(path) if path else None
        if self._file is None:
            return
        if not self._file.exists():
            self._file.write_text(json.dumps(header) + "\n")
        lines = self._file.read_text().split("\n")
        if json.loads(lines[0]) != header:
            raise Unable(f"{path} is the progress of another exploration: {lines[0]}")
        for line in lines[1:-1]:  # a last line without its end was cut short
            name, count = json.loads(line)
            self.counts[name] = Count(**count)

    def keep(self, name: str, count: Count) -> None:
        if self._file is not None:
            with open(self._file, "a") as file:
                file.write(json.dumps([name, vars(count)]) + "\n")
                file.flush()
                os.fsync(file.fileno())
