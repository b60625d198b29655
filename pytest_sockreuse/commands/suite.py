"""Commands about the suite: its rules and the models' clauses, told, tried here, held against each other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import UsageError
from ..text import nearest, visible
from .shared import modelled, whole_suite, with_model

if TYPE_CHECKING:
    from ..guard import Trial

_UNTRIED = 3  # the exit status of `check` where this machine cannot ask: whether that is fine the caller knows


def rules(arguments: argparse.Namespace) -> int:
    from ..guard import GuardError, find
    from ..loader import load
    from ..report.guards import catalogue, catalogue_json, described, described_json

    try:
        guards = [find(name) for name in arguments.name]
    except GuardError as error:
        raise UsageError(str(error)) from None
    suite = None if guards else load(check=False, sources=False)
    if arguments.json:
        lines = catalogue_json(suite) if suite else map(described_json, guards)
    else:
        lines = catalogue(suite) if suite else (line for guard in guards for line in described(guard))
    for line in lines:
        print(line)
    return 0


def check(arguments: argparse.Namespace) -> int:
    from ..guard import GuardError, tried
    from ..loader import guard_names

    if arguments.all == bool(arguments.rule):
        raise UsageError("check needs the rules to try, or --all of those with an alias (see sockreuse rules)")
    try:
        trials = tried(arguments.rule or sorted({*guard_names().values()}))
    except GuardError as error:
        raise UsageError(str(error)) from None
    if not arguments.quiet:
        for trial in trials:
            print(_shown(trial, arguments.json))
    if any(trial.honoured is False or trial.broken for trial in trials):
        return 1
    return 0 if all(trial.honoured for trial in trials) else _UNTRIED


def _shown(trial: Trial, as_json: bool) -> str:
    if trial.honoured and not as_json:
        return str(trial)
    from ..report.guards import refusal, to_json  # with the models, which say why

    return to_json(trial) if as_json else refusal(trial)


def clauses(arguments: argparse.Namespace) -> int:
    from ..report.clauses import book, pinned, show, to_json

    entries = book(with_model(arguments.on) if arguments.on else None)
    names = {entry.clause.name for entry in entries}
    for name in arguments.name:
        if name not in names:
            close = nearest(name, names, 3)
            raise UsageError(f"no clause '{visible(name)}'" + (f", perhaps {' or '.join(close)}" if close else ""))
    wanted = [entry for entry in entries if entry.clause.name in (arguments.name or names)]
    cases = pinned(wanted, whole_suite()) if arguments.name else {}
    for line in (to_json(entry, cases) for entry in wanted) if arguments.json else show(wanted, cases):
        print(line)
    return 0


def audit(arguments: argparse.Namespace) -> int:
    from ..expected import disagreements

    status = 0
    for disagreement in disagreements(whole_suite(), arguments.on or modelled()):
        print(disagreement)
        status = 1
    return status


def export(arguments: argparse.Namespace) -> int:
    from .. import output
    from ..report.exchange import export

    text = "".join(export(whole_suite()))
    if arguments.file == "-":
        print(text, end="")
        return 0
    try:
        output.write(Path(arguments.file), text)
    except OSError as error:
        raise UsageError(f"{arguments.file}: {error.strerror}") from None
    return 0
