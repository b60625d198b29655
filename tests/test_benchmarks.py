"""What the project costs, as ratios to references of the same run: none is twice as bad as in the table."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from here import linux_only

pytestmark = linux_only
TOP = Path(__file__).parent.parent


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOP))
    return importlib.import_module("benchmarks.__main__")


@pytest.mark.slow
def test_no_short_ratio_is_twice_as_bad_as_the_table_says() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "--gate"], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("found", "bad", "asked"),
    [
        ([3.9], False, 1),
        ([4.1, 3.9], False, 2),  # the machine had a moment
        ([4.1, 4.1, 4.1, 3.9], True, 3),
    ],
)
def test_a_ratio_that_is_more_than_twice_as_bad_in_three_tries(
    gate: Any, found: list[float], bad: bool, asked: int
) -> None:
    counted = itertools.count(0)
    places = [{"measured": {"one": {"ratio": 1.0}}}, {"measured": {"one": {"ratio": 2.0}}}]
    told = list(gate.twice_as_bad({"one": lambda: gate.Ratio(found[next(counted)], 1.0)}, places))
    assert bool(told) == bad
    assert next(counted) == asked


def test_what_the_table_lacks_or_cannot_be_measured_here(gate: Any) -> None:
    def lacking() -> Any:
        raise gate.Unmeasured("no namespace")

    (told,) = gate.twice_as_bad({"new": lambda: gate.Ratio(1.0, 1.0)}, [])
    assert told == "new is not in the table: python -m benchmarks --keep new"
    assert not list(gate.twice_as_bad({"one": lacking}, [{"measured": {"one": {"ratio": 1.0}}}]))


def test_a_place_replaces_itself_and_keeps_what_was_not_measured_again(gate: Any, tmp_path: Path) -> None:
    path, table = tmp_path / "measured.toml", gate.table
    path.write_text(
        '[[place]]\ndate = 2020-01-01\nplatform = "linux-5.10.46"\ncores = 1\npython = "3.11.0"\n'
        '[place.measured]\none = { ratio = 9.0, seconds = 1.0, of = "run" }\n'
    )
    table.keep({"one": gate.Ratio(2.0, 1.0), "two": gate.Ratio(3e-5, 1e-5, "call")}, path)
    table.keep({"one": gate.Ratio(1.0, 1.0)}, path)
    other, here = tomllib.loads(path.read_text())["place"]
    assert other["measured"]["one"]["ratio"] == 9.0
    assert here["measured"] == {
        "one": {"ratio": 1.0, "seconds": 1.0, "of": "run"},
        "two": {"ratio": 3.0, "seconds": 3e-05, "of": "call"},
    }
    assert {key: here[key] for key in table.here()} == table.here()


def test_the_table_has_every_ratio_of_the_gate_and_no_other_names(gate: Any) -> None:
    measured = {name for place in gate.table.read() for name in place["measured"]}
    assert gate.SHORT.keys() <= measured <= gate.SHORT.keys() | gate.LONG.keys()
