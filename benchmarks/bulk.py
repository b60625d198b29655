"""Much at once: random exploration, and results of many platforms merged."""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

from pytest_sockreuse.explorer.fuzz import Fuzz
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.matrix.build import committed
from pytest_sockreuse.platforms import current

from .ratio import Ratio, did, ended, ran

_MERGE = """
import sys
from pathlib import Path
from pytest_sockreuse.matrix.build import build
build(sorted(Path(sys.argv[1]).iterdir()), all_known=False)
"""


def explore() -> Ratio:
    """random exploration: what is spent in Python, by both processes, to what is spent in the kernel"""
    before = _times()
    with Runner() as worker:
        for seed in range(4):
            Fuzz(worker, current(), seed).run(500)
    user, kernel = (after - earlier for earlier, after in zip(before, _times(), strict=True))
    return Ratio(user, kernel).each(2000, "scenario")


def _times() -> tuple[float, float]:
    """Seconds of this process and those that it ended, in Python and in the kernel."""
    here, (user, kernel) = os.times(), ended()
    return here.user + user, here.system + kernel


def merge() -> Ratio:
    """results of 60 platforms merged, to json.loads of their lines"""
    with tempfile.TemporaryDirectory() as name:
        lines: list[str] = []
        for number, path in zip(range(60), itertools.cycle(committed())):
            header, *rest = path.read_text().splitlines()
            about = json.loads(header)
            line = about["platform"].rsplit(".", 1)[0] if about["platform"].count(".") > 1 else about["platform"]
            about |= {"platform": f"{line}.{1000 + number}", "build": f"made up, number {number}"}
            lines += (text := [json.dumps(about), *rest])
            Path(name, f"{number:02}.jsonl").write_text("\n".join(text) + "\n")
        return Ratio(ran([sys.executable, "-c", _MERGE, name]), did(lambda: [json.loads(line) for line in lines]))
