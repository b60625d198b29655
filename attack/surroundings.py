"""Around the commands: ends ahead of time, what hosts allow, streams that are shut, tests with sockets of their own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

if sys.platform == "win32":
    raise SystemExit("attacks are made on POSIX")

import confined
from confined import Before, limit
from given import SCENARIO, TEXTS
from promises import Attack, Place

# --- ends ahead of time -----------------------------------------------------------------------------------------------

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM)
_SOCKETS = b"import time\ndef test_it(tcp, held_port):\n    tcp()\n    time.sleep(600)\n"
_NAMESPACE = b"import time\ndef test_it(sockreuse_netns): time.sleep(600)\n"
LONG: dict[str, dict[str, bytes | Place]] = {
    "sockreuse run given": {"given": b"wait 600"},
    "sockreuse explore --seconds 600 --on linux-6.18": {},
    "sockreuse explore --exhaustive 5 --processes 3 --on linux-6.18": {},
    "pytest --sockreuse --sockreuse-only -p no:cacheprovider": {},
    "pytest --sockreuse-explore=100000 -p no:cacheprovider": {},
    "pytest --sockreuse-record -p no:cacheprovider test_it.py": {"test_it.py": _SOCKETS},
    "pytest -p no:cacheprovider test_it.py": {"test_it.py": _NAMESPACE},
    "sockreuse hold -- sleep 600 {}": {},
    "sockreuse hold --count 20 --release -- sleep 600 {}": {},
    "sockreuse trace -- sleep 600": {},
}
RUNS_A_COMMAND = ("hold", "trace")  # whose children are somebody's, and heed what they do


def ends(chance: Random) -> Iterator[Attack]:
    """Commands that are ended at a random moment, or a process of theirs; nothing of theirs stays."""
    for command, files in LONG.items():
        program, name = command.split()[:2]
        for number in SIGNALS:
            for whom in ("command", "all", "child") if program == "sockreuse" else ("command", "all"):
                runs = name in RUNS_A_COMMAND
                if whom == "child" and number in (signal.SIGINT, signal.SIGALRM) and not runs:
                    continue  # which it does not heed
                kill = (number, chance.uniform(0.1, 1), whom)
                status = (0, 1, 2, 128 + number) if runs else (0, 1, 2)
                yield Attack(f"{command} {number.name} {whom}", command.split(), files, status, kill=kill)


# --- what the host allows ---------------------------------------------------------------------------------------------


def _gone(*descriptors: int) -> Before:
    return lambda: [*map(os.close, descriptors)]


ENVIRONMENTS: dict[str, dict[str, str]] = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "posix": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "errors": {"PYTHONWARNINGS": "error"},
    "dev": {"PYTHONDEVMODE": "1"},
    "optimized": {"PYTHONOPTIMIZE": "2"},
    "nobody": {"HOME": "/nonexistent", "PATH": "", "USER": "", "TZ": "x"},
    "no-temporary": {"TMPDIR": "/nonexistent"},
    "encoding-warnings": {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "error::EncodingWarning"},
}
PRELUDES: dict[str, Before] = {
    "no-children": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    "no-alarms": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]),
    "few-files": limit("NOFILE", 14),
    "no-files": limit("NOFILE", 5),
    "no-core": limit("STACK", 1 << 20),
    "small-files": limit("FSIZE", 0),
    "mask": lambda: os.umask(0o777),
    "no-input": _gone(0),
    "no-output": _gone(1),
    "no-errors": _gone(2),
    "nothing-open": _gone(0, 1, 2),
}
if confined.calls_are_known():
    PRELUDES |= {f"no-{name}": confined.refused(name) for name in confined.CALLS}
    PRELUDES |= {"no-unshare-at-all": confined.refused("unshare", 0), "no-poll-at-all": confined.refused("poll", 38)}
if sys.platform == "linux" and not os.geteuid():
    PRELUDES |= confined.PLACES
_OWN = b"""
import os, pytest, socket
def test_port(held_port): held_port.socket().close()
def test_left(time_wait): time_wait()
def test_netns(port_range): port_range(40000, 40007)
@pytest.mark.sockreuse_requires("ordering-quirk")
def test_guard(connected_pair): pass
"""
HOSTED = ("sockreuse run given", "sockreuse explain 127.0.0.1:8000", "sockreuse hold -- /bin/true {}",
          "sockreuse trace -- /bin/true", "sockreuse compare --help", "sockreuse check ordering-quirk",
          "sockreuse explore --count 5 --on linux-6.18",
          "sockreuse explore --exhaustive 1 --processes 2 --on linux-6.18",
          "pytest --sockreuse=lost-ports --sockreuse-only -p no:cacheprovider -k ip4",
          "pytest -p no:cacheprovider -q --tb=line --sockreuse-record --sockreuse-explain test_own.py")  # fmt: skip
STATUS = {"sockreuse": (0, 1, 2, 3), "pytest": (0, 1, 2, 4, 5)}
#: What pytest and strace cannot do without.
_PYTEST_NEEDS = ("no-output", "nothing-open", "no-files", "no-temporary", "no-ioctl", "no dev")
_STRACE_NEEDS = ("no-killing",)


def hosts() -> Iterator[Attack]:
    """Environments, limits, refused calls and signals that somebody else has set."""
    files = {"given": b"--- plain\n" + SCENARIO + b"--- alone\n" + TEXTS["settings"], "test_own.py": _OWN}
    for command in HOSTED:
        words = command.split()
        status = (*STATUS[words[0]], *((126,) if "hold" in words else ()))  # where its command cannot be started
        needs = _PYTEST_NEEDS if words[0] == "pytest" else _STRACE_NEEDS if words[1] == "trace" else ()
        for name, environment in ENVIRONMENTS.items():
            if name not in needs:
                yield Attack(f"{command[:40]} {name}", words, files, status, environment=environment)
        for name, before in PRELUDES.items():
            if name not in needs:
                yield Attack(f"{command[:40]} {name}", words, files, status, before=before)


# --- again and again --------------------------------------------------------------------------------------------------

REPEATED = Path(__file__).with_name("repeats.py")


def repeats(chance: Random) -> Iterator[Attack]:
    """Rules whose results are the same, whoever performs them and however often."""
    rule = chance.choice("order-dependence lost-ports udp-sharing time-wait-reuse dual-stack local-port-range".split())
    yield Attack(f"{rule} again", ["python", str(REPEATED), rule], status=(0,), says="^$", processor=600)


# --- streams ----------------------------------------------------------------------------------------------------------


def _output(path: str) -> Before:
    return lambda: os.dup2(os.open(path, os.O_WRONLY), 1)


def _unread() -> None:
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(reader)


PRINTING = ("--help", "--version", "run --help", "run given", "run given --json", "predict given --on linux-6.18 --why",
            "compare given --on linux-6.6,windows-11", "clauses --on linux-6.18", "rules", "platform", "export",
            "check ordering-quirk", "explore --count 5 --on linux-6.18", "resemble --on linux-6.18,windows-11",
            "distinguish linux-6.18 windows-11", "explore --exhaustive 1 --processes 1 --on linux-6.18",
            "results check", "explain 127.0.0.1:8000", "explain --range")  # fmt: skip
WRITING = (
    "sockreuse export full/given",
    "sockreuse explore --exhaustive 2 --on linux-6.18 --resume full/given",
    "pytest -p no:cacheprovider --sockreuse=lost-ports -k ip4 --sockreuse-only --sockreuse-report full/given",
)
_NO_ROOM = r"^sockreuse: standard output: No space left on device\n$"


def streams() -> Iterator[Attack]:
    """Output that cannot be written, or that nobody reads: one line, or none, and a status that is not 0."""
    for arguments in PRINTING:
        words = ["sockreuse", *arguments.split()]
        files = {"given": SCENARIO}
        if Path("/dev/full").exists():
            yield Attack(f"{arguments} full", words, files, (1,), before=_output("/dev/full"), says=_NO_ROOM)
        yield Attack(f"{arguments} unread", words, files, (1,), before=_unread, says=r"^$")
    if sys.platform == "linux" and not os.geteuid():
        for words, status in (
            (["sockreuse", "export", "full/given"], (2,)),
            (["sockreuse", *"explore --exhaustive 2 --on linux-6.18 --resume full/given".split()], (2,)),
            (
                [
                    "pytest",
                    *"-p no:cacheprovider --sockreuse=lost-ports -k ip4 --sockreuse-only -q".split(),
                    "--sockreuse-report",
                    "full/given",
                ],
                (1,),
            ),
        ):
            yield Attack(f"{' '.join(words)} on a full disk", words, {"full": Path.mkdir}, status,
                         before=confined.full("full"), says="full/given: No space left on device")  # fmt: skip


# --- tests with sockets of their own ----------------------------------------------------------------------------------

WATCHED = sorted((Path(__file__).parent / "watched").glob("*.py"))
OWN = frozenset({"0.0.0.0", "::", "a wildcard address, by listen()"})  # which the tests themselves bind
BOTH = "--sockreuse-record --sockreuse-explain"
WITH = ("", "--sockreuse-record", "--sockreuse-explain", BOTH,
        "--sockreuse=lost-ports --sockreuse-report results.jsonl -k test_ --sockreuse-record")  # fmt: skip


def tests() -> Iterator[Attack]:
    """Tests that pass, and pass whatever watches their sockets: all in one process, and each alone under both."""
    for options in WITH:
        yield _watched("all", WATCHED, options)
    for path in WATCHED:
        yield _watched(path.stem, [path], BOTH)


def _watched(name: str, paths: Sequence[Path], options: str) -> Attack:
    words = ["pytest", "-p", "no:cacheprovider", "-q", *options.split(), *(path.name for path in paths)]
    files: dict[str, bytes | Place] = {path.name: path.read_bytes() for path in paths}
    return Attack(f"{name} {options}", words, files, (0,), makes=frozenset({"results.jsonl"}), binds=OWN)
