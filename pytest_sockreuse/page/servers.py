"""What happens when two servers want one port, as the page's data block has it: `encounters` with less repeated."""

from __future__ import annotations

from typing import Any

from ..encounters import table
from ..matrix.table import Matrix
from .numbers import Strands, Table, differences


def servers(matrix: Matrix) -> dict[str, Any]:
    """The table of encounters on the platforms of a matrix; -1 stands for what does not meet, and for no scenario."""
    found = table([column.platform for column in matrix.columns])
    pairs, strands = Table(), Strands(matrix.families.values())
    vectors = [
        strands.add(pairs((_or_none(text), outcome)) for count, text, outcome in vector for _ in range(count))
        for vector in found["vectors"]
    ]
    cells = {
        scene: [differences(-1 if vector is None else vectors[vector] for vector in row) for row in rows]
        for scene, rows in found["cells"].items()
    }
    return {
        **{key: found[key] for key in ("runtimes", "scenes", "classes", "lines", "texts", "outcomes")},
        "pairs": [differences(column) for column in zip(*pairs, strict=True)],
        "cells": cells,
        **strands.tables(),
    }


def _or_none(number: int | None) -> int:
    return -1 if number is None else number
