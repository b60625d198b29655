"""Waiting, after a close or shutdown, until no local TCP socket is in FIN_WAIT1, CLOSING or LAST_ACK: seen, not slept.

On Linux the kernel is asked for just the connections that were ended; elsewhere all states are listed.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterable

if sys.platform == "linux":
    from .netlink import Diag

LIMIT = 0.5  # seconds, after which a close returns whatever the states are
_PASSING = {4, 9, 11}  # include/net/tcp_states.h
_PASSING_NAMES = {"FIN_WAIT1", "FIN_WAIT_1", "CLOSING", "LAST_ACK"}

Pair = tuple[tuple[str, int], tuple[str, int]]  # local and foreign (host, port)


def pair(sock: socket.socket) -> Pair | None:
    """The 4-tuple of a connected socket, else None."""
    try:
        foreign = sock.getpeername()
        return sock.getsockname()[:2], foreign[:2]
    except OSError:
        return None


class Settler:
    """Remembers the connections of a scenario that were ended, until each has left the passing states.

    It may serve several, one after another, in one network namespace: `forget` is between them.
    """

    def __init__(self) -> None:
        self._ended: dict[Pair, None] = {}
        if sys.platform == "linux":
            self._diag: Diag | None = None

    def ended(self, connection: Pair | None) -> None:
        if connection is not None:
            self._ended[connection] = None

    def forget(self) -> None:
        self._ended.clear()

    def close(self) -> None:
        if sys.platform == "linux":
            if self._diag is not None:
                self._diag.close()

    def wait(self, others: Callable[[], Iterable[socket.socket]]) -> None:
        """Return when every ended connection has settled, after `LIMIT` at the latest.

        `others` are the scenario's open TCP sockets: the peer of an ended connection is asked to acknowledge at once,
        for a delayed acknowledgement keeps FIN_WAIT1 for 40 ms.
        """
        if not self._ended:
            return
        until = time.monotonic() + LIMIT
        hurried = False
        while self._passing() and time.monotonic() < until:
            if not hurried and sys.platform == "linux":
                for sock in others():
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                hurried = True
            else:
                time.sleep(0.0005)

    def _passing(self) -> bool:
        if sys.platform == "linux":
            try:
                self._diag = self._diag or Diag()
                for connection in list(self._ended):
                    if self._diag.state(*connection) not in _PASSING:
                        del self._ended[connection]
            except OSError:  # a kernel without inet_diag, or gVisor
                return _proc_passing()
            return bool(self._ended)
        return _any_passing()


def _proc_passing() -> bool:
    for path in ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"):
        try:
            with open(path, encoding="ascii") as file:
                if any(int(line.split()[3], 16) in _PASSING for line in file.read().splitlines()[1:]):
                    return True
        except OSError:
            continue
    return False


def _any_passing() -> bool:
    """By psutil, which lists every TCP state of the machine; by netstat where it needs rights that we lack."""
    import subprocess

    import psutil

    try:
        return any(c.status in _PASSING_NAMES for c in psutil.net_connections("tcp"))
    except (psutil.Error, OSError):
        listing = subprocess.run(
            ["netstat", "-an"], capture_output=True, encoding="utf-8", errors="replace", check=False
        ).stdout
        return any(line.split()[-1] in _PASSING_NAMES for line in listing.splitlines() if line.startswith("tcp"))
