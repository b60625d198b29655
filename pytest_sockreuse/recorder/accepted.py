"""What is found and accepted: by a mark, by a comment on the line, or by a baseline, a file that lists it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from .. import output
from ..data import DataError, read
from ..dataclass import dataclass
from ..text import visible
from .report import Record

MOST = 10_000  # entries of a baseline
_LONG = 1_000  # characters of a value
_KEYS = ("id", "at", "source")
_HEAD = """\
# What pytest --sockreuse-record finds and does not report. An entry is a line of code by its text, wherever it moves in
# its file; `reason` may say why it is accepted. Written by --sockreuse-record-accept.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A finding or misuse that is accepted: its id, the file, and the text of the line."""

    id: str
    at: str
    source: str

    def __str__(self) -> str:
        return f"{self.id} at {self.at}: {self.source}" if self.source else f"{self.id} at {self.at}"


def entry(found: Record) -> Entry:
    """What a baseline says of a finding."""
    first = found["at"][0] if found["at"] else ""
    return Entry(found["id"], re.sub(r":\d+$", "", first).replace("\\", "/"), found["source"])


def load(path: Path) -> dict[Entry, str]:
    """The entries of a baseline, each with its reason. Raises DataError with file, line and remedy."""
    data, text = read(path)
    name = visible(path.name)
    lines = [number for number, line in enumerate(text.split("\n"), 1) if line.split("#")[0].strip() == "[[accepted]]"]
    tables = data.pop("accepted", [])
    if data:
        raise DataError(f"{name}:1: {visible(next(iter(data)))!r} is not known; a baseline has tables [[accepted]]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise DataError(f"{name}:1: `accepted` is no table; write [[accepted]] above each entry")
    if len(tables) > MOST:
        raise DataError(f"{name}:1: has {len(tables)} entries; at most {MOST} are read")
    found: dict[Entry, str] = {}
    for number, table in enumerate(tables):
        line = lines[number] if len(lines) == len(tables) else 1
        if wrong := _wrong(table):
            raise DataError(f"{name}:{line}: {wrong}")
        one = Entry(*(table[key] for key in _KEYS))
        if one in found:
            raise DataError(f"{name}:{line}: {visible(str(one))} is there twice; delete one of them")
        found[one] = table.get("reason", "")
    return found


def _wrong(table: dict[str, Any]) -> str:
    """What is wrong with an entry, and what to write; empty if it is right."""
    if unknown := table.keys() - {*_KEYS, "reason"}:
        return f"{visible(min(unknown))!r} is not known; an entry has {', '.join(_KEYS)}, and maybe reason"
    for key in _KEYS:
        if key not in table:
            return f"{key} is missing; write {key} = "
    for key, value in table.items():
        if not isinstance(value, str) or len(value) > _LONG:
            return f"{key} should be a text of at most {_LONG} characters"
    return ""


def begun(path: Path) -> dict[Entry, str]:
    """What a baseline says that is to be written: nothing, where there is none. Raises DataError if it cannot be."""
    try:
        output.check(path)
    except OSError as error:
        raise DataError(f"{visible(path.name)}: {error.strerror}") from None
    return load(path) if path.exists() else {}


def save(path: Path, accepted: Iterable[Record], before: dict[Entry, str]) -> int:
    """Write a baseline of `accepted`; reasons that stood there `before` stay. Returns how many entries it has.

    Raises OSError.
    """
    entries = sorted({entry(found) for found in accepted}, key=astuple)
    tables = []
    for one in entries:
        rows = [
            f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in zip(_KEYS, astuple(one), strict=True)
        ]
        if before.get(one):
            rows.append(f"reason = {json.dumps(before[one], ensure_ascii=False)}")
        tables.append("\n".join(["[[accepted]]", *rows]))
    path.write_text("\n\n".join([_HEAD.rstrip("\n"), *tables]) + "\n", encoding="utf-8")
    return len(entries)


def accept(record: Record, marked: Collection[str], baseline: Collection[Entry]) -> list[Entry]:
    """Note in a record what is accepted, and by what; the entries of the baseline that had a part in it."""
    used = []
    for found in (*record.get("findings", ()), *record.get("misuse", ())):
        one = entry(found)
        if one in baseline:
            used.append(one)
        by = "mark" if found["id"] in marked else "comment" if found["id"] in found["comments"] else ""
        by = by or ("baseline" if one in baseline else "")
        if by:
            found["accepted"] = by
    return used


def all_found(records: Iterable[Record]) -> Sequence[Record]:
    """Everything that no mark and no comment accepts."""
    every = (found for record in records for found in (*record.get("findings", ()), *record.get("misuse", ())))
    return [found for found in every if found.get("accepted") in (None, "baseline")]
