"""The programs of programs.toml: whether what each takes is here, and how it is started."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROGRAMS: dict[str, dict[str, Any]] = tomllib.loads((HERE / "programs.toml").read_text(encoding="utf-8"))


class Missing(Exception):
    """What it takes is not on this machine."""


def version(name: str) -> str:
    """The version of a program's runtime that is here. Raises Missing."""
    if name not in PROGRAMS:
        raise Missing("nobody has written a program for it")
    program = PROGRAMS[name]
    if "package" in program:
        try:
            return importlib.metadata.version(program["package"])
        except importlib.metadata.PackageNotFoundError:
            raise Missing(f"no package {program['package']}") from None
    if "version" not in program:
        return platform.python_version()
    found = _said(*program["version"])
    if not _numbers(program.get("since", "0")) <= _numbers(found) < _numbers(program.get("until", "9999")):
        raise Missing(f"{program['version'][0]} is {found}")
    return found


def command(name: str, words: Mapping[str, str], tools: Path) -> list[str]:
    """What starts a program, with `words` put in; what has to be built is, into `tools`, once."""
    own = {"TOOLS": str(tools), "HERE": str(HERE), **words}
    if build := PROGRAMS[name].get("build"):
        _built(tuple(put(word, own) for word in build))
    return [sys.executable if word == "python" else put(word, own) for word in PROGRAMS[name]["run"]]


def put(text: str, words: Mapping[str, str]) -> str:
    """A text with each of the words in its place."""
    for word, value in words.items():
        text = text.replace(word, value)
    return text


@cache
def _built(build: tuple[str, ...]) -> None:
    subprocess.run(build, check=True, timeout=600)


@cache
def _said(*asked: str) -> str:
    """The first version that a command prints. Raises Missing."""
    if shutil.which(asked[0]) is None:
        raise Missing(f"no {asked[0]}")
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    if found is None:
        raise Missing(f"{asked[0]} does not say its version")
    return found.group()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")[:2]))
