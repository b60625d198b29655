"""The suite as it ships, read once in a process that runs tests; `test_suite` checks it."""

from __future__ import annotations

from functools import cache

from pytest_sockreuse.loader import load
from pytest_sockreuse.suite import Suite


@cache
def shipped() -> Suite:
    return load(check=False)
