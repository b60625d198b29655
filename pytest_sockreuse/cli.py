"""The command ``sockreuse``. Thin: each command reads its arguments, calls one module, prints."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import io
import json
import os
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from . import intake, output
from .arguments import UsageError, parser
from .data import DataError
from .parser import MAX_LINE, MAX_TEXT, decode, parse_file
from .platforms import CONFORMANCE, Platform, current, describe, known
from .scenario import Observation, Scenario, ScenarioError
from .text import visible

if TYPE_CHECKING:
    from .report.measured import Run
    from .suite import Suite


def _scenarios(path: str) -> list[Scenario]:
    """The scenarios of a FILE; ``-`` is standard input."""
    name = "<stdin>" if path == "-" else visible(path)
    try:
        data = sys.stdin.buffer.read(MAX_TEXT + 1) if path == "-" else intake.read(path, MAX_TEXT)
        return parse_file(decode(data))
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except ScenarioError as error:
        raise UsageError(f"{name}:{error.line}:{error.column}: {error.expected}") from None


def _headline(title: str) -> str:
    return f"--- {visible(title, MAX_LINE)}\n"


def _show(observation: Observation, title: str | None) -> str:
    head = _headline(title) if title is not None else ""
    if observation.not_run is not None:
        return f"{head}not run: {observation.not_run}"
    width = max((len(step.step) for step in observation.steps), default=0)
    rows = (
        f"{step.step:<{width}}  {step.outcome}" + (f"  {step.value}" if step.value is not None else "")
        for step in observation.steps
    )
    return head + "\n".join(rows)


def _run(arguments: argparse.Namespace) -> int:
    from .live.runner import Broken, Runner

    status = 0
    scenarios = _scenarios(arguments.file)
    with Runner() as runner:
        for scenario in scenarios:
            runner.ask(scenario)
        for scenario in scenarios:
            try:
                observation = runner.answer()
            except Broken as error:
                print(f"sockreuse: {visible(scenario.title or arguments.file, MAX_LINE)}: {error}", file=sys.stderr)
                status = 1
                continue
            if arguments.json:
                print(json.dumps(observation.to_json(scenario.title)))
            else:
                print(_show(observation, scenario.title))
    return status


def _platform(arguments: argparse.Namespace) -> int:
    found = describe()
    if arguments.json:
        print(json.dumps(found))
        return 0
    settings = found.pop("knobs")
    for name, value in {**found, **settings}.items():
        print(f"{name:<36} {value}")
    return 0


def _modelled() -> list[Platform]:
    from .model import families

    return [platform for platform in known() if platform.stack in families()]


def _with_model(platform: Platform) -> Platform:
    from .model import not_modelled

    if why := not_modelled(platform):
        raise UsageError(f"{platform}: {why}")
    return platform


def _predict(arguments: argparse.Namespace) -> int:
    from .model import ModelError, clauses, predict
    from .report.predictions import show, to_json

    platform: Platform = arguments.on
    why = {clause.name: clause for clause in clauses(platform)} if arguments.why else None
    for scenario in _scenarios(arguments.file):
        try:
            prediction = predict(scenario, platform)
        except ModelError as error:
            raise UsageError(f"{scenario.title or arguments.file}: {error}") from None
        if arguments.json:
            print(to_json(prediction, scenario.title, why))
        else:
            print(_headline(scenario.title) if scenario.title else "", end="")
            print(show(prediction, why))
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    if (arguments.first is None) != (arguments.second is None) or (arguments.file is None) == (arguments.first is None):
        raise UsageError("compare takes FILE, or --first RUNTIME and --second RUNTIME (see sockreuse compare --help)")
    return _compare_runtimes(arguments) if arguments.file is None else _compare_scenarios(arguments)


def _compare_runtimes(arguments: argparse.Namespace) -> int:
    from .report.encounters import compare
    from .runtimes import UnknownRuntime, named

    try:
        first, second = named(arguments.first), named(arguments.second)
    except UnknownRuntime as error:
        raise UsageError(str(error)) from None
    if first.udp != second.udp:
        tcp, udp = (second, first) if first.udp else (first, second)
        raise UsageError(f"{tcp.name} listens with TCP and {udp.name} binds UDP: their ports are not the same")
    for line in compare(first, second, arguments.on or _modelled()):
        print(line)
    return 0


def _compare_scenarios(arguments: argparse.Namespace) -> int:
    from .model import ModelError, predictions
    from .report.predictions import compare

    platforms = arguments.on or _modelled()
    width = shutil.get_terminal_size((0, 0)).columns
    for scenario in _scenarios(arguments.file):
        try:
            found = list(zip(platforms, predictions(scenario, platforms), strict=True))
        except ModelError as error:
            raise UsageError(f"{scenario.title or arguments.file}: {error}") from None
        print(_headline(scenario.title) if scenario.title else "", end="")
        print(compare(found, width))
    return 0


def _trace(arguments: argparse.Namespace) -> int:
    from . import trace

    command = arguments.command[arguments.command[:1] == ["--"] :]
    if bool(command) == bool(arguments.read):
        raise UsageError("trace takes -- COMMAND …, or --read FILE (see sockreuse trace --help)")
    try:
        heard = trace.read(arguments.read) if arguments.read else trace.run(command)
        found = trace.understand(heard, arguments.read or "")
    except trace.TraceError as error:
        raise UsageError(str(error)) from None
    lines = [trace.to_json(found, arguments.on)] if arguments.json else trace.show(found, arguments.on)
    for line in lines:
        print(line)
    return 0


def _clauses(arguments: argparse.Namespace) -> int:
    from .report.clauses import book, pinned, show, to_json

    entries = book(_with_model(arguments.on) if arguments.on else None)
    names = {entry.clause.name for entry in entries}
    for name in arguments.name:
        if name not in names:
            close = difflib.get_close_matches(name, names, 3)
            raise UsageError(f"no clause '{visible(name)}'" + (f", perhaps {' or '.join(close)}" if close else ""))
    wanted = [entry for entry in entries if entry.clause.name in (arguments.name or names)]
    cases = pinned(wanted, _suite()) if arguments.name else {}
    for line in (to_json(entry, cases) for entry in wanted) if arguments.json else show(wanted, cases):
        print(line)
    return 0


def _suite() -> Suite:
    from .loader import load

    return load()


def _audit(arguments: argparse.Namespace) -> int:
    from .expected import disagreements

    status = 0
    for disagreement in disagreements(_suite(), arguments.on or _modelled()):
        print(disagreement)
        status = 1
    return status


def _check(arguments: argparse.Namespace) -> int:
    from .guard import GuardError, tried

    try:
        trials = tried(arguments.rule)
    except GuardError as error:
        raise UsageError(str(error)) from None
    from .report.guards import refusal, to_json

    for trial in trials:
        print(to_json(trial) if arguments.json else str(trial) if trial.honoured else refusal(trial))
    answers = [trial.honoured for trial in trials]
    return 1 if False in answers else 2 if None in answers else 0


def _runs(arguments: argparse.Namespace, suite: Suite) -> list[Run]:
    from .report.measured import runs
    from .report.results import ResultsError

    files = arguments.file or sorted((CONFORMANCE / "results").glob("*.jsonl"))
    if not files:
        raise UsageError("name the results files: there are none beside this suite")
    try:
        return runs(files, suite)
    except ResultsError as error:
        raise UsageError(str(error)) from None


def _check_results(arguments: argparse.Namespace) -> int:
    from .report.measured import complaints, gaps

    suite, status = _suite(), 0
    for run in _runs(arguments, suite):
        for line in gaps(run, suite):
            print(line)
        for line in complaints(run, suite):
            print(line)
            status = 1
    return status


def _apply_results(arguments: argparse.Namespace) -> int:
    from .report.measured import complaints, proposal, unshown

    suite = _suite()
    runs = _runs(arguments, suite)
    against = [*(complaint for run in runs for complaint in complaints(run, suite)), *unshown(suite, runs)]
    print(proposal(suite, runs), end="")
    for line in against:
        print(f"sockreuse: {line}", file=sys.stderr)
    return 1 if against else 0


def _rules(arguments: argparse.Namespace) -> int:
    from .loader import load
    from .report.guards import catalogue

    for line in catalogue(load(check=False)):
        print(line)
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from .diagnosis.inquiry import Question, QuestionError
    from .report import explanations

    user = getattr(arguments, "as")
    if arguments.range:
        if arguments.address or arguments.option or arguments.connect or user:
            raise UsageError("--range asks about all ports that the OS chooses: it takes --udp and --json only")
        return explanations.of_range("udp" if arguments.udp else "tcp", arguments.json)
    if not arguments.address and not arguments.connect:
        raise UsageError("explain needs an address, such as 8080 or 127.0.0.1:8080, or --range")
    question = Question(arguments.address, tuple(arguments.option), arguments.udp, arguments.connect, user)
    try:
        return explanations.of(question, arguments.json)
    except QuestionError as error:
        raise UsageError(str(error)) from None


def _hold(arguments: argparse.Namespace) -> int:
    from .hold import HoldError, hold

    try:
        return hold(arguments.command, arguments.count, arguments.release)
    except HoldError as error:
        raise UsageError(str(error)) from None


def _explore(arguments: argparse.Namespace) -> int:
    from .explorer.fuzz import explore
    from .live.runner import Broken

    platform = _with_model(arguments.on or current())
    if arguments.exhaustive is not None:
        return _explore_all(arguments, platform)
    seed = random.randrange(2**31) if arguments.seed is None else arguments.seed
    count = arguments.count if arguments.seconds is not None or arguments.count is not None else 1000
    print(f"random scenarios against the model of {platform}, seed {seed}", flush=True)
    try:
        return 0 if explore(platform, seed, count, arguments.seconds, _say) else 1
    except Broken as error:
        raise UsageError(str(error)) from None


def _distinguish(arguments: argparse.Namespace) -> int:
    from .explorer.distinguish import distinguish

    if len(arguments.platform) < 2:
        raise UsageError("distinguish needs two platforms at least")
    distinguish(arguments.platform, print)
    return 0


def _resemble(arguments: argparse.Namespace) -> int:
    from .explorer.distinguish import resemble, show, to_json
    from .live.runner import Broken

    newest = {platform.stack: platform for platform in _modelled()}
    try:
        found = resemble(arguments.on or list(newest.values()))
    except Broken as error:
        raise UsageError(str(error)) from None
    print(to_json(found) if arguments.json else show(found))
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _explore_all(arguments: argparse.Namespace, platform: Platform) -> int:
    from .explorer.exhaustive import Unable, explore_all
    from .explorer.scope import Scope

    scope = Scope(arguments.protocol, arguments.family)
    try:
        agreed = explore_all(platform, scope, arguments.exhaustive, arguments.processes, arguments.resume, _say)
    except Unable as error:
        raise UsageError(str(error)) from None
    return 0 if agreed else 1


def _export(arguments: argparse.Namespace) -> int:
    from .report.exchange import export

    text = "".join(export(_suite()))
    if arguments.file == "-":
        print(text, end="")
        return 0
    try:
        output.write(Path(arguments.file), text)
    except OSError as error:
        raise UsageError(f"{arguments.file}: {error.strerror}") from None
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from .report.exchange import load
    from .report.results import ResultsError, text_of

    suite = _suite()
    try:
        results = load(arguments.file, suite)
    except ResultsError as error:
        raise UsageError(str(error)) from None
    print(text_of([results], suite), end="")
    return 0


def _compact(arguments: argparse.Namespace) -> int:
    from .report.results import ResultsError, read, write

    suite = _suite()
    try:
        for path in arguments.file:
            write(path, read(path, suite), suite)
    except ResultsError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    return 0


def _predict_suite(_: argparse.Namespace) -> int:
    from .reports import predict

    return predict()


def _report(arguments: argparse.Namespace) -> int:
    from .reports import report

    return report(arguments)


def _diff(arguments: argparse.Namespace) -> int:
    from .reports import diff

    return diff(arguments)


COMMANDS = {
    "run": _run,
    "predict": _predict,
    "compare": _compare,
    "trace": _trace,
    "clauses": _clauses,
    "explore": _explore,
    "distinguish": _distinguish,
    "resemble": _resemble,
    "audit": _audit,
    "report": _report,
    "diff": _diff,
    "export": _export,
    "results import": _import,
    "results compact": _compact,
    "results check": _check_results,
    "results apply": _apply_results,
    "results predict": _predict_suite,
    "rules": _rules,
    "check": _check,
    "platform": _platform,
    "explain": _explain,
    "hold": _hold,
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
    except (UsageError, DataError) as error:
        wrong = "the conformance data is wrong:\n" if isinstance(error, DataError) else ""
        _complain("\n".join(visible(line, 4000) for line in f"{wrong}{error}".split("\n")))
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # a reader that went is told nothing
            place = error.filename or ("standard output" if error.errno in _UNWRITABLE else "this machine")
            _complain(f"{visible(place, 1000)}: {error.strerror}")
        _forget(sys.stdout)
        return 1


def _done(arguments: Sequence[str] | None) -> int:
    """Do what is asked for and see it printed. Raises UsageError, DataError, OSError."""
    status = 0
    with contextlib.suppress(SystemExit):  # help, or the version, was printed
        parsed = parser(COMMANDS).parse_args(arguments)
        status = parsed.call(parsed)
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
