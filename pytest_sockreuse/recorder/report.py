"""What the recorder found, as data that travels through xdist and into reports, and as text."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..platforms import named, registry
from ..text import visible
from .calls import Call, Piece
from .compare import Comparison, Finding, There
from .events import INNER, PROJECT, whose
from .locations import Place, shown_places
from .misuse import Found
from .reconstruct import Trace

_TESTS = 3  # of those that showed the same thing, so many are named
_LONG = 100  # characters of a line of code
_SAYS = {"bind": "bind to", "connect": "connect to"}

Record = dict[str, Any]


class Terminal(Protocol):
    """What we use of pytest's terminal reporter."""

    def section(self, title: str) -> None: ...
    def write_line(self, line: str) -> None: ...


def record(
    traces: Sequence[Trace], comparisons: Iterable[Comparison], misuse: Iterable[Found], test: Place | None = None
) -> Record:
    """What was found in one test, ready for JSON; what is empty is left out. `test` is where the test begins."""
    compared = list(comparisons)
    entry: Record = {
        "findings": [_finding(found, comparison, test) for comparison in compared for found in comparison.findings],
        "misuse": [_misuse(found, test) for found in misuse],
        "unknown": {platform: why for comparison in compared for platform, why in comparison.unknown.items()},
        "left_out": dict(sum((trace.left_out for trace in traces), Counter())),
    }
    return {key: value for key, value in entry.items() if value}


def _finding(found: Finding, comparison: Comparison, test: Place | None) -> Record:
    return {
        "id": found.id,
        "platforms": [platform.name for platform in found.platforms],
        "step": found.step,
        **_at(found.places, test),
        "call": _call(found.call),
        "option": found.option,
        "raises": found.missing,
        "here": found.here,
        "caught": found.caught,
        "outcomes": list(found.outcomes),
        "there": [_there(found, part) for part in found.there],
        "rule": found.clause.name,
        "because": _because(found, found.clause.sentence),
        "remedy": comparison.remedy,
        "sockets": _sockets(comparison.remedy, comparison.piece),
        "piece": str(comparison.piece.scenario),
    }


def _there(found: Finding, part: There) -> Record:
    return {
        "platforms": [platform.name for platform in part.platforms],
        "outcomes": list(part.outcomes),
        "rule": part.clause.name,
        "because": _because(found, part.clause.sentence),
    }


def _because(found: Finding, sentence: str) -> str:
    if found.missing:
        return f"the socket module has no {found.option} there"
    if found.default:
        return "IPV6_V6ONLY is on by default there, so that `::` takes no IPv4"
    return sentence


def _call(call: Call) -> str:
    """What was called, with the address; a number that the OS or chance chose says nothing."""
    if not call.host or call.verb not in _SAYS:
        return ""
    number = "PORT" if not isinstance(call.port, int) or call.port >= 1024 else call.port
    return f"{_SAYS[call.verb]} {f'[{call.host}]' if ':' in call.host else call.host}:{number}"


def _sockets(remedy: str, piece: Piece) -> dict[str, str]:
    """Where the sockets were made that a remedy names."""
    words = set(re.findall(r"\w+", remedy))
    return {name: str(sock.place) for sock, name in piece.names.items() if name in words and sock.place is not None}


def _misuse(found: Found, test: Place | None) -> Record:
    misuse = found.misuse
    return {
        "id": misuse.id, "step": found.step, **_at(found.places, test), "sentence": misuse.sentence,
        "remedy": misuse.remedy, "piece": str(found.piece.scenario),
    }  # fmt: skip


def _at(found: Sequence[Place], test: Place | None) -> Record:
    """The line to blame: its place, then the project's where that is another; its text, and the test's own line.

    That is where the test begins, if it had another thread or its event loop do it.
    """
    shown = shown_places(found)
    project = next((place for place in shown if whose(place.file) == PROJECT), None)
    places = dict.fromkeys(str(place) for place in (*shown[:1], project) if place is not None)
    outer = [place for place in found if whose(place.file) != INNER]
    return {
        "at": list(places),
        "source": visible(shown[0].source.strip(), _LONG) if shown else "",
        "test": str(own) if (own := _own(outer, test)) is not None else "",
        "comments": sorted({id_ for place in outer for id_ in _comments(place.source)}),
    }


def _own(outer: Sequence[Place], test: Place | None) -> Place | None:
    if test is None:
        return outer[-1] if outer else None
    return next((place for place in reversed(outer) if place.file == test.file), test)


_ACCEPTED = re.compile(r"#\s*sockreuse:\s*accept\s*[=:]\s*([\w, -]+)")


def _comments(line: str) -> list[str]:
    """The ids that a comment on a line accepts: ``# sockreuse: accept=guessed-port``."""
    found = _ACCEPTED.search(line) if "#" in line else None
    return re.findall(r"[\w-]+", found[1]) if found else []


# --- as text ----------------------------------------------------------------------------------------------------------


def fails(entry: Record, ids: Collection[str] = ()) -> list[Record]:
    """What fails a test: what works here and would not elsewhere, and nobody catches; with `ids` what has one of them.

    What is accepted fails none.
    """
    findings = [f for f in entry.get("findings", ()) if f["here"] == "ok" and not f["caught"]]
    found = [f for f in (*findings, *entry.get("misuse", ())) if f["id"] in ids] if ids else findings
    return [one for one in found if not one.get("accepted")]


def report(entry: Record) -> str:
    """What there is to say about one test, as text."""
    return "\n".join(text(found) for found in (*entry.get("findings", ()), *entry.get("misuse", ())))


def text(found: Record) -> str:
    """One finding, or misuse: where and what; then, indented, why, and what to do."""
    if "sentence" in found:
        return f"{found['id']}{_where(found)}: {found['sentence']}\n  {found['remedy']}"
    here = "" if found["here"] == "ok" else f" (here it fails with {found['here']})"
    option = f" with {found['option']}" if found["option"] else ""
    call = f" ({found['call']})" if found["call"] and found["source"] else ""
    alike: dict[tuple[str, ...], list[str]] = {}
    for part in found["there"]:
        alike.setdefault(tuple(part["outcomes"]), []).extend(part["platforms"])
    what = f"`{found['source'] or found['step']}`{option}{call}{_where(found)} "
    if found["id"] == "dual-stack-default":  # another call fails
        what = f"{found['call']}, after `{found['source']}`{_where(found)}, "
    parts = [f"on {_list([*map(_title, on)])} {{}}{_says(outcomes, found)}" for outcomes, on in alike.items()]
    caught = " (the code catches it)" if found["caught"] and not here else ""
    lines = ["; ".join(part.format(what if n == 0 else "") for n, part in enumerate(parts)) + here + caught]
    because = dict.fromkeys(part["because"] for part in found["there"] if part["because"])
    lines += [f"because {_inside(sentence)} ({found['id']})" for sentence in because]
    if found["remedy"]:
        sockets = ", ".join(f"{name}: {place}" for name, place in found["sockets"].items())
        lines.append(f"what would work on all targets: {found['remedy']}{f' ({sockets})' if sockets else ''}")
    return "\n  ".join(lines)


def _says(outcomes: Sequence[str], found: Record) -> str:
    failures = " or ".join(outcome for outcome in outcomes if outcome != "ok")
    failures = found["raises"] or failures
    return f"would fail with {failures}" if failures else "would succeed"


def _where(found: Record) -> str:
    if not found["at"]:
        return ""
    first, *rest = found["at"]
    more = [place for place in dict.fromkeys((*rest, found["test"])) if place and place != first]
    return f" at {first}" + (f" (from {', '.join(more)})" if more else "")


def _title(platform: str) -> str:
    entry = named(platform)
    return f"{registry()[entry.stack]['title']} {entry.label}"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _inside(sentence: str) -> str:
    """A sentence as part of another."""
    start = sentence[:1].lower() if sentence[1:2].islower() or sentence[1:2] == " " else sentence[:1]
    return start + sentence[1:].rstrip(".")


# --- the summary ------------------------------------------------------------------------------------------------------


class _Summary:
    """What all tests showed, each thing once."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self.records = records
        self.tests: dict[tuple[str, ...], list[str]] = {}
        self.found: dict[tuple[str, ...], Record] = {}
        self.accepted: Counter[str] = Counter()
        self.unknown: dict[str, tuple[dict[str, None], set[str]]] = {}
        self.left_out: Counter[str] = Counter()
        self.starters = sum("processes" in entry for entry in records.values())
        self.sockets = sum(entry.get("sockets", True) for entry in records.values())
        for test, entry in records.items():
            self._take(test, entry)

    def _take(self, test: str, entry: Record) -> None:
        for found in (*entry.get("findings", ()), *entry.get("misuse", ())):
            if found.get("accepted"):
                self.accepted[found["id"]] += 1
                continue
            key = tuple(str(found.get(name)) for name in ("id", "platforms", "at", "here", "outcomes", "option"))
            self.found.setdefault(key, found)
            tests = self.tests.setdefault(key, [])
            if test not in tests[-1:]:
                tests.append(test)
        for platform, why in entry.get("unknown", {}).items():
            platforms, tests_of = self.unknown.setdefault(why, ({}, set()))
            platforms[platform] = None
            tests_of.add(test)
        self.left_out.update(entry.get("left_out", {}))


def summarize(
    terminal: Terminal,
    records: Mapping[str, Record],
    targets: Sequence[str],
    width: int = 0,
    unmet: Sequence[str] = (),
    verbose: bool = False,
) -> None:
    """Print what was found, each thing once with the tests that showed it, and what could not be said.

    Lines are wrapped at `width` columns, 0: not at all. `unmet` are entries of a baseline that nothing matched.
    """
    seen = _Summary(records)

    def write(line: str, indent: int = 0) -> None:
        for part in _wrapped(line, width, indent):
            terminal.write_line(part)

    terminal.section("sockreuse: the recorder")
    write(f"tests with sockets: {seen.sockets}, compared with {_list([_title(platform) for platform in targets])}")
    before: list[str] = []
    for key, showed in seen.tests.items():
        if showed != before:
            more = f" and {len(showed) - _TESTS} more" if len(showed) > _TESTS else ""
            write(f"{', '.join(showed[:_TESTS])}{more}")
        before = showed
        for line in text(seen.found[key]).split("\n"):
            write(line.strip(), 4 if line.startswith(" ") else 2)
    for why, (platforms, tests) in seen.unknown.items():
        write(f"not known: {_count(len(tests))} on {_list([_title(name) for name in platforms])}: {why}")
        for test in sorted(tests) if verbose else ():
            write(test, 2)
    for what, count in seen.left_out.most_common():
        write(f"left out: {count}  {what}")
    if seen.starters:
        write(f"not seen: the other processes that {_count(seen.starters)} started")
    for what, count in seen.accepted.items():
        write(f"accepted: {count}  {what}")
    for line in unmet:
        write(f"the baseline accepts what this run did not show: {line}")
    if not seen.found:
        write("nothing found" + ("; what is not known is above" if seen.unknown else ""))


def _count(tests: int) -> str:
    return "1 test" if tests == 1 else f"{tests} tests"


def _wrapped(line: str, width: int, indent: int) -> list[str]:
    room = max(width, 40) if width else 1 << 20
    more = " " * (indent + 2)
    wrapper = textwrap.TextWrapper(
        room, initial_indent=" " * indent, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.wrap(line) or [""]
