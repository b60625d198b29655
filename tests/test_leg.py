"""One leg, wherever it runs: it leaves one results file named after it, however it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import leg
import legs
import pytest
from workflow import ROOT, calls, tool

from pytest_sockreuse.loader import load
from pytest_sockreuse.report.results import ResultsError, read

if sys.platform == "win32":
    pytest.skip("the tools are faked by shell scripts", allow_module_level=True)

RULE = "sctp"  # a small one
SUITE = load(rules=[RULE])
ANSWERS = [
    json.dumps({"platform": "netbsd-10.1", "title": variant.id, "not_run": "this system lacks the protocol"}) + "\n"
    for variant in SUITE.variants
]


def run(name: str, directory: Path, *arguments: str) -> int:
    return leg.main([name, str(directory), "--rules", RULE, *arguments])


def ended(path: Path) -> str:
    text: str = json.loads(path.read_text())["ended"]
    return text


def test_the_plugin_performs_the_suite_and_the_header_says_where_and_when(tmp_path: Path) -> None:
    assert run("ubuntu-24.04", tmp_path) == 0
    (results,) = read(tmp_path / "ubuntu-24.04.jsonl", SUITE)
    assert results.about["leg"] == "ubuntu-24.04"
    assert results.about["date"] == legs.today().isoformat()
    assert results.results.keys() == SUITE.by_id.keys()


def test_pytest_that_is_killed_leaves_truncated_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho 'out of memory'\nkill -9 $$\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert run("ubuntu-24.04", tmp_path) != 0
    assert ended(tmp_path / "ubuntu-24.04.jsonl") == "with status -9: out of memory"


def test_root_is_asked_for_by_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path / "bin", "sudo", "exit 7")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert run("ubuntu-24.04-root", tmp_path) == 7
    (call,) = calls(tmp_path / "bin")
    assert call.startswith(f"sudo {sys.executable} -m pytest ")
    assert f"--sockreuse-report {tmp_path / 'ubuntu-24.04-root.jsonl'}" in call


@pytest.mark.parametrize(("name", "options"), [("macos-15-machine", "-m"), ("freebsd-14.4", "")])
def test_the_runner_is_compiled_and_its_answers_become_results(
    name: str, options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answers").write_text("".join(ANSWERS))
    answer = f'#!/bin/sh\\necho "runner $*" >>"{tmp_path}/bin/calls"\\ncat "{tmp_path}/answers"\\n'
    tool(tmp_path / "bin", "cc", f'printf \'{answer}\' >"{tmp_path}/leg/runner"; chmod +x "{tmp_path}/leg/runner"')
    tool(tmp_path / "bin", "sudo", 'exec "$@"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert run(name, tmp_path / "leg") == 0
    (results,) = read(tmp_path / "leg" / f"{name}.jsonl", SUITE)
    assert (results.about["platform"], results.about["leg"]) == ("netbsd-10.1", name)
    assert (tmp_path / "leg/suite.scenario").read_text().count("--- ") == len(SUITE.variants)
    compiled, _, performed = calls(tmp_path / "bin")
    assert compiled.startswith("cc -std=c99 -O2 -o ")
    assert performed == f"runner {options}"


def test_a_runner_that_does_not_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path / "bin", "cc", "echo 'runner.c:1: error: no such header' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert run("macos-15-machine", tmp_path) == 1
    assert ended(tmp_path / "macos-15-machine.jsonl") == "with status 1: runner.c:1: error: no such header"


def prepared(directory: Path, answers: str | None) -> Path:
    """A leg whose virtual machine has left these answers."""
    assert run("netbsd-10.1", directory, "--prepare") == 0
    assert (directory / "suite.scenario").exists()
    if answers is not None:
        (directory / "answers.jsonl").write_text(answers)
    return directory / "netbsd-10.1.jsonl"


def test_the_host_imports_what_a_machine_answered(tmp_path: Path) -> None:
    report = prepared(tmp_path, "".join(ANSWERS))
    assert run("netbsd-10.1", tmp_path, "--returned") == 0
    (results,) = read(report, SUITE)
    assert results.about["platform"] == "netbsd-10.1"


@pytest.mark.parametrize("cut", [1, 40])
def test_a_machine_that_dies_half_way_leaves_what_it_answered(cut: int, tmp_path: Path) -> None:
    report = prepared(tmp_path, "".join(ANSWERS[:5]) + ANSWERS[5][:-cut])
    assert run("netbsd-10.1", tmp_path, "--returned") == 1
    with pytest.raises(ResultsError, match="no footer: the file is truncated"):
        read(report, SUITE)
    header, *lines = map(json.loads, report.read_text().splitlines())
    assert header["platform"] == "netbsd-10.1"
    assert lines


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (None, "with status 1: the machine gave no answer"),
        ("", "with status 1: the machine gave no answer"),
        (
            "panic: division by zero\n",
            "whole.jsonl:1: not a line that the runner prints, or not all of it: run it anew",
        ),
    ],
)
def test_a_machine_that_answers_nothing_or_something_else(answers: str | None, why: str, tmp_path: Path) -> None:
    report = prepared(tmp_path, answers)
    assert run("netbsd-10.1", tmp_path, "--returned") == 1
    assert ended(report).endswith(why)


def test_of_pytest_in_a_machine_the_results_come_back_themselves(tmp_path: Path) -> None:
    assert run("freebsd-14.4-pytest", tmp_path, "--prepare") == 0
    assert run("freebsd-14.4-pytest", tmp_path, "--returned") == 1
    assert ended(tmp_path / "freebsd-14.4-pytest.jsonl") == "with status 0: no results came back"
    assert run("ubuntu-24.04", tmp_path) == 0
    (tmp_path / "ubuntu-24.04.jsonl").replace(tmp_path / "freebsd-14.4-pytest.jsonl")
    assert run("freebsd-14.4-pytest", tmp_path, "--returned") == 0
    assert read(tmp_path / "freebsd-14.4-pytest.jsonl", SUITE)[0].about["leg"] == "freebsd-14.4-pytest"


def test_the_lab_boots_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path / "bin", "sudo", "echo 'lab: none of these kernels can be booted here' >&2; exit 2")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert run("linux-6.12.113", tmp_path) == 2
    (call,) = calls(tmp_path / "bin")
    assert f"{ROOT}/conformance/lab/run.py linux-6.12.113 --explore 0 --into {tmp_path} " in call
    assert ended(tmp_path / "linux-6.12.113.jsonl") == "with status 2: lab: none of these kernels can be booted here"


def test_a_leg_that_is_not_listed_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("plan9", tmp_path)
    assert "no leg 'plan9' in conformance/platforms.toml" in capsys.readouterr().err


# --- in a virtual machine, where there is a shell and a compiler ------------------------------------------------------


def machine(tmp_path: Path, system: str, by: str, *, user: str = "0", compiler: str = "cc") -> list[str]:
    """What `machine.sh` calls on a system; the runner that it compiles answers one line."""
    tools = tmp_path / "bin"
    tool(tools, "uname", f"echo {system}")
    tool(tools, "id", f"echo {user}")
    tool(tools, "sudo", 'exec "$@"')
    tool(tools, "timeout", 'shift; exec "$@"')
    tool(tools, "pkg")
    tool(
        tools,
        "python3",
        'mkdir -p leg/venv/bin; cp "$(dirname "$0")/pkg" leg/venv/bin/pip; cp leg/venv/bin/pip leg/venv/bin/python',
    )
    tool(tools, compiler, "printf '#!/bin/sh\\ncat >/dev/null; echo \"{} $*\"\\n' >leg/runner; chmod +x leg/runner")
    (tmp_path / "leg").mkdir()
    (tmp_path / "leg/suite.scenario").write_text("--- a\n")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/pytest_sockreuse-1-py3-none-any.whl").touch()
    (tmp_path / "source").symlink_to(ROOT)
    for name in ("dirname", "cp", "mkdir", "cat", "chmod", "sh"):
        (tools / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/sh", "source/.github/scripts/machine.sh", "leg-name", by], cwd=tmp_path, env={"PATH": str(tools)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [call for call in calls(tools) if not call.startswith(("id", "uname"))]


COMPILED = "-std=c99 -O2 -o leg/runner source/conformance/lab/runner.c"


@pytest.mark.parametrize(
    ("system", "by", "user", "compiler", "called"),
    [
        (
            "FreeBSD",
            "runner",
            "1001",
            "cc",
            [f"cc {COMPILED}", "sudo timeout 18000 leg/runner", "timeout 18000 leg/runner"],
        ),
        ("NetBSD", "machine", "0", "gcc", [f"gcc {COMPILED}", "timeout 18000 leg/runner -m"]),
        ("SunOS", "machine", "0", "gcc", [f"gcc {COMPILED} -lsocket -lnsl", "timeout 18000 leg/runner -m"]),
    ],
)
def test_a_machine_performs_the_suite_by_the_runner(
    system: str, by: str, user: str, compiler: str, called: list[str], tmp_path: Path
) -> None:
    assert machine(tmp_path, system, by, user=user, compiler=compiler) == called
    assert (tmp_path / "leg/answers.jsonl").read_text() == ("{} -m\n" if by == "machine" else "{} \n")


def test_a_machine_performs_the_suite_by_pytest(tmp_path: Path) -> None:
    called = machine(tmp_path, "FreeBSD", "pytest", user="1001")
    assert called[:3] == ["sudo pkg install -y python3", "pkg install -y python3", "python3 -m venv leg/venv"]
    assert called[3].endswith("install -q dist/pytest_sockreuse-1-py3-none-any.whl")
    assert called[-1].endswith("--sockreuse-report leg/leg-name.jsonl")


NETSTAT = """Active Internet connections (including servers)
Proto Recv-Q Send-Q  Local Address          Foreign Address        State
tcp4       0      0 127.0.0.1.40000        127.0.0.1.50001        TIME_WAIT
tcp6       0      0 ::1.40001              ::1.50002              TIME_WAIT
tcp        0      0 127.0.0.1.40002        127.0.0.1.50003        ESTABLISHED
tcp        0      0 *.22                   *.*                    LISTEN
udp4       0      0 *.68                   *.*
"""


def test_on_a_bsd_for_this_alone_what_waits_is_ended(tmp_path: Path) -> None:
    source = (ROOT / "conformance/lab/runner.c").read_text(encoding="utf-8")
    found = re.search(r'int status = system\((".*?")\);', source, re.DOTALL)
    assert found
    command = "".join(json.loads(part.strip()) for part in found[1].splitlines())
    (tmp_path / "list").write_text(NETSTAT)
    for name, text in (("netstat", f'cat "{tmp_path}/list"'), ("tcpdrop", f'echo "$*" >>"{tmp_path}/dropped"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    subprocess.run(["sh", "-c", command], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True)
    assert (tmp_path / "dropped").read_text() == "127.0.0.1 40000 127.0.0.1 50001\n::1 40001 ::1 50002\n"
