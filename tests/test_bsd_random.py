"""Random scenarios that FreeBSD 14.0 (1400507) and NetBSD 7.99.34 performed: the models say of each what it answered.

`bsd-random.jsonl.xz` has a scenario a line, and the outcome of every step that was neither ok nor unreached.
"""

from __future__ import annotations

import json
import lzma
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_sockreuse.model import Prediction, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named

PARTS = 8  # for workers that run side by side


class Row(NamedTuple):
    scenario: str
    seen: dict[str, str]
    said: Prediction

    @property
    def departs(self) -> str:
        """The first step that is not foretold, or nothing."""
        for step in self.said.steps:
            seen = {self.seen[step.step]} if step.step in self.seen else {"ok", "unreached"}
            if not seen & set(step.outcomes):
                return f"{step.step}: {self.seen.get(step.step, 'ok')}, predicted {step.unknown or step.outcomes}"
        return ""


@cache
def _rows(platform: str, part: int) -> list[Row]:
    with lzma.open(Path(__file__).with_name("bsd-random.jsonl.xz"), "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["platform"] == platform]
    mine = islice(rows, part, None, PARTS)
    return [Row(row["scenario"], row["seen"], predict(parse(row["scenario"]), named(platform))) for row in mine]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("platform", "count"), [("freebsd-14.0", 11989), ("netbsd-7.99", 2891)])
def test_every_random_scenario_is_predicted_as_it_was_seen(platform: str, count: int, part: int) -> None:
    rows = _rows(platform, part)
    assert len(rows) == len(range(part, count, PARTS))
    departed = [f"{row.departs}\n{row.scenario}" for row in rows if row.departs]
    assert not departed, f"{len(departed)} of {len(rows)}:\n" + "\n".join(departed[:5])


@pytest.mark.parametrize("platform", ["freebsd-14.0", "netbsd-7.99"])
def test_hardly_any_prediction_leaves_an_outcome_open(platform: str) -> None:
    rows = [row for part in range(PARTS) for row in _rows(platform, part)]
    open_ = [row for row in rows if any(len(step.outcomes) > 1 for step in row.said.steps)]
    assert len(open_) <= len(rows) // 100
