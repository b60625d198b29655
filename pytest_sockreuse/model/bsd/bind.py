"""The BSDs: what bind() checks, which port it chooses."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ..clause import PLAIN, Book, Declared, Errno, Unknown
from ..ports import mask
from .address import FAMILY_LATE, belongs, local_address, parsed, right_family, right_tcp
from .table import OWN_TABLES, Machine, Pcb, insert, lookup

BOOK = Book()
_PCB = "sys/netinet/in_pcb.c (XNU: bsd/netinet/in_pcb.c)"

BOUND_ONCE = BOOK(
    "bind-once", "bind() of a socket that has a port is EINVAL.", f"{_PCB} in_pcbbind (inp_lport, inp_laddr)"
)
LOW_PORT = BOOK("low-port-privileged", "A port below 1024 needs root, else EACCES.", f"{_PCB} in_pcbbind")
CONFLICT = BOOK(
    "bind-conflict",
    "bind() to a port whose holder it sees is EADDRINUSE; listening or not makes no difference.",
    f"{_PCB} in_pcbbind",
)
REUSE_LOOKS_CLOSE = BOOK(
    "reuse-looks-at-equals",
    "With SO_REUSEADDR, SO_REUSEPORT or SO_REUSEPORT_LB bind() sees only a socket at the very same address that is not "
    "connected, whatever options that has; without, all that overlap, also connections and TIME_WAIT.",
    f"{_PCB} in_pcbbind (wild, INPLOOKUP_WILDCARD)",
)
REUSEPORT = BOOK(
    "reuseport-shares",
    "Both sockets have SO_REUSEPORT now, at this bind(): they share.",
    f"{_PCB} in_pcbbind (reuseport & t->inp_socket->so_options)",
)
MULTICAST = BOOK(
    "multicast-reuseaddr",
    "Binding a multicast address, SO_REUSEADDR counts as SO_REUSEPORT on both sides.",
    f"{_PCB} in_pcbbind (IN_MULTICAST)",
    confidence="source",
)
OTHER_USER = BOOK(
    "other-users-port",
    "bind() over another user's socket is EADDRINUSE, unless by root.",
    f"{_PCB} in_pcbbind (PRIV_NETINET_REUSEPORT, so_euid)",
)
EXHAUSTED = BOOK(
    "ports-exhausted", "No port is left for bind(0), listen() or connect().", f"{_PCB} in_pcb_lport, in_pcbbind"
)

# What only some of the systems have: their books say which, and where it is written.
LB = Declared("reuseport-lb-shares", "Both sockets have SO_REUSEPORT_LB now, at this bind(): they share.")
ANY_LOW_PORT = Declared("wildcard-low-port-free", "A port below 1024 is free to every user at the wildcard address.")
RESTRICTED = Declared("restricted-port", "TCP port 55555 is EADDRINUSE without an entitlement of Apple's.")
CONNECTED_FREE = Declared("connected-of-others", "Another user's TCP connection, or TIME_WAIT, is in nobody's way.")
ANY_RP_FREE = Declared(
    "wildcard-reuseport-of-others",
    "Another user's wildcard socket with SO_REUSEPORT is not in the way of a wildcard bind(); its connections are.",
)
ANY_LB_FREE = Declared(
    "wildcard-lb-of-others",
    "A wildcard socket of another user that has SO_REUSEPORT_LB alone is not in the way of a wildcard bind().",
)
ANY_LB_MAY = Declared(
    "wildcard-lb-of-others-unsettled",
    "When a wildcard SO_REUSEPORT_LB socket began to count for other users, in 14.1 to 15.0, is not settled.",
)
ANY_QUIRK = Declared(
    "ipv4-wildcard-then-dual-stack",
    "`::` does not conflict with an IPv4 socket at 0.0.0.0 that came first, though the reverse does.",
)
DUAL = Declared("dual-stack-looks-twice", "bind() to `::` without IPV6_V6ONLY looks at 0.0.0.0 of IPv4, too.")
CHOICE_EXACT = Declared(
    "bind0-with-reuse-may-overlap", "bind(0) with a reuse option avoids only sockets at the very same address."
)
CHOICE_EXACT_V6 = Declared(
    "bind0-with-reuse-may-overlap-ipv6",
    "bind(0) of an AF_INET6 socket with a reuse option avoids only sockets at the very same address.",
)
MULTICAST_UNKNOWN = Declared("tcp-multicast-unsettled", "Whether TCP may bind a multicast address is not settled.")
MULTICAST_RP = Declared(
    "multicast-reuseport-alone", "Binding a multicast address, SO_REUSEPORT alone also fits SO_REUSEADDR alone."
)
LOW_RANGE = Declared(
    "low-range-needs-root", "IP_PORTRANGE_LOW needs root: else bind(0) is EPERM, on NetBSD and OpenBSD EACCES."
)
DUAL_CHOICE = Declared(
    "dual-stack-choice-looks-twice",
    "Where the OS chooses the port of a dual-stack socket at `::`, a port is taken that an IPv4 socket is found at.",
)
TAKEN_FIRST = Declared("conflict-before-privilege", "A port below 1024 that is taken is EADDRINUSE without root, too.")
CHILDREN_FREE = Declared(
    "children-in-nobodys-way",
    "IPv4's bind() to a named port is ok where its closest holder is an accepted connection.",
)
V6_NO_OWNER = Declared("ipv6-has-no-owners", "Users are not compared for AF_INET6 sockets.")


def bind(m: Machine, sk: Pcb, host: str, port: int) -> None:
    """in_pcbbind, in6_pcbbind. Raises Errno, or Unknown."""
    if FAMILY_LATE not in m.on:
        right_family(m, sk, host)
        right_tcp(m, sk, host)
    if sk.port and BOUND_ONCE in m.on:
        raise Errno("EINVAL", BOUND_ONCE)
    right_family(m, sk, host)
    address = local_address(m, sk, host)
    multicast = parsed(host)[2] == "multicast"
    if sk.proto == "tcp" and multicast and MULTICAST_UNKNOWN in m.on:
        raise Unknown("TCP at a multicast address")
    before = sk.laddr if sk.family == 4 else "::", sk.v4, sk.v6
    belongs(sk, address)
    try:
        if port:
            _allowed(m, sk, address, port, multicast)
            sk.laddr = address
        else:
            sk.laddr = address
            port = choose(m, sk)
    except Errno:
        sk.laddr, sk.v4, sk.v6 = before
        raise
    insert(m, sk, port)


def _allowed(m: Machine, sk: Pcb, address: str, port: int, multicast: bool) -> None:
    """Whether `sk` may have the port. Raises Errno."""
    if TAKEN_FIRST not in m.on:
        _privilege(m, sk, address, port)
    if sk.user != "root" and not multicast:
        _owner(m, sk, address, port)
    _conflict(m, sk, address, port, multicast)
    _privilege(m, sk, address, port)


def _privilege(m: Machine, sk: Pcb, address: str, port: int) -> None:
    low = int(m.env.get("net.inet.ip.portrange.reservedhigh", "1023"))
    if port <= low and sk.user != "root" and LOW_PORT in m.on:
        if not (ANY_LOW_PORT in m.on and address in ("0.0.0.0", "::")):
            raise Errno("EACCES", LOW_PORT)
        m.clause = ANY_LOW_PORT
    if port == 55555 and sk.proto == "tcp" and RESTRICTED in m.on:
        raise Errno("EADDRINUSE", RESTRICTED)


def _views(m: Machine, sk: Pcb, address: str) -> list[tuple[str, bool]]:
    """The tables that bind() looks into, as an address and whether it is NetBSD's IPv6 one."""
    if OWN_TABLES in m.on:
        if ":" in address:
            return [(address, True)]
        return [(address, True), (address, False)]
    if address == "::" and not sk.v6only and DUAL in m.on:
        return [("::", False), ("0.0.0.0", False)]
    return [(address, False)]


def _owner(m: Machine, sk: Pcb, address: str, port: int) -> None:
    """Another user's socket in the way. Raises Errno."""
    for at, v6 in _views(m, sk, address):
        if (v6 or (sk.family == 6 and OWN_TABLES in m.on)) and V6_NO_OWNER in m.on:
            continue
        t = lookup(m, sk, at, port, True, v6)
        if t is not None and t.user != sk.user and not _spared(m, sk, t, at, at != address):
            raise Errno("EADDRINUSE", m.met(t, OTHER_USER))


def _spared(m: Machine, sk: Pcb, t: Pcb, at: str, second: bool) -> bool:
    """Whether another user's socket `t` is no obstacle, by an exception of this system.

    `second`: `::` is seen as 0.0.0.0.
    """
    if t.raddr and sk.proto == "tcp" and CONNECTED_FREE in m.on:
        m.clause = CONNECTED_FREE
        return True
    both = t.any_ and at in ("0.0.0.0", "::")
    if ANY_RP_FREE in m.on and t.rp and (both or second):
        m.clause = ANY_RP_FREE
        return True
    if ANY_RP_FREE in m.on and second and both and t.family == 4:
        return True
    if not both or second or not t.lb or t.rp:
        return False
    if ANY_LB_FREE in m.on:
        m.clause = ANY_LB_FREE
        return True
    return ANY_LB_MAY in m.on and bool(m.choose(2))


def _conflict(m: Machine, sk: Pcb, address: str, port: int, multicast: bool) -> None:
    """The socket that bind() sees, and whether the two share. Raises Errno."""
    wild = not (sk.reuses and REUSE_LOOKS_CLOSE in m.on)
    for at, v6 in _views(m, sk, address):
        t = lookup(m, sk, at, port, wild, v6)
        if t is None:
            if not wild:
                m.clause = REUSE_LOOKS_CLOSE
            continue
        if t.child and ":" not in at and CHILDREN_FREE in m.on:
            m.clause = CHILDREN_FREE
            continue
        if _share(m, sk, t, multicast) or CONFLICT not in m.on or _quirk(m, sk, t, at, at != address):
            continue
        raise Errno("EADDRINUSE", m.met(t, CONFLICT))


def _share(m: Machine, sk: Pcb, t: Pcb, multicast: bool) -> bool:
    if sk.rp and t.rp and REUSEPORT in m.on:
        m.clause = REUSEPORT
        return True
    if sk.lb and t.lb and LB in m.on:
        m.clause = LB
        return True
    if multicast and MULTICAST in m.on:
        if (sk.ra or (sk.rp and MULTICAST_RP in m.on)) and (t.ra or t.rp):
            m.clause = MULTICAST
            return True
        if (sk.ra or sk.lb) and (t.ra or t.lb) and LB in m.on:
            return True
    return False


def _quirk(m: Machine, sk: Pcb, t: Pcb, at: str, second: bool) -> bool:
    """Wildcards of the two families that do not conflict in one order."""
    if at != "0.0.0.0" or not t.any_ or ANY_QUIRK not in m.on or OWN_TABLES in m.on:
        return False
    free = t.family == 4 if second else sk.family == 6 and t.family == 6
    if free:
        m.clause = ANY_QUIRK
    return free


@lru_cache(1024)
def _span(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high)


def ports(m: Machine, sk: Pcb) -> int:
    """The ports that may be chosen for `sk`, as a mask. Raises Errno."""
    traits = m.state.traits
    which = sk.options.get("IP_PORTRANGE") or sk.options.get("IPV6_PORTRANGE") or "0"
    if which == "2" and sk.user != "root" and LOW_RANGE in m.on:
        raise Errno(traits.low_errno, LOW_RANGE)
    first, last, low, high = traits.ranges[which]
    if which == "0" and "ephemeral" in m.env:
        first, last = _span(m.env["ephemeral"])
    first, last = int(m.env.get(low, first)), int(m.env.get(high, last))
    chosen = mask(min(first, last), max(first, last))
    return chosen & ~(1 << 55555) if RESTRICTED in m.on and sk.proto == "tcp" else chosen


def choose(m: Machine, sk: Pcb, listening: bool = False) -> int:
    """The port that bind(0) and listen() choose, on some systems also connect(). Raises Errno."""
    six = sk.family == 6 and (CHOICE_EXACT_V6 in m.on and (sk.reuses or (listening and OWN_TABLES in m.on)))
    wild = not (six or (sk.reuses and CHOICE_EXACT in m.on))
    v6 = OWN_TABLES in m.on and sk.family == 6 and ":" in sk.laddr
    looks = (sk.laddr, "0.0.0.0") if sk.laddr == "::" and sk.v4 and DUAL_CHOICE in m.on else (sk.laddr,)

    def free(port: int) -> bool:
        return all(lookup(m, sk, at, port, wild, v6) is None for at in looks)

    return pick(m, sk, free)


def pick(m: Machine, sk: Pcb, free: Callable[[int], bool]) -> int:
    """One of the ports of the range for which `free` holds. Raises Errno."""
    port = m.space.pick(ports(m, sk), free, m.wanted())
    m.clause = PLAIN
    if not port:
        raise Errno(m.state.traits.exhausted, EXHAUSTED)
    return port
