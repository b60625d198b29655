"""The same verdicts and files every time: again, in another order, beside another run, and spread over processes.

`SOCKREUSE_REPEATS` asks for more than a glance: so many rounds, of every case. The hardest of them alone:

    SOCKREUSE_REPEATS=50 tox run -e py-xdist -- -n 0 tests/test_determinism.py -k eight_workers
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from here import linux_only

from pytest_sockreuse.expected import expected as expectation
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.loader import load, rule_ids
from pytest_sockreuse.platforms import current
from pytest_sockreuse.report.results import read
from pytest_sockreuse.suite import Variant
from pytest_sockreuse.verdict import judge

REPEATS = int(os.environ.get("SOCKREUSE_REPEATS", "2"))
SAMPLE = 40 if REPEATS < 10 else 10**9  # variants of each rule
SHUFFLED = ["-p", "repeats"] if sys.platform != "win32" else []
RANGES = "sockreuse::local-port-range"
FEW = [
    "--sockreuse=order-dependence,local-port-range",
    "sockreuse::order-dependence",
    f"{RANGES}::parity-within-the-range",
    f"{RANGES}::ranges-of-one-to-five-ports",
]


@pytest.fixture(scope="module")
def variants() -> list[Variant]:
    chosen = []
    for rule in rule_ids():
        of_rule = load(rules=[rule], check=False).variants
        quick = [v for v in of_rule if not v.scenario.waits and (REPEATS >= 10 or ".accept()" not in v.text)]
        chosen += quick[:: 1 + len(quick) // SAMPLE]
    return chosen


def verdicts(runners: list[Runner], variants: list[Variant]) -> list[dict[str, str]]:
    """What each runner makes of the variants, all of them at once."""
    found: list[dict[str, str]] = [{} for _ in runners]
    for start in range(0, len(variants), 200):
        for variant in variants[start : start + 200]:
            for runner in runners:
                runner.ask(variant.scenario)
        for variant in variants[start : start + 200]:
            for runner, states in zip(runners, found, strict=True):
                seen = runner.answer()
                expected = expectation(variant, current(), seen)
                states[variant.id] = judge(expected.outcome if expected else None, seen).state
    return found


@pytest.fixture(scope="module")
def first(variants: list[Variant]) -> dict[str, str]:
    with Runner() as runner:
        return verdicts([runner], variants)[0]


def test_again_and_in_another_order(variants: list[Variant], first: dict[str, str]) -> None:
    with Runner() as runner:
        for turn in range(REPEATS):
            shuffled = random.Random(turn).sample(variants, len(variants))
            assert verdicts([runner], shuffled)[0] == first


def test_two_runs_at_once(variants: list[Variant], first: dict[str, str]) -> None:
    with Runner() as one, Runner() as other:
        for _ in range(REPEATS // 2):
            assert verdicts([one, other], variants) == [first, first]


@pytest.fixture(scope="module")
def command(installed: bool) -> list[str]:
    plugin = [] if installed else ["-p", "pytest_sockreuse.plugin"]
    return [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q", *plugin,
        "--sockreuse-only", *(["--sockreuse"] if REPEATS >= 10 else FEW),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> bytes:
    """The results of a run in order, by one process."""
    return written(tmp_path_factory.mktemp("plain"), command, [[]])[0]


def written(at: Path, command: list[str], ways: list[list[str]], order: int = 1) -> list[bytes]:
    """The results of runs in so many ways, all at once."""
    runs = []
    for number, arguments in enumerate(ways):
        path = at / f"{number}.jsonl"
        environment = {
            **os.environ,
            "SOCKREUSE_ORDER": f"{order} {number}",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTEST_ADDOPTS": "",
        }
        process = subprocess.Popen(
            [*command, f"--sockreuse-report={path}", *arguments],
            cwd=at, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        runs.append((process, path))
    found = []
    for process, path in runs:
        out, _ = process.communicate(timeout=3600)
        assert process.returncode == 0, out
        (results,) = read(path)
        found.append(path.read_bytes())
        assert results.complete
    return found


def test_runs_of_pytest_beside_each_other_and_spread(tmp_path: Path, command: list[str], plain: bytes) -> None:
    spread = ["-n", "4", *SHUFFLED] if importlib.util.find_spec("xdist") else SHUFFLED
    assert Counter(written(tmp_path, command, [[], spread])) == {plain: 2}


@pytest.mark.skipif(REPEATS < 10 or not SHUFFLED, reason="asked for by SOCKREUSE_REPEATS, on POSIX")
@pytest.mark.parametrize("order", range(REPEATS))
def test_two_runs_at_once_by_eight_workers_in_random_order(
    tmp_path: Path, command: list[str], plain: bytes, order: int
) -> None:
    assert Counter(written(tmp_path, command, [["-n", "8", *SHUFFLED]] * 2, order)) == {plain: 2}


@linux_only
def test_without_namespaces_a_rule_writes_the_same_in_any_order(tmp_path: Path, installed: bool) -> None:
    if not installed:
        pytest.skip("pytest finds the plugin by its entry point")
    if sys.platform == "linux":
        from repeats import KINDS, WAYS, written

        tmp_path.chmod(0o755)
        try:
            assert len({*written("lost-ports", KINDS["without namespaces"][0], tmp_path, WAYS[:1])}) == 1
        except subprocess.SubprocessError:
            pytest.skip("no user namespace can be made here")
