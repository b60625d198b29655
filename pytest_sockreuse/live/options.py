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
from .devices import NONE, index_of, name_of

_SYSTEMS = {
    "darwin": "macos",
    "sunos": "illumos",
    "win": "windows",
}  # where Python has another name; without its number
_NO_ADDRESS = "192.0.2.1"  # of the documentation
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
    elif form == "group":
        sock.setsockopt(level, number, _group(*value.partition("%")[::2]))
    elif form == "device":
        ip4 = level == socket.IPPROTO_IP
        sock.setsockopt(level, number, _interface("0.0.0.0", value) if ip4 else struct.pack("@I", index_of(value)))
    else:
        sock.setsockopt(level, number, int(value))


def _group(host: str, device: str) -> bytes:
    """A group and one of its devices, as struct ip_mreq or ipv6_mreq has them; without a device the system chooses."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host) + struct.pack("@I", index_of(device) if device else 0)
    return _interface(host, device) if sys.platform == "linux" else socket.inet_aton(host) + _by_address(device)


def _interface(group: str, device: str) -> bytes:
    """A group and a device, or the device alone: Linux' struct ip_mreqn, elsewhere an address of the device."""
    if sys.platform != "linux":
        return _by_address(device)
    return socket.inet_aton(group) + bytes(4) + struct.pack("@i", index_of(device) if device else 0)


def _by_address(device: str) -> bytes:
    """The IPv4 address of a device: the wildcard for none; where there is no such device one that none has."""
    address = {"": "0.0.0.0", "lo": "127.0.0.1"}.get(device, _NO_ADDRESS)
    if address == _NO_ADDRESS and index_of(device) != NONE:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    return socket.inet_aton(address)


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
        case "device" if level == socket.IPPROTO_IP:
            return socket.inet_ntoa(sock.getsockopt(level, number, 4))
        case "device":
            index = sock.getsockopt(level, number)
            return name_of(index) if index else "0"
        case "flag":
            return "1" if sock.getsockopt(level, number) else "0"
        case _:
            return str(sock.getsockopt(level, number))
