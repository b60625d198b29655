"""Calls from code whose file is no source, has a hostile name, or never ends."""

from __future__ import annotations

import pytest

CODE = """
import socket
for host in ("127.0.0.1", "0.0.0.0"):
    with socket.socket() as s, socket.socket() as t:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, 0))
        t.bind(s.getsockname())
        s.listen()
"""


@pytest.mark.parametrize("name", ["\x1b[31mevil\n.py", "/dev/zero", "/", "<x>", "x" * 5000, "\udcff"])
def test_odd_places(name: str) -> None:
    exec(compile(CODE, name, "exec"), {})
