"""All sockets of this network namespace at the ports that the OS chooses from, and which it never chooses."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from typing import Any, NamedTuple

from .port_blocks import ephemeral

if sys.platform == "linux":
    from .processes import owners
    from .sockdiag import in_range

_RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports"
_NETSH = ("netsh", "interface", "ipv4", "show", "excludedportrange", "protocol=tcp")


class Seat(NamedTuple):
    """A socket at a port of the range. `inode` is 0 and `pids` empty where no process has it, or none can be seen."""

    family: int
    local: tuple[str, int]
    foreign: tuple[str, int]
    state: str
    inode: int
    pids: tuple[int, ...]
    seconds: float | None = None


class Census(NamedTuple):
    """The range, the ports of it that are reserved, and the sockets at its ports."""

    low: int
    high: int
    reserved: frozenset[int]
    seats: list[Seat]

    @property
    def size(self) -> int:
        """How many ports there are to choose from."""
        return self.high - self.low + 1 - len(self.reserved)

    def ports(self) -> set[int]:
        """The ports at which there is a socket."""
        return {seat.local[1] for seat in self.seats} - self.reserved

    def within(self, low: int, high: int) -> Census:
        """Of a socket's own IP_LOCAL_PORT_RANGE; a side of it that lies outside gives way to that of all."""
        low = low if self.low <= low <= self.high else self.low
        high = high if low <= high <= self.high else self.high
        reserved = frozenset(port for port in self.reserved if low <= port <= high)
        return Census(low, high, reserved, [seat for seat in self.seats if low <= seat.local[1] <= high])

    def of_family(self, family: int) -> Census:
        """Of the sockets those that a port can be taken by for this family: IPv6's wildcard may take IPv4's port
        too."""
        wild = "::" if family == socket.AF_INET else "0.0.0.0"
        return self._replace(
            seats=[s for s in self.seats if s.family == family or s.local[0] == wild or "." in s.local[0]]
        )


def census(protocol: str = "tcp") -> Census:
    """Who has which port of the range now."""
    low, high = ephemeral()
    reserved = frozenset(port for port in reserved_ports() if low <= port <= high)
    return Census(low, high, reserved, _seats(protocol, low, high))


def _seats(protocol: str, low: int, high: int) -> list[Seat]:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # gVisor, or a kernel without inet_diag
            number = socket.IPPROTO_TCP if protocol == "tcp" else socket.IPPROTO_UDP
            families = (socket.AF_INET, socket.AF_INET6)
            found = [sock for family in families for sock in in_range(family, number, low, high)]
            owned, _ = owners({sock.inode for sock in found if sock.inode})
            pids = {inode: tuple(process.pid for process in having) for inode, having in owned.items()}
            return [
                Seat(s.family, s.local, s.foreign, s.state, s.inode, pids.get(s.inode, ()), s.seconds) for s in found
            ]
    return [seat for seat in _by_psutil(protocol) if low <= seat.local[1] <= high]


def _by_psutil(protocol: str) -> list[Seat]:
    import psutil

    connections: list[tuple[Any, int | None]]
    try:
        connections = [(found, found.pid) for found in psutil.net_connections(protocol)]
    except (psutil.Error, OSError):  # macOS lets root ask only: our own then
        connections = [(found, os.getpid()) for found in psutil.Process().net_connections(protocol)]
    states = {"NONE": "BOUND", "CLOSE": "BOUND"}
    return [
        Seat(
            int(it.family),
            (it.laddr.ip, it.laddr.port),
            (it.raddr.ip, it.raddr.port) if it.raddr else ("", 0),
            states.get(it.status, it.status),
            0,
            (pid,) if pid else (),
        )
        for it, pid in connections
        if it.laddr
    ]


def reserved_ports() -> set[int]:
    """The ports that the OS never chooses, as far as it tells: a setting of Linux, the excluded ranges of Windows."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open(_RESERVED, encoding="ascii") as file:
            return _listed(file.read())
    elif sys.platform == "win32":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return excluded(
                subprocess.run(
                    _NETSH, capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=False
                ).stdout
            )
    return set()


def _listed(text: str) -> set[int]:
    """The ports of a list such as 8080,9000-9010."""
    found: set[int] = set()
    for low, high in re.findall(r"(\d+)(?:-(\d+))?", text):
        found.update(range(int(low), int(high or low) + 1))
    return found


def excluded(text: str) -> set[int]:
    """The ports of the ranges that netsh prints, whatever its language: lines that begin with two numbers."""
    found: set[int] = set()
    for low, high in re.findall(r"^\s*(\d{1,5})\s+(\d{1,5})\b", text, re.MULTILINE):
        found.update(range(int(low), min(int(high), 65535) + 1))
    return found
