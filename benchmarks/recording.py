"""What the recorder adds: to each call of a socket, and at the end of a test, for its report."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from pytest_sockreuse.hooks.recorder import Recorder, Recording
from pytest_sockreuse.hooks.targets import called
from pytest_sockreuse.parser import parse
from pytest_sockreuse.recorder.events import Tape
from pytest_sockreuse.recorder.translate import bearing
from pytest_sockreuse.recorder.watch import recording

from .models import CONNECTION, looked
from .ratio import Ratio, did, least

_LIVES, _CALLS = 300, 11


def call() -> Ratio:
    """a call of a socket that is recorded, to one that is not; of a connection's life"""

    def lived(recorded: bool) -> float:
        with recording(Tape(1_000_000), frozenset(bearing())) if recorded else contextlib.nullcontext():
            listener = server.dup()  # one that the recording knows
            took = did(lambda: _life(listener), _LIVES)
            listener.close()
        return took

    with socket.create_server(("127.0.0.1", 0)) as server:
        return least(6, lambda: lived(True), lambda: lived(False)).each(_CALLS, "call")


def _life(server: socket.socket) -> None:
    """Calls of a connection's life, so many as `_CALLS` says."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        bound.listen()
    with socket.socket() as client:
        client.connect(server.getsockname())
        child, _ = server.accept()
        client.send(b"x")
        child.recv(1)
        child.close()


def report() -> Ratio:
    """a test's report, when a connection's life was recorded, to the look-up of six steps in dictionaries"""
    with (
        Recorder(called([], "the newest"), Path.cwd()).running() as recorder,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        _life(server)
        recording, scenario = Recording(recorder), parse(CONNECTION)
        taken = least(20, lambda: did(lambda: recording.record, 10), lambda: did(lambda: looked(scenario), 500))
        return Ratio(taken.ours, taken.reference, "report")
