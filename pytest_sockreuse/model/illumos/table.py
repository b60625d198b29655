"""illumos: the sockets of each port, how long they count, and which of them gets a packet."""

from __future__ import annotations

from dataclasses import field

from ...dataclass import dataclass
from .. import machine, stream
from ..address import parsed
from ..clause import Book, Unknown
from ..sock import TIME_WAIT, Sock

BOOK = Book()
_IPCL = "inet/ip/ipclassifier.c"
_TW = "inet/tcp/tcp_time_wait.c"

PURGED = BOOK(
    "local-time-wait-is-purged",
    "TIME_WAIT between two addresses of this host is thrown away when its descriptor is closed, or a moment later.",
    f"{_TW} tcp_time_wait_append (illumos 7061)",
    "source",
)
SPECIFIC = BOOK(
    "specific-first",
    "A packet goes to the socket at its address before one at the wildcard.",
    f"{_IPCL} ipcl_classify_v4, ipcl_classify_v6",
    "source",
)
IPV4_FIRST = BOOK(
    "ipv4-wildcard-first",
    "An IPv4 packet goes to 0.0.0.0 before a dual-stack `::`, whichever came first.",
    f"{_IPCL} ipcl_bind_insert_v4",
    "source",
)
FIRST = BOOK(
    "first-gets-it",
    "Of several sockets at one address the first gets a packet: TCP's that listened first, UDP's that bound first.",
    f"{_IPCL} ipcl_bind_insert_v4, ipcl_bind_insert_v6",
    "source",
)
V6ONLY_LIVE = BOOK(
    "v6only-is-read-live",
    "IPV6_V6ONLY may change at any time and keeps IPv4 packets from a socket at `::` from then on.",
    f"{_IPCL} ipcl_classify_v4 (conn_ipv6_v6only)",
    "source",
)


class Conn(Sock):
    """A socket of illumos: `excl` is SO_EXCLBIND, `bound` the address that bind() or listen() gave it, `::` where none
    did, `given` that they did, `v4` that it speaks IPv4, `over` that its connection ended, was refused or reset,
    `purged` whether its TIME_WAIT is gone already, `unsure` that its datagram reached nobody."""

    __slots__ = ("excl", "bound", "given", "v4", "over", "purged", "unsure")

    def __init__(self, proto: str, family: int, user: str) -> None:
        super().__init__(proto, family, user)
        self.excl = self.given = self.over = self.unsure = False
        self.bound, self.v4 = "::", family == 4
        self.purged: bool | None = None


@dataclass(slots=True)
class State:
    """The sockets of each port, by protocol and port, in the order in which they got it."""

    ports: dict[tuple[str, int], list[Conn]] = field(default_factory=dict)


Machine = machine.Machine[State]


def conn(sk: Sock) -> Conn:
    """The same socket, for the type's sake."""
    assert isinstance(sk, Conn)
    return sk


def is_any(address: str) -> bool:
    """Whether an address is one of the two wildcards."""
    return address in ("0.0.0.0", "::")


def owners(m: Machine, proto: str, port: int) -> list[Conn]:
    """The sockets that hold a port, oldest first."""
    for t in list(m.state.ports.get((proto, port), ())):
        _expire(m, t)
    here = m.state.ports.get((proto, port), [])
    m.spend(len(here))
    return here


def holder(m: Machine, key: tuple[str, int, str, int]) -> Conn | None:
    """The TCP socket that has this 4-tuple."""
    t = m.tuples.get(key)
    if t is not None:
        _expire(m, conn(t))
    return conn(t) if t is not None and key in m.tuples else None


def _expire(m: Machine, t: Conn) -> None:
    """Remove what TIME_WAIT no longer keeps: a moment after the descriptor was closed, or at once."""
    if t.state != TIME_WAIT or t.half or t.open or PURGED not in m.on:
        return
    if m.now == t.since and t.purged is None:
        t.purged = bool(m.choose(2))
    if m.now > t.since or t.purged:
        stream.leave_tuple(m, t)
        remove(m, t)


def insert(m: Machine, sk: Conn, port: int) -> None:
    """`sk` holds `port` from now on."""
    sk.port = sk.shown = port
    m.state.ports.setdefault((sk.proto, port), []).append(sk)


def remove(m: Machine, sk: Conn) -> None:
    """`sk` holds its port no longer."""
    here = m.state.ports.get((sk.proto, sk.port), [])
    if sk in here:
        here.remove(sk)
        if not here:
            del m.state.ports[sk.proto, sk.port]
    sk.port = sk.shown = 0


def receiver(m: Machine, proto: str, dst: str, port: int) -> Conn | None:
    """Who gets a packet that is of no connection: a listener, or a UDP socket that is not connected."""
    here = [conn(t) for t in m.listeners.get(port, ())] if proto == "tcp" else owners(m, proto, port)
    v4 = ":" not in dst
    ranks: list[list[Conn]] = [[], [], []]
    for t in here:
        if t.raddr:
            continue
        if t.family == 6 and v4 and t.v6only and V6ONLY_LIVE in m.on:
            if not is_any(t.bound):
                raise Unknown("IPV6_V6ONLY of a socket at a v4-mapped address")
            continue
        if t.bound == dst:
            ranks[0].append(t)
        elif t.bound == "0.0.0.0" and v4:
            ranks[1].append(t)
        elif t.bound == "::":
            ranks[2].append(t)
    for clause, one, two in ((IPV4_FIRST, 1, 2), (SPECIFIC, 0, 1)):
        if clause not in m.on:
            ranks[one], ranks[two] = ranks[two], ranks[one]
    return _first(m, ranks)


def _first(m: Machine, ranks: list[list[Conn]]) -> Conn | None:
    best = next((rank for rank in ranks if rank), [])
    if sum(map(len, ranks)) > 1:
        m.clause = FIRST if len(best) > 1 else SPECIFIC if best is ranks[0] else IPV4_FIRST
    return best[0 if FIRST in m.on else -1] if best else None


def local(m: Machine, host: str) -> tuple[str, bool, str]:
    """The canonical address of a literal, whether this host has it, and its kind."""
    address, _, kind = parsed(host)
    return address, kind == "any" or address in ("127.0.0.1", "::1") or address in m.addresses, kind
