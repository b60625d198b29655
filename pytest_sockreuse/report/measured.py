"""What the committed results show of the suite: whether they are of it, and which statements they prove.

``sockreuse results check`` and ``sockreuse results apply``.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..expected import expected
from ..platforms import Platform, PlatformError, Span, named
from ..suite import Statement, Suite, Table, Variant
from ..verdict import FAILURES, differences, judge
from .results import Results, ResultsError, read


@dataclass(frozen=True)
class Run:
    """The results of one platform, and the file that they are in."""

    path: Path
    platform: Platform
    results: Results


def runs(paths: Iterable[Path]) -> list[Run]:
    """The runs in results files. Raises ResultsError, which names file and line."""
    found = []
    for path in paths:
        for results in read(path):
            try:
                found.append(Run(path, named(results.about["platform"]), results))
            except PlatformError as error:
                raise ResultsError(f"{path}: {error}") from None
    return found


def complaints(run: Run, suite: Suite) -> Iterator[str]:
    """Where a run is not of this suite, or not all of it, or is no longer as expected; each a line for a reader."""
    entries = run.results.results
    unknown = [id_ for id_ in entries if id_ not in suite.by_id]
    stale = [id_ for id_, r in entries.items() if id_ in suite.by_id and suite.by_id[id_].content != r.content]
    missing = [id_ for id_ in suite.by_id if id_ not in entries]
    fresh = [variant for variant in suite.variants if variant.id in entries and variant.id not in set(stale)]
    departed = [variant.id for variant in fresh if _departs(variant, run)]
    for ids, what in (
        (unknown, "of no variant of this suite"),
        (stale, "of another scenario than this suite's"),
        (missing, "missing"),
        (departed, "not what the suite expects of it"),
    ):
        if ids:
            names = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")
            yield f"{run.path}: {run.platform}: {len(ids)} {what}: {names}"


def _departs(variant: Variant, run: Run) -> bool:
    result = run.results.results[variant.id]
    if result.verdict == "broken":
        return True
    seen = result.observation(variant, run.platform.name)
    wanted = expected(variant, run.platform, seen)
    return judge(wanted.outcome if wanted else None, seen).state in FAILURES


def shown(variant: Variant, statement: Statement, known: Sequence[Run]) -> bool:
    """Whether of every stack that the statement names some run shows what it says of the variant."""
    outcome = statement.outcome
    if isinstance(outcome, Table):
        outcome = variant.case.cells[outcome.cell(variant.named_values)]
    stacks = set()
    for run in known:
        result = run.results.results.get(variant.id)
        if result is None or run.platform.stack not in statement.on or run.platform.version not in statement.span:
            continue
        seen = result.observation(variant, run.platform.name)
        asked = result.content == variant.content and judge(outcome, seen).state == "match"
        if asked and not differences(outcome, seen):
            stacks.add(run.platform.stack)
    return stacks == set(statement.on)


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


# --- version boundaries -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Boundary:
    """A bound of a statement with a run just below and one just above; `step` says whether they differ in a cell."""

    statement: Statement
    label: str
    below: Platform
    above: Platform
    step: bool


def boundaries(suite: Suite, known: Sequence[Run]) -> Iterator[Boundary]:
    """Each `since` and `until` of the suite that has runs on both of its sides."""
    for rule in suite.rules.values():
        for case in rule.cases:
            for statement in case.statements:
                for label in (*statement.span.since, *statement.span.until):
                    sides = _sides(label, [run for run in known if run.platform.stack in statement.on])
                    if sides is not None and _parts(statement, *sides):
                        below, above = sides
                        cells = [cell for cell in case.variants if statement.covers(cell.named_values)]
                        cells = [cell for cell in cells if _part(cell, below.platform, above.platform)]
                        step = any(_outcome(cell, below) != _outcome(cell, above) for cell in cells)
                        if cells:
                            yield Boundary(statement, label, below.platform, above.platform, step)


def _sides(label: str, known: Sequence[Run]) -> tuple[Run, Run] | None:
    """The nearest runs before and from a release on; of a stable one (x.y.z) only within its line."""
    span = Span((label,))
    line = label.split(".")[:2] if label.count(".") > 1 else []
    near = [run for run in known if not line or [*map(str, run.platform.version[:2])] == line]
    ordered = sorted(near, key=lambda run: run.platform.version)
    below = [run for run in ordered if run.platform.version not in span]
    above = [run for run in ordered if run.platform.version in span]
    return (below[-1], above[0]) if below and above else None


def _parts(statement: Statement, below: Run, above: Run) -> bool:
    """Whether one run lies in the statement's span and the other does not: of a backport it may be neither."""
    return (below.platform.version in statement.span) != (above.platform.version in statement.span)


def _part(cell: Variant, below: Platform, above: Platform) -> bool:
    """Whether two platforms are stated to do different things, and each of them one thing.

    A release may lie between two runs that took a change back again; and where an OS may choose, two may agree.
    """
    stated = [cell.expected(platform) for platform in (below, above)]
    outcomes = [dict(one.outcome) for one in stated if one is not None]
    free = any("|" in text for outcome in outcomes for text in outcome.values())
    return len(outcomes) == 2 and outcomes[0] != outcomes[1] and not free


def _outcome(cell: Variant, run: Run) -> object:
    result = run.results.results.get(cell.id)
    return None if result is None or result.verdict == "unsupported" else dict(result.outcome)
