"""What the runs prove becomes a pull request: only of runs that agree, with no more results than it rests on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import legs
import proposal
import propose
import pytest
from arrivals import Arrival, arrivals
from arriving import arrive, mismatch, suite, unsupported, variants

from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix import claims_page
from pytest_sockreuse.matrix.build import build
from pytest_sockreuse.matrix.kept import Stack, keep
from pytest_sockreuse.platforms import named
from pytest_sockreuse.report.measured import Run
from pytest_sockreuse.report.results import Result, Results, write

LEGS = [legs.named(name) for name in ("ubuntu-24.04", "ubuntu-24.04-root", "ubuntu-26.04")]


def arrived(tmp_path: Path, *which: int) -> list[Arrival]:
    return arrivals(tmp_path, suite(), date(2026, 11, 30), [LEGS[n] for n in which])


def names(found: list[Run]) -> list[str]:
    return [run.platform.name for run in found]


def test_runs_of_one_platform_are_one_candidate(tmp_path: Path) -> None:
    first = variants()[0]
    arrive(tmp_path, "ubuntu-24.04", "linux-6.17.13", {first: unsupported(first)})
    arrive(tmp_path, "ubuntu-24.04-root", "linux-6.17.13")
    arrive(tmp_path, "ubuntu-26.04", "linux-7.0.13")
    found = proposal.candidates(arrived(tmp_path, 0, 1, 2), suite())
    assert names(found) == ["linux-6.17.13", "linux-7.0.13"]
    assert found[0].results.results[first].verdict == "match"


def test_a_run_that_departs_or_that_another_contradicts_is_none(tmp_path: Path) -> None:
    first = variants()[0]
    arrive(tmp_path, "ubuntu-24.04", "linux-6.17.13")
    other = Result(first, suite().by_id[first].content, "match", {"listener.bind": "EADDRINUSE"})
    arrive(tmp_path, "ubuntu-24.04-root", "linux-6.17.13", {first: other})
    arrive(tmp_path, "ubuntu-26.04", "linux-7.0.13", {first: mismatch(first, {"listener.bind": "EACCES"})})
    assert proposal.candidates(arrived(tmp_path, 0, 1, 2), suite()) == []


def test_only_results_that_the_diff_rests_on_are_filed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(tmp_path, "ubuntu-24.04", "linux-6.17.13")
    arrive(tmp_path, "ubuntu-26.04", "linux-7.0.13")
    runs = proposal.candidates(arrived(tmp_path, 0, 2), suite())
    shows = {"linux-7.0.13"}
    monkeypatch.setattr(proposal, "proposal", lambda _, known: "diff" if shows & set(names(known)) else "")
    assert proposal.proposed(runs, [], suite()) == ("diff", [runs[1]])
    assert proposal.proposed(runs, [runs[1]], suite()) == ("", [])  # what is filed shows it already
    shows.clear()
    assert proposal.proposed(runs, [], suite()) == ("", [])


def test_what_follows_from_the_results_is_proposed_with_them(conformance: Callable[..., Path], tmp_path: Path) -> None:
    root, into = conformance(), tmp_path / "proposed"
    small, platforms = load(root), [named("linux-6.18"), named("macos-15")]
    list(keep(small, platforms, root / "predictions"))
    first = small.variants[0]
    mine = Results({"platform": "linux-6.9.1", "suite": small.version, "selected": 1})
    mine.results[first.id] = Result(first.id, first.content, "match", {})
    (into / "conformance/results").mkdir(parents=True)
    write(into / "conformance/results/linux-6.9.1.jsonl", [mine], small)
    made = proposal.anew(tmp_path, into, {"linux"})
    assert made == ["conformance/predictions/linux.jsonl", "docs/claims.md"]
    stack = Stack("linux", small, into / "conformance/predictions")
    assert len(stack.column(named("linux-6.9.1"))) == len(small.variants)
    assert not stack.anew
    page = (into / "docs/claims.md").read_text(encoding="utf-8")
    assert page == claims_page.text(build([into / "conformance/results/linux-6.9.1.jsonl"], suite=small))
    shutil.copytree(into, tmp_path, dirs_exist_ok=True)
    assert proposal.anew(tmp_path, into, {"linux"}) == []  # what is there already


@pytest.mark.parametrize(
    "name",
    [
        ".github/workflows/ci.yml",
        "conformance/rules/../x.toml",
        "conformance/lab/run.py",
        "conformance/results/x",
        "conformance/predictions/../x.jsonl",
        "docs/ci.md",
        "a.py",
    ],
)
def test_nothing_but_what_a_measurement_changes_is_proposed(name: str, tmp_path: Path) -> None:
    (tmp_path / "conformance/rules").mkdir(parents=True, exist_ok=True)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match="is nothing that a measurement changes"):
        propose.files(tmp_path)
