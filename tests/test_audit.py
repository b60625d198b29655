"""No statement of the suite and no model part, on any version that either names.

Versions between two bounds that data and clauses name behave alike, so the known versions and the bounds are all there
is to ask. Half a minute in all; the cases with long scenarios, which take most of it, are asked in one address family.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from pytest_sockreuse import loader
from pytest_sockreuse.expected import disagreements
from pytest_sockreuse.model import families
from pytest_sockreuse.platforms import Platform, known, registry, version
from pytest_sockreuse.suite import Case, Suite

LONG = 16  # steps


@cache
def _suite() -> Suite:
    """The suite, the long cases in one address family only."""
    suite = loader.load()
    rules = {rule.id: replace(rule, cases=tuple(map(_shorter, rule.cases))) for rule in suite.rules.values()}
    return replace(suite, rules=rules)


def _shorter(case: Case) -> Case:
    if "family" not in case.axes or max(len(variant.scenario.steps) for variant in case.variants) <= LONG:
        return case
    name, words = next(iter(case.axes["family"].items()))
    return replace(case, axes={**case.axes, "family": {name: words}})


def _platforms(stack: str) -> list[Platform]:
    """The known versions of a stack, and those at which a statement or a clause begins or ends; oldest first."""
    found = {platform.version: platform for platform in known() if platform.stack == stack}
    spans = [clause.span for clause in families()[stack].BOOK.clauses.values()]
    for rule in _suite().rules.values():
        for case in rule.cases:
            spans += [statement.span for statement in case.statements if stack in statement.on]
    for label in {label for span in spans for label in (*span.since, *span.until)}:
        found.setdefault(version(label), Platform(stack, version(label), label))
    return [platform for _, platform in sorted(found.items()) if not families()[stack].covers(platform)]


@pytest.mark.parametrize("stack", registry())
def test_statements_and_models_agree(stack: str) -> None:
    parting = list(disagreements(_suite(), _platforms(stack)))
    assert not parting, "\n".join(map(str, parting[:20]))
