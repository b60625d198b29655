"""The sockets of a network namespace, as Linux tells everybody by sock_diag: all of them, or those of one port."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from . import netlink
from .plain import Plain

assert sys.platform == "linux"

_BY_FAMILY, _REQUEST_DUMP, _DONE, _ERROR = 20, 0x301, 3, 2
_ALL = 2**32 - 1
_HEAD = struct.Struct("!BBBBHH16s16s")  # family, state, timer, retransmits, ports, addresses
_TAIL = struct.Struct("=I8xI8xII")  # interface, cookie, expiry, queues, user, inode
_EXPIRES = 3  # the timer of what ends by itself
_BOUND = (7, 10)  # the states in which options matter: closed, but bound; and LISTEN
_V6ONLY, _FLAGS = 11, 22  # attributes: INET_DIAG_SKV6ONLY, INET_DIAG_SOCKOPT
_NO_PORT = 1 if sys.byteorder == "little" else 0x80  # a bit of the latter's second byte
_sequence = itertools.count(1)


class Found(NamedTuple):
    """A socket that sock_diag knows: `state` is one of `STATES`, `inode` 0 where no process has it.

    `interface` is the index of that it is bound to, or 0; `seconds` are left until the kernel ends it by itself;
    `flags` are the options that the kernel tells of any socket that is bound or listens, None where it tells none.
    """

    family: int
    local: tuple[str, int]
    foreign: tuple[str, int]
    state: str
    uid: int
    inode: int
    interface: int = 0
    seconds: float | None = None
    flags: frozenset[str] | None = None


def on_port(family: int, protocol: int, port: int, states: int = _ALL) -> Iterator[Found]:
    """The sockets of this namespace at a local port, in one of `states` (bits). Raises OSError without inet_diag.

    `protocol` is IPPROTO_TCP or IPPROTO_UDP. A TCP socket that is bound and no more is told since Linux 6.8.
    """
    for message in _dump(family, protocol, port, states):
        if int.from_bytes(message[4:6]) == port:  # of those that are only bound the kernel tells all
            yield _found(message, _attributes(message) if message[1] in _BOUND else None)


def in_range(family: int, protocol: int, low: int, high: int) -> Iterator[Found]:
    """The sockets of this namespace at local ports from `low` to `high`, without `flags`. Raises OSError as above."""
    for message in _dump(family, protocol, 0, _ALL):
        if low <= message[4] << 8 | message[5] <= high:
            yield _found(message)


def listened() -> set[int]:
    """The TCP ports of this namespace at which somebody listens. Raises OSError as above."""
    families = (socket.AF_INET, socket.AF_INET6)
    return {int.from_bytes(it[4:6]) for family in families for it in _dump(family, socket.IPPROTO_TCP, 0, 1 << 10)}


def _dump(family: int, protocol: int, port: int, states: int) -> Iterator[bytes]:
    """The messages of the kernel's answer, each from its struct inet_diag_msg on."""
    identity = struct.pack("!HH", port, 0) + bytes(32) + struct.pack("=III", 0, _ALL, _ALL)
    body = struct.pack("=BBBxI", family, protocol, 0, states) + identity
    with Plain(socket.AF_NETLINK, socket.SOCK_RAW, 4) as link:  # NETLINK_SOCK_DIAG
        link.send(struct.pack("=IHHII", 16 + len(body), _BY_FAMILY, _REQUEST_DUMP, next(_sequence), 0) + body)
        while True:
            data = link.recv(65536)
            at = 0
            while at < len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", data, at + 16)[0]
                    raise OSError(code, os.strerror(code))
                yield data[at + 16 : at + length]
                at += length + 3 & ~3


def _found(message: bytes, flags: frozenset[str] | None = None) -> Found:
    family, state, timer, _, port, peer, local, foreign = _HEAD.unpack_from(message)
    interface, expires, uid, inode = _TAIL.unpack_from(message, 40)
    return Found(
        family,
        (_host(family, local), port),
        (_host(family, foreign), peer),
        netlink.STATES[state] if state < len(netlink.STATES) else "?",
        uid,
        inode,
        interface,
        expires / 1000 if timer == _EXPIRES else None,
        flags,
    )


@lru_cache(4096)
def _host(family: int, packed: bytes) -> str:
    return socket.inet_ntop(family, packed if family == socket.AF_INET6 else packed[:4])


def _attributes(message: bytes) -> frozenset[str] | None:
    """The options of a socket: IPV6_V6ONLY of one that listens or is bound, IP_BIND_ADDRESS_NO_PORT since Linux
    5.10."""
    found, told, at = set(), False, 72
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        value = message[at + 4 : at + length]
        told |= kind in (_V6ONLY, _FLAGS)
        if kind == _V6ONLY and value[0]:
            found.add("IPV6_V6ONLY")
        elif kind == _FLAGS and value[1] & _NO_PORT:
            found.add("IP_BIND_ADDRESS_NO_PORT")
        at += max(4, length + 3 & ~3)
    return frozenset(found) if told else None
