"""What the committed results prove: `measured` statements and version boundaries; and the two commands."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from shipped import shipped

from pytest_sockreuse.cli import main
from pytest_sockreuse.commands import results as commands
from pytest_sockreuse.loader import load
from pytest_sockreuse.platforms import CONFORMANCE, Platform, Span
from pytest_sockreuse.report.measured import Run, complaints, proposal, runs, unshown
from pytest_sockreuse.report.results import Result, Results, write
from pytest_sockreuse.suite import Statement, Suite, Variant

FILES = sorted((Path(__file__).parents[1] / "conformance" / "results").glob("*.jsonl"))


@pytest.fixture(scope="module")
def suite() -> Suite:
    return shipped()


@pytest.fixture(scope="module")
def known(suite: Suite) -> list[Run]:
    return runs(FILES, suite)


def test_measured_statements_are_shown_by_a_run(suite: Suite, known: list[Run]) -> None:
    found = [*unshown(suite, known)]
    assert not found, f"{len(found)} cells, such as {found[:5]}"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_results_are_of_this_suite_and_as_expected(path: Path, suite: Suite, known: list[Run]) -> None:
    found = [complaint for run in known if run.path == path for complaint in complaints(run, suite)]
    assert not found, "\n".join(found)


# --- version boundaries -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Boundary:
    """A bound of a statement with a run just below and one just above; `step` says whether they differ in a cell."""

    statement: Statement
    label: str
    below: Platform
    above: Platform
    step: bool


def boundaries(suite: Suite, known: Sequence[Run]) -> Iterator[Boundary]:
    """Each `since` and `until` of the suite that has runs on both of its sides."""
    for rule in suite.rules.values():
        for case in rule.cases:
            for statement in case.statements:
                for label in (*statement.span.since, *statement.span.until):
                    sides = _sides(label, [run for run in known if run.platform.stack in statement.on])
                    if sides is not None and _parts(statement, *sides):
                        below, above = sides
                        cells = [cell for cell in case.variants if statement.covers(cell.named_values)]
                        cells = [cell for cell in cells if _asked(cell, below) and _asked(cell, above)]
                        cells = [cell for cell in cells if _part(cell, below.platform, above.platform)]
                        step = any(_outcome(cell, below) != _outcome(cell, above) for cell in cells)
                        if cells:
                            yield Boundary(statement, label, below.platform, above.platform, step)


def _sides(label: str, known: Sequence[Run]) -> tuple[Run, Run] | None:
    """The nearest runs before and from a release on; of a stable one (x.y.z) only within its line."""
    span = Span((label,))
    line = label.split(".")[:2] if label.count(".") > 1 else []
    near = [run for run in known if not line or [*map(str, run.platform.version[:2])] == line]
    ordered = sorted(near, key=lambda run: run.platform.version)
    below = [run for run in ordered if run.platform.version not in span]
    above = [run for run in ordered if run.platform.version in span]
    return (below[-1], above[0]) if below and above else None


def _parts(statement: Statement, below: Run, above: Run) -> bool:
    """Whether one run lies in the statement's span and the other does not: of a backport it may be neither."""
    return (below.platform.version in statement.span) != (above.platform.version in statement.span)


def _part(cell: Variant, below: Platform, above: Platform) -> bool:
    """Whether two platforms are stated to do different things, and each of them one thing.

    A release may lie between two runs that took a change back again; and where an OS may choose, two may agree.
    """
    stated = [cell.expected(platform) for platform in (below, above)]
    outcomes = [dict(one.outcome) for one in stated if one is not None]
    free = any("|" in text for outcome in outcomes for text in outcome.values())
    return len(outcomes) == 2 and outcomes[0] != outcomes[1] and not free


def _asked(cell: Variant, run: Run) -> bool:
    """Whether a run is not older than the case."""
    result = run.results.results.get(cell.id)
    return result is not None and result.content == cell.content


def _outcome(cell: Variant, run: Run) -> object:
    result = run.results.results[cell.id]
    return None if result.verdict == "unsupported" else dict(result.outcome)


def test_each_boundary_that_lies_between_two_runs_is_a_step(suite: Suite, known: list[Run]) -> None:
    found = [*boundaries(suite, known)]
    assert found, "no boundary has runs on both of its sides"
    flat = [f"{b.statement.at}: {b.label}, {b.below} and {b.above} alike" for b in found if not b.step]
    assert not flat, "\n".join(flat)


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def loaded_once(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "whole_suite", lambda: suite)


@pytest.fixture
def newest(suite: Suite, known: list[Run]) -> Results:
    """Results of all of this suite: those of the newest Linux, and what it was not asked yet as unsupported."""
    results = max((run for run in known if run.platform.stack == "linux"), key=lambda run: run.platform.version).results
    entries = {v.id: Result(v.id, v.content, "unsupported", {}, reason="not asked") for v in suite.variants}
    entries |= {id_: r for id_, r in results.results.items() if id_ in entries and entries[id_].content == r.content}
    return Results({**results.about, "suite": suite.version, "selected": len(entries)}, entries)


@pytest.fixture
def changed(tmp_path: Path, suite: Suite, newest: Results) -> Callable[..., Path]:
    """A results file like the newest of Linux, but for some results; None leaves one out."""

    def change(**by_field: str) -> Path:
        entries = dict(newest.results)
        first = next(id_ for id_, result in entries.items() if result.verdict == "match" and not result.outcome)
        if by_field:
            entries[first] = replace(entries[first], **by_field)  # type: ignore[arg-type]
        else:
            del entries[first]
        path = tmp_path / "changed.jsonl"
        write(path, [Results({**newest.about, "selected": len(entries)}, entries)], suite)
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
    suite: Suite, newest: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = dict(newest.results)
    variant = next(v for v in suite.variants if entries[v.id].verdict == "match" and not entries[v.id].outcome)
    label = next(step.label for step in variant.scenario.steps if step.label)
    entries[variant.id] = replace(entries[variant.id], outcome={label: "ENOMEM"})
    path = tmp_path / "departed.jsonl"
    write(path, [Results(newest.about, entries)], suite)
    assert main(["results", "check", str(path)]) == 1
    assert f"1 not what the suite expects of it: {variant.id}" in capsys.readouterr().out


def test_what_an_older_run_does_not_tell_is_listed_and_no_failure(
    suite: Suite, newest: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever adds a case, or mends its scenario, has no kernel lab."""
    entries = dict(newest.results)
    new, mended, gone = list(entries)[:3]
    del entries[new]
    entries[mended] = replace(entries[mended], content="0" * 12)
    entries["order-dependence/gone"] = replace(entries.pop(gone), id="order-dependence/gone")
    path = tmp_path / "older.jsonl"
    about = {**newest.about, "suite": "0" * 12, "selected": len(entries)}
    platform = about["platform"]
    write(path, [Results(about, entries)], suite)
    assert main(["results", "check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: {platform}: 1 of no variant of this suite: order-dependence/gone",
        f"{path}: {platform}: 1 of another scenario than this suite's: {mended}",
        f"{path}: {platform}: 2 not yet measured: {', '.join(sorted([new, gone]))}",
    ]


def test_the_command_rewrites_every_form_to_the_newest_and_nothing_is_lost(known: list[Run], tmp_path: Path) -> None:
    """A file of each stack that is kept, as a line a variant, and back: byte for byte."""
    files = {run.path: run for run in {run.platform.stack: run for run in known}.values()}
    plain = [tmp_path / path.name for path in files]
    for run, copy in zip(files.values(), plain, strict=True):
        copy.write_text(line_by_line(run.results))
    assert main(["results", "compact", *map(str, plain)]) == 0
    assert [copy.read_bytes() for copy in plain] == [path.read_bytes() for path in files]


def line_by_line(results: Results) -> str:
    """Results in format 1."""
    about = {key: value for key, value in results.about.items() if key != "selected"}
    entries = [result.to_json() for _, result in sorted(results.results.items())]
    lines = [{"sockreuse": 1, **about}, *entries, {"footer": True, "results": len(entries)}]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_truncated_file_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(FILES[0].read_text().splitlines(keepends=True)[:50]))
    assert main(["results", command, str(path)]) == 2
    assert "truncated" in capsys.readouterr().err


def test_an_installation_has_no_results_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "CONFORMANCE", tmp_path)
    assert main(["results", "check"]) == 2
    assert capsys.readouterr().err == "sockreuse: name the results files: there are none beside this suite\n"


def test_apply_proposes_what_is_shown_and_nothing_else(known: list[Run], tmp_path: Path) -> None:
    """A copy of the data in which one measured statement is weaker: the diff makes it as it was."""
    data = tmp_path / "conformance"
    shutil.copytree(CONFORMANCE, data, ignore=shutil.ignore_patterns("results", "lab"))
    if due := proposal(load(data), known):  # of results that were filed and not applied yet
        subprocess.run(["git", "apply", "-p1"], cwd=tmp_path, input=due, text=True, check=True)
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
    assert ": measured, and no run shows it: " in next(unshown(suite, []))
    assert proposal(suite, []) == ""
