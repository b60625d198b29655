"""What exploring can find: without any one clause of Linux some scenario that is drawn would be predicted otherwise."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from random import Random

import pytest

from pytest_sockreuse.explorer import plots
from pytest_sockreuse.explorer.draw import texts
from pytest_sockreuse.explorer.grammar import SIZE, scenario_text
from pytest_sockreuse.model import Prediction, families, predict, predict_asking
from pytest_sockreuse.parser import parse
from pytest_sockreuse.pins import said, versions
from pytest_sockreuse.platforms import Platform
from pytest_sockreuse.scenario import Scenario

SEEDS, MOST = (5, 1, 3), 12_000  # scenarios of each seed for one version
#: By seed, places that find every clause, first those of versions before the newest. If the grammar changes, others do.
PLACES = [
    (1, "7386"),
    (5, "29 63 127 249 300 691 758 956 1426 3632 3684 4152 4706 7084"),
    (
        5,
        """6 14 15 18 19 34 50 51 56 58 64 74 85 96 186 191 204 209 240 264 321 322 325 364 382 383 446 513 568 576 630
    711 737 745 794 879 917 939 944 1152 1236 1280 1359 1407 1450 1627 1765 1825 2043 2046 2066 2090 2125 2455
    2584 4044 4441 5008 5194 7316 8823 8964 9337""",
    ),
]
BEYOND = {"time-wait-ends"}  # after a minute; what is drawn waits for 1.8 s at most


def _by_version() -> dict[Platform, set[str]]:
    """The clauses of Linux by the newest version that has them."""
    linux, found = families()["linux"], defaultdict[Platform, set[str]](set)
    for clause in linux.BOOK.clauses.values():
        holds = (p for p in versions("linux") if p.version in clause.span and not linux.covers(p))
        found[next(holds)].add(clause.name)
    return found


def _drawn(seed: int, places: Iterable[int] = range(MOST)) -> Iterator[str]:
    """What a seed draws at these places."""
    chance = Random(seed)
    data = [chance.randbytes(SIZE) for _ in range(MOST)]
    for at in places:
        yield scenario_text(data[at], True, "linux")


def _shows(names: set[str], scenario: Scenario, platform: Platform, plain: Prediction) -> bool:
    """Whether a scenario is predicted otherwise with these clauses inverted."""
    return bool(names) and said(predict(scenario, platform, inverted=names)) != said(plain)


def _missed(platform: Platform, names: set[str]) -> set[str]:
    """Those of the clauses whose absence no scenario shows."""
    left = set(names)
    first = (_drawn(seed, map(int, places.split())) for seed, places in PLACES)
    for text in itertools.chain.from_iterable((*first, *map(_drawn, SEEDS))):
        if not left:
            break
        scenario = parse(text)
        plain, asked = predict_asking(scenario, platform)
        if _shows(asked & left, scenario, platform, plain):  # all at once, which most scenarios do not
            left -= {name for name in asked & left if _shows({name}, scenario, platform, plain)}
    return left


@pytest.mark.slow
def test_the_grammar_reaches_every_clause_of_linux() -> None:
    missed = {name for platform, names in _by_version().items() for name in _missed(platform, names - BEYOND)}
    assert not missed


def test_what_scenes_are_written_in_is_all_replaced() -> None:
    for stack in ("linux", "freebsd", "gvisor"):
        for text in itertools.islice(texts(SEEDS[0], False, stack), 500):
            assert not re.search(r"[<>$|{}]| as user", text)
            assert parse(text).steps


def test_every_plot_is_of_a_known_system() -> None:
    assert plots.PLOTS.keys() - {""} <= families().keys()
