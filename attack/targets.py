"""What reads strangers' files, as functions of some bytes that raise AssertionError where a promise breaks.

They are driven by mutants of a seed, for as long as you like (python attack/targets.py TARGET --seconds N), by Atheris
(python attack/targets.py TARGET --atheris, and its own arguments), and in the tests by hypothesis.
"""

from __future__ import annotations

import argparse
import atexit
import io
import itertools
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import NoReturn

from given import odd_results, text_of
from mutants import mutant

import pytest_sockreuse
from pytest_sockreuse import trace
from pytest_sockreuse.data import LONGEST, MAX_COMPLAINTS, DataError
from pytest_sockreuse.live.worker import Alarm, heed_alarms
from pytest_sockreuse.loader import load
from pytest_sockreuse.model import ModelError, predict
from pytest_sockreuse.parser import decode, parse_file
from pytest_sockreuse.platforms import named
from pytest_sockreuse.recorder.strace import LogError
from pytest_sockreuse.report import exchange, results
from pytest_sockreuse.report.results import ResultsError
from pytest_sockreuse.scenario import Observation, ScenarioError, StepOutcome
from pytest_sockreuse.suite import Suite

ROOT = Path(__file__).parents[1]
CONFORMANCE = Path(pytest_sockreuse.__file__).parent / "conformance"
LINUX = named("linux-6.18")
SECONDS = 10  # of one mutant
_WHERE: dict[type, str] = {
    ScenarioError: r"[1-9]\d*:[1-9]\d*: .",
    DataError: r"[a-z-]+\.toml(:[1-9]\d*)*: .",
    ResultsError: r".*results\.jsonl(:[1-9]\d*)?: .",
}
_RULES = ("addresses", "option-values")


def refused(error: Exception) -> None:
    """A refusal is for a terminal: each line is printable, they are few, none is long; and it says where."""
    lines = str(error).split("\n")
    assert all(line.isprintable() and len(line) <= 10 * LONGEST for line in lines), ascii(str(error)[:2000])
    assert len(lines) <= MAX_COMPLAINTS + 1, lines
    assert re.match(_WHERE.get(type(error), "."), lines[0]), lines


def scenario(data: bytes) -> None:
    """A scenario file is refused with line and column, or read; then what it says can be read again, and predicted."""
    try:
        found = parse_file(decode(data))
    except ScenarioError as error:
        refused(error)
        return
    again = parse_file("".join(map(str, found)))
    assert [(each.environment, each.lines) for each in again] == [(each.environment, each.lines) for each in found]
    for each in found[:5]:
        try:
            predict(each, LINUX)
        except ModelError as error:
            refused(error)


def suite(data: bytes) -> None:
    """The suite with another rule file, or another file beside the rules, is read or refused by file and line."""
    root = _copy()
    name, _, text = data.partition(b"\n")
    path = root / next((file for file in SUITE if name == file.encode()), SUITE[0])
    before = path.read_bytes()
    path.write_bytes(text)
    try:
        load(root, _RULES)
    except DataError as error:
        refused(error)
    finally:
        path.write_bytes(before)


def reader(data: bytes) -> None:
    """A results file, or a runner's answers, is refused by file and line; or read, and the same when written again."""
    path = _copy() / "results.jsonl"
    path.write_bytes(data)
    try:
        exchange.load([path], _suite())
    except ResultsError as error:
        refused(error)
    try:
        found = results.read(path, _suite())
    except ResultsError as error:
        refused(error)
        return
    results.write(path, found, _suite())
    again = results.read(path, _suite())
    assert [each.results for each in again] == [each.results for each in found]


@dataclass(frozen=True, slots=True)
class Target:
    """A reader, the files that its mutants are made of, and odd ones that it is given as they are."""

    read: Callable[[bytes], None]
    originals: Callable[[], list[bytes]]
    odd: Callable[[], Iterable[bytes]] = tuple


@cache
def _scenarios() -> list[bytes]:
    shipped = [*ROOT.glob("examples/*.scenario"), *ROOT.glob("benchmarks/*.scenario")]
    return [*(path.read_bytes() for path in shipped), "".join(exchange.export(_suite())).encode()]


def log(data: bytes) -> None:
    """A log of strace is understood, and what it shows is compared, or it is refused by the number of a line."""
    try:
        heard = trace.heard(line.decode("utf-8", "replace") for line in io.BytesIO(data))
        for line in trace.show(trace.understand(heard), [named("windows-11")]):
            assert len(line) < 100_000
    except (LogError, trace.TraceError):
        return


def _logs() -> list[bytes]:
    return [(ROOT / "attack" / "server.log").read_bytes()]


@cache
def _data() -> list[bytes]:
    return [f"{name}\n".encode() + (CONFORMANCE / name).read_bytes() for name in SUITE]


@cache
def _results() -> list[bytes]:
    """Results of these rules, in both forms, and the answers of a runner to which all is well."""
    variants = _suite().variants
    found = [results.Result(v.id, v.content, "unknown", {}) for v in variants]
    about = {"platform": "linux-6.18", "suite": _suite().version, "selected": len(found)}
    text = results.text_of([results.Results(about, {each.id: each for each in found})], _suite())
    lines = [{"sockreuse": 1, **about}, *(each.to_json() for each in found), {"footer": True, "results": len(found)}]
    old = "".join(json.dumps(line) + "\n" for line in lines)
    values = {"name": "127.0.0.1:40000", "get": "1"}
    steps = [[step for step in v.scenario.steps if step.label] for v in variants]
    seen = [tuple(StepOutcome(step.label, "ok", values.get(step.verb)) for step in each) for each in steps]
    answers = (Observation("linux-6.18", each).to_json(v.id) for v, each in zip(variants, seen, strict=True))
    return [each.encode() for each in (text, old, "".join(json.dumps(answer) + "\n" for answer in answers))]


SUITE = (*(f"rules/{rule}.toml" for rule in _RULES), "axes.toml", "claims.toml", "evidence.toml", "guards.toml")
TARGETS = {
    "scenario": Target(scenario, _scenarios),
    "suite": Target(suite, _data),
    "reader": Target(reader, _results, lambda: (text_of(entries) for _, _, entries in odd_results())),
    "log": Target(log, _logs),
}


@cache
def _copy() -> Path:
    """A directory of this process with a copy of the data."""
    place = tempfile.TemporaryDirectory()
    atexit.register(place.cleanup)
    root = Path(place.name) / "conformance"
    shutil.copytree(CONFORMANCE, root, ignore=shutil.ignore_patterns("results", "lab"))
    return root


@cache
def _suite() -> Suite:
    return load(rules=_RULES)


# --- drivers ----------------------------------------------------------------------------------------------------------


def tried(target: Target, data: bytes) -> str:
    """What is wrong with a reader, shown by some bytes; nothing where all is well."""
    try:
        with Alarm(SECONDS, sys.exit):
            target.read(data)
    except Exception as error:
        return f"{type(error).__name__}: {ascii(error)[:1000]}\n{data[:3000]!a}"
    return ""


def _mutant(target: Target, seed: int) -> bytes:
    chance = Random(seed)
    return mutant(chance, chance.choice(target.originals()))


def main() -> int:
    """Drive a target; 1 if it broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--odd", action="store_true", help="what is odd as it is, not mutants")
    parser.add_argument("--atheris", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    target = TARGETS[options.target]
    if options.atheris is not None:
        _atheris(target, options.atheris)
    heed_alarms()
    start, found = time.monotonic(), 0
    seeds = itertools.islice(itertools.count(options.seed), options.count)
    mutants = ((f"seed {seed}", _mutant(target, seed)) for seed in seeds)
    for name, data in (("odd", data) for data in target.odd()) if options.odd else mutants:
        if not options.odd and options.count is None and time.monotonic() - start > options.seconds:
            break
        if why := tried(target, data):
            print(f"{name}: {why}", flush=True)
            found = 1
    return found


def _atheris(target: Target, arguments: list[str]) -> NoReturn:
    """Hand a target to Atheris, with its files to begin with."""
    import atheris  # type: ignore[import-untyped]  # of the dependency group `fuzz`

    corpus = _copy().parent / "corpus"
    corpus.mkdir()
    for number, original in enumerate(target.originals()):
        (corpus / str(number)).write_bytes(original)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], target.read)
    atheris.Fuzz()
    raise AssertionError("it ends the process itself")


if __name__ == "__main__":
    sys.exit(main())
