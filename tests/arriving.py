"""Results of legs, made up: whole ones of a few rules, that match but where a test says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pytest_sockreuse.loader import load
from pytest_sockreuse.report.results import Result, Results, write
from pytest_sockreuse.suite import Suite

RULES = ("order-dependence", "lost-ports")
CASE = "order-dependence/the-quirk-itself"


@cache
def suite() -> Suite:
    return load(rules=RULES)


def variants(case: str = CASE) -> list[str]:
    return [id_ for id_ in suite().by_id if id_.partition("[")[0] == case]


def arrive(
    directory: Path, leg: str, platform: str, otherwise: Mapping[str, Result | None] | None = None, whole: bool = True
) -> Path:
    """The file of a leg: all variants match, but those that are given, or left out if given as None."""
    found = Results({"platform": platform, "suite": suite().version, "isolation": "netns"})
    for variant in suite().variants:
        result = (otherwise or {}).get(variant.id, Result(variant.id, variant.content, "match", {}))
        if result is not None:
            found.results[variant.id] = result
    found.about["selected"] = len(found.results) + (not whole)
    path = directory / f"{leg}.jsonl"
    write(path, [found], suite())
    return path


def mismatch(id_: str, outcome: Mapping[str, str]) -> Result:
    return Result(id_, suite().by_id[id_].content, "mismatch", outcome)


def unsupported(id_: str, reason: str = "needs root") -> Result:
    return Result(id_, suite().by_id[id_].content, "unsupported", {}, reason=reason)
