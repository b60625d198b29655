"""What the committed results prove: `measured` statements and version boundaries; and the two commands."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sockreuse import cli
from pytest_sockreuse.cli import main
from pytest_sockreuse.loader import load
from pytest_sockreuse.platforms import CONFORMANCE
from pytest_sockreuse.report.measured import Run, boundaries, complaints, proposal, runs, unshown
from pytest_sockreuse.report.results import Results, write
from pytest_sockreuse.suite import Suite

FILES = sorted((Path(__file__).parents[1] / "conformance" / "results").glob("*.jsonl"))  # no wheel has them


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load()


@pytest.fixture(scope="module")
def known() -> list[Run]:
    return runs(FILES)


def test_measured_statements_are_shown_by_a_run(suite: Suite, known: list[Run]) -> None:
    found = [*unshown(suite, known)]
    assert not found, f"{len(found)} cells, such as {found[:5]}"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_results_are_of_this_suite_and_as_expected(path: Path, suite: Suite, known: list[Run]) -> None:
    found = [complaint for run in known if run.path == path for complaint in complaints(run, suite)]
    assert not found, "\n".join(found)


def test_each_boundary_that_lies_between_two_runs_is_a_step(suite: Suite, known: list[Run]) -> None:
    found = [*boundaries(suite, known)]
    assert found, "no boundary has runs on both of its sides"
    flat = [f"{b.statement.at}: {b.label}, {b.below} and {b.above} alike" for b in found if not b.step]
    assert not flat, "\n".join(flat)


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def changed(tmp_path: Path, known: list[Run]) -> Callable[..., Path]:
    """A results file like the newest of Linux, but for some results; None leaves one out."""
    newest = max((run for run in known if run.platform.stack == "linux"), key=lambda run: run.platform.version)

    def change(**by_field: str) -> Path:
        entries = dict(newest.results.results)
        first = next(id_ for id_, result in entries.items() if result.verdict == "match" and not result.outcome)
        if by_field:
            entries[first] = replace(entries[first], **by_field)  # type: ignore[arg-type]
        else:
            del entries[first]
        path = tmp_path / "changed.jsonl"
        write(path, [Results({**newest.results.about, "selected": len(entries)}, entries)])
        return path

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"content": "0" * 12}, "1 of another scenario than this suite's: "),
        ({"id": "order-dependence/gone"}, "1 of no variant of this suite: order-dependence/gone"),
        ({"outcome": {"nobody.bind": "EADDRINUSE"}}, None),
        ({}, "1 missing: "),
    ],
)
def test_check_names_what_is_wrong(
    change: dict[str, str], complaint: str | None, changed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(**change)
    status = main(["results", "check", str(path)])
    out = capsys.readouterr().out
    assert status == (0 if complaint is None else 1)
    assert complaint is None or (complaint in out and out.startswith(f"{path}: linux-"))


def test_check_names_what_departs(
    suite: Suite, known: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = max((run for run in known if run.platform.stack == "linux"), key=lambda run: run.platform.version)
    entries = dict(newest.results.results)
    variant = next(v for v in suite.variants if entries[v.id].verdict == "match" and not entries[v.id].outcome)
    label = next(step.label for step in variant.scenario.steps if step.label)
    entries[variant.id] = replace(entries[variant.id], outcome={label: "ENOMEM"})
    path = tmp_path / "departed.jsonl"
    write(path, [Results({**newest.results.about, "selected": len(entries)}, entries)])
    assert main(["results", "check", str(path)]) == 1
    assert f"1 not what the suite expects of it: {variant.id}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_truncated_file_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(FILES[0].read_text().splitlines(keepends=True)[:50]))
    assert main(["results", command, str(path)]) == 2
    assert "truncated" in capsys.readouterr().err


def test_an_installation_has_no_results_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "CONFORMANCE", tmp_path)
    monkeypatch.setattr(cli, "_suite", lambda: None)
    assert main(["results", "check"]) == 2
    assert capsys.readouterr().err == "sockreuse: name the results files: only a checkout has some of its own\n"


def test_apply_proposes_what_is_shown_and_nothing_else(known: list[Run], tmp_path: Path) -> None:
    """A copy of the data in which one measured statement is weaker: the diff makes it as it was."""
    data = tmp_path / "conformance"
    shutil.copytree(CONFORMANCE, data, ignore=shutil.ignore_patterns("results", "lab"))
    file = data / "rules" / "order-dependence.toml"
    text = file.read_text()
    file.write_text(text.replace('basis = "measured"', 'basis = "inferred"', 1))
    weaker = load(data)
    diff = proposal(weaker, known)
    changed = [line.replace(" ", "") for line in diff.splitlines() if line[1:].lstrip().startswith("basis")]
    assert changed == ['-basis="inferred"', '+basis="measured"']
    subprocess.run(["git", "apply", "-p1"], cwd=tmp_path, input=diff, text=True, check=True)
    assert file.read_text() == text


def test_what_no_run_shows_is_told_and_left(suite: Suite) -> None:
    assert next(unshown(suite, [])).endswith("]")
    assert proposal(suite, []) == ""
