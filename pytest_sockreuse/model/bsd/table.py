"""The BSDs: the table of sockets by port, how bind() and arriving packets look into it.

A socket says by `v4` and `v6` which family's look-ups see it: an AF_INET6 one without IPV6_V6ONLY is seen by both until
bind() or connect() settles on one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from ...dataclass import dataclass
from .. import machine
from ..clause import Book, Declared, Unknown
from ..ports import RARE
from ..sock import Sock

BOOK = Book()
_PCB = "sys/netinet/in_pcb.c (XNU: bsd/netinet/in_pcb.c)"

SPECIFIC = BOOK(
    "specific-first",
    "A packet goes to the socket at its address before one at the wildcard.",
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
LB_LISTENS = Declared("lb-group-listens", "A TCP socket is of its SO_REUSEPORT_LB group from listen() on.")
NEWEST = Declared("newest-gets-it", "Of several sockets at one address the one bound last gets what arrives.")
NEWEST_EXACT = Declared(
    "newest-at-the-address-gets-it", "Of several sockets at one specific address the one bound last gets what arrives."
)
IPV4_FIRST = Declared("ipv4-wildcard-first", "IPv4's packet goes to 0.0.0.0 before a dual-stack `::`.")
MAPPED_COST = Declared("dual-stack-is-last", "In IPv4's view a dual-stack socket at `::` comes after every IPv4 one.")
OWN_TABLES = Declared(
    "families-look-apart",
    "IPv6 sockets have a table of their own: bind() of IPv4 looks into it by its v4-mapped address, bind() to `::` not "
    "into IPv4's; neither sees the other's connections, and IPv4's packets are for its own table first.",
)
RP_GROUP = Declared(
    "reuseport-balances", "A packet goes to any of the sockets that share an address and port by SO_REUSEPORT."
)
MERGED = Declared(
    "families-merged-unsettled",
    "The connections of both families share a table since 10; who gets an IPv4 packet that fits both is not settled.",
)
CHILDREN_UNSEEN = Declared("children-unseen", "bind() does not see accepted connections, TIME_WAIT included.")


class Pcb(Sock):
    """A socket of a BSD: `space` names the protocol whose ports it has, `lb` is SO_REUSEPORT_LB, `grouped` that it was
    set at bind(), `got` how much came to it as one of a group, `hashed` that the socket is in the table, `listed` that
    bind() sees it there, `accepts` that it was a listener, `child` that accept() made it, `gone` that its connection
    ended, not its descriptor.
    """

    __slots__ = ("space", "lb", "grouped", "got", "hashed", "listed", "accepts", "child", "gone", "v4", "v6")

    def __init__(self, proto: str, family: int, user: str) -> None:
        super().__init__(proto, family, user)
        self.space = proto
        self.lb = self.grouped = self.hashed = self.accepts = self.gone = self.child = False
        self.got = 0
        self.listed = True
        self.v4, self.v6 = family == 4, family == 6

    @property
    def reuses(self) -> bool:
        return self.ra or self.rp or self.lb


@dataclass(frozen=True, slots=True)
class Traits:
    """What a system has by default: V6ONLY, port ranges by IP_PORTRANGE (first, last, the settings that hold them),
    seconds of TIME_WAIT, what it says when ports are used up; what a call's destination means to it."""

    ranges: dict[str, tuple[int, int, str, str]]
    v6only: bool
    aim: Callable[[Machine, Pcb, str, int], tuple[str, str]]
    time_wait: float = 60.0
    exhausted: str = "EADDRNOTAVAIL"
    no_route: dict[int, str] = field(default_factory=dict)  # by family, from the wildcard, without a route
    low_errno: str = "EACCES"
    no_zone: str = "ENXIO"  # an address of a device that does not exist


@dataclass(slots=True)
class State:
    """What a BSD keeps: its traits, the sockets of each port, oldest first, and what was chosen once for one system."""

    traits: Traits
    ports: dict[tuple[str, int], list[Pcb]] = field(default_factory=dict)  # by protocol and port
    sources: dict[str, str] = field(default_factory=dict)  # destination -> the source address that it got
    newest_gets_it: bool | None = None  # where no clause says which of several equal sockets does


Machine = machine.Machine[State]


def owners(m: Machine, space: str, port: int) -> list[Pcb]:
    """The sockets that hold a port, oldest first."""
    return m.state.ports.get((space, port), [])


def insert(m: Machine, sk: Pcb, port: int) -> None:
    """`sk` holds `port` from now on."""
    sk.port = sk.shown = port
    sk.grouped = sk.lb and not (sk.family == 6 and sk.v4 and sk.any_)
    sk.hashed = True
    m.state.ports.setdefault((sk.space, port), []).append(sk)


def unhash(m: Machine, sk: Pcb) -> None:
    """`sk` leaves the table; the number is its own still."""
    here = m.state.ports.get((sk.space, sk.port), [])
    if sk in here:
        here.remove(sk)
        if not here:
            del m.state.ports[sk.space, sk.port]
    sk.hashed = False


def remove(m: Machine, sk: Pcb) -> None:
    """`sk` holds its port no longer."""
    unhash(m, sk)
    sk.port = 0


def _sees(m: Machine, t: Pcb, laddr: str, v6: bool) -> str:
    """The address at which `t` stands in the view of a family, or nothing."""
    if OWN_TABLES in m.on:
        if (t.family == 6) != v6:
            return ""
        return _listed(t, laddr) if v6 else t.laddr
    if ":" in laddr:
        return t.laddr if t.v6 else ""
    return ("0.0.0.0" if t.laddr == "::" else t.laddr) if t.v4 else ""


def _listed(t: Pcb, laddr: str) -> str:
    """NetBSD's IPv6 table: the address of `t` as one who asks for `laddr` sees it, in6_pcblookup_port()."""
    mapped = ":" not in laddr
    if t.v6only and (mapped or ":" not in t.laddr):
        return ""
    if t.laddr == "::":
        return "0.0.0.0" if mapped else "::"
    return t.laddr if mapped == (":" not in t.laddr) else ""


def lookup(m: Machine, sk: Pcb, laddr: str, port: int, wild: bool, v6: bool = False) -> Pcb | None:
    """in_pcblookup_local: the socket that bind() compares `sk` with.

    Without `wild` one that is not connected and at the same address; with it the closest of all whose address overlaps.
    `v6` asks NetBSD's table of AF_INET6 sockets.
    """
    here = owners(m, sk.space, port)
    m.spend(len(here))
    match, least = None, 9
    for t in reversed(here):
        at = _sees(m, t, laddr, v6) if t.listed else ""
        if not at:
            continue
        cost = (t.raddr not in ("", "::")) + (at != laddr or (v6 and t.laddr == "::" != laddr))
        if at != laddr and not (at in ("::", "0.0.0.0") or laddr in ("::", "0.0.0.0")):
            continue
        if cost and not wild:
            continue
        if ":" not in laddr and t.laddr == "::" and MAPPED_COST in m.on:
            cost += 3 * wild
        if BEST not in m.on:
            return t
        if cost < least:
            match, least = t, cost
    return match


def held(m: Machine, sk: Pcb, laddr: str, port: int) -> bool:
    """Whether a socket that is not connected overlaps `laddr` at `port`."""
    here = owners(m, sk.space, port)
    m.spend(len(here))
    v4 = ":" not in laddr
    return any(not t.raddr and (t.v4 if v4 else t.v6) and (t.any_ or t.laddr == laddr) for t in here)


def find(m: Machine, sk: Pcb, laddr: str, port: int, raddr: str, rport: int, both: bool = False) -> Pcb | None:
    """The socket, other than `sk`, that has this 4-tuple; with `both` in either of NetBSD's tables."""
    here = owners(m, sk.space, port)
    m.spend(len(here))
    for t in here:
        if t is not sk and (t.laddr, t.raddr, t.rport) == (laddr, raddr, rport) and not t.gone:
            if both or OWN_TABLES not in m.on or t.family == sk.family:
                return t
            if MERGED in m.on:
                raise Unknown("an IPv4 connection of an AF_INET6 socket beside one of an AF_INET socket")
    return None


def receiver(m: Machine, sk: Pcb, dst: str, port: int, src: str) -> Pcb | None:
    """in_pcblookup_hash: the socket that gets a packet of `sk`, whatever its state."""
    v4 = ":" not in dst
    here = [t for t in owners(m, sk.space, port) if _hears(m, t, v4)]
    m.spend(len(here))
    if OWN_TABLES in m.on and v4:
        here = [t for t in here if t.family == 4 and _fits(t, dst, src, sk.port)] or [t for t in here if t.family == 6]
    exact: list[Pcb] = []
    wild: list[Pcb] = []
    for t in reversed(here):
        if t.raddr:
            if t.proto == "udp" and _fits(t, dst, src, sk.port) and CONNECTED in m.on:
                m.clause = CONNECTED
                return t
        elif t.laddr == dst:
            exact.append(t)
        elif t.any_:
            wild.append(t)
    if IPV4_FIRST in m.on:
        wild.sort(key=lambda t: t.family)
    if SPECIFIC not in m.on:
        exact, wild = [t for t in reversed(here) if t in exact or t in wild], []
    return _choose(m, [exact, wild])


def _fits(t: Pcb, dst: str, src: str, sport: int) -> bool:
    """Whether a packet is for `t` by its address, or for its connection."""
    if t.raddr:
        return (t.laddr, t.raddr, t.rport) == (dst, src, sport)
    return t.any_ or t.laddr == dst


def _hears(m: Machine, t: Pcb, v4: bool) -> bool:
    """Whether a packet of this family can be for `t`."""
    if OWN_TABLES not in m.on:
        return t.v4 if v4 else t.v6
    if t.family == 4:
        return v4
    return not v4 if ":" in t.laddr and t.laddr != "::" else not v4 or not t.v6only


def _choose(m: Machine, ranks: list[list[Pcb]]) -> Pcb | None:
    """One of those that fit, closest first: of a group any, else the newest where that is known."""
    for rank in ranks:
        group = [t for t in rank if t.grouped and (t.accepts or t.proto == "udp" or LB_LISTENS not in m.on)]
        if group and LB_GROUP in m.on:
            m.clause = LB_GROUP
            return _member(m, group)
    rank = next((rank for rank in ranks if rank), [])
    rank = [t for t in rank if t.laddr == rank[0].laddr] if IPV4_FIRST in m.on else rank
    if len(rank) < 2:
        return rank[0] if rank else None
    if RP_GROUP in m.on and all(t.rp for t in rank):
        m.clause = RP_GROUP
        return _member(m, rank)
    if NEWEST in m.on or (NEWEST_EXACT in m.on and not rank[0].any_):
        m.clause = NEWEST if NEWEST in m.on else NEWEST_EXACT
        return rank[0]
    if m.state.newest_gets_it is None:
        m.state.newest_gets_it = bool(m.choose(2))
    return rank[0 if m.state.newest_gets_it else -1]


def _member(m: Machine, group: list[Pcb]) -> Pcb:
    """Any of a group; one that got nothing of so many that this is hardly chance any more is next."""
    so_far = sum(t.got for t in group)
    enough = (1 - 1 / len(group)) ** so_far * RARE < 1
    if enough:
        group = [t for t in group if not t.got] or group
    member = group[m.spread(len(group))] if len(group) > 1 else group[0]
    if not (enough and member.got):  # from there on it does not matter how much
        member.got += 1
    return member
