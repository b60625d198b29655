"""The model of illumos: the cells that were read in its source, and what nobody has told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named

ILLUMOS = named("illumos-r151058")
CELLS = [
    line.rstrip().split(" | ")
    for line in Path(__file__).with_name("illumos.cells").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def outcomes(text: str) -> dict[str, str]:
    """What is not plainly ok or unreached, as an expectation spells it; recorded names stand for themselves."""
    said = {}
    for step in predict(parse(text), ILLUMOS).steps:
        shown = "|".join(map(str, step.values)) if step.values and step.outcomes == ("ok",) else "|".join(step.outcomes)
        if shown not in ("ok", "unreached"):
            said[step.step] = step.unknown or shown
    return said


@pytest.mark.parametrize(
    ("rule", "scenario", "expected"), CELLS, ids=[f"{n}-{cell[0]}" for n, cell in enumerate(CELLS, 1)]
)
def test_a_cell_is_predicted_as_it_was_read(rule: str, scenario: str, expected: str) -> None:
    wanted = dict(part.split(" = ") for part in expected.split(", ")) if expected != "all ok" else {}
    said = outcomes(scenario.replace("; ", "\n"))
    assert said == wanted
