"""The recorder over projects that live on sockets: ``python benchmarks/downstream.py [PAIRS] [PROJECT …]``.

Their own tests are run with and without it, in turn, PAIRS times (1). Fails where a result is another with it, or where
it names a misuse that is not known to be one; prints what recording costs.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

assert sys.platform != "win32", "the processor's time of child processes"

HERE = Path(__file__).parent / "projects"
SUITES = {
    "tornado": ["--pyargs", "tornado", "-p", "tornado_logs"],
    "cheroot": ["--pyargs", "cheroot.test", "-p", "cheroot.test._pytest_plugin"],
    # Its releases have no tests: these hold it to what it promises.
    "ephemeral-port-reserve": [str(HERE / "test_ephemeral_port_reserve.py")],
}
#: Misuse that is one: by project the id, the place and the reason.
KNOWN = {
    "cheroot": {
        (
            "guessed-port",
            "portend.py",
        ): "a test takes a port of portend's, which binds it, closes it and gives its number",
    },
}
_LONG = 5  # seconds: a share of less says nothing
_AGAIN = 3  # times that a test whose result changed is run again, in turn


@dataclass
class Run:
    """One run of a suite: results by test, misuse that was named, seconds of the clock and of the processor."""

    results: dict[str, str]
    misuse: set[tuple[str, str]]
    wall: float
    cpu: float


def run(arguments: Sequence[str], record: bool) -> Run:
    """Run pytest in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "results.json")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "results"]
        command += [*arguments, *(["--sockreuse-record"] if record else [])]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *_python_path()]), "RESULTS": str(out)}
        subprocess.run(command, cwd=name, env=environment, stdout=subprocess.DEVNULL, check=False)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        found = json.loads(out.read_text())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(found["results"], {(id_, at) for id_, at in found["misuse"]}, wall, cpu)


def _python_path() -> list[str]:
    return [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []


def changed(project: str, without: Run, with_: Run) -> list[str]:
    """The tests whose result is another with the recorder, each time of some; chance has a part in such suites."""
    lines = []
    for test in sorted(without.results.keys() | with_.results.keys()):
        one, other = without.results.get(test), with_.results.get(test)
        if one == other:
            continue
        again = [*SUITES[project], "-k", test.rpartition("::")[2].partition("[")[0]]
        pairs = [(run(again, False).results.get(test), run(again, True).results.get(test)) for _ in range(_AGAIN)]
        if not any(a == b for a, b in pairs):
            lines.append(f"{test}: {one} without, {other} with the recorder")
    return lines


def unknown_misuse(project: str, run_: Run) -> list[str]:
    """Misuse that nobody has looked at yet."""
    known = KNOWN.get(project, {})
    return [
        f"{id_} at {at}"
        for id_, at in sorted(run_.misuse)
        if not any(id_ == name and at.startswith(place) for name, place in known)
    ]


def main() -> int:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    status = 0
    for project in sys.argv[2:] or SUITES:
        runs = [(run(SUITES[project], False), run(SUITES[project], True)) for _ in range(pairs)]
        wrong = changed(project, *runs[0]) + unknown_misuse(project, runs[0][1])
        wall = statistics.median(with_.wall / without.wall for without, with_ in runs) - 1
        cpu = statistics.median(with_.cpu / without.cpu for without, with_ in runs) - 1
        without = runs[0][0]
        print(f"{project}: {len(without.results)} results, {'NOT ' if wrong else ''}the same with the recorder")
        if without.wall > _LONG:
            print(
                f"  it adds {wall:.1%} to {without.wall:.0f} s (at most 3 %), {cpu:.1%} to the processor's "
                f"{without.cpu:.0f} s; medians of {pairs}"
            )
        for line in wrong:
            print(f"  {line}")
        for (id_, place), why in KNOWN.get(project, {}).items():
            print(f"  {id_} at {place} is one: {why}")
        status |= bool(wrong)
    return status


if __name__ == "__main__":
    sys.exit(main())
