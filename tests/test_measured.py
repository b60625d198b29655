"""`measured` is written only where a run in conformance/results/ shows it; every result there is of this suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sockreuse.loader import load
from pytest_sockreuse.platforms import CONFORMANCE, named
from pytest_sockreuse.report.results import Results, read
from pytest_sockreuse.suite import Statement, Suite, Table, Variant
from pytest_sockreuse.verdict import differences

FILES = sorted((CONFORMANCE / "results").glob("*.jsonl"))


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load()


@pytest.fixture(scope="module")
def runs() -> list[Results]:
    return [run for path in FILES for run in read(path)]


def _shown(variant: Variant, statement: Statement, runs: list[Results]) -> bool:
    """Whether of every stack that the statement names some run shows it."""
    outcome = statement.outcome
    if isinstance(outcome, Table):
        outcome = variant.case.cells[outcome.cell(variant.named_values)]
    stacks = set()
    for run in runs:
        platform = named(run.about["platform"])
        result = run.results.get(variant.id)
        if result is None or platform.stack not in statement.on or platform.version not in statement.span:
            continue
        seen = result.observation(variant, platform.name)
        if result.content == variant.content and seen.not_run is None and not differences(outcome, seen):
            stacks.add(platform.stack)
    return stacks == set(statement.on)


def test_measured_statements_are_shown_by_a_run(suite: Suite, runs: list[Results]) -> None:
    unshown = [
        f"{statement.at}: {variant.id}"
        for variant in suite.variants
        for statement in variant.case.statements
        if statement.basis == "measured" and statement.covers(variant.named_values)
        if not _shown(variant, statement, runs)
    ]
    assert not unshown, f"{len(unshown)} cells, such as {unshown[:5]}"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_results_are_of_this_suite(path: Path, suite: Suite) -> None:
    for run in read(path):
        stale = [i for i, r in run.results.items() if i not in suite.by_id or suite.by_id[i].content != r.content]
        missing = suite.by_id.keys() - run.results.keys()
        assert not stale, (
            f"{path.name}: {len(stale)} results of other scenarios, such as {stale[:3]}; run the suite anew"
        )
        assert not missing, f"{path.name}: {len(missing)} cases without a result, such as {sorted(missing)[:3]}"
        assert not [i for i, r in run.results.items() if r.verdict in ("mismatch", "broken")]
