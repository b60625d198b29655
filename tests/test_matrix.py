"""Results and models merged: which answer counts, how it is known, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merging import FAILED, IDS, RULE, cell, file_of, result

from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix import build as building
from pytest_sockreuse.matrix.build import MergeError, build
from pytest_sockreuse.matrix.shape import has_room
from pytest_sockreuse.matrix.table import Seen
from pytest_sockreuse.suite import Suite


@pytest.fixture
def suite(conformance: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Suite:
    monkeypatch.setattr(building, "PREDICTIONS", tmp_path / "none")
    return load(conformance(sharing=RULE))


def test_a_run_of_this_version_is_told_from_what_is_stated_and_what_is_modelled(suite: Suite, tmp_path: Path) -> None:
    matrix = build([file_of(tmp_path / "a.jsonl", suite, "linux-6.18.44", result(suite, IDS[0], FAILED))], suite=suite)
    assert cell(matrix, "linux-6.18.44", IDS[0]).basis == "run"
    assert cell(matrix, "linux-6.18.44", IDS[2]).basis == "measured"
    assert cell(matrix, "linux-6.18.44", IDS[1]).basis == "model"
    assert cell(matrix, "linux-6.17.13", IDS[0]).basis == "measured"
    assert cell(matrix, "wsl1-4.4.0", IDS[0]).basis == "unknown"
    outcomes = {cell(matrix, f"linux-{version}", IDS[0]).outcome for version in ("6.18.44", "6.17.13")}
    assert outcomes == {("ok", "ok", "ok", "EADDRINUSE", "unreached")}


def test_what_departs_from_what_was_known_is_the_outcome_and_says_so(suite: Suite, tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.jsonl", suite, "linux-6.18.44", result(suite, IDS[0], {}, "mismatch"))
    found = cell(build([path], suite=suite), "linux-6.18.44", IDS[0])
    assert (found.outcome[3], found.expected[3], found.seen[0].state) == ("ok", "EADDRINUSE", "differs")


def test_a_system_that_nobody_has_modelled_has_what_its_run_showed(suite: Suite, tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.jsonl", suite, "plan9-4.2", result(suite, IDS[0], FAILED, "unknown"))
    matrix = build([path], suite=suite)
    assert matrix.columns[-1].title == "plan9 4.2"
    assert cell(matrix, "plan9-4.2", IDS[0]).outcome[3:] == ("EADDRINUSE", "unreached")
    assert cell(matrix, "plan9-4.2", IDS[1]).basis == "missing"


def test_a_port_that_the_system_chose_is_no_part_of_the_canonical_outcome(
    conformance: Callable[..., Path], suite: Suite, tmp_path: Path
) -> None:
    rule = RULE.replace("B.bind({lo}:P)", "B.bind({lo}:0)\nB.name()").partition("  [[case.expect]]")[0]
    suite = load(conformance(sharing=rule))
    shown = result(suite, IDS[0], {"B.name": "127.0.0.1:40003"}, "unknown")
    found = cell(build([file_of(tmp_path / "a.jsonl", suite, "plan9-4", shown)], suite=suite), "plan9-4", IDS[0])
    assert found.outcome[4] == "127.0.0.1:*"
    assert found.seen[0].outcome[4] == "127.0.0.1:40003"


# --- two runs of one platform -----------------------------------------------------------------------------------------


def test_of_two_runs_the_one_that_was_asked_wins(suite: Suite, tmp_path: Path) -> None:
    user = file_of(
        tmp_path / "user.jsonl", suite, "plan9-4", result(suite, IDS[0], {}, "unsupported", "needs root"),
        result(suite, IDS[1], {}, "unknown"),
    )  # fmt: skip
    root = file_of(tmp_path / "root.jsonl", suite, "plan9-4", result(suite, IDS[0], FAILED, "unknown"))
    found = cell(build([user, root], suite=suite), "plan9-4", IDS[0])
    assert (found.basis, found.outcome[3], found.disputed) == ("run", "EADDRINUSE", False)
    assert found.seen == (Seen("unsupported", (), "needs root"), Seen("recorded", found.outcome))


@pytest.mark.parametrize("platform", ["plan9-4", "linux-6.18.44"])
def test_two_runs_that_were_asked_and_differ_are_shown_as_differing(
    suite: Suite, tmp_path: Path, platform: str
) -> None:
    paths = [
        file_of(tmp_path / f"{name}.jsonl", suite, platform, result(suite, IDS[0], outcome, "unknown"), isolation=name)
        for name, outcome in {"root": {}, "user": FAILED}.items()
    ]
    found = cell(build(paths, suite=suite), platform, IDS[0])
    assert found.disputed
    assert found.outcome[3:] == ("ok|EADDRINUSE", "ok|unreached")


# --- what is refused --------------------------------------------------------------------------------------------------


def test_an_older_file_counts_for_the_scenarios_that_are_still_asked(suite: Suite, tmp_path: Path) -> None:
    shown = [result(suite, IDS[0], FAILED, "unknown"), result(suite, IDS[1], {}, "unknown")]
    path = file_of(tmp_path / "old.jsonl", suite, "plan9-4", *shown)
    text = path.read_text().replace(suite.version, "0123456789ab")
    path.write_text(text.replace(suite.by_id[IDS[1]].content, "ba9876543210"))
    matrix = build([path], suite=suite)
    (run,) = matrix.columns[-1].runs
    assert (run.suite, run.asked, run.stale, run.missing) == ("0123456789ab", 1, 1, 2)
    assert cell(matrix, "plan9-4", IDS[0]).basis == "run"
    assert [seen.state for seen in cell(matrix, "plan9-4", IDS[1]).seen] == ["missing"]


@pytest.fixture
def refused(suite: Suite, tmp_path: Path) -> Callable[[Callable[[list[str]], object]], str]:
    """Says why a file is refused after something was done to its lines; and that it can be left out."""

    def spoilt(spoil: Callable[[list[str]], object]) -> str:
        path = file_of(tmp_path / "a.jsonl", suite, "plan9-4", *(result(suite, id_, FAILED, "unknown") for id_ in IDS))
        lines = path.read_text().splitlines()
        spoil(lines)
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(MergeError) as caught:
            build([path], suite=suite)
        assert "\n" not in str(caught.value)
        matrix = build([path], suite=suite, keep_going=True)
        assert list(map(str, matrix.left_out)) == [str(caught.value)]
        assert not any(column.runs for column in matrix.columns)
        return str(caught.value).removeprefix(f"{path}:")

    return spoilt


def test_what_does_not_fit_is_refused_by_name_and_can_be_left_out(
    refused: Callable[[Callable[[list[str]], object]], str], suite: Suite
) -> None:
    def header(**more: object) -> Callable[[list[str]], object]:
        return lambda lines: lines.__setitem__(0, json.dumps(json.loads(lines[0]) | more))

    assert "the file is truncated" in refused(lambda lines: lines.pop())
    assert refused(lambda lines: lines.__setitem__(1, "{}")).startswith("2: not a line")
    assert refused(header(platform="linux-six")).startswith("1: no platform 'linux-six'")
    assert refused(header(platform="plan9-x")).startswith("1: no platform 'plan9-x'")
    assert "1: 'machine' in the header" in refused(header(machine="x" * 1001))
    assert "1: 'machine' in the header" in refused(header(machine=["x"]))
    assert "1: '\\x1b' in the header" in refused(header(**{"\x1b": "x"}))
    assert "more than 100 facts" in refused(header(**{f"x{n}": "" for n in range(101)}))

    def ask_another(lines: list[str]) -> None:
        lines[1] = lines[1].replace(json.loads(lines[1])["content"], "0123456789ab")

    def age(lines: list[str]) -> None:
        lines[0] = lines[0].replace(suite.version, "0123456789ab")
        ask_another(lines)

    assert refused(ask_another).startswith(f"2: it is not of the suite {suite.version} that it names: {IDS[0]}")
    assert refused(age).startswith(f"1: it was asked no scenario of this suite, {suite.version}; run the suite")
    assert "its scenario has no step C.bind" in refused(
        lambda lines: lines.__setitem__(1, lines[1].replace("B.bind", "C.bind"))
    )


def test_one_run_is_named_once(suite: Suite, tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.jsonl", suite, "plan9-4", result(suite, IDS[0], FAILED, "unknown"))
    with pytest.raises(MergeError, match=r"b.jsonl: the same run as in a.jsonl"):
        build([path, Path(shutil.copy(path, tmp_path / "b.jsonl"))], suite=suite)


def test_of_many_files_that_do_not_fit_the_first_are_named(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(MergeError, match=r"^(.*9\.jsonl: No such file.*\n){10}… and 10 more$"):
        build([tmp_path / "9.jsonl"] * 20, suite=suite)


def test_more_files_than_runs_are_merged_are_refused_unread(suite: Suite, tmp_path: Path) -> None:
    for keep_going in (False, True):
        with pytest.raises(MergeError, match=r"^501 results files, of at most 500 runs in all; leave out some$"):
            build([tmp_path / "none.jsonl"] * 501, suite=suite, keep_going=keep_going)


# --- whatever runs there are ------------------------------------------------------------------------------------------

OUTCOMES: dict[str, dict[str, str]] = {
    "failed": FAILED,
    "ok": {},
    "denied": {"B.bind": "EACCES", "B.listen": "unreached"},
}
ANSWERS = st.sampled_from([*OUTCOMES, "unsupported", "broken", "nothing"])


def test_what_was_asked_counts_whatever_the_order_of_the_files(suite: Suite, tmp_path: Path) -> None:
    @settings(derandomize=True, deadline=None, database=None, max_examples=60)
    @given(
        st.lists(st.tuples(*[ANSWERS] * len(IDS)), min_size=1, max_size=3),
        st.sampled_from(["plan9-4", "linux-6.18.44"]),
    )
    def holds(runs: list[tuple[str, ...]], platform: str) -> None:
        paths = []
        for number, answers in enumerate(runs):
            told = [(id_, answer) for id_, answer in zip(IDS, answers, strict=True) if answer != "nothing"]
            found = [
                result(suite, id_, OUTCOMES.get(answer, {}), "unknown" if answer in OUTCOMES else answer, "because")
                for id_, answer in told
            ]
            paths.append(file_of(tmp_path / f"{number}.jsonl", suite, platform, *found, isolation=f"number {number}"))
        matrix = build(paths, suite=suite, all_known=False, keep_going=True)
        back = build(paths[::-1], suite=suite, all_known=False, keep_going=True)
        asked = [answers for answers in runs if set(answers) != {"nothing"}]
        assert len(matrix.left_out) == len(runs) - len(asked)
        for row, id_ in enumerate(IDS if asked else ()):
            one, shown = cell(matrix, platform, id_), {answers[row] for answers in asked} & OUTCOMES.keys()
            assert (one.basis == "run") == bool(shown)
            assert one.disputed == (len(shown) > 1)
            assert all(has_room(one.outcome, seen.outcome) for seen in one.seen if seen.asked)
            other = cell(back, platform, id_)
            assert (one.outcome, one.basis, one.expected) == (other.outcome, other.basis, other.expected)
            assert one.seen == other.seen[::-1]

    holds()
