"""The legs of the weekly run, as `conformance/platforms.toml` lists them: one machine, one way to measure it, one file.

``python legs.py`` writes the matrix of each kind of leg to GITHUB_OUTPUT; ``python legs.py begin LEG DIRECTORY`` leaves
there what is uploaded of a leg that gets no further. Nothing has to be installed for it.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

PLATFORMS = Path(__file__).parents[2] / "conformance" / "platforms.toml"
KINDS = ("images", "machines", "kernels")


@dataclass(frozen=True, slots=True)
class Leg:
    """`name` is that of its results file; `kind` one of KINDS; `label` the image, the version or the kernel."""

    name: str
    stack: str
    kind: str
    label: str
    by: str  # pytest, root, runner, machine; lab
    action: str = ""
    system: str = ""  # as the action calls it
    release: str = ""
    until: date | None = None

    def row(self) -> dict[str, str]:
        """Its row of the matrix."""
        row = {"leg": self.name, "by": self.by}
        if self.kind == "images":
            return {**row, "image": self.label}
        if self.kind == "machines":
            return {**row, "action": self.action, "system": self.system, "release": self.release}
        return row


def legs(path: Path = PLATFORMS) -> Iterator[Leg]:
    """All that are listed, in their order."""
    for stack, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for entry in table.get("legs", ()):
            yield from _of(stack, entry)


def _of(stack: str, entry: dict[str, Any]) -> Iterator[Leg]:
    (kind,) = (kind for kind in KINDS if kind in entry)
    ways = entry.get("by", ["lab"])
    until = date.fromisoformat(entry["until"]) if "until" in entry else None
    for label in entry[kind]:
        name = f"{stack}-{label}" if kind == "machines" else label
        release = entry.get("release", "{}").format(label)
        for by in ways:
            own = name if by == ways[0] else f"{name}-{by}"
            yield Leg(own, stack, kind, label, by, entry.get("action", ""), entry.get("system", stack), release, until)


def today() -> date:
    return datetime.now(UTC).date()


def due(day: date, path: Path = PLATFORMS) -> list[Leg]:
    """The legs that run on a day: those whose image is not gone."""
    return [leg for leg in legs(path) if leg.until is None or day < leg.until]


def begin(path: Path, leg: Leg, ended: str = "before its work") -> None:
    """Write a results file of nothing: a header, which says how far the leg came, and no footer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"sockreuse": 2, "platform": f"{leg.stack}-{leg.label}", "suite": "0" * 12, "ended": ended}
    path.write_text(json.dumps(header) + "\n", encoding="utf-8")


def named(name: str) -> Leg:
    """The leg of this name. Raises LookupError."""
    for leg in legs():
        if leg.name == name:
            return leg
    raise LookupError(f"no leg {name!r} in conformance/platforms.toml")


def matrices(day: date) -> dict[str, str]:
    """Of each kind the matrix, as the service reads it."""
    found = due(day)
    return {kind: json.dumps({"include": [leg.row() for leg in found if leg.kind == kind]}) for kind in KINDS}


def main(arguments: Sequence[str]) -> None:
    if arguments:
        _, name, directory = arguments
        begin(Path(directory, f"{name}.jsonl"), named(name))
        return
    with open(os.environ["GITHUB_OUTPUT"], "a", encoding="utf-8") as output:
        output.writelines(f"{kind}={matrix}\n" for kind, matrix in matrices(today()).items())


if __name__ == "__main__":
    main(sys.argv[1:])
