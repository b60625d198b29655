"""A variant that passed is reported past pytest's phases, and nobody sees a difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LISTEN = """
import json
from pytest_sockreuse.hooks.suite import SuiteItem
runtest = SuiteItem.runtest

def noted(self):
    print(json.dumps({"run": self.nodeid}), file=open("heard", "a"))
    runtest(self)

SuiteItem.runtest = noted

def pytest_runtest_logstart(nodeid, location):
    print(json.dumps({"start": nodeid, "location": location}), file=open("heard", "a"))

def pytest_runtest_logreport(report):
    kept = ("nodeid", "location", "keywords", "outcome", "longrepr", "when", "sections", "user_properties")
    print(json.dumps({name: getattr(report, name) for name in kept}), file=open("heard", "a"))

def pytest_runtest_logfinish(nodeid, location):
    print(json.dumps({"finish": nodeid, "location": location}), file=open("heard", "a"))
"""
#: A plugin that is told of a phase, so that each is pytest's.
PHASE = """
def pytest_runtest_teardown(item): print(json.dumps({"phase": item.nodeid}), file=open("heard", "a"))
"""
FREE = "sockreuse::order::free"
RULE = """
title = "Order"
about = "Three variants that pass, of which the last has no neighbour."

[[case]]
id = "free"
title = "A port that is free can be bound"
why = "Else nothing works."
fact = "A free port is free."
scenario = '''
A = {kind}()
A.bind(127.0.0.1:P)
'''
  [case.axes.kind]
  tcp4 = {}
  udp4 = {}
  more = {kind = "tcp4"}
  [[case.expect]]
  on = ["linux", "gvisor", "freebsd", "macos", "netbsd", "openbsd", "windows"]
  outcome = {}
  basis = "inferred"
"""


@pytest.fixture
def heard(
    project: pytest.Pytester, conformance: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[dict[str, Any]]]:
    """What a conftest hears of a run of the rule, whose outcomes are as given."""

    def run(conftest: str = "", *arguments: str, **outcomes: int) -> list[dict[str, Any]]:
        project.makeconftest(LISTEN + conftest)
        at = Path(project.path, "heard")
        at.unlink(missing_ok=True)
        only = ("-o", f"sockreuse_conformance={root}", "--sockreuse", "--sockreuse-only", "-k", "free")
        project.runpytest_subprocess(*only, *arguments).assert_outcomes(**outcomes)
        return [json.loads(line) for line in at.read_text().splitlines()]

    root = conformance(order=RULE)
    return run


def runs(lines: list[dict[str, Any]]) -> list[str]:
    """The nodes whose phases were pytest's."""
    return [line["run"] for line in lines if "run" in line]


def test_its_reports_are_those_that_pytest_makes(heard: Callable[..., list[dict[str, Any]]]) -> None:
    short, long = heard(passed=3), heard(PHASE, passed=3)
    assert runs(short) == [f"{FREE}[more]"], "the last of a rule is torn down by pytest"
    assert runs(long) == [f"{FREE}[tcp4]", f"{FREE}[udp4]", f"{FREE}[more]"]
    assert sum("phase" in line for line in long) == 3
    told = [[line for line in lines if not {"run", "phase"} & line.keys()] for lines in (short, long)]
    assert told[0] == told[1]
    assert [line.get("when") for line in told[0][:5]] == [None, "setup", "call", "teardown", None]


def test_marks_are_heeded(heard: Callable[..., list[dict[str, Any]]]) -> None:
    conftest = """
import pytest
def pytest_collection_modifyitems(items):
    items[0].add_marker(pytest.mark.skip)
    items[1].add_marker(pytest.mark.xfail)
"""
    assert runs(heard(conftest, skipped=1, xpassed=1, passed=1)) == [f"{FREE}[udp4]", f"{FREE}[more]"]


def test_what_an_option_shows_of_a_phase_is_shown(heard: Callable[..., list[dict[str, Any]]]) -> None:
    assert len(runs(heard("", "--setup-show", passed=3))) == 3
