"""The language's words for what the socket module was called with: kinds, options, outcomes, addresses."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
import sys
from functools import cache

from ..live.errnos import number_name
from ..live.options import numbers
from ..options import options
from ..scenario import Option
from .events import NO_ERRNO

#: The addresses that stand for those of this machine on its network, and for those that are none of its: from the
#: blocks for documentation.
STAND_IN = {4: "192.0.2.", 6: "2001:db8::"}
NOT_HERE = {4: "198.51.100.1", 6: "2001:db8:1::1"}
WILDCARD = {4: "0.0.0.0", 6: "::"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_LITERALS = frozenset({*WILDCARD.values(), *LOOPBACK.values()})
HOW = {int(socket.SHUT_RD): "RD", int(socket.SHUT_WR): "WR", int(socket.SHUT_RDWR): "RDWR"}

_STREAM, _DATAGRAM = int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM)
_KINDS = {
    _STREAM: {0: "tcp", 6: "tcp", 262: "mptcp", 132: "sctp"},
    _DATAGRAM: {0: "udp", 17: "udp", 136: "udplite"},
}
_TYPE = ~(getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0))
_LINGER = "HH" if sys.platform == "win32" else "ii"
_MOST_OWN = 9  # addresses of this machine that are told apart


@cache
def bearing() -> dict[tuple[int, int], str]:
    """The options of this OS that bear on which call may have which port: level and number, and the name."""
    return {where: name for name, where in numbers().items() if options()[name].ports}


def kind(family: int, type_: int, proto: int) -> str | None:
    """The kind of a socket; -1 is Python's default. None where the language has no word for it."""
    protocols = _KINDS.get(_STREAM if type_ == -1 else type_ & _TYPE, {})
    base = protocols.get(max(proto, 0))
    return base and f"{base}{6 if family == socket.AF_INET6 else 4}"


def outcome(number: int | None) -> str:
    """The outcome that an errno stands for; empty where it is not known."""
    if number is None or number == NO_ERRNO:
        return ""
    return number_name(number) if number else "ok"


def option(level: int, number: int, value: object) -> Option | None:
    """An option as the language writes it; None where it bears on no port, or its value cannot be read."""
    name = bearing().get((level, number))
    if name is None:
        return None
    form = options()[name].form
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        if form == "linger" and len(data) == struct.calcsize(_LINGER):
            on, seconds = struct.unpack(_LINGER, data)
            return Option(name, str(min(max(seconds, 0), 99_999)) if on else "off")
        if form == "text" and re.fullmatch(rb"[A-Za-z0-9_.\-]{1,15}\0*", data):
            return Option(name, data.rstrip(b"\0").decode())
        if form not in ("flag", "int", "range") or len(data) != 4:
            return Option(name, f"raw:{data[:256].hex()}")
        value = int.from_bytes(data, sys.byteorder, signed=True)
    if not isinstance(value, int) or form in ("linger", "text"):
        return None
    if form == "range":
        return Option(name, f"{value & 0xFFFF}-{value >> 16 & 0xFFFF}")
    return Option(name) if value == 1 and form == "flag" else Option(name, str(int(value)))


def plain(host: str) -> str:
    """The host without a `::ffff:` prefix and without a zone id."""
    return host.lower().removeprefix("::ffff:").partition("%")[0]


def is_here(host: str) -> bool:
    """Whether an address is this machine's wherever it is."""
    bare = plain(host)
    return bare in ("", "localhost", "0.0.0.0", "::", "::1") or bare.startswith("127.")


class Addresses:
    """The addresses of one trace: loopback and wildcard ones as they are, others by what stands for them."""

    def __init__(self) -> None:
        self.own: dict[str, str] = {}

    def literal(self, host: object, family: int) -> str | None:
        """An address as the language writes it; None where it has no word for it."""
        if not isinstance(host, str) or host in _LITERALS:
            return host if isinstance(host, str) else None
        if host in ("", "localhost"):
            return (LOOPBACK if host else WILDCARD)[family]
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return None
        if address.is_multicast or host == "255.255.255.255":
            return None
        inner = getattr(address, "ipv4_mapped", None)
        bare = inner or address
        mapped = "::ffff:" if inner is not None else ""
        if bare.is_loopback or bare.is_unspecified:
            return f"{mapped}{bare}"
        stand_in = self._stand_in(str(bare))
        return stand_in and f"{mapped}{stand_in}"

    def source(self, own: tuple[str, int] | None, family: int) -> str | None:
        """The address that a connection to another machine came from, which stands for the other machine too."""
        if own is not None and not is_here(own[0]):
            return self.literal(own[0], family)
        return self._stand_in(WILDCARD[family])

    def _stand_in(self, address: str) -> str | None:
        """What stands for an address of this machine on its network."""
        if address not in self.own:
            if len(self.own) >= _MOST_OWN:
                return None
            self.own[address] = f"{STAND_IN[6 if ':' in address else 4]}{len(self.own) + 1}"
        return self.own[address]
