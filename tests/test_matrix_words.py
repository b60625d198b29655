"""What the matrix comes to in words: ranges of versions, claims, differences, changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from merging import FAILED, IDS, RULE, file_of, result

from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix import build as building
from pytest_sockreuse.matrix.build import build
from pytest_sockreuse.matrix.claims import claims
from pytest_sockreuse.matrix.diff import alone, changes, pairs
from pytest_sockreuse.matrix.differences import differences
from pytest_sockreuse.matrix.table import Matrix
from pytest_sockreuse.matrix.words import ranges, shown
from pytest_sockreuse.suite import Suite

Merge = Callable[..., Matrix]


@pytest.fixture
def suite(conformance: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Suite:
    monkeypatch.setattr(building, "PREDICTIONS", tmp_path / "none")
    return load(conformance(sharing=RULE))


@pytest.fixture
def merge(suite: Suite, tmp_path: Path) -> Merge:
    """The matrix of made-up platforms alone, each by what it showed of the variants of the case, in their order."""

    def merge(platforms: Mapping[str, str], name: str = "") -> Matrix:
        outcomes = {"x": FAILED, ".": {}, "e": {"B.bind": "EACCES", "B.listen": "unreached"}}
        paths = []
        for platform, words in platforms.items():
            asked = [(id_, word) for id_, word in zip(IDS, words, strict=False) if word != "?"]
            shown = [result(suite, id_, outcomes[word], "unknown") for id_, word in asked]
            paths.append(file_of(tmp_path / f"{name}{platform}.jsonl", suite, platform, *shown))
        return build(paths, suite=suite, all_known=False)

    return merge


@pytest.mark.parametrize(
    ("shows", "words"),
    [
        ("xxxx", [""]),
        ("xx..", ["until 4.1", "since 4.2"]),
        ("x..x", ["until 4.0", "4.1 – 4.2", "since 4.3"]),  # noqa: RUF001
        (".x..", ["until 4.0", "4.1", "since 4.2"]),
        ("xx?x", ["4.0 – 4.1", "4.3"]),  # noqa: RUF001
        ("x?..", ["4.0", "4.2 – 4.3"]),  # noqa: RUF001
        ("?xx.", ["4.1 – 4.2", "since 4.3"]),  # noqa: RUF001
        ("???x", ["4.3"]),
    ],
)
def test_a_range_is_worded_so_that_it_cannot_be_read_backwards_and_never_goes_over_a_gap(
    merge: Merge, shows: str, words: list[str]
) -> None:
    matrix = merge({f"plan9-4.{minor}.7": word + "." for minor, word in enumerate(shows)})
    assert [one.words for one in ranges(matrix, 0, matrix.families["plan9"])] == words


def test_a_line_that_changed_within_is_named_in_full(merge: Merge) -> None:
    matrix = merge({"plan9-4.1.7": "x", "plan9-4.2.1": "x", "plan9-4.2.9": ".", "plan9-4.10.1": "."})
    words = [one.words for one in ranges(matrix, 0, matrix.families["plan9"])]
    assert words == ["until 4.2.1", "since 4.2.9"]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (("ok", "ok"), "ok"),
        (("127.0.0.1:P", "EADDRINUSE"), "B.bind EADDRINUSE"),
        (("ok", "ok|EACCES"), "B.bind ok or EACCES"),
        (("ok", "?"), "?"),
        (("timeout", "unreached"), "A.bind timeout"),
    ],
)
def test_the_first_step_that_does_not_just_succeed_is_shown(outcome: tuple[str, str], text: str) -> None:
    assert shown(("A.bind", "B.bind"), outcome) == text


def test_a_claim_holds_is_refuted_or_depends_and_a_variant_shows_it(merge: Merge) -> None:
    matrix = merge({"plan9-1": "xxxx", "plan9-2": "....", "plan9-3": "xx.x", "plan9-4": "?x"})
    held = claims(matrix)["X-1"]
    found = [(one.word, IDS[one.row], one.tried, one.against) for one in held if one is not None]
    assert found == [
        ("holds", IDS[0], 4, 0),
        ("refuted", IDS[0], 4, 4),
        ("depends", IDS[2], 4, 1),
        ("holds", IDS[1], 1, 0),
    ]


def test_the_differences_are_told_in_plain_words(merge: Merge) -> None:
    matrix = merge({"plan9-4.0": "xxxx", "plan9-4.1": "x...", "inferno-1": "xxex", "minix-3": ".x.."})
    found = differences(matrix, 10)
    assert [IDS[one.row] for one in found] == [IDS[0]]
    assert found[0].text == (
        "A port that is taken: on inferno and plan9 B.bind fails with EADDRINUSE; on minix every call succeeds. "
        "A server that is started twice must notice."
    )
    assert not differences(merge({"plan9-4.0": "xxxx", "minix-3": "xxxx"}, "same"), 10)


def test_a_change_is_one_of_canonical_outcome_alone(merge: Merge) -> None:
    old, new = merge({"plan9-4": "xx..", "minix-3": "x"}, "old"), merge({"plan9-4": "x.e?", "hurd-1": "x"}, "new")
    (pair,) = pairs(old, new)
    assert changes(old, new, pair) == [
        "sharing/taken[ip4-ra]: B.bind EADDRINUSE -> ok",
        "sharing/taken[ip6-none]: B.bind ok -> EACCES",
    ]
    assert list(alone(old, new)) == ["only in the old: minix 3", "only in the new: hurd 1"]
    assert not changes(old, old, (0, 0))


def test_two_versions_of_one_system_are_compared(merge: Merge) -> None:
    old, new = merge({"plan9-4.1": "xxxx"}, "old"), merge({"plan9-4.2": "...."}, "new")
    assert changes(old, new, *pairs(old, new)) == ["sharing/taken[{ip4,ip6}-{none,ra}]: B.bind EADDRINUSE -> ok"]
