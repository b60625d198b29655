"""Linux: which port is chosen where none was named, by bind(0), listen(), connect() and UDP's autobind."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ..clause import Book
from ..ports import RARE, mask
from ..sock import Sock
from .state import Machine

BOOK = Book()

PARITY = BOOK(
    "parity",
    "bind(0) tries the ports whose parity is not that of the range's low end first, connect() those that have it.",
    "net/ipv4/inet_connection_sock.c inet_csk_find_open_port; net/ipv4/inet_hashtables.c __inet_hash_connect",
)
HALVES = BOOK(
    "lower-half-first",
    "bind(0) with SO_REUSEADDR tries the lower half of a range of 4 ports or more first.",
    "net/ipv4/inet_connection_sock.c inet_csk_find_open_port",
)
ODD_SIZE = BOOK(
    "odd-range-loses-ports",
    "Of a range of odd size an edge port may not be tried; of three ports the third never is.",
    "net/ipv4/inet_connection_sock.c inet_csk_find_open_port (remaining &= ~1); inet_hashtables.c __inet_hash_connect",
)
ANY_PARITY = BOOK(
    "local-range-any-parity",
    "connect() with IP_LOCAL_PORT_RANGE tries every port of the range alike, without parity and without losing one.",
    "207184853dbd tcp/dccp: change source port selection at connect() time",
    since=("6.8",),
)
RESERVED = BOOK(
    "reserved-ports-skipped",
    "Ports in ip_local_reserved_ports are never chosen; an explicit bind may have them.",
    "net/ipv4/inet_connection_sock.c inet_is_local_reserved_port",
)
LOCAL_RANGE = BOOK(
    "local-range-narrows",
    "A side of IP_LOCAL_PORT_RANGE that lies outside of the namespace's range gives way to the namespace's.",
    "net/ipv4/inet_connection_sock.c inet_sk_get_local_port_range",
    since=("6.1.32", "6.3"),
)

Usable = Callable[[int], bool]


@lru_cache(1024)
def _pair(text: str) -> tuple[int, int]:
    low, high = (text.replace("-", " ").split() * 2)[:2]
    return int(low), int(high)


@lru_cache(1024)
def _reserved(text: str) -> int:
    bits = 0
    for part in text.split(","):
        if part:
            low, _, high = part.partition("-")
            bits |= mask(int(low), int(high or low))
    return bits


def range_of(m: Machine, sk: Sock) -> tuple[int, int]:
    """The range that holds for this socket: low and high."""
    env = m.env
    low, high = _pair((env and (env.get("ephemeral") or env.get("net.ipv4.ip_local_port_range"))) or "32768-60999")
    if sk.port_range != (0, 0) and LOCAL_RANGE in m.on:
        first, last = sk.port_range
        low = first if low <= first <= high else low
        high = last if low <= last <= high else high
    return low, high


@lru_cache(1024)
def _chosen_of(low: int, high: int, step: int, reserved: str) -> int:
    return mask(low, high, step) & ~_reserved(reserved)


def ports(m: Machine, low: int, high: int, step: int = 1) -> int:
    """Those of the ports low, low + step, … up to high that may be chosen, as a mask."""
    text = m.env.get("net.ipv4.ip_local_reserved_ports", "") if RESERVED in m.on else ""
    return _chosen_of(low, high, step, text)


def bind_zero(m: Machine, sk: Sock, usable: Usable) -> int:
    """inet_csk_find_open_port: the port, or 0."""
    low, high = range_of(m, sk)
    size, step = high - low + 1, _open_step(m, sk)
    if sk.ra and size >= 4 and HALVES in m.on:
        half = low + (size >> 2 << 1)
        return _scan(m, low, half - 1, 1, usable, step) or _scan(m, half, high, 1, usable, step)
    return _scan(m, low, high, 1, usable, step)


def _open_step(m: Machine, sk: Sock) -> int:
    """The step under way, if it may leave open which port it chooses; the family of a port's sockets may matter."""
    return m.at if sk.family == 4 or (":" in sk.laddr and not sk.any_) else -1


def connect_auto(m: Machine, sk: Sock, usable: Usable) -> int:
    """The search of __inet_hash_connect: the port, or 0."""
    low, high = range_of(m, sk)
    if sk.port_range != (0, 0) and ANY_PARITY in m.on:
        return m.space.pick(ports(m, low, high), usable, m.wanted(), _open_step(m, sk))
    return _scan(m, low, high, 0, usable, _open_step(m, sk))


def datagram(m: Machine, sk: Sock, usable: Usable) -> int:
    """udp_lib_get_port: any port of the range alike."""
    return m.space.pick(ports(m, *range_of(m, sk)), usable, m.wanted(), m.at)


def _scan(m: Machine, low: int, high: int, first: int, usable: Usable, step: int) -> int:
    """One search in steps of two, the ports low + `first`, low + `first` + 2, … before the others."""
    size, pick, wanted = high - low + 1, m.space.pick, m.wanted() if m.observed is not None else 0
    if step < 0:
        m.space.settle(ports(m, low, high))
    if size == 1 or PARITY not in m.on:
        return pick(ports(m, low, high), usable, wanted, step)
    if size % 2 == 0 or ODD_SIZE not in m.on or size > RARE:
        port = pick(ports(m, low + first, high, 2), usable, wanted, step)
        return port or pick(ports(m, low + 1 - first, high, 2), usable, wanted, step)
    m.space.settle(ports(m, low, high))
    odd = ports(m, low + 1, high, 2)
    port = pick(odd, usable, wanted) if first else 0
    port = port or _even_of_odd_size(m, low, high, usable, wanted)
    return port or (0 if first else pick(odd, usable, wanted))


def _even_of_odd_size(m: Machine, low: int, high: int, usable: Usable, wanted: int) -> int:
    """The even steps of a range of odd size n: from 0 up to n - 3, or from 2 up to n - 1, as the start is 0 or not."""
    space = m.space
    begin = ports(m, low, low)
    if high - low == 2:
        return space.pick(begin, usable, wanted)
    before_last, last = ports(m, high - 2, high - 2), ports(m, high, high)
    inner = ports(m, low + 2, high - 2, 2)
    if space.any_usable(inner, usable):
        edge = 0 if space.any_usable(before_last, usable) else last
        return space.pick(inner | edge | begin, usable, wanted)
    return space.pick((last, begin)[m.choose(2)], usable, wanted)
