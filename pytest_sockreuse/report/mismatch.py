"""What a mismatch prints: the scenario with expected and seen outcome beside each step, and where to look next."""

from __future__ import annotations

import textwrap

from ..scenario import Observation, Scenario, StepOutcome
from ..suite import Expectation, Suite, Variant, behaves_like
from ..verdict import Verdict, differences


def mismatch_text(
    variant: Variant, observation: Observation | None, verdict: Verdict, expected: Expectation | None, suite: Suite
) -> str:
    """The text of one failed case; no line of it is about our own code."""
    if observation is None or expected is None:
        return f"{variant.id} is broken: {verdict.reason}\n\n{textwrap.indent(variant.text, '    ')}"
    seen = {step.step: step for step in observation.steps}
    first = seen[verdict.wrong[0]]
    lines = [
        f"{variant.id}: {first.step} gave {_shown(first)}, not {_wanted(expected, first)}",
        f"    {variant.case.title}",
        "",
    ]
    lines += beside(variant.scenario, seen, expected, verdict.wrong)
    lines.append("")
    ports = ", ".join(f"{symbol}={port}" for symbol, port in observation.ports.items())
    same = "; ".join(behaves_like(variant, lambda outcome: not differences(outcome, observation)))
    sources = [suite.evidence[key]["title"] for key in expected.evidence]
    facts = [f"{id_} {suite.claims[id_].text}" for id_ in variant.case.claims] or [variant.case.fact]
    entries = {
        "platform": observation.platform + (f", {ports}" if ports else ""),
        "claim": facts[0],
        "depends": variant.case.why,
        "as seen on": same or "no platform that we know",
        "basis": "; ".join([expected.basis, *sources]),
        "note": expected.note,
        "data": str(variant.case.at),
        "repeat": f"pytest 'sockreuse::{variant.case.rule}::{variant.name}'",
    }
    return "\n".join(lines + [f"{name:<11} {text}" for name, text in entries.items() if text])


def beside(
    scenario: Scenario, seen: dict[str, StepOutcome], expected: Expectation, wrong: tuple[str, ...]
) -> list[str]:
    """Each line of the scenario with what was seen, and where that differs what was expected."""
    steps = [str(step) for step in scenario.steps]
    width = max(map(len, [*steps, *map(str, scenario.environment)]), default=0)
    lines = [f"    {setting}" for setting in map(str, scenario.environment)]
    for step, text in zip(scenario.steps, steps, strict=True):
        if step.label:
            mark = f"   <-- expected {_wanted(expected, seen[step.label])}" if step.label in wrong else ""
            text = f"{text:<{width}}   {_shown(seen[step.label])}{mark}"
        lines.append(f"    {text}")
    return lines


def _shown(step: StepOutcome) -> str:
    return step.outcome if step.value is None else step.value


def _wanted(expected: Expectation, step: StepOutcome) -> str:
    return expected.outcome.get(step.step, "ok").replace("|", " or ")
