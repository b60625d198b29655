"""What strace writes of addresses, and of the names and values of options."""

from __future__ import annotations

import ast
import contextlib
import re
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..live.options import numbers
from ..model.address import of_one_link
from .devices import NONE, by_loopback, meant, naming

_PORT = re.compile(r"sin6?_port=htons\((\d{1,5})\)")
_HOST = re.compile(r'inet_addr\("([0-9.]{1,15})"\)|inet_pton\(AF_INET6, "([0-9A-Fa-f:.]{1,45})"')
_LINGER = re.compile(r"\{l_onoff=(-?\d{1,10}), l_linger=(-?\d{1,10})\}")
_DEVICE = r'(?:if_nametoindex\("(?P<name>[A-Za-z][\w.\-]{0,14})"\)|(?P<index>\d{1,10}))'
_SCOPE = re.compile(rf"sin6_scope_id={_DEVICE}", re.ASCII)
_MREQ = re.compile(
    r'\{imr_multiaddr=inet_addr\("(?P<group>[\d.]{7,15})"\), '
    r'imr_(?:interface|address)=inet_addr\("(?P<own>[\d.]{7,15})"\)'
    rf"(?:, imr_ifindex={_DEVICE})?\}}",
    re.ASCII,
)
_MREQ6 = re.compile(
    r'\{inet_pton\(AF_INET6, "(?P<group>[0-9A-Fa-f:.]{2,45})", &ipv6mr_multiaddr\), (?P<own>)'
    rf"ipv6mr_interface={_DEVICE}\}}",
    re.ASCII,
)
_ALIAS = {"IPV6_ADD_MEMBERSHIP": "IPV6_JOIN_GROUP", "IPV6_DROP_MEMBERSHIP": "IPV6_LEAVE_GROUP"}
_LEVELS = {"SOL_IP": socket.IPPROTO_IP, "SOL_IPV6": socket.IPPROTO_IPV6, "SOL_TCP": socket.IPPROTO_TCP}


def address_in(args: Sequence[str], failed: bool = False) -> tuple[str, int] | None:
    """The host, with its device where that tells, and port of the address that is among the arguments."""
    for text in args:
        if text.startswith("{sa_family=AF_INET"):
            port, host = _PORT.search(text), _HOST.search(text)
            if port and host:
                return _scoped(host[1] or host[2], _SCOPE.search(text), failed), int(port[1])
    return None


def _scoped(host: str, scope: re.Match[str] | None, failed: bool) -> str:
    """A host with its device; strace names those that there are."""
    if scope is None or scope[2] == "0" or _literal(host) is None or not of_one_link(host.lower()):
        return host
    return f"{host}%{scope[1]}" if scope[1] else f"{host}%{NONE}" if failed else "?"


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def place_of(level: str, name: str) -> tuple[int, int] | None:
    """Level and number of an option by its names, or as strace writes one that it has no name for."""
    if (name := _ALIAS.get(name, name)) in numbers():
        return numbers()[name]
    number = re.match(r"0x[0-9a-f]{1,8}|\d{1,10}", name)
    where = socket.SOL_SOCKET if level == "SOL_SOCKET" else _LEVELS.get(level)
    base = 16 if number is not None and number[0].startswith("0x") else 10
    return (where, int(number[0], base)) if where is not None and number else None


def value_in(text: str) -> int | bytes | None:
    """The value of an option: a number in brackets, a struct linger, bytes."""
    if found := re.fullmatch(r"\[(-?\d{1,11})\]", text):
        return int(found[1])
    if found := _LINGER.fullmatch(text):
        return struct.pack("ii", *(min(max(int(part), -(2**31)), 2**31 - 1) for part in found.groups()))
    if re.fullmatch(r'"(?:[ !#-\[\]-~]|\\[abfnrtv"\\]|\\[0-3][0-7]{2}|\\[0-7]{1,2}(?![0-7])){0,64}"', text):
        with contextlib.suppress(ValueError):
            return bytes(ast.literal_eval(f"b{text}"))
    return None


def names_device(where: tuple[int, int]) -> bool:
    """Whether the value of this option names a device, so that `device_value` reads it."""
    return where in naming()


def device_value(where: tuple[int, int], text: str, size: str, error: str) -> str | None:
    """Such a value with the device by name; None where the log does not say which."""

    def by_number(number: int) -> str | None:
        """Loopback has the number 1 on every Linux. strace names those that it finds."""
        return "lo" if number == 1 else NONE if error in ("ENODEV", "EADDRNOTAVAIL") else None

    name = naming()[where]
    found = (_MREQ6 if name.startswith("IPV6_") else _MREQ).fullmatch(text)
    if found is None:
        value = value_in(text)
    elif (group := _literal(found["group"])) is None or (own := _literal(found["own"] or "0.0.0.0")) is None:
        return None
    elif found["name"]:
        return f"{group}%{found['name']}"
    elif group.version == 4 and found["index"] is None and size != "8":
        return None  # by a number, which this strace does not show
    else:
        index = struct.pack("@I", int(found["index"] or 0) & 0xFFFFFFFF)
        value = group.packed + (own.packed if group.version == 4 else b"") + index
    read = None if value is None else meant(name, value, by_number, by_loopback)
    return read if isinstance(read, str) else None
