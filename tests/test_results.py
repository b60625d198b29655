"""Results files: written whole, read with suspicion."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import shipped

from pytest_sockreuse.loader import load
from pytest_sockreuse.report.results import Result, Results, ResultsError, observed, read, write
from pytest_sockreuse.scenario import CALLS, Observation, StepOutcome
from pytest_sockreuse.suite import Expectation, Suite
from pytest_sockreuse.verdict import VERDICTS, Verdict, judge

SCHEMA = Path(__file__).parents[1] / "conformance/schema"
PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=60)

ONE = Result("rule/case", "0123456789ab", "match", {"A.bind": "EADDRINUSE"}, "measured", {"X-1": True})
TWO = Result("rule/other[ip4]", "ba9876543210", "unsupported", {}, reason="needs user1")
ABOUT = {"platform": "linux-6.18.44", "suite": "0123456789ab"}
NO_SUITE = Suite({}, {}, {}, {})


def results(*entries: Result, platform: str = "linux-6.18.44") -> Results:
    return Results({**ABOUT, "platform": platform, "selected": len(entries)}, {result.id: result for result in entries})


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """A file of two results."""
    write(tmp_path / "good.jsonl", [results(ONE, TWO)], NO_SUITE)
    return (tmp_path / "good.jsonl").read_text().splitlines()


Refused = Callable[[str | bytes], str]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Says why a content is no results file; in one line that names it."""

    def read_it(content: str | bytes) -> str:
        path = tmp_path / "bad.jsonl"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(ResultsError) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(f"{path}")
        assert "\n" not in message
        return message.removeprefix(f"{path}")

    return read_it


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, [results(TWO, ONE), results(ONE, platform="freebsd-14.3")], NO_SUITE)
    here, there = read(path)
    assert list(here.results.values()) == [ONE, TWO]  # by id
    assert here.about["platform"] == "linux-6.18.44"
    assert there.results == {ONE.id: ONE}
    assert list(tmp_path.iterdir()) == [path]


def test_every_line_is_an_object_with_header_and_footer(lines: list[str]) -> None:
    header, one, two, footer = map(json.loads, lines)
    assert header == {"sockreuse": 2, **ABOUT}
    assert one == {
        "id": "rule/case", "content": "0123456789ab", "verdict": "match", "outcome": {"A.bind": "EADDRINUSE"},
        "basis": "measured", "claims": {"X-1": True},
    }  # fmt: skip
    assert two["reason"] == "needs user1"
    assert footer == {"footer": True, "results": 2}


WORD = st.sampled_from(["EADDRINUSE", "EACCES", "timeout", "unreached", "ok"])
NAME = st.sampled_from(["127.0.0.1:P", "[::1]:40000", "0.0.0.0:40000..40007|[::]:1", "[::ffff:127.0.0.1]:0", "EINVAL"])
OUTCOMES = st.dictionaries(st.sampled_from(["A.bind", "B.listen#2", "S1.socket"]), WORD, max_size=3) | st.builds(
    lambda name, value: {"A.name": name, "A.get": value},
    NAME,
    st.text(st.characters(max_codepoint=126, min_codepoint=32)),
)
IDS = st.builds(
    "{}/{}{}".format, *[st.sampled_from(["a", "b-c"])] * 2, st.sampled_from(["", "[x]", "[ip4-none]", "[ip6-ra.1_0]"])
)
RESULTS = st.builds(
    Result,
    IDS,
    st.sampled_from(["0123456789ab", "ba9876543210", "0" * 12]),
    st.sampled_from(VERDICTS),
    OUTCOMES,
    st.sampled_from(["", "measured", "model"]),
    st.dictionaries(st.from_regex("[A-Z]-[1-9][0-9]?", fullmatch=True), st.booleans(), max_size=3),
    st.text(max_size=20),
)
PLATFORMS = st.from_regex("[a-z]+-[A-Za-z0-9._-]{1,9}", fullmatch=True)


@PROPERTY
@given(
    st.lists(
        st.tuples(PLATFORMS, st.lists(RESULTS, max_size=6, unique_by=lambda result: result.id)),
        min_size=1,
        max_size=3,
        unique_by=lambda run: run[0],
    )
)
def test_round_trip(platforms: list[tuple[str, list[Result]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "r.jsonl")
        write(path, [results(*entries, platform=platform) for platform, entries in platforms], NO_SUITE)
        found = read(path)
    assert [one.about["platform"] for one in found] == [platform for platform, _ in platforms]
    assert [one.results for one in found] == [{r.id: r for r in entries} for _, entries in platforms]


@PROPERTY
@given(RESULTS)
def test_properties_carry_a_result(result: Result) -> None:
    assert Result.from_properties(result.to_properties()) == result


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_truncated_file_is_never_read(lines: list[str], refused: Refused, kept: int) -> None:
    assert "no footer" in refused("\n".join(lines[:kept]) + "\n")


def test_a_file_cut_anywhere_is_never_read(lines: list[str], refused: Refused) -> None:
    content = "\n".join(lines).encode()
    for size in range(0, len(content), 7):
        refused(content[:size])


def test_a_run_cut_short_has_no_footer(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "r.jsonl"
    short = results(ONE, TWO)
    del short.results[TWO.id]
    write(path, [short], NO_SUITE)
    assert "no footer" in refused(path.read_bytes())
    write(path, [Results(dict(ABOUT), {ONE.id: ONE})], NO_SUITE)  # a worker that never said what it had selected
    assert "no footer" in refused(path.read_bytes())


def replaced(lines: list[str], number: int, **changes: Any) -> str:
    entry = {**json.loads(lines[number]), **changes}
    return "\n".join([*lines[:number], json.dumps(entry), *lines[number + 1 :]])


@pytest.mark.parametrize(
    ("number", "changes", "says"),
    [
        (3, {"results": 3}, ":4: 3 results announced, 2 there"),
        (3, {"results": "2"}, ":4:"),
        (0, {"sockreuse": 3}, ":1: a header of format 1"),
        (0, {"sockreuse": True}, ":1: a header of format 1"),
        (0, {"sockreuse": 1.0}, ":1: a header of format 1"),
        (0, {"suite": "\x1b[2J"}, ":1: a header should name its suite"),
        (0, {"knobs": {"net.ipv4.tcp_tw_reuse": 2}}, ":1: a header's knobs"),
        (0, {"platform": 3}, ":1: a header"),
        (0, {"platform": "linux-\x1b[31m"}, ":1: a header should name its platform"),
        (3, {"results": "\x9b2J\nall is well"}, ":4: not a line"),
        (3, {"results": True}, ":4: not a line"),
        (3, {"footer": None}, ":4: not a line"),
        (3, {"footer": 1}, ":4: not a line"),
        (3, {"more": 1}, ":4: not a line"),
        (2, {"id": "rule/case"}, ":3: rule/case a second time"),
        (2, {"id": "rule/a"}, ":3: rule/a should stand before rule/case"),
        (1, {"id": "\x1b[2J"}, ":2: not a line"),
        (1, {"id": "x" * 500_000}, ":2: not a line"),
        (1, {"id": "rule/" + "x" * 200}, ":2: an id of more than 200 characters"),
        (1, {"id": "rule/case[" + "{a,b}" * 60 + "]"}, ":2: more results than a file may have"),
        (1, {"id": "rule/case[{a}]"}, ":2: not a line"),
        (1, {"id": "rule/case[{a,a}]"}, ":2: rule/case[a] a second time"),
        (1, {"surprise": 1}, ":2: not a line"),
        (1, {"reason": ""}, ":2: not a line"),
        (1, {"reason": "x" * 10_001}, ":2: not a line"),
        (1, {"basis": "rumour"}, ":2: not a line"),
        (1, {"outcome": {"A.bind": "\x1b"}}, ":2: not a line"),
        (1, {"outcome": {"A.explode": "ok"}}, ":2: not a line"),
        (1, {"outcome": {"A.name": "127.0.0.1"}}, ":2: not a line"),
        (1, {"outcome": {"A.name": "127.0.0.1:" + "9" * 5000}}, ":2: not a line"),
        (1, {"outcome": {"A.name": "127.0.0.1:\u00b2"}}, ":2: not a line"),
        (1, {"outcome": {"A.get": "\ud800"}}, ":2: not a line"),
        (1, {"verdict": "fine"}, ":2: not a line"),
        (1, {"outcome": 3}, ":2: not a line"),
        (1, {"outcome": {"A.bind": 3}}, ":2: not a line"),
        (1, {"claims": {"X-1": "yes"}}, ":2: not a line"),
        (1, {"claims": []}, ":2: not a line"),
        (1, {"id": None}, ":2: not a line"),
        (1, {"content": "x" * 12}, ":2: not a line"),
        (1, {"sockreuse": 1}, ":2: "),
    ],
)
def test_a_line_that_is_wrong(lines: list[str], refused: Refused, number: int, changes: Any, says: str) -> None:
    assert refused(replaced(lines, number, **changes)).startswith(says)


def test_lines_out_of_place(lines: list[str], refused: Refused) -> None:
    header, one, two, footer = lines
    assert refused("\n".join([one, two, footer])).startswith(":1: a header should stand here")
    assert refused("\n".join([header, one, two, footer, one])).startswith(":5: a header should stand here")
    assert refused("\n".join([header, one, header, two, footer])).startswith(":3: ")
    assert refused("\n".join([header, one, "{", two, footer])).startswith(":3: not a line")
    assert refused("\n".join([header, one, two, footer] * 2)).startswith(":5: linux-6.18.44 a second time")
    assert refused("\n".join([header, one.replace("{", '{"id": "rule/case", ', 1), two, footer])).startswith(":2: not")


def test_a_line_beyond_its_bound_is_not_parsed(lines: list[str], refused: Refused) -> None:
    assert refused(f"{lines[0]}\n[{'[],' * 400_000}0]") == ":2: longer than 1048576 bytes"


@pytest.mark.parametrize(
    "content",
    ["", "\n", "null", "[]", "3", '"sockreuse"', "{}", "{" * 100_000, "[" * 100_000, "\0", b"\xff", bytes(range(256))],
)
def test_junk(refused: Refused, content: str | bytes) -> None:
    refused(content)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ResultsError, match=str(path)):
            read(path)


@PROPERTY
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "r.jsonl")
        path.write_bytes(content)
        with pytest.raises(ResultsError):
            read(path)


def test_an_old_file_stays_whole_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, [results(ONE)], NO_SUITE)
    before = path.read_bytes()
    broken = Results({"platform": "x"}, {"a": Result("rule/case", "0123456789ab", "match", {"c": object()})})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        write(path, [broken], NO_SUITE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_of_two_results_the_failure_is_kept() -> None:
    kept = Results({"platform": "x"})
    good, bad = ONE, Result(ONE.id, ONE.content, "mismatch", {})
    for order in ([good, bad], [bad, good]):
        kept.results.clear()
        for result in order:
            kept.add(result)
        assert kept.results[ONE.id] == bad


def test_a_result_names_ports_by_their_symbols(conformance: Callable[..., Path]) -> None:
    (variant,) = load(conformance()).variants
    steps = (
        StepOutcome("A.bind", "ok"),
        StepOutcome("A.name", "ok", "127.0.0.1:10000"),
        StepOutcome("A.name#2", "ok", "[::1]:40000"),
        StepOutcome("A.get", "ok", "10000"),
        StepOutcome("B.bind", "EADDRINUSE"),
    )
    seen = Observation("linux-6.18.44", steps, {"P": 10000})
    result = Result.of(variant, seen, Verdict("match"), Expectation({}, "measured"), {"X-1": True})
    assert result.outcome == {
        "A.name": "127.0.0.1:P",
        "A.name#2": "[::1]:40000",
        "A.get": "10000",
        "B.bind": "EADDRINUSE",
    }
    assert (result.id, result.content) == (variant.id, variant.content)
    assert Result.of(variant, None, Verdict("broken", reason="why"), None, {}).outcome == {}


def test_a_result_names_a_symbol_where_the_model_says_its_number(conformance: Callable[..., Path]) -> None:
    """The model was asked with what was seen, so it may tell the number that P is there."""
    (variant,) = load(conformance()).variants
    observation = Observation("linux-6.18.44", (StepOutcome("A.name", "ok", "127.0.0.1:10000"),), {"P": 10000})
    expectation = Expectation({"A.name": "127.0.0.1:10000"}, "model")
    result = Result.of(variant, observation, judge(expectation.outcome, observation), expectation, {})
    assert (result.verdict, result.outcome) == ("match", {"A.name": "127.0.0.1:P"})


@pytest.mark.parametrize(
    ("seen", "expected", "basis", "told"),
    [
        ("127.0.0.1:40003", "127.0.0.1:40000..40007|[::1]:40000..40007", "source", "127.0.0.1:40000..40007"),
        (
            "127.0.0.1:40003",
            "127.0.0.1:40001|[::1]:40003|127.0.0.1:40003",
            "measured",
            "127.0.0.1:40001|127.0.0.1:40003",
        ),
        ("127.0.0.1:10000", "127.0.0.1:P|[::1]:P", "measured", "127.0.0.1:P"),
        ("ok", "ok|EADDRINUSE", "measured", "ok|EADDRINUSE"),
        ("EADDRINUSE", "ok|EADDRINUSE", "measured", "ok|EADDRINUSE"),
        ("EADDRINUSE", "ok|EADDRINUSE", "documented", "EADDRINUSE"),  # as far as is known: what was seen is more
        ("EACCES", "EADDRINUSE|EACCES", "measured", "EACCES"),
        ("ok", "ok|EADDRINUSE", "inferred", None),
    ],
)
def test_what_the_system_chose_is_told_as_what_it_may_choose(
    conformance: Callable[..., Path], seen: str, expected: str, basis: str, told: str | None
) -> None:
    """So that two runs on one machine write the same."""
    (variant,) = load(conformance()).variants
    step = StepOutcome("A.name", "ok", seen) if ":" in seen else StepOutcome("A.bind", seen)
    observation = Observation("linux-6.18.44", (step,), {"P": 10000})
    expectation = Expectation({step.step: expected}, basis)
    result = Result.of(variant, observation, judge(expectation.outcome, observation), expectation, {})
    assert (result.verdict, result.outcome.get(step.step)) == ("match", told)
    for again in observed("linux-6.18.44", [step.step], result.outcome, None):
        assert judge(expectation.outcome, again).state == "match"
    apart = Result.of(variant, observation, Verdict("mismatch"), expectation, {})
    assert apart.outcome.get(step.step, "ok") == seen.replace("10000", "P")


def test_a_result_of_every_statement_can_be_written_and_read(tmp_path: Path) -> None:
    """As its step, its verb and what it states, of the whole suite."""
    suite = shipped()
    stated: dict[tuple[str, str], Result] = {}
    for variant in suite.variants:
        for statement in variant.case.statements:
            outcome = statement.outcome if isinstance(statement.outcome, dict) else {}
            for step, text in outcome.items():
                for one in str(text).split("|"):
                    new = Result(variant.id, variant.content, "match", {step: one})
                    stated.setdefault((step.rpartition(".")[2], one), new)
    assert ("name", "[fe80::1%lo]:P") in stated
    validator = jsonschema.Draft202012Validator(json.loads((SCHEMA / "result.json").read_text()))
    for result in stated.values():
        write(tmp_path / "one.jsonl", [results(result)], NO_SUITE)
        [found] = read(tmp_path / "one.jsonl")
        assert found.results[result.id].outcome == result.outcome
        validator.validate(json.loads((tmp_path / "one.jsonl").read_text().splitlines()[1]))


@pytest.mark.parametrize("schema", ["result", "rule", "guards"])
def test_a_schema_knows_the_verbs_of_the_language(schema: str) -> None:
    text = (SCHEMA / f"{schema}.json").read_text()
    for verb in {call.verb for call in CALLS} - {"wait"}:  # which has no outcome
        assert re.search(rf"[(|]{verb}[)|]|\\.{verb}\(", text), verb
