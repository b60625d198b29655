"""Ports as a connection leaves them behind: in TIME_WAIT, or in FIN_WAIT2. Made in milliseconds, and seen.

TIME_WAIT stays as long as the OS keeps it (a minute on Linux), unless the network namespace it is in goes first.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
from types import TracebackType
from typing import Literal

from .dataclass import dataclass
from .live import NotRun
from .live.port_blocks import NO_LOOPBACK, has_loopback
from .live.settle import Settler
from .ports import Lease

if sys.platform == "linux":
    from .live.netlink import STATES, Diag

__all__ = ["Ending", "fin_wait2", "time_wait"]

_RESET = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)

Address = tuple[str, int]
Side = Literal["server", "client"]


@dataclass(frozen=True, slots=True)
class Ending:
    """A connection that its `local` side has closed: the `state` that the OS shows of it, and the addresses.

    `peer` is the other side's socket where that is still open (FIN_WAIT2). A context manager, which resets it.
    """

    local: Address
    foreign: Address
    state: str
    peer: socket.socket | None = None

    @property
    def port(self) -> int:
        """The local port."""
        return self.local[1]

    def close(self) -> None:
        """Close what is still open. TIME_WAIT cannot be ended."""
        if self.peer is not None:
            with contextlib.suppress(OSError):
                self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.peer.close()

    def __enter__(self) -> Ending:
        return self

    def __exit__(self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def time_wait(side: Side = "server", old_reuse: bool = True, host: str = "127.0.0.1", port: int = 0) -> Ending:
    """Leave a port in TIME_WAIT: the server's, or the client's. All sockets are closed.

    `old_reuse` says whether the socket that had it set SO_REUSEADDR, as servers do; `port` 0 has the OS choose, and a
    held port, which stays held, is given as its lease: without the option that is released. Raises NotRun where the OS
    does not show that state of a connection over loopback, OSError where the port cannot be had.
    """
    mine, other = _connection(side, old_reuse, host, port)
    with other:
        local, foreign = mine.getsockname()[:2], mine.getpeername()[:2]
        mine.close()
        while other.recv(4096):
            pass
    return _shown(Ending(local, foreign, "TIME_WAIT"))


def fin_wait2(side: Side = "server", old_reuse: bool = True, host: str = "127.0.0.1", port: int = 0) -> Ending:
    """Leave a port in FIN_WAIT2: closed, while the other side stays open, as `peer`.

    Arguments and errors are those of `time_wait`.
    """
    mine, other = _connection(side, old_reuse, host, port)
    ending = Ending(mine.getsockname()[:2], mine.getpeername()[:2], "FIN_WAIT2", other)
    mine.close()
    return _shown(ending)


def _connection(side: Side, reuse: bool, host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """The socket at `port` and the other of a connection; no listener is left. Raises NotRun, ValueError, OSError."""
    if side not in ("server", "client"):
        raise ValueError(f"side is 'server' or 'client', not {side!r}")
    if not has_loopback():
        raise NotRun(NO_LOOPBACK)
    if isinstance(port, Lease) and "tcp" in port.protocols and not reuse:
        port.release("tcp")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            subject = listener if side == "server" else client
            if reuse:
                subject.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            subject.bind((host, port))
            if subject is client:
                listener.bind((host, 0))
            listener.listen()
            client.connect(listener.getsockname())
            child, _ = listener.accept()
    except BaseException:
        client.close()
        raise
    return (child, client) if side == "server" else (client, child)


def _shown(ending: Ending) -> Ending:
    """The ending, when the OS shows its state. Raises NotRun."""
    settler = Settler()
    settler.ended((ending.local, ending.foreign))
    settler.wait(lambda: [ending.peer] if ending.peer else [])
    settler.close()
    found = _state(ending.local, ending.foreign)
    if found == ending.state:
        return ending
    ending.close()
    raise NotRun(
        f"this system shows {found or 'nothing'}, not {ending.state}, of a connection over loopback that was closed"
        + (" (FreeBSD: sysctl net.inet.tcp.nolocaltimewait=0)" if sys.platform.startswith("freebsd") else "")
    )


def _state(local: Address, foreign: Address) -> str | None:
    """What the OS shows of the connection: TIME_WAIT, FIN_WAIT2 or another state, None where it shows none."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # gVisor, or a kernel without inet_diag
            diag = Diag()
            try:
                number = diag.state(local, foreign)
            finally:
                diag.close()
            return None if number is None else STATES[number]
    return _listed(local, foreign)


def _listed(local: Address, foreign: Address) -> str | None:
    """By psutil, else by netstat, where psutil needs rights that we lack."""
    import psutil

    try:
        for found in psutil.net_connections("tcp"):
            if found.raddr and (found.laddr, found.raddr) == (local, foreign):
                return str(found.status)
    except (psutil.Error, OSError):
        listing = subprocess.run(
            ["netstat", "-an", "-p", "tcp"], capture_output=True, encoding="utf-8", errors="replace", check=False
        ).stdout
        for words in map(str.split, listing.splitlines()):
            if len(words) > 5 and [_address(word) for word in words[3:5]] == [local, foreign]:
                return words[5].replace("WAIT_2", "WAIT2")
    return None


def _address(text: str) -> Address | None:
    """What the BSDs' netstat prints: ``127.0.0.1.8080``."""
    host, _, port = text.rpartition(".")
    return (host, int(port)) if port.isdigit() else None
