"""Scenarios of the suite, performed while nobody waits for them: in a lane of their own those that wait themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from ..live import PATIENCE
from ..live.runner import Broken, Runner
from ..platforms import current
from ..scenario import Observation, Scenario
from ..suite import Case, Table, Variant
from ..verdict import Outcome

_BESIDE = 5  # lanes at the most for scenarios that wait, some 20 s in all and next to no processor time


class _Lane:
    """A worker process with what it was asked and is to be asked, in order.

    It is asked by the dozen: one at a time would wake the worker, and lose the processor to it, each time.
    """

    def __init__(self, timeout: float, dozen: int) -> None:
        self.runner = Runner(timeout)
        self.coming: deque[Variant] = deque()
        self.asked: deque[str] = deque()
        self._dozen = dozen

    def ask(self, key: str, scenario: Scenario, shared: bool, more: bool = False) -> None:
        self.runner.ask(scenario, shared=shared, more=more)
        self.asked.append(key)

    @property
    def wants(self) -> int:
        """How many more it should be asked, so that it is not idle soon."""
        return self._dozen - len(self.asked) if len(self.asked) <= self._dozen // 4 else 0

    def answer(self) -> tuple[str, Observation | Broken]:
        key = self.asked.popleft()
        try:
            return key, self.runner.answer()
        except Broken as error:
            return key, error


class Ahead:
    """Performs what is expected to be asked for, before it is.

    Args:
        timeout: seconds that each scenario may take beside its waits.
        shared: whether scenarios may share namespaces.
    """

    def __init__(self, timeout: float, shared: bool) -> None:
        self._timeout, self.shared = timeout, shared
        self._main = _Lane(timeout, 16)
        self._lanes = [self._main]
        self._lane_of: dict[str, _Lane] = {}  # of what was asked and not yet fetched
        self._answers: dict[str, Observation | Broken] = {}

    def begin(self) -> None:
        """Start the main lane's worker, before it is asked."""
        self._main.runner.begin()

    def isolation(self) -> str:
        """How scenarios are isolated (see `sandbox.isolation`). Raises Broken."""
        return self._main.runner.isolation()

    def expect(self, variants: Collection[Variant]) -> None:
        """These will be fetched, in this order."""
        waiting = dict(_waiting(variants))
        beside = {_Lane(self._timeout, 64): 0.0 for _ in range(min(_BESIDE, len(waiting)))}
        self._lanes += beside
        for variant in variants:
            lane = self._main
            if seconds := waiting.get(variant.id):
                lane = min(beside, key=beside.__getitem__)
                beside[lane] += seconds
            lane.coming.append(variant)

    def ask(self, variant: Variant) -> None:
        """Have a variant performed, unless it is under way."""
        if variant.id not in self._lane_of:
            self._ask(self._main, variant)

    def fill(self) -> None:
        """Give lanes that are soon idle something to do."""
        for lane in self._lanes:
            for left in reversed(range(min(lane.wants, len(lane.coming)))) if lane.coming else ():
                variant = lane.coming.popleft()
                if variant.id not in self._lane_of:
                    self._ask(lane, variant, more=left > 0)

    def fetch(self, variant: Variant) -> Observation:
        """What a variant did. Raises Broken."""
        self.ask(variant)
        return self._fetch(variant.id)

    def fetch_alone(self, variant: Variant) -> Observation:
        """What it does in a namespace of its own, performed now. Raises Broken."""
        key = f"{variant.id} alone"
        self._lane_of[key] = self._main
        self._main.ask(key, variant.scenario, shared=False)
        return self._fetch(key)

    def close(self) -> None:
        """End the worker processes."""
        for lane in self._lanes:
            lane.runner.close()

    def _ask(self, lane: _Lane, variant: Variant, more: bool = False) -> None:
        lane.ask(variant.id, variant.scenario, self.shared, more)
        self._lane_of[variant.id] = lane

    def _fetch(self, key: str) -> Observation:
        lane = self._lane_of[key]
        while key not in self._answers:
            answered, answer = lane.answer()
            self._answers[answered] = answer
        del self._lane_of[key]
        answer = self._answers.pop(key)
        if isinstance(answer, Broken):
            raise answer
        return answer


def _waiting(variants: Iterable[Variant]) -> Iterator[tuple[str, float]]:
    """Those that are known to wait, for the time or for what does not come, and some seconds that it takes."""
    cases: dict[tuple[str, str], bool] = {}
    for variant in variants:
        case = variant.case
        known = cases.get((case.rule, case.id))
        if known is None:
            known = cases[case.rule, case.id] = any(map(_patience, _outcomes(case)))
        seconds = variant.scenario.waits
        if known and (stated := variant.expected(current())) is not None:
            seconds += _patience(stated.outcome)
        if seconds:
            yield variant.id, seconds


def _outcomes(case: Case) -> Iterator[Outcome]:
    """All that is stated of a case for this platform."""
    for statement in case.stated(current()):
        yield from case.cells.values() if isinstance(statement.outcome, Table) else [statement.outcome]


def _patience(outcome: Outcome) -> float:
    """Seconds that calls wait for what does not come; until ETIMEDOUT it is a first retransmission's."""
    return sum(1.0 if "ETIMEDOUT" in text else PATIENCE for text in outcome.values() if "time" in text.lower())
