"""What the runs prove: the results to file, and the statements that are `measured` now, as files of a pull request."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from arrivals import Arrival, platforms

from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix import claims_page
from pytest_sockreuse.matrix.build import build
from pytest_sockreuse.matrix.kept import keep
from pytest_sockreuse.platforms import known
from pytest_sockreuse.report.measured import Run, proposal, runs
from pytest_sockreuse.report.results import write
from pytest_sockreuse.suite import Suite
from pytest_sockreuse.verdict import FAILURES


def candidates(arrived: Iterable[Arrival], suite: Suite) -> list[Run]:
    """The runs of each platform, as one, where they agree with the suite and with one another."""
    return [
        run
        for run, differ in platforms(arrived, suite)
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
    return names + anew(checkout, into, {run.platform.stack for run in needed})


def anew(checkout: Path, into: Path, stacks: Container[str]) -> list[str]:
    """Put beside what is proposed what follows from it; the names of the files that differ from the checkout's.

    They are what `sockreuse results predict` would keep of these stacks, and `sockreuse report --claims` write.
    """
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "conformance")
        for folder in (checkout, into):
            shutil.copytree(folder / "conformance", root, dirs_exist_ok=True)
        suite, filed = load(root), sorted((root / "results").glob("*.jsonl"))
        asked = [*known(), *(run.platform for run in runs(filed, suite))]
        list(keep(suite, [one for one in asked if one.stack in stacks], root / "predictions"))
        page = Path(place, "docs", "claims.md")
        page.parent.mkdir()
        page.write_text(claims_page.text(build(filed, suite=suite)), encoding="utf-8")
        names = []
        for path in (*sorted((root / "predictions").glob("*.jsonl")), page):
            name = path.relative_to(place).as_posix()
            before = checkout / name
            if not before.exists() or path.read_bytes() != before.read_bytes():
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, into / name)
                names.append(name)
    return names
