"""The devices in addresses, and in options such as memberships of groups, as the language writes them: by name.

A number means nothing to a reader, and another device by the time that one looks. So it is looked up when the call
is made.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from ..live.devices import name_of
from ..live.options import numbers
from ..options import options
from ..scenario import Option

NONE = "nosuch"  # what a device is called that does not exist
CHOSEN = "routed"  # and one that the system chose, by its routes
JOINS, LEAVES = ("IP_ADD_MEMBERSHIP", "IPV6_JOIN_GROUP"), ("IP_DROP_MEMBERSHIP", "IPV6_LEAVE_GROUP")
_WORD = re.compile(r"[A-Za-z][\w.\-]{0,14}", re.ASCII)
_ANY = b"\0\0\0\0"


@cache
def naming() -> dict[tuple[int, int], str]:
    """The options that name a device: level and number on this OS, and the name."""
    return {where: name for name, where in numbers().items() if options()[name].form in ("group", "device")}


def by_number(number: int) -> str | None:
    """The name of a device of this machine, NONE where there is none; None where the language cannot write it."""
    name = name_of(number)
    return NONE if name == str(number) else name if _WORD.fullmatch(name) else None


def by_address(host: str) -> str | None:
    """The name of the device that has an IPv4 address."""
    if (known := by_loopback(host)) is not None or host.startswith("0."):  # the BSDs take that for a number
        return known
    import psutil

    having = [name for name, all_ in psutil.net_if_addrs().items() if any(one.address == host for one in all_)]
    return next((name for name in having if _WORD.fullmatch(name)), None) if having else NONE


def by_loopback(host: str) -> str | None:
    """The same where every Linux has the address, so that nobody needs to be asked."""
    return "lo" if host.startswith("127.") else None


def zoned(address: Any) -> Any:
    """An address of the socket module's with the device in its host, ``fe80::1%lo``, as far as it says one.

    A device that is written into the host itself is nothing to Python.
    """
    host = address[0].partition("%")[0]
    if len(address) < 4 or type(address[3]) is not int or not address[3]:
        return host, *address[1:]
    name = by_number(address[3])
    return f"{host}%{name}" if name else "?", address[1]


def said(level: int, number: int, value: int | bytes) -> int | bytes | str | None:
    """The value of an option of this OS that was just set, with its device by name."""
    name = naming().get((level, number))
    return value if name is None else meant(name, value)


def meant(
    name: str,
    value: int | bytes,
    number: Callable[[int], str | None] = by_number,
    address: Callable[[str], str | None] = by_address,
) -> int | bytes | str | None:
    """The value of an option; of one that names a device the text of it, None where the language cannot say that."""
    form = options()[name].form
    if form not in ("group", "device"):
        return value
    data = value if isinstance(value, bytes) else struct.pack("@I", value & 0xFFFFFFFF)
    group = form == "group"
    if name.startswith("IPV6_"):
        host, rest = (data[:16], data[16:20]) if group else (b"", data[:4])
        if len(rest) < 4:
            return _raw(data)
        (index,) = struct.unpack("@I", rest)
        device = number(index) if index else ""
        return _text(socket.inet_ntop(socket.AF_INET6, host) if group else "", device, data)
    host, rest = (data[:4], data[4:12]) if len(data) >= 8 else (b"", data if not group else b"")
    if len(rest) < 4:
        return _raw(data)
    (index,) = struct.unpack("@I", rest[4:]) if len(rest) == 8 else (0,)
    where = rest[:4]
    device = number(index) if index else "" if where == _ANY else address(socket.inet_ntoa(where))
    return _text(socket.inet_ntoa(host) if group else "", device, data)


def _raw(data: bytes) -> str:
    return f"raw:{data[:256].hex()}"


def _text(group: str, device: str | None, data: bytes) -> str | None:
    if device is None:
        return None
    return (f"{group}%{device}" if device else group) if group else device or _raw(_ANY)


def device_in(option: Option) -> str:
    """The device that an option names; empty where it names none."""
    value, form = option.value or "", options()[option.name].form
    if form not in ("text", "group", "device") or value.startswith("raw:"):
        return ""
    return value.partition("%")[2] if form == "group" else value
