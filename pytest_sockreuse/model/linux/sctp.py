"""Linux SCTP: its ports, which are its own, and its listeners; `association` has what two connected sockets do.

From the first thing on that is not modelled nothing is known of any SCTP socket.
"""

from __future__ import annotations

from typing import NoReturn

from ..address import parsed
from ..clause import Book, Declared, Errno, Unknown
from ..sock import CLOSE, LISTEN, Sock
from . import address as at
from .choice import datagram
from .state import Machine, SctpBucket

BOOK = Book()
_SOCKET = "net/sctp/socket.c"

CONFLICT = BOOK(
    "sctp-conflict",
    "SCTP sockets at one port whose addresses overlap conflict unless both share.",
    f"{_SOCKET} sctp_get_port_local, sctp_bind_addr_conflict",
)
REUSEADDR = BOOK(
    "sctp-reuseaddr-shares",
    "They share if both have SO_REUSEADDR and neither listens, or who listens had SO_REUSEPORT as well.",
    f"{_SOCKET} sctp_get_port_local (fastreuse)",
)
REUSEPORT = BOOK(
    "sctp-reuseport-shares",
    "They share if both have SO_REUSEPORT and one owner.",
    f"{_SOCKET} sctp_get_port_local (fastreuseport)",
)
BOUND_ONCE = BOOK("sctp-bind-once", "A second bind() of an SCTP socket is EINVAL.", f"{_SOCKET} sctp_bind")
EXHAUSTED = BOOK(
    "sctp-ports-exhausted",
    "bind(0) of SCTP takes a port that no SCTP socket has; else it is EADDRINUSE, listen() and connect() EAGAIN.",
    f"{_SOCKET} sctp_get_port_local, sctp_listen_start, sctp_autobind",
)
FAMILY = BOOK(
    "sctp-family",
    "An IPv6 address is EINVAL of an AF_INET SCTP socket, an IPv4 one of an AF_INET6 socket with IPV6_V6ONLY.",
    f"{_SOCKET} sctp_sockaddr_af",
)
CONNECTED = BOOK(
    "sctp-connected-once",
    "connect() of a connected or listening SCTP socket is EISCONN; a connected one does not listen or accept, EINVAL.",
    f"{_SOCKET} __sctp_connect, sctp_inet_listen, sctp_accept",
)
UNLISTEN = BOOK(
    "sctp-listen-zero",
    "listen(0) ends an SCTP socket's listening, and it shares again if it has SO_REUSEADDR; of others it is EINVAL.",
    f"{_SOCKET} sctp_inet_listen (sctp_unhash_endpoint)",
)
NO_DISCONNECT = BOOK("sctp-no-disconnect", "SCTP cannot be disconnected, EOPNOTSUPP.", f"{_SOCKET} sctp_inet_connect")


def known(m: Machine) -> None:
    """Raises Unknown once an SCTP socket did what is not modelled."""
    if m.state.sctp_lost:
        raise Unknown(f"SCTP after {m.state.sctp_lost}")


def lose(m: Machine, what: str) -> NoReturn:
    """An SCTP socket does what is not modelled. Raises Unknown, also for all of them from now on."""
    m.state.sctp_lost = what
    raise Unknown(f"SCTP after {what}")


def check(m: Machine, sk: Sock, host: str) -> str:
    """The address that bind() gives to `sk`. Raises Errno, Unknown."""
    known(m)
    if sk.port and BOUND_ONCE in m.on:
        raise Errno("EINVAL", BOUND_ONCE)
    address, family, kind = parsed(host)
    check_family(sk, host)
    anywhere = family == 4 and (sk.nonlocal_ or m.env.get("net.ipv4.ip_nonlocal_bind", "0") != "0")
    if at.kind_of(address) in ("broadcast", "multicast", "linklocal") and not anywhere:
        raise Errno("EADDRNOTAVAIL", at.NOT_LOCAL)
    return address if kind == "any" else at.check_local(m, sk, host)


def check_family(sk: Sock, host: str) -> None:
    """sctp_sockaddr_af. Raises Errno."""
    if ":" in host if sk.family == 4 else sk.v6only and parsed(host)[1] == 4:
        raise Errno("EINVAL", FAMILY)


def bind(m: Machine, sk: Sock, address: str, port: int) -> None:
    """sctp_do_bind after the checks of address and privilege. Raises Errno."""
    before, sk.laddr = sk.laddr, address
    try:
        get_port(m, sk, port)
    except Errno:
        sk.laddr = before
        raise
    sk.shown, sk.addr_lock, sk.port_lock = sk.port, not sk.any_, bool(port)


def listen(m: Machine, sk: Sock, backlog: int) -> None:
    """sctp_inet_listen. Raises Errno, Unknown."""
    known(m)
    if sk.connected and CONNECTED in m.on:
        raise Errno("EINVAL", CONNECTED)
    most = int(m.env.get("net.core.somaxconn", "4096"))
    backlog = min(backlog, most) if backlog >= 0 else most
    if not backlog and UNLISTEN in m.on:
        if sk.state != LISTEN:
            raise Errno("EINVAL", UNLISTEN)
        sk.state = CLOSE
        m.state.sctp[sk.port].reuse |= sk.ra
        return
    sk.backlog = backlog
    if sk.state == LISTEN:
        return
    if sk.family == 6 and ":" not in sk.laddr and len(m.state.sctp[sk.port].owners) > 1:
        lose(m, "listen() of an AF_INET6 socket at an IPv4 address that is shared")
    sk.state = LISTEN
    try:
        get_port(m, sk, sk.port)
    except Errno as error:
        sk.state = CLOSE
        if error.clause is not EXHAUSTED:
            raise
        m.state.sctp_lost = "a listen() that found no port"  # until 8beee4d8dee7, and its backports, it listens
        raise Errno("EAGAIN", EXHAUSTED) from None
    sk.shown = sk.port


def disconnect(m: Machine) -> None:
    """sctp_inet_connect with AF_UNSPEC. Raises Errno, Unknown."""
    known(m)
    raise Errno("EOPNOTSUPP", NO_DISCONNECT)


def put_port(m: Machine, sk: Sock) -> None:
    """sctp_put_port."""
    if sk.port:
        bucket = m.state.sctp[sk.port]
        bucket.owners.remove(sk)
        if not bucket.owners:
            del m.state.sctp[sk.port]
        sk.port = 0


def get_port(m: Machine, sk: Sock, port: int) -> None:
    """sctp_get_port_local. Raises Errno EADDRINUSE."""
    if not port:
        port = datagram(m, sk, lambda p: p not in m.state.sctp)
        if not port:
            raise Errno("EADDRINUSE", EXHAUSTED)
    bucket = m.state.sctp.setdefault(port, SctpBucket())
    reuse = sk.ra and sk.state != LISTEN and REUSEADDR in m.on
    same = sk.rp and (bucket.user == sk.user or not bucket.owners) and REUSEPORT in m.on
    if bucket.owners and not ((bucket.reuse and reuse) or (bucket.user and same)):
        if clause := _conflict(m, sk, bucket.owners):
            raise Errno("EADDRINUSE", clause)
    if not bucket.owners:
        bucket.reuse, bucket.user = reuse, sk.user if same else ""
    elif not (bucket.reuse and reuse) and not (bucket.user and same):
        bucket.reuse, bucket.user = bucket.reuse and reuse, bucket.user if same else ""
    if not sk.port:
        sk.port = port
        bucket.owners.append(sk)


def _conflict(m: Machine, sk: Sock, owners: list[Sock]) -> Declared | None:
    m.spend(len(owners))
    for other in owners:
        shares = sk.ra and other.ra and other.state != LISTEN and REUSEADDR in m.on
        shares = shares or (sk.rp and other.rp and sk.user == other.user and REUSEPORT in m.on)
        apart = bool(sk.device and other.device and sk.device != other.device)
        if other is not sk and not shares and not apart and CONFLICT in m.on and _overlap(sk, other):
            return CONFLICT
    return None


def _overlap(sk: Sock, other: Sock) -> bool:
    """sctp_bind_addr_conflict: by the rules of the one that is AF_INET6, the older first."""
    six = other if other.family == 6 else sk
    if (":" in sk.laddr) != (":" in other.laddr) and six.v6only:
        return False
    return sk.any_ or other.any_ or sk.laddr == other.laddr
