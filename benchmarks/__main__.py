"""Measure, print and keep ratios; or, as the gate does, hold the short ones against the table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping

from . import bulk, kernel, models, recording, shell, table
from .drawn import page
from .kernel import Unmeasured
from .lab import lab
from .ratio import Ratio

Measure = Callable[[], Ratio]

#: What takes a second or two.
SHORT: dict[str, Measure] = {
    "version": shell.version,
    "check": shell.check,
    "unused": shell.unused,
    "rule": shell.rule,
    "bind": models.bind,
    "connection": models.connection,
    "call": recording.call,
    "report": recording.report,
    "alone": kernel.alone,
}
LONG: dict[str, Measure] = {
    "collect": shell.collect,
    "suite": shell.suite,
    "platforms": models.platforms,
    "audit": models.audit,
    "performed": kernel.performed,
    "exported": kernel.exported,
    "explore": bulk.explore,
    "merge": bulk.merge,
}
#: What is told in words, when it is asked for: no ratio says it.
TOLD = {"page": page, "lab": lab}
_TRIES = 3  # before a ratio counts as bad: a machine that does other things too has its moments


def _measured(names: Iterable[str]) -> Iterator[tuple[str, Ratio]]:
    """Each that can be measured here, printed as it comes."""
    print(f"{'':10} {'ratio':>7}  processor time, of what, to what", flush=True)
    for name in names:
        measure = (SHORT | LONG)[name]
        try:
            ratio = measure()
        except Unmeasured as why:
            print(f"{name:10} {'':>7}  {measure.__doc__}: not measured, {why}", flush=True)
        else:
            print(f"{name:10} {ratio.value:7.2f}  {_seconds(ratio.ours)} a {ratio.what}: {measure.__doc__}", flush=True)
            yield name, ratio


def _seconds(seconds: float) -> str:
    scale, unit = next((by, unit) for by, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if seconds * by >= 1 or by > 1e3)
    return f"{seconds * scale:.3g} {unit}"


def twice_as_bad(measures: Mapping[str, Measure], places: list[table.Place]) -> Iterator[str]:
    """Each whose ratio is more than twice the worst of the table, or is not in it, in words."""
    for name, measure in measures.items():
        worst = table.worst(name, places)
        if worst is None:
            yield f"{name} is not in the table: python -m benchmarks --keep {name}"
            continue
        try:
            found: list[float] = []
            while not found or (found[-1] > 2 * worst and len(found) < _TRIES):
                found.append(measure().value)
        except Unmeasured:
            continue
        if min(found) > 2 * worst:
            yield f"{name}, {measure.__doc__}: {min(found):.2f}, where {worst:.2f} was measured"


def main() -> int:
    """1 if the gate finds a ratio twice as bad."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write what is found into benchmarks/measured.toml")
    parser.add_argument(
        "--gate", action="store_true", help="fail where a short one is twice as bad as the table's worst"
    )
    parser.add_argument(
        "name", nargs="*", metavar="NAME", help=f"of {', '.join([*SHORT, *LONG])} (all), {', '.join(TOLD)}"
    )
    options = parser.parse_args()
    if wrong := [name for name in options.name if name not in SHORT | LONG | TOLD]:
        parser.error(f"no measure {wrong[0]!r}")
    if options.gate:
        bad = list(twice_as_bad(SHORT, table.read()))
        print("\n".join(bad or [f"{len(SHORT)} ratios, none twice as bad as in the table"]))
        return 1 if bad else 0
    found = dict(_measured(name for name in options.name or SHORT | LONG if name not in TOLD))
    for name in TOLD.keys() & set(options.name):
        print(f"{TOLD[name].__doc__}: {TOLD[name]()}")
    if options.keep:
        table.keep(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
