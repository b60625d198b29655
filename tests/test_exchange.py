"""The suite as one scenario file, and what a runner answered to it as results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_sockreuse import cli, loader
from pytest_sockreuse.parser import parse, parse_file
from pytest_sockreuse.platforms import known
from pytest_sockreuse.report.exchange import answer, export, load, of_scenario
from pytest_sockreuse.report.results import ResultsError, read, text_of
from pytest_sockreuse.suite import Suite

SHARING = """
title = "Sharing"
about = "What these tests ask."

[[case]]
id = "taken"
title = "A port that is taken is taken"
why = "A server that is started twice must notice."
claims.X-1 = { "B.bind" = "EADDRINUSE" }
axes.family = ["ip4", "ip6"]
scenario = '''
A = {tcp}()
A.bind({lo}:P)  # first
A.name()
B = {tcp}()
B.bind({lo}:P)
'''
  [[case.expect]]
  on = ["linux"]
  outcome = { "A.name" = "127.0.0.1:P|[::1]:P", "B.bind" = "EADDRINUSE" }
  basis = "measured"
  evidence = ["here"]
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def suite(conformance: Callable[..., Path]) -> Suite:
    return loader.load(conformance(sharing=SHARING))


def line(title: Any, value: str = "127.0.0.1:999", last: str = "EADDRINUSE", **changes: Any) -> str:
    """What a runner answers to the variant of that title."""
    seen = {"A.socket": "ok", "A.bind": "ok", "A.name": "ok", "B.socket": "ok", "B.bind": last}
    steps = [{"step": s, "outcome": o, "value": value if s == "A.name" else None} for s, o in seen.items()]
    entry = {"platform": "linux-6.18.44", "title": title, "steps": steps, **changes}
    return json.dumps({key: value for key, value in entry.items() if value is not ...})


ONE, TWO = "sharing/taken[ip4]", "sharing/taken[ip6]"

# --- out --------------------------------------------------------------------------------------------------------------


def test_every_variant_is_a_section_under_its_id(suite: Suite) -> None:
    text = "".join(export(suite))
    assert f" {suite.version} " in text.splitlines()[0]
    assert {s.title: str(s).partition("\n")[2] for s in parse_file(text)} == {
        v.id: str(v.scenario) for v in suite.variants
    }


def test_the_command_prints_it_or_writes_it(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(loader, "load", lambda: suite)
    assert cli.main(["export"]) == 0
    printed = capsys.readouterr().out
    assert printed == "".join(export(suite))
    assert cli.main(["export", str(tmp_path / "suite.scenario")]) == 0
    assert (tmp_path / "suite.scenario").read_text() == printed
    assert cli.main(["export", str(tmp_path / "no" / "where")]) == 2
    assert capsys.readouterr().err == f"sockreuse: {tmp_path / 'no' / 'where'}: No such file or directory\n"


# --- in ---------------------------------------------------------------------------------------------------------------


def test_answers_become_judged_results(suite: Suite, tmp_path: Path) -> None:
    one, two, results = tmp_path / "one", tmp_path / "two", tmp_path / "results"
    one.write_text(line(TWO, "[::1]:40000", last="ok") + "\n")
    two.write_text(line(ONE))  # the end of the last line may be missing
    results.write_text(text_of([load([one, two], suite)], suite))
    (found,) = read(results, suite)
    assert {key: found.about[key] for key in ("platform", "stack", "version", "isolation", "suite")} == {
        "platform": "linux-6.18.44",
        "stack": "linux",
        "version": "6.18.44",
        "isolation": "unknown",
        "suite": suite.version,
    }
    right, wrong = found.results[ONE], found.results[TWO]
    assert (right.verdict, right.basis, right.claims) == ("match", "measured", {"X-1": True})
    assert right.outcome == {"A.name": "127.0.0.1:P", "B.bind": "EADDRINUSE"}
    assert right.content == suite.by_id[ONE].content
    assert (wrong.verdict, wrong.claims, wrong.outcome) == ("mismatch", {"X-1": False}, {"A.name": "[::1]:P"})


def test_what_was_not_run_is_unsupported(suite: Suite, tmp_path: Path) -> None:
    path = tmp_path / "answers"
    path.write_text(f"{line(ONE)}\n{line(TWO, steps=..., not_run='this system has no IPv6')}\n")
    found = load([path], suite).results[TWO]
    assert (found.verdict, found.reason, found.outcome, found.claims) == (
        "unsupported",
        "this system has no IPv6",
        {},
        {},
    )


@pytest.mark.parametrize("platform", ["wine-6.1.7601", "dragonfly-6.4", "freebsd-99.1", *map(str, known())])
def test_any_platform_is_taken(suite: Suite, tmp_path: Path, platform: str) -> None:
    path = tmp_path / "answers"
    path.write_text(f"{line(ONE, platform=platform)}\n{line(TWO, '[::1]:999', platform=platform)}\n")
    assert load([path], suite).about["platform"] == platform


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (
            '{"platform": "linux-6.18.44", "title": "sharing/ta',
            ":2: not a line that the runner prints, or not all of it",
        ),
        ("", ":2: not a line"),
        ("[]", ":2: not a line"),
        ("3", ":2: not a line"),
        ("[" * 100_000, ":2: not a line"),
        (line(TWO, not_run="why"), ":2: not a line"),
        (line(TWO, steps=...), ":2: not a line"),
        (line(TWO, steps=None), ":2: not a line"),
        (line(TWO, steps=[3]), ":2: not a line"),
        (line(TWO, steps=[{"step": "A.bind", "outcome": "fine", "value": None}]), ":2: not a line"),
        (line(TWO, steps=[{"step": "A.bind", "outcome": "ok", "value": "x"}]), ":2: not a line"),
        (line(TWO, steps=[{"step": "A.name", "outcome": "ok", "value": None}]), ":2: not a line"),
        (line(TWO, steps=[{"step": "A.name", "outcome": "ok", "value": 1}]), ":2: not a line"),
        (line(TWO, steps=[{"step": 1, "outcome": "ok", "value": None}]), ":2: not a line"),
        (line(TWO, steps=[{"step": "A.bind", "outcome": "ok"}, 1]), ":2: not a line"),
        (line(TWO, platform=3), ":2: not a line"),
        (line(TWO, extra=1), ":2: not a line"),
        (line(...), ":2: no title"),
        (line("sharing/other"), ":2: no variant 'sharing/other' in the suite"),
        (line(TWO, steps=[]), f":2: {TWO}: not the steps that were asked for"),
        (line(TWO, platform="linux-6.18.45"), ":2: linux-6.18.45, after linux-6.18.44"),
        (line(ONE), f":2: {ONE} a second time"),
    ],
)
def test_answers_that_are_none(suite: Suite, tmp_path: Path, second: str, says: str) -> None:
    path = tmp_path / "answers"
    path.write_text(f"{line(ONE)}\n{second}\n")
    assert refused(path, suite).startswith(f"{path}{says}")


def test_answers_that_are_missing(suite: Suite, tmp_path: Path) -> None:
    path = tmp_path / "answers"
    path.write_text(line(TWO) + "\n")
    assert refused(path, suite).startswith(f"{path}: no answer to {ONE}: have all of")


@pytest.mark.parametrize("platform", ["linux", "linux-", "Linux 6", "-", "x-" + "9" * 100])
def test_platforms_that_are_none(suite: Suite, tmp_path: Path, platform: str) -> None:
    path = tmp_path / "answers"
    path.write_text(line(ONE, platform=platform))
    assert "is no platform" in refused(path, suite)


def test_files_that_are_none(suite: Suite, tmp_path: Path) -> None:
    path = tmp_path / "answers"
    assert refused(path, suite) == f"{path}: No such file or directory"
    path.write_bytes(b"\xff")
    assert refused(path, suite) == f"{path}:1: not UTF-8"
    path.write_bytes(b"")
    assert refused(path, suite).startswith(f"{path}:1: not a line")


def refused(path: Path, suite: Suite) -> str:
    with pytest.raises(ResultsError) as caught:
        load([path], suite)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 300
    return str(caught.value)


def test_the_command_prints_results_or_what_is_wrong_in_one_line(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(loader, "load", lambda: suite)
    path = tmp_path / "answers"
    path.write_text(f"{line(ONE)}\n{line(TWO)}\n")
    assert cli.main(["results", "import", str(path)]) == 0
    assert capsys.readouterr().out == text_of([load([path], suite)], suite)
    path.write_text("{}\n")
    assert cli.main(["results", "import", str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"sockreuse: {path}:1: not a line")


# --- the ports of symbols, which no answer tells ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values", "ports"),
    [
        ("A = tcp4(); A.bind(127.0.0.1:P); A.name()", {"A.name": "127.0.0.1:999"}, {"P": 999}),
        ("A = tcp4(); A.bind(127.0.0.1:0); A.name()", {"A.name": "127.0.0.1:999"}, {}),
        ("A = tcp4(); A.bind(127.0.0.1:P)?; A.name()", {"A.bind": "EACCES", "A.name": "127.0.0.1:999"}, {}),
        ("L = tcp4(); L.bind(127.0.0.1:P); L.listen(); S = L.accept(); S.name()", {"S.name": "1.2.3.4:9"}, {"P": 9}),
        (
            "A = udp4(); A.bind(127.0.0.1:P); B = udp4(); B.bind(127.0.0.2:A.port); B.name()",
            {"B.name": "127.0.0.1:9"},
            {"P": 9},
        ),
        ("A = udp4(); A.bind(127.0.0.1:P); A.connect(127.0.0.1:Q); A.name()", {"A.name": "127.0.0.1:9"}, {"P": 9}),
        ("A = udp4(); A.bind(127.0.0.1:P); A.disconnect(); A.name()", {"A.name": "127.0.0.1:9"}, {"P": 9}),
        ("A = udp4(); A.bind(127.0.0.1:P); A.disconnect(); A.send(); A.name()", {"A.name": "127.0.0.1:9"}, {}),
        (
            "A = udp4(); A.bind(127.0.0.1:P); A.name(); A.name()",
            {"A.name": "127.0.0.1:9", "A.name#2": "127.0.0.1:8"},
            {"P": 9},
        ),
        ("A = udp4(); A.bind(127.0.0.1:P); A.name()", {"A.name": "127.0.0.1:0"}, {}),
        ("A = udp4(); A.bind(127.0.0.1:P); A.name()", {"A.name": "127.0.0.1:65536"}, {}),
        ("A = udp4(); A.bind(127.0.0.1:P); A.name(); A.connect(127.0.0.1:9)", {"A.name": "127.0.0.1:9"}, {}),
        ("ephemeral 5-9; A = udp4(); A.bind(127.0.0.1:P); A.name()", {"A.name": "127.0.0.1:9"}, {}),
        (
            "A = udp4(); A.bind(127.0.0.1:P); A.name(); B = udp4(); B.bind(127.0.0.1:Q); B.name()",
            {"A.name": "127.0.0.1:9", "B.name": "127.0.0.1:9"},
            {"P": 9},
        ),
    ],
)
def test_what_a_symbol_stood_for(
    conformance: Callable[..., Path], text: str, values: dict[str, str], ports: dict[str, int]
) -> None:
    text = text.replace("; ", "\n")
    rule = SHARING[: SHARING.index("scenario =")].replace('claims.X-1 = { "B.bind" = "EADDRINUSE" }', 'fact = "x"')
    rule = rule.replace('axes.family = ["ip4", "ip6"]', "") + f"scenario = '''\n{text}\n'''\n"
    suite = loader.load(conformance(sharing=rule), rules=["sharing"])
    steps = [
        {"step": label, "outcome": "ok", "value": values[label]}
        if values.get(label, "E")[0] != "E"
        else {"step": label, "outcome": values.get(label, "ok"), "value": None}
        for label in (step.label for step in parse(text).steps)
    ]
    entry = json.dumps({"platform": "linux-6.18.44", "title": "sharing/taken", "steps": steps})
    assert of_scenario(answer(entry, "here")[1], suite.variants[0].scenario, "here").ports == ports
