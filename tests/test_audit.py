"""No statement of the suite and no model part, on any version that either names.

Of versions that no bound in the data or the models tells apart one is asked. Half a minute in all, most of it for the
cases with long scenarios, which are therefore asked in one address family only.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest
from shipped import shipped

from pytest_sockreuse.expected import disagreements
from pytest_sockreuse.matrix.build import PREDICTIONS
from pytest_sockreuse.model import families
from pytest_sockreuse.model.walk import TOO_MANY
from pytest_sockreuse.platforms import Platform, known, version
from pytest_sockreuse.suite import Case, Suite

LONG = 16  # steps


@cache
def _suite() -> Suite:
    """The suite, the long cases in one address family only."""
    suite = shipped()
    rules = {rule.id: replace(rule, cases=tuple(map(_shorter, rule.cases))) for rule in suite.rules.values()}
    return replace(suite, rules=rules)


def _shorter(case: Case) -> Case:
    if "family" not in case.axes or max(len(variant.scenario.steps) for variant in case.variants) <= LONG:
        return case
    name, words = next(iter(case.axes["family"].items()))
    return replace(case, axes={**case.axes, "family": {name: words}})


def _platforms(stack: str) -> list[Platform]:
    """One of each group of versions that no statement and no clause tells apart, known ones if there are."""
    spans = {clause.span for clause in families()[stack].BOOK.clauses.values()}
    for rule in _suite().rules.values():
        for case in rule.cases:
            spans |= {statement.span for statement in case.statements if stack in statement.on}
    labels = {label for span in spans for label in (*span.since, *span.until)}
    groups = {}
    for platform in (*(Platform(stack, version(label), label) for label in sorted(labels)), *known()):
        if platform.stack == stack and not families()[stack].covers(platform):
            groups[tuple(platform.version in span for span in spans)] = platform
    return list(groups.values())


@pytest.mark.parametrize("stack", families())
def test_statements_and_models_agree(stack: str) -> None:
    parting = list(disagreements(_suite(), _platforms(stack)))
    assert not parting, "\n".join(map(str, parting[:20]))


@pytest.mark.parametrize("stack", families())
def test_no_scenario_of_the_suite_has_more_executions_than_are_followed(stack: str) -> None:
    """In the predictions that are kept, of which test_kept says that they are today's."""
    _, texts, *_ = map(json.loads, (PREDICTIONS / f"{stack}.jsonl").read_text().splitlines())
    unknown = {why for _, _, why in texts["steps"]}
    assert unknown - {""}
    assert TOO_MANY not in unknown
