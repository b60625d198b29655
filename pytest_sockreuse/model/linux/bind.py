"""Linux TCP: who may bind a port; the conflicts, and what a port's bucket remembers."""

from __future__ import annotations

from ..clause import PLAIN, Book, Declared, Errno
from ..sock import LISTEN, TIME_WAIT, Sock
from . import address as at
from .choice import bind_zero
from .state import Bucket, Machine

BOOK = Book()
_CSK = "net/ipv4/inet_connection_sock.c"

CONFLICT = BOOK(
    "bind-conflict",
    "Sockets at one port whose addresses overlap conflict unless both share.",
    f"{_CSK} inet_bind_conflict",
)
REUSEADDR = BOOK(
    "reuseaddr-shares",
    "They share if both have SO_REUSEADDR and the other does not listen.",
    f"{_CSK} inet_bind_conflict",
)
LISTENER = BOOK(
    "listener-excludes", "SO_REUSEADDR does not share with a socket that listens.", f"{_CSK} inet_bind_conflict"
)
REUSEPORT = BOOK(
    "reuseport-shares", "They share if both have SO_REUSEPORT and one owner.", f"{_CSK} inet_bind_conflict"
)
SAME_USER = BOOK(
    "reuseport-same-user",
    "SO_REUSEPORT shares only between sockets of one user.",
    f"{_CSK} inet_bind_conflict (uid_eq)",
)
TW_ANY_USER = BOOK(
    "time-wait-any-user",
    "For SO_REUSEPORT the owner of a socket in TIME_WAIT does not count.",
    f"{_CSK} inet_bind_conflict (TCP_TIME_WAIT)",
)
ORPHAN_ROOT = BOOK(
    "orphan-is-root",
    "A connection without descriptor (not accepted, or closed) counts as root's.",
    "net/core/sock.c sock_i_uid, until e84a4927a404",
    until=("6.16.12", "6.17"),
)
TW_KEEPS = BOOK(
    "time-wait-keeps-port",
    "What is left of a closed connection, TIME_WAIT or FIN_WAIT2, holds address and options of the dead socket.",
    "net/ipv4/inet_timewait_sock.c",
)
DEVICE = BOOK(
    "device-keeps-apart",
    "Sockets bound to two devices do not conflict.",
    f"{_CSK} inet_bind_conflict (sk_bound_dev_if)",
)
BIND0_STRICT = BOOK(
    "bind0-shares-nothing",
    "bind(0) takes only a port that no overlapping socket has, whatever the options.",
    f"{_CSK} inet_csk_find_open_port",
)
AUTOBIND_REUSE = BOOK(
    "autobind-reuse",
    "With ip_autobind_reuse=1 bind(0) shares by SO_REUSEADDR when no port is left, unless both have SO_REUSEPORT too.",
    "4b01a9674231 tcp: bind(0) remove the SO_REUSEADDR restriction when ephemeral ports are exhausted.",
    since=("5.7",),
)
FAST_REUSE = BOOK(
    "fastreuse-remembers",
    "A port whose sockets all had SO_REUSEADDR when they were bound is shared without a look at their options now.",
    f"{_CSK} inet_csk_update_fastreuse, until b2cb9f9ef240",
    until=("6.8",),
)
FAST_REUSEPORT = BOOK(
    "fastreuseport-any",
    "The first socket's SO_REUSEPORT is remembered for every address of the port.",
    f"{_CSK} sk_reuseport_match (FASTREUSEPORT_ANY), until b2cb9f9ef240",
    until=("6.8",),
)
STRICT_REUSEPORT = BOOK(
    "fastreuseport-same-address",
    "The last socket's SO_REUSEPORT is remembered for its address.",
    f"{_CSK} sk_reuseport_match (FASTREUSEPORT_STRICT)",
)
NO_PORT = BOOK(
    "bind-address-no-port",
    "With IP_BIND_ADDRESS_NO_PORT bind(address, 0) takes no port yet.",
    "net/ipv4/af_inet.c __inet_bind, 90c337da1524",
)
EXHAUSTED = BOOK(
    "ports-exhausted",
    "No port is left: EADDRINUSE for bind and listen, EADDRNOTAVAIL for connect.",
    f"{_CSK}; net/ipv4/inet_hashtables.c",
)

HIDDEN = BOOK(
    "connected-wildcard-hides",
    "A wildcard socket that connects from an address whose sockets got this port by connect() stops keeping it.",
    "net/ipv4/inet_hashtables.c __inet_bhash2_update_saddr, since d57f4b874946",
    since=("6.17.8", "6.18"),
)


def bucket(m: Machine, port: int) -> Bucket | None:
    """The bucket of a port, if any socket has it."""
    return m.state.tcp.get(port)


def moved(m: Machine, sk: Sock, old: str) -> None:
    """inet_bhash2_update_saddr: connect() or its end changed the address of a socket that has a port."""
    entry = bucket(m, sk.port)
    if entry is not None and sk.laddr != old:
        left(entry, old)
        if HIDDEN in m.on:
            entry.free.setdefault(sk.laddr, sk.auto)
        else:
            entry.free[sk.laddr] = sk.auto and entry.free.get(sk.laddr, True)


def left(entry: Bucket, address: str) -> None:
    """inet_bind2_bucket_destroy: a socket left the port's sockets at this address."""
    others = [other for other in entry.owners if other.laddr == address]
    if not others:
        entry.free.pop(address, None)
        entry.makers.pop(address, None)
    elif all(other.auto for other in others):
        entry.free[address] = True


def shares(m: Machine, sk: Sock, sk2: Sock, relax: bool = True, reuseport_ok: bool = True) -> Declared | None:
    """inet_bind_conflict: None if the two may share, else the clause by which they conflict."""
    on = m.on
    both_rp = sk.rp and sk2.rp and REUSEPORT in on
    same = both_rp and (_user(on, sk2) == sk.user or SAME_USER not in on)
    if both_rp and not same and sk2.state == TIME_WAIT and TW_ANY_USER in on:
        same = not sk2.mptcp or not m.choose(2)  # MPTCP closes its subflow a moment after that
    if sk.ra and sk2.ra and REUSEADDR in on and (sk2.state != LISTEN or LISTENER not in on):
        return None if relax and not (same and not reuseport_ok) else BIND0_STRICT
    if same and reuseport_ok:
        return None
    if not reuseport_ok and not relax:
        return BIND0_STRICT
    if both_rp and reuseport_ok:
        return SAME_USER
    return LISTENER if sk.ra and sk2.ra else CONFLICT


def _user(on: frozenset[Declared], sk: Sock) -> str:
    return "root" if not sk.open and ORPHAN_ROOT in on else sk.user


def conflict(m: Machine, sk: Sock, entry: Bucket, relax: bool = True, reuseport_ok: bool = True) -> Declared | None:
    """inet_csk_bind_conflict: the clause by which a socket of the port stands against `sk`, or None."""
    on = m.on
    m.spend(len(entry.owners))
    for sk2 in entry.owners:
        if sk2 is sk or (sk2.device and sk.device and sk.device != sk2.device and DEVICE in on):
            continue
        if not at.overlap(on, sk, sk2):
            if sk.family == 4 or ":" in sk.laddr or sk.any_ or sk2.laddr != "::" or at.V6ONLY_REFUSED not in on:
                continue
        clause = shares(m, sk, sk2, relax, reuseport_ok)
        if clause is None:
            if m.clause is PLAIN:
                m.clause = REUSEADDR if sk.ra and sk2.ra else REUSEPORT
        elif missed := at.unseen(on, sk, sk2, entry):
            m.clause = missed
        elif CONFLICT in on:
            return m.met(sk2, TW_KEEPS if sk2.state == TIME_WAIT and clause is CONFLICT else clause)
    return None


def get_port(m: Machine, sk: Sock, port: int) -> None:
    """inet_csk_get_port: `sk` gets the port, 0 for one of the OS's choice. Raises Errno EADDRINUSE."""
    named = port
    port = named or _open_port(m, sk)
    entry = m.state.tcp.get(port)
    if entry is None:
        entry = m.state.tcp[port] = Bucket()
    elif named and entry.owners and not ((entry.fast or entry.fast_rp) and _fast(m, sk, entry)):
        if entry.owners != [sk] and (clause := conflict(m, sk, entry)):
            raise Errno("EADDRINUSE", clause)
    _remember(m, sk, entry)
    entry.blocked, entry.free[sk.laddr] = True, False
    entry.makers.setdefault(sk.laddr, sk.family)
    if not sk.port:
        sk.port = port
        entry.owners.append(sk)


def _open_port(m: Machine, sk: Sock) -> int:
    def free(port: int, relax: bool = False) -> bool:
        found = bucket(m, port)
        if found is None or BIND0_STRICT not in m.on:
            return True
        for other in found.owners:
            if other.auto:  # what bind() does to a port that connect() chose lasts
                m.space.look(port)
        return not conflict(m, sk, found, relax, False)

    port = bind_zero(m, sk, free)
    m.clause = PLAIN
    if not port and AUTOBIND_REUSE in m.on and m.env.get("net.ipv4.ip_autobind_reuse", "0") != "0":
        port = bind_zero(m, sk, lambda port: free(port, True))
        m.clause = AUTOBIND_REUSE
    if not port:
        raise Errno("EADDRINUSE", EXHAUSTED)
    return port


def _fast(m: Machine, sk: Sock, entry: Bucket) -> bool:
    """Whether what the bucket remembers is enough to share."""
    if sk.ra and sk.state != LISTEN and entry.fast > 0:
        m.clause = FAST_REUSE
        return True
    if not _fast_reuseport(sk, entry):
        return False
    m.clause = FAST_REUSEPORT if entry.fast_rp == 1 else STRICT_REUSEPORT
    return True


def _fast_reuseport(sk: Sock, entry: Bucket) -> bool:
    """sk_reuseport_match."""
    if not entry.fast_rp or not sk.rp or entry.fast_sk[2] != sk.user or sk.group is not None:
        return False
    if entry.fast_rp == 1:
        return True
    laddr, family, _, v6only = entry.fast_sk
    if ":" not in laddr and ":" not in sk.laddr and sk.v6only:
        return False
    if laddr == sk.laddr:
        return True
    if ":" in laddr:
        return laddr == "::" and not (v6only and ":" not in sk.laddr)
    return laddr == "0.0.0.0" and not sk.v6only and (family == 4 or ":" not in sk.laddr)


def _remember(m: Machine, sk: Sock, entry: Bucket) -> None:
    """inet_csk_update_fastreuse."""
    reuse = sk.ra and sk.state != LISTEN
    if not entry.owners and FAST_REUSE in m.on:
        entry.fast = int(reuse)
    elif not reuse:
        entry.fast = 0
    if not sk.rp:
        entry.fast_rp = 0
    elif not entry.owners and FAST_REUSEPORT in m.on:
        entry.fast_rp = 1
        entry.copy_options(sk)
    elif not _fast_reuseport(sk, entry) and STRICT_REUSEPORT in m.on:
        entry.fast_rp = 2
        entry.copy_options(sk)
