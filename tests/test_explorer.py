"""Exploration: what is drawn, what is found, how small it is made; the small scope; platforms told apart."""

from __future__ import annotations

import io
import itertools
import json
import re
from pathlib import Path
from random import Random

import pytest

from pytest_sockreuse.cli import main
from pytest_sockreuse.explorer.differential import Disagreement, disagreement, shrink
from pytest_sockreuse.explorer.distinguish import resemble, shortest, show, to_json
from pytest_sockreuse.explorer.draw import texts
from pytest_sockreuse.explorer.exhaustive import Count, longest
from pytest_sockreuse.explorer.fuzz import Fuzz, Tally, explore
from pytest_sockreuse.explorer.graph import Graph
from pytest_sockreuse.explorer.scope import Scope
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import predict, predict_state
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current, named
from pytest_sockreuse.scenario import Observation, Scenario, StepOutcome

LINUX, OLD = named("linux-6.18"), named("linux-5.10")
on_linux = pytest.mark.skipif(current().stack != "linux", reason="the model that is tried is that of Linux")


def seen(scenario: Scenario) -> Observation:
    """What the whole model says, as if this OS had done it."""
    steps, ports = [], {"P": 10000, "Q": 10001}
    for step in predict(scenario, LINUX).steps:
        value = str(step.values[0]) if step.values else None
        for symbol, port in ports.items():
            value = value and value.replace(f":{symbol}", f":{port}")
        steps.append(StepOutcome(step.step, step.outcomes[0], value))
    return Observation(LINUX.name, tuple(steps), ports)


def without(clause: str, scenario: Scenario) -> Disagreement | None:
    return disagreement(scenario, LINUX, seen(scenario), {clause})


# --- random -----------------------------------------------------------------------------------------------------------


def test_every_text_is_a_scenario_and_a_seed_repeats_it() -> None:
    drawn = list(itertools.islice(texts(1, True), 300))
    assert all(parse(text).steps for text in drawn)
    assert len(set(drawn)) > 290
    assert drawn == list(itertools.islice(texts(1, True), 300))
    assert drawn != list(itertools.islice(texts(2, True), 300))


def test_users_are_drawn_only_where_there_are_any() -> None:
    assert any(" as user1" in text for text in itertools.islice(texts(1, True), 300))
    assert not any(" as user1" in text for text in itertools.islice(texts(1, False), 300))


def test_a_disagreement_is_made_small() -> None:
    text = """
ephemeral 40000-40004
S = udp4()
S.bind(127.0.0.1:Q)
A = tcp4(SO_REUSEADDR, SO_LINGER=0) as user1
A.bind(127.0.0.2:P)?
A.name()
A.listen()
B = tcp4(SO_REUSEADDR, IP_FREEBIND)
B.bind(0.0.0.0:A.port)?
B.name()
B.close()
"""
    found = without("listener-excludes", parse(text))
    assert found is not None
    small = shrink(found, lambda scenario: without("listener-excludes", scenario))
    assert str(small.scenario) == (
        "A = tcp4(SO_REUSEADDR)\nA.listen()\nB = tcp4(SO_REUSEADDR)\nB.bind(0.0.0.0:A.port)\n"
    )
    assert "B.bind(0.0.0.0:A.port)   # EADDRINUSE   <-- the model: ok (reuseaddr-shares)" in str(small)
    assert str(parse(str(small)).steps[-1]) == "B.bind(0.0.0.0:A.port)"


def test_what_cannot_follow_is_a_disagreement_too() -> None:
    scenario = parse("A = tcp4()\nA.bind(127.0.0.1:P)\nA.name()\n")
    right = seen(scenario)
    wrong = Observation(right.platform, (*right.steps[:2], StepOutcome("A.name", "ok", "127.0.0.1:9")), {"P": 10000})
    found = disagreement(scenario, LINUX, wrong)
    assert found is not None
    assert found.at == 2


@on_linux
@pytest.mark.usefixtures("namespaces")
def test_a_broken_model_is_found_out() -> None:
    with Runner() as runner:
        tally = Fuzz(runner, current(), 2, {"bind-conflict"}).run(150)
    assert tally.found
    assert tally.performed == 150
    assert min(len(found.scenario.steps) for found in tally.found) == 4


@on_linux
@pytest.mark.usefixtures("namespaces")
def test_the_model_is_right_about_a_few() -> None:
    with Runner() as runner:
        tally = Fuzz(runner, current(), 7).run(200)
    lines = list(tally.lines())
    assert not tally.kinds, "\n".join(lines)
    assert lines[0].startswith("200 scenarios performed in ")


@on_linux
@pytest.mark.usefixtures("namespaces")
def test_an_interrupt_loses_nothing_that_was_found() -> None:
    said: list[str] = []

    def interrupt(tally: Tally) -> None:
        if tally.performed >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(current(), 7, 1000, None, said.append, interrupt)
    assert re.fullmatch(r"2\d scenarios performed in [0-9.]+ s, 0 disagreements", said[0])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@on_linux
@pytest.mark.usefixtures("namespaces")
def test_how_far_an_exploration_is_is_told_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main("explore --count 3 --seed 7".split()) == 0
    assert capsys.readouterr().err == ""
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", terminal := Terminal())
        assert main("explore --count 3 --seed 7".split()) == 0
    assert terminal.getvalue() == "0 of 3 scenarios performed, 0 disagreements\r"


def test_hostile_scenarios_are_predicted_or_refused_soon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "S[1-4999] = tcp4()\nS[1-4999].bind(127.0.0.1:P)?\n"
    assert [step.outcomes for step in predict(parse(text), LINUX).steps][-1] == ("EADDRINUSE",)
    crowd = "S[1-4999] = tcp4(SO_REUSEADDR)\nS[1-4999].bind(127.0.0.1:P)\n"
    file = tmp_path / "crowd"
    file.write_text(crowd + "A = tcp4()\nA.bind(127.0.0.1:P)\n")
    assert main(["predict", str(file), "--on", "linux-6.18"]) == 2
    assert "takes more than 2000000 comparisons of sockets to predict" in capsys.readouterr().err
    file.write_text("S[1-99999999] = tcp4()\n")
    assert main(["predict", str(file), "--on", "linux-6.18"]) == 2
    assert "expected at most 10000 steps in a scenario" in capsys.readouterr().err


# --- exhaustive -------------------------------------------------------------------------------------------------------


def predicted(scenario: Scenario) -> tuple[str, ...]:
    return tuple("|".join(step.outcomes) for step in predict(scenario, LINUX).steps)


@pytest.mark.parametrize(
    ("scope", "count", "longest_ones"), [(Scope("tcp", 4), 6164, 5812), (Scope("udp", 6), 6636, 6260)]
)
def test_the_small_scope_is_made_of_scenarios(scope: Scope, count: int, longest_ones: int) -> None:
    graph, found = Graph(scope, LINUX), Count()
    paths = list(longest(graph, graph.root, 3, found))
    assert (found.scenarios, found.unknown, len(paths)) == (count, 0, longest_ones)
    assert len({path.text for path in paths}) == len(paths)
    for path in paths:
        scenario = parse(path.text)
        assert [str(step) for step in scenario.steps] == [str(step) for step in path.steps]
        assert sum(step.verb != "socket" for step in path.steps) == path.depth <= 3
        assert predicted(scenario) == path.predicted


@pytest.mark.parametrize("scope", [Scope("tcp", 4), Scope("tcp", 6), Scope("udp", 4)])
def test_paths_that_meet_go_on_alike(scope: Scope) -> None:
    graph, dice = Graph(scope, LINUX), Random(1)
    for _ in range(150):
        path, further = graph.root, [*graph.longer(graph.root, 7)]
        while further:
            path = dice.choice(further)
            further = [*graph.longer(path, 7)]
        assert predicted(parse(path.text)) == path.predicted


def test_what_a_model_remembers_has_a_digest() -> None:
    made = "A = tcp4(SO_REUSEADDR)\nA.bind(127.0.0.1:P)\n"
    set_ = "A = tcp4()\nA.set(SO_REUSEADDR=1)\nA.bind(127.0.0.1:P)\n"
    late = "A = tcp4()\nA.bind(127.0.0.1:P)\n"
    digests = [predict_state(parse(text), OLD)[1] for text in (made, set_, late, late + "A.set(SO_REUSEADDR=1)\n")]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3  # what was remembered of the port when it was bound differs
    assert len({*digests, predict_state(parse(late + "wait 1\n"), OLD)[1]}) == 4


@on_linux
@pytest.mark.usefixtures("namespaces")
def test_everything_of_three_calls(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    progress = str(tmp_path / "progress")
    arguments = ["explore", "--exhaustive", "3", "--processes", "2", "--protocol", "udp", "--resume", progress]
    assert main(arguments) == 0
    first = capfd.readouterr().out
    assert ": 0 disagreements, 0 that did not repeat" in first
    assert main(arguments) == 0
    again = capfd.readouterr().out
    assert again.split(" pieces, ")[1].startswith(first.partition(" calls: ")[2].partition(" pieces")[0])
    assert first.splitlines()[-1].partition(";")[0] == again.splitlines()[-1].partition(";")[0]
    arguments[2] = "2"
    assert main(arguments) == 2
    assert ":1: is not the progress of this exploration, {" in capfd.readouterr().err


PIECE = (
    '["A = udp4() / A.bind(127.0.0.1:P) / A.disconnect()", '
    '{"scenarios": 1, "performed": 1, "unknown": 0, "unrepeated": 0, "disagreements": []}]'
)


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ('{"sockreuse-explore": 2, "sco', 1),
        ("\xff\xfe", 1),
        ("null\n", 1),
        ("[" * 100_000, 1),
        ("9" * 100_000, 1),
        *(
            (f"{{}}\n{line}\n", 2)
            for line in (
                "",
                "null",
                "[1]",
                PIECE.partition(", ")[0] + "]",
                PIECE.replace("A.bind", "A.fly"),
                PIECE.replace('"unknown": 0, ', ""),
                PIECE.replace("unknown", "\x1b[31m"),
                PIECE.replace('"performed": 1', '"performed": -1'),
                PIECE.replace('"performed": 1', '"performed": true'),
                PIECE.replace("[]}", "5}"),
                PIECE.replace("[]}", "[5]}"),
            )
        ),
    ],
    ids=lambda value: ascii(value)[-30:],
)
def test_a_line_that_is_no_progress_is_named(
    text: str, line: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "progress"
    header = {"sockreuse-explore": 2, "scope": "udp4", "size": 3, "platform": "linux-6.18.44"}
    path.write_text(text.replace("{}", json.dumps(header), 1), encoding="latin-1")
    assert main([*"explore --exhaustive 3 --protocol udp --on linux-6.18 --resume".split(), str(path)]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"sockreuse: {path}:{line}: is not the progress of this exploration, {{")
    assert error.count("\n") == 1


@pytest.mark.usefixtures("namespaces")
def test_progress_that_cannot_be_kept_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path, why in ((tmp_path, "is no file"), (tmp_path / "no" / "where", "No such file or directory")):
        assert main(["explore", "--exhaustive", "1", "--on", "linux-6.18", "--resume", str(path)]) == 2
        assert capfd.readouterr().err == f"sockreuse: {path}: {why}\n"


# --- platforms told apart ---------------------------------------------------------------------------------------------


def test_platforms_are_told_apart_by_short_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    found = shortest([LINUX, named("freebsd-14.0")], 3)
    assert len(found) == 3
    assert all(len(set(difference.sides)) == 2 for difference in found)
    assert len(found[0].scenario.steps) <= 4
    assert main(["distinguish", "linux-6.18"]) == 2
    assert capsys.readouterr().err == "sockreuse: distinguish needs two platforms at least\n"


@on_linux
@pytest.mark.usefixtures("namespaces")
def test_this_linux_resembles_linux() -> None:
    found = resemble([named("macos-15"), named("linux-7.3"), named("openbsd-7")])
    assert found[0].platform.stack == "linux"
    assert not found[0].differs
    assert found[1].differs
    assert show(found).startswith("this OS behaves like linux-7.3.4\n")
    assert json.loads(to_json(found))[0]["platform"] == "linux-7.3.4"


@on_linux
@pytest.mark.usefixtures("namespaces")
def test_exploration_is_part_of_a_run(pytester: pytest.Pytester, installed: bool) -> None:
    pytester.makepyfile("def test(): pass")
    plugin = [] if installed else ["-p", "pytest_sockreuse.plugin"]
    result = pytester.runpytest_subprocess(*plugin, "-v", "--sockreuse-explore=40")
    result.assert_outcomes(passed=2)
    result = pytester.runpytest_subprocess(*plugin, "--sockreuse-explore=0")
    result.stderr.fnmatch_lines(["ERROR: --sockreuse-explore: expected 1 to 1000000 scenarios, not 0"])
    result = pytester.runpytest_subprocess(*plugin, f"--sockreuse-explore={10**20}")
    result.stderr.fnmatch_lines([f"ERROR: --sockreuse-explore: expected 1 to 1000000 scenarios, not {10**20}"])
