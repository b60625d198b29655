"""The weekly run in small, on this machine: the wheel, legs on kernels that are here, the merge, and what it leads to.

With one rule of the suite where a wheel is built (`tox run -e package`), with all of it and a user-mode kernel by
`tox run -e pipeline`. The hosting service is faked; a leg of another platform is made of a real one's results.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gh
import pytest
from workflow import ROOT, tool

from pytest_sockreuse.loader import load
from pytest_sockreuse.platforms import current
from pytest_sockreuse.report.results import read, write
from pytest_sockreuse.suite import Statement

DIST = os.environ.get("SOCKREUSE_DIST")
WHOLE = bool(os.environ.get("SOCKREUSE_PIPELINE"))
RULE = "order-dependence"
RULES = [] if WHOLE else ["--rules", RULE]
SUITE = load(rules=None if WHOLE else [RULE], check=False)
USER, ROOTS, DYING, DRIFTING, KERNEL = "ubuntu-24.04", "ubuntu-24.04-root", "netbsd-10.1", "ubuntu-26.04", "linux-7.2.7"

if sys.platform != "linux" or not DIST:
    pytest.skip("nothing is built here: `tox run -e package`, on Linux", allow_module_level=True)

AS_USER = """
import os, sys
sys.path.insert(0, "source/conformance/lab")
import guest
from pathlib import Path
guest.open_to_users({Path(path) for path in sys.argv[1].split(os.pathsep)})
guest._become_user()
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass
class Bench:
    """A job's directory: `source/` is the checkout, `env/` has the wheel and nothing else of ours."""

    root: Path

    @property
    def python(self) -> str:
        return str(self.root / "env/bin/python")

    def script(self, name: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts, as root if that is who we are."""
        return self.run([self.python, f"source/.github/scripts/{name}.py", *arguments], env)

    def run(self, command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHON", "GITHUB_"))
        }
        return subprocess.run(command, cwd=self.root, env=clean | (env or {}), capture_output=True, text=True)

    def as_user(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts as somebody who is not root."""
        if os.geteuid():
            return self.script(name, *arguments)
        os.chown(self.root / "leg", 64000, 64000)
        paths = os.pathsep.join(map(str, (self.root, sys.base_prefix)))
        command = [self.python, f"source/.github/scripts/{name}.py", *arguments]
        return self.run(["unshare", "--mount", self.python, "-c", AS_USER, paths, *command])


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for part in (".github", "conformance", "docs"):
            shutil.copytree(ROOT / part, root / "source" / part)
        for filed in (root / "source/conformance/results").glob(f"{current().stack}-*.jsonl"):
            filed.unlink()  # nothing of this kernel is filed yet
        venv.create(root / "env", with_pip=True)
        (wheel,) = Path(DIST or "").glob("*.whl")
        made = Bench(root)
        done = made.run([made.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
        assert done.returncode == 0, done.stderr
        yield made


def unproven() -> Statement:
    """A statement that every run of this kernel shows: of this stack alone, of versions with this one."""
    here = current()
    for case in SUITE.rules[RULE].cases:
        for statement in case.statements:
            if statement.basis == "measured" and list(statement.on) == [here.stack] and here.version in statement.span:
                return statement
    pytest.skip(f"no statement of {RULE} is of {here.stack} alone")


def weaken(statement: Statement, bench: Bench) -> str:
    """Have a statement say `source` in what is installed and in the checkout; the name of its file."""
    name = f"conformance/rules/{statement.at.file.name}"
    (installed,) = (bench.root / "env").glob(f"lib/python*/site-packages/pytest_sockreuse/{name}")
    for path in (installed, bench.root / "source" / name):
        lines = path.read_text().splitlines(keepends=True)
        number = next(n for n in range(statement.at.line, len(lines)) if 'basis = "measured"' in lines[n])
        lines[number] = lines[number].replace("measured", "source")
        path.write_text("".join(lines))
    return name


@pytest.fixture(scope="module")
def legs(bench: Bench, isolation: str) -> Bench:
    """The legs have been: as a user, as root, on a machine that died half-way, and one of another platform."""
    if isolation == "none":
        pytest.skip("needs network namespaces")
    (bench.root / "leg").mkdir()
    done = bench.as_user("leg", USER, "leg", *RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    if os.geteuid() == 0:
        done = bench.script("leg", ROOTS, "leg", *RULES, env=_without_sudo(bench))
        assert done.returncode == 0, done.stdout + done.stderr
        if WHOLE:
            done = bench.script("leg", KERNEL, "leg", env=_without_sudo(bench))
            assert done.returncode == 0, done.stdout + done.stderr
    _die_half_way(bench)
    _drift(bench)
    return bench


def _without_sudo(bench: Bench) -> dict[str, str]:
    """Root needs none, and a container may have none that works."""
    tool(bench.root / "bin", "sudo", 'exec "$@"')
    return {"PATH": f"{bench.root / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def _die_half_way(bench: Bench) -> None:
    """A machine whose runner is killed after some answers, in the middle of a line."""
    leg = bench.root / "leg"
    assert bench.script("leg", DYING, "leg", "--prepare", *RULES).returncode == 0
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        answers = "".join(
            json.dumps({"platform": "netbsd-10.1", "title": id_, "not_run": "x"}) + "\n" for id_ in SUITE.by_id
        )
        (leg / "answers.jsonl").write_text(answers[:2000])
    else:
        source = bench.root / "source/conformance/lab/runner.c"
        subprocess.run([compiler, "-std=c99", "-O2", "-o", leg / "runner", source], check=True)
        with (
            open(leg / "suite.scenario") as scenarios,
            subprocess.Popen([leg / "runner"], stdin=scenarios, stdout=subprocess.PIPE, text=True) as runner,
        ):
            assert runner.stdout is not None
            lines = [next(runner.stdout) for _ in range(20)]
            runner.kill()
        (leg / "answers.jsonl").write_text("".join(lines)[:-10])
    assert bench.script("leg", DYING, "leg", "--returned", *RULES).returncode == 1


def _drift(bench: Bench) -> None:
    """The user's results as those of a newer kernel on which one call fails."""
    (results,) = read(bench.root / "leg" / f"{USER}.jsonl", SUITE)
    results.about["platform"] = f"{results.about['stack']}-7.3.4"
    id_ = next(id_ for id_, result in results.results.items() if result.verdict == "match" and not result.outcome)
    label = next(label for label in SUITE.by_id[id_].labels if label.endswith(".bind"))
    kept = results.results[id_]
    results.results[id_] = type(kept)(id_, kept.content, "mismatch", {label: "ENOMEM"})
    write(bench.root / "leg" / f"{DRIFTING}.jsonl", [results], SUITE)


@pytest.fixture(scope="module")
def merged(legs: Bench) -> Bench:
    weaken(unproven(), legs)
    done = legs.script("merge", "leg", "merged", *RULES, env={"GITHUB_OUTPUT": str(legs.root / "outputs")})
    assert done.returncode == 0, done.stderr
    return legs


def test_the_summary_says_which_legs_are_whole_truncated_and_missing(merged: Bench) -> None:
    text = (merged.root / "merged/summary.md").read_text()
    whole = {path.stem for path in (merged.root / "merged/whole").iterdir()}
    roots = {ROOTS, KERNEL} if WHOLE else {ROOTS}
    assert whole == {USER, DRIFTING} | (set() if os.geteuid() else roots)
    assert f"{len(whole)} whole, 1 truncated, " in text.splitlines()[0]
    assert f"- **{DYING}** is truncated: no footer" in text
    assert "- **macos-15** is missing: it uploaded nothing" in text
    assert re.search(rf"^\| {USER} \| {current()} \| \d+ \| 0 \|", text, re.MULTILINE)
    assert (merged.root / "outputs").read_text() == "complete=false\npage=true\nproposal=true\n"


def test_the_two_runs_of_this_kernel_agree(merged: Bench) -> None:
    assert "differ from run to run" not in (merged.root / "merged/summary.md").read_text()


def test_the_page_has_what_arrived(merged: Bench) -> None:
    matrix = json.loads((merged.root / "merged/page/matrix.json").read_text())
    runs = {entry["name"]: [run["file"] for run in entry["runs"]] for entry in matrix["platforms"]}
    assert runs[str(current())] == sorted([f"{USER}.jsonl", *([] if os.geteuid() else [f"{ROOTS}.jsonl"])])
    assert runs["linux-7.3.4"] == [f"{DRIFTING}.jsonl"]
    assert matrix["left_out"] == []
    page = (merged.root / "merged/page/matrix.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert f"{DRIFTING}.jsonl" in page
    assert "What was run" in (merged.root / "merged/summary.md").read_text()


def service(bench: Bench) -> tuple[dict[str, str], Path]:
    tools = bench.root / "service"
    shutil.rmtree(tools, ignore_errors=True)
    tools.mkdir()
    state = gh.install(tools)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "FAKE_GH": str(state), "GH_TOKEN": "x", "GITHUB_REPOSITORY": "owner/project"}, state


def test_drift_becomes_an_issue(merged: Bench) -> None:
    env, state = service(merged)
    done = merged.script("issues", "merged/drift.json", env=env)
    assert done.stdout == "linux-7.3: #1 opened\n", done.stderr
    (issue,) = json.loads(state.read_text())["issues"]
    assert issue["title"] == "Linux 7.3 does otherwise than the suite expects"
    assert "linux-7.3.4 (ubuntu-26.04): 1 variant of 1 case not as expected." in issue["body"]
    assert "gave ENOMEM, not " in issue["body"]


def test_what_was_proven_becomes_a_pull_request(merged: Bench) -> None:
    env, state = service(merged)
    done = merged.script("propose", "merged/proposal", "main", "m" * 40, "", env=env)
    assert done.stdout == "#1 opened\n", done.stderr
    data = json.loads(state.read_text())
    (branch,) = (sha for name, sha in data["refs"].items() if name != "refs/heads/main")
    files = data["trees"][data["commits"][branch]["tree"]["sha"]]
    name = f"conformance/rules/{unproven().at.file.name}"
    ran = {f"conformance/results/{one}.jsonl" for one in (current(), *([KERNEL] if WHOLE else []))}
    results = {file for file in files if "/results/" in file}
    if WHOLE:  # the suite may have statements that these kernels prove, and nobody has applied that yet
        assert results and results <= ran  # one of two that show the same is enough
        assert {name, "docs/claims.md"} <= files.keys()
    else:
        own = sorted([*ran, name, "docs/claims.md"])
        assert sorted(file for file in files if "/predictions/" not in file) == own  # which tests/test_kept.py holds
        assert files[name] == (ROOT / name).read_text()  # as it was before it was weakened
    assert files["docs/claims.md"].startswith("# ")
    for one in results:
        (merged.root / "filed.jsonl").write_text(files[one])
        (filed,) = read(merged.root / "filed.jsonl", SUITE)
        assert filed.results.keys() == SUITE.by_id.keys()
    done = merged.script("propose", "merged/proposal", "main", "m" * 40, "", env=env)
    assert done.stdout == "#1 brought up to date\n", done.stderr
