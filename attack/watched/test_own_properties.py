"""Properties of a test's report that are named like ours."""

from __future__ import annotations

from collections.abc import Callable

NAMES = "record case content verdict outcome basis claims reason".split()
FORGED = '{"calls": [{"text": "\\u001b[31m"}], "left_out": {"\\u001b[31m": 1}, "misuse": [{"\\u001b": 1}]}'


def test_no_json(record_property: Callable[[str, object], None]) -> None:
    for name in NAMES:
        record_property(f"sockreuse_{name}", "\x1b[31m{")


def test_forged(record_property: Callable[[str, object], None]) -> None:
    record_property("sockreuse_record", FORGED)
