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
from ..model.address import of_one_link
from ..options import options
from ..scenario import Option
from .events import NO_ERRNO

#: The addresses that stand for those of this machine on its network, and for those that are none of its: from the
#: blocks for documentation.
STAND_IN = {4: "192.0.2.", 6: "2001:db8::"}
NOT_HERE = {4: "198.51.100.1", 6: "2001:db8:1::1"}
ON_LINK, NOT_ON_LINK = "fe80::", "fe80:0:0:1::1"  # the same of addresses that a link has
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
    """The options of this OS that bear on which call may have which port, and those of groups: where, and the name."""
    return {where: name for name, where in numbers().items() if options()[name].ports or of_groups(name)}


def of_groups(name: str) -> bool:
    """Whether an option says who is in a multicast group, or by which device it is sent to; it bears on no port."""
    return options()[name].form in ("group", "device") or "_MULTICAST_" in name


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
    if form in ("group", "device"):
        return Option(name, value) if isinstance(value, str) else None
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        if form == "linger" and len(data) == struct.calcsize(_LINGER):
            on, seconds = struct.unpack(_LINGER, data)
            return Option(name, str(min(max(seconds, 0), 99_999)) if on else "off")
        if form == "text" and re.fullmatch(rb"[A-Za-z][A-Za-z0-9_.\-]{0,14}\0*", data):
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
    """The host without a `::ffff:` prefix."""
    return host.lower().removeprefix("::ffff:")


def is_here(host: str) -> bool:
    """Whether an address is this machine's wherever it is."""
    bare = plain(host).partition("%")[0]
    return bare in ("", "localhost", "0.0.0.0", "::", "::1") or bare.startswith("127.")


def nowhere(host: str, family: int) -> str:
    """What stands for an address that is none of this machine's."""
    bare, _, device = host.partition("%")
    if ":" in bare and of_one_link(bare.lower()):
        return f"{NOT_ON_LINK}%{device}" if device else NOT_ON_LINK
    return NOT_HERE[family]


def is_group(host: str) -> bool:
    """Whether a host is the address of a multicast group."""
    try:
        return ipaddress.ip_address(plain(host).partition("%")[0]).is_multicast
    except ValueError:
        return False


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
        bare, _, device = host.partition("%")
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            return None
        if bare == "255.255.255.255":
            return None
        inner = getattr(address, "ipv4_mapped", None)
        text, mapped = str(inner or address), "::ffff:" if inner is not None else ""
        zone = f"%{device}" if device and of_one_link(text) else ""
        if (inner or address).is_multicast:
            return f"{mapped}{text}{zone}"
        if (inner or address).is_loopback or (inner or address).is_unspecified:
            return f"{mapped}{text}"
        stand_in = self._stand_in(text)
        return stand_in and f"{mapped}{stand_in}{zone}"

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
            block = ON_LINK if of_one_link(address) else STAND_IN[6 if ":" in address else 4]
            self.own[address] = f"{block}{len(self.own) + 1}"
        return self.own[address]
