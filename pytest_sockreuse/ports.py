"""Ports that are held, not guessed, from the moment they are given until an application has them.

    from pytest_sockreuse.ports import hold

    with hold() as lease:
        start_server(lease.port)      # binds beside the placeholder if it sets SO_REUSEADDR
        start_other(lease.release())  # any other is given the port right before it binds

Where there is room a number comes from outside the ephemeral range, so that the OS gives it to nobody; a lock on its
block keeps other runs off, and placeholders at the loopback addresses everybody else (see `live.placeholder`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import warnings
import weakref
from collections.abc import Collection, Iterator
from functools import cache
from subprocess import Popen
from types import TracebackType
from typing import Any

from .live.holders import holders
from .live.placeholder import KINDS, LOOPBACK, PROTOCOLS, STRICT, TECHNIQUES, Placeholders, Protocol, Technique
from .live.plain import Plain
from .live.port_blocks import NO_LOOPBACK, ROW, HeldPorts, NoPort, bound, given, has_loopback, let_go, row_of
from .live.processes import is_ours
from .live.service import not_served
from .platforms import current

if sys.platform == "linux":
    from .live.holders import listening

__all__ = ["Lease", "PortError", "PortWarning", "Ports", "Protocol", "hold", "hold_many"]

_TRIES = 100
_NO_FILES = (errno.EMFILE, errno.ENFILE)


#: Where a pool of numbers is good for: a process, and the network namespace of a thread of it.
Place = tuple[int, int]


class PortError(Exception):
    """A port that cannot be held; the message is one line, with the remedy."""


class PortWarning(UserWarning):
    """A held port was taken by somebody else, or left open."""


_givers: weakref.WeakSet[Ports] = weakref.WeakSet()


def leases() -> list[Lease]:
    """Every open lease of this process, for whoever looks at its ports."""
    return [lease for ports in _givers for lease in ports.leases]


class Lease(int):
    """One port number, held for TCP, UDP or both, over IPv4 and, where the system has it, IPv6.

    It is that number, so ``f"{lease}"``, ``("127.0.0.1", lease)`` and ``lease == 8080`` do what one expects; a copy, or
    what another process is sent, is the number alone. Where a plain int is asked for by its type, `port` is one.

    A context manager; at its end a `PortWarning` tells if somebody else has the port, or if it was left open.
    """

    def __new__(cls, _: Ports, port: int, *_rest: object) -> Lease:
        return super().__new__(cls, port)

    def __init__(self, ports: Ports, port: int, protocols: tuple[Protocol, ...], reserved: bool) -> None:
        self.protocols = protocols
        given.add(port)
        self.open = True
        self._reserved = reserved  # the OS gives this number to nobody
        self._ports = ports
        self._held: dict[tuple[Protocol, int], list[Plain]] = {}
        try:
            for protocol in protocols:
                for family, socks in ports.placeholders.make(protocol, port).items():
                    self._held[protocol, family] = socks
        except OSError:
            self._drop(*self._held)
            raise

    @property
    def port(self) -> int:
        """The number, as a plain int."""
        return int(self)

    @property
    def address(self) -> tuple[str, int]:
        """The IPv4 loopback address and the port."""
        return "127.0.0.1", self.port

    def socket(
        self,
        protocol: Protocol = "tcp",
        family: int = socket.AF_INET,
        socket_class: type[socket.socket] | None = None,
    ) -> socket.socket:
        """A socket bound to the port on loopback, in place of the placeholder: without a gap where one can bind beside
        it, and then with SO_REUSEADDR if it is TCP's. The caller closes it. Raises PortError, OSError."""
        self._check(protocol)
        beside = self._ports.placeholders.technique.beside
        sock = (socket_class or socket.socket)(family, KINDS[protocol])
        try:
            if beside:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                self._drop((protocol, family))
            sock.bind((LOOPBACK[family], self.port))
            self._drop((protocol, family))
            if beside and protocol == "udp":  # any other that sets it could take the datagrams
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except BaseException:
            sock.close()
            raise
        return sock

    def release(self, *protocols: Protocol) -> int:
        """Take the placeholders away (of all protocols unless some are named) and return the port.

        For an application that does not bind beside them, right before it binds. Raises PortError.
        """
        self._check(*protocols)
        self._look_for_thief()
        self._drop(*[place for place in self._held if place[0] in (protocols or PROTOCOLS)])
        return self.port

    def wait(self, timeout: float = 30.0, process: Popen[Any] | None = None, protocol: Protocol | None = None) -> None:
        """Return as soon as somebody serves the port: listens at it, or for UDP has it beside the placeholder.

        `protocol` is TCP where that is held. Raises PortError, with what `process` has written to its pipes, when it
        has ended before, or `timeout` seconds have passed. Warns with PortWarning if a stranger listens.
        """
        protocol = protocol or self.protocols[0]
        self._check(protocol)
        if why := not_served(self, protocol, timeout, process, bool(self._held)):
            raise PortError(why)
        self._look_for_thief()

    def close(self) -> None:
        """End the lease; again, does nothing. Warns with PortWarning."""
        if self.open:
            self.open = False
            if not self._reserved:  # the moment it is free the OS may give it away
                self._look_for_thief()
            self._drop(*self._held)
            self._ports.ended(self)
            for protocol in self.protocols:
                if not _nobody_at(self.port, protocol):
                    self._warn(protocol, True, self._reserved)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __str__(self) -> str:
        return str(self.port)

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (self.port,)

    def __repr__(self) -> str:
        held = "+".join(sorted({protocol for protocol, _ in self._held}))
        return f"<Lease of port {self.port}, {f'{held} held' if held else 'handed over'}>"

    def _check(self, *protocols: str) -> None:
        if not self.open:
            raise PortError(f"the lease of port {self.port} has ended: hold another")
        for protocol in protocols:
            if protocol not in self.protocols:
                raise PortError(f"port {self.port} is held for {' and '.join(self.protocols)}, not for {protocol!r}")

    def _drop(self, *places: tuple[Protocol, int]) -> None:
        for place in places:
            let_go(self._held.pop(place, ()))

    def _look_for_thief(self) -> None:
        if sys.platform == "linux" and listening(self.port):
            self._warn("tcp", ours=False, others=True)

    def _warn(self, protocol: Protocol, ours: bool, others: bool) -> None:
        placeholders = {sock.fileno() for socks in self._held.values() for sock in socks}
        for holder in holders(self.port, protocol):
            if not holder.keeps or holder.fd in placeholders:
                continue
            where = f"{protocol.upper()} {holder.state} at {holder.local[0]} by {holder.owner}"
            mine = is_ours(holder.pid)
            if mine and ours:
                warnings.warn(f"held port {self.port} was left open: {where}", PortWarning, stacklevel=3)
            elif others and not mine:
                text = f"held port {self.port} was taken: {where}, which this process did not start"
                warnings.warn(text, PortWarning, stacklevel=3)


class Ports:
    """Gives leases; safe beside other processes and other runs, and in forked children. A context manager.

    The numbers come from `among`, if any are given there, and never from `without`.
    """

    def __init__(
        self, technique: Technique | None = None, *, among: Collection[int] = (), without: Collection[int] = ()
    ) -> None:
        self.placeholders = Placeholders(technique or TECHNIQUES.get(current().stack, STRICT))
        self._among, self._without = sorted({*among}.difference(without)), frozenset(without)
        if among and len(self._among) < 2:
            raise PortError("two numbers to choose from are needed, at least: one keeps other runs off the rest")
        self._pools: dict[Place, HeldPorts] = {}
        self._leases: dict[int, tuple[Lease, Place | None]] = {}  # by id: in two namespaces numbers may be the same
        _givers.add(self)

    @property
    def leases(self) -> list[Lease]:
        """Those that are open."""
        return [lease for lease, _ in self._leases.values()]

    def hold(self, *protocols: Protocol) -> Lease:
        """One port, for TCP and UDP unless `protocols` are named. Raises PortError."""
        return self.hold_many(1, *protocols)[0]

    def hold_many(self, count: int, *protocols: Protocol, consecutive: bool = False) -> list[Lease]:
        """So many ports, 31 at the most where they are to be `consecutive`. Raises PortError."""
        for protocol in protocols:
            if protocol not in PROTOCOLS:
                raise PortError(f"no protocol {protocol!r}: there are tcp and udp")
        most = ROW if consecutive else 10_000
        if not 1 <= count <= most:
            raise PortError(f"{count} ports cannot be held: 1 to {most}{' consecutive ones' * consecutive} can")
        leases: list[Lease] = []
        try:
            while len(leases) < count:
                leases += self._some(count if consecutive else 1, protocols or PROTOCOLS)
        except OSError as error:
            for lease in leases:
                lease.close()
            for place in self._pools.keys() - self._places():
                self._pools.pop(place).close()  # the locks of many blocks
            raise PortError(self._refused(error, count, consecutive)) from None
        return leases

    def close(self) -> None:
        """End every lease and let go of the numbers."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.placeholders.close)
            for pool in self._pools.values():
                stack.callback(pool.close)
            for lease in self.leases:
                stack.callback(lease.close)
        self._pools.clear()

    def __enter__(self) -> Ports:
        return self

    def __exit__(self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def ended(self, lease: Lease) -> None:
        """A lease is over: its number may be given again."""
        _, place = self._leases.pop(id(lease), (lease, None))
        if place is not None and place in self._pools:
            self._pools[place].give_back(lease.port)
            if place[1] != _HOME[1] and place not in self._places():  # a namespace that would stay for its locks
                self._pools.pop(place).close()

    def _places(self) -> set[Place | None]:
        return {place for _, place in self._leases.values()}

    def _pool(self, place: Place) -> HeldPorts:
        if place not in self._pools:
            self._pools[place] = HeldPorts(self._among, self._without)
        return self._pools[place]

    def _some(self, count: int, protocols: tuple[Protocol, ...]) -> list[Lease]:
        """So many consecutive leases. Raises OSError."""
        for place, numbers in self._numbers(count):
            leases: list[Lease] = []
            try:
                for number in numbers:
                    reserved = place is not None and self._pools[place].is_reserved(number)
                    leases.append(Lease(self, number, protocols, reserved))
            except (OSError, OverflowError) as error:  # taken meanwhile, or beyond the last port
                for lease in leases:
                    lease.close()
                if place in self._pools:
                    for number in numbers:
                        self._pools[place].give_back(number)
                if isinstance(error, OSError) and error.errno in _NO_FILES:
                    raise
            else:
                self._leases.update((id(lease), (lease, place)) for lease in leases)
                return leases
        raise NoPort

    def _numbers(self, count: int) -> Iterator[tuple[Place | None, list[int]]]:
        """Numbers to try: of our pool, then what the OS chooses, which may be where it chooses for others too."""
        place = _here()
        pool = self._pool(place)
        with contextlib.suppress(NoPort):
            for _ in range(_TRIES):
                yield place, [pool.take()] if count == 1 else pool.take_row(count)
        for _ in range(0 if self._among else _TRIES):
            with bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as sock:
                first: int = sock.getsockname()[1]
            numbers = range(first, first + count)
            if self._without.isdisjoint(numbers):
                yield None, [*numbers]

    def _refused(self, error: OSError, count: int, consecutive: bool) -> str:
        if error.errno in _NO_FILES:
            return (
                f"{count} ports need more descriptors than this process may open: hold fewer, or only tcp; "
                "see ulimit -n"
            )
        if not has_loopback():
            return NO_LOOPBACK
        row = " in a row" * consecutive
        if self._among:
            low, high = self._among[0], self._among[-1]
            root = "; those below 1024 are privileged" if low < 1024 else ""
            return (
                f"{count} free ports{row} were not found among the {len(self._among)} from {low} to {high} that are to "
                f"be used: give more numbers, or hold fewer ({row_of(len(self._among))} in a row at the most){root}"
            )
        return f"{count} free ports{row} were not found on this host: widen or move the ephemeral range, or hold fewer"


def _here() -> Place:
    place = 0
    with contextlib.suppress(OSError):
        place = os.stat("/proc/thread-self/ns/net").st_ino
    return os.getpid(), place


_HOME = _here()  # imported before any fixture goes elsewhere


def _nobody_at(port: int, protocol: Protocol) -> bool:
    """Whether nobody has a loopback address at `port`, as an exclusive bind shows in microseconds."""
    if sys.platform == "win32":
        return False  # where it shows not all
    for family, host in LOOPBACK.items():
        try:
            bound(family, KINDS[protocol], (host, port)).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
    return True


@cache
def _shared() -> Ports:
    return Ports()


def hold(*protocols: Protocol) -> Lease:
    """Hold one port, for TCP and UDP unless `protocols` are named, until the lease is closed. Raises PortError."""
    return _shared().hold(*protocols)


def hold_many(count: int, *protocols: Protocol, consecutive: bool = False) -> list[Lease]:
    """Hold so many ports, 31 at the most where they are to be `consecutive`. Raises PortError."""
    return _shared().hold_many(count, *protocols, consecutive=consecutive)
