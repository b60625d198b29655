"""What was run as CTRF, the Common Test Report Format: a test for each case on each platform that has a run."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..version import __version__
from .table import Cell, Matrix

MOST_NAMED = 20  # variants in a message
STATUSES = ("passed", "failed", "skipped", "pending", "other")


def text(matrix: Matrix) -> str:
    """The whole of it. passed: as known · failed: otherwise, or broken · skipped: the platform cannot be asked ·
    pending: its runs were not · other: nothing was known of it."""
    tests = list(_tests(matrix))
    counts = Counter(test["status"] for test in tests)
    when = max((_when(run.facts.get("date", "")) for column in matrix.columns for run in column.runs), default=0)
    summary = {"tests": len(tests), **{status: counts[status] for status in STATUSES}, "start": when, "stop": when}
    results = {
        "tool": {"name": "pytest-sockreuse", "version": __version__},
        "summary": summary,
        "tests": tests,
        "extra": {"suite": matrix.suite.version, "left_out": [one._asdict() for one in matrix.left_out]},
    }
    return json.dumps({"reportFormat": "CTRF", "specVersion": "0.0.0", "results": results}, indent=1) + "\n"


def _tests(matrix: Matrix) -> Iterator[dict[str, Any]]:
    starts = list(matrix.starts.values())
    for at, column in enumerate(matrix.columns):
        if not column.runs:
            continue
        for first, end in zip(starts, [*starts[1:], len(matrix.variants)], strict=True):
            case = matrix.variants[first].case
            states: dict[str, list[str]] = {}
            for row in range(first, end):
                cell, id_ = matrix.cell(at, row), matrix.variants[row].id
                states.setdefault(status(cell), []).append(id_)
                if cell.disputed:
                    states.setdefault("not the same in two runs", []).append(id_)
            worst = next(one for one in ("failed", "other", "passed", "skipped", "pending") if one in states)
            test: dict[str, Any] = {
                "name": f"{case.rule}/{case.id}: {case.title}",
                "status": worst,
                "duration": 0,
                "suite": [column.title, case.rule],
                "filePath": f"conformance/rules/{case.rule}.toml",
                "labels": {"platform": column.platform.name, "case": f"{case.rule}/{case.id}"},
                "extra": {name: len(ids) for name, ids in states.items()},
            }
            if worst == "failed":
                ids = states["failed"]
                more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
                test["message"] = f"not what was known: {', '.join(ids[:MOST_NAMED])}{more}"
            yield test


def status(cell: Cell) -> str:
    """What the runs of a platform come to, in the words of CTRF."""
    states = {seen.state for seen in cell.seen}
    for state, word in (("differs", "failed"), ("broken", "failed"), ("recorded", "other"), ("match", "passed")):
        if state in states:
            return word
    return "skipped" if "unsupported" in states else "pending"


def _when(date: str) -> int:
    """The last day that a text names, in milliseconds since 1970; else 0."""
    days = re.findall(r"\d{4}-\d\d-\d\d", date)
    try:
        return int(datetime.datetime.fromisoformat(f"{days[-1]}T00:00:00+00:00").timestamp() * 1000) if days else 0
    except ValueError:
        return 0
