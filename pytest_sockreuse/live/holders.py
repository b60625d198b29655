"""Who has a port: the sockets at it, with their state, and the processes that own them, as far as this OS tells.

Sockets of this process are queried directly, options included; those of others by sock_diag on Linux, by psutil on any
other OS. A process that this user may trace lends its descriptor, so that its options can be read too.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..dataclass import dataclass
from .options import numbers
from .plain import Plain
from .port_blocks import ephemeral
from .processes import Process, related

if sys.platform == "linux":
    from .processes import borrowed, owners, passes_on
    from .sockdiag import Found, listened, on_port

_PROTOCOLS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
#: The states that keep a port for its owner; BOUND is also a UDP socket's that has no peer.
_KEEPING = {"LISTEN", "BOUND"}
FLAGS = ("SO_REUSEADDR", "SO_REUSEPORT", "IPV6_V6ONLY", "IP_BIND_ADDRESS_NO_PORT")
OWN_RANGE = "IP_LOCAL_PORT_RANGE="
_STATES = {"NONE": "BOUND", "CLOSE": "BOUND"}  # of psutil
_PEERS = 5  # connections whose other side is looked for
_FEW = 500  # sockets of a port that are told one by one
_LOOKED_INTO = 20  # sockets of a port whose options are asked of other processes


@dataclass(frozen=True, slots=True)
class Holder:
    """A socket at a port. `options` are those of `FLAGS` that it has set, None where that cannot be told.

    `processes` are all that have it, none where none is known, as in TIME_WAIT; `hidden` says that there may be one
    which this user cannot see. `device` is the interface that it is bound to, `seconds` are left until the kernel ends
    it. `fd` is set for a socket of this process; `inode` tells one socket from another, 0 is no process's. `how` says
    how it came to its port: by ``bind``, ``accept`` or ``connect``, which chose it; empty where that is not known.
    Where `options` cannot be told, `known` are those that the kernel tells of every socket, and `told` says whether it
    does.
    """

    protocol: str
    family: int
    local: tuple[str, int]
    foreign: tuple[str, int] | None
    state: str
    processes: tuple[Process, ...] = ()
    uid: int | None = None
    options: tuple[str, ...] | None = None
    fd: int | None = None
    device: str = ""
    seconds: float | None = None
    inode: int = 0
    hidden: bool = False
    how: str = ""
    known: tuple[str, ...] = ()
    told: bool = False
    more: int = 0
    peers: tuple[Process, ...] = ()

    @property
    def pid(self) -> int | None:
        """The first process that has it."""
        return self.processes[0].pid if self.processes else None

    @property
    def keeps(self) -> bool:
        """Whether it listens, or is bound and no more: what a process must do on purpose."""
        return self.state in _KEEPING

    @property
    def ended(self) -> bool:
        """Whether it is closed, and what the kernel keeps of it is no process's."""
        return self.state == "TIME_WAIT" or (
            self.state in ("FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK") and not self.inode and self.fd is None
        )

    @property
    def inherited(self) -> bool:
        """Whether all its processes came by it from one that has closed it since."""
        return bool(self.processes) and all(process.origin for process in self.processes)

    @property
    def owner(self) -> str:
        """The first process in words."""
        if not self.processes:
            user = f", of user {self.uid}" if self.uid is not None and self.state != "TIME_WAIT" else ""
            return f"no process that can be seen{user}"
        return str(self.processes[0])


def holders(port: int, protocol: str = "tcp") -> list[Holder]:
    """Every socket at local `port` that can be seen, those of this process first, each once."""
    return _like_their_listener(_seen(port, protocol))


def _like_their_listener(found: list[Holder]) -> list[Holder]:
    """An accepted connection has the options of its listener, where it cannot be asked itself."""
    listener = next((it for it in found if it.state == "LISTEN" and it.options is not None), None)
    if listener is None:
        return found
    options = tuple(name for name in listener.options or () if name in ("SO_REUSEADDR", "SO_REUSEPORT"))
    return [replace(it, options=options) if it.options is None and it.how == "accept" else it for it in found]


def _seen(port: int, protocol: str) -> list[Holder]:
    mine = [holder for holder in own() if holder.local[1] == port and holder.protocol == protocol]
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # gVisor, or a kernel without inet_diag
            return _merged(mine, list(_by_diag(port, protocol)))
    seen = {(holder.local, holder.foreign) for holder in mine}
    others = _by_psutil(port, protocol)
    return mine + [h for h in others if h.pid != os.getpid() or (h.local, h.foreign) not in seen]


def _merged(mine: Iterable[Holder], told: list[Holder]) -> list[Holder]:
    """Those of this process with the state that the kernel tells, then the others."""
    by_inode = {holder.inode: holder for holder in told if holder.inode}
    found, merged = [], set()
    for holder in mine:
        if (same := by_inode.pop(holder.inode, None)) is not None:
            merged.add(id(same))
            processes = same.processes or holder.processes
            state, seconds = same.state, same.seconds
            how, others = same.how, same.peers
            holder = replace(
                holder, state=state, seconds=seconds, processes=processes, uid=same.uid, how=how, peers=others
            )
        found.append(holder)
    return found + [holder for holder in told if id(holder) not in merged]


def own() -> Iterator[Holder]:
    """The bound TCP and UDP sockets of this process in this network namespace, each once."""
    done = set()
    with Plain() as sock:
        here = _namespace(sock)
    for fd in _descriptors():
        with contextlib.suppress(OSError):
            about = os.fstat(fd)
            if stat.S_ISSOCK(about.st_mode) and (not about.st_ino or about.st_ino not in done):
                done.add(about.st_ino)
                holder = _asked(fd, here)
                if holder is not None:
                    yield replace(holder, inode=about.st_ino, uid=about.st_uid if about.st_ino else None)


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
        this = (Process(os.getpid(), fd),)
        return Holder(protocol, sock.family, local, *_peer(sock), this, None, flags(sock), fd, device(sock))
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
        if name in numbers() and (sock.family == socket.AF_INET6 or not name.startswith("IPV6")):
            with contextlib.suppress(OSError):
                if sock.getsockopt(*numbers()[name]):
                    found.append(name)
    return tuple(found)


def own_range(sock: socket.socket) -> tuple[str, ...]:
    """The ports that a socket has the OS choose from, as an option; none if all of them."""
    if (option := OWN_RANGE[:-1]) in numbers():
        with contextlib.suppress(OSError):
            if sides := int.from_bytes(sock.getsockopt(*numbers()[option], 4), sys.byteorder):
                return (f"{OWN_RANGE}{sides & 0xFFFF}-{sides >> 16}",)
    return ()


def device(sock: socket.SocketType) -> str:
    """The interface that a socket is bound to, or nothing."""
    if "SO_BINDTODEVICE" in numbers():
        with contextlib.suppress(OSError):
            return sock.getsockopt(*numbers()["SO_BINDTODEVICE"], 64).rstrip(b"\0").decode("ascii", "replace")
    return ""


class _Came:
    """Infers how a connection came to its port, by the ports at which somebody listens and those that the OS
    chooses."""

    def __init__(self, listened: Collection[int]) -> None:
        self._listened = listened
        self._low, self._high = ephemeral()

    def how(self, local: tuple[str, int], foreign: tuple[str, int]) -> str:
        """``accept`` or ``connect``; empty where either may be."""
        if local == foreign:
            return "connect"
        mine, its = self._low <= local[1] <= self._high, self._low <= foreign[1] <= self._high
        if local[1] in self._listened:
            return "accept"
        if mine != its:
            return "connect" if mine else "accept"
        return "connect" if mine and foreign[1] in self._listened else ""


if sys.platform == "linux":

    def _by_diag(port: int, protocol: str) -> Iterator[Holder]:
        number = socket.IPPROTO_TCP if protocol == "tcp" else socket.IPPROTO_UDP
        families = (socket.AF_INET, socket.AF_INET6)
        found = [sock for family in families for sock in on_port(family, number, port)]
        came = _Came(listened() if any(sock.foreign[1] for sock in found) else set())
        ends = _ends(found)
        owned, hidden = owners({sock.inode for sock in found if sock.inode} | set(ends.values()))
        names: dict[int, str] = {}
        asked = 0
        for sock, more in _alike(found, owned):
            processes = owned.get(sock.inode, [])
            options = None
            if processes and asked < _LOOKED_INTO:
                asked += 1
                options = _lent(processes[0], sock)
            foreign = sock.foreign if sock.foreign[1] else None
            yield Holder(
                protocol, sock.family, sock.local, foreign, sock.state,
                related([_named(it, names) for it in processes]), sock.uid, options, None, _interface(sock.interface),
                sock.seconds, sock.inode, bool(hidden) and not processes and bool(sock.inode),
                came.how(sock.local, foreign) if foreign else "", tuple(sorted(sock.flags or ())),
                sock.flags is not None, more,
                tuple(_named(it, names) for it in owned.get(ends.get((sock.local, sock.foreign), 0), ())),
            )  # fmt: skip

    def _alike(found: list[Found], owned: Mapping[int, list[Process]]) -> Iterable[tuple[Found, int]]:
        """The sockets; where there are very many, one of each kind, and how many more there are."""
        if len(found) <= _FEW:
            return [(sock, 0) for sock in found]
        kinds: dict[object, list[Any]] = {}
        nobody: list[Process] = []
        for sock in found:
            having = owned.get(sock.inode, nobody)
            pid = having[0].pid if having else None
            single = sock.inode if pid == os.getpid() else len(having)  # our own are asked one by one
            kind = (sock.family, sock.local, sock.state, sock.uid, sock.interface, not sock.inode, pid, single)
            if kind in kinds:
                kinds[kind][1] += 1
                if (sock.seconds or 0) > (kinds[kind][0].seconds or 0):
                    kinds[kind][0] = sock  # that which ends last
            else:
                kinds[kind] = [sock, 0]
        return [(sock, more) for sock, more in kinds.values()]

    def _ends(found: list[Found]) -> dict[tuple[tuple[str, int], tuple[str, int]], int]:
        """The inodes of the other sides of the first few connections, where those are on this host too."""
        some = [sock for sock in found[: 2 * _PEERS] if sock.foreign[1] and sock.foreign != sock.local][:_PEERS]
        pairs = {(sock.local, sock.foreign) for sock in some}
        places = {(sock.family, sock.foreign[1]) for sock in some}
        others = (it for family, port in places for it in on_port(family, socket.IPPROTO_TCP, port))
        return {(it.foreign, it.local): it.inode for it in others if it.inode and (it.foreign, it.local) in pairs}

    def _named(process: Process, names: dict[int, str]) -> Process:
        """With its name, and whether its children get the socket; of a process of many sockets asked once."""
        if process.pid in names:
            return Process(process.pid, process.fd, called=names[process.pid])
        names[process.pid] = process.name
        return replace(process, passes_on=passes_on(process), called=names[process.pid])

    def _lent(process: Process, found: Found) -> tuple[str, ...] | None:
        """The options of another process's socket; None where it may not be asked, or is another one by now."""
        if process.is_this:
            return None  # which is asked without a detour
        with contextlib.suppress(OSError), borrowed(process) as fd:
            if os.fstat(fd).st_ino == found.inode:
                sock = socket.SocketType(fileno=fd)
                try:
                    return flags(sock)
                finally:
                    sock.detach()
        return None

    def _interface(index: int) -> str:
        if not index:
            return ""
        try:
            return socket.if_indextoname(index)
        except OSError:
            return f"interface {index}"

    def listening(port: int) -> set[int]:
        """The inodes of the TCP sockets that listen at `port`; empty where sock_diag does not tell. Microseconds."""
        with contextlib.suppress(OSError):
            families = (socket.AF_INET, socket.AF_INET6)
            return {s.inode for family in families for s in on_port(family, socket.IPPROTO_TCP, port, 1 << 10)}
        return set()


def served(port: int, protocol: str = "tcp") -> set[str]:
    """The addresses at which somebody listens at a port, or for UDP is bound to it and not connected."""
    state, bit = ("LISTEN", 1 << 10) if protocol == "tcp" else ("BOUND", 1 << 7)
    if sys.platform == "linux":
        number = socket.IPPROTO_TCP if protocol == "tcp" else socket.IPPROTO_UDP
        with contextlib.suppress(OSError):
            families = (socket.AF_INET, socket.AF_INET6)
            return {s.local[0] for family in families for s in on_port(family, number, port, bit)}
    return {it.local[0] for it in holders(port, protocol) if it.state == state}


def _by_psutil(port: int, protocol: str) -> Iterator[Holder]:
    import psutil

    connections: list[tuple[Any, int | None]]
    try:
        connections = [(found, found.pid) for found in psutil.net_connections(protocol)]
    except (psutil.Error, OSError):  # macOS lets root ask only: our own then
        connections = [(found, os.getpid()) for found in psutil.Process().net_connections(protocol)]
    came = _Came({found.laddr.port for found, _ in connections if found.status == "LISTEN"})
    for found, pid in connections:
        if found.laddr and found.laddr.port == port:
            foreign = (found.raddr.ip, found.raddr.port) if found.raddr else None
            state = _STATES.get(found.status, found.status)
            processes = (Process(pid),) if pid else ()
            local = (found.laddr.ip, port)
            how = came.how(local, foreign) if foreign else ""
            yield Holder(protocol, int(found.family), local, foreign, state, processes, how=how)
