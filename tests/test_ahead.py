"""Scenarios performed ahead of need: what waits stands in nobody's way, and the death of a worker costs one."""

from __future__ import annotations

import os
import signal

import pytest
from here import linux_only
from performing import in_namespaces

from pytest_sockreuse.hooks.ahead import Ahead
from pytest_sockreuse.live.runner import Broken
from pytest_sockreuse.loader import load
from pytest_sockreuse.suite import Variant

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


@pytest.fixture(scope="module")
def variants() -> list[Variant]:
    """Many that do not wait, and before, between and after them some that do."""
    suite = load(rules=["time-wait-reuse"]).variants
    waiting = [v for v in suite if v.scenario.waits]
    assert 10 < len(waiting) < 100
    long = [v for v in waiting if v.scenario.waits > 1][:2]
    short = [v for v in waiting if v.scenario.waits < 0.1][:6]
    others = [v for v in suite if not v.scenario.waits][:40]
    return [*others[:20], *long, *others[20:], *short]


@linux_only
@in_namespaces
def test_what_waits_has_lanes_of_its_own_and_answers_come_as_they_are_fetched(variants: list[Variant]) -> None:
    ahead = Ahead(10.0, shared=True)
    try:
        ahead.isolation()
        ahead.expect(variants)
        ahead.fill()
        main, *beside = ahead._lanes
        lanes = {variant.id: ahead._lane_of.get(variant.id, main) for variant in variants}
        assert all((lanes[v.id] is main) == (not v.scenario.waits) for v in variants)
        long = [lanes[v.id] for v in variants if v.scenario.waits > 1]
        assert len(long) == 2 and long[0] is not long[1], "the least busy one is asked"
        assert len(beside) == 5
        seen = [ahead.fetch(variant) for variant in reversed(variants)]
        wanted = [variant.labels for variant in reversed(variants)]
        assert [tuple(step.step for step in one.steps) or None for one in seen] == [
            None if one.not_run else labels for one, labels in zip(seen, wanted, strict=True)
        ]
    finally:
        ahead.close()


@linux_only
@in_namespaces
def test_a_lane_that_is_killed_costs_one_scenario(variants: list[Variant]) -> None:
    ahead = Ahead(10.0, shared=True)
    try:
        ahead.isolation()
        ahead.expect(variants)
        ahead.fill()
        lane = next(lane for lane in ahead._lanes[1:] if len(lane.asked) > 1)
        assert lane.runner._worker is not None
        first = lane.asked[0]
        os.kill(lane.runner._worker.pid, KILL)
        broken = []
        for variant in variants:
            try:
                ahead.fetch(variant)
            except Broken:
                broken.append(variant.id)
        assert broken == [first]
    finally:
        ahead.close()
    assert all(lane.runner._worker is None for lane in ahead._lanes)
