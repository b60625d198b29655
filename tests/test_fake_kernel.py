"""A kernel that behaves otherwise is caught: what was really seen, with one rule broken at a time, turns red."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_sockreuse.expected import expected as expectation
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.loader import load, rule_ids
from pytest_sockreuse.platforms import current
from pytest_sockreuse.scenario import Observation, StepOutcome
from pytest_sockreuse.suite import Variant
from pytest_sockreuse.verdict import judge

SAMPLE = 60  # variants of a rule, spread evenly
CONFLICTS = ("bind", "listen", "connect")

pytestmark = pytest.mark.skipif(current().stack != "linux", reason="what is expected elsewhere is not yet measured")

Fake = Callable[[Observation], Observation]


def altered(seen: Observation, change: Callable[[StepOutcome], StepOutcome]) -> Observation:
    return replace(seen, steps=tuple(map(change, seen.steps)))


def generous(seen: Observation) -> Observation:
    """Whatever this kernel refuses is allowed."""
    return altered(seen, lambda step: replace(step, outcome="ok") if step.outcome[0] == "E" else step)


def jealous(seen: Observation) -> Observation:
    """The last call that might conflict, and did not, does."""
    calls = [s for s in seen.steps if s.outcome == "ok" and s.step.partition("#")[0].rpartition(".")[2] in CONFLICTS]
    return altered(seen, lambda step: replace(step, outcome="EADDRINUSE") if step is calls[-1] else step)


def confused(seen: Observation) -> Observation:
    """Refuses what it should, with another error."""
    other = {"EADDRINUSE": "EACCES"}
    return altered(seen, lambda s: replace(s, outcome=other.get(s.outcome, "EADDRINUSE")) if s.outcome[0] == "E" else s)


def state(variant: Variant, seen: Observation) -> str:
    expected = expectation(variant, current(), seen)
    return judge(expected.outcome if expected else None, seen).state


@pytest.fixture(scope="module")
def seen() -> Callable[[str], list[tuple[Variant, Observation]]]:
    """What this kernel does in the cases of a rule, where it does what is expected."""
    kept: dict[str, list[tuple[Variant, Observation]]] = {}

    def of_rule(rule: str) -> list[tuple[Variant, Observation]]:
        if rule not in kept:
            variants = load(rules=[rule], check=False).variants
            chosen = variants[:: 1 + len(variants) // SAMPLE]
            with Runner() as runner:
                for variant in chosen:
                    runner.ask(variant.scenario)
                pairs = [(variant, runner.answer()) for variant in chosen]
            kept[rule] = [(variant, one) for variant, one in pairs if state(variant, one) == "match"]
        return kept[rule]

    return of_rule


@pytest.mark.parametrize("fake", [generous, jealous, confused], ids=lambda fake: fake.__name__)
@pytest.mark.parametrize("rule", rule_ids())
def test_a_kernel_that_breaks_a_rule_is_caught(
    seen: Callable[[str], list[tuple[Variant, Observation]]], rule: str, fake: Fake
) -> None:
    pairs = seen(rule)
    if not pairs:
        pytest.skip("nothing of this rule can be asked here")
    broken = [(variant, other) for variant, one in pairs if (other := attempt(fake, one)) != one]
    if not broken:
        pytest.skip("nothing in this rule that this fake would do otherwise")
    assert "mismatch" in {state(variant, other) for variant, other in broken}


def attempt(fake: Fake, one: Observation) -> Observation:
    try:
        return fake(one)
    except IndexError:  # no step that it could break
        return one


@pytest.mark.parametrize("rule", rule_ids())
def test_every_rule_is_broken_by_one_of_the_fakes(
    seen: Callable[[str], list[tuple[Variant, Observation]]], rule: str
) -> None:
    pairs = seen(rule)
    if not pairs:
        pytest.skip("nothing of this rule can be asked here")
    fakes = (generous, jealous, confused)
    red = {
        fake.__name__ for fake in fakes for variant, one in pairs if state(variant, attempt(fake, one)) == "mismatch"
    }
    assert red
