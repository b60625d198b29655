"""``pytest --sockreuse-explore=N``: random scenarios as part of a run, an item for each batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..explorer.fuzz import Fuzz
from ..live.runner import Broken, Runner
from ..model import not_modelled
from ..platforms import current

_BATCH = 250  # scenarios of one item
_MOST = 1_000_000  # scenarios of one run: more would only be collected


class ExploreSession:
    """Adds the batches ``sockreuse::explore::seed-1``, ``…seed-2``, … to a run.

    Each draws from a seed of its own, so that a failure repeats, and parallel workers collect the same.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.count: int = config.option.sockreuse_explore
        if not 1 <= self.count <= _MOST:
            raise pytest.UsageError(f"--sockreuse-explore: expected 1 to {_MOST} scenarios, not {self.count}")
        if why := not_modelled(current()):
            raise pytest.UsageError(f"--sockreuse-explore: {current()}: {why}")

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[None]:
        report: Any = yield
        if isinstance(collector, pytest.Session) and report.passed:
            report.result.append(
                Batches.from_parent(collector, name="explore", nodeid="sockreuse::explore", count=self.count)
            )
        return report  # type: ignore[no-any-return]


class Batches(pytest.Collector):
    """``sockreuse::explore``."""

    def __init__(self, count: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.count = count

    def collect(self) -> Iterator[pytest.Item]:
        for number, done in enumerate(range(0, self.count, _BATCH), 1):
            yield Batch.from_parent(self, name=f"seed-{number}", seed=number, count=min(_BATCH, self.count - done))


class Batch(pytest.Item):
    """One seed's scenarios; fails with the first disagreements, made small."""

    def __init__(self, seed: int, count: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.seed, self.count = seed, count

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, self.nodeid

    def runtest(self) -> None:
        try:
            with Runner() as runner:
                tally = Fuzz(runner, current(), self.seed).run(self.count)
        except Broken as error:
            pytest.fail(f"the exploration is broken: {error}", pytrace=False)
        if tally.kinds:
            again = f"sockreuse explore --count {self.count} --seed {self.seed}"
            pytest.fail("\n".join([*tally.lines(), f"repeat      {again}"]), pytrace=False)
        if not tally.performed:
            pytest.skip(f"unsupported: {next(iter(tally.not_run), 'nothing could be performed')}")
