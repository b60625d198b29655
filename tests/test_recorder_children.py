"""The recorder in forked children: each has a trace of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from here import linux_only
from recording import LOCAL, REUSEPORT, recorded, text

from pytest_sockreuse.model import predict
from pytest_sockreuse.platforms import named
from pytest_sockreuse.recorder import children as forks
from pytest_sockreuse.recorder.children import Children
from pytest_sockreuse.recorder.locations import places
from pytest_sockreuse.recorder.reconstruct import reconstruct

if sys.platform != "win32":

    @pytest.mark.parametrize("ending", ["exit", "kill"])
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_forked_child_has_a_story_of_its_own(ending: str) -> None:
        with recorded() as tape:
            children = Children(tape)
            try:
                with socket.create_server(LOCAL) as listener:
                    reader, writer = os.pipe()
                    child = os.fork()
                    if not child:
                        try:
                            listener.setsockopt(socket.SOL_SOCKET, REUSEPORT, b"\1\0\0\0")
                            client = socket.create_connection(listener.getsockname())
                            os.write(writer, b"x")
                            if ending == "kill":
                                signal.pause()
                        finally:
                            os._exit(client.fileno() < 0)
                    os.read(reader, 1)
                    if ending == "kill":
                        os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    os.close(reader)
                    os.close(writer)
                ((events, old),) = children.collect(last=True)
                assert not list(children.collect(last=True))
            finally:
                children.close()
        found, _ = reconstruct(events, old)
        assert str(found.scenario) == text("""
            listener = tcp4(SO_REUSEADDR)
            listener.bind(127.0.0.1:0)
            listener.listen()
            listener.set(SO_REUSEPORT)
            client = tcp4()
            client.connect(127.0.0.1:listener.port)
        """)
        assert [call.old for call in found.calls] == [True, True, True, False, False, False]
        assert str(reconstruct(tape.events)[0].scenario) == text("""
            listener = tcp4(SO_REUSEADDR)
            listener.bind(127.0.0.1:0)
            listener.listen()
            listener.close()
        """)

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_what_a_child_closes_its_parent_still_has() -> None:
        with recorded() as tape:
            children = Children(tape)
            with socket.create_server(LOCAL) as listener:
                port = listener.getsockname()[1]
                child = os.fork()
                if not child:
                    listener.close()
                    with socket.socket() as again:
                        try:
                            again.bind((LOCAL[0], port))
                        finally:
                            os._exit(0)
                os.waitpid(child, 0)
                ((events, old),) = children.collect(last=True)
                children.close()
        found, _ = reconstruct(events, old)
        assert str(found.scenario) == text("""
            listener = tcp4(SO_REUSEADDR)
            listener.bind(127.0.0.1:0)
            listener.listen()
            parent = listener.dup()
            listener.close()
            again = tcp4()
            again.bind(127.0.0.1:listener.port)?
        """)
        (piece,) = found.pieces
        predicted = predict(piece.scenario, named("linux-6.18")).steps
        assert [step.outcomes for step in predicted][-1] == ("EADDRINUSE",)

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_child_that_nobody_asks_is_not_watched() -> None:
        with recorded():
            child = os.fork()
            if not child:
                os._exit("bind" in vars(socket.socket))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_nothing_has_a_name_that_could_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with recorded() as tape:
            children = Children(tape)
            child = os.fork()
            if not child:
                socket.create_server(LOCAL)
                os._exit(0)
            os.waitpid(child, 0)
            assert children.any()
            assert not [*tmp_path.iterdir()]
            children.close()

    @linux_only
    def test_a_daemon_that_closes_what_it_inherits_is_recorded_and_its_files_are_its_own(tmp_path: Path) -> None:
        with recorded() as tape:
            children = Children(tape)
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                os.closerange(3, 200)
                for number in range(3, 200):
                    os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT)
                socket.create_server(LOCAL).close()
                os._exit(0)
            os.waitpid(child, 0)
            ((events, old),) = children.collect(last=True)
            children.close()
            os.close(reader)
            os.close(writer)
        assert [event[0] for event in events[old:]] == ["fork", "socket", "set", "bind", "listen", "close"]
        assert not any(path.stat().st_size for path in tmp_path.iterdir())

    def test_nothing_is_lost_while_a_child_writes() -> None:
        with recorded() as tape:
            children = Children(tape)
            child = os.fork()
            if not child:
                for _ in range(100):
                    socket.create_server(LOCAL).close()
                os._exit(0)
            seen = [0]
            while not os.waitpid(child, os.WNOHANG)[0]:
                seen += [len(events) for events, _ in children.collect(last=False)] or [0]
            children.close()
        assert seen == sorted(seen)

    def test_a_child_that_outlives_its_test_is_no_part_of_the_next() -> None:
        with recorded() as tape:
            children = Children(tape)
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                socket.create_server(LOCAL)
                os.read(reader, 1)
                socket.create_server(LOCAL)
                os._exit(0)
            while not [events for events, _ in children.collect(last=False) if len(events) > 3]:
                pass
            assert len(list(children.collect(last=True))) == 1
            os.write(writer, b"x")
            os.waitpid(child, 0)
            assert not list(children.collect(last=True))
            children.close()
            os.close(reader)
            os.close(writer)

    def test_a_child_tells_the_lines_of_its_calls() -> None:
        with recorded() as tape:
            children = Children(tape)
            child = os.fork()
            if not child:
                for _ in range(2):
                    socket.create_server(LOCAL).close()
                os._exit(0)
            os.waitpid(child, 0)
            ((events, _),) = children.collect(last=True)
            children.close()
        binds = [places(trail) for verb, _, _, _, trail in events if verb == "bind"]
        assert [place.function for place in binds[0]][:2] == [
            "create_server",
            "test_a_child_tells_the_lines_of_its_calls",
        ]
        assert binds[0] == binds[1]


def test_starting_a_program_is_as_it_was_when_nobody_counts() -> None:
    before = subprocess.Popen.__init__
    with forks.counting():
        subprocess.run([sys.executable, "-c", ""], check=True)
        assert subprocess.Popen.__init__ is not before
    assert subprocess.Popen.__init__ is before
