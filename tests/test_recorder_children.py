"""The recorder in forked children: each has a trace of its own."""

from __future__ import annotations

import os
import signal
import socket
import sys

import pytest
from recording import LOCAL, REUSEPORT, recorded, text

from pytest_sockreuse.recorder.children import Children
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
        assert not children.directory.exists()
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
    def test_a_child_that_nobody_asks_is_not_watched() -> None:
        with recorded():
            child = os.fork()
            if not child:
                os._exit("bind" in vars(socket.socket))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
