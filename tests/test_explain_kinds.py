"""``--sockreuse-explain``: for each kind of thing that can be in the way, what must be said of it, or must not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from conflicts import BEGIN, KINDS, Kind
from here import LINUX
from more_conflicts import MORE
from telling import told

from pytest_sockreuse.platforms import current

pytestmark = [
    pytest.mark.skipif(not LINUX, reason="what is expected here is Linux's"),
    pytest.mark.skipif(LINUX and current().version < (6, 8), reason="an older kernel does not tell of all sockets"),
]
Rows = dict[str, list[str]]
ALL = {**KINDS, **MORE}


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory, isolation: str, installed: bool) -> dict[str, list[Rows]]:
    """What is told of each kind that this user can make, all by one run."""
    place = tmp_path_factory.mktemp("kinds")
    for name, kind in ALL.items():
        if not why_not(kind, isolation):
            code = "\n".join(line[8:] for line in kind.code.splitlines())
            (place / f"test_{name.replace('-', '_')}.py").write_text(BEGIN + code)
    environment = {**os.environ, "PYTEST_ADDOPTS": "-p no:hypothesispytest"}
    if not installed:
        environment["PYTEST_PLUGINS"] = "pytest_sockreuse.plugin"
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--tb=short", "--sockreuse-explain", "-p", "no:cacheprovider", "--rootdir=.",
         "--basetemp=kept"],
        cwd=place, capture_output=True, text=True, timeout=300, check=False, env=environment,
    ).stdout  # fmt: skip
    parts = re.split(r"^_+ (?:test_it) _+$", found, flags=re.M)[1:]
    files = [re.search(r"^(test_\w+)\.py:", part, re.M) for part in parts]
    return {file[1]: told(part.splitlines()) for file, part in zip(files, parts, strict=True) if file}


def why_not(kind: Kind, isolation: str) -> str:
    """Why a kind cannot be made here; empty if it can."""
    if kind.root and isolation != "netns":
        return "needs root: other users and devices exist only in its namespaces"
    if isolation == "none" and ("netns" in kind.code or "port_range" in kind.code):
        return "needs network namespaces"
    return ""


@pytest.mark.parametrize("name", ALL)
def test_what_is_in_the_way_is_named(name: str, sections: dict[str, list[Rows]], isolation: str) -> None:
    kind = ALL[name]
    if why := why_not(kind, isolation):
        pytest.skip(why)
    (rows,) = sections[f"test_{name.replace('-', '_')}"]
    for words in kind.shows:
        assert says(rows, words), (words, rows)
    for words in kind.hides:
        assert not says(rows, words), (words, rows)


def says(rows: Rows, words: str) -> bool:
    """Whether a row has these words: of ``fix`` any, the first or the last one."""
    name, _, text = words.partition(": ")
    which: Callable[[list[str]], list[str]] = lambda found: found  # noqa: E731
    if name.startswith(("first ", "last ")):
        which = (lambda found: found[:1]) if name.startswith("first") else (lambda found: found[-1:])
        name = name.partition(" ")[2]
    return any(text in row for row in which(rows.get(name, [])))


def test_a_text_without_such_words_is_not_looked_up(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="def test_it(held_port): assert False, f'port {held_port.port}'")
    result = project.runpytest_inprocess("--sockreuse-explain")
    assert "sockreuse: " not in str(result.stdout)
