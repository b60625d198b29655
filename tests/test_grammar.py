"""What exploring can find: without any one clause of Linux some scenario that is drawn would be predicted otherwise."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict

import pytest

from pytest_sockreuse.explorer import scenes
from pytest_sockreuse.explorer.draw import texts
from pytest_sockreuse.model import families, predict, predict_asking
from pytest_sockreuse.parser import parse
from pytest_sockreuse.pins import said, versions
from pytest_sockreuse.platforms import Platform

SEEDS, MOST = (5, 1), 12_000  # scenarios of each seed for one version
BEYOND = {"time-wait-ends"}  # after a minute; what is drawn waits for 1.8 s at most


def _by_version() -> dict[Platform, set[str]]:
    """The clauses of Linux by the newest version that has them."""
    linux, found = families()["linux"], defaultdict[Platform, set[str]](set)
    for clause in linux.BOOK.clauses.values():
        holds = (p for p in versions("linux") if p.version in clause.span and not linux.covers(p))
        found[next(holds)].add(clause.name)
    return found


def _missed(platform: Platform, names: set[str]) -> set[str]:
    """Those of the clauses whose absence no scenario shows."""
    left = set(names)
    for text in itertools.chain.from_iterable(itertools.islice(texts(seed, True, "linux"), MOST) for seed in SEEDS):
        if not left:
            break
        scenario = parse(text)
        plain, asked = predict_asking(scenario, platform)
        left -= {name for name in asked & left if said(predict(scenario, platform, inverted={name})) != said(plain)}
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
    assert scenes.PLOTS.keys() - {""} <= families().keys()
