"""The suite for a machine without Python, and what it did there: one scenario file out, the runner's answers back in.

The answers are the lines that ``sockreuse run --json`` prints, from `conformance/lab/runner.c` or from that command.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..expected import expected
from ..platforms import LATEST, Platform, known, version
from ..scenario import Observation, Scenario, StepOutcome
from ..suite import Suite, Variant
from ..text import visible
from ..verdict import is_outcome, is_value, judge, shown
from ..version import __version__
from .results import LONG, Result, Results, ResultsError, entry_of, lines

_NONE = "a line that the runner prints, or not all of it: run it anew"
_NAME = re.compile(r"([a-z0-9]+)-([A-Za-z0-9._-]{1,60})")


def export(suite: Suite) -> Iterator[str]:
    """The whole suite as one scenario file, a section for each variant under its id."""
    yield f"# The suite {suite.version} of pytest-sockreuse {__version__}: {len(suite.variants)} scenarios.\n"
    for variant in suite.variants:
        yield f"--- {variant.id}\n{variant.scenario}"


def load(paths: Sequence[Path], suite: Suite, wanted: Collection[str] | None = None) -> Results:
    """The results of one platform from what a runner printed for the exported suite, in one file or several.

    `wanted` are the ids that must have been answered (all of the suite's).
    Raises ResultsError, with file and line, where an answer is not one to this suite, or one is missing.
    """
    results = Results({})
    for path in paths:
        for at, text in lines(path):
            variant, observation = _answer(text, suite, at)
            if not results.about:
                platform = _platform(observation.platform, at)
                results.about = _about(platform, suite)
            if observation.platform != platform.name:
                other = visible(observation.platform)
                raise ResultsError(f"{at}: {other}, after {platform}: import one platform at a time")
            if variant.id in results.results:
                raise ResultsError(f"{at}: {variant.id} a second time: leave one of the two out")
            results.add(_judged(variant, platform, observation))
    missing = [id_ for id_ in (suite.by_id if wanted is None else wanted) if id_ not in results.results]
    if missing:
        rest = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ResultsError(
            f"{visible(paths[-1], 1000)}: no answer to {missing[0]}{rest}: have all of `sockreuse export` performed"
        )
    return results


def _about(platform: Platform, suite: Suite) -> dict[str, Any]:
    return {
        "platform": platform.name,
        "stack": platform.stack,
        "version": platform.label,
        "isolation": "unknown",
        "suite": suite.version,
        "selected": len(suite.variants),
    }


def _answer(text: str, suite: Suite, at: str) -> tuple[Variant, Observation]:
    """One line, checked by the scenario that it answers."""
    title, seen = answer(text, at)
    if title not in suite.by_id:
        what = "no title" if title is None else f"no variant '{visible(title)}' in the suite"
        raise ResultsError(f"{at}: {what}: perform what this version's `sockreuse export` prints")
    variant = suite.by_id[title]
    return variant, of_scenario(seen, variant.scenario, f"{at}: {title}")


def answer(text: str, at: str) -> tuple[str | None, Observation]:
    """The title and the observation of a line that a runner printed. Raises ResultsError."""
    entry = entry_of(text, at, _NONE)
    try:
        platform, title, not_run, steps = (entry.pop(key, None) for key in ("platform", "title", "not_run", "steps"))
        texts = [text for text in (platform, title, not_run) if text is not None]
        if entry or not platform or (not_run is None) == (steps is None) or not all(map(_is_text, texts)):
            raise ValueError
        outcomes = tuple(StepOutcome(**step) for step in steps or ())
        if not all(_is_whole(step) for step in outcomes):
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        raise ResultsError(f"{at}: not {_NONE}") from None
    return title, Observation(platform, outcomes, not_run=not_run)


def _is_text(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= LONG


def of_scenario(seen: Observation, scenario: Scenario, at: str) -> Observation:
    """An observation checked by its scenario, with what the port symbols stood for. Raises ResultsError."""
    labels = [step.label for step in scenario.steps if step.label]
    if seen.not_run is None and [step.step for step in seen.steps] != labels:
        raise ResultsError(f"{at}: not the steps that were asked for: perform what this version prints")
    return replace(seen, ports=_ports(scenario, seen.steps))


def _is_whole(step: StepOutcome) -> bool:
    """Whether a step has an outcome, and a value where one is recorded and nowhere else."""
    verb = step.step.partition("#")[0].rpartition(".")[2]
    if verb in ("name", "get") and step.outcome == "ok":
        return is_value(verb, step.value)
    return is_outcome(step.outcome) and step.value is None


def _ports(scenario: Scenario, outcomes: Sequence[StepOutcome]) -> dict[str, int]:
    """What the port symbols stood for, as far as it shows: a socket that is bound to one, or accepted there, says so.

    A port outside the symbols' range belongs to no symbol; a value that shows one is an error of the answer.
    """
    low, high = next((s.ports for s in reversed(scenario.environment) if s.kind == "ephemeral"), (0, 0))
    no_symbol = {address.port for address in scenario.addresses}
    first: dict[str, str] = {}  # a second descriptor -> the first name of its socket
    bound: dict[str, str] = {}  # socket -> symbol
    loose: set[str] = set()  # sockets that were disconnected: the next call may choose another port
    found: dict[str, int] = {}
    labelled = (step for step in scenario.steps if step.label)
    for step, outcome in zip(labelled, outcomes, strict=False):
        name, of = (first.get(name, name) for name in (step.name, step.of))
        symbol = bound.get(name)
        if outcome.outcome != "ok":
            continue
        if step.verb == "bind" and step.address is not None:
            owner = step.address.owner or ""
            bound[name] = step.address.symbol or bound.get(first.get(owner, owner)) or ""
            loose.discard(name)
        elif step.verb == "accept":
            bound[name] = bound.get(of, "")
        elif step.verb == "dup":
            first[name] = of
        elif step.verb == "disconnect":
            loose.add(name)
        elif step.verb in ("connect", "listen", "send", "sendto") and name in loose:
            bound[name] = ""
        elif step.verb == "name" and symbol and symbol not in found:
            digits = (outcome.value or "").rpartition(":")[2]
            port = int(digits) if re.fullmatch(r"[0-9]{1,5}", digits) else 0
            if 0 < port < 65536 and not low <= port <= high and port not in no_symbol:
                found[symbol] = port
                no_symbol.add(port)
    return found


def _platform(name: str, at: str) -> Platform:
    found = _NAME.fullmatch(name)
    if found:
        for platform in known():
            if platform.name == name:
                return platform
        label = found[2]
        return Platform(found[1], version(label) if label[0].isdigit() else LATEST, label)
    raise ResultsError(f"{at}: '{visible(name)}' is no platform: a name such as linux-6.18.44 should stand there")


def _judged(variant: Variant, platform: Platform, observation: Observation) -> Result:
    expectation = expected(variant, platform, observation)
    verdict = judge(expectation.outcome if expectation else None, observation)
    claims = shown(variant.case.claims, observation, verdict)
    return Result.of(variant, observation, verdict, expectation, claims)
