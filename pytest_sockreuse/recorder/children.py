"""What forked children do: each writes its events to a file of its own as they happen, since it may be killed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .events import Event, Tape
from .locations import places

_MOST = 16 * 1024 * 1024  # bytes that are read of one child's file


class Children:
    """The forked children of one process, and their files in a directory that only its user may enter."""

    def __init__(self, tape: Tape) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sockreuse-"))
        self.owner, self.count = os.getpid(), 0
        self.tape = tape
        tape.forked = self._forked

    def _forked(self) -> _Spool:
        """In the child: where its events go."""
        self.count += 1
        return _Spool(self.directory / f"{os.getpid()}.{self.count}", len(self.tape.events))

    def collect(self, last: bool) -> Iterator[tuple[list[Event], int]]:
        """The events of each child so far, and how many of them were its parent's; after the `last` time none."""
        for file in sorted(self.directory.iterdir()):
            with open(file, "rb") as stream:
                data = stream.read(_MOST)
            if last:
                file.unlink()
            lines = data.split(b"\n")[:-1]  # what a killed child did not finish is not read
            if not lines:
                continue
            events: dict[int, Event] = {}
            for line in lines[1:]:
                at, event = json.loads(line, object_hook=_bytes)
                events[at] = [_tuple(entry) for entry in event]
            yield [events[at] for at in sorted(events)], int(lines[0])

    def any(self) -> bool:
        """Whether there is a child to report on."""
        return any(self.directory.iterdir())

    def close(self) -> None:
        """Remove the directory; a child that gets here leaves it alone."""
        if os.getpid() == self.owner:
            shutil.rmtree(self.directory, ignore_errors=True)


class _Spool:
    def __init__(self, path: Path, old: int) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        os.write(self.file, b"%d\n" % old)

    def write(self, at: int, event: Event) -> None:
        verb, fd, what, number, trail = event
        where = [(place.file, place.line, place.function, place.start) for place in places(trail)]
        os.write(self.file, json.dumps([at, [verb, fd, what, number, where]], default=_hex).encode() + b"\n")


def _hex(value: Any) -> dict[str, str]:
    return {"hex": bytes(value).hex()}


def _bytes(entry: dict[str, str]) -> bytes:
    return bytes.fromhex(entry["hex"])


def _tuple(entry: Any) -> Any:
    return tuple(map(_tuple, entry)) if isinstance(entry, list) else entry
