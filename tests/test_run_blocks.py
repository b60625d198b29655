"""Every `run:` block of the workflows, performed here; the service, pip, tox, apt-get and sudo are faked.

The blocks of `action.yml` are performed by test_action.py, in a clean project.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import gh
import pytest
from workflow import ROOT, Block, blocks, calls, perform, tool

if sys.platform == "win32":
    pytest.skip("the blocks are performed by bash", allow_module_level=True)

ALL = [one for one in blocks() if one.place != "action"]
EXPRESSIONS = {
    "matrix.env": "lint",
    "matrix.leg": "netbsd-10.1",
    "matrix.by": "machine",
    "needs.build.outputs.wheel": "pytest_sockreuse-1.0.0-py3-none-any.whl",
    "github.token": "secret",
    "github.server_url": "https://example.org",
    "github.repository": "owner/project",
    "github.run_id": "7",
}


@dataclass
class Desk:
    """A place where a block is performed: the repository at `.` or in source/, as the job has it, and faked tools."""

    cwd: Path
    bin: Path
    expressions: dict[str, str] = field(default_factory=lambda: dict(EXPRESSIONS))
    env: dict[str, str] = field(default_factory=dict)

    def perform(self, one: Block) -> subprocess.CompletedProcess[str]:
        for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
            self.env.setdefault(name, str(self.bin / name))
        return perform(one, self.cwd, self.expressions, self.env, self.bin)

    def passes(self, one: Block) -> list[str]:
        """Perform a block that passes; how the faked tools were called."""
        done = self.perform(one)
        assert done.returncode == 0, done.stderr
        return calls(self.bin)

    def output(self) -> str:
        return (self.bin / "GITHUB_OUTPUT").read_text()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "work", tmp_path / "bin")
    made.cwd.mkdir()
    made.bin.mkdir()
    (made.cwd / "source").symlink_to(ROOT)
    for name in (".github", "conformance", "pytest_sockreuse", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"):
        (made.cwd / name).symlink_to(ROOT / name)
    for name in ("python", "python3"):  # pip is the registry's edge; all else is Python itself
        tool(made.bin, name, f'[ "$1 $2" = "-m pip" ] || exec "{sys.executable}" "$@"')
    return made


TESTED: dict[str, Callable[[Block, Desk], None]] = {}


def performs(*which: str) -> Callable[[Callable[[Block, Desk], None]], Callable[[Block, Desk], None]]:
    def note(test: Callable[[Block, Desk], None]) -> Callable[[Block, Desk], None]:
        TESTED.update(dict.fromkeys(which, test))
        return test

    return note


def test_every_block_is_performed() -> None:
    assert sorted(map(str, ALL)) == sorted(TESTED)


@pytest.mark.parametrize("one", ALL, ids=str)
def test_a_block(one: Block, desk: Desk) -> None:
    TESTED[str(one)](one, desk)


# --- ci, build and release --------------------------------------------------------------------------------------------


@performs("build/build/Name the wheel")
def _name_the_wheel(one: Block, desk: Desk) -> None:
    desk.expressions["steps.packages.outputs.dist"] = str(desk.cwd / "dist dir")
    (desk.cwd / "dist dir").mkdir()
    assert desk.perform(one).returncode != 0
    for name in ("pytest_sockreuse-1.0.0-py3-none-any.whl", "pytest_sockreuse-1.0.0.tar.gz"):
        (desk.cwd / "dist dir" / name).touch()
    desk.passes(one)
    assert desk.output().splitlines()[-1] == "wheel=pytest_sockreuse-1.0.0-py3-none-any.whl"
    (desk.cwd / "dist dir/another-1-py3-none-any.whl").touch()
    assert desk.perform(one).returncode != 0


@performs("ci/check/Install tox", "ci/test/Install tox")
def _install_tox(one: Block, desk: Desk) -> None:
    (call,) = desk.passes(one)
    assert call == "python -m pip install --require-hashes -r .github/requirements/tox.txt"
    pins = (ROOT / ".github/requirements/tox.txt").read_text()
    assert re.search(r"^tox==[\d.]+ \\\n    --hash=sha256:", pins, re.MULTILINE)


@performs("ci/check/Run tox")
def _run_tox(one: Block, desk: Desk) -> None:
    tool(desk.bin, "tox")
    assert desk.passes(one) == ["tox run -e lint"]


@performs("ci/test/Find a browser, without which its tests are skipped")
def _find_a_browser(one: Block, desk: Desk) -> None:
    desk.env["PATH"] = str(desk.bin)
    tool(desk.bin, "bash", 'exec /bin/bash "$@"')
    assert desk.perform(one).returncode != 0
    tool(desk.bin, "google-chrome")
    assert desk.perform(one).returncode == 0


@performs("ci/test/Run tox with the wheel")
def _run_tox_with_the_wheel(one: Block, desk: Desk) -> None:
    tool(desk.bin, "tox")
    wheel = f"dist/{EXPRESSIONS['needs.build.outputs.wheel']}"
    assert desk.passes(one) == [f"tox run -e lint --skip-missing-interpreters false --installpkg {wheel}"]


@performs("ci/test/Allow unprivileged user namespaces", "conformance/images/Allow unprivileged user namespaces")
def _allow_namespaces(one: Block, desk: Desk) -> None:
    tool(desk.bin, "sudo", "cat >/dev/null")
    key = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    assert desk.passes(one) == ([f"sudo tee {key}"] if key.exists() else [])
    (desk.cwd / "key").touch()
    done = subprocess.run(
        ["sh", ROOT / ".github/scripts/namespaces.sh", "key"], cwd=desk.cwd, env={"PATH": f"{desk.bin}:/bin:/usr/bin"}
    )
    assert done.returncode == 0
    assert calls(desk.bin)[-1] == "sudo tee key"


@performs("ci/required/Compare", "conformance/required/Compare")
def _compare(one: Block, desk: Desk) -> None:
    needed = 3 if one.place.startswith("ci") else 7
    for results, complete, passes in (
        (["success"] * needed, "true", True),
        (["success"] * (needed - 1) + ["failure"], "true", False),
        (["skipped"] + ["success"] * (needed - 1), "true", False),
        (["success"] * needed, "false", needed == 3),
        (["success"] * needed, "", needed == 3),
    ):
        desk.expressions |= {"join(needs.*.result, ' ')": " ".join(results), "needs.merge.outputs.complete": complete}
        assert (desk.perform(one).returncode == 0) == passes, (results, complete)


@performs("release/check/Check the tag")
def _check_the_tag(one: Block, desk: Desk) -> None:
    desk.env["GITHUB_REF_NAME"] = "v0.0.1"
    done = desk.perform(one)
    assert done.returncode == 1
    assert "release: the tag v0.0.1 is not v" in done.stderr


@performs("release/notes/Make the release")
def _make_the_release(one: Block, desk: Desk) -> None:
    state = gh.install(desk.bin)
    (desk.cwd / "dist").mkdir()
    (desk.cwd / "dist/pytest_sockreuse-1.0.0.tar.gz").touch()
    desk.env |= {"GITHUB_REF_NAME": "v1.0.0", "FAKE_GH": str(state)}
    desk.passes(one)
    (made,) = json.loads(state.read_text())["releases"]
    tarball = "dist/pytest_sockreuse-1.0.0.tar.gz"
    assert made["arguments"][:5] == ["v1.0.0", tarball, "--verify-tag", "--title", "v1.0.0"]
    assert made["notes"].startswith("### Added\n\n- ")


# --- conformance ------------------------------------------------------------------------------------------------------


@performs("conformance/legs/Make the matrices")
def _make_the_matrices(one: Block, desk: Desk) -> None:
    desk.passes(one)
    made = dict(line.split("=", 1) for line in desk.output().splitlines())
    assert list(made) == ["images", "machines", "kernels"]
    assert all(json.loads(matrix)["include"] for matrix in made.values())


@performs(*(f"conformance/{kind}/Begin" for kind in ("images", "machines", "kernels")))
def _begin(one: Block, desk: Desk) -> None:
    desk.passes(one)
    assert "ended" in (desk.cwd / "leg/netbsd-10.1.jsonl").read_text()


@performs(*(f"conformance/{job}/Install the wheel" for job in ("images", "machines", "kernels", "merge")))
def _install_the_wheel(one: Block, desk: Desk) -> None:
    assert desk.passes(one) == [f"python -m pip install dist/{EXPRESSIONS['needs.build.outputs.wheel']}"]


@performs("conformance/images/Perform the suite", "conformance/kernels/Boot it and perform the suite")
def _perform_the_suite(one: Block, desk: Desk) -> None:
    """As an image's user; performing the whole suite is the pipeline's, here pytest is stopped by its settings."""
    desk.expressions["matrix.leg"] = "ubuntu-24.04"
    desk.env["PYTEST_ADDOPTS"] = "--no-such-option"
    assert desk.perform(one).returncode == 4
    last = json.loads((desk.cwd / "leg/ubuntu-24.04.jsonl").read_text())["ended"]
    assert last.startswith("with status 4: ")


@performs("conformance/machines/Write the suite for the machine")
def _write_the_suite(one: Block, desk: Desk) -> None:
    desk.passes(one)
    assert (desk.cwd / "leg/suite.scenario").read_text().startswith("# The suite ")


@performs(
    *(
        f"conformance/machines/Perform it there, {how}"
        for how in ("with cross-platform-actions", "on NetBSD with vmactions", "on OmniOS with vmactions")
    )
)
def _perform_it_there(one: Block, desk: Desk) -> None:
    tool(desk.bin, "cc", "printf '#!/bin/sh\\necho \"ran $*\"\\n' >leg/runner; chmod +x leg/runner")
    tool(desk.bin, "sudo", 'exec "$@"')
    (desk.cwd / "leg").mkdir()
    (desk.cwd / "leg/suite.scenario").touch()
    desk.passes(one)
    assert (desk.cwd / "leg/answers.jsonl").read_text() == "ran -m\n"


@performs("conformance/machines/Take in what came back")
def _take_in(one: Block, desk: Desk) -> None:
    done = desk.perform(one)
    assert done.returncode == 1
    assert "the machine gave no answer" in (desk.cwd / "leg/netbsd-10.1.jsonl").read_text()


@performs("conformance/kernels/Install what the lab needs")
def _install_what_the_lab_needs(one: Block, desk: Desk) -> None:
    tool(desk.bin, "sudo")
    update, install = desk.passes(one)
    assert update == "sudo apt-get -q update"
    assert "debian-archive-keyring" in install.split()


@performs("conformance/merge/Merge")
def _merge(one: Block, desk: Desk) -> None:
    (desk.cwd / "arrived").mkdir()
    (desk.cwd / "arrived/stray.jsonl").touch()
    desk.passes(one)
    assert "complete=false\npage=false\nproposal=false\n" in desk.output()
    text = (desk.bin / "GITHUB_STEP_SUMMARY").read_text()
    assert "0 whole, 0 truncated, " in text
    assert "stray.jsonl belongs to no leg" in text


@performs("conformance/site/Install the wheel, and what builds the site")
def _install_what_builds_the_site(one: Block, desk: Desk) -> None:
    wheel = f"dist/{EXPRESSIONS['needs.build.outputs.wheel']}"
    assert desk.passes(one) == [f"python -m pip install {wheel} --group source/pyproject.toml:docs"]


@performs("conformance/site/Build the playground", "conformance/site/Build the site around the matrix")
def _build_the_site(one: Block, desk: Desk) -> None:
    """What the scripts do is tried by `tox run -e docs`, and `-e playground`; here, that they take these arguments."""
    (call,) = _calls_with_help(one, desk)
    assert call.split()[:2] == ["python", one.text.split()[1]]


def _calls_with_help(one: Block, desk: Desk) -> list[str]:
    tool(desk.bin, "python", f'exec "{sys.executable}" "$@" --help >/dev/null')
    return desk.passes(one)


def _hosted(desk: Desk) -> Path:
    state = gh.install(desk.bin)
    desk.env |= {"FAKE_GH": str(state), "GITHUB_REPOSITORY": "owner/project", "GITHUB_SHA": "m" * 40}
    (desk.cwd / "merged/proposal/conformance/rules").mkdir(parents=True)
    return state


@performs("conformance/drift/Open, update and close")
def _keep_the_issues(one: Block, desk: Desk) -> None:
    state = _hosted(desk)
    entry = {
        "measured": ["ubuntu-24.04"],
        "differs": ["ubuntu-24.04"],
        "title": "T",
        "body": "B",
        "cases": ["a/b"],
        "unasked": [],
    }
    (desk.cwd / "merged/drift.json").write_text(json.dumps({"linux-6.17": entry}))
    desk.passes(one)
    (issue,) = json.loads(state.read_text())["issues"]
    assert issue["title"] == "T"


@performs("conformance/propose/Open or update the pull request")
def _propose(one: Block, desk: Desk) -> None:
    state = _hosted(desk)
    (desk.cwd / "merged/proposal/conformance/rules/users.toml").write_text("text\n")
    desk.passes(one)
    (pull,) = json.loads(state.read_text())["pulls"]
    assert (pull["base"], pull["body"].splitlines()[-1]) == (
        "main",
        "The run: https://example.org/owner/project/actions/runs/7",
    )


# --- what no block may do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", ALL, ids=str)
def test_a_block_gets_no_expression_but_by_its_environment(one: Block) -> None:
    assert "${{" not in one.text


def test_a_faked_tool_notes_how_it_was_called(tmp_path: Path) -> None:
    tool(tmp_path, "sudo", "exit 3")
    assert subprocess.run([tmp_path / "sudo", "a", "b c"]).returncode == 3
    assert calls(tmp_path) == ["sudo a b c"]


def test_a_block_that_fails_in_the_middle_fails(desk: Desk) -> None:
    assert desk.perform(Block("x", "y", "false\ntrue\n", {})).returncode != 0
    assert desk.perform(Block("x", "y", "false | true\n", {})).returncode != 0
    with pytest.raises(KeyError, match="secrets"):
        desk.perform(Block("x", "y", "true\n", {"A": "${{ secrets.TOKEN }}"}))
