"""What strace writes of addresses, and of the names and values of options."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Sequence

from ..live.options import numbers

_PORT = re.compile(r"sin6?_port=htons\((\d{1,5})\)")
_HOST = re.compile(r'inet_addr\("([0-9.]{1,15})"\)|inet_pton\(AF_INET6, "([0-9A-Fa-f:.]{1,45})"')
_LINGER = re.compile(r"\{l_onoff=(-?\d{1,10}), l_linger=(-?\d{1,10})\}")
_LEVELS = {"SOL_IP": socket.IPPROTO_IP, "SOL_IPV6": socket.IPPROTO_IPV6, "SOL_TCP": socket.IPPROTO_TCP}


def address_in(args: Sequence[str]) -> tuple[str, int] | None:
    """The host and port of the address that is among the arguments."""
    for text in args:
        if text.startswith("{sa_family=AF_INET"):
            port, host = _PORT.search(text), _HOST.search(text)
            if port and host:
                return host[1] or host[2], int(port[1])
    return None


def place_of(level: str, name: str) -> tuple[int, int] | None:
    """Level and number of an option by its names, or as strace writes one that it has no name for."""
    if name in numbers():
        return numbers()[name]
    number = re.match(r"0x[0-9a-f]{1,8}|\d{1,10}", name)
    where = socket.SOL_SOCKET if level == "SOL_SOCKET" else _LEVELS.get(level)
    base = 16 if number is not None and number[0].startswith("0x") else 10
    return (where, int(number[0], base)) if where is not None and number else None


def value_in(text: str) -> int | bytes | None:
    """The value of an option: a number in brackets, a struct linger, a text."""
    if found := re.fullmatch(r"\[(-?\d{1,11})\]", text):
        return int(found[1])
    if found := _LINGER.fullmatch(text):
        return struct.pack("ii", *(min(max(int(part), -(2**31)), 2**31 - 1) for part in found.groups()))
    if found := re.fullmatch(r'"([A-Za-z0-9_.\-]{1,15})(?:\\0)*"', text):
        return found[1].encode()
    return None
