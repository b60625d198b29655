"""Numbers of ports for whoever runs beside everything else on the host: given to one run at a time, tried before use.

The ports outside the ephemeral range, which the OS picks for nobody, are dealt in blocks. Whoever binds a block's first
port, and listens on it, owns the block for as long as that socket lives: no file is left, and a killed process lets go.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Collection, Iterable, Sequence

from .plain import Plain

if sys.platform == "linux":
    import fcntl

BLOCK = 32
ROW = BLOCK - 1  # the most consecutive ports
_LIKELY, _UNLIKELY = 10016, 5120  # below are many ports that services are configured to; both begin a block
_SYSCTLS = {
    "freebsd": ("net.inet.ip.portrange.first", "net.inet.ip.portrange.last"),
    "darwin": ("net.inet.ip.portrange.first", "net.inet.ip.portrange.last"),
    "netbsd": ("net.inet.ip.anonportmin", "net.inet.ip.anonportmax"),
    "openbsd": ("net.inet.ip.portfirst", "net.inet.ip.porthilast"),
}
_IANA = (49152, 65535)
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
DISCARD = 9  # a port that sends nothing
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_NO_FILES = (errno.EMFILE, errno.ENFILE)
_SIOCGIFFLAGS, _UP = 0x8913, 0x1


_keeping: weakref.WeakSet[Plain] = weakref.WeakSet()


def keeping(*socks: Plain) -> None:
    """Note sockets of ours that keep a port. A forked child closes its copies, which would outlast the release."""
    _keeping.update(socks)


def descriptors() -> set[int]:
    """The descriptors of this process that keep a port, and are no application's."""
    return {sock.fileno() for sock in _keeping} - {-1}


#: Every port that this process was given to keep; a recording forgets those whose lease is over.
given: set[int] = set()


def keeps(port: int, kind: int) -> bool:
    """Whether a socket of ours keeps this port for sockets of this kind."""
    for sock in list(_keeping):
        with contextlib.suppress(OSError):
            if sock.type == kind and sock.getsockname()[1] == port:
                return True
    return False


def let_go(socks: Iterable[Plain]) -> None:
    """Close sockets of ours; a program may have closed their descriptors, as daemons do."""
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.close()


def _forget() -> None:
    let_go([*_keeping])


atexit.register(_forget)

if sys.platform != "win32":
    from _socket import socketpair  # as nobody watches or replaces it

    _PATIENCE = 1.0  # seconds for a child that has just been forked
    _forking = threading.local()

    def _before_fork() -> None:
        _forking.ends = ()
        if descriptors():
            with contextlib.suppress(OSError):
                _forking.ends = socketpair()

    def _in_parent() -> None:
        """A fork is over when the child has let go of the ports: what is released then is free."""
        if _forking.ends:
            ours, its = _forking.ends
            its.close()
            with contextlib.suppress(OSError):
                ours.settimeout(_PATIENCE)
                ours.recv(1)
            ours.close()

    def _in_child() -> None:
        _forget()
        for end in _forking.ends:
            end.close()

    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)


NO_LOOPBACK = "there is no way to 127.0.0.1 on this host: bring its loopback interface up"


class NoPort(OSError):
    """No port is left to be given."""


def ephemeral() -> tuple[int, int]:
    """The first and the last port that the OS picks by itself, as far as it tells."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/sys/net/ipv4/ip_local_port_range", "rb") as file:
            low, high = map(int, file.read().split())
            return low, high
    names = next((names for system, names in _SYSCTLS.items() if sys.platform.startswith(system)), ())
    values = [
        subprocess.run(
            ["sysctl", "-n", name], capture_output=True, encoding="utf-8", errors="replace", check=False
        ).stdout.strip()
        for name in names
    ]
    return (int(values[0]), int(values[1])) if values and all(value.isdigit() for value in values) else _IANA


def bound(family: int, kind: int, address: tuple[str, int]) -> Plain:
    """A new socket, bound to what nobody else has. Raises OSError."""
    sock = Plain(family, kind)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def has_loopback() -> bool:
    """Whether there is a way to 127.0.0.1: none before Linux' interface lo is up, nor when it is down again.

    Nothing is sent.
    """
    with Plain(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("127.0.0.1", DISCARD))
        except OSError as error:
            return error.errno not in (errno.ENETUNREACH, errno.EADDRNOTAVAIL)
        if sys.platform == "linux":  # where the route outlives it, and what is sent is lost
            with contextlib.suppress(OSError):
                asked = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
                return bool(struct.unpack("16xH14x", asked)[0] & _UP)
    return True


def _is_service(port: int) -> bool:
    try:
        return bool(socket.getservbyport(port))
    except OSError:
        return False


def is_free(port: int) -> bool:
    """Whether nobody has `port` at a loopback address, for TCP or UDP.

    Raises OSError where no more files can be opened.
    """
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for family, host in _LOOPBACK:
            try:
                bound(family, kind, (host, port)).close()
            except OSError as error:
                if error.errno in _NO_FILES:
                    raise
                if family == socket.AF_INET or error.errno not in _NO_IPV6:
                    return False
    return True


def _block_of(count: int) -> int:
    """How many of so many numbers make a block: where they are few, few, so that several runs find one."""
    return BLOCK if count >= 8 * BLOCK else 8


def row_of(count: int) -> int:
    """The most consecutive ports among so many numbers."""
    return min(_block_of(count), count) - 1


class HeldPorts:
    """Deals ports from blocks that this process holds, in the network namespace where it was made.

    They are those outside the ephemeral range, or, where these are given, `among` some numbers, in order; and not
    `without`. Runs that are given the same numbers keep off each other.
    """

    def __init__(self, among: Sequence[int] = (), without: Collection[int] = ()) -> None:
        low, high = ephemeral()
        self._chosen, self._own, self._without = range(low, high + 1), bool(among), without

        def outside(first: int, end: int) -> list[Sequence[int]]:
            starts = (n for n in range(first, end, BLOCK) if n + ROW < low or n > high)
            return shuffled(range(n, n + BLOCK) for n in starts if n not in without)

        def shuffled(found: Iterable[Sequence[int]]) -> list[Sequence[int]]:
            blocks = [*found]
            random.SystemRandom().shuffle(blocks)
            return blocks

        if among:
            size = _block_of(len(among))
            self._blocks = shuffled(among[n : n + size] for n in range(0, len(among), size))
        else:
            self._blocks = outside(_UNLIKELY, _LIKELY) + outside(_LIKELY, 65536)  # taken from the end
            self._blocks = self._blocks or outside(1024, _UNLIKELY)
        self._locks: list[Plain] = []
        self._left: list[int] = []
        self._returned: deque[int] = deque()

    def take(self) -> int:
        """A port that is free for TCP and UDP on the loopback addresses, and given to nobody else. Raises NoPort."""
        for _ in range(min(len(self._returned), 4)):  # what was used may be in TIME_WAIT: the oldest are tried
            port = self._returned.popleft()
            if is_free(port):
                return port
            self._returned.append(port)
        while True:
            while not self._left:
                self._left = self._next_block()
            port = self._left.pop()
            if self._may_be_given(port):
                return port

    def take_row(self, count: int) -> list[int]:
        """As many consecutive ports, `ROW` at the most. Raises NoPort."""
        while True:
            block = self._next_block()
            row: list[int] = []
            for port in block:
                row = [*(row if row and row[-1] == port - 1 else []), port] if self._may_be_given(port) else []
                if len(row) == count:
                    self._left += [other for other in block if other not in row]
                    return row
            self._left += block

    def is_reserved(self, port: int) -> bool:
        """Whether the OS gives it to nobody."""
        return port not in self._chosen

    def give_back(self, port: int) -> None:
        """Have a port that was taken dealt again, after the others."""
        self._returned.append(port)

    def close(self) -> None:
        """Let go of the blocks."""
        let_go(self._locks)
        self._locks.clear()

    def _may_be_given(self, port: int) -> bool:
        return (self._own or not _is_service(port)) and is_free(port)

    def _next_block(self) -> list[int]:
        while self._blocks:
            first, *rest = self._blocks.pop()
            try:
                lock = bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", first))
            except OSError as error:
                if error.errno in _NO_FILES:
                    raise
                continue
            lock.listen(1)
            keeping(lock)
            self._locks.append(lock)
            return [port for port in rest if port not in self._without]
        raise NoPort("no block of ports is left on this host")
