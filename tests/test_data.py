"""The data against its JSON Schemas, which any language can read, and every scenario against the parser."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.loader import load
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import CONFORMANCE, current
from pytest_sockreuse.report.results import Result, Results, ResultsError, read, write
from pytest_sockreuse.scenario import Observation, StepOutcome
from pytest_sockreuse.suite import Expectation
from pytest_sockreuse.verdict import Verdict, judge

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted((CONFORMANCE / "schema").glob("*.json"))}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}
TABLES = {"axes": "axes.toml", "claims": "claims.toml", "evidence": "evidence.toml", "guards": "guards.toml"}
TABLES |= {"platforms": "platforms.toml", "options": "options.toml", "settings": "settings.toml"}
TABLES |= {"runtimes": "runtimes.toml"}
RULES = sorted((CONFORMANCE / "rules").glob("*.toml"))
RESULTS = sorted((Path(__file__).parents[1] / "conformance" / "results").glob("*.jsonl"))

HEADER = {"sockreuse": 1, "platform": "linux-6.18.44", "suite": "0123456789ab", "isolation": "netns"}
RESULT = {"id": "udp-sharing/last-bound[ip4]", "content": "0123456789ab", "verdict": "match", "outcome": {}}
FOOTER = {"footer": True, "results": 1}


def mistakes(schema: str, data: object) -> list[str]:
    """What a schema finds wrong, with the path to it."""
    return sorted(f"{error.json_path}: {error.message}" for error in VALIDATORS[schema].iter_errors(data))


def toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == f"{name}.json"


@pytest.mark.parametrize("name", TABLES)
def test_table_meets_its_schema(name: str) -> None:
    assert mistakes(name, toml(CONFORMANCE / TABLES[name])) == []


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rule_meets_the_schema(path: Path) -> None:
    assert mistakes("rule", toml(path)) == []


def test_results_meet_the_schema() -> None:
    lines = {line: path.name for path in RESULTS for line in path.read_text(encoding="utf-8").splitlines()}
    wrong = {name: line for line, name in lines.items() if mistakes("result", json.loads(line))}
    assert not wrong


def test_results_that_are_written_meet_the_schema(tmp_path: Path) -> None:
    variant = load(rules=["udp-sharing"]).variants[0]
    seen = Observation(
        "linux-6.18.44", (StepOutcome("first.bind", "EADDRINUSE"), StepOutcome("first.name", "ok", "[::]:0"))
    )
    results = Results({**HEADER, "selected": 1, "knobs": {"net.ipv4.tcp_tw_reuse": "2"}})
    results.add(
        Result.of(variant, seen, Verdict("mismatch", ("first.bind",)), Expectation({}, "source"), {"K-3": False})
    )
    write(tmp_path / "results.jsonl", [results], load(rules=["udp-sharing"]))
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert ["sockreuse" in lines[0], "id" in lines[1], "footer" in lines[2]] == [True] * 3
    assert [mistakes("result", line) for line in lines] == [[], [], []]


ODD = st.sampled_from(
    [
        None,
        True,
        0,
        1,
        2,
        3,
        "",
        "left out",
        "match",
        "mismatch",
        "0123456789ab",
        "linux-6.18.44",
        "Linux",
        "x" * 10_001,
        [],
        {},
    ]
    + [
        "a/b",
        "a/b[c]",
        "a/b[{c,d}-e]",
        "a/b[{c-{d,e},f}]",
        "a/b[{c}]",
        "a/b[]",
        "a/b[{c,}]",
        "a/b[c,d]",
        "A/b",
        "\x1b[2J",
    ]
    + [{"A.bind": text} for text in ("ok", "EINVAL", "E", "127.0.0.1:1", "ok|EINVAL", "|".join(["ok"] * 500), 98)]
    + [
        {"A.name": text}
        for text in ("[::1]:P", "127.0.0.1", "127.0.0.1:1..2", "127.0.0.1:1|[::]:2", "127.0.0.1:1|", "EINVAL")
    ]
    + [
        {"A.get": "1-2"},
        {"A.get": "\x1b"},
        {"A.explode": "ok"},
        {"A.bind#0": "ok"},
        {"X-1": True},
        {"X-0": True},
        {"X-1": 1},
    ]
)
KEYS = [
    "sockreuse",
    "platform",
    "suite",
    "knobs",
    "id",
    "content",
    "verdict",
    "outcome",
    "basis",
    "claims",
    "reason",
    "footer",
]


@settings(derandomize=True, deadline=None, database=None, max_examples=600)
@given(st.sampled_from([0, 1, 2]), st.sampled_from([*KEYS, "results", "more"]), ODD)
def test_what_the_schema_refuses_the_reader_refuses_and_nothing_else(number: int, key: str, value: Any) -> None:
    lines: list[dict[str, Any]] = [dict(HEADER, knobs={}), dict(RESULT, reason="x"), dict(FOOTER)]
    lines[number][key] = value
    if value == "left out":
        del lines[number][key]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "r.jsonl")
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        try:
            read(path)
            message = ""
        except ResultsError as error:
            message = str(error)
    if " results announced, " not in message:  # which no schema of a line can tell
        assert bool(message) == bool(mistakes("result", lines[number])), message


RULE = {
    "title": "T",
    "about": "A.",
    "case": [
        {
            "id": "one",
            "title": "T",
            "why": "W.",
            "fact": "F.",
            "axes": {"family": "all", "option": {"ra": {"a": "SO_REUSEADDR"}}},
            "scenario": "A = {tcp}({a})\n",
            "cells": {"X": {"A.socket": "ENOPROTOOPT|EINVAL"}},
            "expect": [
                {"on": ["linux"], "since": ["6.1.32", "6.3"], "outcome": {}, "basis": "source", "evidence": ["here"]},
                {"on": ["macos"], "table": "\nfamily \\ option | ra\n* | X\n", "basis": "inferred"},
            ],
        }
    ],
}


def changed(change: Callable[[Any], object]) -> Any:
    """The small rule above, with its case spoilt in one place."""
    rule: Any = json.loads(json.dumps(RULE))
    change(rule["case"][0])
    return rule


def test_the_small_rule_is_right() -> None:
    assert mistakes("rule", RULE) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda case: case.update(id="Not an id"),
        lambda case: case.pop("fact"),
        lambda case: case.pop("why"),
        lambda case: case.update(claims={"K": {}}),
        lambda case: case.update(wy="W."),
        lambda case: case["cells"].update(X={"A.explode": "ok"}),
        lambda case: case["cells"].update(X={"A.bind": "ok||EINVAL"}),
        lambda case: case["axes"].update(family="some"),
        lambda case: case["expect"][0].pop("evidence"),
        lambda case: case["expect"][0].pop("outcome"),
        lambda case: case["expect"][0].update(table="\nfamily \\ option | ra\n* | X\n"),
        lambda case: case["expect"][0].update(basis="rumour"),
        lambda case: case["expect"][0].update(since=["6.x"]),
        lambda case: case["expect"][0].update(on=[]),
        lambda case: case["expect"][1].update(table="no table"),
    ],
)
def test_schema_refuses(change: Callable[[Any], object]) -> None:
    assert mistakes("rule", changed(change))


@pytest.mark.parametrize("line", [HEADER, RESULT, {**RESULT, "id": "a/b[{x-{y,z},z-y}]"}, FOOTER])
def test_each_line_of_results_is_one_of_three(line: dict[str, Any]) -> None:
    assert mistakes("result", line) == []


@pytest.mark.parametrize(
    "line",
    [
        {**HEADER, "sockreuse": 3},
        {**HEADER, "platform": "Linux"},
        {**RESULT, "id": "udp-sharing/last-bound[{ip4}]"},
        {**RESULT, "verdict": "passed"},
        {**RESULT, "outcome": {"first.bind": 98}},
        {**RESULT, "surprise": ""},
        {**FOOTER, "results": -1},
        {"footer": True},
        {},
        [],
    ],
)
def test_any_other_line_is_refused(line: object) -> None:
    assert mistakes("result", line)


@pytest.mark.parametrize("rule", [path.stem for path in RULES])
def test_every_scenario_parses_and_prints_back(rule: str) -> None:
    for variant in load(rules=[rule]).variants:
        printed = str(variant.scenario)
        assert str(parse(printed)) == printed, variant.id
        assert parse(printed).steps == variant.scenario.steps, variant.id


def test_every_statement_covers_a_variant() -> None:
    for rule in load(rules=[path.stem for path in RULES]).rules.values():
        for case in rule.cases:
            for statement in case.statements:
                assert any(statement.covers(variant.named_values) for variant in case.variants), str(statement.at)


@pytest.mark.usefixtures("namespaces")
def test_the_example_of_the_readme_is_right(tmp_path: Path, runner: Runner) -> None:
    """It loads, meets the schema, has the variant that the text names, and holds on this machine."""
    text = (CONFORMANCE / "README.md").read_text(encoding="utf-8")
    example, asked = (re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)[0] for kind in ("toml", "scenario"))
    root = tmp_path / "conformance"
    (root / "rules").mkdir(parents=True)
    for name in TABLES.values():
        (root / name).write_bytes((CONFORMANCE / name).read_bytes())
    (root / "rules" / "shared-wildcard.toml").write_text(example, encoding="utf-8")
    suite = load(root, ["shared-wildcard"])
    assert mistakes("rule", tomllib.loads(example)) == []
    assert len(suite.variants) == 8
    assert suite.by_id["shared-wildcard/wildcard-after-specific[ip4-none-ra]"].text.strip() == asked.strip()
    for variant in suite.variants:
        runner.ask(variant.scenario)
    for variant in suite.variants:
        expected = variant.expected(current())
        verdict = judge(expected.outcome if expected else None, runner.answer())
        assert verdict.state in ("match", "unknown"), variant.id
