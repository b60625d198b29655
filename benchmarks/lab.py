"""How long the lab takes, in minutes of the clock: the kernels have processors of their own making."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = Path(__file__).parent.parent / "conformance" / "lab" / "run.py"


def lab() -> str:
    """the suite on all user-mode kernels, by two at a time, once they are downloaded"""
    program = [sys.executable, str(RUN), "uml", "--explore", "0", "--jobs", "2"]
    with tempfile.TemporaryDirectory() as name:
        at = ["--work", str(Path(name, "work")), "--into", name]
        subprocess.run([*program, *at, "--rules", "order-dependence"], check=True, stdout=subprocess.DEVNULL)
        start = time.perf_counter()
        subprocess.run([*program, *at], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    return f"{seconds / 60:.1f} minutes, as root and as a user (at most 10)"
