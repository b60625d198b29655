"""Scenarios performed by the kernel, against plain `unshare`, and the same calls made by the runner in C."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.live.sandbox import isolation
from pytest_sockreuse.loader import load
from pytest_sockreuse.parser import parse
from pytest_sockreuse.report.exchange import export
from pytest_sockreuse.scenario import Scenario

from .ratio import Ratio, did_with_children, least, ran

_RUNNER = Path(__file__).parent.parent / "conformance" / "lab" / "runner.c"
_UNSHARE = """
import ctypes, os, sys, time
unshare = ctypes.CDLL(None, use_errno=True).unshare
if os.geteuid():
    unshare(0x10000000)
start = time.process_time()
for _ in range(int(sys.argv[1])):
    if unshare(0x40000000):
        raise OSError(ctypes.get_errno(), "unshare")
print(time.process_time() - start)
"""


class Unmeasured(Exception):
    """What this machine lacks to measure it."""


def alone() -> Ratio:
    """a scenario of one socket performed in a namespace of its own, to a plain `unshare`"""
    count, scenario = 300, parse("A = tcp4()")
    scenarios = [scenario] * count
    taken = least(3, lambda: did_with_children(lambda: _perform(scenarios, shared=False)), lambda: _unshared(count))
    return taken.each(count, "scenario")


def performed() -> Ratio:
    """a sample of the suite by the worker in Python, to the runner in C"""
    sample = [variant.scenario for variant in load(check=False).variants[::20] if not variant.scenario.waits]
    text = "".join(f"--- {number}\n{scenario}" for number, scenario in enumerate(sample)).encode()
    with _program() as program:
        ours = least(
            2,
            lambda: did_with_children(lambda: _perform(sample, shared=True)),
            lambda: ran([program, "-j", "1"], feed=text),
        )
    return ours.each(len(sample), "scenario")


def exported() -> Ratio:
    """a scenario of the exported suite by the runner in C, by two processes, to a plain `unshare`"""
    suite = load(check=False)
    text, count = "".join(export(suite)).encode(), len(suite.variants)
    with _program() as program:
        return Ratio(ran([program, "-j", "2"], feed=text) / count, _unshared(300) / 300, "scenario")


def _perform(scenarios: Iterable[Scenario], shared: bool) -> None:
    with Runner() as runner:
        for scenario in scenarios:
            runner.ask(scenario, shared=shared, more=True)
        for _ in scenarios:
            runner.answer()


def _unshared(count: int) -> float:
    """Seconds of so many plain calls."""
    if isolation() == "none":
        raise Unmeasured("no network namespace can be made here")
    return float(subprocess.check_output([sys.executable, "-c", _UNSHARE, str(count)]))


@contextmanager
def _program() -> Iterator[str]:
    """The runner in C, compiled. Raises Unmeasured."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Unmeasured("there is no C compiler")
    with tempfile.TemporaryDirectory() as name:
        program = str(Path(name, "runner"))
        subprocess.run([compiler, "-std=c99", "-O2", "-o", program, str(_RUNNER)], check=True)
        yield program
