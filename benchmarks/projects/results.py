"""A pytest plugin: the results of a run, and what the recorder found, as JSON into the file $RESULTS."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

_results: dict[str, str] = {}
_found: Counter[str] = Counter()
_unknown: Counter[str] = Counter()
_records: dict[str, object] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        _results[report.nodeid] = "xfailed" if hasattr(report, "wasxfail") else report.outcome
    for name, value in report.user_properties if report.when == "teardown" else ():
        if name == "sockreuse_record":
            entry = json.loads(str(value))
            _records[report.nodeid] = entry
            both = (*entry.get("findings", ()), *entry.get("misuse", ()))
            _found.update({f"{one['id']} at {one['at'][0] if one['at'] else ''}" for one in both})
            _unknown.update({f"{platform}: {why}" for platform, why in entry.get("unknown", {}).items()})


def pytest_unconfigure() -> None:
    said = {"results": _results, "found": _found, "unknown": _unknown, "sockets": len(_records)}
    Path(os.environ["RESULTS"]).write_text(json.dumps(said))
    if "RECORDS" in os.environ:
        Path(os.environ["RECORDS"]).write_text(json.dumps(_records))
