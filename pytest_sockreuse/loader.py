"""Reading the suite from `conformance/` (its form: conformance/README.md) and checking it.

Whatever is wrong with the data is named by file and line, all of it at once.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from .data import DataError, called, complaints, fits, line_of, read, records
from .dataclass import dataclass
from .options import options
from .platforms import CONFORMANCE, Span, registry
from .suite import Case, Claim, Guard, Rule, Source, Statement, Suite, Table, Variant
from .text import visible
from .verdict import ExpectationError, check_outcome

BASES = ("measured", "documented", "source", "model", "inferred")
MAX_VARIANTS = 10_000  # of one case

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

_OUTCOME = {"": str}
_GUARD = {"text": str, "case": str, "outcome": _OUTCOME, "instead": str}
_GUARD_MAY = {"aliases": [str], "where": {"": [str]}}


@dataclass
class _Reader:
    """Reads the files of one directory and gathers what is wrong."""

    root: Path
    check: bool = True
    sources: bool = True
    wrong: list[str] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)
    evidence: dict[str, Mapping[str, str]] = field(default_factory=dict)
    axes: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def fail(self, at: Source, what: str) -> None:
        self.wrong.append(f"{at}: {what}")

    def toml(self, path: Path) -> tuple[dict[str, Any], str]:
        try:
            return read(path)
        except DataError as error:
            self.wrong += str(error).split("\n")
            return {}, ""

    def tables(self, name: str, form: Any, *needed: str) -> dict[str, Any]:
        """The tables of a file beside the rules that have the right form."""
        data, text = self.toml(self.root / f"{name}.toml")
        good = {}
        for id_, entry in data.items():
            if fits(entry, form) and all(key in entry for key in needed):
                good[id_] = entry
            else:
                what = f"a {called(form)}" + (f" with {' and '.join(needed)}" if needed else "")
                self.wrong.append(f"{name}.toml:{line_of(id_, text)}: {visible(repr(id_))} should be {what}")
        return good

    def suite(self, wanted: Sequence[str] | None) -> Suite:
        for facts in (registry, options):
            try:
                facts()
            except DataError as error:
                self.wrong += str(error).split("\n")
        if self.sources:
            for id_, entry in self.tables("claims", {"": str}, "document", "text").items():
                self.claims[id_] = Claim(id_, entry["document"], entry["text"])
            self.evidence = self.tables("evidence", {"": str}, "title")
        self.axes = self.tables("axes", {"": {"": str}})
        self.stop()  # before each case complains of what is missing there
        rules: dict[str, Rule] = {}
        for path in sorted((self.root / "rules").glob("*.toml")):
            if not _ID.fullmatch(path.stem):
                name = visible(path.name)
                self.wrong.append(f"{name}:1: the file should be called by lower case words joined by '-', then .toml")
            elif wanted is None or path.stem in wanted:
                rules[path.stem] = _RuleReader(self, path).rule()
        guards = _GuardReader(self, self.root / "guards.toml").guards(rules, wanted)
        if not self.wrong and wanted is None:
            shown = {claim for rule in rules.values() for case in rule.cases for claim in case.claims}
            if missing := [id_ for id_ in self.claims if id_ not in shown]:
                line = line_of(missing[0], self.toml(self.root / "claims.toml")[1])
                names = ", ".join(missing)
                self.wrong.append(f"claims.toml:{line}: no case shows {names}; name the claim in [case.claims] of one")
        self.stop()
        return Suite(rules, self.claims, self.evidence, guards)

    def stop(self) -> None:
        """Raises DataError if anything was wrong so far."""
        if self.wrong:
            raise DataError("\n".join(self.wrong))


class _RuleReader:
    """Reads one rules/*.toml."""

    def __init__(self, reader: _Reader, path: Path) -> None:
        self.reader, self.path = reader, path
        before = len(reader.wrong)
        self.data, self.text = reader.toml(path)
        self.unread = len(reader.wrong) > before
        self.lines = self.text.split("\n")
        self.ids: set[str] = set()

    def fail(self, line: int, what: str) -> None:
        self.reader.fail(Source(self.path, line), what)

    def rule(self) -> Rule:
        if self.unread:
            return Rule(self.path.stem, "", "", ())
        if not self._keys(self.data, {"title": str, "about": str, "case": [dict]}, {}, 1, "a rule"):
            self.data["case"] = []
        starts = self._headers("case", len(self.data["case"]), 1, len(self.lines) + 1)
        cases = []
        for number, (entry, start) in enumerate(zip(self.data.get("case", []), starts, strict=False)):
            end = starts[number + 1] if number + 1 < len(starts) else len(self.lines) + 1
            before = len(self.reader.wrong)
            case = self._case(entry, start, end)
            if len(self.reader.wrong) == before and case is not None:
                if self.reader.check:
                    self._check(case)
                cases.append(case)
        return Rule(self.path.stem, self.data.get("title", ""), self.data.get("about", ""), tuple(cases))

    def _headers(self, name: str, count: int, start: int, end: int) -> list[int]:
        """The lines of ``[[name]]``; there must be `count`, since what is written otherwise would have no line."""
        pattern = re.compile(rf"\s*\[\[\s*{re.escape(name)}\s*\]\]")
        found = [n for n in range(start, end) if n <= len(self.lines) and pattern.match(self.lines[n - 1])]
        if len(found) != count:
            self.fail(start, f"{count} {name} here, but {len(found)} lines [[{name}]]; write each by such a line")
        return found

    def _keys(
        self, entry: Mapping[str, Any], needed: dict[str, Any], optional: dict[str, Any], line: int, what: str
    ) -> bool:
        bad = complaints(entry, needed, optional, what)
        for message in bad:
            self.fail(line, message)
        return not bad

    def _case(self, entry: dict[str, Any], start: int, end: int) -> Case | None:
        optional = {"fact": str, "claims": {"": _OUTCOME}, "axes": dict, "cells": {"": _OUTCOME}, "expect": [dict]}
        if not self._keys(entry, {"id": str, "title": str, "why": str, "scenario": str}, optional, start, "a case"):
            return None
        id_ = entry["id"]
        if not _ID.fullmatch(id_) or id_ in self.ids:
            self.fail(start, f"case id {id_!r} should be new, of lower case words joined by '-'")
        self.ids.add(id_)
        for claim in entry.get("claims", {}):
            if self.reader.sources and claim not in self.reader.claims:
                self.fail(start, f"case {id_}: no claim {claim!r} in claims.toml")
        if not entry.get("claims") and not entry.get("fact"):
            self.fail(start, f"case {id_}: name the claims it shows, or the fact it pins")
        axes = self._axes(entry.get("axes", {}), start)
        expects = self._headers("case.expect", len(entry.get("expect", [])), start, end)
        body = next((n for n in range(start, end) if self.lines[n - 1].startswith("scenario")), start)
        cells = {".": {}, **entry.get("cells", {})}
        statements = [
            self._statement(statement, axes, cells, line)
            for statement, line in zip(entry.get("expect", []), expects, strict=False)
        ]
        return Case(
            id_,
            self.path.stem,
            entry["title"],
            entry["why"],
            entry.get("fact", ""),
            entry.get("claims", {}),
            axes,
            entry["scenario"],
            cells,
            tuple(statement for statement in statements if statement is not None),
            Source(self.path, start),
            Source(self.path, body),
        )

    def _axes(self, given: Mapping[str, Any], line: int) -> dict[str, Mapping[str, Mapping[str, str]]]:
        """`all`, or names of values, of an axis in axes.toml; or values of the case's own."""
        axes: dict[str, Mapping[str, Mapping[str, str]]] = {}
        for name, values in given.items():
            shared = self.reader.axes.get(name, {})
            if fits(values, {"": {"": str}}):
                axes[name] = values
            elif values == "all" and shared:
                axes[name] = shared
            elif values and fits(values, [str]) and all(value in shared for value in values):
                axes[name] = {value: shared[value] for value in values}
            else:
                known = ", ".join(shared) or "no such axis"
                self.fail(line, f"axis {name!r} should be 'all', values of axes.toml ({known}), or a table of its own")
        if math.prod(map(len, axes.values())) > MAX_VARIANTS:
            self.fail(line, f"these axes make more than {MAX_VARIANTS} variants; take some of their values")
            return {}
        return axes

    def _statement(self, entry: dict[str, Any], axes: Any, cells: Mapping[str, Any], line: int) -> Statement | None:
        optional = {
            "since": [str], "until": [str], "where": {"": [str]}, "outcome": _OUTCOME, "table": str,
            "evidence": [str], "note": str,
        }  # fmt: skip
        if not self._keys(entry, {"on": [str], "basis": str}, optional, line, "an expectation"):
            return None
        for stack in entry["on"]:
            if stack not in registry():
                self.fail(line, f"no platform {stack!r} in platforms.toml ({', '.join(registry())})")
        if entry["basis"] not in BASES:
            self.fail(line, f"basis {entry['basis']!r} is none of {', '.join(BASES)}")
        for key in entry.get("evidence", []):
            if self.reader.sources and key not in self.reader.evidence:
                self.fail(line, f"no evidence {key!r} in evidence.toml")
        if not entry.get("evidence") and entry["basis"] != "inferred":
            self.fail(line, f"basis {entry['basis']!r} needs evidence")
        for axis, values in entry.get("where", {}).items():
            unknown = [value for value in values if value not in axes.get(axis, ())]
            if unknown:
                self.fail(line, f"where: axis {axis!r} of this case has no {', '.join(unknown)}")
        for text in (*entry.get("since", []), *entry.get("until", [])):
            if not re.fullmatch(r"\d+(\.\d+){0,3}", text):
                self.fail(line, f"{text!r} is no version")
                return None
        if ("outcome" in entry) == ("table" in entry):
            self.fail(line, "an expectation has either an outcome or a table")
            return None
        outcome = entry["outcome"] if "outcome" in entry else self._table(entry["table"], axes, cells, line)
        if outcome is None:
            return None
        span = Span(tuple(entry.get("since", ())), tuple(entry.get("until", ())))
        where = {axis: tuple(values) for axis, values in entry.get("where", {}).items()}
        on, evidence = tuple(entry["on"]), tuple(entry.get("evidence", ()))
        return Statement(
            on, span, where, outcome, entry["basis"], evidence, entry.get("note", ""), Source(self.path, line)
        )

    def _table(self, text: str, axes: Any, cells: Mapping[str, Any], line: int) -> Table | None:
        r"""``row axes \ column axis | columns``, then ``row values | cells``; a row value may be ``*`` or ``a,b``."""
        lines = [row for row in text.strip().splitlines() if row.strip()]
        head = re.fullmatch(r"\s*(.*?)\s*\\\s*(\S+)\s*\|(.*)", lines[0] if lines else "")
        if not head or any(axis not in axes for axis in (*head[1].split(), head[2])):
            self.fail(
                line, r"the first line of a table should be 'row axes \ column axis | values', of axes of this case"
            )
            return None
        rows, column, values = tuple(head[1].split()), head[2], head[3].split()
        found: dict[tuple[str, ...], str] = {}
        for row in lines[1:]:
            left, _, right = row.partition("|")
            keys = [
                tuple(axes[axis]) if key == "*" else tuple(key.split(","))
                for axis, key in zip(rows, left.split(), strict=False)
            ]
            names = right.split()
            known = all(value in axes[axis] for axis, key in zip(rows, keys, strict=False) for value in key)
            unknown = [name for name in names if name not in cells and name != "?"]
            if (
                len(left.split()) != len(rows)
                or not known
                or unknown
                or len(names) != len(values)
                or set(values) - set(axes[column])
            ):
                self.fail(
                    line,
                    f"table row {row.strip()!r} needs {len(rows)} values, '|', {len(values)} of {' '.join(cells)} ?",
                )
                return None
            for key in itertools.product(*keys):
                for value, name in zip(values, names, strict=True):
                    if found.setdefault((*key, value), name) != name:
                        self.fail(line, f"table row {row.strip()!r} states {' '.join(key)} a second time")
                        return None
        return Table(rows, column, found)

    def _check(self, case: Case) -> None:
        """What can only be seen with the case whole: each scenario, each label, no two statements for one platform."""
        for variant in case.variants:
            try:
                _ = variant.scenario
            except DataError as error:
                self.reader.wrong.append(str(error))
                return
        outcomes = [(case.at.line, o) for o in (*case.claims.values(), *case.cells.values())]
        outcomes += [(s.at.line, s.outcome) for s in case.statements if not isinstance(s.outcome, Table)]
        self._check_outcomes(f"case {case.id}", outcomes, case.variants)
        for a, b in itertools.combinations(case.statements, 2):
            if set(a.on) & set(b.on) and not _apart(a, b) and a.span.overlaps(b.span):
                both = next((v for v in case.variants if a.covers(v.named_values) and b.covers(v.named_values)), None)
                if both is not None:
                    stack = sorted(set(a.on) & set(b.on))[0]
                    self.fail(
                        b.at.line,
                        f"speaks of {stack} in {both.name}, as line {a.at.line} does; statements must not overlap",
                    )

    def _check_outcomes(self, whose: str, outcomes: list[tuple[int, Any]], variants: Sequence[Variant]) -> None:
        names = frozenset[str]().union(*(variant.scenario.labels for variant in variants))
        for line, outcome in outcomes:
            try:
                check_outcome(outcome, names)
            except ExpectationError as error:
                self.fail(line, f"{whose}: {error}")


def _apart(a: Statement, b: Statement) -> bool:
    """Whether no variant can be in both, by an axis that both name."""
    return any(not set(values) & set(b.where.get(axis, values)) for axis, values in a.where.items())


class _GuardReader(_RuleReader):
    """Reads guards.toml."""

    def guards(self, rules: Mapping[str, Rule], wanted: Sequence[str] | None) -> dict[str, Guard]:
        """The guards by id; where only some rules are `wanted`, those of others are passed over."""
        found: dict[str, Guard] = {}
        for id_, entry in self.data.items():
            self.id = id_
            rule = rules.get(id_.partition("/")[0])
            if rule is None and wanted is None:
                self.fail(self.at, f"guard {id_!r}: its id should be RULE/NAME, of a rule in rules/")
            elif rule is not None and (guard := self._guard(id_, entry, rule)):
                taken = {name for other in found.values() for name in (other.id, *other.aliases)}
                for name in taken.intersection((id_, *guard.aliases)):
                    self.fail(self.at, f"guard {id_}: another guard is called {name}")
                found[id_] = guard
        return found

    @property
    def at(self) -> int:
        """The line of the guard in hand."""
        return line_of(self.id, self.text)

    def _guard(self, id_: str, entry: Any, rule: Rule) -> Guard | None:
        if not self._keys(entry, _GUARD, _GUARD_MAY, self.at, f"guard {visible(id_)}"):
            return None
        cases = {case.id: case for case in rule.cases}
        aliases, where = tuple(entry.get("aliases", ())), entry.get("where", {})
        name = id_.partition("/")[2]
        for word in (name, *aliases):
            if not _ID.fullmatch(word) or word in cases:
                self.fail(self.at, f"guard {id_}: {word!r} should be lower case words joined by '-', and no case's id")
        if entry["case"] not in cases:
            self.fail(self.at, f"guard {id_}: no case {entry['case']!r} in {rule.id} ({', '.join(cases)})")
            return None
        case = cases[entry["case"]]
        for axis, values in where.items():
            if unknown := [value for value in values if value not in case.axes.get(axis, ())]:
                self.fail(self.at, f"guard {id_}: axis {axis!r} of {case.id} has no {', '.join(unknown)}")
        variants = tuple(
            v for v in case.variants if all(v.named_values.get(axis) in values for axis, values in where.items())
        )
        if self.reader.check and not self.reader.wrong:
            self._check_outcomes(f"guard {id_}", [(self.at, entry["outcome"])], variants)
        return Guard(id_, aliases, entry["text"], entry["instead"], entry["outcome"], variants)


def load(
    root: Path = CONFORMANCE, rules: Sequence[str] | None = None, *, check: bool = True, sources: bool = True
) -> Suite:
    """Read the suite, or some of its rules; unless to `check`, take on trust what only a whole case shows.

    Without `sources` claims and evidence are left out, which say where it is from. Raises DataError.
    """
    return _Reader(root, check, sources).suite(rules)


def rule_ids(root: Path = CONFORMANCE) -> list[str]:
    """The ids of all rules, without reading them."""
    return sorted(path.stem for path in (root / "rules").glob("*.toml"))


def guard_names(root: Path = CONFORMANCE) -> dict[str, str]:
    """Every name that guards.toml gives, id or alias, and the id that it stands for. Raises DataError."""
    guards = records(root / "guards.toml", _GUARD, _GUARD_MAY, empty=True)
    return {name: id_ for id_, entry in guards.items() for name in (id_, *entry.get("aliases", ()))}
