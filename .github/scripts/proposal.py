"""What the runs prove: the results to file, and the statements that are `measured` now, as files of a pull request."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from arrivals import Arrival, platforms

from pytest_sockreuse.report.measured import Run, proposal, runs
from pytest_sockreuse.report.results import write
from pytest_sockreuse.suite import Suite
from pytest_sockreuse.verdict import FAILURES


def candidates(arrived: Iterable[Arrival]) -> list[Run]:
    """The runs of each platform, as one, where they agree with the suite and with one another."""
    return [
        run
        for run, differ in platforms(arrived)
        if not differ and not any(result.verdict in FAILURES for result in run.results.results.values())
    ]


def proposed(new: Sequence[Run], filed: Sequence[Run], suite: Suite) -> tuple[str, list[Run]]:
    """The diff of the rules that `new` runs prove beside the `filed` ones, and those of them that it rests on."""

    def diff(those: Iterable[Run]) -> str:
        own = {run.platform.name for run in those}
        return proposal(suite, [*those, *(run for run in filed if run.platform.name not in own)])

    whole = diff(new)
    if not whole or whole == diff([]):
        return "", []
    needed = list(new)
    for run in new:
        fewer = [one for one in needed if one is not run]
        if diff(fewer) == whole:
            needed = fewer
    return whole, needed


def lay_out(new: Sequence[Run], suite: Suite, checkout: Path, into: Path) -> list[str]:
    """Put the files of the pull request `into` a directory, under their names in the repository; the names."""
    if not new:
        return []
    text, needed = proposed(new, runs(sorted((checkout / "conformance" / "results").glob("*.jsonl")), suite), suite)
    if not text:
        return []
    names = re.findall(r"^\+\+\+ b/(\S+)$", text, re.MULTILINE)
    for name in names:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout / name, into / name)
    # In a repository, git would leave out what lies above.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(into.resolve().parent)}
    subprocess.run(["git", "apply", "--whitespace=nowarn"], cwd=into, env=alone, input=text, text=True, check=True)
    (into / "conformance" / "results").mkdir(parents=True, exist_ok=True)
    for run in needed:
        names.append(f"conformance/results/{run.platform}.jsonl")
        write(into / names[-1], [run.results], suite)
    return names
