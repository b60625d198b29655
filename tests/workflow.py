"""The workflows and the action as data: their steps, and a way to perform a `run:` block as the service would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / ".github" / "workflows"


@cache
def workflow(name: str) -> dict[str, Any]:
    """A workflow by the name of its file; ``on`` is under True, as YAML 1.1 reads it."""
    data: dict[str, Any] = yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text(encoding="utf-8"))
    return data


@cache
def action() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return data


def names() -> list[str]:
    return sorted(path.stem for path in WORKFLOWS.glob("*.yml"))


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each job: its workflow, its id, what it says."""
    for name in names():
        for id_, job in workflow(name)["jobs"].items():
            yield name, id_, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each step of all jobs and of the action, with the place where it stands."""
    for name, id_, job in jobs():
        for step in job.get("steps", ()):
            yield f"{name}/{id_}", {**step, "env": {**job.get("env", {}), **step.get("env", {})}}
    for step in action()["runs"]["steps"]:
        yield "action", step


@dataclass(frozen=True)
class Block:
    """A `run:` of a step, or the text that a virtual machine is given to run."""

    place: str
    name: str
    text: str = field(repr=False)
    env: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.place}/{self.name}"


def blocks() -> Iterator[Block]:
    for place, step in steps():
        text = step.get("run") or step.get("with", {}).get("run")
        if text:
            yield Block(place, step.get("name", ""), text, step.get("env", {}))


def block(which: str) -> Block:
    (found,) = (one for one in blocks() if str(one) == which)
    return found


def perform(
    one: Block, cwd: Path, expressions: Mapping[str, str], env: Mapping[str, str], path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a block as the service does: the expressions of its env replaced, a failing command ends it.

    A program in the directory `path` comes before those of the machine. An expression that is not given is an error.
    """

    def value(text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: expressions[found[1]], str(text))

    assert "${{" not in one.text, f"{one}: an expression in a script is an injection"
    own = {key: value(text) for key, text in one.env.items()}
    paths = [*([str(path)] if path else []), str(Path(sys.executable).parent), os.environ["PATH"]]
    script = cwd / ".block.sh"
    script.write_text(one.text)
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script.name], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PATH": os.pathsep.join(paths), **env, **own},
    )  # fmt: skip


def tool(directory: Path, name: str, script: str = "") -> None:
    """Put a program into a directory: it notes how it was called in DIRECTORY/calls, and does what `script` says."""
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{directory}/calls"\n{script}\n')
    program.chmod(0o755)


def calls(directory: Path) -> list[str]:
    """How the programs of a directory were called."""
    noted = directory / "calls"
    return noted.read_text().splitlines() if noted.exists() else []
