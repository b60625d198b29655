"""docs/explain.md: each situation is made live in a private namespace, and what is printed is compared with the
page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from here import LINUX, linux_only
from situations import SITUATIONS, made

from pytest_sockreuse.platforms import current

PAGE = (Path(__file__).parents[1] / "docs" / "explain.md").read_text()
#: By title: the command, and what it prints.
SECTIONS = {
    title: (command, output)
    for title, command, output in re.findall(
        r"^## (.+)\n(?:(?!## ).*\n)*?```console\n\$ sockreuse (.+)\n((?:(?!```).*\n)+)```", PAGE, re.M
    )
    if title in SITUATIONS
}
RANGES = {"An outgoing connection was given the port": (8080, 8080), "Ports run out": (40000, 40007)}
NEEDS_ROOT = {"Another user has it", "A low port"}


def test_the_page_has_every_situation() -> None:
    assert SECTIONS.keys() == SITUATIONS.keys()
    assert len(SITUATIONS) == 12


def plain(text: str) -> str:
    """Output without what differs from run to run: processes, seconds, ports that the OS chose, the platform, the
    folds."""
    text = " ".join(text.split())
    text = re.sub(r"python[\d.]*", "python3", text)
    text = re.sub(r"pid \d+", "pid N", text)
    text = re.sub(r"\b\d+ s\b", "N s", text)
    text = re.sub(r"(?<=127\.0\.0\.1:)[3-6]\d{4}\b", "PORT", text)
    text = re.sub(r"linux-[\d.]+", "linux", text)
    return re.sub(r"user \w+(?: \(\d+\))?", "user SOMEBODY", text)


@linux_only
@pytest.mark.parametrize("title", SITUATIONS)
@pytest.mark.skipif(LINUX and current().version < (6, 8), reason="an older kernel does not tell of all sockets")
def test_the_page_shows_what_is_printed(title: str, sockreuse_netns: Any, isolation: str) -> None:
    if title in NEEDS_ROOT and isolation != "netns":
        pytest.skip("needs root: other users exist only in its namespaces")
    sockreuse_netns.port_range(*RANGES.get(title, (32768, 60999)))
    sockreuse_netns.set("net.ipv4.tcp_tw_reuse", 0)
    command, output = SECTIONS[title]
    with made(SITUATIONS[title]):
        found = subprocess.run(
            [sys.executable, "-m", "pytest_sockreuse.cli", *shlex.split(command)],
            capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "COLUMNS": "110"},
        )  # fmt: skip
    assert found.stderr == ""
    assert plain(found.stdout) == plain(output)
    assert found.returncode == 1
