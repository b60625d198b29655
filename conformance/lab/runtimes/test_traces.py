"""`sockreuse trace` on real servers: what it finds, performed again by `sockreuse run`, comes to the same."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import HERE, PROGRAMS, Missing, command, put, version

from pytest_sockreuse.platforms import current

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="no strace"),
    pytest.mark.skipif(current().stack != "linux", reason="strace is Linux'"),
    pytest.mark.sockreuse_netns,
]
TOOL = [sys.executable, "-m", "pytest_sockreuse.cli"]
SERVERS = ("node", "java", "go", "go-1.23", "rust-http", "nginx", "redis", "uvloop-http")
MODES = [(name, mode) for name in SERVERS for mode in ("twice", "restart")] + [("nginx", "reload")]


def trace(name: str, mode: str, work: Path, *options: str) -> str:
    """What the trace of a server says; skips where it is not here."""
    try:
        version(name)
        with socket.socket() as free:  # of a namespace that is ours alone
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        words = {"PORT": port, "WORK": str(work), "CONFIG": str(work / "config")}
        (work / "config").write_text(put(PROGRAMS[name].get("config", ""), words))
        server = command(name, words, work)
    except Missing as why:
        pytest.skip(str(why))
    driver = [sys.executable, str(HERE / "driver.py"), mode, port, *server]
    done = subprocess.run(
        [*TOOL, "trace", *options, "--", *driver], cwd=work, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def performed(scenario: str) -> dict[str, Any]:
    """What `sockreuse run` makes of a scenario, by step."""
    done = subprocess.run([*TOOL, "run", "--json", "-"], input=scenario, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {step["step"]: step["outcome"] for step in json.loads(done.stdout)["steps"]}


@pytest.mark.parametrize(("name", "mode"), [("node", "twice"), ("nginx", "reload")])
def test_the_page_shows_what_it_prints(name: str, mode: str, tmp_path: Path) -> None:
    """But for the numbers of processes and of clients that came too early, and who of two processes was first."""
    text = trace(name, mode, tmp_path, "--on", "linux-6.18,macos-26,windows-11")
    page = (HERE.parents[2] / "docs" / "trace.md").read_text(encoding="utf-8")
    shown = re.search(rf"<!-- {name} {mode},.*?-->\n```text\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    assert _lines(re.sub(r"\[\d+\]", "[N]", text)) == _lines(shown[1])


def _lines(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if not line.startswith(("---", "# left out")))


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_a_trace_performed_again_comes_to_the_same(name: str, mode: str, tmp_path: Path) -> None:
    found = json.loads(trace(name, mode, tmp_path, "--json"))
    listeners = 0
    for piece in found["pieces"]:
        assert performed(piece["scenario"]) == piece["outcomes"]
        assert "unknown" not in piece or not any("is not what the model" in why for why in piece["unknown"].values())
        listeners += sum(step.endswith(".listen") for step in piece["outcomes"])
    bound = [
        o for p in found["pieces"] for step, o in p["outcomes"].items() if step.startswith("bound") and ".bind" in step
    ]
    assert ("EADDRINUSE" in bound) == (mode == "twice")
    assert listeners >= (2 if mode == "restart" else 1)
    windows = [f for p in found["pieces"] for f in p.get("findings", ()) if f["platforms"] == ["windows-11"]]
    assert mode != "twice" or name.startswith("uvloop") or any(f["step"] == "bound.bind" for f in windows)
