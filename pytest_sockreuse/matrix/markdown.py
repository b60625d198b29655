"""The matrix as Markdown for a job's summary: a row a case, a column for the newest version of each family.

What others wrote is shown as code, character by character where it could be anything else: a summary is read by
people who are logged in, and names of strangers' files can hold links, mentions and HTML.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..text import visible
from .differences import differences
from .table import Matrix
from .words import listed, ranges, shown

MOST = 900_000  # bytes: a summary of more than 1 MiB is refused by its host, one just below it dropped without a word
MOST_NAMED = 100  # files, and runs
MOST_ANSWERS = 2  # of a case on one platform, that are written out

#: The letter that says how a cell is known.
LETTERS = {"run": "R", "measured": "M", "documented": "D", "source": "S", "model": "P", "inferred": "I"}
LEGEND = (
    "Cases in which most systems part come first. Each cell says which step fails first and how, or ok; then how that "
    "is known: R run on this very version, M measured on versions around it, D documented, S read in the source, "
    "P predicted by a model, I inferred; `?` is not known."
)


def code(text: object) -> str:
    """Anything at all as code, in any place of a Markdown text; of a long one the beginning."""
    whole = visible(text, 200)
    if re.fullmatch(r"[^`|<>&\\ ]([^`|<>&\\]*[^`|<>&\\ ])?", whole):
        return f"`{whole}`"
    return f"<code>{''.join(one if one.isalnum() or one == ' ' else f'&#{ord(one)};' for one in whole)}</code>"


def plain(text: str) -> str:
    """A sentence of the suite, of which no character formats anything; an underscore within a word does not."""
    return re.sub(r"([\\`*<>|~\[\]&]|(?<!\w)_|_(?!\w))", r"\\\1", visible(text, 1000))


def text(matrix: Matrix, most: int = MOST) -> str:
    """The whole of it, at most `most` bytes; what is left out for its length is said."""
    head = ["# Sockets that share a local port: what happens where", ""]
    for part in (_left_out(matrix), _differences(matrix), _runs(matrix)):
        head += part
    return "\n".join([*head, *_cases(matrix, most - _size(head))]) + "\n"


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _left_out(matrix: Matrix) -> Iterator[str]:
    if matrix.left_out:
        yield "**Left out, for it does not fit:**"
        yield ""
        yield from (f"- {code(str(one))}" for one in matrix.left_out[:MOST_NAMED])
        if more := len(matrix.left_out) - MOST_NAMED:
            yield from [f"- and {more} more"] * (more > 0)
        yield ""


def _runs(matrix: Matrix) -> Iterator[str]:
    """What the columns that were run stand on."""
    runs = [(column, run) for column in matrix.columns for run in column.runs]
    if not runs:
        return
    yield from ("## What was run", "")
    yield from _row("platform", "what", "when", "how", "scenarios run", "could not be asked", "not asked")
    yield from _row(*["---"] * 7)
    for column, run in runs[:MOST_NAMED]:
        facts = run.facts
        what = " ".join(facts[name] for name in ("package", "release", "build") if name in facts) or run.file
        how = " ".join(facts[name] for name in ("boot", "isolation", "machine") if name in facts)
        yield from _row(
            code(column.title),
            code(what),
            code(facts.get("date", "?")),
            code(how or "?"),
            run.asked,
            run.unsupported,
            run.stale + run.missing,
        )
    if len(runs) > MOST_NAMED:
        yield f"\nand {len(runs) - MOST_NAMED} more runs"
    yield ""


def _row(*cells: object) -> Iterator[str]:
    yield f"| {' | '.join(map(str, cells))} |"


def _differences(matrix: Matrix) -> Iterator[str]:
    if found := differences(matrix, 10):
        yield from (f"## The {len(found)} differences that bite most", "")
        for number, one in enumerate(found, 1):
            yield f"{number}. {plain(one.text)} ({code(matrix.variants[one.row].id)})"
        yield ""


def _cases(matrix: Matrix, room: int) -> Iterator[str]:
    """A row a case: those in which most systems part first, those in which none do last."""
    newest = [matrix.newest(stack) for stack in matrix.families]
    rows = _of_cases(matrix)
    yield from ("## Every case", "", LEGEND, "")
    table = [
        *_row("case", *(code(matrix.columns[column].title) for column in newest)),
        *_row("---", *["---"] * len(newest)),
    ]
    cases = [(_parting(matrix, mine, newest), mine) for mine in rows.values()]
    room -= _size([LEGEND, *table]) + 200
    yield from table
    left = 0
    for _, mine in sorted(cases, key=lambda one: (-one[0], one[1].start)):
        variant = matrix.variants[mine.start]
        name = f"{code(f'{variant.case.rule}/{variant.case.id}')} {plain(variant.case.title)}"
        (line,) = _row(name, *(_answer(matrix, mine, column) for column in newest))
        room -= _size([line])
        if room < 0:
            left += 1
        else:
            yield line
    if left:
        yield f"\nLeft out, for a summary has a limit: {left} of {len(cases)} cases. The page has them all."


def _of_cases(matrix: Matrix) -> dict[str, range]:
    """The rows of each case."""
    starts = list(matrix.starts.values())
    ends = [*starts[1:], len(matrix.variants)]
    return {id_: range(first, end) for id_, first, end in zip(matrix.starts, starts, ends, strict=True)}


def _parting(matrix: Matrix, rows: range, columns: Sequence[int]) -> float:
    """How many answers the newest versions have, of the variants on average."""
    answers = 0
    for row in rows:
        cells = [matrix.cell(column, row) for column in columns]
        answers += len({shown(matrix.variants[row].labels, cell.outcome) for cell in cells if cell.known}) or 1
    return answers / len(rows)


def _answer(matrix: Matrix, rows: range, column: int) -> str:
    """What a platform does with the variants of a case, since when, and how that is known."""
    cells = [matrix.cell(column, row) for row in rows]
    answers = Counter(
        shown(matrix.variants[row].labels, cell.outcome) if cell.known else "?"
        for row, cell in zip(rows, cells, strict=True)
    )
    first, *others = answers.most_common()
    texts = [code(first[0])]
    if others:
        few = [first, *others][:MOST_ANSWERS]
        texts = [f"{count} of {len(rows)} {code(answer)}" for answer, count in few]
        texts += [f"{len(others) + 1 - len(few)} more"] * (len(others) >= MOST_ANSWERS)
    bases = {cell.basis for cell in cells}
    how = "".join(letter for basis, letter in LETTERS.items() if basis in bases)
    notes = [since] if (since := _since(matrix, rows, column)) else []
    for what, count in (
        ("not what was known", sum(bool(cell.expected) for cell in cells)),
        ("not the same in two runs", sum(cell.disputed for cell in cells)),
    ):
        notes += [f"{count} {what}"] * (count > 0)
    return f"{', '.join(texts)}{f' ({listed(notes)})' if notes else ''} {how}".strip()


def _since(matrix: Matrix, rows: range, column: int) -> str:
    """In words, the last version before that of `column` with which some variant came to do what it does."""
    family = matrix.families[matrix.columns[column].platform.stack]
    latest, which = family.start, -1
    for row in rows:
        start = _start(matrix, row, column, family)
        if start > latest:
            latest, which = start, row
    return next((one.words for one in ranges(matrix, which, family) if one.last == column), "") if which >= 0 else ""


def _start(matrix: Matrix, row: int, column: int, family: range) -> int:
    """From which column on a row is as in `column`, where the one before is known to be otherwise; else the first."""
    cell = matrix.cell(column, row)
    for at in range(column - 1, family.start - 1, -1):
        before = matrix.cell(at, row)
        if not before.known or not cell.known:
            break
        if before.outcome != cell.outcome:
            return at + 1
    return family.start
