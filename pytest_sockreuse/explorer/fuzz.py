"""``sockreuse explore``: random scenarios performed here and compared with a model, for a while or a number of them."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field

from ..dataclass import dataclass
from ..live.runner import Broken, Runner
from ..model import ModelError
from ..parser import parse
from ..platforms import Platform
from ..scenario import Scenario
from .differential import DifferentialTest, Disagreement, shrink
from .draw import texts

_AHEAD = 16  # scenarios that the worker has in hand while the parent draws and compares
_MOST = 10  # kinds of disagreement that are made small; of further ones only the count is given


@dataclass
class Tally:
    """What a random exploration came to."""

    performed: int = 0
    not_run: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    unrepeated: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    found: list[Disagreement] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def disagreements(self) -> int:
        """How many scenarios disagreed, of all kinds."""
        return sum(self.kinds.values())

    def lines(self) -> Iterator[str]:
        """A report, a line each; the disagreements first."""
        for number, one in enumerate(self.found, 1):
            yield f"--- disagreement {number}: {one.signature}"
            yield f"{one}\n"
        yield f"{self.performed} scenarios performed in {self.seconds:.1f} s, {self.disagreements} disagreements"
        for title, counts in (
            ("not known to the model, in part or from a step on", self.unknown),
            ("not run", self.not_run),
            ("differed once and not when performed again", self.unrepeated),
        ):
            for reason, count in counts.most_common():
                yield f"{count:>8}  {title}: {reason}"


class Fuzz:
    """A random exploration under way.

    Args:
        platform: the model that this OS is compared with.
        inverted: clauses of the model to invert.
    """

    def __init__(self, runner: Runner, platform: Platform, seed: int, inverted: Iterable[str] = ()) -> None:
        self.tally = Tally()
        self._runner = runner
        self._test = DifferentialTest(runner, platform, inverted)
        self._texts = texts(seed, runner.isolation() == "netns", platform.stack)

    def run(
        self, count: int | None = None, seconds: float | None = None, show: Callable[[Tally], None] | None = None
    ) -> Tally:
        """Perform `count` scenarios, or as many as `seconds` allow; `show` is called after each with what came so far.

        Raises Broken where the runner fails twice.
        """
        start = time.monotonic()
        try:
            for _ in itertools.islice(self._asking(), count):
                if self._test.under_way == _AHEAD and (suspects := self._compare()):
                    self._believe(suspects + self._drain())
                if show is not None:
                    show(self.tally)
                if seconds is not None and time.monotonic() - start > seconds:
                    break
            self._believe(self._drain())
        finally:
            self.tally.seconds += time.monotonic() - start
        return self.tally

    def _asking(self) -> Iterator[None]:
        """Ask for one scenario after another, of each what the model knows."""
        for text in self._texts:
            before = self._test.under_way
            try:
                unknown = self._test.ask(parse(text))
            except ModelError as error:
                unknown = str(error)
            if unknown:
                self.tally.unknown[unknown] += 1
            if self._test.under_way > before:
                yield

    def _drain(self) -> list[Disagreement]:
        return [suspect for _ in range(self._test.under_way) for suspect in self._compare()]

    def _compare(self) -> list[Disagreement]:
        """Compare the oldest scenario that is under way with its prediction."""
        observation, suspect = self._test.answer()
        if observation.not_run is not None:
            self.tally.not_run[observation.not_run] += 1
        else:
            self.tally.performed += 1
        return [] if suspect is None else [suspect]

    def _believe(self, suspects: list[Disagreement]) -> None:
        for suspect in suspects:
            self._consider(suspect)

    def _consider(self, suspect: Disagreement) -> None:
        """Perform a suspect again with patience; if it still disagrees make it small and keep it."""
        if len(self.tally.found) >= _MOST or self.tally.kinds[suspect.signature]:
            self.tally.kinds[suspect.signature] += 1
            return
        found = self._test.patiently(suspect.scenario)
        if found is None:
            self.tally.unrepeated[suspect.signature] += 1
            return
        self.tally.kinds[suspect.signature] += 1
        small = shrink(found, self._again)
        if all(one.signature != small.signature for one in self.tally.found):
            self.tally.found.append(small)

    def _again(self, scenario: Scenario) -> Disagreement | None:
        try:
            return self._test.patiently(scenario)
        except (ModelError, Broken):
            return None


def explore(
    platform: Platform,
    seed: int,
    count: int | None,
    seconds: float | None,
    say: Callable[[str], None],
    show: Callable[[Tally], None] | None = None,
) -> bool:
    """Explore and report, also when interrupted; whether everything was as predicted. `show` as in `Fuzz.run`.

    Raises Broken.
    """
    with Runner() as runner:
        fuzz = Fuzz(runner, platform, seed)
        try:
            fuzz.run(count, seconds, show)
        finally:
            for line in fuzz.tally.lines():
                say(line)
    return not fuzz.tally.kinds
