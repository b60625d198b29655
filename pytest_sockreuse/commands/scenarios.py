"""Commands that take scenarios: performed, predicted, compared, or read out of a program's calls."""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from ..arguments import UsageError
from ..parser import MAX_LINE
from ..platforms import Platform
from ..scenario import Observation
from ..text import visible
from .shared import headline, modelled, scenarios_of


def _show(observation: Observation, title: str | None) -> str:
    head = headline(title) if title is not None else ""
    if observation.not_run is not None:
        return f"{head}not run: {observation.not_run}"
    width = max((len(step.step) for step in observation.steps), default=0)
    rows = (
        f"{step.step:<{width}}  {step.outcome}" + (f"  {step.value}" if step.value is not None else "")
        for step in observation.steps
    )
    return head + "\n".join(rows)


def run(arguments: argparse.Namespace) -> int:
    from ..live.runner import Broken, Runner

    status = 0
    scenarios = scenarios_of(arguments.file)
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


def predict(arguments: argparse.Namespace) -> int:
    from ..model import ModelError, clauses, predict
    from ..report.predictions import show, to_json

    platform: Platform = arguments.on
    why = {clause.name: clause for clause in clauses(platform)} if arguments.why else None
    for scenario in scenarios_of(arguments.file):
        try:
            prediction = predict(scenario, platform)
        except ModelError as error:
            raise UsageError(f"{scenario.title or arguments.file}: {error}") from None
        if arguments.json:
            print(to_json(prediction, scenario.title, why))
        else:
            print(headline(scenario.title) if scenario.title else "", end="")
            print(show(prediction, why))
    return 0


def compare(arguments: argparse.Namespace) -> int:
    if (arguments.first is None) != (arguments.second is None) or (arguments.file is None) == (arguments.first is None):
        raise UsageError("compare takes FILE, or --first RUNTIME and --second RUNTIME (see sockreuse compare --help)")
    return _compare_runtimes(arguments) if arguments.file is None else _compare_scenarios(arguments)


def _compare_runtimes(arguments: argparse.Namespace) -> int:
    from ..report.encounters import compare
    from ..runtimes import UnknownRuntime, named

    try:
        first, second = named(arguments.first), named(arguments.second)
    except UnknownRuntime as error:
        raise UsageError(str(error)) from None
    if first.udp != second.udp:
        tcp, udp = (second, first) if first.udp else (first, second)
        raise UsageError(f"{tcp.name} listens with TCP and {udp.name} binds UDP: their ports are not the same")
    for line in compare(first, second, arguments.on or modelled()):
        print(line)
    return 0


def _compare_scenarios(arguments: argparse.Namespace) -> int:
    from ..model import ModelError, predictions
    from ..report.predictions import compare

    platforms = arguments.on or modelled()
    width = shutil.get_terminal_size((0, 0)).columns
    for scenario in scenarios_of(arguments.file):
        try:
            found = list(zip(platforms, predictions(scenario, platforms), strict=True))
        except ModelError as error:
            raise UsageError(f"{scenario.title or arguments.file}: {error}") from None
        print(headline(scenario.title) if scenario.title else "", end="")
        print(compare(found, width))
    return 0


def trace(arguments: argparse.Namespace) -> int:
    from .. import trace

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
