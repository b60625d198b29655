"""`action.yml` as another project uses it: its steps, performed in a clean project with a wheel of this checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import action
import pytest
import workflow
from workflow import ROOT, Block

DIST = os.environ.get("SOCKREUSE_DIST")

TEST = """
import socket

def test_two_sockets():
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        two.bind(one.getsockname())
"""


# --- what it runs -----------------------------------------------------------------------------------------------------


SUITE = ["--sockreuse-only", "--sockreuse-report", "sockreuse-results.jsonl"]


@pytest.mark.parametrize(
    ("run", "given", "words", "results"),
    [
        ("suite", {}, ["pytest", "--sockreuse=all", *SUITE], "sockreuse-results.jsonl"),
        (
            "suite",
            {"RULES": "users,sctp", "ARGUMENTS": "-n 2 -k 'a b'"},
            ["pytest", "--sockreuse=users,sctp", *SUITE, "-n", "2", "-k", "a b"],
            "sockreuse-results.jsonl",
        ),
        ("guards", {"RULES": " a  b "}, ["pytest_sockreuse.cli", "check", "a", "b"], "sockreuse-guards.jsonl"),
        (
            "recorder",
            {"TARGETS": "macos-15", "ARGUMENTS": "tests"},
            ["pytest", "--sockreuse-record=macos-15", "--junitxml=sockreuse-recorder.xml", "tests"],
            "sockreuse-recorder.xml",
        ),
    ],
)
def test_a_kind_of_run_is_a_command(run: str, given: dict[str, str], words: list[str], results: str) -> None:
    assert action.command(run, given) == ([sys.executable, "-m", *words], Path(results))


@pytest.mark.parametrize(
    ("run", "given", "message"),
    [
        ("", {}, "run: '' is none of suite, guards and recorder"),
        ("guards", {"RULES": " "}, "rules: name those that your application requires"),
        ("suite", {"ARGUMENTS": "-k 'a"}, "arguments: No closing quotation"),
    ],
)
def test_inputs_that_cannot_be_followed(
    run: str, given: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert action.main(run) == 2
    assert message in capsys.readouterr().err


def test_the_summary_has_our_part_of_the_output_and_cannot_be_left() -> None:
    lines = ["collected 3 items", "=== sockreuse on linux-6.18.44 ===", "````", "<img src=x>"]
    inside = "\n".join(lines[1:])
    assert action.summary("suite", 1, lines) == f"## sockreuse suite: exit status 1\n\n`````text\n{inside}\n`````\n"
    assert len(action.summary("suite", 0, ["x" * 2_000_000]).encode()) < 1_000_000


# --- its steps --------------------------------------------------------------------------------------------------------


def expression(text: str, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    known = {
        **{f"inputs.{name}": value for name, value in inputs.items()},
        **{f"steps.run.outputs.{name}": value for name, value in outputs.items()},
        "github.action_path": str(ROOT), "github.job": "test", "strategy.job-index": "0",
    }  # fmt: skip
    return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: known[found[1]], text)


class Project:
    """Another project: a clean environment, one test, and the action's steps."""

    def __init__(self, root: Path, python: Path, wheel: Path) -> None:
        self.root, self.python, self.wheel = root, python, wheel
        (root / "test_it.py").write_text(TEST)

    def use(self, **given: str) -> tuple[int, str, dict[str, str], dict[str, Any] | None]:
        """As in a workflow: the status, the summary, the outputs of the step, what the upload step got if it ran."""
        file = self.root / "file"
        inputs = {name: str(entry.get("default", "")) for name, entry in workflow.action()["inputs"].items()}
        inputs = {name: expression(text, {}, {}) for name, text in inputs.items()}
        inputs |= {"python": str(self.python), "requirement": str(self.wheel), **given}
        outputs: dict[str, str] = {}
        uploaded, status = None, 0
        for step in workflow.action()["runs"]["steps"]:
            if "run" in step and status == 0:
                assert step["shell"] == "bash"
                env = {name: expression(text, inputs, outputs) for name, text in step["env"].items()}
                where = {"GITHUB_OUTPUT": f"{file}.outputs", "GITHUB_STEP_SUMMARY": f"{file}.summary"}
                done = workflow.perform(Block("action", step["name"], step["run"], env), self.root, {}, where)
                status = done.returncode
                print(done.stdout, done.stderr)
                if Path(f"{file}.outputs").exists():
                    outputs |= dict(line.split("=", 1) for line in Path(f"{file}.outputs").read_text().splitlines())
            elif "uses" in step:
                assert step["if"] == "always() && steps.run.outputs.results != ''"
                if outputs.get("results"):
                    uploaded = {key: expression(text, inputs, outputs) for key, text in step["with"].items()}
        summary = Path(f"{file}.summary")
        text = summary.read_text() if summary.exists() else ""
        for left in self.root.glob("file.*"):
            left.unlink()
        return status, text, outputs, uploaded


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    if not DIST or sys.platform == "win32":
        pytest.skip("nothing is built here: `tox run -e package`")
    (wheel,) = Path(DIST).glob("*.whl")
    root = tmp_path_factory.mktemp("project")
    venv.create(root / "env", with_pip=True)
    return Project(root, root / "env/bin/python", wheel)


def test_the_suite(project: Project) -> None:
    status, summary, outputs, uploaded = project.use(run="suite", rules="order-dependence")
    assert status == 0
    assert summary.startswith("## sockreuse suite: passed\n\n```text\n")
    assert "order-dependence" in summary
    assert uploaded == {"name": "sockreuse-test-0", "path": "sockreuse-results.jsonl"}
    results = (project.root / outputs["results"]).read_text().splitlines()
    assert json.loads(results[-1])["footer"] is True
    where = [str(project.python), "-c", "import pytest_sockreuse; print(pytest_sockreuse.__file__)"]
    assert str(project.root) in subprocess.check_output(where, text=True, cwd=project.root)


def test_guards(project: Project) -> None:
    status, summary, outputs, uploaded = project.use(
        run="guards", rules="ordering-quirk server-restart", artifact="mine"
    )
    rules = [json.loads(line) for line in (project.root / outputs["results"]).read_text().splitlines()]
    assert [rule["honoured"] for rule in rules] == [True, True]
    assert status == 0
    assert "honours order-dependence/outgoing-then-listener" in summary
    assert uploaded == {"name": "mine", "path": "sockreuse-guards.jsonl"}


def test_the_recorder(project: Project) -> None:
    status, summary, outputs, _ = project.use(run="recorder", targets="windows-11,macos-15", arguments="test_it.py")
    assert status == 0
    assert "sockreuse: the recorder" in summary
    assert "on macOS 15" in summary
    assert "sockreuse_record" in (project.root / outputs["results"]).read_text()


def test_a_run_that_fails_keeps_what_there_is(project: Project) -> None:
    status, summary, outputs, uploaded = project.use(run="recorder", arguments="-k test_it --maxfail=0 no-such-file.py")
    assert status == 4
    assert summary.startswith("## sockreuse recorder: exit status 4")
    status, _, outputs, uploaded = project.use(run="guards", rules="no-such-rule")
    assert (status, outputs, uploaded) == (2, {}, None)
