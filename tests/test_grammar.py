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
    (3, "1900"),
    (1, "5617 1973 5844"),
    (1, "49 168 242 538 1014 3217"),
    (5, "11 35 160 249 343 350 424 758 850 1774 2446 3405"),
    (
        5,
        """24 25 53 64 85 112 143 152 155 167 186 227 298 311 337 351 360 377 388 406 458 462 467 494 507 525 646
    671 691 697 720 750 797 816 872 977 989 1089 1135 1163 1194 1216 1333 1602 1647 1669 1768 2011 2223 2416
    2511 3155 3312 3486 4408 4409 5861 6928 9071 10025""",
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
