"""What tests of the recorder share: sockets recorded, and what is told of them."""

from __future__ import annotations

import contextlib
import gc
import socket
import textwrap
from collections.abc import Callable, Iterator

from pytest_sockreuse.hooks.recorder import Recording
from pytest_sockreuse.recorder import watch
from pytest_sockreuse.recorder.events import Tape
from pytest_sockreuse.recorder.reconstruct import Trace, reconstruct
from pytest_sockreuse.recorder.translate import bearing

LOCAL = ("127.0.0.1", 0)
REUSEPORT: int = getattr(socket, "SO_REUSEPORT", 15)


@contextlib.contextmanager
def recorded(limit: int = 5000) -> Iterator[Tape]:
    with watch.recording(Tape(limit), frozenset(bearing())) as tape:
        yield tape


def trace(act: Callable[[], object]) -> Trace:
    with recorded() as tape:
        act()
        gc.collect()
    return reconstruct(tape.events)[0]


def told(act: Callable[[], object]) -> str:
    return str(trace(act).scenario)


def text(lines: str) -> str:
    return textwrap.dedent(lines).lstrip("\n")


def plain() -> None:
    listener = socket.socket()
    listener.bind(LOCAL)
    listener.listen()
    client = socket.socket()
    client.connect(listener.getsockname())
    child, _ = listener.accept()
    for sock in (child, client, listener):
        sock.close()


def stacks(recording: Recording) -> set[str]:
    """The systems of which something is told."""
    found = {platform.stack for found in recording.findings for platform in found.platforms}
    return found | {"windows" for found in recording.misuse if found.misuse.id == "reuseaddr-on-windows"}


def misused(recording: Recording) -> list[str]:
    """The ids of the misuse that is told."""
    return [found.misuse.id for found in recording.misuse]
