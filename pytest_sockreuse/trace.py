"""``sockreuse trace``: any program under strace, or a log of it; its sockets as the recorder would report them."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import Any

from . import intake
from .dataclass import dataclass
from .platforms import Platform, current, newest, registry
from .recorder.calls import Piece
from .recorder.compare import DEFAULT, Comparer
from .recorder.follow import STRACE, follow, relevant
from .recorder.misuse import misuses
from .recorder.reconstruct import Trace, reconstruct
from .recorder.report import Record, record, report
from .recorder.strace import End, Log, LogError, Syscall
from .running import passed_on, waited
from .text import visible

MAX_LOG = 64 * 1024 * 1024  # bytes
MAX_EVENTS = 100_000  # of a log, without those that bear on no socket

#: Misuse that most runtimes avoid by asking for the system, which a log does not show.
_BY_SYSTEM = frozenset({"reuseaddr-on-windows"})
HOW = shlex.join(STRACE) + " -o FILE COMMAND …"


class TraceError(Exception):
    """Nothing can be traced, or a log is none; the message is one line."""


@dataclass(slots=True)
class Heard:
    """What a log says: its events that bear on sockets, how many more there were, whether it ends in the middle."""

    events: list[Syscall | End] = field(default_factory=list)
    more: int = 0
    cut: bool = False


def run(command: Sequence[str]) -> Heard:
    """Run a command under strace, until it has ended, and hear its log. Its output goes to our standard error.

    With -D the process that is started becomes the command, and strace its grandchild: a signal meets the command.
    Raises TraceError.
    """
    _able(command)
    reader, writer = os.pipe()
    words = [*STRACE, "-D", "-o", f"/dev/fd/{writer}", "--", *command]
    with passed_on() as start:
        try:
            process = start(words, pass_fds=[writer], stdout=sys.stderr.fileno())
        except OSError as error:
            os.close(reader)
            raise TraceError(f"strace cannot be started: {error.strerror}") from None
        finally:
            os.close(writer)
        with open(reader, encoding="utf-8", errors="replace", newline="\n") as lines:
            try:
                return heard(lines)
            except LogError as error:
                raise TraceError(f"this strace writes what is not understood, line {error}") from None
            finally:
                waited(process)


def _able(command: Sequence[str]) -> None:
    """Raises TraceError where there is no strace, or it may not trace, or there is nothing to run."""
    if sys.platform != "linux":
        raise TraceError(f"strace is Linux'; sockreuse trace --read FILE takes a log that it made there: {HOW}")
    if shutil.which("strace") is None:
        raise TraceError("there is no strace: install it (apt-get install strace), or take a log with --read FILE")
    if shutil.which(command[0]) is None:
        raise TraceError(f"no command '{visible(command[0])}'")
    try:
        tried = subprocess.run(
            ["strace", "-f", "-o", os.devnull, "true"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise TraceError("strace does not run here") from None
    if tried.returncode:
        why = (tried.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise TraceError(
            f"processes cannot be traced here ({visible(why, 200)}): a container needs --cap-add=SYS_PTRACE, "
            "a process that is traced already cannot trace"
        )


def read(path: str) -> Heard:
    """Hear a log that is a file; ``-`` is standard input. Raises TraceError."""
    name = "<stdin>" if path == "-" else visible(path)
    try:
        data = sys.stdin.buffer.read(MAX_LOG + 1) if path == "-" else intake.read(path, MAX_LOG)
    except OSError as error:
        raise TraceError(f"{name}: {error.strerror}") from None
    if len(data) > MAX_LOG:
        raise TraceError(f"{name}: a log has at most {MAX_LOG} bytes")
    try:
        found = heard(line.decode("utf-8", "replace") for line in io.BytesIO(data))
    except LogError as error:
        raise TraceError(f"{name}:{error}; make a log by: {HOW}") from None
    if not found.events:
        raise TraceError(f"{name}: no call of strace is in it; make a log by: {HOW}")
    return found


def heard(lines: Iterable[str]) -> Heard:
    """What the lines of a log say. Raises LogError."""
    log, found = Log(), Heard()
    for event in log.events(lines):
        if not relevant(event):
            continue
        if len(found.events) < MAX_EVENTS:
            found.events.append(event)
        else:
            found.more += 1
    found.cut = log.cut
    return found


def understand(found: Heard, log: str = "") -> Trace:
    """The calls on sockets of all processes, as one trace; `log` is a file in which a reader finds the lines.

    Raises TraceError.
    """
    try:
        followed = follow(found.events, log)
    except LogError as error:
        raise TraceError(f"{visible(log) or 'this log'}: {error.what}") from None
    trace, _ = reconstruct(followed.events)
    trace.left_out.update(followed.left_out)
    if found.more:
        trace.left_out[f"calls beyond the first {MAX_EVENTS} of the log"] += found.more
    if found.cut:
        trace.left_out["a call in the middle of which the log ends"] += 1
    return trace


def platforms(asked: Sequence[Platform] | None) -> tuple[Platform, list[Platform]]:
    """The Linux that was traced, as far as is known, and what it is compared with."""
    here = current() if current().stack == "linux" else newest("linux")
    return here, list(asked) if asked is not None else [newest(stack) for stack in DEFAULT]


def told(trace: Trace, asked: Sequence[Platform] | None) -> tuple[list[tuple[Piece, Record]], Record]:
    """Each piece of a trace with what is found in it; and what is left out of the whole."""
    here, targets = platforms(asked)
    comparer = Comparer(here, targets)
    found = []
    for piece in trace.pieces:
        comparison = comparer.compare(piece)
        misuse = [one for one in misuses(comparison.piece, [here, *targets]) if one.misuse.id not in _BY_SYSTEM]
        found.append((piece, record([], [comparison], misuse)))
    return found, {"left_out": dict(trace.left_out)} if trace.left_out else {}


def show(trace: Trace, asked: Sequence[Platform] | None) -> Iterator[str]:
    """A scenario file: each piece of the trace as a scenario, with what is found in it as comments."""
    pieces, rest = told(trace, asked)
    _, targets = platforms(asked)
    names = (f"{registry()[platform.stack]['title']} {platform.label}" for platform in targets)
    yield f"# compared with {', '.join(names)}, if the same calls are made there"
    for number, (piece, entry) in enumerate(pieces, 1):
        yield f"--- {_title(piece, number)}"
        for line in [*report(entry).splitlines(), *_unknown(entry)]:
            yield f"# {line}"
        yield str(piece.scenario).rstrip("\n")
    if not pieces:
        yield "# no socket had to do with a port"
    for what, count in rest.get("left_out", {}).items():
        yield f"# left out: {count}  {what}"


def _unknown(entry: Record) -> Iterator[str]:
    for platform, why in entry.get("unknown", {}).items():
        yield f"{platform}: not known: {why}"


def _title(piece: Piece, number: int) -> str:
    """A number, and the processes that have made the sockets."""
    places = dict.fromkeys(
        str(call.sock.place).partition(" ")[0] for call in piece.calls if call.sock.place is not None
    )
    return f"{number}: {', '.join(list(places)[:5])}" if places else str(number)


def to_json(trace: Trace, asked: Sequence[Platform] | None) -> str:
    """One object: the pieces, each with its scenario, what its steps came to, what is found; and what is left out."""
    pieces, rest = told(trace, asked)
    here, targets = platforms(asked)
    found: list[dict[str, Any]] = []
    for piece, entry in pieces:
        seen = {step.step: step.outcome for step in piece.observation(here.name).steps}
        found.append({"scenario": str(piece.scenario), "outcomes": seen, **entry})
    return json.dumps({"platform": here.name, "targets": [p.name for p in targets], "pieces": found, **rest})
