"""What forked children do: each writes its events to its parent's file as they happen, since it may be killed.

The file has no name, so that nothing is left of it whoever is killed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from .events import Event, Tape
from .locations import Place, places

_MOST = 64 * 1024 * 1024  # bytes that are read of all children in a test


class Children:
    """The forked children of one process."""

    def __init__(self, tape: Tape) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        if sys.platform != "win32":
            import fcntl

            fcntl.fcntl(self._file, fcntl.F_SETFL, os.O_APPEND)
        self._tape, self._owner, self._inode = tape, os.getpid(), os.fstat(self._file.fileno())
        tape.forked = self._forked

    def _forked(self) -> _Spool:
        """In the child: where its events go."""
        return _Spool(self._file.fileno(), self._owner, self._inode, len(self._tape.events))

    def collect(self, last: bool) -> Iterator[tuple[list[Event], int]]:
        """The events of each child so far, and how many of them were its parent's; after the `last` time none.

        Where those end the event `fork` stands.
        """
        if sys.platform == "win32" or not self.any():
            return
        data = os.pread(self._file.fileno(), _MOST, 0)  # the children move the file's place when they write
        if last:
            self._file.truncate(0)
        found: dict[str, tuple[dict[int, Event], list[Place], int]] = {}
        for line in data.decode("ascii", "replace").split("\n"):
            with contextlib.suppress(ValueError, IndexError):  # what a killed child did not finish
                child, at, event = _decode(line)
                if event is None:
                    found[child] = {}, [], at
                elif child in found:
                    events, known, _ = found[child]
                    verb, fd, what, number, where, new = event
                    known += (Place(*place) for place in new)
                    events[at] = verb, fd, _tuple(what), number, tuple(known[n] for n in where)
        for events, _, old in found.values():
            before = sum(at < old for at in events)
            ours = [events[at] for at in sorted(events)]
            yield [*ours[:before], ("fork", -1, None, 0, ()), *ours[before:]], before

    def any(self) -> bool:
        """Whether there is a child to report on."""
        return os.fstat(self._file.fileno()).st_size > 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


started = 0  #: How many processes this one has started by other programs while it counted; nothing is seen of those.
_STARTERS: tuple[tuple[Any, str], ...] = (
    (subprocess.Popen, "__init__"),
    *((os, name) for name in ("posix_spawn", "posix_spawnp", "spawnv", "spawnve") if hasattr(os, name)),
)


@contextlib.contextmanager
def counting() -> Iterator[None]:
    """Count in here what is started. An audit hook would be asked at each import, and each look at a frame."""
    with contextlib.ExitStack() as stack:
        for owner, name in _STARTERS:
            stack.enter_context(_counted(owner, name))
        yield


@contextlib.contextmanager
def _counted(owner: Any, name: str) -> Iterator[None]:
    start = getattr(owner, name)

    @functools.wraps(start)
    def counted(*arguments: Any, **keywords: Any) -> Any:
        global started
        __tracebackhide__ = True
        started += 1
        return start(*arguments, **keywords)

    setattr(owner, name, counted)
    try:
        yield
    finally:
        if getattr(owner, name) is counted:  # else somebody has wrapped it since, or put his own there
            setattr(owner, name, start)


class _Spool:
    """The file as one child writes it: the child's name, the number of an event, the event; first how many are old."""

    def __init__(self, file: int, owner: int, inode: os.stat_result, old: int) -> None:
        self._file, self._inode = file, inode
        self._path = f"/proc/{owner}/fd/{file}"
        self._child = os.urandom(8).hex()
        self._places: dict[int, int] = {}  # those that were written, by identity (they are kept), and their numbers
        self._write(old, None)

    def write(self, at: int, event: Event) -> None:
        verb, fd, what, number, trail = event
        found, known = places(trail), self._places
        new: list[Place] = []
        for place in found:
            if id(place) not in known:
                known[id(place)] = len(known)
                new.append(place)
        self._write(at, [verb, fd, what, number, [known[id(place)] for place in found], new])

    def _write(self, at: int, event: Event) -> None:
        line = _encode([self._child, at, event]).encode()
        with contextlib.suppress(OSError):
            if not self._is_open():  # a daemon closes all that it inherits
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0))
                if not self._is_open():
                    return
            os.write(self._file, b"\n" + line + b"\n")  # so one that was cut spoils no other

    def _is_open(self) -> bool:
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self._file), self._inode)
        return False


def _hex(value: Any) -> dict[str, str]:
    return {"hex": bytes(value).hex()}


def _bytes(entry: dict[str, str]) -> bytes:
    return bytes.fromhex(entry["hex"])


_encode = json.JSONEncoder(default=_hex).encode
_decode = json.JSONDecoder(object_hook=_bytes).decode


def _tuple(entry: Any) -> Any:
    return tuple(map(_tuple, entry)) if isinstance(entry, list) else entry
