"""What one can begin with: the situations of docs/explain.md, the differences that bite, the documents' claims."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

from pytest_sockreuse.matrix.build import build
from pytest_sockreuse.matrix.claims import claims
from pytest_sockreuse.matrix.differences import differences
from pytest_sockreuse.matrix.table import Matrix

SITUATIONS = Path(__file__).with_name("situations.toml")


class Example(NamedTuple):
    title: str
    about: str
    text: str


def samples() -> dict[str, list[Example]]:
    """The examples by the title of their group."""
    matrix = build()
    return {
        "Why can't I have this port?": situations(),
        "Differences that bite": [
            Example(one.case.title, one.case.why, str(matrix.variants[one.row].scenario))
            for one in differences(matrix, 10)
        ],
        "What documents claim": _claimed(matrix),
    }


def situations() -> list[Example]:
    """The twelve situations in which people ask who has a port."""
    table = tomllib.loads(SITUATIONS.read_text("utf-8"))
    return [Example(title, one["about"], one["scenario"].lstrip("\n")) for title, one in table.items()]


def _claimed(matrix: Matrix) -> list[Example]:
    """Each claim by the variant that shows what becomes of it on the newest Linux, else on any system."""
    newest = matrix.newest("linux")
    found = []
    for id_, row in claims(matrix).items():
        claim = matrix.suite.claims[id_]
        shows = row[newest] or next((one for one in row if one), None)
        if shows is not None:
            text = str(matrix.variants[shows.row].scenario)
            found.append(Example(f"{id_}: {claim.text}", f"{claim.document}. {claim.text}", text))
    return found
