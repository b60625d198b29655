"""All legs together: ``python merge.py ARRIVED OUT``, with the files of the legs in ARRIVED.

OUT gets `whole/`, the results that can be believed; `platforms/`, those of each platform as one; `page/`, what is
deployed; `drift.json`, for `issues.py`; `proposal/`, for `propose.py`. The job's summary says which legs are missing or
truncated, and its outputs whether all are whole (`complete`), whether any is (`page`), and whether there is something
to propose (`proposal`). Nothing here needs, or has, a right to write.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from arrivals import Arrival, arrivals, platforms, strangers, whole
from drift import measured
from legs import today
from proposal import candidates, lay_out

from pytest_sockreuse.loader import load
from pytest_sockreuse.report.results import write
from pytest_sockreuse.suite import Suite
from pytest_sockreuse.text import visible
from pytest_sockreuse.verdict import VERDICTS

CHECKOUT = Path(__file__).parents[2]
MOST = 900_000  # bytes: a summary just under the service's 1 MiB is dropped without a word
_SPECIAL = {ord(letter): f"&#{ord(letter)};" for letter in "&<>|`*_[]\\#~@"}

Drift = dict[str, dict[str, Any]]  # as `drift.measured` makes it


def plain(text: object) -> str:
    """A stranger's text as nothing but text in Markdown."""
    return visible(text, 300).translate(_SPECIAL)


def summary(
    arrived: Sequence[Arrival], other: Sequence[str], suite: Suite, drift: Drift, new: Sequence[str], matrix: str = ""
) -> str:
    """What the job's summary says, of at most MOST bytes."""
    lines = [
        *_legs(arrived, other),
        *_differing(arrived, suite),
        *_drift(drift),
        *_proposal(new),
        "",
        *matrix.split("\n"),
    ]
    size = 0
    for number, line in enumerate(lines):
        size += len(line.encode()) + 1
        if size > MOST - 100:
            lines[number:] = ["", f"{len(lines) - number} lines left out; the results are kept with this run."]
            break
    return "\n".join([*lines, ""])


def _legs(arrived: Sequence[Arrival], other: Sequence[str]) -> Iterator[str]:
    states = Counter(arrival.state for arrival in arrived)
    expected = len(arrived) - states["retired"]
    counts = ", ".join(f"{states[state]} {state}" for state in ("whole", "truncated", "missing"))
    yield f"## {expected} legs: {counts}"
    for arrival in arrived:
        if arrival.state != "whole":
            yield f"- **{arrival.leg.name}** is {arrival.state}: {plain(arrival.why)}"
    for name in other:
        yield f"- {plain(name)} belongs to no leg and was not looked at"
    yield from ("", f"| leg | platform | {' | '.join(VERDICTS)} |", f"|---|---|{'---:|' * len(VERDICTS)}")
    for leg, run in whole(arrived):
        verdicts = Counter(result.verdict for result in run.results.results.values())
        cells = " | ".join(str(verdicts[verdict]) for verdict in VERDICTS)
        yield f"| {leg.name} | {plain(run.platform)} | {cells} |"
    yield ""


def _differing(arrived: Sequence[Arrival], suite: Suite) -> Iterator[str]:
    """Where two runs of one platform were asked the same and differ: neither is taken for the platform."""
    for run, differ in platforms(arrived, suite):
        if differ:
            names = ", ".join(map(plain, differ[:5]))
            yield f"- {plain(run.platform)}: {len(differ)} variants differ from run to run: {names}"


def _drift(drift: Drift) -> Iterator[str]:
    found = {line: entry for line, entry in drift.items() if entry["differs"]}
    yield f"## Drift: {', '.join(found) or 'none was measured'}"
    for entry in found.values():
        yield from ("", f"### {entry['title']}", "", entry["body"])


def _proposal(new: Sequence[str]) -> Iterator[str]:
    if new:
        yield f"## Proposed as measured: {', '.join(f'`{name}`' for name in new)}"


def page(out: Path) -> str:
    """What is deployed: what arrived and what is filed, with the models. Returns the matrix for the summary."""
    files = [*sorted((CHECKOUT / "conformance" / "results").glob("*.jsonl")), *sorted((out / "whole").glob("*.jsonl"))]
    (out / "page").mkdir(exist_ok=True)
    forms = {"html": "page/matrix.html", "json": "page/matrix.json", "badges": "page/badges", "markdown": "matrix.md"}
    options = [word for form, name in forms.items() for word in (f"--{form}", out / name)]
    command = [sys.executable, "-m", "pytest_sockreuse.cli", "report", "--keep-going", *options, "--", *files]
    subprocess.run([*map(str, command)], check=True)
    return (out / "matrix.md").read_text(encoding="utf-8")


def merge(arrived: Sequence[Arrival], other: Sequence[str], suite: Suite, out: Path, link: str = "") -> dict[str, str]:
    """Write what OUT gets and the summary; the outputs of the job."""
    (out / "whole").mkdir(parents=True, exist_ok=True)
    for leg, run in whole(arrived):
        shutil.copyfile(run.path, out / "whole" / f"{leg.name}.jsonl")
    (out / "platforms").mkdir(exist_ok=True)
    for run, _ in platforms(arrived, suite):
        write(out / "platforms" / run.path, [run.results], suite)
    drift = measured(arrived, suite, link)
    (out / "drift.json").write_text(json.dumps(drift, indent=1) + "\n", encoding="utf-8")
    new = lay_out(candidates(arrived, suite), suite, CHECKOUT, out / "proposal")
    some = any(whole(arrived))  # a run in which nothing arrived changes no page
    text = summary(arrived, other, suite, drift, new, page(out) if some else "")
    (out / "summary.md").write_text(text, encoding="utf-8")
    complete = all(arrival.state in ("whole", "retired") for arrival in arrived)
    outputs = {"complete": complete, "page": some, "proposal": bool(new)}
    return {name: str(value).lower() for name, value in outputs.items()}


def _append(variable: str, text: str) -> None:
    if variable in os.environ:
        with open(os.environ[variable], "a", encoding="utf-8") as file:
            file.write(text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("merge", description="Take in the results of all legs.")
    parser.add_argument("arrived", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--link", default="", help="where the run can be seen")
    parser.add_argument("--rules", default="all", metavar="RULE,…", help="these rules of the suite only, to try it out")
    asked = parser.parse_args(arguments)
    if asked.out.exists():
        parser.error(f"{asked.out} is there already, of another run: name another, or remove it")
    suite = load(rules=None if asked.rules == "all" else asked.rules.split(","), check=False)
    arrived = arrivals(asked.arrived, suite, today())
    outputs = merge(arrived, strangers(asked.arrived, arrived), suite, asked.out, asked.link)
    text = (asked.out / "summary.md").read_text(encoding="utf-8")
    print(text)
    _append("GITHUB_STEP_SUMMARY", text)
    _append("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in outputs.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
