"""Attack the commands and hold them to the promises of `SECURITY.md`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

if sys.platform == "win32":
    raise SystemExit("attacks are made on POSIX")

import targets
from attacks import groups
from promises import Attack, judged


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all attacks, in random order; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of moments, mutants and order (1)")
    parser.add_argument("--group", nargs="+", metavar="G", help=f"of {', '.join([*groups(1), *targets.TARGETS])} (all)")
    parser.add_argument("--mutants", type=int, default=2000, metavar="N", help="of each kind of file (2000)")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    attacks: dict[str, Iterable[Attack]] = {**groups(options.seed)}
    attacks |= {name: mutants(name, options.seed, options.mutants) for name in targets.TARGETS}
    todo = [(name, attack) for name in options.group or attacks for attack in attacks[name]]
    Random(options.seed).shuffle(todo)
    made, broken, took = Counter[str](), Counter[str](), dict.fromkeys(attacks, 0.0)
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:  # some only wait
        for (name, attack), (why, seconds) in zip(todo, pool.map(_judged, todo), strict=True):
            for line in why:
                print(f"{name}: {attack.name}: {line}", flush=True)
            made[name] += 1
            broken[name] += bool(why)
            took[name] += seconds
    for name in sorted(made):
        print(f"{name:<10} {made[name]:>4} attacks {broken[name]:>4} findings {took[name]:>4.0f} s of processor time")
    whole = f"{time.monotonic() - start:.0f} s, {sum(os.times()[:4]):.0f} s of processor time with ours"
    print(f"{len(todo)} attacks, seed {options.seed}: {broken.total()} findings; {whole}")
    return 1 if broken.total() else 0


def mutants(name: str, seed: int, count: int, most: int = 250) -> Iterator[Attack]:
    """What a target is given: what is odd, and `count` mutants of its files, as commands of at most so many each."""
    yield Attack("odd", ["python", targets.__file__, name, "--odd"], status=(0,))
    for number in range(0, count, most):
        words = [name, "--seed", str(seed + number), "--count", str(min(most, count - number))]
        yield Attack(f"mutants from seed {seed + number}", ["python", targets.__file__, *words], status=(0,))


def _judged(named: tuple[str, Attack]) -> tuple[list[str], float]:
    return judged(named[1])


if __name__ == "__main__":
    sys.exit(main())
