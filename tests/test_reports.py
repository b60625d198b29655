"""``sockreuse report`` and ``sockreuse diff``: what they write, what they refuse, their exit status."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from merging import FAILED, IDS, RULE, file_of, result

from pytest_sockreuse.cli import main
from pytest_sockreuse.commands import reports
from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix import build as building
from pytest_sockreuse.suite import Suite


@pytest.fixture
def suite(conformance: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Suite:
    """A suite of one case instead of ours, which is the only one that there is."""
    small = load(conformance(sharing=RULE))
    monkeypatch.setattr(building, "PREDICTIONS", tmp_path / "none")
    for module in (building, reports):
        monkeypatch.setattr(module, "load", lambda **_: small)
    return small


@pytest.fixture
def ran(suite: Suite, tmp_path: Path) -> Path:
    return file_of(tmp_path / "ran.jsonl", suite, "plan9-4", result(suite, IDS[0], FAILED, "unknown"))


def test_every_form_is_written_by_one_command(ran: Path, tmp_path: Path) -> None:
    forms = ("markdown", "json", "ctrf", "claims")
    options = [word for form in forms for word in (f"--{form}", str(tmp_path / form))]
    assert main(["report", str(ran), *options, "--badges", str(tmp_path / "badges")]) == 0
    assert all((tmp_path / form).read_text() for form in forms)
    badge = json.loads((tmp_path / "badges" / "plan9-4" / "sharing.json").read_text())
    assert badge == {"schemaVersion": 1, "label": "sharing on plan9 4", "message": "recorded", "color": "blue"}


def test_without_a_form_there_is_an_overview(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(ran)]) == 0
    assert "    plan9 4: 1 run, 3 missing\n" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_a_line_each_and_left_out_where_that_is_asked(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(ran.read_text().splitlines(keepends=True)[:-1]))
    files = [str(ran), str(cut), str(tmp_path / "none.jsonl")]
    assert main(["report", *files]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"sockreuse: {cut}: no footer: the file is truncated, or its run was cut short; make it anew",
        f"{tmp_path / 'none.jsonl'}: No such file or directory",
    ]
    assert main(["report", *files, "--keep-going", "--json", str(tmp_path / "json")]) == 0
    assert capsys.readouterr().err.count("sockreuse: left out: ") == 2
    assert len(json.loads((tmp_path / "json").read_text())["left_out"]) == 2


@pytest.mark.parametrize(("option", "below"), [("--markdown", ""), ("--badges", "/plan9-4")])
def test_what_cannot_be_written_is_one_line(
    ran: Path, option: str, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(ran), option, str(ran / "x")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"sockreuse: {ran / 'x'}{below}: Not a directory"


def test_diff_says_what_changed(suite: Suite, ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = file_of(tmp_path / "new.jsonl", suite, "plan9-4", result(suite, IDS[0], {}, "unknown"))
    assert main(["diff", str(ran), str(new)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "plan9 4: asked on both sides: 1",
        f"    {IDS[0]}: B.bind EADDRINUSE -> ok",
    ]
    assert main(["diff", str(ran), str(ran)]) == 0


def test_diff_takes_a_directory(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old").mkdir()
    assert main(["diff", str(tmp_path / "old"), str(ran)]) == 2
    assert "no results in this directory" in capsys.readouterr().err
    shutil.copy(ran, tmp_path / "old")
    assert main(["diff", str(tmp_path / "old"), str(ran)]) == 0


def test_diff_needs_a_platform_that_is_in_both(
    suite: Suite, ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = file_of(tmp_path / "new.jsonl", suite, "minix-3", result(suite, IDS[0], {}, "unknown"))
    assert main(["diff", str(ran), str(new)]) == 2
    assert "no platform is in both" in capsys.readouterr().err
