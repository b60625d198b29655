"""The merge of the legs: who arrived whole, who did not and why; the summary; runs of one platform together."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from random import Random

import legs
import merge
import pytest
from arrivals import Arrival, arrivals, line_of, strangers, together, whole
from arriving import arrive, mismatch, suite, unsupported, variants
from hypothesis import given
from hypothesis import strategies as st

from pytest_sockreuse.loader import load
from pytest_sockreuse.platforms import named
from pytest_sockreuse.report.measured import Run
from pytest_sockreuse.report.results import Result, Results

DAY = date(2026, 11, 30)
LEGS = [legs.named(name) for name in ("ubuntu-24.04", "ubuntu-24.04-root", "macos-15", "freebsd-14.4", "netbsd-11")]


def states(arrived: list[Arrival]) -> dict[str, str]:
    return {arrival.leg.name: arrival.state for arrival in arrived}


def test_what_is_missing_truncated_or_of_something_else_is_said(tmp_path: Path) -> None:
    arrive(tmp_path, "ubuntu-24.04", "linux-6.17.13")
    arrive(tmp_path, "ubuntu-24.04-root", "linux-6.17.13", whole=False)
    arrive(tmp_path, "macos-15", "linux-6.17.13")
    legs.begin(tmp_path / "freebsd-14.4.jsonl", legs.named("freebsd-14.4"), "with status 1: no route to `host`\n")
    arrived = arrivals(tmp_path, suite(), DAY, LEGS)
    assert [(arrival.state, arrival.why) for arrival in arrived] == [
        ("whole", ""),
        ("truncated", "no footer: the file is truncated, or its run was cut short; make it anew"),
        ("truncated", "of linux-6.17.13"),
        ("truncated", "ended with status 1: no route to `host`\\n"),
        ("missing", "it uploaded nothing"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a line of a results file"),
        ("\udcff", "not UTF-8"),
        ("{}\n", "a header should stand here"),
        ('{"sockreuse": 2, "platform": "linux-6.17.13", "suite": "0123456789ab"}\n{"footer": true, "results": 0}\n',
         "of another suite, 0123456789ab"),
        ('{"sockreuse": 2, "platform": "plan9-4", "suite": "0123456789ab"}\n{"footer": true, "results": 0}\n',
         "no platform 'plan9-4'"),
        ('{"sockreuse": 2, "platform": "x-1", "suite": "0123456789ab", "ended": {"a": 1}}\n', "no footer"),
    ],
)  # fmt: skip
def test_a_strangers_file_is_no_results(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "ubuntu-24.04.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    (arrival,) = arrivals(tmp_path, suite(), DAY, LEGS[:1])
    assert arrival.state == "truncated"
    assert why in arrival.why


def test_two_platforms_in_one_file(tmp_path: Path) -> None:
    one, two = (arrive(tmp_path, name, platform) for name, platform in (("a", "linux-6.17.13"), ("b", "linux-6.18.44")))
    (tmp_path / "ubuntu-24.04.jsonl").write_text(one.read_text() + two.read_text())
    (arrival,) = arrivals(tmp_path, suite(), DAY, LEGS[:1])
    assert (arrival.state, arrival.why) == ("truncated", "2 platforms in one file")


def test_a_leg_whose_image_is_gone_is_not_missing(tmp_path: Path) -> None:
    found = {a.leg.name: a for a in arrivals(tmp_path, suite(), date(2027, 4, 17))}
    assert found["ubuntu-22.04-arm"].state == "retired"
    assert found["ubuntu-24.04"].state == "missing"


def test_files_of_no_leg_are_named_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "plan9\u202e.jsonl").write_text("no results")
    arrived = arrivals(tmp_path, suite(), DAY, LEGS)
    assert strangers(tmp_path, arrived) == ["plan9\\u202e.jsonl"]


@pytest.mark.parametrize(
    ("platform", "line"),
    [
        ("linux-6.17.13", "linux-6.17"),
        ("freebsd-14.4", "freebsd-14.4"),
        ("macos-15.7.7", "macos-15"),
        ("netbsd-11.0", "netbsd-11"),
        ("windows-server-2025", "windows-server-2025"),
        ("illumos-r151058", "illumos-r151058"),
        ("gvisor-20240729", "gvisor-20240729"),
    ],
)
def test_the_release_line_of_a_platform(platform: str, line: str) -> None:
    assert line_of(named(platform)) == line


def test_what_was_asked_wins_over_what_could_not_be(tmp_path: Path) -> None:
    first, second, third, *_ = variants()
    arrive(tmp_path, "ubuntu-24.04", "linux-6.17.13", {first: unsupported(first), second: unsupported(second)})
    seen = mismatch(first, {"listener.bind": "EADDRINUSE"})
    other = Result(third, suite().by_id[third].content, "match", {"listener.listen": "EADDRINUSE"})
    root = {first: seen, second: unsupported(second, "no IPv6"), third: other}
    arrive(tmp_path, "ubuntu-24.04-root", "linux-6.17.13", root)
    arrived = arrivals(tmp_path, suite(), DAY, LEGS[:2])
    runs = [run for _, run in whole(arrived)]
    for order in (runs, runs[::-1]):
        merged, differ = together(order, suite())
        assert merged.results[first].outcome == seen.outcome
        assert merged.results[second].verdict == "unsupported"
        assert differ == [third]
        assert third not in merged.results
        assert merged.complete


ANSWERS = (None, "unsupported", "ok", "EADDRINUSE")


@given(st.lists(st.lists(st.sampled_from(ANSWERS), min_size=4, max_size=4), min_size=1, max_size=4), st.randoms())
def test_runs_in_any_order_are_one_and_the_same(answers: list[list[str | None]], random: Random) -> None:
    ids = variants()

    def run(those: list[str | None]) -> Run:
        results = {}
        for id_, answer in zip(ids, those, strict=True):
            if answer == "unsupported":
                results[id_] = unsupported(id_)
            elif answer is not None:
                results[id_] = Result(id_, "0" * 12, "match", {} if answer == "ok" else {"late.bind": answer})
        return Run(Path("x"), named("linux-6.17.13"), Results({}, results))

    runs = [run(those) for those in answers]
    merged, differ = together(runs, suite())
    shuffled = random.sample(runs, len(runs))
    again, differ_again = together(shuffled, suite())
    assert (merged.results, differ) == (again.results, differ_again)
    for number, id_ in enumerate(ids):
        asked = {those[number] for those in answers} - {None, "unsupported"}
        assert (id_ in differ) == (len(asked) > 1)
        assert (id_ in merged.results) == (len(asked) < 2 and any(those[number] for those in answers))
        if len(asked) == 1:
            assert merged.results[id_].verdict == "match"


def test_a_variant_that_one_run_leaves_out_is_taken_from_the_other(tmp_path: Path) -> None:
    first, *_ = variants()
    arrive(tmp_path, "ubuntu-24.04", "linux-6.17.13", {first: None})
    arrive(tmp_path, "ubuntu-24.04-root", "linux-6.17.13")
    merged, differ = together([run for _, run in whole(arrivals(tmp_path, suite(), DAY, LEGS[:2]))], suite())
    assert (len(merged.results), differ) == (len(suite().variants), [])


def test_what_the_suite_leaves_to_chance_may_differ_from_run_to_run(tmp_path: Path) -> None:
    chance = load(rules=["udp-sharing"])
    id_ = "udp-sharing/same-processor"
    first, second, third = (
        Run(
            tmp_path,
            named("linux-6.17.13"),
            Results({"platform": "linux-6.17.13"}, {id_: Result(id_, "x", verdict, seen)}),
        )
        for verdict, seen in (
            ("match", {}),
            ("match", {"second.recv": "timeout"}),
            ("match", {"second.recv": "ECONNREFUSED"}),
        )
    )
    for runs in ([first, second, first], [second, first]):
        merged, differ = together(runs, chance)
        assert (differ, merged.results[id_].outcome) == ([], {"second.recv": "ok|timeout"})
    assert together([first, third], chance)[1] == [id_]


def test_the_summary_tells_of_every_leg_and_takes_no_strangers_markup(tmp_path: Path) -> None:
    arrive(
        tmp_path, "ubuntu-24.04", "linux-6.17.13", {variants()[0]: mismatch(variants()[0], {"listener.bind": "EACCES"})}
    )
    evil = "with status 1: | <script>alert(1)</script> `x` [a](javascript:b) @everyone"
    legs.begin(tmp_path / "freebsd-14.4.jsonl", legs.named("freebsd-14.4"), evil)
    arrived = arrivals(tmp_path, suite(), DAY, LEGS)
    text = merge.summary(arrived, ["x.jsonl"], suite(), {}, [])
    assert text.startswith("## 5 legs: 1 whole, 1 truncated, 3 missing\n")
    assert "- **netbsd-11** is missing: it uploaded nothing\n" in text
    assert "- x.jsonl belongs to no leg" in text
    (line,) = (line for line in text.splitlines() if "freebsd-14.4" in line)
    assert not set("<>`[]|@") & set(line)
    (row,) = (line for line in text.splitlines() if line.startswith("| ubuntu-24.04 |"))
    assert row.split(" | ")[1:4] == ["linux-6.17.13", str(len(suite().variants) - 1), "1"]


def test_a_summary_is_bounded(tmp_path: Path) -> None:
    drift = {f"linux-6.{n}": {"differs": ["a"], "title": "T", "body": "x\n" * 30_000} for n in range(40)}
    text = merge.summary([], [], suite(), drift, [])
    assert len(text.encode()) < merge.MOST
    assert text.endswith("lines left out; the results are kept with this run.\n")


def test_the_merge_keeps_whole_results_and_says_what_is_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "page", lambda _: "# The matrix")  # the pipeline's
    arrived, out = tmp_path / "arrived", tmp_path / "merged"
    arrived.mkdir()
    arrive(arrived, "ubuntu-24.04", "linux-6.17.13")
    arrive(arrived, "ubuntu-24.04-root", "linux-6.17.13", whole=False)
    outputs = merge.merge(arrivals(arrived, suite(), DAY, LEGS[:2]), [], suite(), out)
    assert outputs == {"complete": "false", "page": "true", "proposal": "false"}
    assert [path.name for path in (out / "whole").iterdir()] == ["ubuntu-24.04.jsonl"]
    assert [path.name for path in (out / "platforms").iterdir()] == ["linux-6.17.13.jsonl"]
    assert json.loads((out / "drift.json").read_text())["linux-6.17"]["measured"] == ["ubuntu-24.04"]
    arrive(
        arrived, "ubuntu-24.04", "linux-6.17.13", {(first := variants()[0]): mismatch(first, {"late.bind": "EACCES"})}
    )
    outputs = merge.merge(arrivals(arrived, suite(), DAY, LEGS[:1]), [], suite(), tmp_path / "other")
    assert outputs == {"complete": "true", "page": "true", "proposal": "false"}
