"""The end of a run: verdicts by rule, the claims that this platform refutes, what was unsupported and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Protocol

from ..suite import Suite
from ..verdict import VERDICTS
from .results import Results


class Terminal(Protocol):
    """What we use of pytest's terminal reporter."""

    def section(self, title: str) -> None: ...
    def write_line(self, line: str) -> None: ...


def summarize(terminal: Terminal, results: Results, suite: Suite) -> None:
    """Print one platform's results."""
    terminal.section(f"sockreuse on {results.about['platform']}")
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results.results.values():
        table[result.id.partition("/")[0]][result.verdict] += 1
    shown = [verdict for verdict in VERDICTS if any(row[verdict] for row in table.values())]
    width = max((len(rule) for rule in table), default=0)
    terminal.write_line(f"{'':<{width}}  " + "  ".join(f"{verdict:>{max(5, len(verdict))}}" for verdict in shown))
    for rule, row in sorted(table.items()):
        cells = (f"{row[verdict] or '·':>{max(5, len(verdict))}}" for verdict in shown)
        terminal.write_line(f"{rule:<{width}}  " + "  ".join(cells))
    for line in (*claim_lines(results, suite), *unsupported_lines(results)):
        terminal.write_line(line)


def claim_status(results: Results) -> dict[str, tuple[str, str]]:
    """Of each claim that was tried: holds, refuted or depends, and the variant that shows it."""
    tried: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    for result in results.results.values():
        for claim, holds in result.claims.items():
            tried[claim].append((holds, result.id))
    status = {}
    for claim, seen in tried.items():
        against = [id_ for holds, id_ in seen if not holds]
        word = "holds" if not against else "refuted" if len(against) == len(seen) else "depends"
        status[claim] = (word, against[0] if against else seen[0][1])
    return status


def claim_lines(results: Results, suite: Suite) -> list[str]:
    lines = []
    status = claim_status(results)
    for word, title in (
        ("refuted", "claims that this platform refutes"),
        ("depends", "claims that depend on more than they say"),
    ):
        found = [claim for claim in suite.claims if status.get(claim, ("",))[0] == word]
        if found:
            lines += ["", f"{title}:"]
            lines += [f"  {claim:<5} {suite.claims[claim].text} ({status[claim][1]})" for claim in found]
    return lines


def unsupported_lines(results: Results) -> list[str]:
    reasons = Counter(result.reason for result in results.results.values() if result.verdict == "unsupported")
    return (
        ["", "unsupported here:", *(f"  {count:>5}  {reason}" for reason, count in reasons.most_common())]
        if reasons
        else []
    )
