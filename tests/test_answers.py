"""One scenario on every modelled platform: what the playground draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_sockreuse.answers import MAX_STEPS, MAX_TEXT, answer, platforms
from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse

RESTART = (Path(__file__).parents[1] / "examples" / "restart.scenario").read_text(encoding="utf-8")
LINGERING = "A = udp4()\nA.bind(127.0.0.1:P)\n"


def columns(found: dict[str, Any]) -> dict[str, list[str]]:
    """What each platform does, line by line, as the groups say it."""
    return {
        f"{system} {words}".strip(): [line["says"][at] for line in found["lines"]]
        for at, group in enumerate(found["groups"])
        for system, words in group["who"]
    }


def test_systems_that_do_the_same_are_one_group_and_the_first_line_in_which_they_part_is_named() -> None:
    found = answer(RESTART)
    assert found["lines"][found["differ"]]["labels"] == ["new.bind"]
    says = columns(found)
    assert says["Linux"][-2:] == ["EADDRINUSE", "unreached"]
    assert says["Windows"][-2:] == says["macOS"][-2:] == ["ok", "ok"]
    assert len(found["groups"]) == 2
    assert json.loads(json.dumps(found)) == found


def test_every_platform_is_in_a_group_and_does_there_what_its_model_says() -> None:
    text = "A = tcp4(SO_REUSEADDR)\nA.bind(127.0.0.1:P)\nA.listen()\nB = tcp4(SO_REUSEADDR)\nB.bind(127.0.0.1:P)\n"
    found, scenario = answer(text), parse(text)
    says = columns(found)
    for platform in platforms():
        texts = list(predict(scenario, platform).texts)
        assert texts in says.values(), platform


def test_versions_are_folded_to_ranges_that_cannot_be_read_backwards_nor_go_over_a_gap() -> None:
    local = answer("A = tcp4(IP_LOCAL_PORT_RANGE=40000-40010)\n")
    linux = [[words for system, words in group["who"] if system == "Linux"] for group in local["groups"]]
    assert linux == [["until 6.0", "6.2"], ["6.1", "since 6.3"]]
    newer = answer("sysctl net.ipv4.tcp_tw_reuse_delay = 1\nA = tcp4()\n")
    assert ["Linux", "until 6.13"] in newer["groups"][0]["who"]
    assert not newer["groups"][0]["known"]
    reasons = [why for why in newer["lines"][0]["why"][0] if why[0][0][0] == "Linux"]
    no_setting = "This system has no setting net.ipv4.tcp_tw_reuse_delay that a scenario can change"
    assert reasons == [[[["Linux", "until 6.13"]], -1, no_setting]]
    assert newer["groups"][1]["who"][0][1].startswith("6.14 \N{EN DASH} ")  # "since" would say that others do otherwise


def test_the_clause_that_decides_comes_with_its_sentence_and_the_socket_it_sets_against() -> None:
    found = answer(RESTART)
    line = found["lines"][found["differ"]]
    linux = next(entry for why in line["why"] for entry in why if entry[0] == [["Linux", ""]])
    clause = found["clauses"][linux[1]]
    assert clause["name"] == "time-wait-keeps-port"
    assert clause["sentence"].endswith(".")
    assert linux[2] == "child"


def test_what_a_model_does_not_know_is_a_group_of_its_own_with_the_reason() -> None:
    found = answer("A = sctp4()\nA.bind(127.0.0.1:P)\nA.listen()\nB = sctp4()\nB.connect(127.0.0.1:P)\n")
    unknown = [at for at, group in enumerate(found["groups"]) if not group["known"]]
    assert unknown
    for at in unknown:
        reasons = [entry for line in found["lines"] for entry in line["why"][at] if entry[1] == -1]
        assert all(reason for _, _, reason in reasons)
        assert reasons


def test_a_mistake_is_named_and_the_lines_above_it_are_answered() -> None:
    found = answer(LINGERING + "A.foo()\nA.bind(")
    assert found["error"] == {"line": 3, "column": 3, "expected": found["error"]["expected"]}
    assert "expected one of" in found["error"]["expected"]
    assert [line["labels"] for line in found["lines"]] == [["A.socket"], ["A.bind"]]


def test_a_line_that_stands_for_several_calls_says_how_many_came_to_what() -> None:
    found = answer("ephemeral 40000-40001\nS[1-3] = udp4()\nS[1-3].bind(127.0.0.1:0)\n")
    assert found["lines"][1]["labels"] == ["S1.bind", "S2.bind", "S3.bind"]
    assert "2 ok, 1 EADDRINUSE" in found["lines"][1]["says"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n# nothing\n",
        "\ud800 = tcp4()",
        "A\x00 = tcp4()",
        "--- one\nA = tcp4()\n--- two\nB = tcp4()",
        "A = tcp4()\n" * 3,
        "\u202eA = tcp4()",
    ],
    ids=["empty", "comment", "surrogate", "control", "two", "again", "direction"],
)
def test_any_text_has_an_answer(text: str) -> None:
    found = answer(text)
    assert "lines" in found
    json.dumps(found)


def test_what_is_too_large_is_refused_in_words() -> None:
    assert str(MAX_TEXT) in answer("#" * (MAX_TEXT + 1))["error"]["expected"]
    assert str(MAX_STEPS) in answer(f"A[1-{MAX_STEPS + 1}] = tcp4()\n")["refused"]
