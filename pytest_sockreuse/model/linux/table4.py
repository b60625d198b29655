"""Linux UDP: the table of connected sockets by 4-tuple, which is asked first where a datagram goes."""

from __future__ import annotations

from ..address import arrives_by
from ..clause import Book
from ..sock import Sock, Tuple4
from .state import Machine

BOOK = Book()
_UDP = "net/ipv4/udp.c"

CONNECTED_TABLE = BOOK(
    "udp-last-connected-gets-it",
    "Of sockets connected to one peer from one address and port the one connected last gets the peer's datagrams; "
    "who connects leaves its SO_REUSEPORT group.",
    f"{_UDP} udp_lib_hash4, udp4_lib_lookup4",
    since=("6.13",),
)
STAYS = BOOK(
    "udp-connected-again-stays",
    "A UDP socket at an address of its own that connects again stays in the table of connected sockets for the peer "
    "that it had, and in its place there; to be bound to a device mends it.",
    f"{_UDP} udp_lib_hash4 (udp_hashed4), 644f9108f3a5 udp: Make rehash4 independent in udp_lib_rehash()",
    confidence="inferred",
    since=("6.14",),
)


def enter(m: Machine, sk: Sock) -> bool:
    """udp_lib_hash4: whether a socket that connected is new there."""
    if CONNECTED_TABLE not in m.on:
        return False
    if _slot(m, sk) is None:
        m.state.connected.setdefault(sk.key, []).insert(0, sk)
        return True
    if STAYS not in m.on:
        rehash(m, sk)
    return False


def rehash(m: Machine, sk: Sock) -> None:
    """udp_rehash4: the socket moves to where its addresses and ports belong."""
    slot = _slot(m, sk)
    if slot is not None and slot != sk.key:
        m.state.connected[slot].remove(sk)
        m.state.connected.setdefault(sk.key, []).insert(0, sk)


def leave(m: Machine, sk: Sock) -> None:
    """udp_unhash4."""
    slot = _slot(m, sk)
    if slot is not None:
        m.state.connected[slot].remove(sk)


def find(m: Machine, source: str, sport: int, destination: str, dport: int) -> Sock | None:
    """udp4_lib_lookup4, udp6_lib_lookup4."""
    for sk in m.state.connected.get((destination, dport, source, sport), ()):
        if (sk.raddr, sk.rport) == (source, sport) and sk.device in ("", arrives_by(destination)):
            return sk
    return None


def _slot(m: Machine, sk: Sock) -> Tuple4 | None:
    return next((key for key, here in m.state.connected.items() if sk in here), None)
