"""What tests of the matrix share: a small suite, and results of made-up platforms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_sockreuse.matrix.table import Cell, Matrix
from pytest_sockreuse.report.results import Result, Results, write
from pytest_sockreuse.suite import Suite

#: Four variants of one case; what is stated is that of Linux the first, of the others nothing.
RULE = """
title = "Sharing"
about = "What these tests ask."

[[case]]
id = "taken"
title = "A port that is taken"
why = "A server that is started twice must notice."
claims.X-1 = { "B.bind" = "EADDRINUSE" }
axes.family = ["ip4", "ip6"]
axes.second.none.b = ""
axes.second.ra.b = "SO_REUSEADDR"
scenario = '''
A = {tcp}()
A.bind({lo}:P)
B = {tcp}({b})
B.bind({lo}:P)
B.listen()
'''
  [[case.expect]]
  on = ["linux"]
  where.second = ["none"]
  outcome = { "B.bind" = "EADDRINUSE" }
  basis = "measured"
  evidence = ["here"]
"""
IDS = [f"sharing/taken[{family}-{second}]" for family in ("ip4", "ip6") for second in ("none", "ra")]
FAILED = {"B.bind": "EADDRINUSE", "B.listen": "unreached"}


def result(suite: Suite, id_: str, outcome: Mapping[str, str], verdict: str = "match", reason: str = "") -> Result:
    return Result(id_, suite.by_id[id_].content, verdict, outcome, reason=reason)


def file_of(path: Path, suite: Suite, platform: str, *results: Result, **about: Any) -> Path:
    """A results file of a run that was asked just this."""
    found = Results({"platform": platform, "suite": suite.version, "selected": len(results), **about})
    for one in results:
        found.add(one)
    write(path, [found], suite)
    return path


def cell(matrix: Matrix, platform: str, id_: str) -> Cell:
    column = next(at for at, column in enumerate(matrix.columns) if column.platform.name == platform)
    return matrix.cell(column, [variant.id for variant in matrix.variants].index(id_))
