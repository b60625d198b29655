"""What the recorder finds may be accepted: by a mark, a comment, or a baseline; and a run may fail by ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sockreuse.data import DataError
from pytest_sockreuse.live.port_blocks import given
from pytest_sockreuse.recorder.accepted import Entry, load

TEST = """
import socket
import pytest

def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0)){comment}
        return sock.getsockname()[1]

{mark}
def test_server():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", free_port()))
        sock.listen()
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nsockreuse_baseline = accepted.toml")
    return pytester


def write(project: pytest.Pytester, mark: str = "", comment: str = "") -> None:
    (project.path / "accepted.toml").touch()
    project.makepyfile(test_it=TEST.format(mark=mark, comment=comment))


def test_a_number_that_a_lease_had_before_the_run_is_anybodys(project: pytest.Pytester) -> None:
    write(project)
    given.update(range(1, 65536))
    project.runpytest_inprocess("--sockreuse-record-fail=guessed-port").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("mark", "comment", "accepted"),
    [
        ("", "", False),
        ("@pytest.mark.sockreuse_accept('guessed-port')", "", True),
        ("@pytest.mark.sockreuse_accept('fixed-port')", "", False),
        ("", "  # sockreuse: accept=guessed-port", True),
        ("", "  # sockreuse: accept=fixed-port, guessed-port", True),
        ("", "  # sockreuse: accept=fixed-port", False),
    ],
)
def test_by_a_mark_or_a_comment_on_the_line(project: pytest.Pytester, mark: str, comment: str, accepted: bool) -> None:
    write(project, mark, comment)
    result = project.runpytest_inprocess("--sockreuse-record-fail=guessed-port")
    result.assert_outcomes(passed=accepted, failed=not accepted)
    if accepted:
        result.stdout.fnmatch_lines(["accepted: 1  guessed-port", "nothing found"])
    else:
        result.stdout.fnmatch_lines(["guessed-port at test_it.py:6*"])


@pytest.mark.parametrize(("name", "why"), [("no/dir/x", "x: No such file or directory"), ("loop", "loop: Too many*")])
def test_a_baseline_that_cannot_be_written_is_said_at_the_start(project: pytest.Pytester, name: str, why: str) -> None:
    write(project)
    (project.path / "loop").symlink_to("loop")
    result = project.runpytest_inprocess("--sockreuse-record-accept", "-o", f"sockreuse_baseline={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: sockreuse_baseline: {why}"])


def test_by_a_baseline_that_the_run_writes(project: pytest.Pytester) -> None:
    write(project)
    (project.path / "accepted.toml").unlink()
    project.runpytest_inprocess("--sockreuse-record-accept").stdout.fnmatch_lines(
        ["sockreuse: 1 entries are in accepted.toml", "accepted: 1  guessed-port", "nothing found"]
    )
    entry = Entry("guessed-port", "test_it.py", 'sock.bind(("127.0.0.1", 0))')
    assert load(project.path / "accepted.toml") == {entry: ""}
    project.runpytest_inprocess("--sockreuse-record-fail=guessed-port").assert_outcomes(passed=1)
    project.makepyfile(test_it="\n\n" + TEST.format(mark="", comment=""))  # it has moved
    project.runpytest_inprocess("--sockreuse-record-fail=guessed-port").assert_outcomes(passed=1)


def test_an_entry_that_matches_nothing_is_named(project: pytest.Pytester) -> None:
    write(project, "@pytest.mark.sockreuse_accept('guessed-port')")
    (project.path / "accepted.toml").write_text("[[accepted]]\nid = 'fixed-port'\nat = 'a.py'\nsource = 'old()'\n")
    project.runpytest_inprocess("--sockreuse-record").stdout.fnmatch_lines(
        ["the baseline accepts what this run did not show: fixed-port at a.py: old()"]
    )


def test_reasons_stay(project: pytest.Pytester) -> None:
    write(project)
    text = (
        "[[accepted]]\nid = 'guessed-port'\nat = 'test_it.py'\n"
        "source = 'sock.bind((\"127.0.0.1\", 0))'\nreason = 'it is old'\n"
    )
    (project.path / "accepted.toml").write_text(text)
    project.runpytest_inprocess("--sockreuse-record-accept").assert_outcomes(passed=1)
    assert list(load(project.path / "accepted.toml").values()) == ["it is old"]


def test_ids_decide_what_fails_a_run(project: pytest.Pytester) -> None:
    write(project)
    project.runpytest_inprocess("--sockreuse-record-fail", "test_it.py").assert_outcomes(passed=1)
    project.runpytest_inprocess("--sockreuse-record-fail=bind-conflict").assert_outcomes(passed=1)
    project.runpytest_inprocess("--sockreuse-record-fail=bind-conflict,guessed-port").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("arguments", "mark", "message"),
    [
        (
            ["--sockreuse-record-fail=gessed-port"],
            "",
            "*--sockreuse-record-fail: nothing is found under the id *perhaps *",
        ),
        (
            ["--sockreuse-record"],
            "@pytest.mark.sockreuse_accept('x')",
            "*test_it.py::test_server: sockreuse_accept: *'x'*",
        ),
        (
            ["--sockreuse-record-accept", "-o", "sockreuse_baseline="],
            "",
            "*--sockreuse-record-accept: the ini file names *",
        ),
    ],
)
def test_what_is_wrong_is_one_clear_line(
    project: pytest.Pytester, arguments: list[str], mark: str, message: str
) -> None:
    write(project, mark)
    result = project.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in str(result.stderr) + str(result.stdout)
    result.stderr.fnmatch_lines([message])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accepted = 3", "base.toml:1: `accepted` is no table; write"),
        ("[other]\n", "base.toml:1: 'other' is not known"),
        ("[[accepted]]\nid = 'a'\nat = 'b'\n", "base.toml:1: source is missing"),
        ("\n[[accepted]]\nid = 1\nat = 'b'\nsource = ''\n", "base.toml:2: id should be a text"),
        ("[[accepted]]\nid = 'a'\nat = 'b'\nsource = ''\nline = '3'\n", "base.toml:1: 'line' is not known"),
        ("[[accepted]]\nid = 'a'\nat = 'b'\nsource = ''\n" * 2, "base.toml:5: a at b is there twice"),
        ("[[accepted]]\n" * 10_001, "base.toml:1: has 10001 entries"),
        ("[[accepted\n", "base.toml:1"),
        ("[[accepted]]\nid = 'a'\nat = 'b'\nsource = '" + "x" * 2000 + "'\n", "source should be a text of at most"),
    ],
)
def test_a_baseline_is_read_strictly(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "base.toml"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        load(file)
    assert message in str(caught.value)
