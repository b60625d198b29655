"""What the recorder found, as data that travels through xdist and into reports, and as text."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..platforms import named, registry
from .compare import Comparison, Finding
from .locations import Place, shown_places
from .misuse import Found
from .reconstruct import Trace

_TESTS = 3  # of those that showed the same thing, so many are named

Record = dict[str, Any]


class Terminal(Protocol):
    """What we use of pytest's terminal reporter."""

    def section(self, title: str) -> None: ...
    def write_line(self, line: str) -> None: ...


def record(traces: Sequence[Trace], comparisons: Iterable[Comparison], misuse: Iterable[Found]) -> Record:
    """What was found in one test, ready for JSON; what is empty is left out."""
    compared = list(comparisons)
    findings = [_finding(found, comparison) for comparison in compared for found in comparison.findings]
    entry: Record = {
        "findings": findings,
        "misuse": [_misuse(found) for found in misuse],
        "unknown": {platform: why for comparison in compared for platform, why in comparison.unknown.items()},
        "left_out": dict(sum((trace.left_out for trace in traces), Counter())),
    }
    return {key: value for key, value in entry.items() if value}


def _finding(found: Finding, comparison: Comparison) -> Record:
    return {
        "platforms": [platform.name for platform in found.platforms],
        "step": found.step,
        "at": _at(found.places),
        "option": found.option,
        "missing": found.missing,
        "default": found.default,
        "here": found.here,
        "caught": found.caught,
        "outcomes": list(found.outcomes),
        "rule": found.clause.name,
        "because": found.clause.sentence,
        "remedy": comparison.remedy,
        "piece": str(comparison.piece.scenario),
    }


def _misuse(found: Found) -> Record:
    misuse = found.misuse
    return {
        "id": misuse.id, "step": found.step, "at": _at(found.places), "sentence": misuse.sentence,
        "remedy": misuse.remedy, "piece": str(found.piece.scenario),
    }  # fmt: skip


def _at(places: Sequence[Place]) -> list[str]:
    return [str(place) for place in shown_places(places)]


def fails(entry: Record) -> list[Record]:
    """The findings that are a failure: what works here and would not elsewhere, and nobody catches."""
    return [found for found in entry.get("findings", ()) if found["here"] == "ok" and not found["caught"]]


def report(entry: Record) -> str:
    """What there is to say about one test, as text."""
    texts = [finding_text(found) for found in entry.get("findings", ())]
    return "\n".join([*texts, *(_misuse_text(found) for found in entry.get("misuse", ()))])


def finding_text(found: Record) -> str:
    """One finding: where and what; then, indented, why, and what would work on all targets."""
    on = _list([_title(platform) for platform in found["platforms"]])
    failures = " or ".join(outcome for outcome in found["outcomes"] if outcome != "ok")
    what = f"would fail with {failures}" if failures else "would succeed"
    if found.get("missing"):
        what = f"would fail with AttributeError (the socket module has no {found['option']} there)"
    here = "" if found["here"] == "ok" else f" (here it fails with {found['here']})"
    goes_on = " (and the code would go on)" if found["caught"] and failures and not here else ""
    option = f" with {found['option']}" if found["option"] else ""
    lines = [f"on {on} `{found['step']}`{option}{_where(found)} {what}{here}{goes_on}"]
    if found.get("default"):
        lines.append("because IPV6_V6ONLY is on by default there, so that `::` takes no IPv4")
    elif found["because"]:
        lines.append(f"because {_inside(found['because'])} ({found['rule']})")
    if found["remedy"]:
        lines.append(f"what would work on all targets: {found['remedy']}")
    return "\n  ".join(lines)


def _misuse_text(found: Record) -> str:
    return f"{found['id']}{_where(found)}: {found['sentence']}\n  {found['remedy']}"


def _where(found: Record) -> str:
    if not found["at"]:
        return ""
    first, *rest = found["at"]
    return f" at {first}" + (f" (from {rest[-1]})" if rest else "")


def _title(platform: str) -> str:
    entry = named(platform)
    return f"{registry()[entry.stack]['title']} {entry.label}"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _inside(sentence: str) -> str:
    """A sentence as part of another."""
    start = sentence[:1].lower() if sentence[1:2].islower() or sentence[1:2] == " " else sentence[:1]
    return start + sentence[1:].rstrip(".")


def summarize(terminal: Terminal, records: Mapping[str, Record], targets: Sequence[str]) -> None:
    """Print what was found, each thing once with the tests that showed it, and what could not be said."""
    tests: dict[tuple[str, ...], list[str]] = {}
    texts: dict[tuple[str, ...], str] = {}
    unknown: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for test, entry in records.items():
        for found in (*entry.get("findings", ()), *entry.get("misuse", ())):
            key = tuple(str(found.get(name)) for name in ("id", "platforms", "at", "here", "outcomes", "rule"))
            texts.setdefault(key, finding_text(found) if "platforms" in found else _misuse_text(found))
            tests.setdefault(key, []).append(test)
        unknown.update(f"{_title(platform)}: {why}" for platform, why in entry.get("unknown", {}).items())
        left_out.update(entry.get("left_out", {}))
    terminal.section("sockreuse: the recorder")
    on = _list([_title(platform) for platform in targets])
    terminal.write_line(f"tests with sockets: {len(records)}, compared with {on}")
    before: list[str] = []
    for key, showed in tests.items():
        if showed != before:
            more = f" and {len(showed) - _TESTS} more" if len(showed) > _TESTS else ""
            terminal.write_line(f"{', '.join(showed[:_TESTS])}{more}")
        before = showed
        terminal.write_line(textwrap.indent(texts[key], "  "))
    for title, counted in (("not known:", unknown), ("left out:", left_out)):
        if counted:
            terminal.write_line(title)
            for what, count in counted.most_common():
                terminal.write_line(f"  {count:>5}  {what}")
