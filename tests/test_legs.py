"""The legs of the weekly run: listed once, in platforms.toml, and the workflow agrees with the list."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import legs
import pytest
from workflow import ROOT, workflow

from pytest_sockreuse.platforms import named, registry
from pytest_sockreuse.report.results import FORMAT, ResultsError, read

DAY = date(2026, 11, 30)
ALL = list(legs.legs())


def matrix(kind: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(legs.matrices(DAY)[kind])["include"]
    return rows


def test_each_leg_has_a_name_of_its_own() -> None:
    names = [leg.name for leg in ALL]
    assert len(names) == len(set(names)) > 40
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) for name in names)


def test_the_matrices_hold_every_leg_once() -> None:
    rows = [row for kind in legs.KINDS for row in matrix(kind)]
    assert sorted(row["leg"] for row in rows) == sorted(leg.name for leg in ALL)


def test_a_machine_is_of_a_version_that_is_listed() -> None:
    for leg in ALL:
        if leg.kind == "machines":
            assert leg.label in registry()[leg.stack]["versions"], leg


def test_a_kernel_is_one_that_the_lab_can_boot() -> None:
    known = {entry["name"] for entry in tomllib.loads((ROOT / "conformance/lab/kernels.toml").read_text())["kernel"]}
    for leg in ALL:
        if leg.kind == "kernels":
            assert leg.label in known
            assert named(leg.label).stack == leg.stack


def test_an_image_ends_on_its_day() -> None:
    def running(day: date) -> set[str]:
        return {leg.name for leg in legs.due(day)}

    gone = running(date(2027, 4, 16)) - running(date(2027, 4, 17))
    assert gone == {leg.name for leg in ALL if leg.label.startswith("ubuntu-22.04")}


@pytest.mark.parametrize("kind", legs.KINDS)
def test_the_workflow_has_a_job_for_each_kind_and_names_no_leg_itself(kind: str) -> None:
    job = workflow("conformance")["jobs"][kind]
    assert job["strategy"]["matrix"] == f"${{{{ fromJSON(needs.legs.outputs.{kind}) }}}}"
    assert job["strategy"]["fail-fast"] is False
    asked = set(re.findall(r"matrix\.(\w+)", json.dumps(job)))
    for row in matrix(kind):
        assert asked <= row.keys()
        assert row["leg"] not in json.dumps(job)
    uploaded = [step for step in job["steps"] if step.get("uses", "").startswith("actions/upload-artifact@")]
    (upload,) = uploaded
    assert upload["if"] == "always()"
    assert upload["with"] == {"name": "results-${{ matrix.leg }}", "path": "leg/${{ matrix.leg }}.jsonl"}


def test_a_system_is_called_what_the_action_calls_it() -> None:
    known = {"freebsd", "netbsd", "openbsd", "dragonflybsd", "omnios", "haiku", "midnightbsd"}
    assert {row["system"] for row in matrix("machines") if row["action"] == "cross-platform-actions"} < known


def test_of_the_virtual_machines_each_has_one_step() -> None:
    job = workflow("conformance")["jobs"]["machines"]
    machines = [step for step in job["steps"] if "matrix." in str(step.get("if", ""))]
    for row in matrix("machines"):
        (step,) = (step for step in machines if _holds(step["if"], row))
        assert step["uses"].startswith(f"{row['action']}/")
        given: dict[str, Any] = step["with"]
        assert "${{ matrix.release }}" in (given.get("version"), given.get("release"))
        assert "LEG BY" in (given.get("envs"), given.get("environment_variables"))


def _holds(condition: str, row: dict[str, str]) -> bool:
    """A condition of the form ``matrix.A == 'x' && matrix.B == 'y'``."""
    terms = [re.fullmatch(r"matrix\.(\w+) == '([^']*)'", term) for term in condition.split(" && ")]
    return all(term is not None and row[term[1]] == term[2] for term in terms)


def test_a_leg_that_gets_no_further_leaves_truncated_results(tmp_path: Path) -> None:
    legs.main(["begin", "freebsd-14.4", str(tmp_path / "leg")])
    path = tmp_path / "leg" / "freebsd-14.4.jsonl"
    assert json.loads(path.read_text())["sockreuse"] == FORMAT
    with pytest.raises(ResultsError, match="no footer: the file is truncated"):
        read(path)


def test_a_leg_that_is_not_listed(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"no leg 'freebsd-9' in conformance/platforms\.toml"):
        legs.main(["begin", "freebsd-9", str(tmp_path)])
