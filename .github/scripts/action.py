"""What `action.yml` runs in another project's job: ``action.py suite|guards|recorder``.

RULES, TARGETS and ARGUMENTS of the environment say more. What is printed is shown as it comes; its end is the job's
summary, the results file an output of the step. The exit status is pytest's, or that of ``sockreuse check``.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

MOST = 900_000  # bytes of the summary: one just under the service's 1 MiB is dropped without a word
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_HEADING = re.compile(r"=+ sockreuse\b")


class Wrong(ValueError):
    """The inputs cannot be followed; the message says how to mend them."""


def command(run: str, given: Mapping[str, str]) -> tuple[list[str], Path]:
    """The command of one kind of run, and its results file. Raises Wrong."""
    rules, targets = given.get("RULES", "").strip(), given.get("TARGETS", "").strip()
    try:
        arguments = shlex.split(given.get("ARGUMENTS", ""))
    except ValueError as error:
        raise Wrong(f"arguments: {error}") from None
    pytest = [sys.executable, "-m", "pytest"]
    if run == "suite":
        results = Path("sockreuse-results.jsonl")
        rest = ["--sockreuse-only", "--sockreuse-report", str(results), *arguments]
        return [*pytest, f"--sockreuse={rules or 'all'}", *rest], results
    if run == "guards":
        if not rules:
            raise Wrong("rules: name those that your application requires (sockreuse rules lists them)")
        return [sys.executable, "-m", "pytest_sockreuse.cli", "check", *rules.split()], Path("sockreuse-guards.jsonl")
    if run == "recorder":
        results = Path("sockreuse-recorder.xml")
        return [*pytest, f"--sockreuse-record={targets}", f"--junitxml={results}", *arguments], results
    raise Wrong(f"run: {run!r} is none of suite, guards and recorder")


def told(words: list[str]) -> tuple[int, list[str]]:
    """Run a command and show its output; its status, and the lines without colours."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console of Windows lacks some of what pytest prints
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env) as process:
        assert process.stdout is not None
        lines = []
        for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            print(line, flush=True)
            lines.append("".join(letter for letter in _COLOUR.sub("", line) if letter.isprintable()))
    return process.returncode, lines


def summary(run: str, status: int, lines: list[str]) -> str:
    """What came of it: our part of the output, or all of it where we have none, fenced so that nothing leaves it."""
    start = next((number for number, line in enumerate(lines) if _HEADING.match(line)), 0)
    text = "\n".join(lines[start:]).encode()[-MOST:].decode(errors="ignore")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`{3,}", text))])
    how = "passed" if status == 0 else f"exit status {status}"
    return f"## sockreuse {run}: {how}\n\n{fence}text\n{text}\n{fence}\n"


def _append(variable: str, text: str) -> None:
    if os.environ.get(variable):
        with open(os.environ[variable], "a", encoding="utf-8") as file:
            file.write(text)


def main(run: str) -> int:
    try:
        words, results = command(run, os.environ)
    except Wrong as error:
        print(f"sockreuse: {error}", file=sys.stderr)
        return 2
    results.unlink(missing_ok=True)
    status, lines = told(words)
    if run == "guards":
        again = subprocess.run([*words, "--json"], stdout=subprocess.PIPE, check=False)
        results.write_bytes(again.stdout)
    _append("GITHUB_STEP_SUMMARY", summary(run, status, lines))
    if results.exists() and results.stat().st_size:
        _append("GITHUB_OUTPUT", f"results={results}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
