"""The commands that merge the results of many machines: ``sockreuse report``, ``diff`` and ``results predict``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import output, page
from ..arguments import UsageError
from ..loader import load
from ..matrix import as_ctrf, as_json, claims_page, markdown
from ..matrix.badges import badges
from ..matrix.build import PREDICTIONS, MergeError, build, committed
from ..matrix.diff import alone, changes, compared, pairs
from ..matrix.kept import keep
from ..matrix.overview import overview
from ..matrix.table import Matrix
from ..platforms import known
from ..report.measured import runs
from ..text import visible

#: What ``sockreuse report`` writes, by the name of the option.
TEXTS: Mapping[str, Callable[[Matrix], str]] = {
    "html": page.html,
    "markdown": markdown.text,
    "json": as_json.text,
    "ctrf": as_ctrf.text,
    "claims": claims_page.text,
}


def report(arguments: argparse.Namespace) -> int:
    """``sockreuse report``: every form that was asked for, else an overview."""
    wanted = [(Path(file), text) for name, text in TEXTS.items() if (file := getattr(arguments, name))]
    for path, _ in wanted:
        _written(output.check, path)
    matrix = _merged(arguments.file or None, arguments.keep_going)
    for path, text in wanted:
        _written(output.write, path, text(matrix))
    if arguments.badges:
        for name, text_of_badge in badges(matrix):
            path = Path(arguments.badges, name)
            _written(Path.mkdir, path.parent, parents=True, exist_ok=True)
            _written(output.write, path, text_of_badge)
    elif not wanted:
        for line in overview(matrix):
            print(line)
    return 0


def diff(arguments: argparse.Namespace) -> int:
    """``sockreuse diff``: status 1 where an outcome changed."""
    suite = load(check=False)
    old, new = (_merged(_results_of(path), suite=suite, all_known=False) for path in (arguments.old, arguments.new))
    for line in alone(old, new):
        print(line)
    if not pairs(old, new):
        raise UsageError("no platform is in both: give results of one platform, or of two versions of one")
    status = 0
    for pair in pairs(old, new):
        names = dict.fromkeys((old.columns[pair[0]].title, new.columns[pair[1]].title))
        found = changes(old, new, pair)
        print(f"{' and '.join(names)}: asked on both sides: {sum(1 for _ in compared(old, new, pair))}")
        for line in found:
            print(f"    {line}")
        status = 1 if found else status
    return status


def predict(_: argparse.Namespace) -> int:
    """``sockreuse results predict``: what reports need of the models, kept as data."""
    suite = load()
    try:
        for line in keep(suite, [*known(), *(run.platform for run in runs(committed(), suite))], PREDICTIONS):
            print(line, flush=True)
    except OSError as error:
        raise UsageError(f"{visible(error.filename or PREDICTIONS, 1000)}: {error.strerror}") from None
    return 0


def _merged(files: Sequence[Path] | None, keep_going: bool = False, **more: Any) -> Matrix:
    try:
        matrix = build(files, keep_going=keep_going, say=_complain, **more)
    except MergeError as error:
        raise UsageError(str(error)) from None
    for one in matrix.left_out:
        _complain(f"left out: {one}")
    return matrix


def _complain(text: str) -> None:
    print(f"sockreuse: {visible(text, 4000)}", file=sys.stderr, flush=True)


def _results_of(path: Path) -> list[Path]:
    """A file, or those of a directory."""
    found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not found:
        raise UsageError(f"{visible(path, 1000)}: no results in this directory; their names end in .jsonl")
    return found


def _written(act: Callable[..., object], path: Path, *arguments: Any, **named: Any) -> None:
    try:
        act(path, *arguments, **named)
    except OSError as error:
        raise UsageError(f"{visible(path, 1000)}: {error.strerror}") from None
