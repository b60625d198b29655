"""gVisor: who may have a port, by the reservations that bind and connect make.

A reservation is of a network (4, 6 or both), an address (empty: any), a device and a destination (empty until
connect), and remembers how many sockets made it with which flags.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..clause import Book
from ..sock import Sock
from .state import Machine

BOOK = Book()
_PORTS = "pkg/tcpip/ports/ports.go"

CONFLICT = BOOK(
    "reservation-conflict",
    "A port is reserved for an address; a further reservation needs a flag that all before it have.",
    f"{_PORTS} deviceToDest.isAvailable",
)
REUSEADDR = BOOK(
    "reservation-reuseaddr",
    "SO_REUSEADDR is such a flag, and says nothing of who listens.",
    f"{_PORTS}; pkg/tcpip/ports/flags.go TupleOnly, MostRecent",
)
REUSEPORT = BOOK(
    "reservation-reuseport",
    "SO_REUSEPORT is such a flag, whoever owns the sockets.",
    f"{_PORTS}; pkg/tcpip/ports/flags.go LoadBalanced",
)
WILDCARD = BOOK(
    "wildcard-meets-all",
    "A reservation of the wildcard address meets those of every address of its family.",
    f"{_PORTS} addrToDevice.isAvailable",
)
DUAL = BOOK(
    "dual-stack-meets-both",
    "`::` without IPV6_V6ONLY is reserved, and listens, in IPv4 as well.",
    "pkg/tcpip/transport/tcp/endpoint.go bindLocked (alsoBindToV4)",
)
DESTINATION = BOOK(
    "destination-keeps-apart",
    "Connections from one port meet if their destination is one.",
    f"{_PORTS} destToCounter.intersectionFlags",
)
YIELDS = BOOK(
    "connected-yields-to-reuseport",
    "A reservation without destination and one with it share unless one lacks what the other has of SO_REUSEADDR; "
    "SO_REUSEPORT on the later one is enough.",
    f"{_PORTS} destToCounter.intersectionFlags (TupleOnlyFlag)",
)
BIND0 = BOOK(
    "bind0-shares-nothing",
    "bind(0) of TCP takes only a port that no overlapping address has, whatever the options.",
    f"{_PORTS} isAvailable (portSpecified)",
)
DEVICE = BOOK(
    "devices-keep-apart",
    "Reservations for two devices do not meet; one without device meets all.",
    f"{_PORTS} deviceToDest.isAvailable (BindToDevice)",
)
LATCHED = BOOK(
    "options-latched",
    "The flags of a reservation are those at bind(); setsockopt after it has no effect.",
    "pkg/tcpip/transport/tcp/endpoint.go boundPortFlags",
)

RECENT, BALANCED, TUPLE = 1, 2, 4
_ALL = RECENT | BALANCED | TUPLE
NOWHERE = ("", 0)

Destination = tuple[str, int]
Counter = dict[int, int]  # flags -> how many


def shared(counter: Counter) -> int:
    """The flags that all have."""
    found = _ALL
    for flags, count in counter.items():
        if count > 0:
            found &= flags
    return found


class Endpoint(Sock):
    """A socket of gVisor: `laddr` and `raddr` are canonical, and empty where none is given.

    `nets` are its networks, `flags` and `on_device` as latched, `dest` that of its reservation; `both`: bind() took
    IPv4's wildcard as well; `fixed`: bind() gave the address, and so the interface.
    """

    __slots__ = "nets flags on_device dest reserved registered shut was_bound bind_addr both fixed".split()

    def __init__(self, proto: str, family: int, user: str) -> None:
        super().__init__(proto, family, user)
        self.laddr = ""
        self.nets: tuple[int, ...] = ()
        self.flags = 0
        self.on_device = ""
        self.dest: Destination = NOWHERE
        self.reserved = self.registered = self.was_bound = self.both = self.fixed = False
        self.shut: set[str] = set()  # what shutdown() was ever called with
        self.bind_addr = ""

    @property
    def host(self) -> str:
        """The local address as getsockname prints it."""
        return shown(self.family, self.laddr)

    def wants(self, m: Machine) -> int:
        """The flags that its options are now."""
        flags = BALANCED if self.rp and REUSEPORT in m.on else 0
        if self.ra and REUSEADDR in m.on:
            flags |= TUPLE if self.proto == "tcp" else RECENT
        return flags


def shown(family: int, address: str) -> str:
    """A canonical address as getsockname prints it, with brackets."""
    if family == 4:
        return address or "0.0.0.0"
    return f"[{address}]" if ":" in address else f"[::ffff:{address}]" if address else "[::]"


class Claim:
    """A reservation that is asked for."""

    __slots__ = ("nets", "proto", "addr", "port", "flags", "device", "dest")

    def __init__(
        self, nets: tuple[int, ...], proto: str, addr: str, flags: int, device: str, dest: Destination = NOWHERE
    ) -> None:
        self.nets, self.proto, self.addr, self.flags = nets, proto, addr, flags
        self.device, self.dest, self.port = device, dest, 0

    def at(self, port: int) -> Claim:
        self.port = port
        return self


class Ports:
    """The reservations of one machine."""

    __slots__ = ("m", "table")

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.table: dict[tuple[int, str, int], dict[tuple[str, str], dict[Destination, Counter]]] = {}

    def available(self, claim: Claim, named: bool = True) -> bool:
        """Whether the reservation can be had; `named`: the port was asked for by number."""
        return all(self._available(claim, net, named) for net in claim.nets) or CONFLICT not in self.m.on

    def _available(self, claim: Claim, net: int, named: bool) -> bool:
        there = self.table.get((net, claim.proto, claim.port))
        if not there:
            return True
        self.m.spend(len(there))
        addresses: Iterable[str] = {addr for addr, _ in there} if not claim.addr else ("", claim.addr)
        if WILDCARD not in self.m.on:
            addresses = (claim.addr,)
        strict = not named and claim.proto == "tcp" and BIND0 in self.m.on
        return all(self._free_at(claim, there, addr, strict) for addr in addresses)

    def _free_at(
        self, claim: Claim, there: dict[tuple[str, str], dict[Destination, Counter]], addr: str, strict: bool
    ) -> bool:
        devices = {device: dests for (at, device), dests in there.items() if at == addr}
        common, met = _ALL, False
        for device, dests in devices.items():
            if claim.device and device not in ("", claim.device) and DEVICE in self.m.on:
                continue
            flags, count = self._common(dests, claim.dest)
            if not count:
                met = met or not claim.device
                continue
            met = True
            common &= flags
            if not common & claim.flags:
                return False
        return not (strict and met)

    def _common(self, dests: dict[Destination, Counter], dest: Destination) -> tuple[int, int]:
        """The flags that a reservation for `dest` may share by, and of how many it has to."""
        common, count = _ALL, 0
        for other, counter in dests.items():
            if other == dest or DESTINATION not in self.m.on:
                common &= shared(counter)
                count += 1
            elif NOWHERE in (other, dest):
                common &= shared(counter) | (~TUPLE & _ALL if YIELDS in self.m.on else 0)
                count += 1
        return common, count

    def holder(self, claim: Claim) -> Endpoint | None:
        """A socket whose own reservation stands against the claim; none where only several together do, or a leak."""
        for sk in self.m.called:
            assert isinstance(sk, Endpoint)
            if (sk.proto, sk.port) != (claim.proto, claim.port) or not {*sk.nets} & {*claim.nets}:
                continue
            reserved = sk.reserved or sk.proto == "udp"
            apart = sk.laddr and claim.addr and sk.laddr != claim.addr
            if reserved and not apart and not sk.flags & claim.flags and sk.on_device in ("", claim.device):
                return sk
        return None

    def reserve(self, claim: Claim) -> None:
        for net in claim.nets:
            there = self.table.setdefault((net, claim.proto, claim.port), {})
            counter = there.setdefault((claim.addr, claim.device), {}).setdefault(claim.dest, {})
            counter[claim.flags] = counter.get(claim.flags, 0) + 1

    def release(self, claim: Claim) -> None:
        """Release a reservation. As in gVisor, releasing what was never reserved lowers another's count."""
        for net in claim.nets:
            there = self.table.get((net, claim.proto, claim.port), {})
            dests = there.get((claim.addr, claim.device), {})
            counter = dests.get(claim.dest)
            if counter is None:
                continue
            counter[claim.flags] = counter.get(claim.flags, 0) - 1
            if sum(counter.values()) <= 0:
                del dests[claim.dest]
                if not dests:
                    del there[claim.addr, claim.device]


def claim_of(sk: Endpoint) -> Claim:
    """The reservation that `sk` believes to have."""
    return Claim(sk.nets, sk.proto, sk.laddr, sk.flags, sk.on_device, sk.dest).at(sk.port)
