"""The attacks of `attack/` in short: a few of each group, a few mutants; and that the harness sees a promise broken."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse import lines, loader, parser, trace
from pytest_sockreuse.data import MAX_FILE
from pytest_sockreuse.hooks import recorder
from pytest_sockreuse.live import runner
from pytest_sockreuse.matrix import files
from pytest_sockreuse.recorder import compare, descriptors, strace
from pytest_sockreuse.report import results

if sys.platform == "win32":
    pytest.skip("attacks are made on POSIX", allow_module_level=True)
else:
    import confined
    from attacks import groups
    from mutants import mutant
    from promises import PROMISES, Attack, Place, broken
    from surroundings import BOTH
    from targets import TARGETS

assert sys.platform != "win32"  # for the type checker

SECURITY = Path(__file__).parents[1] / "SECURITY.md"
ALL = groups(1)
LONG = ("repeats", "results", "tests")  # of the first see determinism; of the second `values` are a part
SHORT = [Random(1).choice(ALL[group]) for group in ALL if group not in LONG]
SHORT += [attack for attack in ALL["tests"] if attack.name == f"all {BOTH}"]


@pytest.mark.parametrize("attack", SHORT, ids=lambda attack: attack.name)
def test_every_promise_holds(attack: Attack, installed: bool) -> None:
    if not installed and attack.command[0] == "pytest":
        pytest.skip("pytest finds the plugin by its entry point")
    assert broken(attack) == []


@pytest.mark.parametrize("name", TARGETS)
@settings(derandomize=True, deadline=None, database=None, max_examples=40)
@given(chance=st.randoms(use_true_random=False))
def test_mutants_are_read_or_refused(name: str, chance: Random) -> None:
    target = TARGETS[name]
    target.read(mutant(chance, chance.choice(target.originals())))


def test_the_files_that_mutants_are_made_of_are_read() -> None:
    for target in TARGETS.values():
        for original in target.originals():
            target.read(original)


CHILD = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import sys; sys.exit(3)", "exit status 3"),
        ("1 / 0", "Traceback (most recent call"),
        ("print('a\\x9bb')", r"prints '\x9b'"),
        ("print('\\u202e')", r"prints '\u202e'"),
        ("x = b'x' * (700 << 20)", "7.. MiB"),
        (CHILD, "leaves process"),
        ("import tempfile; tempfile.mkdtemp(prefix='x-')", "leaves x-"),
        ("open('new', 'w')", "changes 'new'"),
        ("import os; os.replace('given', 'there')", "changes 'given', 'there'"),
        ("import os; os.remove('pipe'); open('pipe', 'w')", "changes 'pipe'"),
        ("open('given', 'w')", "changes 'given'"),
    ],
)
def test_the_harness_sees_a_promise_broken(code: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promises._PATIENCE", 0.0)
    files: dict[str, bytes | Place] = {"given": b"x", "there": b"y", "pipe": os.mkfifo}
    found = broken(Attack("a lie", ["python", "-c", code], files, status=(0, 1)))
    assert any(re.match(why if "MiB" in why else re.escape(why), line) for line in found), found


@pytest.mark.skipif(not confined.calls_are_known(), reason="the kernel cannot be had to ask about these calls")
@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("socket.create_server(('127.0.0.1', 0))", []),
        ("socket.create_server(('', 0))", ["reaches 0.0.0.0"]),
        ("socket.socket(socket.AF_INET6).bind(('::ffff:0.0.0.0', 0))", ["reaches ::ffff:0:0"]),
        ("socket.socket().listen()", ["reaches a wildcard address, by listen()"]),
        (
            "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
            ["reaches a wildcard address, by sendto()"],
        ),
        ("a, b = socket.socketpair(); a.sendall(b'x')", []),
        ("import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)", ["reaches another process's memory"]),
    ],
)
def test_the_harness_sees_what_is_bound(code: str, why: list[str]) -> None:
    assert broken(Attack("bound", ["python", "-c", f"import socket; {code}"])) == why


def test_the_harness_ends_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promises._WALL", 0.5)
    assert broken(Attack("hang", ["python", "-c", "import time; time.sleep(60)"])) == ["hung for 0.5 s"]


def test_the_harness_sends_the_signal_of_an_attack() -> None:
    code = "import signal; print('x', flush=True); print(signal.sigwait([signal.SIGTERM]))"
    block = lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # noqa: E731
    attack = Attack(
        "sent", ["python", "-c", code], before=block, kill=(signal.SIGTERM, 0.0, "command"), says="Signals.SIGTERM|15"
    )
    assert broken(attack) == []


def test_groups_and_targets_have_names_of_their_own() -> None:
    assert not ALL.keys() & TARGETS.keys()


def test_the_page_promises_what_the_attacks_check() -> None:
    listed = re.findall(r"^\d\. (.*)$", SECURITY.read_text(encoding="utf-8"), re.M)
    assert listed == list(PROMISES)


def test_each_kind_is_held_by_what_exists() -> None:
    rows = (SECURITY.parent / "attack" / "README.md").read_text(encoding="utf-8").split("|---|---|---|")[1]
    named = set(re.findall(r"`(\w+)`", "".join(row.split("|")[3] for row in rows.strip().splitlines())))
    files = (path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    tests = {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.M)}
    assert {name for name in named if not name.startswith("test_")} == ALL.keys() | TARGETS.keys()
    assert {name for name in named if name.startswith("test_")} <= tests


def test_the_bounds_of_the_page_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) (.+?) \|$", SECURITY.read_text(encoding="utf-8"), re.M)
    assert {(what, int(number.replace(",", "")), unit) for what, number, unit in rows} == {
        ("a scenario file, each line counted as often as it stands for a step", parser.MAX_TEXT >> 20, "MiB"),
        ("its lines, counted so too", parser.MAX_LINES, "lines"),
        ("a line of it", parser.MAX_LINE, "characters"),
        ("a scenario", lines.MAX_STEPS, "steps"),
        ("its waits together", int(parser.MAX_WAIT), "seconds"),
        ("its calls together, beside its waits", int(runner.TIMEOUT), "seconds"),
        ("a results file, or a runner's answers", results.MAX >> 20, "MiB"),
        ("a line of such a file", results.MAX_LINE >> 20, "MiB"),
        ("its results", results.MOST, "results"),
        ("a reason in it", results.LONG, "characters"),
        ("a fact or a setting in its header", files.LONGEST_FACT, "characters"),
        ("its facts, and its settings", files.MOST_FACTS, "of each"),
        ("runs in one report", files.MOST_RUNS, "runs"),
        ("a log of strace", trace.MAX_LOG >> 20, "MiB"),
        ("a line of such a log", strace.MAX_LINE, "characters"),
        ("its calls that bear on sockets", trace.MAX_EVENTS, "calls"),
        ("descriptors that its processes inherit, together", descriptors.MAX_COPIES, "descriptors"),
        ("a file of the suite's data", MAX_FILE >> 20, "MiB"),
        ("a case of the suite", loader.MAX_VARIANTS, "variants"),
        ("calls of one test that the recorder keeps", recorder.LIMIT, "calls"),
        ("a piece of them that is compared with the models", compare.MOST, "calls"),
    }
