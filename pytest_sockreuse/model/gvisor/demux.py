"""gVisor: who gets what arrives. Endpoints, registered by listen and connect, found by local and foreign address."""

from __future__ import annotations

from collections.abc import Iterator

from ..clause import Book
from .ports import BALANCED, NOWHERE, RECENT, Counter, Destination, Endpoint, shared
from .state import Machine

BOOK = Book()
_DEMUX = "pkg/tcpip/stack/transport_demuxer.go"

REGISTERED = BOOK(
    "one-endpoint-each",
    "One endpoint listens, or is connected, at a pair of local and foreign address; SO_REUSEPORT lets several listen.",
    f"{_DEMUX} singleRegisterEndpoint",
)
EXACT = BOOK(
    "specific-endpoint-first",
    "What arrives goes to the connected socket, then to the one at its address, then to the one at the wildcard.",
    f"{_DEMUX} iterEndpointsLocked",
)
SPREAD = BOOK(
    "reuseport-spreads",
    "Several sockets of SO_REUSEPORT at one address get each its share, by a hash of the connection.",
    f"{_DEMUX} selectEndpoint",
)
NEWEST = BOOK(
    "newest-gets-it",
    "Of UDP sockets that share one address by SO_REUSEADDR the one registered last gets the datagram.",
    f"{_DEMUX} selectEndpoint (MostRecent)",
)

Id = tuple[int, str, str, int, str, int]  # network, protocol, local address and port, foreign address and port


class _Several:
    """The endpoints of one id and device, oldest first."""

    __slots__ = ("endpoints", "flags")

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []
        self.flags: Counter = {}


class Demux:
    """The endpoints that something may arrive for."""

    __slots__ = ("m", "ids", "hashes")

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.ids: dict[Id, dict[str, _Several]] = {}
        self.hashes: dict[tuple[tuple[Destination, Destination], int], int] = {}

    @staticmethod
    def _flags(flags: int, rport: int) -> int:
        return flags & (RECENT if rport else RECENT | BALANCED)

    def taken(
        self, sk: Endpoint, nets: tuple[int, ...], port: int, flags: int, device: str, remote: Destination
    ) -> Endpoint | None:
        """The endpoint because of which `sk` could not be registered, if any."""
        bits = self._flags(flags, remote[1])
        for net in nets:
            several = self.ids.get((net, sk.proto, sk.laddr, port, *remote), {}).get(device)
            if several and several.endpoints and not bits & shared(several.flags) and REGISTERED in self.m.on:
                return several.endpoints[-1]
        return None

    def register(self, sk: Endpoint, nets: tuple[int, ...]) -> Endpoint | None:
        """Enter the endpoint by its addresses, latched flags and device; or return the one in the way."""
        remote = (sk.raddr, sk.rport)
        if other := self.taken(sk, nets, sk.port, sk.flags, sk.on_device, remote):
            return other
        bits = self._flags(sk.flags, sk.rport)
        for net in nets:
            devices = self.ids.setdefault((net, sk.proto, sk.laddr, sk.port, *remote), {})
            several = devices.setdefault(sk.on_device, _Several())
            several.endpoints.append(sk)
            several.flags[bits] = several.flags.get(bits, 0) + 1
        return None

    def unregister(self, sk: Endpoint, flags: int) -> None:
        bits = self._flags(flags, sk.rport)
        for net in sk.nets:
            name = (net, sk.proto, sk.laddr, sk.port, sk.raddr, sk.rport)
            devices = self.ids.get(name, {})
            several = devices.get(sk.on_device)
            if several is None or sk not in several.endpoints:
                continue
            several.endpoints.remove(sk)
            several.flags[bits] = several.flags.get(bits, 0) - 1
            if not several.endpoints:
                del devices[sk.on_device]
                if not devices:
                    del self.ids[name]

    def _ids(self, net: int, proto: str, local: Destination, remote: Destination) -> Iterator[Id]:
        addr, port = local
        names: list[Id] = [
            (net, proto, addr, port, *remote),
            (net, proto, "", port, *remote),
            (net, proto, addr, port, *NOWHERE),
            (net, proto, "", port, *NOWHERE),
        ]
        return iter(names if EXACT in self.m.on else [*names[:2], *names[:1:-1]])

    def find(self, net: int, proto: str, local: Destination, remote: Destination) -> Endpoint | None:
        """The endpoint that what arrives at `local` from `remote` goes to."""
        for name in self._ids(net, proto, local, remote):
            devices = self.ids.get(name)
            if devices:
                several = devices.get("lo") or devices.get("")
                return self._one(several, (local, remote)) if several else None
        return None

    def _one(self, several: _Several, flow: tuple[Destination, Destination]) -> Endpoint:
        endpoints = several.endpoints
        if len(endpoints) == 1:
            return endpoints[0]
        flags = shared(several.flags)
        if flags & RECENT and not flags & BALANCED and NEWEST in self.m.on:
            self.m.clause = NEWEST
            return endpoints[-1]
        if SPREAD not in self.m.on:
            return endpoints[0]
        self.m.clause = SPREAD
        key = (flow, len(endpoints))
        if key not in self.hashes:
            self.hashes[key] = self.m.spread(len(endpoints))
        return endpoints[self.hashes[key]]
