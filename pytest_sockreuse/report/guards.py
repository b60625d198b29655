"""Guards as text and JSON: what a trial showed and why, where a rule holds, what to do instead; the list of rules."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping

from ..expected import honours
from ..guard import Trial
from ..model import clauses, predict
from ..platforms import Platform, current, known
from ..scenario import Observation
from ..suite import Case, Expectation, Guard, Suite, Variant, ranges
from .mismatch import beside


def refusal(trial: Trial) -> str:
    """A rule that cannot be relied on here: the calls, the clause that decides, where it holds, what to do instead."""
    guard = trial.guard
    lines = [str(trial), f"    {guard.text}"]
    entries = {}
    if trial.against is not None:
        variant, observation, verdict = trial.against
        steps = {step.step: step for step in observation.steps}
        lines += ["", *beside(variant.scenario, steps, Expectation(guard.outcome, ""), verdict.wrong[:1]), ""]
        entries["clause"] = _clause(variant, observation, verdict.wrong[0])
    places = ranges((platform, held is True) for platform, held in honours(guard, known()).items())
    entries |= {
        "holds on": "; ".join(places) or "no platform that we know",
        "instead": guard.instead if trial.against is not None else "",
        "repeat": f"sockreuse check '{guard.id}'",
    }
    return "\n".join([*lines, *(f"    {name:<9} {text}" for name, text in entries.items() if text)])


def _clause(variant: Variant, observation: Observation, label: str) -> str:
    """The clause by which our model of this platform decides a step, and whether what was seen is what it decides."""
    here = current()
    step = next((step for step in predict(variant.scenario, here).steps if step.step == label), None)
    clause = next((clause for clause in clauses(here) if step is not None and clause.name == step.clause), None)
    if step is None or clause is None:
        return ""
    seen = next(step.outcome for step in observation.steps if step.step == label)
    news = "" if seen in step.outcomes else f", by which {label} gave {' or '.join(step.outcomes)} until now"
    return f"{clause.name}: {clause.sentence} ({clause.source}){news}"


def to_json(trial: Trial) -> str:
    """One line: the rule, this platform, whether it is honoured (null: cannot be tried), what speaks against it."""
    found: dict[str, object] = {
        "rule": trial.guard.id,
        "platform": current().name,
        "honoured": trial.honoured,
        "tried": sum(verdict.state in ("match", "mismatch") for _, _, verdict in trial.seen),
        "variants": len(trial.seen),
    }
    if trial.against is not None:
        variant, observation, verdict = trial.against
        step = next(step for step in observation.steps if step.step == verdict.wrong[0])
        found |= {"variant": variant.id, "step": step.step, "outcome": step.outcome, "instead": trial.guard.instead}
    elif not trial.honoured:
        found["reason"] = trial.broken or trial.untried
    return json.dumps(found)


def described(guard: Guard) -> Iterator[str]:
    """A rule, line by line: its names, what it says, where it holds, what to do elsewhere."""
    yield f"{guard.id} ({', '.join(guard.aliases)})" if guard.aliases else guard.id
    instead = [f"Else: {guard.instead}"] if guard.instead else []
    for text in (f"{guard.text}.", *_places(honours(guard, known())), *instead):
        yield from textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="    ")


def described_json(guard: Guard) -> str:
    """The same as one line; platforms by their names, those of `unknown` are not known to do either."""
    held = honours(guard, known())
    about = {"rule": guard.id, "aliases": guard.aliases, "text": guard.text, "instead": guard.instead}
    answers = {"holds": True, "fails": False, "unknown": None}
    places = {key: [it.name for it, found in held.items() if found is answer] for key, answer in answers.items()}
    return json.dumps(about | places)


def catalogue(suite: Suite) -> Iterator[str]:
    """Every rule that can be required, line by line: guards with where they hold, then the cases that show a claim."""
    for guard in suite.guards.values():
        yield from described(guard)
        yield ""
    yield "The cases of the suite that show a claim are rules as well, whole or in one variant, as in CASE[ip4]:"
    for case in _claiming(suite):
        yield f"{case.rule}/{case.id}"
        yield f"    {case.title}"


def catalogue_json(suite: Suite) -> Iterator[str]:
    """The same, a line each; where a case holds is said when it is asked for."""
    yield from map(described_json, suite.guards.values())
    for case in _claiming(suite):
        yield json.dumps({"rule": f"{case.rule}/{case.id}", "text": case.title})


def _claiming(suite: Suite) -> Iterator[Case]:
    return (case for rule in suite.rules.values() for case in rule.cases if case.claimed is not None)


def _places(held: Mapping[Platform, bool | None]) -> Iterator[str]:
    for title, answer in (("Holds on", True), ("Not on", False), ("Not known of", None)):
        if names := list(ranges((platform, found is answer) for platform, found in held.items())):
            yield f"{title} {', '.join(names)}."
