"""One leg on the machine that it is for: ``python leg.py NAME DIRECTORY`` leaves DIRECTORY/NAME.jsonl, however it ends.

In a virtual machine the suite is performed by `machine.sh`: before it ``--prepare`` writes the suite to DIRECTORY,
after it ``--returned`` takes in what came of it there. The exit status is that of what was performed.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from legs import Leg, begin, named, today

from pytest_sockreuse.loader import load
from pytest_sockreuse.report import exchange
from pytest_sockreuse.report.results import ResultsError, read, write
from pytest_sockreuse.suite import Suite
from pytest_sockreuse.text import visible
from pytest_sockreuse.verdict import FAILURES

SOURCE = Path(__file__).parents[2]


def is_begun(path: Path) -> bool:
    """Whether a file is still what `legs.begin` wrote."""
    return not path.exists() or b'"ended": ' in path.read_bytes().partition(b"\n")[0]


def told(command: Sequence[str | Path], output: Path | None = None, source: Path | None = None) -> tuple[int, str]:
    """Run a command, show what it says as it says it; its exit status and its last words."""
    last = ""
    with open(source or os.devnull, "rb") as given, open(output or os.devnull, "wb") as answers:
        out, err = (answers, subprocess.PIPE) if output else (subprocess.PIPE, subprocess.STDOUT)
        with subprocess.Popen([*map(str, command)], stdin=given, stdout=out, stderr=err) as process:
            for line in process.stderr or process.stdout or ():
                text = line.decode(errors="replace").rstrip()
                print(text, flush=True)
                last = text or last
    return process.returncode, visible(last, 300)


def _as_root(*command: str | Path) -> list[str | Path]:
    return [*(["sudo"] if shutil.which("sudo") else []), *command]


def perform(leg: Leg, directory: Path, suite: Suite) -> tuple[int, str]:
    """Have the suite performed here; its status and last words."""
    report = directory / f"{leg.name}.jsonl"
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--sockreuse-only"]
    pytest.append(f"--sockreuse={','.join(suite.rules)}")
    if leg.by in ("pytest", "root"):
        command: list[str | Path] = [*pytest, "--sockreuse-report", report]
        return told(_as_root(*command) if leg.by == "root" else command)
    if leg.by == "lab":
        lab = SOURCE / "conformance" / "lab" / "run.py"
        options: list[str | Path] = ["--explore", "0"]  # what is drawn is no part of the suite
        options += ["--into", directory, "--work", directory / "lab"]
        return told(_as_root(sys.executable, lab, leg.label, *options))
    prepare(directory, suite)
    program = directory / ("runner.exe" if os.name == "nt" else "runner")
    status, last = told(compiler(program))
    if status:
        return status, last
    runner: list[str | Path] = [program, *(["-m"] if leg.by == "machine" else [])]
    command = runner if os.name == "nt" else _as_root(*runner)
    status, last = told(command, directory / "answers.jsonl", directory / "suite.scenario")
    own, words = imported(leg, directory, suite)
    return (status, last) if status else (own, words)


def compiler(program: Path) -> list[str | Path]:
    """The command that makes the runner here."""
    libraries = ["-lws2_32", "-liphlpapi"] if os.name == "nt" else []
    cc = next(filter(shutil.which, ("cc", "gcc", "clang")), "cc")
    return [cc, "-std=c99", "-O2", "-o", program, SOURCE / "conformance" / "lab" / "runner.c", *libraries]


def prepare(directory: Path, suite: Suite) -> None:
    with open(directory / "suite.scenario", "w", encoding="utf-8", newline="\n") as file:
        file.writelines(exchange.export(suite))


def returned(leg: Leg, directory: Path, suite: Suite) -> tuple[int, str]:
    """What a virtual machine left; of pytest the results themselves, and its status was that of the step."""
    return (0, "no results came back") if leg.by == "pytest" else imported(leg, directory, suite)


def imported(leg: Leg, directory: Path, suite: Suite) -> tuple[int, str]:
    """Results of what a runner answered, truncated ones of too few answers; the status that pytest would have had."""
    answers = directory / "answers.jsonl"
    data = answers.read_bytes() if answers.exists() else b""
    whole = directory / "whole.jsonl"
    whole.write_bytes(data[: data.rfind(b"\n") + 1])  # the last line of a machine that died may be half a line
    if not whole.stat().st_size:
        return 1, "the machine gave no answer"
    results = exchange.load([whole], suite, ())
    write(directory / f"{leg.name}.jsonl", [results], suite)
    failed = sum(result.verdict in FAILURES for result in results.results.values())
    last = f"{len(results.results)} of {len(suite.variants)} answered, {failed} not as expected"
    print(last, flush=True)
    return int(bool(failed) or not results.complete), last


def stamp(path: Path, leg: Leg, suite: Suite) -> None:
    """Say in the header of whole results where and on which day they were taken."""
    try:
        found = read(path, suite)
    except ResultsError:
        return
    for results in found:
        results.about |= {"leg": leg.name, "date": today().isoformat()}
    write(path, found, suite)


def main(arguments: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console of Windows lacks some of what pytest prints
    parser = argparse.ArgumentParser("leg", description="Perform one leg of the weekly run.")
    parser.add_argument("name")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--returned", action="store_true")
    parser.add_argument("--rules", default="all", metavar="RULE,…", help="these rules of the suite only, to try it out")
    asked = parser.parse_args(arguments)
    try:
        leg = named(asked.name)
    except LookupError as error:
        parser.error(str(error))
    directory = asked.directory.resolve()
    suite = load(rules=None if asked.rules == "all" else asked.rules.split(","), check=False)
    report = directory / f"{leg.name}.jsonl"
    if not report.exists():
        begin(report, leg)
    if asked.prepare:
        prepare(directory, suite)
        return 0
    try:
        status, last = (returned if asked.returned else perform)(leg, directory, suite)
    except ResultsError as error:
        status, last = 1, str(error)
        print(last, file=sys.stderr)
    if is_begun(report):
        begin(report, leg, f"with status {status}: {visible(last, 500)}")
        return status or 1
    stamp(report, leg, suite)
    return status


if __name__ == "__main__":
    sys.exit(main())
