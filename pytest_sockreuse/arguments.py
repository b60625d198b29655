"""The arguments of the command ``sockreuse``: what each command takes, checked as it is read."""

from __future__ import annotations

import argparse
import math
import os
import sys
from functools import partial

from .text import visible
from .version import __version__

TYPE_CHECKING = False  # typing and the platforms are most of what the version would cost
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any, NoReturn

    from .platforms import Platform

    _Command = Callable[..., "_Parser"]  # adds the command of a name, told in a line, with what a JSON object is of

_ALL = "these platforms (all that are modelled)"


class UsageError(Exception):
    """The user's own mistake: one line, exit status 2."""


class _Parser(argparse.ArgumentParser):
    """Raises UsageError. One that is `mixed` takes options between the words of a list: ``explain 8080 --udp
    SO_REUSEADDR``."""

    mixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self.mixed:
            return super().parse_known_args(args, namespace)
        self.mixed = False  # what follows asks again
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.mixed = True

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")

    def _print_message(self, message: str, file: Any = None) -> None:  # argparse passes over what cannot be written
        print(message, end="", file=file or sys.stderr)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 999999999, not '{visible(text)}'")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, not '{visible(text)}'")
    return seconds


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)


def _output(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a file, not ''")
    return text


def _platform(text: str) -> Platform:
    from .platforms import PlatformError, asked_for

    try:
        return asked_for(text)
    except PlatformError as error:
        if "," in text:
            raise argparse.ArgumentTypeError(f"expected one platform, not '{visible(text)}'") from None
        raise argparse.ArgumentTypeError(str(error)) from None


def _platforms(text: str) -> list[Platform]:
    return [_platform(name) for name in text.split(",")]


def parser(commands: Mapping[str, str], first: str = "") -> argparse.ArgumentParser:
    """A parser that leaves in `call` what `commands` has for the one that was named; it raises UsageError.

    Where the `first` word is a command, only it and its like can be parsed: to make all takes as long as to import
    argparse.
    """
    top = _Parser("sockreuse", description=sys.modules[__package__].__doc__)
    top.add_argument("--version", action="version", version=f"sockreuse {__version__}")
    found = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, about: str, json: str = "", to: Any = found) -> _Parser:
        made: _Parser = to.add_parser(
            name.rpartition(" ")[2], help=about, description=f"{about[0].upper()}{about[1:]}."
        )
        made.set_defaults(call=commands.get(name))
        if json:
            made.add_argument("--json", action="store_true", help=f"print one JSON object for each {json}")
        return made

    groups = {
        "scenarios": _scenarios,
        "exploring": _exploring,
        "suite": _suite,
        "reports": _reports,
        "results": _results,
        "machine": _machine,
    }
    group = "results" if first == "results" else commands.get(first, "").partition(".")[0]
    for add in [groups[group]] if group in groups else groups.values():
        add(command)
    return top


def _scenarios(command: _Command) -> None:
    run = command("run", "perform the scenarios of FILE on this machine", "scenario")
    predict = command("predict", "say what the model of a platform does with the scenarios of FILE", "scenario")
    compare = command(
        "compare", "show where platforms differ, by their models: in the steps of FILE, or with two servers"
    )
    for reader in (run, predict, compare):
        some = "?" if reader is compare else None
        reader.add_argument("file", metavar="FILE", nargs=some, help="a scenario file; - is standard input")
    for which in ("first", "second"):
        compare.add_argument(
            f"--{which}", metavar="RUNTIME", help=f"instead of FILE: the {which} to take a port, such as node or flask"
        )
    compare.add_argument("--on", type=_platforms, metavar="A,B,…", help=_ALL)
    predict.add_argument(
        "--on", type=_platform, metavar="PLATFORM", required=True, help="as linux-6.1.176, macos-15 or ubuntu-24.04"
    )
    predict.add_argument("--why", action="store_true", help="print the sentence and source of each clause that decides")

    trace = command(
        "trace", "run a program under strace and say which of its socket calls would do otherwise elsewhere"
    )
    trace.add_argument(
        "--read", metavar="FILE", help="instead, a log that strace has made (how: docs/trace.md); - is standard input"
    )
    trace.add_argument(
        "--on",
        type=_platforms,
        metavar="A,B,…",
        help="compare with these platforms (the newest Linux, macOS, Windows, FreeBSD)",
    )
    trace.add_argument("--json", action="store_true", help="print one JSON object")
    trace.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="after --: the program and its arguments"
    )


def _exploring(command: _Command) -> None:
    explore = command("explore", "perform random scenarios here and compare what they do with a model")
    much = explore.add_mutually_exclusive_group()
    much.add_argument("--seconds", type=_seconds, metavar="N", help="for N seconds")
    much.add_argument("--count", type=_number, metavar="N", help="N scenarios (1000)")
    much.add_argument("--exhaustive", type=_number, metavar="N", help="instead all scenarios of up to N calls")
    explore.add_argument(
        "--processes", type=_number, default=os.cpu_count(), metavar="K", help="exhaustive: in K processes"
    )
    explore.add_argument(
        "--resume", type=_output, metavar="FILE", help="exhaustive: keep what is done in FILE, and go on from there"
    )
    explore.add_argument("--family", type=int, choices=(4, 6), default=4, help="exhaustive: IPv4 or IPv6 (4)")
    explore.add_argument("--protocol", choices=("tcp", "udp"), default="tcp", help="exhaustive: tcp or udp (tcp)")
    explore.add_argument("--seed", type=int, metavar="S", help="the same scenarios again")
    explore.add_argument(
        "--on", type=_platform, metavar="PLATFORM", help="the model of this platform (of this machine)"
    )

    distinguish = command("distinguish", "find the shortest scenarios in which platforms differ")
    distinguish.add_argument("platform", nargs="+", type=_platform, metavar="PLATFORM", help="two or more")
    resemble = command("resemble", "say which modelled platform this machine behaves like", "platform")
    resemble.add_argument(
        "--on", type=_platforms, metavar="A,B,…", help="these platforms (the newest of each that is modelled)"
    )


def _suite(command: _Command) -> None:
    rules = command("rules", "list the rules that an application may require, and where they hold", "rule")
    rules.add_argument("name", nargs="*", metavar="NAME", help="these, by id or alias (all, without)")
    about = "say whether this machine honours rules (status 0; 1 if not; 3 if one cannot be tried here)"
    check = command("check", about, "rule")
    check.add_argument("rule", nargs="*", metavar="RULE", help="an id or alias (see sockreuse rules)")
    check.add_argument("--all", action="store_true", help="every rule that has an alias")
    check.add_argument("--quiet", action="store_true", help="print nothing: the exit status says it")
    clauses = command("clauses", "list the clauses of the models: name, sentence, source and versions", "clause")
    clauses.add_argument(
        "name", nargs="*", metavar="NAME", help="these, each with the case that pins it (all, without)"
    )
    clauses.add_argument("--on", type=_platform, metavar="PLATFORM", help="those that hold there (on any)")
    audit = command("audit", "find where a statement of the suite and a model disagree")
    audit.add_argument("--on", type=_platforms, metavar="A,B,…", help=_ALL)
    export = command("export", "print the whole suite as one scenario file")
    export.add_argument("file", nargs="?", type=_output, default="-", metavar="FILE", help="write it to FILE")


def _reports(command: _Command) -> None:
    report = command("report", "merge results of many machines, and the models, into a matrix")
    report.add_argument("file", nargs="*", type=_path, metavar="FILE", help="results files (those of the suite)")
    for form, what in (
        ("html", "the page, one file for any browser"),
        ("markdown", "the cases and the newest version of each system, for a job's summary"),
        ("json", "everything, for another program"),
        ("ctrf", "what was run, as the Common Test Report Format"),
        ("claims", "the documents' claims, as Markdown"),
    ):
        report.add_argument(f"--{form}", type=_output, metavar="FILE", help=f"write {what}")
    report.add_argument(
        "--badges", type=_output, metavar="DIR", help="write a badge for each platform that was run, and each rule"
    )
    report.add_argument("--keep-going", action="store_true", help="leave out, and say so, files that do not fit")
    diff = command("diff", "say which outcomes changed between two sets of results (status 1 if any did)")
    for side in ("old", "new"):
        diff.add_argument(side, type=_path, metavar=side.upper(), help="a results file, or a directory of them")


def _results(command: _Command) -> None:
    about = "work with results files"
    found: _Parser = command("results", about)
    command = partial(command, to=found.add_subparsers(required=True, metavar="COMMAND"))
    imported = command("results import", "print a results file of what conformance/lab/runner.c printed")
    imported.add_argument("file", nargs="+", type=_path, metavar="FILE", help="its output, for all of sockreuse export")
    compact = command("results compact", "rewrite results files in the newest form")
    compact.add_argument("file", nargs="+", type=_path, metavar="FILE", help="any number, of any form that is read")
    for name, about in (
        ("check", "say whether results files are whole and as expected, and list what is not yet measured"),
        ("apply", "print, as a diff, which statements the results prove to be measured"),
    ):
        command(f"results {name}", about).add_argument(
            "file", nargs="*", type=_path, metavar="FILE", help="these (those of the suite)"
        )
    command("results predict", "predict the suite for every modelled platform, and keep it for reports")


def _machine(command: _Command) -> None:
    command("platform", "say which platform this is", "platform")
    about = "say who has a port, whether a bind, listen or connect would succeed now, what helps"
    explain = command("explain", about, "address")
    explain.mixed = True
    about = "such as 8080, [::]:8080, localhost:8080, or a message that has one"
    explain.add_argument("address", nargs="?", default="", metavar="[ADDRESS:]PORT", help=about)
    explain.add_argument("option", nargs="*", metavar="OPTION", help="of the socket that asks, such as SO_REUSEADDR")
    explain.add_argument("--udp", action="store_true", help="UDP, not TCP")
    explain.add_argument("--connect", metavar="ADDRESS:PORT", help="the socket is to connect there, not to listen")
    explain.add_argument("--as", metavar="USER", help="asked by this user: a name or a number")
    explain.add_argument("--range", action="store_true", help="who has the ports that the OS chooses from")
    hold = command("hold", "run a command with ports that are held for it, in place of each {}")
    hold.add_argument("--count", type=_number, default=1, metavar="N", help="N ports: each {} is the next one (1)")
    hold.add_argument("--release", action="store_true", help="let go as the command starts: it sets no SO_REUSEADDR")
    hold.add_argument("command", nargs="+", metavar="COMMAND", help="after --: a program and its arguments")
