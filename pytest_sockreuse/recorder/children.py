"""What forked children do: each writes its events to its parent's file as they happen, since it may be killed.

The file has no name, so that nothing is left of it whoever is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from operator import attrgetter
from typing import Any

from .events import Event, Tape
from .locations import Place, places

_MOST = 64 * 1024 * 1024  # bytes that are read of all children in a test
_fields = attrgetter(*(field.name for field in fields(Place)))  # astuple() would copy each


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
        self._file.seek(0)
        data = self._file.read(_MOST)
        if last:
            self._file.truncate(0)
        found: dict[str, tuple[dict[int, Event], int]] = {}
        for line in data.split(b"\n"):
            with contextlib.suppress(ValueError):  # what a killed child did not finish
                child, at, event = json.loads(line, object_hook=_bytes)
                if event is None:
                    found[child] = {}, at
                elif child in found:
                    found[child][0][at] = [_tuple(entry) for entry in event]
        for events, old in found.values():
            before = sum(at < old for at in events)
            ours = [events[at] for at in sorted(events)]
            yield [*ours[:before], ("fork", -1, None, 0, ()), *ours[before:]], before

    def any(self) -> bool:
        """Whether there is a child to report on."""
        return os.fstat(self._file.fileno()).st_size > 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


#: How many processes this one has started by other programs since it counts; nothing is seen of those.
started = 0
_counts = False


def count_started() -> None:
    """Count from now on, as long as this process lives: an audit hook cannot be taken away."""
    global _counts
    if not _counts:
        _counts = True
        sys.addaudithook(_hear)


def _hear(event: str, _: object) -> None:
    global started
    if event in ("subprocess.Popen", "os.posix_spawn", "os.spawn"):
        started += 1


class _Spool:
    """The file as one child writes it: the child's name, the number of an event, the event; first how many are old."""

    def __init__(self, file: int, owner: int, inode: os.stat_result, old: int) -> None:
        self._file, self._inode = file, inode
        self._path = f"/proc/{owner}/fd/{file}"
        self._child = os.urandom(8).hex()
        self._write(old, None)

    def write(self, at: int, event: Event) -> None:
        verb, fd, what, number, trail = event
        where = [_fields(place) for place in places(trail)]
        self._write(at, [verb, fd, what, number, where])

    def _write(self, at: int, event: Event) -> None:
        line = json.dumps([self._child, at, event], default=_hex).encode()
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


def _tuple(entry: Any) -> Any:
    return tuple(map(_tuple, entry)) if isinstance(entry, list) else entry
