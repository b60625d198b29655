"""Many connections from many threads, and sockets of a child."""

from __future__ import annotations

import os
import socket
import sys
import threading

import pytest


def test_threads() -> None:
    def many() -> None:
        for _ in range(50):
            with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
                server.accept()[0].close()

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_child() -> None:
    if sys.platform == "win32":
        pytest.skip("there is no fork")
    pid = os.fork()
    if not pid:
        socket.create_server(("127.0.0.1", 0)).close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
