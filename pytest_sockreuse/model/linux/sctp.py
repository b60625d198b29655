"""Linux SCTP without a connection. From the first one on nothing is known of any SCTP socket."""

from __future__ import annotations

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
    "bind(0) of SCTP takes a port that no SCTP socket has; where none is left it is EADDRINUSE, listen() EAGAIN.",
    f"{_SOCKET} sctp_get_port_local, sctp_listen_start",
)
UNCONNECTED = BOOK(
    "sctp-not-connected",
    "Without a connection SCTP sends nothing, EPIPE, and shutdown() is ENOTCONN, of a listener no error for WR.",
    "net/sctp/socket.c sctp_sendmsg; net/ipv4/af_inet.c inet_shutdown",
)
NO_DISCONNECT = BOOK("sctp-no-disconnect", "SCTP cannot be disconnected, EOPNOTSUPP.", f"{_SOCKET} sctp_inet_connect")


def known(m: Machine) -> None:
    """Raises Unknown once an SCTP socket did what is not modelled."""
    if m.state.sctp_lost:
        raise Unknown("connections of SCTP")


def lose(m: Machine) -> None:
    """An SCTP socket does what is not modelled. Raises Unknown, also for all of them from now on."""
    m.state.sctp_lost = True
    known(m)


def check(m: Machine, sk: Sock, host: str) -> str:
    """The address that bind() gives to `sk`. Raises Errno, Unknown."""
    known(m)
    if (":" in host) != (sk.family == 6) or parsed(host)[1] != sk.family:
        lose(m)
    if at.kind_of(parsed(host)[0]) in ("broadcast", "multicast"):
        raise Errno("EADDRNOTAVAIL", at.NOT_LOCAL)
    return at.check_local(m, sk, host)


def bind(m: Machine, sk: Sock, address: str, port: int) -> None:
    """sctp_do_bind after the checks of address and privilege. Raises Errno."""
    if sk.port and BOUND_ONCE in m.on:
        raise Errno("EINVAL", BOUND_ONCE)
    before, sk.laddr = sk.laddr, address
    try:
        _get_port(m, sk, port)
    except Errno:
        sk.laddr = before
        raise
    sk.shown, sk.addr_lock, sk.port_lock = sk.port, not sk.any_, bool(port)


def listen(m: Machine, sk: Sock, backlog: int) -> None:
    """sctp_inet_listen. Raises Errno, Unknown."""
    known(m)
    if not backlog:
        lose(m)
    if sk.state == LISTEN:
        return
    sk.state = LISTEN
    try:
        _get_port(m, sk, sk.port)
    except Errno as error:
        sk.state = CLOSE
        raise Errno("EAGAIN" if error.clause is EXHAUSTED else error.name, error.clause) from None
    sk.shown = sk.port


def send(m: Machine, host: str) -> None:
    """sctp_sendmsg without a connection. Raises Errno, Unknown."""
    known(m)
    if host:
        lose(m)
    raise Errno("EPIPE", UNCONNECTED)


def shutdown(m: Machine, sk: Sock, how: str) -> None:
    """inet_shutdown. Raises Errno, Unknown."""
    known(m)
    if sk.state != LISTEN:
        sk.shut_rd = sk.shut_rd or how != "WR"
        raise Errno("ENOTCONN", UNCONNECTED)
    if how != "WR":
        lose(m)


def disconnect(m: Machine) -> None:
    """sctp_inet_connect with AF_UNSPEC. Raises Errno, Unknown."""
    known(m)
    raise Errno("EOPNOTSUPP", NO_DISCONNECT)


def close(m: Machine, sk: Sock) -> None:
    """sctp_put_port. Raises Unknown."""
    known(m)
    if sk.port:
        bucket = m.state.sctp[sk.port]
        bucket.owners.remove(sk)
        if not bucket.owners:
            del m.state.sctp[sk.port]
        sk.port = 0


def _get_port(m: Machine, sk: Sock, port: int) -> None:
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
    if sk.family != other.family and six.v6only:
        return False
    return sk.any_ or other.any_ or sk.laddr == other.laddr
