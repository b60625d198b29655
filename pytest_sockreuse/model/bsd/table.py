"""The BSDs: the table of sockets by port, how bind() and arriving packets look into it.

A dual-stack socket at `::` stands in both families' view of the table, one at a v4-mapped address in IPv4's only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from .. import machine
from ..address import canonical
from ..clause import Book, Declared
from ..sock import TIME_WAIT, Sock

BOOK = Book()
_PCB = "sys/netinet/in_pcb.c (XNU: bsd/netinet/in_pcb.c)"

SPECIFIC = BOOK(
    "specific-first",
    "A packet goes to the socket at its address before one at the wildcard, and to 0.0.0.0 before a dual-stack `::`.",
    f"{_PCB} in_pcblookup_hash",
)
CONNECTED = BOOK(
    "connected-first",
    "A datagram goes to the socket that is connected to its sender before any other.",
    f"{_PCB} in_pcblookup_hash",
)
BEST = BOOK(
    "closest-owner-counts",
    "Of several sockets that overlap, bind() looks at one: not connected before connected, equal before "
    "wildcard address, of equal ones the newest.",
    f"{_PCB} in_pcblookup_local (matchwild)",
)

# What only some of the systems have: their books say which, and where it is written.
LB_GROUP = Declared("lb-group", "A packet goes to any member of a SO_REUSEPORT_LB group, before every other socket.")
NEWEST = Declared("newest-gets-it", "Of several sockets at one address the one bound last gets what arrives.")
NEWEST_EXACT = Declared(
    "newest-at-the-address-gets-it", "Of several sockets at one specific address the one bound last gets what arrives."
)
MAPPED_COST = Declared("dual-stack-is-last", "In IPv4's view a dual-stack socket at `::` comes after every IPv4 one.")
OWN_TABLES = Declared(
    "families-look-apart",
    "IPv6 sockets have a table of their own: bind() of IPv4 looks into it by its v4-mapped address, bind() to `::` not "
    "into IPv4's.",
)
CHILDREN_UNSEEN = Declared("children-unseen", "bind() without option did not see accepted connections and TIME_WAIT.")
CHILDREN_MAY = Declared(
    "children-may-be-unseen",
    "Whether bind() without option sees accepted connections and TIME_WAIT is not settled; in 2016 it did not.",
)


class Pcb(Sock):
    """A socket of a BSD: `lb` is SO_REUSEPORT_LB, `grouped` that it was set at bind(), `child` that accept() made it,
    `gone` that its connection ended while its descriptor stayed."""

    __slots__ = ("lb", "grouped", "child", "gone")

    def __init__(self, proto: str, family: int, user: str) -> None:
        super().__init__(proto, family, user)
        self.lb = self.grouped = self.child = self.gone = False

    @property
    def reuses(self) -> bool:
        return self.ra or self.rp or self.lb

    @property
    def v4(self) -> bool:
        """Whether IPv4 sees it."""
        return ":" not in self.laddr or (self.laddr == "::" and not self.v6only)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a system has by default: V6ONLY, port ranges by IP_PORTRANGE (first, last, the settings that hold them),
    seconds of TIME_WAIT, what it says when ports are used up."""

    ranges: dict[str, tuple[int, int, str, str]]
    v6only: bool
    time_wait: float = 60.0
    exhausted: tuple[str, ...] = ("EADDRNOTAVAIL",)
    exhausted_connect: tuple[str, ...] = ("EADDRNOTAVAIL",)
    low_errno: str = "EACCES"


@dataclass(slots=True)
class State:
    """What a BSD keeps: its traits, the sockets of each port, oldest first, and what was chosen once for one system."""

    traits: Traits
    ports: dict[tuple[str, int], list[Pcb]] = field(default_factory=dict)  # by protocol and port
    sources: dict[str, str] = field(default_factory=dict)  # destination -> the source address that it got
    sees_children: bool | None = None  # CHILDREN_MAY
    newest_gets_it: bool | None = None  # where no clause says which of several equal sockets does


Machine = machine.Machine[State]


@lru_cache(4096)
def parsed(host: str) -> tuple[str, int, str]:
    """The canonical address, its family (4 for v4-mapped) and its kind: any, loopback, multicast, special or other."""
    address = canonical(host)
    kind = "other"
    if address.is_unspecified:
        kind = "any"
    elif str(address) in ("127.0.0.1", "::1"):
        kind = "loopback"
    elif address.is_multicast:
        kind = "multicast"
    elif address.is_link_local or str(address) == "255.255.255.255":
        kind = "special"
    return str(address), address.version, kind


def owners(m: Machine, proto: str, port: int) -> list[Pcb]:
    """The sockets that hold a port, oldest first; what TIME_WAIT kept too long is gone."""
    here = m.state.ports.get((proto, port), [])
    if m.now and any(t.state == TIME_WAIT for t in here):
        msl = m.env.get("net.inet.tcp.msl")
        limit = 2 * int(msl) / 1000 if msl else m.state.traits.time_wait
        for t in [t for t in here if t.state == TIME_WAIT and m.now - t.since >= limit]:
            remove(m, t)
        here = m.state.ports.get((proto, port), [])
    return here


def insert(m: Machine, sk: Pcb, port: int) -> None:
    """`sk` holds `port` from now on."""
    sk.port = sk.shown = port
    sk.grouped = sk.lb
    m.state.ports.setdefault((sk.proto, port), []).append(sk)


def remove(m: Machine, sk: Pcb) -> None:
    """`sk` holds its port no longer."""
    here = m.state.ports.get((sk.proto, sk.port), [])
    if sk in here:
        here.remove(sk)
        if not here:
            del m.state.ports[sk.proto, sk.port]
    sk.port = 0


def _sees(m: Machine, t: Pcb, laddr: str, v6: bool) -> str:
    """The address at which `t` stands in the view of a family, or nothing."""
    if OWN_TABLES in m.on:
        if (t.family == 6) != v6:
            return ""
        return _listed(t, ":" not in laddr) if v6 else t.laddr
    if ":" in laddr:
        return t.laddr if ":" in t.laddr else ""
    return ("0.0.0.0" if t.laddr == "::" else t.laddr) if t.v4 else ""


def _listed(t: Pcb, mapped: bool) -> str:
    """NetBSD's IPv6 table: the address of `t` where one that is v4-mapped, or is not, is asked for."""
    if t.laddr == "::":
        return "" if mapped and t.v6only else "::"
    if mapped == (":" not in t.laddr):
        return t.laddr
    return "" if mapped or t.laddr == "0.0.0.0" else t.laddr


def lookup(m: Machine, proto: str, laddr: str, port: int, wild: bool, v6: bool = False) -> Pcb | None:
    """in_pcblookup_local: the socket that bind() compares itself with.

    Without `wild` one that is not connected and at the same address; with it the closest of all whose address overlaps.
    `v6` asks NetBSD's table of AF_INET6 sockets.
    """
    here = owners(m, proto, port)
    m.spend(len(here))
    match, least = None, 9
    for t in reversed(here):
        at = _sees(m, t, laddr, v6)
        if not at:
            continue
        cost = bool(t.raddr) + (at != laddr)
        if at != laddr and not (t.laddr in ("::", "0.0.0.0") or laddr in ("::", "0.0.0.0")):
            continue
        if (cost and not wild) or not _seen(m, t):
            continue
        if ":" not in laddr and t.laddr == "::" and MAPPED_COST in m.on:
            cost += 3 * wild
        if BEST not in m.on:
            return t
        if cost < least:
            match, least = t, cost
    return match


def _seen(m: Machine, t: Pcb) -> bool:
    """Whether bind() sees `t`: not told of NetBSD's accepted connections and TIME_WAIT, alike for one system."""
    if not (t.child or t.state == TIME_WAIT) or CHILDREN_MAY not in m.on:
        return CHILDREN_UNSEEN not in m.on or not (t.child or t.state == TIME_WAIT)
    if m.state.sees_children is None:
        m.state.sees_children = bool(m.choose(2))
    return m.state.sees_children


def held(m: Machine, proto: str, laddr: str, port: int) -> bool:
    """Whether a socket that is not connected overlaps `laddr` at `port`."""
    here = owners(m, proto, port)
    m.spend(len(here))
    v4 = ":" not in laddr
    return any(not t.raddr and (t.laddr == laddr or (t.any_ and (t.v4 if v4 else t.laddr == "::"))) for t in here)


def find(m: Machine, sk: Pcb, laddr: str, port: int, raddr: str, rport: int) -> Pcb | None:
    """The socket, other than `sk`, that has this 4-tuple."""
    here = owners(m, sk.proto, port)
    m.spend(len(here))
    for t in here:
        if t is not sk and (t.laddr, t.raddr, t.rport) == (laddr, raddr, rport) and not t.gone:
            return t
    return None


def receiver(m: Machine, proto: str, dst: str, port: int, src: str, sport: int) -> Pcb | None:
    """in_pcblookup_hash: the socket that gets a packet, whatever its state."""
    v4, here = ":" not in dst, owners(m, proto, port)
    m.spend(len(here))
    ranks: list[list[Pcb]] = [[], [], []]
    for t in reversed(here):
        if t.raddr:
            if proto == "udp" and (t.laddr, t.raddr, t.rport) == (dst, src, sport) and CONNECTED in m.on:
                m.clause = CONNECTED
                return t
        elif t.laddr == dst:
            ranks[0].append(t)
        elif t.laddr == "0.0.0.0" and v4:
            ranks[1].append(t)
        elif t.laddr == "::" and (not v4 or not t.v6only):
            ranks[2].append(t)
    if SPECIFIC not in m.on:
        ranks = [[t for t in reversed(here) if any(t in rank for rank in ranks)]]
    return _choose(m, ranks)


def _choose(m: Machine, ranks: list[list[Pcb]]) -> Pcb | None:
    """One of those that fit, closest first: of a group any, else the newest where that is known."""
    for rank in ranks:
        group = [t for t in rank if t.grouped]
        if group and LB_GROUP in m.on:
            m.clause = LB_GROUP
            return group[m.choose(len(group))] if len(group) > 1 else group[0]
    rank = next((rank for rank in ranks if rank), [])
    if len(rank) < 2:
        return rank[0] if rank else None
    if NEWEST in m.on or (NEWEST_EXACT in m.on and not rank[0].any_):
        m.clause = NEWEST if NEWEST in m.on else NEWEST_EXACT
        return rank[0]
    if m.state.newest_gets_it is None:
        m.state.newest_gets_it = bool(m.choose(2))
    return rank[0 if m.state.newest_gets_it else -1]
