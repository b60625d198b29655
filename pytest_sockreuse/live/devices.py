"""Interfaces by name and number: `lo` is the loopback interface, whatever the system calls it."""

from __future__ import annotations

import contextlib
import socket

_LOOPBACK = ("lo", "lo0", "loopback_0")  # Linux, the BSDs and illumos, Windows
NONE = 2**31 - 1  # a number that no interface has


def index_of(name: str) -> int:
    """The number of an interface; where there is none of that name, a number that none has."""
    for own in _LOOPBACK if name == "lo" else (name,):
        with contextlib.suppress(OSError):
            return socket.if_nametoindex(own)
    return NONE


def name_of(index: int) -> str:
    """The name of an interface; its number where it has none."""
    try:
        name = socket.if_indextoname(index)
    except OSError:
        return str(index)
    return "lo" if name in _LOOPBACK else name
