"""The command `sockreuse`: what it prints, and that a user's mistake is one line and exit status 2."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pytest_sockreuse import __version__, cli, platforms
from pytest_sockreuse.live.runner import Broken, Runner
from pytest_sockreuse.parser import MAX_LINE

TAKEN = "A = tcp4()\nA.bind(127.0.0.1:P)\nA.name()\nB = tcp4()\nB.bind(127.0.0.1:P)\n"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "taken.txt"
    path.write_text(TAKEN)
    return path


def mistake(capsys: Capture, *arguments: str) -> str:
    """The one line that a mistake prints."""
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sockreuse: ")
    assert err.count("\n") == 1
    return err.removeprefix("sockreuse: ").rstrip("\n")


def test_run_prints_a_line_for_each_step(scenario: Path, capsys: Capture) -> None:
    assert cli.main(["run", str(scenario)]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert err == ""
    assert [row[:2] for row in rows] == [
        ["A.socket", "ok"],
        ["A.bind", "ok"],
        ["A.name", "ok"],
        ["B.socket", "ok"],
        ["B.bind", "EADDRINUSE"],
    ]
    assert rows[2][2].startswith("127.0.0.1:")


def test_run_json_is_the_object_of_the_contract(scenario: Path, capsys: Capture) -> None:
    assert cli.main(["run", "--json", str(scenario)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert list(found) == ["platform", "steps"]
    assert found["platform"] == platforms.current().name
    assert found["steps"][4] == {"step": "B.bind", "outcome": "EADDRINUSE", "value": None}
    assert isinstance(found["steps"][2]["value"], str)


def test_many_scenarios(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "many.txt"
    path.write_text("".join(f"--- number {n}\n{TAKEN}" for n in range(30)))
    assert cli.main(["run", str(path), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["title"] for entry in found] == [f"number {n}" for n in range(30)]
    assert {entry["steps"][4]["outcome"] for entry in found} == {"EADDRINUSE"}
    assert cli.main(["run", str(path)]) == 0
    assert capsys.readouterr().out.count("--- number ") == 30


def test_not_run_says_why(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "kernel.txt"
    path.write_text("sysctl kernel.hostname = x\nA = tcp4()\n")
    assert cli.main(["run", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["platform", "not_run"]
    assert found["not_run"]
    assert cli.main(["run", str(path)]) == 0
    assert capsys.readouterr().out == f"not run: {found['not_run']}\n"


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    stdin(monkeypatch, TAKEN.encode())
    assert cli.main(["run", "-"]) == 0
    assert "EADDRINUSE" in capsys.readouterr().out
    stdin(monkeypatch, b"A = tcp5()")
    assert mistake(capsys, "run", "-").startswith("<stdin>:1:5: expected a socket kind")


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        (b"A = tcp4()\n  A.bnd(1)", "2:5", "expected one of "),
        (b"--- a\nA = tcp4()\n--- b\nA = tcp4()\nA = tcp4()", "5:1", "bound already"),
        (b"A = tcp4(SO_REUSEADDRR)", "1:10", "SO_REUSEADDR"),
        (b"x" * 10_000_000, f"1:{MAX_LINE + 1}", "at most"),
        (b"S[1-1000000000] = tcp4()", "1:2", "expected"),
        (b"S[1-999999999] = tcp4()", "1:2", "at most"),
        (b"A = tcp4()\0", "1:11", "printable"),
        (b"\xff\xfeA", "1:1", "UTF-8"),
    ],
    ids=["call", "second", "option", "line", "huge", "large", "nul", "utf-16"],
)
def test_a_scenario_that_does_not_parse(tmp_path: Path, capsys: Capture, data: bytes, place: str, says: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(data)
    line = mistake(capsys, "run", str(path))
    assert line.startswith(f"{path}:{place}: ")
    assert says in line
    assert len(line) < len(str(path)) + 400


def test_files_that_cannot_be_read(tmp_path: Path, capsys: Capture, scenario: Path) -> None:
    absent = tmp_path / "absent.txt"
    assert mistake(capsys, "run", str(absent)) == f"{absent}: No such file or directory"
    assert mistake(capsys, "run", str(tmp_path)).startswith(f"{tmp_path}: ")
    assert mistake(capsys, "run", str(scenario / "below")).startswith(f"{scenario / 'below'}: ")


def test_a_title_turns_no_reading_direction(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "title.txt"
    path.write_text(f"--- \u202edlrow\n{TAKEN}", encoding="utf-8")
    for command in (["run"], ["predict", "--on", "linux-6.18"], ["compare", "--on", "linux-6.18,windows-11"]):
        assert cli.main([command[0], str(path), *command[1:]]) == 0
        assert capsys.readouterr().out.startswith("--- \\u202edlrow\n")


def test_nobody_waits_for_a_pipe_that_nobody_writes_to(tmp_path: Path, capsys: Capture) -> None:
    if sys.platform == "win32":
        pytest.skip("pipes of Unix")
    os.mkfifo(pipe := tmp_path / "pipe")
    for command in (["run", str(pipe)], ["results", "check", str(pipe)]):
        assert mistake(capsys, *command) == f"{pipe}: nobody writes to this pipe: start first what does"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(capsys: Capture, scenario: Path) -> None:
    scenario.chmod(0)
    assert mistake(capsys, "run", str(scenario)) == f"{scenario}: Permission denied"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "COMMAND"),
        ("fly", "'fly'"),
        ("\x1b[31m", r"\x1b[31m"),
        ("run", "FILE"),
        ("run a b", "b"),
        ("run --yaml a", "--yaml"),
        ("run no\x1b[31mwhere", r"no\x1b[31mwhere: No such file"),
        ("predict a", "--on"),
        ("predict a --on linux-6.18,windows-11", "expected one platform, not 'linux-6.18,windows-11'"),
        ("predict a --on beos-5", "no platform 'beos-5'"),
        ("compare a --on linux-6.18,", "no platform ''"),
        ("compare a --on=", "no platform ''"),
        ("explore --on=", "no platform ''"),
        ("explore --on linux-6.18,windows-11", "expected one platform"),
        ("explore --count -1", "expected a whole number from 1"),
        ("explore --count 0", "expected a whole number from 1"),
        ("explore --count 1e9", "expected a whole number from 1"),
        ("explore --count " + "9" * 5000, "expected a whole number from 1"),
        ("explore --seconds nan", "expected a number of seconds above 0"),
        ("explore --seconds inf", "expected a number of seconds above 0"),
        ("report --html=", "expected the name of a file, not ''"),
        ("report --badges=", "expected the name of a file, not ''"),
        ("export ", "expected the name of a file, not ''"),
        ("explore --seconds x", "expected a number of seconds above 0"),
        ("explore --exhaustive -1", "expected a whole number from 1"),
        ("explore --exhaustive 1 --processes 0", "expected a whole number from 1"),
        ("explore --seed x", "'x'"),
        ("explore --count 1 --seconds 1", "not allowed with"),
        ("distinguish linux-6.18 beos-5", "no platform 'beos-5'"),
        ("results", "COMMAND"),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line(line: str, says: str, capsys: Capture) -> None:
    message = mistake(capsys, *line.split(" ") if line else [])
    assert says in message
    assert len(message) < 1500


def test_each_command_is_there() -> None:
    for place in cli.COMMANDS.values():
        module, _, function = place.partition(".")
        assert callable(getattr(import_module(f"pytest_sockreuse.commands.{module}"), function))


def test_every_command_has_help_that_any_terminal_can_show(capsys: Capture) -> None:
    for command in (*cli.COMMANDS, "", "results"):
        assert cli.main([*command.split(), "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: sockreuse {command}")


def test_version(capsys: Capture) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"sockreuse {__version__}\n"


def test_a_scenario_that_breaks_does_not_take_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    path = tmp_path / "many.txt"
    path.write_text("--- one\nA = tcp4()\n--- two\nB = tcp4()\n")
    real, calls = Runner.answer, iter([True, False])

    def answer(self: Runner) -> Any:
        observation = real(self)
        if next(calls):
            raise Broken("the worker process ended with status -9 in the middle of the scenario")
        return observation

    monkeypatch.setattr(Runner, "answer", answer)
    assert cli.main(["run", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out.split() == ["---", "two", "B.socket", "ok"]
    assert err == "sockreuse: one: the worker process ended with status -9 in the middle of the scenario\n"


def test_platform(capsys: Capture) -> None:
    assert cli.main(["platform", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(platforms.describe()))
    assert {"platform", "stack", "version", "flavour", "release", "machine", "python", "knobs"} <= set(found)
    assert cli.main(["platform"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["platform", found["platform"]]
    for name, value in found["knobs"].items():
        assert f"{name} " in out
        assert value in out


# --- as a process -----------------------------------------------------------------------------------------------------


def command(*arguments: str, encoding: str = "utf-8", **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": encoding}
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest_sockreuse.cli", *arguments],
        env=environment,
        timeout=60,
        check=False,
        **options,
    )


def test_it_is_a_program() -> None:
    run = command("run", "-", input=TAKEN.encode(), capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")
    assert b"EADDRINUSE" in run.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_an_output_of_another_encoding_is_no_traceback(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "title.txt"
    path.write_text(f"--- сокет\n{TAKEN}", encoding="utf-8")
    for arguments in (["compare", "--help"], ["run", str(path)], ["predict", str(path), "--on", "linux-6.18"]):
        run = command(*arguments, encoding=encoding, capture_output=True)
        assert (run.returncode, run.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Unix")
def test_a_reader_that_goes_leaves_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_text("".join(f"--- {n}\n{TAKEN}" for n in range(5)))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        for arguments in (["run", str(path)], ["platform"]):
            run = command(*arguments, stdout=writer, stderr=subprocess.PIPE)
            assert (run.returncode, run.stderr) == (1, b"")
    finally:
        os.close(writer)


@pytest.mark.skipif(sys.platform != "linux", reason="a shell that closes descriptors")
@pytest.mark.parametrize("closed", [">&-", "<&-"])
def test_a_closed_stream_leaves_no_traceback(scenario: Path, closed: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for arguments in (f"run {scenario}", "run -"):
        shell = f'"{sys.executable}" -P -m pytest_sockreuse.cli {arguments} {closed}'
        run = subprocess.run(
            shell, shell=True, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        assert b"Traceback" not in run.stderr
        assert run.stderr.count(b"\n") <= 1


def test_no_space_for_the_output_is_one_line_and_none_for_errors_an_exit_status(scenario: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        for arguments in (["run", str(scenario)], ["platform"], ["--version"], ["export", "--help"]):
            run = command(*arguments, stdout=full, stderr=subprocess.PIPE)
            assert (run.returncode, run.stderr) == (1, b"sockreuse: standard output: No space left on device\n")
        run = command("run", "nowhere", stdout=subprocess.PIPE, stderr=full)
        assert (run.returncode, run.stdout) == (2, b"")


# --- what a command costs ---------------------------------------------------------------------------------------------


def loaded(*words: str, flags: tuple[str, ...] = ()) -> tuple[str, set[str]]:
    """What a command prints, and the modules that it has loaded in the end."""
    code = "import sys; from pytest_sockreuse.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    path = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    command = [sys.executable, *flags, "-c", code, *words]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=path).stdout.splitlines()
    return lines[0], {*lines[-1].split()}


def test_the_version_costs_little_more_than_the_interpreter() -> None:
    _, modules = loaded("--version", flags=("-S",))
    assert not modules & {"argparse", "typing", "dataclasses", "inspect", "tomllib", "subprocess", "difflib", "pathlib"}
    ours = {name for name in modules if name.startswith("pytest_sockreuse.")}
    assert ours == {f"pytest_sockreuse.{name}" for name in ("cli", "text", "version")}


def test_a_rule_that_is_honoured_needs_no_model() -> None:
    said, modules = loaded("check", "server-restart")
    if "honours" not in said:
        pytest.skip(said)
    assert not modules & {"pytest_sockreuse.model", "pytest_sockreuse.output", "difflib", "pytest"}
