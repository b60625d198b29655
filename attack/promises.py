"""One attack, and what is promised of every command whatever it is given: the promises of `SECURITY.md`."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import re
import resource
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

if sys.platform == "win32":
    raise SystemExit("attacks are made on POSIX")

from witness import ANOTHERS, witnessed

PROCESSOR = 60  # seconds of processor time that one command may take
MEMORY = 600  # MiB
MESSAGE = 5_000  # characters about a mistake
_WALL = 900  # seconds until a command counts as hung, on a machine that is busy with other things
_PATIENCE = 10.0  # seconds in which what a killed command has started ends
_SETTINGS = [f"/proc/sys/{name}" for name in ("net/[cis]*/*", "net/ipv6/conf/*/disable_ipv6", "kernel/*name")]
_ADDRESS_SPACE = 4 << 30  # bytes: what grows without end is not to take the machine with it

_MODULES = {"sockreuse": "pytest_sockreuse.cli", "pytest": "pytest"}
_TRACEBACK = re.compile(
    r"Traceback \(most recent call|INTERNALERROR|Fatal Python error|Exception ignored|ResourceWarning"
)
_OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

Place = Callable[[Path], object]
Kill = tuple[signal.Signals, float, str]


@dataclass(frozen=True, slots=True)
class Attack:
    """A command, and what it is given.

    `files` are made where it runs, of bytes or by a function, and `makes` names those that it may make or change.
    `before` is called in its process. `kill` is a signal, the seconds after its first output when it is sent, and to
    whom: the command, all of its processes, or a child; `says` a regular expression of what it has to print, `lines`
    how many it may say about a mistake, `processor` the seconds that it may take where it is many commands.
    """

    name: str
    command: Sequence[str]
    files: Mapping[str, bytes | Place] = field(default_factory=dict)
    status: Sequence[int] = (0, 1, 2)
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    kill: Kill | None = None
    makes: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()
    says: str = ""
    lines: int = 1
    processor: int = PROCESSOR


@dataclass(frozen=True, slots=True)
class Seen:
    """What a command did. `left` are processes and files, `changed` what is no longer as it was, `bound` addresses."""

    status: int | None
    out: str
    err: str
    processor: float
    memory: int
    left: Sequence[str]
    changed: Sequence[str]
    bound: Sequence[str] = ()


def perform(attack: Attack, work: Path) -> Seen:
    """Run the command of an attack in the empty directory `work`."""
    here, temporary, tag = work / "here", work / "temporary", secrets.token_hex(16)
    here.mkdir()
    temporary.mkdir()
    for directory in (work, here, temporary):
        directory.chmod(0o755)
    for name, content in attack.files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (here / name).write_bytes(content)
        else:
            content(here / name)
    (work / "stdin").write_bytes(attack.stdin)
    before, settings = _standing(here), _settings()
    own = {"SOCKREUSE_ATTACK": tag, "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV", "TOX"))}
    with witnessed() as (ask, bound):
        with open(work / "stdin", "rb") as stdin, open(work / "out", "wb") as out, open(work / "err", "wb") as err:
            process = subprocess.Popen(
                _words(attack.command), stdin=stdin, stdout=out, stderr=err, cwd=here, start_new_session=True,
                env={**environment, **own, **attack.environment}, preexec_fn=lambda: _prepare(ask, attack.before),
            )  # fmt: skip
        status, processor, memory = _end(process, attack.kill, work / "out")
        left = _processes(tag)
    left += [path.name for path in temporary.iterdir() if not path.name.startswith("pytest-of-")]
    after = _standing(here)
    names = {name for name in before.keys() | after.keys() if name.split("/")[0] not in attack.makes}
    changed = [name for name in sorted(names) if before.get(name) != after.get(name)]
    changed += [name for name, value in _settings().items() if settings.get(name, value) != value]
    out_, err_ = ((work / name).read_bytes().decode(errors="surrogateescape") for name in ("out", "err"))
    return Seen(status, out_, err_, processor, memory, left, changed, bound)


def _words(command: Sequence[str]) -> list[str]:
    program, *rest = command
    return [sys.executable, *(["-m", _MODULES[program]] if program in _MODULES else []), *rest]


def _prepare(*before: Callable[[], object] | None) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # whatever ours is
    for each in before:
        if each is not None:
            each()


def _end(process: subprocess.Popen[bytes], kill: Kill | None, out: Path) -> tuple[int | None, float, int]:
    """The exit status, none of a process that had to be ended; the processor's seconds and the MiB that it took."""
    over = threading.Event()
    late: list[None] = []

    def hang() -> None:
        late.append(None)
        os.killpg(process.pid, signal.SIGKILL)

    hung = threading.Timer(_WALL, hang)
    hung.start()
    striker = threading.Thread(target=_strike, args=(process, kill, out, over))
    striker.start()
    _, code, usage = os.wait4(process.pid, 0)
    over.set()
    striker.join()
    hung.cancel()
    process.returncode = os.waitstatus_to_exitcode(code)
    memory = usage.ru_maxrss >> (20 if sys.platform == "darwin" else 10)
    return None if late else process.returncode, usage.ru_utime + usage.ru_stime, memory


def _strike(process: subprocess.Popen[bytes], kill: Kill | None, out: Path, over: threading.Event) -> None:
    """Send a process its signal, if there is one, so many seconds after it has said something."""
    if kill is None:
        return
    number, seconds, whom = kill
    until = time.monotonic() + _PATIENCE
    while not out.stat().st_size and not over.is_set() and time.monotonic() < until:
        over.wait(0.02)
    if over.wait(seconds):
        return
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        if whom == "all":
            os.killpg(process.pid, number)
        else:
            child = next(iter(psutil.Process(process.pid).children()), None) if whom == "child" else None
            os.kill(child.pid if child else process.pid, number)


def _standing(place: Path) -> dict[str, tuple[object, ...]]:
    """All that stands in a directory: kind and mode, identity, where a link leads, what a file holds."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(place.rglob("*")):
        state = path.lstat()
        held = path.read_bytes() if stat.S_ISREG(state.st_mode) else None
        link = os.readlink(path) if path.is_symlink() else None
        found[os.fsdecode(path.relative_to(place))] = (state.st_mode, state.st_ino, link, held)
    return found


def _settings() -> dict[str, bytes]:
    """The settings of this host that a scenario can name, but for what the kernel itself changes."""
    found = {}
    for path in itertools.chain.from_iterable(map(glob.iglob, _SETTINGS)):
        if "mem" not in path and "tfo" not in path:
            with contextlib.suppress(OSError), open(path, "rb", 0) as file:
                found[path] = file.read()
    return found


def _processes(tag: str) -> list[str]:
    """The processes that an attack has left, which are ended."""
    until = time.monotonic() + _PATIENCE
    while (found := list(_tagged(tag))) and time.monotonic() < until:
        psutil.wait_procs(found, timeout=0.2)
    for process in found:
        process.kill()
    return [f"process {process.pid}" for process in found]


def _tagged(tag: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("SOCKREUSE_ATTACK") == tag and process.status() != psutil.STATUS_ZOMBIE:
                yield process


# --- the promises -----------------------------------------------------------------------------------------------------


def _ends(attack: Attack, seen: Seen) -> str:
    if seen.status is None:
        return f"hung for {_WALL} s"
    ended = attack.kill and (-attack.kill[0], 130)  # by the signal, or after an interrupt
    if seen.status in (*attack.status, *(ended or ())):
        return ""
    return f"exit status {seen.status}: {(seen.out + seen.err).rstrip().rpartition(chr(10))[2][:200]!a}"


def _says_in_a_line(attack: Attack, seen: Seen) -> str:
    if found := _TRACEBACK.search(seen.out + seen.err):
        return found[0]
    lines = seen.err.splitlines()
    data = lines and lines[0] == "sockreuse: the conformance data is wrong:"
    most = 12 if data else attack.lines
    if attack.command[0] == "sockreuse" and seen.status == 2:
        if not seen.err.startswith("sockreuse: ") or not 1 <= len(lines) <= most:
            return f"{len(lines)} lines about a mistake"
        if len(seen.err) > MESSAGE:
            return f"{len(seen.err)} characters about a mistake"
    return "" if re.search(attack.says, seen.out + seen.err) else f"does not say /{attack.says}/"


def _prints_what_is_safe(attack: Attack, seen: Seen) -> str:
    found = _OBEYED.search(seen.out + seen.err)
    return f"prints {found[0]!r}" if found else ""


def _is_bounded(attack: Attack, seen: Seen) -> str:
    if seen.processor > attack.processor:
        return f"{seen.processor:.0f} s of processor time"
    return f"{seen.memory} MiB" if seen.memory > MEMORY else ""


def _leaves_nothing(attack: Attack, seen: Seen) -> str:
    return f"leaves {', '.join(seen.left)}" if seen.left else ""


def _changes_nothing(attack: Attack, seen: Seen) -> str:
    return f"changes {', '.join(map(ascii, seen.changed))}" if seen.changed else ""


def _binds_loopback(attack: Attack, seen: Seen) -> str:
    found = {*seen.bound} - attack.binds - ({ANOTHERS} if "trace" in attack.command else set())  # that is strace
    return f"reaches {', '.join(sorted(found))}" if found else ""


PROMISES: dict[str, Callable[[Attack, Seen], str]] = {
    "It ends by itself, with an exit status that is documented.": _ends,
    "It says what is wrong in one line, never a traceback; of the suite's data, and of several files, in a line a "
    f"mistake, and of ten at most; in at most {MESSAGE:,} characters.": _says_in_a_line,
    "It prints no control characters, and nothing that turns the reading direction.": _prints_what_is_safe,
    f"It takes at most {PROCESSOR} seconds of processor time and {MEMORY} MiB of memory.": _is_bounded,
    "It leaves no process, and so no socket and no namespace, and no temporary file.": _leaves_nothing,
    "It changes no file but the one that it is told to write, and no setting of the host.": _changes_nothing,
    "It binds loopback addresses only, but in network namespaces of its own; `explain` also binds what it is asked "
    "about.": _binds_loopback,
}


def broken(attack: Attack) -> list[str]:
    """How an attack broke promises; nothing where all held."""
    return judged(attack)[0]


def judged(attack: Attack) -> tuple[list[str], float]:
    """How an attack broke promises, and the processor's seconds that it took."""
    with tempfile.TemporaryDirectory(prefix="sockreuse-attack-") as work:
        seen = perform(attack, Path(work))
    return [why for promise in PROMISES.values() if (why := promise(attack, seen))], seen.processor
