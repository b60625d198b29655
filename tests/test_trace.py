"""`sockreuse trace`: a program under strace, a log that is read, and where neither can be."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from here import linux_only

from pytest_sockreuse import trace
from pytest_sockreuse.cli import main
from pytest_sockreuse.parser import parse_file

Capture = pytest.CaptureFixture[str]

LOG = """1 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3<socket:[30]>
1 setsockopt(3<socket:[30]>, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
1 bind(3<socket:[30]>, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
1 listen(3<socket:[30]>, 128) = 0
"""
SERVES = """
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
reader, writer = os.pipe()
if os.fork():
    listener.close()
    os.write(writer, b"x")
    os.wait()
else:
    os.read(reader, 1)
    with socket.create_connection(listener.getsockname()), listener.accept()[0]:
        pass
"""
traced = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "a.log"
    path.write_text(LOG)
    return path


def test_a_log_is_compared(log: Path, capsys: Capture) -> None:
    assert main(["trace", "--read", str(log), "--on", "windows-11,macos-15"]) == 0
    out = capsys.readouterr().out
    assert f"# on Windows 11 `listener.socket` with SO_REUSEPORT at process[1] ({log}:2) would fail" in out
    (scenario,) = parse_file(out)
    assert str(scenario).splitlines()[-1] == "listener.listen()"


def test_a_log_as_json(log: Path, capsys: Capture) -> None:
    assert main(["trace", "--json", "--read", str(log), "--on", "windows-11"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["targets"] == ["windows-11"]
    (piece,) = found["pieces"]
    assert piece["outcomes"] == {"listener.socket": "ok", "listener.bind": "ok", "listener.listen": "ok"}
    assert piece["findings"][0]["outcomes"] == ["ENOPROTOOPT"]


def test_a_log_from_standard_input(log: Path) -> None:
    command = [sys.executable, "-m", "pytest_sockreuse.cli", "trace", "--read", "-"]
    done = subprocess.run(command, input=LOG + "1 close(", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "# left out: 1  a call in the middle of which the log ends" in done.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello\n", "1: is no line of strace: 'hello'; make a log by: strace -f -q -y"),
        (LOG.encode() + b"\x00\xff\x1b[2J\n", r"5: is no line of strace"),
        (b"", "no call of strace is in it"),
        (b"\xff\xfe\n", "1: is no line of strace"),
    ],
)
def test_what_is_no_log_is_one_line(content: bytes, says: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "b.log"
    path.write_bytes(content)
    assert main(["trace", "--read", str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_a_log_is_bounded(log: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MAX_LOG", 100)
    assert main(["trace", "--read", str(log)]) == 2
    assert "a log has at most 100 bytes" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(trace, "MAX_EVENTS", 3)
    assert main(["trace", "--read", str(log)]) == 0
    assert "# left out: 1  calls beyond the first 3 of the log" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "trace takes -- COMMAND …, or --read FILE"),
        ("--read a -- true", "trace takes -- COMMAND …, or --read FILE"),
        ("--read nowhere.log", "nowhere.log: No such file or directory"),
        ("--read .", "Is a directory"),
        ("--on linux-6.18,plan9 -- true", "no platform 'plan9'"),
    ],
)
def test_a_wrong_question_is_one_line(arguments: str, says: str, capsys: Capture) -> None:
    assert main(["trace", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


@linux_only
def test_without_strace_it_says_what_to_do(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["trace", "--", "true"]) == 2
    assert capsys.readouterr().err == (
        "sockreuse: there is no strace: install it (apt-get install strace), or take a log with --read FILE\n"
    )


@linux_only
@traced
def test_a_program_that_is_not_there_is_named(capsys: Capture) -> None:
    assert main(["trace", "--", "no-such-\x1b[2J"]) == 2
    assert capsys.readouterr().err == "sockreuse: no command 'no-such-\\x1b[2J'\n"


@linux_only
@traced
def test_where_ptrace_is_forbidden_it_is_one_line() -> None:
    """As in a container: a process that is traced cannot trace."""
    inner = [sys.executable, "-m", "pytest_sockreuse.cli", "trace", "--", "true"]
    outer = ["strace", "-f", "-o", "/dev/null", *inner]
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode:
        outer = inner  # it is forbidden here
    done = subprocess.run(outer, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("sockreuse: processes cannot be traced here (")


@linux_only
@traced
def test_a_program_and_its_child_are_one_trace() -> None:
    """The parent closes the listener, the child accepts; performed again it comes to the same."""
    command = [sys.executable, "-m", "pytest_sockreuse.cli"]
    done = subprocess.run(
        [*command, "trace", "--json", "--", sys.executable, "-c", SERVES], capture_output=True, text=True
    )
    if "cannot be traced here" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    (piece,) = found["pieces"]
    assert piece["scenario"].splitlines() == [
        "listener = tcp4(SO_REUSEADDR)",
        "listener.bind(127.0.0.1:0)",
        "listener.listen()",
        "heir = listener.dup()",
        "listener.close()",
        "client = tcp4()",
        "client.connect(127.0.0.1:heir.port)",
        "child = heir.accept()",
        "child.close()",
        "client.close()",
        "heir.close()",
    ]
    again = subprocess.run([*command, "run", "--json", "-"], input=piece["scenario"], capture_output=True, text=True)
    steps = {step["step"]: step["outcome"] for step in json.loads(again.stdout)["steps"]}
    assert steps == piece["outcomes"]


@linux_only
@traced
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_signal_meets_the_command_too(name: str) -> None:
    number = getattr(signal, name)
    code = "import sys, time; print('runs', file=sys.stderr, flush=True); time.sleep(600)"
    command = [sys.executable, "-m", "pytest_sockreuse.cli", "trace", "--", sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        if "cannot be traced here" in first:
            pytest.skip(first)
        assert first == "runs\n"
        process.send_signal(number)
        out, _ = process.communicate()  # which waits until the command, which has it too, has closed standard error
    killed = name == "SIGKILL"
    assert process.returncode == (-number if killed else 0)
    assert out.endswith("# no socket had to do with a port\n") != killed
