"""Ports for scenarios that run beside everything else on the host: held against other runs, tried before use.

The ports below the ephemeral range are dealt in blocks. Whoever binds a block's first port, and listens on it, owns the
block for as long as that socket lives: no file is left, and a killed process lets go.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys

BLOCK = 32
_LOW = 5120  # below lie most ports that services are configured to
_LAST = 32768  # no OS that we know begins its ephemeral range above 1024 and below this, but FreeBSD (10000)


def _end() -> int:
    """The first port that the OS may pick by itself, as far as it tells."""
    if sys.platform == "linux":
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            return int(file.read().split()[0])
    if sys.platform.startswith("freebsd"):
        first = subprocess.run(
            ["sysctl", "-n", "net.inet.ip.portrange.first"], capture_output=True, text=True, check=False
        )
        return int(first.stdout.strip() or 10000)
    return _LAST


def _bound(port: int, kind: int, family: int, host: str) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class HeldPorts:
    """Deals ports from blocks that this process holds. Raises OSError where none is left."""

    def __init__(self) -> None:
        last = min(_LAST, _end()) - BLOCK
        self._blocks = list(range(_LOW, last, BLOCK)) or list(range(1024, last, BLOCK))
        random.Random(os.getpid()).shuffle(self._blocks)
        self._locks: list[socket.socket] = []
        self._left: list[int] = []

    def take(self) -> int:
        """A port that is free for TCP and UDP on the loopback addresses, and given to nobody else."""
        while True:
            while not self._left:
                self._next_block()
            port = self._left.pop()
            if self._free(port):
                return port

    def _next_block(self) -> None:
        if not self._blocks:
            raise OSError("no block of ports is left on this host")
        first = self._blocks.pop()
        try:
            lock = _bound(first, socket.SOCK_STREAM, socket.AF_INET, "127.0.0.1")
        except OSError:
            return
        lock.listen(1)
        self._locks.append(lock)
        self._left = list(range(first + 1, first + BLOCK))

    @staticmethod
    def _free(port: int) -> bool:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                try:
                    _bound(port, kind, family, host).close()
                except OSError as error:
                    if family == socket.AF_INET or "in use" in str(error):
                        return False
        return True
