"""A rule of the suite performed again and again writes the same results, byte for byte: beside another run, spread over
processes, in any order; as we are, as an ordinary user, and where there are no namespaces.

    python attack/repeats.py RULE
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

if sys.platform == "win32":
    raise SystemExit("it has no users and no namespaces")

import confined

_SPREAD = ["-n", "2"] if importlib.util.find_spec("xdist") else []
WAYS = (["-p", "repeats"], _SPREAD, [*_SPREAD, "-p", "repeats"])
#: Who performs, and in which ways beside a plain run; whoever else it is does both at once.
KINDS: dict[str, tuple[confined.Before | None, Sequence[Sequence[str]]]] = {"as we are": (None, WAYS)}
if sys.platform == "linux":
    KINDS["as an ordinary user"] = confined.ordinary, WAYS[-1:]
    KINDS["without namespaces"] = confined.without_namespaces, WAYS[-1:]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As a plugin: another order in each run, and the same in all its processes."""
    Random(os.environ["SOCKREUSE_ORDER"]).shuffle(items)


def written(rule: str, before: confined.Before | None, work: Path, ways: Sequence[Sequence[str]]) -> Iterator[bytes]:
    """The results of a plain run of a rule and of one in each way, two at once."""
    words = f"-m pytest -q -p no:cacheprovider --sockreuse={rule} --sockreuse-only --sockreuse-report results.jsonl"
    base = [sys.executable, *words.split(), "--basetemp=temporary"]
    running = []
    for number, way in enumerate(([], *ways)):
        where = work / str(number)
        where.mkdir()
        where.chmod(0o777)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "SOCKREUSE_ORDER": str(number)}
        process = subprocess.Popen(
            [*base, *way],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=where,
            env=environment,
            preexec_fn=before,
        )
        running.append((where, process))
        if number % 2:
            yield from map(_result, running)
            running.clear()
    yield from map(_result, running)


def _result(run: tuple[Path, subprocess.Popen[bytes]]) -> bytes:
    where, process = run
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(out.decode(errors="replace")[-2000:])
    return (where / "results.jsonl").read_bytes()


def main() -> int:
    """1 if two runs differ."""
    status = 0
    for kind, (before, ways) in KINDS.items():
        with tempfile.TemporaryDirectory() as work:
            Path(work).chmod(0o755)
            first, *others = written(sys.argv[1], before, Path(work), ways)
        for way, other in zip(ways, others, strict=True):
            if other != first:
                differing = sum(a != b for a, b in zip(first.splitlines(), other.splitlines(), strict=False))
                print(f"{kind}, {' '.join(way)}: {differing} lines differ from a plain run's")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
