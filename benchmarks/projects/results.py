"""A pytest plugin: the results of a run, and the misuse that the recorder named, as JSON into the file $RESULTS."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

_results: dict[str, str] = {}
_misuse: set[tuple[str, str]] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        _results[report.nodeid] = "xfailed" if hasattr(report, "wasxfail") else report.outcome
    for name, value in report.user_properties if report.when == "teardown" else ():
        if name == "sockreuse_record":
            _misuse.update((found["id"], found["at"][0]) for found in json.loads(str(value)).get("misuse", ()))


def pytest_unconfigure() -> None:
    Path(os.environ["RESULTS"]).write_text(json.dumps({"results": _results, "misuse": sorted(_misuse)}))
