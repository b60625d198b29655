"""A ratio of processor time, ours to a reference's: both are taken in turn, and of each the least disturbed counts."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: No plugin of pytest but those that are named: whatever else is installed here would only add noise. What is installed
#: is compiled, so what runs from a checkout may be.
_ALONE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
OURS = [*PYTEST, "-p", "pytest_sockreuse.plugin"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Seconds of the processor, ours and the reference's, for one of `what`."""

    ours: float
    reference: float
    what: str = "run"

    @property
    def value(self) -> float:
        return self.ours / self.reference

    def each(self, count: int, what: str) -> Ratio:
        """The same, for one of `count`."""
        return Ratio(self.ours / count, self.reference / count, what)


def least(rounds: int, ours: Callable[[], float], reference: Callable[[], float]) -> Ratio:
    """What the two give, asked in turn, at its least."""
    taken = [(ours(), reference()) for _ in range(rounds)]
    return Ratio(min(a for a, _ in taken), min(b for _, b in taken))


def ran(command: Sequence[str], at: Path | None = None, feed: bytes = b"") -> float:
    """Seconds of a command and its children, which must succeed."""
    before = sum(ended())
    subprocess.run(command, cwd=at, input=feed, check=True, stdout=subprocess.DEVNULL, env=_ALONE)
    return sum(ended()) - before


def did(act: Callable[[], object], rounds: int = 1) -> float:
    """Seconds of one call of a function in this process, of so many."""
    gc.collect()
    start = time.process_time()
    for _ in range(rounds):
        act()
    return (time.process_time() - start) / rounds


def did_with_children(act: Callable[[], object]) -> float:
    """Seconds of a call, and of the processes that it starts and ends."""
    before = sum(ended())
    here = did(act)
    return here + sum(ended()) - before


def ended() -> tuple[float, float]:
    """Seconds of all processes that this one has started and that have ended, outside the kernel and in it."""
    if sys.platform == "win32":
        raise NotImplementedError("a process there does not tell what its children used")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime, used.ru_stime
