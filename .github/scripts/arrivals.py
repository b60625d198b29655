"""What came of the legs: who arrived whole, who did not and why; the runs of one platform together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from legs import Leg, due, legs

from pytest_sockreuse.platforms import Platform, registry
from pytest_sockreuse.report.measured import Run, runs
from pytest_sockreuse.report.results import Result, Results, ResultsError, entry_of, lines
from pytest_sockreuse.suite import Suite
from pytest_sockreuse.text import visible


@dataclass(frozen=True, slots=True)
class Arrival:
    """A leg and what came of it. `state` is whole, truncated (or otherwise no results file), missing or retired."""

    leg: Leg
    state: str
    why: str = ""
    run: Run | None = field(default=None, repr=False)


def arrivals(directory: Path, suite: Suite, day: date, listed: Sequence[Leg] | None = None) -> list[Arrival]:
    """Each leg that is listed, by its file in `directory`, which is named after it."""
    expected = {leg.name for leg in due(day)} if listed is None else {leg.name for leg in listed}
    return [
        _arrival(leg, directory / f"{leg.name}.jsonl", suite)
        if leg.name in expected
        else Arrival(leg, "retired", f"its image went on {leg.until}")
        for leg in (legs() if listed is None else listed)
    ]


def strangers(directory: Path, arrived: Iterable[Arrival]) -> list[str]:
    """Files of no leg that was due, which are not looked at."""
    known = {arrival.leg.name for arrival in arrived if arrival.state != "retired"}
    return sorted(visible(path.name) for path in directory.glob("*.jsonl") if path.stem not in known)


def _arrival(leg: Leg, path: Path, suite: Suite) -> Arrival:
    if not path.exists():
        return Arrival(leg, "missing", "it uploaded nothing")
    try:
        found = runs([path], suite)
    except ResultsError as error:
        return Arrival(leg, "truncated", _ended(path) or str(error).removeprefix(f"{visible(path, 1000)}: "))
    if len(found) != 1:
        return Arrival(leg, "truncated", f"{len(found)} platforms in one file")
    (run,) = found
    if run.results.about["suite"] != suite.version:
        return Arrival(leg, "truncated", f"of another suite, {visible(run.results.about['suite'])}")
    if run.platform.stack != leg.stack:
        return Arrival(leg, "truncated", f"of {visible(run.platform.name)}")
    return Arrival(leg, "whole", run=run)


def _ended(path: Path) -> str:
    """What a leg that got no results says of its end."""
    try:
        (at, text), *_ = lines(path)
        ended = entry_of(text, at).get("ended")
    except ResultsError:
        return ""
    return f"ended {visible(ended, 500)}" if isinstance(ended, str) else ""


def line_of(platform: Platform) -> str:
    """The release line of a platform, as the registry writes versions: linux-6.17, macos-15, windows-server-2025."""
    table = registry().get(platform.stack)
    depth = 2 if table is None else min(2, len(table["versions"][-1].split(".")))
    return f"{platform.stack}-{'.'.join(platform.label.split('.')[:depth])}"


def whole(arrived: Iterable[Arrival]) -> Iterator[tuple[Leg, Run]]:
    for arrival in arrived:
        if arrival.run is not None:
            yield arrival.leg, arrival.run


def platforms(arrived: Iterable[Arrival], suite: Suite) -> Iterator[tuple[Run, list[str]]]:
    """The runs of each platform as one, under its name; and what differs in them."""
    found: dict[str, list[Run]] = defaultdict(list)
    for _, run in whole(arrived):
        found[run.platform.name].append(run)
    for name, those in sorted(found.items()):
        merged, differ = together(those, suite)
        yield Run(Path(f"{name}.jsonl"), those[0].platform, merged), differ


def together(found: Sequence[Run], suite: Suite) -> tuple[Results, list[str]]:
    """The runs of one platform as one, and the variants that were asked in two of them and differ: those are left out.

    What was asked wins over what could not be: root's run over a user's, and a machine's over pytest's. Where the suite
    states that the outcome may be either, it is either.
    """
    first, *rest = found
    merged, differ = Results(dict(first.results.about), dict(first.results.results)), set()
    for run in rest:
        for id_, result in run.results.results.items():
            kept = merged.results.get(id_)
            if kept is None or kept.verdict == "unsupported":
                merged.results[id_] = result
            elif result.verdict != "unsupported" and _seen(result) != _seen(kept):
                stated = suite.by_id[id_].expected(run.platform) if result.content == kept.content else None
                either = _either(kept.outcome, result.outcome)
                if stated is not None and all(_allowed(stated.outcome, *seen) for seen in either.items()):
                    merged.results[id_] = replace(kept, outcome=either)
                else:
                    differ.add(id_)
    for id_ in differ:
        del merged.results[id_]
    merged.about["selected"] = len(merged.results)
    return merged, sorted(differ)


def _either(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Of each step all outcomes of both, as alternatives."""
    steps = sorted(one.keys() | other.keys())
    seen = {step: {*one.get(step, "ok").split("|"), *other.get(step, "ok").split("|")} for step in steps}
    return {step: "|".join(sorted(outcomes, key=lambda text: (text != "ok", text))) for step, outcomes in seen.items()}


def _allowed(stated: Mapping[str, str], step: str, outcomes: str) -> bool:
    return set(outcomes.split("|")) <= set(stated.get(step, "ok").split("|"))


def _seen(result: Result) -> tuple[str, tuple[tuple[str, str], ...]]:
    return result.content, tuple(sorted(result.outcome.items()))
