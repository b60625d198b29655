"""The page of the language, docs/scenarios.md: its tables are the code's, and its examples do what it says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from here import linux_only
from performing import in_namespaces

from pytest_sockreuse.lines import ARGUMENTS, MAKERS, MAX_STEPS
from pytest_sockreuse.live import PATIENCE
from pytest_sockreuse.live.runner import TIMEOUT, Runner
from pytest_sockreuse.options import options
from pytest_sockreuse.parser import MAX_LINE, MAX_LINES, MAX_TEXT, MAX_WAIT, parse
from pytest_sockreuse.scenario import CALLS, ENVIRONMENT, KINDS
from pytest_sockreuse.verdict import judge

PAGE = (Path(__file__).parents[1] / "docs" / "scenarios.md").read_text(encoding="utf-8")
MIB = MAX_TEXT // 2**20
EXAMPLES = re.findall(r"^```scenario\n(.*?)^```\n(?:(?!```).)*?^```toml\noutcome = (.*?)^```", PAGE, re.M | re.S)


def table(head: str, rows: Sequence[tuple[str, ...]]) -> str:
    columns = head.count("|") - 1
    return "".join(f"{line}\n" for line in [head, "|---" * columns + "|", *(f"| {' | '.join(row)} |" for row in rows)])


def test_the_options_are_those_of_the_data() -> None:
    everywhere = options()["SO_REUSEADDR"].number
    rows = []
    for name, entry in options().items():
        where = "all" if entry.number.keys() == everywhere.keys() else ", ".join(entry.number)
        rows.append((f"`{name}`", entry.form, where))
    wanted = table("| option | form | systems |", rows)
    assert wanted in PAGE, f"docs/scenarios.md should have\n{wanted}"


def test_the_limits_are_those_of_the_code() -> None:
    rows = [
        ("a line", f"{MAX_LINE} characters"),
        ("a scenario", f"{MAX_STEPS} steps, and {MAX_WAIT:g} s of waiting"),
        ("a file", f"{MAX_LINES} lines and {MIB} MiB, each line counted as often as it stands for a step"),
        ("the bytes of an option", "256"),
    ]
    wanted = table("| what | at most |", rows)
    assert wanted in PAGE, f"docs/scenarios.md should have\n{wanted}"
    assert f"nothing to return for {PATIENCE:g} s" in PAGE
    assert f"{TIMEOUT:g} s beside its `wait` lines" in PAGE


def test_the_lines_are_those_of_the_language() -> None:
    rows = [(", ".join(f"`{form}`" for form in line.forms), line.does, line.records) for line in CALLS]
    wanted = table("| line | call | records |", rows).replace("|  |", "| |")
    assert wanted in PAGE, f"docs/scenarios.md should have\n{wanted}"
    wanted = table("| | |", [(f"`{line.forms[0]}`", line.does) for line in ENVIRONMENT])
    assert wanted in PAGE, f"docs/scenarios.md should have\n{wanted}"
    assert {line.verb for line in CALLS} == {*ARGUMENTS, *MAKERS, "socket", "wait"}
    assert f"`{' '.join(KINDS)}`" in PAGE


def test_each_example_has_an_outcome() -> None:
    assert len(EXAMPLES) == PAGE.count("```scenario") > 4


@linux_only
@in_namespaces
@pytest.mark.parametrize(("text", "outcome"), EXAMPLES)
def test_an_example_does_what_the_page_says(text: str, outcome: str, runner: Runner) -> None:
    scenario = parse(text)
    expected = tomllib.loads(f"outcome = {outcome}")["outcome"]
    assert judge(expected, runner.run(scenario)).state == "match"
    assert {name.partition(".")[0] for name in expected} <= {step.name for step in scenario.steps}
