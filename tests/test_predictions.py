"""What is printed of predictions: `predict --why`, `compare` and the book of `clauses`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sockreuse.cli import main
from pytest_sockreuse.model import families, predict, predictions
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, known, named
from pytest_sockreuse.report.predictions import compare

Capture = pytest.CaptureFixture[str]

TAKEN = "A = tcp4()\nA.bind(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\n"
TWO_WILDCARDS = """
four = tcp4(SO_REUSEADDR)
four.bind(0.0.0.0:P)
six = tcp6(SO_REUSEADDR)
six.bind([::]:P)
four.listen()
six.listen()
"""
CONNECTION = """
L = tcp4(SO_REUSEADDR)
L.bind(127.0.0.1:P)
L.listen()
C = tcp4(SO_REUSEADDR)
C.bind(127.0.0.1:Q)
C.connect(127.0.0.1:P)
"""
SAME_TUPLE = CONNECTION + "D = tcp4(SO_REUSEADDR)\nD.bind(127.0.0.1:Q)\nD.connect(127.0.0.1:P)\n"
RESTART = CONNECTION.replace("SO_REUSEADDR", "") + (
    "S = L.accept()\nS.close()\nC.eof()\nC.close()\nL.close()\nN = tcp4()\nN.bind(127.0.0.1:P)\n"
)


def written(text: str, tmp_path: Path) -> str:
    path = tmp_path / "a.scenario"
    path.write_text(text)
    return str(path)


def on(stack: str) -> list[Platform]:
    return [platform for platform in known() if platform.stack == stack]


def compared(text: str, platforms: list[Platform], width: int = 0) -> list[str]:
    found = predictions(parse(text), platforms)
    return compare(list(zip(platforms, found, strict=True)), width).splitlines()


# --- the socket in the way --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", families())
@pytest.mark.parametrize("kind", ["tcp4", "udp4"])
def test_a_conflict_names_the_other_socket(kind: str, stack: str) -> None:
    text = f"X = tcp4()\nX.bind(127.0.0.1:Q)\n{TAKEN.replace('tcp4', kind)}"
    step = predict(parse(text), on(stack)[-1]).steps[-1]
    assert (step.outcomes, step.against) == (("EADDRINUSE",), "A")


@pytest.mark.parametrize("platform", ["linux-6.18", "gvisor-20240729"])
def test_a_closed_socket_is_named_that_keeps_the_port(platform: str) -> None:
    step = predict(parse(RESTART), named(platform)).steps[-1]
    assert (step.outcomes, step.against) == (("EADDRINUSE",), "S")


def test_a_connection_is_named_whose_tuple_is_wanted() -> None:
    step = predict(parse(SAME_TUPLE), named("linux-6.18")).steps[-1]
    assert (step.outcomes, step.clause, step.against) == (("EADDRNOTAVAIL",), "tuple-busy", "C")


def test_a_connection_without_a_name_is_called_that() -> None:
    text = CONNECTION.replace("SO_REUSEADDR", "SO_REUSEPORT")
    text += "N = tcp4(SO_REUSEPORT)\nN.bind(127.0.0.1:P)\nN.connect(127.0.0.1:Q)\n"
    step = predict(parse(text), named("linux-6.18")).steps[-1]
    assert (step.clause, step.against) == ("tuple-busy", "a connection not accepted")


@pytest.mark.parametrize("stack", families())
def test_only_a_failure_has_another_socket(stack: str) -> None:
    for text in (TAKEN, TWO_WILDCARDS, SAME_TUPLE, RESTART, "ephemeral 40000-40000\n" + TAKEN.replace(":P", ":0")):
        for step in predict(parse(text), on(stack)[-1]).steps:
            assert not step.against or step.outcomes[0].startswith("E")
            assert "exhausted" not in step.clause or not step.against


# --- why --------------------------------------------------------------------------------------------------------------


def test_why_prints_the_other_socket_and_the_versions(tmp_path: Path, capsys: Capture) -> None:
    assert main(["predict", written(TAKEN, tmp_path), "--on", "linux-6.18", "--why"]) == 0
    rows, clause = capsys.readouterr().out.split("\n\n")
    assert rows.splitlines()[-1] == "B.bind    EADDRINUSE  bind-conflict, against A"
    assert clause.startswith("bind-conflict\n    Sockets at one port")
    assert clause.rstrip().endswith("(measured), every version")
    scenario = "A = tcp4(SO_REUSEADDR)\nA.bind(127.0.0.1:P)\nB = tcp4(SO_REUSEADDR)\nB.bind(127.0.0.1:P)\n"
    assert main(["predict", written(scenario, tmp_path), "--on", "linux-6.1", "--why"]) == 0
    assert "(measured), until 6.8\n" in capsys.readouterr().out


def test_why_as_json_has_the_clauses(tmp_path: Path, capsys: Capture) -> None:
    assert main(["predict", written(TAKEN, tmp_path), "--on", "freebsd-14.0", "--why", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"][-1] == {
        "step": "B.bind",
        "outcomes": ["EADDRINUSE"],
        "clause": "bind-conflict",
        "against": "A",
    }
    (clause,) = found["clauses"]
    assert clause["name"] == "bind-conflict"
    assert set(clause) == {"name", "sentence", "source", "confidence", "since", "until"}
    assert main(["predict", written(TAKEN, tmp_path), "--on", "freebsd-14.0", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["platform", "steps"]


# --- compare ----------------------------------------------------------------------------------------------------------


def test_versions_that_do_the_same_by_another_clause_are_one_column() -> None:
    platforms = [*on("linux"), *on("macos")]
    head, *rows = compared(TWO_WILDCARDS, platforms)
    labels = [f"{group[0].label} to {group[-1].label}" for group in (on("linux"), on("macos"))]
    assert head.split() == f"Linux {labels[0]} macOS {labels[1]}".split()
    assert [row.split() for row in rows] == [["six.listen", "EADDRINUSE", "ok"]]


def test_a_table_that_is_too_wide_has_a_row_for_each_group() -> None:
    platforms = [named(name) for name in ("linux-6.18", "freebsd-14.0", "windows-11")]
    wide = compared(RESTART, platforms)
    assert compared(RESTART, platforms, width=max(map(len, wide))) == wide
    assert [line.split() for line in compared(RESTART, platforms, width=max(map(len, wide)) - 1)] == [
        ["N.bind"],
        ["Linux", "6.18.44", "EADDRINUSE"],
        ["FreeBSD", "14.0", "ok"],
        ["Windows", "11", "ok"],
    ]


def test_compare_asks_how_wide_the_terminal_is(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["compare", written(RESTART, tmp_path)]
    monkeypatch.setenv("COLUMNS", "60")
    assert main(arguments) == 0
    assert len(capsys.readouterr().out.splitlines()[0].split()) == 1
    monkeypatch.setenv("COLUMNS", "1000")
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[0] == "Linux"


# --- the book ---------------------------------------------------------------------------------------------------------


def clauses(capsys: Capture, *arguments: str) -> list[dict[str, object]]:
    assert main(["clauses", "--json", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_book_has_every_clause(capsys: Capture) -> None:
    found = clauses(capsys)
    wanted = {(stack, name) for stack, family in families().items() for name in family.BOOK.clauses}
    old = {("wine", name) for name in families()["wine"].HOST.clauses}  # of which only those of the newest host hold
    assert wanted - old <= {(clause["stack"], clause["name"]) for clause in found} <= wanted
    assert main(["clauses"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n{clause['name']}\n    {clause['sentence']}\n" in text for clause in found)


def test_the_book_of_a_platform_has_what_holds_there(capsys: Capture) -> None:
    old, new = ({clause["name"] for clause in clauses(capsys, "--on", name)} for name in ("linux-6.1", "linux-6.18"))
    assert "fastreuse-remembers" in old - new


def test_a_clause_asked_for_by_name_has_its_case(capsys: Capture) -> None:
    (found,) = clauses(capsys, "listener-excludes", "--on", "linux-6.18")
    case, platform = str(found["case"]), named("linux-6.18")
    assert found["platform"] == platform.name
    assert main(["clauses", "listener-excludes"]) == 0
    assert f"    pinned by {case} (linux-7" in capsys.readouterr().out


def test_a_clause_or_a_model_that_is_not_there_is_one_line(capsys: Capture) -> None:
    for arguments, says in (
        (["listner-excludes"], "no clause 'listner-excludes', perhaps listener-excludes or "),
        (["--on", "linux-5.4"], "linux-5.4: Linux before 5.7 is not modelled"),
    ):
        assert main(["clauses", *arguments]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith(f"sockreuse: {says}")
