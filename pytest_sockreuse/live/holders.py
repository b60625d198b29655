"""Who has a port: the sockets at it, with their state, and the processes that own them, as far as this OS tells.

Sockets of this process are queried directly, options included; those of others by sock_diag on Linux, by psutil on any
other OS.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

if sys.platform == "linux":
    from .netlink import on_port

_PROTOCOLS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
#: The states that keep a port for its owner; BOUND is also a UDP socket's that has no peer.
_KEEPING = {"LISTEN", "BOUND"}
FLAGS = ("SO_REUSEADDR", "SO_REUSEPORT", "IPV6_V6ONLY")


@dataclass(frozen=True, slots=True)
class Holder:
    """A socket at a port. `options` are those of `FLAGS` that it has set, None where that cannot be told.

    `pid` is None where no process is known, as in TIME_WAIT; `fd` is set for a socket of this process.
    """

    protocol: str
    family: int
    local: tuple[str, int]
    foreign: tuple[str, int] | None
    state: str
    pid: int | None = None
    uid: int | None = None
    options: tuple[str, ...] | None = None
    fd: int | None = None

    @property
    def keeps(self) -> bool:
        """Whether it listens, or is bound and no more: what a process must do on purpose."""
        return self.state in _KEEPING

    @property
    def owner(self) -> str:
        """The process in words."""
        if self.pid is None:
            user = f", of user {self.uid}" if self.uid is not None and self.state != "TIME_WAIT" else ""
            return f"no process that can be seen{user}"
        if self.pid == os.getpid():
            return f"this process (pid {self.pid})"
        return f"{process_name(self.pid)} (pid {self.pid})"


def process_name(pid: int) -> str:
    """What psutil calls a process; ``a process`` where it may not be seen."""
    import psutil

    try:
        return psutil.Process(pid).name() or "a process"
    except psutil.Error:
        return "a process"


def is_ours(pid: int | None) -> bool:
    """Whether it is this process or was started, however indirectly, by it."""
    import psutil

    if pid is None or pid == os.getpid():
        return pid is not None
    try:
        return any(parent.pid == os.getpid() for parent in psutil.Process(pid).parents())
    except psutil.Error:
        return False


def holders(port: int, protocol: str = "tcp") -> list[Holder]:
    """Every socket at local `port` that can be seen, those of this process first."""
    mine = [holder for holder in own() if holder.local[1] == port and holder.protocol == protocol]
    seen = {(holder.local, holder.foreign, holder.state) for holder in mine}
    others = _others(port, protocol)
    return mine + [h for h in others if h.pid != os.getpid() or (h.local, h.foreign, h.state) not in seen]


def own() -> Iterator[Holder]:
    """The bound TCP and UDP sockets of this process in this network namespace, each once."""
    done = set()
    with socket.socket() as sock:
        here = _namespace(sock)
    for fd in _descriptors():
        with contextlib.suppress(OSError):
            about = os.fstat(fd)
            if stat.S_ISSOCK(about.st_mode) and (not about.st_ino or about.st_ino not in done):
                done.add(about.st_ino)
                holder = _asked(fd, here)
                if holder is not None:
                    yield holder


def _descriptors() -> list[int]:
    for directory in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(directory)]
    return []  # Windows, where psutil tells


def _asked(fd: int, here: bytes) -> Holder | None:
    """What the socket `fd` says of itself, if it is bound, and from `here`."""
    blocking = sys.platform == "win32" or os.get_blocking(fd)
    sock = socket.SocketType(fileno=fd)  # the class below socket.socket, that nobody watches or overrides
    try:
        if sys.platform != "win32" and socket.getdefaulttimeout() is not None:  # with which it is now non-blocking
            os.set_blocking(fd, blocking)
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type not in _PROTOCOLS.values():
            return None
        local = sock.getsockname()[:2]
        if not local[1] or _namespace(sock) != here:
            return None
        protocol = "tcp" if sock.type == socket.SOCK_STREAM else "udp"
        return Holder(protocol, sock.family, local, *_peer(sock), os.getpid(), None, flags(sock), fd)
    finally:
        sock.detach()


def _namespace(sock: socket.SocketType) -> bytes:
    """What tells a socket's network namespace from others; empty where there is nothing (before Linux 5.14)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return sock.getsockopt(socket.SOL_SOCKET, 71, 8)  # SO_NETNS_COOKIE
    return b""


def _peer(sock: socket.SocketType) -> tuple[tuple[str, int] | None, str]:
    with contextlib.suppress(OSError):
        return sock.getpeername()[:2], "ESTABLISHED"
    with contextlib.suppress(OSError):
        if sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None, "LISTEN"
    return None, "BOUND"


def flags(sock: socket.SocketType) -> tuple[str, ...]:
    """The options of `FLAGS` that a socket has set."""
    found = []
    for name in FLAGS:
        level = socket.IPPROTO_IPV6 if name.startswith("IPV6") else socket.SOL_SOCKET
        if hasattr(socket, name) and (sock.family == socket.AF_INET6 or level == socket.SOL_SOCKET):
            with contextlib.suppress(OSError):
                if sock.getsockopt(level, getattr(socket, name)):
                    found.append(name)
    return tuple(found)


def _others(port: int, protocol: str) -> list[Holder]:
    """The sockets that the OS tells of, this process's among them."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # gVisor, or a kernel without inet_diag
            return list(_by_diag(port, protocol))
    return list(_by_psutil(port, protocol))


if sys.platform == "linux":

    def _by_diag(port: int, protocol: str) -> Iterator[Holder]:
        number = socket.IPPROTO_TCP if protocol == "tcp" else socket.IPPROTO_UDP
        found = [
            (family, sock)
            for family in (socket.AF_INET, socket.AF_INET6)
            for sock in on_port(family, number, port)
        ]  # fmt: skip
        pids = _owners({sock.inode for _, sock in found if sock.inode})
        for family, sock in found:
            foreign = sock.foreign if sock.foreign[1] else None
            yield Holder(protocol, family, sock.local, foreign, sock.state, pids.get(sock.inode), sock.uid)

    def listening(port: int) -> set[int]:
        """The inodes of the TCP sockets that listen at `port`; empty where sock_diag does not tell. Microseconds."""
        with contextlib.suppress(OSError):
            families = (socket.AF_INET, socket.AF_INET6)
            return {s.inode for family in families for s in on_port(family, socket.IPPROTO_TCP, port, 1 << 10)}
        return set()

    def _owners(inodes: set[int]) -> dict[int, int]:
        """The process of each socket, by the descriptors that we may look at: of all users as root, else of our own."""
        found: dict[int, int] = {}
        wanted = {f"socket:[{inode}]": inode for inode in inodes}
        for pid in filter(str.isdigit, os.listdir("/proc")) if wanted else ():
            with contextlib.suppress(OSError):
                for fd in os.scandir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        inode = wanted.get(os.readlink(fd.path))
                        if inode is not None:
                            found.setdefault(inode, int(pid))
        return found


def _by_psutil(port: int, protocol: str) -> Iterator[Holder]:
    import psutil

    connections: list[tuple[Any, int | None]]
    try:
        connections = [(found, found.pid) for found in psutil.net_connections(protocol)]
    except (psutil.Error, OSError):  # macOS lets root ask only: our own then
        connections = [(found, os.getpid()) for found in psutil.Process().net_connections(protocol)]
    for found, pid in connections:
        if found.laddr and found.laddr.port == port:
            foreign = (found.raddr.ip, found.raddr.port) if found.raddr else None
            state = {"NONE": "BOUND", "CLOSE": "BOUND"}.get(found.status, found.status)
            yield Holder(protocol, int(found.family), (found.laddr.ip, port), foreign, state, pid)
