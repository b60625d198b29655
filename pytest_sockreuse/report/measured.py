"""What the committed results show of the suite: whether they are of it, and which statements they prove.

``sockreuse results check`` and ``sockreuse results apply``.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from ..dataclass import dataclass
from ..expected import expected
from ..platforms import Platform, PlatformError, named
from ..suite import Statement, Suite, Table, Variant
from ..text import visible
from ..verdict import FAILURES, Outcome, Verdict, judge
from .results import Result, Results, ResultsError, observed, read

Items = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Run:
    """The results of one platform, and the file that they are in."""

    path: Path
    platform: Platform
    results: Results


def runs(paths: Iterable[Path], suite: Suite) -> list[Run]:
    """The runs in results files. Raises ResultsError, which names file and line."""
    found = []
    for path in paths:
        for results in read(path, suite):
            try:
                found.append(Run(path, named(results.about["platform"]), results))
            except PlatformError as error:
                raise ResultsError(f"{visible(path, 1000)}: {error}") from None
    return found


def complaints(run: Run, suite: Suite) -> Iterator[str]:
    """Where a run is no longer as expected, or says that it is of this suite and is not; each a line for a reader."""
    if _is_of(run, suite):
        yield from _apart(run, suite, "missing")
    departed = [variant.id for variant in suite.variants if _is_fresh(run, variant) and _departs(run, variant)]
    yield from _line(run, departed, "not what the suite expects of it")


def gaps(run: Run, suite: Suite) -> Iterator[str]:
    """What a run of another suite, an older one for the most part, does not tell of this one; lines for a reader."""
    if not _is_of(run, suite):
        yield from _apart(run, suite, "not yet measured")


def _is_of(run: Run, suite: Suite) -> bool:
    return bool(run.results.about["suite"] == suite.version)


def _is_fresh(run: Run, variant: Variant) -> bool:
    """Whether a run has asked the very scenario of a variant."""
    result = run.results.results.get(variant.id)
    return result is not None and result.content == variant.content


def _apart(run: Run, suite: Suite, missing: str) -> Iterator[str]:
    known = [variant for variant in suite.variants if variant.id in run.results.results]
    yield from _line(run, run.results.results.keys() - suite.by_id.keys(), "of no variant of this suite")
    stale = [variant.id for variant in known if not _is_fresh(run, variant)]
    yield from _line(run, stale, "of another scenario than this suite's")
    yield from _line(run, suite.by_id.keys() - run.results.results.keys(), missing)


def _line(run: Run, ids: Collection[str], what: str) -> Iterator[str]:
    if ids:
        names = ", ".join(sorted(ids)[:3]) + (", …" if len(ids) > 3 else "")
        yield f"{visible(run.path, 1000)}: {run.platform}: {len(ids)} {what}: {names}"


def _departs(run: Run, variant: Variant) -> bool:
    result = run.results.results[variant.id]
    if result.verdict == "broken":
        return True
    stated = variant.expected(run.platform)
    if stated is not None or result.verdict == "unsupported":
        return _judged(variant, stated.outcome if stated else None, result).state in FAILURES
    seen = next(observed(run.platform.name, variant.labels, result.outcome, None))
    modelled = expected(variant, run.platform, seen)
    return judge(modelled.outcome if modelled else None, seen).state in FAILURES


def shown(variant: Variant, statement: Statement, known: Iterable[Run]) -> bool:
    """Whether of every stack that the statement names some run shows what it says of the variant."""
    outcome = statement.outcome
    if isinstance(outcome, Table):
        outcome = variant.case.cells[outcome.cell(variant.named_values)]
    stacks = set()
    for run in known:
        if run.platform.stack in statement.on and run.platform.version in statement.span and _is_fresh(run, variant):
            if _judged(variant, outcome, run.results.results[variant.id]) == Verdict("match"):
                stacks.add(run.platform.stack)
    return stacks == set(statement.on)


def _judged(variant: Variant, outcome: Outcome | None, result: Result) -> Verdict:
    wanted = None if outcome is None else tuple(outcome.items())
    not_run = result.reason if result.verdict == "unsupported" else None
    return _verdict(variant.labels, wanted, tuple(result.outcome.items()), not_run)


@lru_cache(1 << 16)
def _verdict(labels: tuple[str, ...], wanted: Items | None, seen: Items, not_run: str | None) -> Verdict:
    """What an answer comes to; of a case's variants and of platforms that give the same one it is asked once."""
    expectation = None if wanted is None else dict(wanted)
    verdicts = [judge(expectation, one) for one in observed("", labels, dict(seen), not_run)]
    return next((verdict for verdict in verdicts if verdict.state in FAILURES), verdicts[0])


def unshown(suite: Suite, known: Sequence[Run]) -> Iterator[str]:
    """Each cell that is stated as measured and that no run shows; a line for a reader."""
    for variant in suite.variants:
        for statement in variant.case.statements:
            if statement.basis == "measured" and statement.covers(variant.named_values):
                if not shown(variant, statement, known):
                    yield f"{statement.at}: measured, and no run shows it: {variant.id}"


def proposal(suite: Suite, known: Sequence[Run]) -> str:
    """A unified diff that writes `measured` to every statement of which the runs show each cell. Weakens none."""
    lines: dict[Path, list[tuple[int, str]]] = defaultdict(list)
    for rule in suite.rules.values():
        for case in rule.cases:
            for statement in case.statements:
                cells = [variant for variant in case.variants if statement.covers(variant.named_values)]
                if statement.basis != "measured" and cells and all(shown(cell, statement, known) for cell in cells):
                    stacks = [run.platform.stack for run in known if run.platform.version in statement.span]
                    keys = [key for key in suite.evidence for stack in stacks if _is_run_of(key, stack, statement)]
                    lines[statement.at.file].append((statement.at.line, next(iter(keys), "")))
    return "".join(_diff(file, entries) for file, entries in sorted(lines.items()))


def _is_run_of(key: str, stack: str, statement: Statement) -> bool:
    return stack in statement.on and re.fullmatch(rf"run-{stack}(-.*)?", key) is not None


def _diff(file: Path, entries: Iterable[tuple[int, str]]) -> str:
    before = file.read_text(encoding="utf-8").splitlines(keepends=True)
    after = [*before]
    for line, key in entries:
        _write_measured(after, line, key)
    name = f"conformance/rules/{file.name}"
    return "".join(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"))


def _write_measured(lines: list[str], start: int, key: str) -> None:
    """Change the statement whose table header is at line `start` (from 1) and name the evidence."""
    rest = range(start, len(lines))
    end = next((at for at in rest if lines[at].lstrip().startswith("[")), len(lines))
    for at in range(start, end):
        lines[at] = re.sub(r'^(\s*basis = )"\w+"', r'\1"measured"', lines[at])
    evidence = next((at for at in range(start, end) if re.match(r"\s*evidence = \[", lines[at])), None)
    if key and evidence is not None and f'"{key}"' not in lines[evidence]:
        lines[evidence] = re.sub(r"\]\s*$", f', "{key}"]\n', lines[evidence])
