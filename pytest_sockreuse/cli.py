"""The command ``sockreuse``. Thin: each command reads its arguments, calls one module, prints."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .parser import MAX_TEXT, decode, parse_file
from .platforms import CONFORMANCE, Platform, PlatformError, current, describe, named
from .platforms import known as known_platforms
from .scenario import Observation, Scenario, ScenarioError
from .version import __version__

if TYPE_CHECKING:
    from .report.measured import Run
    from .suite import Suite


class UsageError(Exception):
    """The user's own mistake: one line, exit status 2."""


def _scenarios(path: str) -> list[Scenario]:
    """The scenarios of a FILE; ``-`` is standard input."""
    name = "<stdin>" if path == "-" else path
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_TEXT + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MAX_TEXT + 1)
        return parse_file(decode(data))
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except ScenarioError as error:
        raise UsageError(f"{name}:{error.line}:{error.column}: {error.expected}") from None


def _show(observation: Observation, title: str | None) -> str:
    head = f"--- {title}\n" if title is not None else ""
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
                print(f"sockreuse: {scenario.title or arguments.file}: {error}", file=sys.stderr)
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


def _named(names: str) -> list[Platform]:
    try:
        return [named(name) for name in names.split(",")]
    except PlatformError as error:
        raise UsageError(str(error)) from None


def _predict(arguments: argparse.Namespace) -> int:
    from .model import ModelError, clauses, predict
    from .report.predictions import show, to_json

    (platform,) = _named(arguments.on)
    known = {clause.name: clause for clause in clauses(platform)}
    for scenario in _scenarios(arguments.file):
        try:
            prediction = predict(scenario, platform)
        except ModelError as error:
            raise UsageError(f"{scenario.title or arguments.file}: {error}") from None
        if arguments.json:
            print(to_json(prediction, scenario.title))
        else:
            print(f"--- {scenario.title}\n" if scenario.title else "", end="")
            print(show(prediction, known, arguments.why))
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from .model import ModelError, families, predict
    from .report.predictions import compare

    stacks = families()
    platforms = _named(arguments.on) if arguments.on else [p for p in known_platforms() if p.stack in stacks]
    for scenario in _scenarios(arguments.file):
        try:
            predictions = [(platform, predict(scenario, platform)) for platform in platforms]
        except ModelError as error:
            raise UsageError(f"{scenario.title or arguments.file}: {error}") from None
        print(f"--- {scenario.title}\n" if scenario.title else "", end="")
        print(compare(predictions))
    return 0


def _suite() -> Suite:
    from .loader import SuiteError, load

    try:
        return load()
    except SuiteError as error:
        raise UsageError(f"the conformance data is wrong:\n{error}") from None


def _audit(arguments: argparse.Namespace) -> int:
    from .expected import disagreements
    from .model import families

    stacks = families()
    platforms = _named(arguments.on) if arguments.on else [p for p in known_platforms() if p.stack in stacks]
    status = 0
    for disagreement in disagreements(_suite(), platforms):
        print(disagreement)
        status = 1
    return status


def _check(arguments: argparse.Namespace) -> int:
    from .guard import UnknownRule, tried

    try:
        trials = tried(arguments.rule)
    except UnknownRule as error:
        raise UsageError(str(error)) from None
    from .report.guards import explain, to_json

    for trial in trials:
        print(to_json(trial) if arguments.json else str(trial) if trial.honoured else explain(trial))
    answers = [trial.honoured for trial in trials]
    return 1 if False in answers else 2 if None in answers else 0


def _runs(arguments: argparse.Namespace) -> list[Run]:
    from .report.measured import runs
    from .report.results import ResultsError

    files = arguments.file or sorted((CONFORMANCE / "results").glob("*.jsonl"))
    if not files:
        raise UsageError("name the results files: only a checkout has some of its own")
    try:
        return runs(files)
    except ResultsError as error:
        raise UsageError(str(error)) from None


def _check_results(arguments: argparse.Namespace) -> int:
    from .report.measured import complaints

    suite = _suite()
    found = [complaint for run in _runs(arguments) for complaint in complaints(run, suite)]
    for complaint in found:
        print(complaint)
    return 1 if found else 0


def _apply_results(arguments: argparse.Namespace) -> int:
    from .report.measured import complaints, proposal, unshown

    suite, runs = _suite(), _runs(arguments)
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


def _explore(arguments: argparse.Namespace) -> int:
    from .explorer.draw import NeedsHypothesis
    from .explorer.fuzz import explore
    from .live.runner import Broken

    platform = _named(arguments.on)[0] if arguments.on else current()
    if arguments.exhaustive is not None:
        return _explore_all(arguments, platform)
    seed = random.randrange(2**31) if arguments.seed is None else arguments.seed
    count = arguments.count if arguments.seconds is not None or arguments.count is not None else 1000
    print(f"random scenarios against the model of {platform}, seed {seed}", flush=True)
    try:
        return 0 if explore(platform, seed, count, arguments.seconds, _say) else 1
    except (NeedsHypothesis, Broken) as error:
        raise UsageError(str(error)) from None


def _distinguish(arguments: argparse.Namespace) -> int:
    from .explorer.distinguish import distinguish

    if len(arguments.platform) < 2:
        raise UsageError("distinguish needs two platforms at least")
    distinguish([platform for name in arguments.platform for platform in _named(name)], print)
    return 0


def _resemble(arguments: argparse.Namespace) -> int:
    from .explorer.distinguish import resemble, show, to_json
    from .live.runner import Broken
    from .model import families

    newest = {platform.stack: platform for platform in known_platforms() if platform.stack in families()}
    platforms = _named(arguments.on) if arguments.on else list(newest.values())
    try:
        found = resemble(platforms)
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
        with open(arguments.file, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{arguments.file}: {error.strerror}") from None
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from .report.exchange import load
    from .report.results import ResultsError, text_of

    try:
        results = load(arguments.file, _suite())
    except ResultsError as error:
        raise UsageError(str(error)) from None
    print(text_of([results]), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sockreuse", description=sys.modules["pytest_sockreuse"].__doc__)
    parser.add_argument("--version", action="version", version=f"sockreuse {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="perform the scenarios of FILE on this machine")
    run.add_argument("file", metavar="FILE", help="a scenario file; - is standard input")
    run.add_argument("--json", action="store_true", help="print one JSON object per scenario")
    run.set_defaults(call=_run)

    predict = commands.add_parser("predict", help="say what the model of a platform does with the scenarios of FILE")
    predict.add_argument("file", metavar="FILE", help="a scenario file; - is standard input")
    predict.add_argument("--on", metavar="PLATFORM", required=True, help="such as linux-6.1.176 or macos-15")
    predict.add_argument("--json", action="store_true", help="print one JSON object per scenario")
    predict.add_argument("--why", action="store_true", help="print the sentence and source of each clause that decides")
    predict.set_defaults(call=_predict)

    compare = commands.add_parser("compare", help="show where platforms part over the scenarios of FILE")
    compare.add_argument("file", metavar="FILE", help="a scenario file; - is standard input")
    compare.add_argument("--on", metavar="A,B,…", help="these platforms (all that are modelled)")
    compare.set_defaults(call=_compare)

    audit = commands.add_parser("audit", help="find where a statement of the suite and a model disagree")
    audit.add_argument("--on", metavar="A,B,…", help="these platforms (all that are modelled)")
    audit.set_defaults(call=_audit)

    explore = commands.add_parser("explore", help="perform random scenarios here and hold them against a model")
    much = explore.add_mutually_exclusive_group()
    much.add_argument("--seconds", type=float, metavar="N", help="for N seconds")
    much.add_argument("--count", type=int, metavar="N", help="N scenarios (1000)")
    much.add_argument("--exhaustive", type=int, metavar="N", help="instead all scenarios of up to N calls")
    explore.add_argument(
        "--processes", type=int, default=os.cpu_count(), metavar="K", help="exhaustive: of K processes"
    )
    explore.add_argument("--resume", metavar="FILE", help="exhaustive: keep what is done in FILE, and go on from there")
    explore.add_argument("--family", type=int, choices=(4, 6), default=4, help="exhaustive: IPv4 or IPv6 (4)")
    explore.add_argument("--protocol", choices=("tcp", "udp"), default="tcp", help="exhaustive: tcp or udp (tcp)")
    explore.add_argument("--seed", type=int, metavar="S", help="the same scenarios again")
    explore.add_argument("--on", metavar="PLATFORM", help="the model of this platform (the one that this is)")
    explore.set_defaults(call=_explore)

    distinguish = commands.add_parser("distinguish", help="find the shortest scenarios at which platforms part")
    distinguish.add_argument("platform", nargs="+", metavar="PLATFORM", help="two or more")
    distinguish.set_defaults(call=_distinguish)

    resemble = commands.add_parser("resemble", help="say which modelled platform this OS behaves like")
    resemble.add_argument("--on", metavar="A,B,…", help="of these platforms (the newest of each that is modelled)")
    resemble.add_argument("--json", action="store_true", help="print one JSON object")
    resemble.set_defaults(call=_resemble)

    export = commands.add_parser("export", help="print the whole suite as one scenario file")
    export.add_argument("file", nargs="?", default="-", metavar="FILE", help="write it to FILE")
    export.set_defaults(call=_export)

    results = commands.add_parser("results", help="work with results files")
    works = results.add_subparsers(required=True, metavar="COMMAND")
    imported = works.add_parser("import", help="print the results file of what conformance/lab/runner.c printed")
    imported.add_argument(
        "file", nargs="+", type=Path, metavar="FILE", help="its output, for all of `sockreuse export`"
    )
    imported.set_defaults(call=_import)
    checked = works.add_parser("check", help="say whether results files are whole, and of this suite")
    checked.add_argument("file", nargs="*", type=Path, metavar="FILE", help="these (those of the suite)")
    checked.set_defaults(call=_check_results)
    applied = works.add_parser("apply", help="print, as a diff, which statements the results prove to be measured")
    applied.add_argument("file", nargs="*", type=Path, metavar="FILE", help="these (those of the suite)")
    applied.set_defaults(call=_apply_results)

    rules = commands.add_parser("rules", help="list the rules that an application may require, and where they hold")
    rules.set_defaults(call=_rules)

    check = commands.add_parser("check", help="say whether this OS honours rules (status 0; 1 if not)")
    check.add_argument("rule", nargs="+", metavar="RULE", help="an id or alias (see sockreuse rules)")
    check.add_argument("--json", action="store_true", help="print one JSON object per rule")
    check.set_defaults(call=_check)

    platform = commands.add_parser("platform", help="say which platform this is")
    platform.add_argument("--json", action="store_true", help="print one JSON object")
    platform.set_defaults(call=_platform)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 if what was asked failed, 2 if the question was wrong."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.call(parsed)
        sys.stdout.flush()
    except UsageError as error:
        print(f"sockreuse: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # our output cannot be written; or, with nothing to say about it, its reader went
        if not isinstance(error, BrokenPipeError):
            print(f"sockreuse: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
