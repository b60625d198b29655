"""The documents' claims as a page in Markdown: where each holds, and the case that shows it."""

from __future__ import annotations

from collections.abc import Iterator

from ..report.ranges import Range
from ..suite import Claim
from .claims import Held, claims
from .markdown import LETTERS, code, plain
from .table import Matrix
from .words import folded

WORDS = ("holds", "depends", "refuted")
HEAD = """# What the documents claim

Each sentence that the documents state or ask about, and what became of it on each system: it **holds** in every
variant of the suite that tries it there, is **refuted** in every one, or **depends** on more than it says. Beside it
is the variant that shows it, one against the claim where there is one, and how that is known: R run on this very
version, M measured on versions around it, D documented, S read in the source, P predicted by a model, I inferred. This
page is written by `sockreuse report --claims FILE`.
"""


def text(matrix: Matrix) -> str:
    """The whole page."""
    return "\n".join([HEAD, *_left_out(matrix), *_claims(matrix)]) + "\n"


def _left_out(matrix: Matrix) -> Iterator[str]:
    if matrix.left_out:
        yield "Left out, for it does not fit:\n"
        yield from (f"- {code(one)}" for one in matrix.left_out)
        yield ""


def _claims(matrix: Matrix) -> Iterator[str]:
    found = claims(matrix)
    by_document: dict[str, list[Claim]] = {}
    for claim in matrix.suite.claims.values():
        by_document.setdefault(claim.document, []).append(claim)
    for document, mine in by_document.items():
        yield f"## {plain(document)}\n"
        for claim in mine:
            yield f"### {claim.id}\n\n{plain(claim.text)}\n"
            yield from _held(matrix, found[claim.id])
            yield ""


def _held(matrix: Matrix, held: list[Held | None]) -> Iterator[str]:
    """A line for each word and system, ranges of versions folded."""
    yield "| | systems | shown by |\n| --- | --- | --- |"
    lines: dict[tuple[str, str], list[str]] = {}
    for columns in matrix.families.values():
        for one in _ranges(matrix, held, columns):
            shows = held[one.last]
            assert shows is not None
            family = matrix.columns[one.last].family
            where = f"{family} {one.words}".strip() + f" {LETTERS[shows.basis]}"
            lines.setdefault((shows.word, matrix.variants[shows.row].id), []).append(where)
    for (word, id_), places in sorted(lines.items(), key=lambda line: WORDS.index(line[0][0])):
        yield f"| **{word}** | {plain('; '.join(places))} | {code(id_)} |"


def _ranges(matrix: Matrix, held: list[Held | None], columns: range) -> list[Range]:
    """The versions of a family by what becomes of the claim there."""

    def word(column: int) -> str | None:
        one = held[column]
        return None if one is None else one.word

    return folded(matrix, columns, word)
