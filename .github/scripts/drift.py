"""Drift: a platform that was measured does otherwise than the suite expects. What its issue says; see `issues.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from arrivals import Arrival, line_of, whole

from pytest_sockreuse.expected import expected
from pytest_sockreuse.platforms import registry
from pytest_sockreuse.report.measured import Run
from pytest_sockreuse.report.mismatch import mismatch_text
from pytest_sockreuse.report.results import observed
from pytest_sockreuse.suite import Suite, Variant
from pytest_sockreuse.verdict import FAILURES, judge

MOST = 50_000  # characters of an issue; the service takes 65 536, and its first line has names of legs and cases

Differing = dict[str, list[tuple[Variant, Run, str]]]


def measured(arrived: Iterable[Arrival], suite: Suite, link: str) -> dict[str, dict[str, Any]]:
    """Of each release line that was measured: which legs did, which of them and which cases differ, which cases could
    not be asked, title and body of its issue.
    """
    by_line: dict[str, list[tuple[str, Run]]] = defaultdict(list)
    for leg, run in whole(arrived):
        by_line[line_of(run.platform)].append((leg.name, run))
    return {line: _issue(line, found, suite, link) for line, found in sorted(by_line.items())}


def _issue(line: str, found: list[tuple[str, Run]], suite: Suite, link: str) -> dict[str, Any]:
    cases: Differing = defaultdict(list)
    unasked = {id_.partition("[")[0] for id_ in suite.by_id}
    for leg, run in found:
        for id_, result in run.results.results.items():
            case = id_.partition("[")[0]
            if result.verdict == "mismatch" and id_ in suite.by_id:
                cases[case].append((suite.by_id[id_], run, leg))
            if result.verdict not in ("unsupported", "broken"):
                unasked.discard(case)
    who = {
        "measured": sorted(leg for leg, _ in found),
        "differs": sorted({leg for entries in cases.values() for *_, leg in entries}),
        "cases": sorted(cases),
        "unasked": sorted(unasked),
    }
    if not cases:
        return {**who, "title": "", "body": ""}
    stack, _, version = line.partition("-")
    name = f"{registry()[stack]['title']} {version}"
    count = len({variant.id for entries in cases.values() for variant, *_ in entries})
    measured_on = ", ".join(sorted({f"{run.platform} ({leg})" for leg, run in found}))
    head = [
        f"Measured on {measured_on}: {_counted(count, 'variant')} of {_counted(len(cases), 'case')} not as expected.",
        "",
        "This is news about the system, or a mistake in our data. Each run brings this text up to date, and closes the",
        f"issue when all legs that showed it have measured {name} and find nothing. A leg that fails changes nothing.",
        *([f"The last run: {link}"] if link else []),
        "",
    ]
    title = f"{name} does otherwise than the suite expects"
    return {**who, "title": title, "body": _bounded(head, list(_details(cases, suite)))}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _details(cases: Differing, suite: Suite) -> Iterator[str]:
    """A paragraph a case, with its first variant in full."""
    for case, entries in sorted(cases.items()):
        legs = ", ".join(sorted({leg for *_, leg in entries}))
        variants = len({variant.id for variant, *_ in entries})
        text = next((text for variant, run, _ in entries if (text := _shown(variant, run, suite))), entries[0][0].id)
        yield f"#### `{case}`: {_counted(variants, 'variant')}, on {legs}\n\n```text\n{text}\n```\n"


def _shown(variant: Variant, run: Run, suite: Suite) -> str:
    """The mismatch as the run printed it, by what this suite expects."""
    for seen in observed(run.platform.name, variant.labels, run.results.results[variant.id].outcome, None):
        wanted = expected(variant, run.platform, seen)
        verdict = judge(wanted.outcome if wanted else None, seen)
        if verdict.state in FAILURES:
            return mismatch_text(variant, seen, verdict, wanted, suite)
    return ""


def _bounded(head: list[str], paragraphs: list[str]) -> str:
    text = "\n".join(head)
    for number, paragraph in enumerate(paragraphs):
        if len(text) + len(paragraph) > MOST:
            return f"{text}\n{len(paragraphs) - number} more cases are in the results of the run.\n"
        text += f"\n{paragraph}"
    return text
