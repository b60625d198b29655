"""Every example of the documents is performed, by Sybil: what a fence holds decides how.

| language | |
|---|---|
| `console` | after each `$ ` a command, in a project that the page makes; what it prints is compared, `…` is anything |
| `sh` | commands that set an environment up: in a fresh clone, by `tox run -e fresh` |
| `synopsis` | the commands and options that it names exist |
| `python` | tests pass; other code runs, and those after it see its names |
| `scenario` | this machine does with it what its model says; a `toml` outcome below it says the same |
| `toml`, `ini`, `yaml`, `json` | it can be read; settings and inputs that are ours exist |
| `text` | what programs print, and drawings |

A comment in the line before says what is special: `<!-- in a clone -->`, that the rest of the page is performed in one;
`<!-- file: NAME -->`, that the project has it from there on; `<!-- lines 3-5 of NAME -->`, that they are this now;
`<!-- performed by PATH -->`, that this test does it; `<!-- not performed: WHY -->`.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import LANGUAGES, PAGES
from workflow import ROOT, action

pytest.importorskip("sybil", reason="needs Sybil: tox run -e docs")

import generated
import psutil
import yaml
from sybil import Sybil
from sybil.example import Example
from sybil.parsers.markdown import CodeBlockParser

from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import not_modelled, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current
from pytest_sockreuse.scenario import Observation, Scenario
from pytest_sockreuse.verdict import judge

FRESH = "SOCKREUSE_FRESH" in os.environ  # then what sets an environment up is performed too
_BY = re.compile(r"<!-- (?:.*, )?(?:performed|checked) by (\S+) -->")
_ALL_BY = re.compile(r"<!-- each (\w+) block is performed by (\S+) -->")


class Desk:
    """Where the examples of one page are performed, in their order."""

    def __init__(self, page: Path, top: Path, performed: Callable[[Scenario], Observation | None]) -> None:
        self.page, self.top, self.performed = page, top, performed
        self.project = top / "project"
        self.prelude = "import pytest\n"  # the page's Python so far
        self.observed: Observation | None = None
        self.project.mkdir()
        if re.search(r"^\$ .*examples/", page.read_text(encoding="utf-8"), re.M):
            (self.project / "examples").symlink_to(ROOT / "examples")
        (self.project / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider -p no:random_order\n")

    def __call__(self, example: Example) -> str | None:
        """Perform an example; what is wrong with it, or nothing."""
        before = re.search(r"(?:^<!-- .* -->\n)*\Z", example.document.text[: example.start], re.M)
        comments = before[0].splitlines() if before else []
        language = example.region.lexemes["arguments"]
        pages = dict(_ALL_BY.findall(example.document.text))
        if language in pages:
            return self._elsewhere(pages[language])
        for comment in comments:
            if found := _BY.fullmatch(comment):
                return self._elsewhere(found[1])
            if comment.startswith("<!-- not performed: "):
                return None
            if comment == "<!-- in a clone -->":
                self.project = self._clone()
            elif self._wrote(comment, example):
                return None
        wrong: str | None = getattr(self, f"do_{language}")(example.parsed)
        return wrong

    def _wrote(self, comment: str, example: Example) -> bool:
        """Whether the comment says that a file of the project is this, or has it."""
        if found := re.fullmatch(r"<!-- file: (\S+) -->", comment):
            path = self.project / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(example.parsed, encoding="utf-8")
        elif found := re.fullmatch(r"<!-- lines (\d+)-(\d+) of (\S+) -->", comment):
            path = self.project / found[3]
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            fence = example.document.text[example.start : example.end]  # with its indentation
            lines[int(found[1]) - 1 : int(found[2])] = [f"{line}\n" for line in fence.splitlines()[1:-1]]
            path.write_text("".join(lines), encoding="utf-8")
        return found is not None

    def _elsewhere(self, name: str) -> str | None:
        told = self.page.name in (ROOT / name).read_text(encoding="utf-8")
        return None if told else f"{name} does not name {self.page.name}"

    def _clone(self) -> Path:
        """A clone of this repository beside the project; where nothing is set up, of the suite alone."""
        clone = self.top / "pytest-sockreuse"
        if FRESH and not clone.exists():
            subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        elif not clone.exists():
            left_out = shutil.ignore_patterns("results", "predictions", "lab")
            shutil.copytree(ROOT / "conformance", clone / "conformance", ignore=left_out)
            (clone / "pytest.ini").write_text(
                "[pytest]\naddopts = -p no:cacheprovider -p no:random_order\nsockreuse_conformance = conformance\n"
            )
        return clone

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Perform a command, which leaves no process behind."""
        places = [self.project / ".venv" / "bin", self.top / "venv" / "bin", Path(sys.executable).parent]
        paths = os.pathsep.join([*map(str, places), os.environ["PATH"]])
        env = {**os.environ, "PATH": paths, "COLUMNS": "110", "PYTHONDONTWRITEBYTECODE": "1"}
        if (self.project / "conformance").exists() and not places[0].exists():  # a clone that is not installed
            env["PYTEST_ADDOPTS"] = "-o sockreuse_conformance=conformance"
        with subprocess.Popen(
            command, cwd=self.project, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            said, _ = process.communicate(timeout=600)
        left = [one for one in psutil.process_iter(["cmdline"]) if _session(one.pid) == process.pid]
        for one in left:
            one.kill()
        assert not left, f"{command} left {[one.info['cmdline'] for one in left]}"
        return subprocess.CompletedProcess(command, process.returncode, said)

    def do_console(self, text: str) -> str | None:
        for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
            said = self._run("sh", "-c", command).stdout
            if wanted and not re.fullmatch(re.escape(plain(wanted)).replace("…", ".*"), plain(said)):
                return f"$ {command}\nprinted\n{said}\nand not\n{wanted}"
        return None

    def do_sh(self, text: str) -> str | None:
        if not FRESH:
            return None
        self._clone()
        if not (self.top / "venv").exists():
            venv.create(self.top / "venv", with_pip=True)
        done = self._run("sh", "-euxc", text)
        return done.stdout if done.returncode else None

    def do_synopsis(self, text: str) -> str | None:
        wrong = (_wrong(line.partition("  ")[0].split()) for line in text.splitlines())
        return next(filter(None, wrong), None)

    def do_python(self, text: str) -> str | None:
        if "def test_" in text:
            (self.project / "test_example.py").write_text(self.prelude + text, encoding="utf-8")
            done = self._run(sys.executable, "-m", "pytest", "-q", "test_example.py")
        else:
            self.prelude += text
            done = self._run(sys.executable, "-c", self.prelude)
        return done.stdout if done.returncode else None

    def do_scenario(self, text: str) -> str | None:
        scenario = parse(text)
        self.observed = self.performed(scenario)
        if self.observed is None or not_modelled(current()):
            return None
        predicted = ["|".join(step.outcomes) for step in predict(scenario, current()).steps]
        seen = [step.outcome for step in self.observed.steps]
        return None if seen == predicted else f"this machine: {seen}\nits model: {predicted}"

    def do_toml(self, text: str) -> str | None:
        data = tomllib.loads(text)
        if "outcome" not in data:
            return None
        if self.observed is None:
            return None
        verdict = judge(data["outcome"], self.observed)
        return None if verdict.state == "match" else str(verdict)

    def do_ini(self, text: str) -> str | None:
        parser = configparser.ConfigParser()
        parser.read_string(text)
        known = {name for name, _, _ in generated.added().settings}
        ours = {key for section in parser.values() for key in section if key.startswith("sockreuse")}
        return f"no settings {ours - known}" if ours - known else None

    def do_yaml(self, text: str) -> str | None:
        steps = [*_steps(yaml.safe_load(text))]
        given = {name for step in steps for name in step.get("with", ()) if "pytest-sockreuse@" in step.get("uses", "")}
        unknown = given - action()["inputs"].keys()
        return f"the action has no input {unknown}" if unknown else None

    def do_json(self, text: str) -> str | None:
        for line in text.splitlines():
            json.loads(line)
        return None

    def do_text(self, text: str) -> str | None:
        return "a command in text" if re.search(r"^\$ ", text, re.M) else None


def _session(pid: int) -> int | None:
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            return os.getsid(pid)
    return None


def _wrong(words: list[str]) -> str:
    """What is wrong with a command of ours, of tox or of pytest; empty where nothing is, or it is another's."""
    given = " ".join(words).partition(" -- ")[0]
    if words[:1] == ["sockreuse"]:
        parsers = generated.subcommands()
        parser = parsers.get(" ".join(words[1:3])) or parsers.get(" ".join(words[1:2]))
        if parser is None:
            return f"no such command: {given}"
        options = re.findall(r"(?<![\w-])--?[a-z][\w-]*", given)
        return next((f"no such option: {one}" for one in options if one not in parser._option_string_actions), "")
    if words[:1] == ["tox"]:
        tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
        names = re.findall(r"-e (\S+)", given)
        asked = [name for listed in names for name in listed.split(",") if not name.startswith("py-")]
        return next((f"no such environment: {one}" for one in asked if f"[testenv:{one}]" not in tox), "")
    if words[:1] == ["pytest"]:
        return next((f"no such file: {one}" for one in words if one.endswith(".py") and not (ROOT / one).exists()), "")
    return ""


def _steps(data: Any) -> list[dict[str, Any]]:
    """The steps of a workflow, or of a part of one."""
    if isinstance(data, dict):
        return data.get("steps", []) if "steps" in data else [step for one in data.values() for step in _steps(one)]
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []


def plain(text: str) -> str:
    """Output without what differs from run to run: seconds, the version of this machine, how wide it is."""
    text = re.sub(r"\bin \d+\.\d+s\b", "in N s", " ".join(text.split()))
    return re.sub(r"\blinux-\d[\w.-]*", "linux", re.sub("={3,}", "===", text))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_does_what_it_says(name: str, tmp_path: Path, runner: Runner, isolation: str) -> None:
    def performed(scenario: Scenario) -> Observation | None:
        return runner.run(scenario) if isolation != "none" else None

    desk = Desk(ROOT / name, tmp_path, performed)
    document = Sybil([CodeBlockParser(language, desk) for language in LANGUAGES]).parse(ROOT / name)
    for example in document.examples():
        example.evaluate()


def test_each_language_is_performed_somehow() -> None:
    assert [f"do_{language}" for language in LANGUAGES] == [name for name in vars(Desk) if name.startswith("do_")]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("console", "$ echo one\ntwo\n"),
        ("synopsis", "sockreuse run FILE --no-such-option\n"),
        ("synopsis", "sockreuse fly\n"),
        ("synopsis", "tox run -e fly\n"),
        ("synopsis", "pytest tests/test_flying.py\n"),
        ("python", "assert False\n"),
        ("python", "def test_it():\n    assert False\n"),
        ("ini", "[pytest]\nsockreuse_nothing = 1\n"),
        ("yaml", "- uses: a/pytest-sockreuse@x\n  with: {fly: 1}\n"),
        ("text", "$ ls\n"),
    ],
)
def test_a_wrong_example_is_found(language: str, text: str, tmp_path: Path) -> None:
    desk = Desk(ROOT / "README.md", tmp_path, lambda _: None)
    assert getattr(desk, f"do_{language}")(text)


def test_a_process_that_an_example_leaves_is_found_and_ended(tmp_path: Path) -> None:
    desk = Desk(ROOT / "README.md", tmp_path, lambda _: None)
    with pytest.raises(AssertionError, match="left"):
        desk.do_console("$ sleep 60 >/dev/null 2>&1 &\n")
