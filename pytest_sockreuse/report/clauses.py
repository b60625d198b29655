"""The clauses of the models as text and as JSON; of those that are asked for by name also the case that pins it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..model import Clause, clauses, families
from ..pins import candidates, pins, versions
from ..platforms import Platform, registry
from ..suite import Suite
from .predictions import clause_json, clause_text


class Entry(NamedTuple):
    """A clause, and the newest platform on which it holds."""

    clause: Clause
    platform: Platform


def book(platform: Platform | None) -> list[Entry]:
    """The clauses that hold on `platform`, which is modelled, or on any of any stack."""
    found: dict[tuple[str, str], Entry] = {}
    for one in [platform] if platform else itertools.chain(*map(versions, families())):
        for clause in clauses(one):
            found.setdefault((one.stack, clause.name), Entry(clause, one))
    return list(found.values())


def pinned(entries: Iterable[Entry], suite: Suite) -> dict[Entry, str]:
    """The case that pins each clause, predicted otherwise without it; empty where one would take too long."""
    entries, variants = list(entries), candidates(suite)
    found: dict[Entry, str] = {}
    for platform in {entry.platform for entry in entries}:
        here = [entry for entry in entries if entry.platform == platform]
        cases = pins(platform, (entry.clause.name for entry in here), variants)
        found |= {entry: cases[entry.clause.name].id if entry.clause.name in cases else "" for entry in here}
    return found


def show(entries: Iterable[Entry], cases: Mapping[Entry, str]) -> Iterator[str]:
    """A heading for each stack, a paragraph for each clause."""
    stack = ""
    for entry in entries:
        if entry.platform.stack != stack:
            stack = entry.platform.stack
            yield f"--- {registry()[stack]['title']}\n"
        text = clause_text(entry.clause)
        if entry in cases:
            text += f"\n    pinned by {cases[entry] or 'no case: one would take too long'} ({entry.platform})"
        yield f"{text}\n"


def to_json(entry: Entry, cases: Mapping[Entry, str]) -> str:
    """One line."""
    found = {"stack": entry.platform.stack, **clause_json(entry.clause)}
    if entry in cases:
        found |= {"platform": entry.platform.name, "case": cases[entry] or None}
    return json.dumps(found)
