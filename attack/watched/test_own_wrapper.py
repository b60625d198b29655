"""A project that has wrapped a call of its sockets itself."""

from __future__ import annotations

import socket
from typing import Any

import pytest


def test_own_wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    before = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        before(self, address if address != "magic" else ("127.0.0.1", 0))

    monkeypatch.setattr(socket.socket, "bind", bind)
    with socket.socket() as sock:
        sock.bind("magic")
        assert sock.getsockname()[1]
