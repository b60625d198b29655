"""What holds for all workflows: rights, pins, credentials, time, what is never dropped; lint looks at all of them."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import tomllib
from collections import defaultdict
from typing import Any

import pytest
import yaml
from workflow import ROOT, WORKFLOWS, action, jobs, names, steps, workflow

JOBS = [pytest.param(name, id_, job, id=f"{name}/{id_}") for name, id_, job in jobs()]

#: Who may write what. All else reads.
WRITES = {
    "conformance/page": {"pages", "id-token"},
    "conformance/drift": {"issues"},
    "conformance/propose": {"contents", "pull-requests"},
    "release/publish": {"id-token", "attestations"},
    "release/notes": {"contents"},
}


def tracked(pattern: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        pytest.skip("not a checkout")
    return set(listed.stdout.split())


@pytest.mark.parametrize("name", names())
def test_a_workflow_itself_has_no_rights(name: str) -> None:
    assert workflow(name)["permissions"] == {}


@pytest.mark.parametrize(("name", "id_", "job"), JOBS)
def test_a_job_has_the_least_rights(name: str, id_: str, job: dict[str, Any]) -> None:
    rights = job["permissions"]
    assert {what for what, right in rights.items() if right == "write"} == WRITES.get(f"{name}/{id_}", set())
    assert set(rights.values()) <= {"read", "write"}
    checks_out = any(step.get("uses", "").startswith("actions/checkout@") for step in job.get("steps", ()))
    if "contents" not in WRITES.get(f"{name}/{id_}", ()):
        assert ("contents" in rights) == (checks_out or "uses" in job)


@pytest.mark.parametrize(("name", "id_", "job"), JOBS)
def test_a_job_that_writes_installs_nothing_and_sees_no_pull_request(name: str, id_: str, job: dict[str, Any]) -> None:
    if f"{name}/{id_}" in WRITES:
        assert not re.search(r"pip install|apt-get|setup-", json.dumps(job))
        triggers = workflow(name)[True]  # type: ignore[index]  # `on`, as YAML 1.1 reads it
        assert "pull_request" not in triggers or "github.ref == 'refs/heads/main'" in job["if"]
    assert "pull_request_target" not in workflow(name)[True]  # type: ignore[index]


@pytest.mark.parametrize(("name", "id_", "job"), JOBS)
def test_a_job_ends(name: str, id_: str, job: dict[str, Any]) -> None:
    assert ("timeout-minutes" in job) != ("uses" in job)


def test_actions_are_pinned_by_their_commit_and_say_their_version() -> None:
    pins: dict[str, set[str]] = defaultdict(set)
    for path in [*WORKFLOWS.glob("*.yml"), ROOT / "action.yml"]:
        for line in path.read_text(encoding="utf-8").splitlines():
            if used := re.search(r"\buses: (\S+)(.*)", line):
                if used[1].startswith("$/"):
                    continue  # of this very commit
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", used[1]), line
                assert re.fullmatch(r" # v\d+\.\d+\.\d+", used[2]), line
                pins[used[1].partition("@")[0]].add(used[1] + used[2])
    assert all(len(versions) == 1 for versions in pins.values()), pins
    assert len(pins) > 10


def test_no_checkout_leaves_credentials() -> None:
    found = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert found
    assert all(step["with"]["persist-credentials"] is False for step in found)


def test_no_check_on_main_is_dropped() -> None:
    """A waiting run is replaced by the next of its group: on main there is none, or the group is the run's own."""
    assert workflow("conformance")["concurrency"] == {"group": "conformance-${{ github.ref }}", "queue": "max"}
    group = workflow("ci")["concurrency"]["group"]
    assert group == "ci-${{ github.event_name == 'pull_request' && github.ref || github.run_id }}"
    for _, _, job in jobs():
        assert "concurrency" not in job or job["concurrency"]["queue"] == "max"


@pytest.mark.parametrize("name", ["ci", "conformance"])
def test_one_job_stands_for_all_that_has_to_be_green(name: str) -> None:
    found = workflow(name)["jobs"]
    assert set(found["required"]["needs"]) == {
        id_ for id_ in found if id_ != "required" and f"{name}/{id_}" not in WRITES
    }


def test_every_python_that_is_claimed_is_tested() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    claimed = [found[1] for text in classifiers if (found := re.fullmatch(r".*Python :: (3\.\d+)", text))]
    assert workflow("ci")["jobs"]["test"]["strategy"]["matrix"]["python"] == claimed


def test_every_environment_exists() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    known = {section.removeprefix("testenv:") for section in tox.sections()}
    matrix = workflow("ci")["jobs"]["test"]["strategy"]["matrix"]
    asked = {*matrix["env"], *(row["env"] for row in matrix["include"])}
    asked |= set(workflow("ci")["jobs"]["check"]["strategy"]["matrix"]["env"])
    assert asked - known == {"py-nodist", "py-xdist", "pytestmin", "pytestlatest"}  # which are made of factors


def test_lint_looks_at_every_file_of_its_kinds() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    named = set(f"{tox['testenv:lint']['commands']} {tox['testenv:lint']['workflows']}".split())
    assert tracked(".github/workflows/*") | tracked("*.sh") | {".ci/run", "action.yml", "CITATION.cff"} <= named
    assert tracked(".github/ISSUE_TEMPLATE/*") | {".github/dependabot.yml"} <= named


def test_dependencies_are_brought_up_to_date_in_groups_after_a_while() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {entry["package-ecosystem"] for entry in updates} == {"github-actions", "pip"}
    for entry in updates:
        assert entry["cooldown"]["default-days"] >= 7
        assert list(entry["groups"].values()) == [{"patterns": ["*"]}]


def test_the_form_for_another_system_asks_for_the_results_file() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/otherwise.yml").read_text())
    fields = {entry["id"]: entry for entry in form["body"] if "id" in entry}
    assert fields["results"]["validations"]["required"] is True
    assert form["name"] == "My system does otherwise"


def test_the_actions_inputs_are_those_that_the_page_explains() -> None:
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    assert [name for name in action()["inputs"] if f"`{name}" not in text] == []
