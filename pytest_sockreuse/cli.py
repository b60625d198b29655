"""The command ``sockreuse``: which commands there are, and how each ends."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from importlib import import_module

from .text import visible
from .version import __version__

TYPE_CHECKING = False  # typing is a fifth of what a short command needs
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

#: The function in `commands` of each; its module is loaded when it is called.
COMMANDS = {
    "run": "scenarios.run",
    "predict": "scenarios.predict",
    "compare": "scenarios.compare",
    "trace": "scenarios.trace",
    "explore": "exploring.explore",
    "distinguish": "exploring.distinguish",
    "resemble": "exploring.resemble",
    "rules": "suite.rules",
    "check": "suite.check",
    "clauses": "suite.clauses",
    "audit": "suite.audit",
    "export": "suite.export",
    "report": "reports.report",
    "diff": "reports.diff",
    "results import": "results.import_",
    "results compact": "results.compact",
    "results check": "results.check",
    "results apply": "results.apply",
    "results predict": "reports.predict",
    "platform": "machine.platform",
    "explain": "machine.explain",
    "hold": "machine.hold",
}


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 if what was asked failed, 2 if the question was wrong."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what its encoding lacks, as stderr does
    try:
        return _done(arguments)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # a reader that went is told nothing
            place = error.filename or ("standard output" if error.errno in _UNWRITABLE else "this machine")
            _complain(f"{visible(place, 1000)}: {error.strerror}")
        _forget(sys.stdout)
        return 1
    except Exception as error:
        from .arguments import UsageError  # here, as is what follows: the version needs neither
        from .data import DataError

        if isinstance(error, UsageError):
            return _wrong(str(error))
        if isinstance(error, DataError):
            return _wrong(f"the conformance data is wrong:\n{error}")
        raise


def _wrong(text: str) -> int:
    shown = "\n".join(visible(line, 4000) for line in text.split("\n"))
    _complain(shown if len(shown) < 4900 else f"{shown[:4900]}…")  # SECURITY.md has the bound
    return 2


def _done(arguments: Sequence[str] | None) -> int:
    """Do what is asked for and see it printed. Raises UsageError, DataError, OSError."""
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:  # without argparse, half of its time
        print("sockreuse", __version__, flush=True)
        return 0
    from .arguments import parser

    status = 0
    with contextlib.suppress(SystemExit):  # help, or the version, was printed
        parsed = parser(COMMANDS, given[0] if given else "").parse_args(given)
        module, _, function = parsed.call.partition(".")
        status = getattr(import_module(f"{__package__}.commands.{module}"), function)(parsed)
    sys.stdout.flush()
    return status


def _complain(text: str) -> None:
    try:
        print("sockreuse:", text, file=sys.stderr, flush=True)
    except OSError:  # nobody can be told but by the exit status
        _forget(sys.stderr)


def _forget(stream: TextIO) -> None:
    """Have what a stream still holds go nowhere when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
