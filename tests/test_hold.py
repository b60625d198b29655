"""`sockreuse hold`: a command with held ports; its exit status, signals, and nothing that is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from holding import line, running

from pytest_sockreuse import cli
from pytest_sockreuse.live.holders import holders

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
HOLD = "import sys; from pytest_sockreuse.cli import main; sys.exit(main(sys.argv[1:]))"
Capture = pytest.CaptureFixture[str]


def status(*arguments: str) -> int:
    return cli.main(["hold", *arguments])


def printed(*arguments: str, capfd: Capture) -> list[str]:
    """What a Python program that prints its arguments got."""
    code = "import sys; print(*sys.argv[1:], sep='\\n')"
    count, words = (arguments[:2], arguments[2:]) if arguments[0] == "--count" else ((), arguments)
    assert status(*count, "--", sys.executable, "-c", code, *words) == 0
    return capfd.readouterr().out.split()


def test_each_place_is_the_next_port(capfd: Capture) -> None:
    one, same = printed("{}", "--port={}", capfd=capfd)
    assert 0 < int(one) < 65536
    assert same == f"--port={one}"
    first, second, again = printed("--count", "2", "{}", "{}", "x{}y", capfd=capfd)
    assert first != second
    assert again == f"x{first}y"
    both = printed("--count", "2", "{}:{}", capfd=capfd)[0].split(":")
    assert len({*both}) == 2


@pytest.mark.parametrize("number", [0, 3, 255])
def test_the_status_is_the_commands(number: int) -> None:
    assert status("--", sys.executable, "-c", f"import sys; sys.exit({number})", "{}") == number


@posix
def test_a_command_that_a_signal_ends() -> None:
    assert status("--", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)", "{}") == 128 + 9


def test_a_command_that_is_none(capfd: Capture, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    assert status("--", "no-such-command-\x1b[2J", "{}") == 127
    assert capfd.readouterr().err == "sockreuse: no-such-command-\\x1b[2J: no such command\n"
    assert status("--", os.fspath(tmp_path), "{}") == 126
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--count", "3", "--", "echo", "{}", "{}"], "the command has 2 of the 3 places {} that it needs"),
        (["--count", "0", "--", "echo", "{}"], "expected a whole number"),
        (["--count", "99999", "--", "echo", *["{}"] * 99999], "1 to 10000 can"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_question_is_one_line(arguments: list[str], why: str, capfd: Capture) -> None:
    assert status(*arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert why in err
    assert err.count("\n") == 1


def test_a_command_without_a_place_runs_and_is_told_of(capfd: Capture) -> None:
    assert status("--", sys.executable, "-c", "") == 0
    assert "has no {}" in capfd.readouterr().err


# --- a port, held -----------------------------------------------------------------------------------------------------

SERVER = """
import socket, sys
sock = socket.socket()
if "reuse" in sys.argv:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
print(sys.argv[1], flush=True)
sys.stdin.readline()
try:
    sock.bind(("127.0.0.1", int(sys.argv[1])))
    sock.listen()
    print("listens", flush=True)
except OSError:
    print("refused", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def held(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = running(HOLD, "hold", *arguments)
    try:
        yield process
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.communicate(timeout=60)


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def can_be_had(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@posix
@pytest.mark.parametrize("option", ["reuse", "plain"])
@pytest.mark.parametrize("release", [False, True])
def test_nobody_else_has_the_port_until_the_command_binds_it(option: str, release: bool) -> None:
    with held(*["--release"] * release, "--", sys.executable, "-c", SERVER, "{}", option) as process:
        port = int(line(process))
        assert can_be_had(port) == release
        go_on(process)
        assert line(process) == ("listens" if release or option == "reuse" else "refused")
        go_on(process)
    assert process.returncode == 0
    assert can_be_had(port)
    assert not [it for it in holders(port) if it.keeps]


@posix
@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_is_the_commands(name: str) -> None:
    number = getattr(signal, name)
    code = f"""
import os, signal, sys
signal.signal({int(number)}, lambda *_: (os.write(1, b"got it\\n"), sys.exit(7)))
print("ready", flush=True)
signal.pause()
"""
    with held("--", sys.executable, "-c", code, "{}") as process:
        assert line(process) == "ready"
        process.send_signal(number)
        assert line(process) == "got it"
    assert process.returncode == 7


@posix
def test_who_is_killed_leaves_no_placeholder() -> None:
    with held(
        "--", sys.executable, "-c", "import sys; print(sys.argv[1], flush=True); sys.stdin.read()", "{}"
    ) as process:
        port = int(line(process))
        assert not can_be_had(port)
        process.kill()
        process.wait()
        assert can_be_had(port)  # the command never had a copy


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel cannot end a process with another")
def test_the_command_ends_with_who_is_killed() -> None:
    code = "import time; print('runs', flush=True); time.sleep(600)"
    with held("--", sys.executable, "-c", code, "{}") as process:
        assert line(process) == "runs"
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == ""  # the command had it too
