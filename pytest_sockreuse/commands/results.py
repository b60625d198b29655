"""Commands about results files."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..arguments import UsageError
from ..platforms import CONFORMANCE
from .shared import whole_suite

if TYPE_CHECKING:
    from ..report.measured import Run
    from ..suite import Suite


def _runs(arguments: argparse.Namespace, suite: Suite) -> list[Run]:
    from ..report.measured import runs
    from ..report.results import ResultsError

    files = arguments.file or sorted((CONFORMANCE / "results").glob("*.jsonl"))
    if not files:
        raise UsageError("name the results files: there are none beside this suite")
    try:
        return runs(files, suite)
    except ResultsError as error:
        raise UsageError(str(error)) from None


def check(arguments: argparse.Namespace) -> int:
    from ..report.measured import complaints, gaps

    suite, status = whole_suite(), 0
    for run in _runs(arguments, suite):
        for line in gaps(run, suite):
            print(line)
        for line in complaints(run, suite):
            print(line)
            status = 1
    return status


def apply(arguments: argparse.Namespace) -> int:
    from ..report.measured import complaints, proposal, unshown

    suite = whole_suite()
    runs = _runs(arguments, suite)
    against = [*(complaint for run in runs for complaint in complaints(run, suite)), *unshown(suite, runs)]
    print(proposal(suite, runs), end="")
    for line in against:
        print(f"sockreuse: {line}", file=sys.stderr)
    return 1 if against else 0


def import_(arguments: argparse.Namespace) -> int:
    from ..report.exchange import load
    from ..report.results import ResultsError, text_of

    suite = whole_suite()
    try:
        results = load(arguments.file, suite)
    except ResultsError as error:
        raise UsageError(str(error)) from None
    print(text_of([results], suite), end="")
    return 0


def compact(arguments: argparse.Namespace) -> int:
    from ..report.results import ResultsError, read, write

    suite = whole_suite()
    try:
        for path in arguments.file:
            write(path, read(path, suite), suite)
    except ResultsError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    return 0
