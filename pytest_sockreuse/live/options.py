"""Socket options by name: their level and number on this OS, and their values to and from bytes."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys

from ..scenario import OPTIONS, Option

#: Numbers that Python's socket module does not name (in every version that we support).
_NUMBERS: dict[str, dict[str, int]] = {
    "linux": {
        "IP_BIND_ADDRESS_NO_PORT": 24,
        "IP_LOCAL_PORT_RANGE": 51,
        "IP_FREEBIND": 15,
        "IPV6_FREEBIND": 78,
        "IP_TRANSPARENT": 19,
        "IPV6_TRANSPARENT": 75,
        "SO_PRIORITY": 12,
        "SO_MARK": 36,
    },
    "freebsd": {
        "SO_REUSEPORT_LB": 0x00010000,
        "IP_BINDANY": 24,
        "IPV6_BINDANY": 64,
        "IP_PORTRANGE": 19,
        "IPV6_PORTRANGE": 14,
    },
    "darwin": {"IP_PORTRANGE": 19, "IPV6_PORTRANGE": 14},
    "netbsd": {"IP_PORTRANGE": 19, "IPV6_PORTRANGE": 14},
    "openbsd": {"IP_PORTRANGE": 19, "IPV6_PORTRANGE": 14},
    "win32": {"SO_RANDOMIZE_PORT": 0x3005, "SO_PORT_SCALABILITY": 0x3006, "SO_REUSE_UNICASTPORT": 0x3007},
}
_LEVELS = {
    "SO": socket.SOL_SOCKET,
    "IP": socket.IPPROTO_IP,
    "IPV6": socket.IPPROTO_IPV6,
    "TCP": socket.IPPROTO_TCP,
}
_LINGER = "HH" if sys.platform == "win32" else "ii"


def _numbers() -> dict[str, tuple[int, int]]:
    here = next((table for name, table in _NUMBERS.items() if sys.platform.startswith(name)), {})
    found = {name: getattr(socket, name, here.get(name)) for name in OPTIONS}
    return {name: (_LEVELS[name.split("_")[0]], number) for name, number in found.items() if number is not None}


_HERE = _numbers()


def number_of(name: str) -> tuple[int, int] | None:
    """Level and number of an option on this OS; None where it has none."""
    return _HERE.get(name)


def _where(name: str) -> tuple[int, int]:
    if name not in _HERE:
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
    return _HERE[name]


def apply(sock: socket.socket, option: Option) -> None:
    """setsockopt(2). Raises OSError, ENOPROTOOPT where this OS does not have the option."""
    level, number = _where(option.name)
    form, value, raw = OPTIONS[option.name], option.value or "1", option.raw
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


def read(sock: socket.socket, option: Option) -> str:
    """getsockopt(2), in the form that `apply` takes; a flag is 0 or 1. Raises OSError."""
    level, number = _where(option.name)
    match OPTIONS[option.name]:
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
