"""`measured.toml`: the ratios that were measured, where and when; a place that is measured again replaces itself."""

from __future__ import annotations

import os
import platform
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_sockreuse.platforms import current

from .ratio import Ratio

TABLE = Path(__file__).parent / "measured.toml"
_HEAD = "# Written by `python -m benchmarks --keep`: ratios to the references of benchmarks/*.py, and what ours took."

Place = dict[str, Any]


def read(path: Path = TABLE) -> list[Place]:
    """The places, each with its `measured`."""
    places: list[Place] = tomllib.loads(path.read_text())["place"] if path.exists() else []
    return places


def here() -> Place:
    return {
        "platform": current().name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def keep(found: Mapping[str, Ratio], path: Path = TABLE) -> None:
    """Write what was found here into the table; what was not measured this time stays as it was."""
    place = here()
    before = [one for one in read(path) if {key: one[key] for key in place} == place]
    others = [one for one in read(path) if one not in before]
    measured = before[0]["measured"] if before else {}
    measured |= {
        name: {"ratio": round(ratio.value, 2), "seconds": float(f"{ratio.ours:.2g}"), "of": ratio.what}
        for name, ratio in found.items()
    }
    place = {"date": datetime.now(UTC).date(), **place, "measured": measured}
    path.write_text("\n".join([_HEAD, *map(_written, [*others, place])]))


def _written(place: Place) -> str:
    lines = ["", "[[place]]", *(f"{key} = {_value(value)}" for key, value in place.items() if key != "measured")]
    lines += ["", "[place.measured]"]
    for name, row in place["measured"].items():
        lines.append(f"{name} = {{ {', '.join(f'{key} = {_value(value)}' for key, value in row.items())} }}")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def worst(name: str, places: list[Place]) -> float | None:
    """The worst ratio that the table has under this name."""
    return max((float(place["measured"][name]["ratio"]) for place in places if name in place["measured"]), default=None)
