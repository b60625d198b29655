"""Linux SCTP up to the end of a connection. From the first that ends on nothing is known of any SCTP socket."""

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
UNCONNECTED = BOOK(
    "sctp-not-connected",
    "Without a connection SCTP sends nothing, EPIPE, and shutdown() is ENOTCONN, of a listener no error for WR.",
    "net/sctp/socket.c sctp_sendmsg; net/ipv4/af_inet.c inet_shutdown",
)
NO_DISCONNECT = BOOK("sctp-no-disconnect", "SCTP cannot be disconnected, EOPNOTSUPP.", f"{_SOCKET} sctp_inet_connect")


CONNECTED = BOOK(
    "sctp-connected-once",
    "connect() of a connected or listening SCTP socket is EISCONN; a connected one does not listen or accept, EINVAL.",
    f"{_SOCKET} __sctp_connect, sctp_inet_listen, sctp_accept",
    "source",
)
NO_LISTENER = BOOK(
    "sctp-nobody-listens",
    "connect() of SCTP to a port without listener is ECONNREFUSED, and so it is where more than its backlog wait.",
    "net/sctp/sm_statefuns.c sctp_sf_do_5_1B_init (sk_acceptq_is_full)",
    "source",
)
CHILD = BOOK(
    "sctp-child-holds-address",
    "An accepted SCTP socket holds the addresses of its listener, whose options it has.",
    f"{_SOCKET} sctp_sock_migrate",
    "source",
)


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
    if (":" in host) != (sk.family == 6) or parsed(host)[1] != sk.family:
        lose(m, "an address of the other family")
    anywhere = sk.family == 4 and (sk.nonlocal_ or m.env.get("net.ipv4.ip_nonlocal_bind", "0") != "0")
    if at.kind_of(parsed(host)[0]) in ("broadcast", "multicast", "linklocal") and not anywhere:
        raise Errno("EADDRNOTAVAIL", at.NOT_LOCAL)
    return at.check_local(m, sk, host)


def bind(m: Machine, sk: Sock, address: str, port: int) -> None:
    """sctp_do_bind after the checks of address and privilege. Raises Errno."""
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
    if sk.connected and CONNECTED in m.on:
        raise Errno("EINVAL", CONNECTED)
    if not backlog or sk.tried:
        lose(m, "a connect() that failed" if sk.tried else "listen(0)")
    sk.backlog = min(backlog, 4096) if backlog > 0 else 4096
    if sk.state == LISTEN:
        return
    sk.state = LISTEN
    try:
        _get_port(m, sk, sk.port)
    except Errno as error:
        sk.state = CLOSE
        if error.clause is not EXHAUSTED:
            raise
        m.state.sctp_lost = "a listen() that found no port"  # until 8beee4d8dee7, and its backports, it listens
        raise Errno("EAGAIN", EXHAUSTED) from None
    sk.shown = sk.port


def connect(m: Machine, sk: Sock, host: str, port: int) -> None:
    """__sctp_connect. Raises Errno, Unknown."""
    known(m)
    if (sk.connected or sk.state == LISTEN) and CONNECTED in m.on:
        raise Errno("EISCONN", CONNECTED)
    address, family, kind = parsed(host)
    if (":" in host) != (sk.family == 6) or family != sk.family:
        lose(m, "an address of the other family")
    if kind != "loopback" or not at.is_local(m, address):
        lose(m, "connect() to another address than loopback")
    if sk.shut_rd or sk.device or m.addresses or (sk.user != "root" and sk.port):
        lose(m, "connect() of a socket that was shut down, has a device, or whose user may not be root")
    if not sk.port:
        try:
            _get_port(m, sk, 0)
        except Errno:
            raise Errno("EAGAIN", EXHAUSTED) from None
    sk.shown = sk.port
    if not (sk.any_ or sk.laddr == address):
        lose(m, "connect() from one loopback address to another")
    if sk.port == port:
        lose(m, "connect() of a socket to itself")
    sk.told = sk.host if not sk.any_ else "127.0.0.1" if sk.family == 4 else "[::1]"
    found = [other for other in m.state.sctp[port].owners if other.state == LISTEN] if port in m.state.sctp else []
    found = [other for other in found if other.any_ or other.laddr == address]
    if len(found) > 1 or any(other.device or other.family != sk.family for other in found):
        lose(m, "connect() where several sockets listen, or one of a device or of the other family")
    if found and address not in ("127.0.0.1", "::1"):
        lose(m, "a connection from another address than 127.0.0.1")
    if not found or len(found[0].queue) > found[0].backlog:
        sk.tried = True
        raise Errno("ECONNREFUSED", NO_LISTENER)
    child = Sock("sctp", sk.family, found[0].user)
    child.connected, child.peer, child.port = True, sk, port
    child.told = found[0].told = f"[{address}]" if sk.family == 6 else address
    sk.connected, sk.peer = True, child
    found[0].queue.append(child)


def accept(m: Machine, sk: Sock) -> Sock | None:
    """sctp_accept. Raises Errno, Unknown."""
    known(m)
    if sk.shut_rd:
        lose(m, "shutdown(RD)")
    if sk.state != LISTEN:
        raise Errno("EINVAL", CONNECTED)
    if not sk.queue:
        return None
    child = sk.queue.pop(0)
    child.ra, child.rp, child.v6only, child.laddr, child.shown = sk.ra, sk.rp, sk.v6only, sk.laddr, child.port
    if CHILD in m.on:
        m.state.sctp[child.port].owners.append(child)
    return child


def send(m: Machine, sk: Sock, host: str) -> None:
    """sctp_sendmsg. Raises Errno, Unknown."""
    known(m)
    if host or sk.tried:
        lose(m, "sendto()" if host else "a connect() that failed")
    if sk.peer is None:
        raise Errno("EPIPE", UNCONNECTED)
    sk.peer.rx += 1


def receive(m: Machine, sk: Sock, all_: bool) -> bool:
    """sctp_recvmsg of a connection. Raises Unknown."""
    known(m)
    if sk.peer is None or all_:
        lose(m, "recv() without a connection" if sk.peer is None else "eof()")
    if not sk.rx:
        return False
    sk.rx -= 1
    return True


def shutdown(m: Machine, sk: Sock, how: str) -> None:
    """inet_shutdown. Raises Errno, Unknown."""
    known(m)
    if sk.connected:
        lose(m, "the end of a connection")
    if sk.state != LISTEN:
        sk.shut_rd = sk.shut_rd or how != "WR"
        raise Errno("ENOTCONN", UNCONNECTED)
    if how != "WR":
        lose(m, "shutdown(RD)")


def disconnect(m: Machine) -> None:
    """sctp_inet_connect with AF_UNSPEC. Raises Errno, Unknown."""
    known(m)
    raise Errno("EOPNOTSUPP", NO_DISCONNECT)


def close(m: Machine, sk: Sock) -> None:
    """sctp_put_port. Raises Unknown."""
    known(m)
    if sk.connected or sk.queue:
        lose(m, "the end of a connection")
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
