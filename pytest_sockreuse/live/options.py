"""Socket options by name: their level and number on this OS, and their values to and from bytes."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from functools import cache

from ..options import options
from ..scenario import Option

_SYSTEMS = {
    "darwin": "macos",
    "sunos": "illumos",
    "win": "windows",
}  # where Python has another name; without its number
_LINGER = "HH" if sys.platform == "win32" else "ii"


@cache
def numbers() -> dict[str, tuple[int, int]]:
    """Level and number of each option that this OS has: as Python names it, else as conformance/options.toml does."""
    name = sys.platform.rstrip("0123456789")
    system = _SYSTEMS.get(name, name)
    found = {name: getattr(socket, name, known.number.get(system)) for name, known in options().items()}
    levels = {name: getattr(socket, known.level) for name, known in options().items()}
    return {name: (levels[name], number) for name, number in found.items() if number is not None}


def _where(name: str) -> tuple[int, int]:
    if name not in numbers():
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
    return numbers()[name]


def apply(sock: socket.SocketType, option: Option) -> None:
    """setsockopt(2). Raises OSError, ENOPROTOOPT where this OS does not have the option."""
    level, number = _where(option.name)
    form, value, raw = options()[option.name].form, option.value or "1", option.raw
    if raw is not None:
        sock.setsockopt(level, number, raw)
    elif form == "linger":
        sock.setsockopt(level, number, struct.pack(_LINGER, value != "off", 0 if value == "off" else int(value)))
    elif form == "range":
        low, high = map(int, value.split("-"))
        sock.setsockopt(level, number, struct.pack("@I", high << 16 | low))
    elif form == "text":
        sock.setsockopt(level, number, value.encode() + b"\0")
    else:
        sock.setsockopt(level, number, int(value))


def read(sock: socket.SocketType, option: Option) -> str:
    """getsockopt(2), in the form that `apply` takes; a flag is 0 or 1. Raises OSError."""
    level, number = _where(option.name)
    match options()[option.name].form:
        case "linger":
            on, seconds = struct.unpack(_LINGER, sock.getsockopt(level, number, struct.calcsize(_LINGER)))
            return str(seconds) if on else "off"
        case "range":
            (packed,) = struct.unpack("@I", sock.getsockopt(level, number, 4))
            return f"{packed & 0xFFFF}-{packed >> 16}"
        case "text":
            return sock.getsockopt(level, number, 64).rstrip(b"\0").decode("ascii", "replace")
        case "flag":
            return "1" if sock.getsockopt(level, number) else "0"
        case _:
            return str(sock.getsockopt(level, number))
