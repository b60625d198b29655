"""illumos: TCP's listen and connect, and what a connection leaves behind."""

from __future__ import annotations

from .. import stream
from ..clause import Book, Errno, Unknown
from ..sock import CLOSE, ESTABLISHED, LISTEN, TIME_WAIT, Sock
from .bind import CHOSEN_REUSE, CONNECT_PLAIN, FAMILY, MAPPED, choose
from .table import PURGED, Conn, Machine, conn, holder, insert, is_any, local, receiver, remove

BOOK = Book()
_TCP = "inet/tcp/tcp.c"

PORT_ZERO = BOOK(
    "connect-port-zero", "connect() to port 0 is EADDRNOTAVAIL, in any state.", f"{_TCP} tcp_do_connect", "source"
)
IS_LISTENER = BOOK(
    "listener-does-not-connect",
    "connect() on a listener is EOPNOTSUPP.",
    "inet/tcp/tcp_socket.c tcp_connect",
    "source",
)
CONNECTED = BOOK(
    "connected-once", "connect() on a connected TCP socket is EISCONN.", f"{_TCP} tcp_do_connect", "source"
)
ENDED = BOOK(
    "ended-does-not-connect",
    "connect() on a TCP socket whose connection one side has ended is EINVAL.",
    f"{_TCP} tcp_do_connect",
    "source",
)
OTHER_VERSION = BOOK(
    "ipv6-address-keeps-version",
    "connect() to a v4-mapped address from a socket that is bound to an IPv6 one is EADDRNOTAVAIL.",
    f"{_TCP} tcp_connect_ipv4; inet/udp/udp.c udp_do_connect",
    "source",
)
TO_ANY = BOOK(
    "wildcard-destination-is-loopback",
    "connect() to 0.0.0.0 or `::` goes to the loopback address.",
    f"{_TCP} tcp_connect_ipv4, tcp_connect_ipv6",
    "source",
)
SELF = BOOK(
    "self-connect-refused",
    "TCP's connect() to its own address and port is EADDRNOTAVAIL, bound to that address or to the wildcard.",
    f"{_TCP} tcp_connect_ipv4, tcp_connect_ipv6",
    "source",
)
TUPLE = BOOK(
    "tuple-busy",
    "connect() over a 4-tuple that a TCP socket has in any state is EADDRINUSE.",
    "inet/ip/ipclassifier.c ipcl_conn_insert_v4, ipcl_conn_insert_v6",
    "source",
)
NO_LISTENER = BOOK(
    "nobody-listens", "connect() to a port without listener is ECONNREFUSED.", "inet/tcp/tcp_input.c", "source"
)
UNBINDS = BOOK(
    "reset-unbinds",
    "A refused connect(), and a reset, take the port from the socket, though its descriptor stays open.",
    f"{_TCP} tcp_clean_death, tcp_reinit, tcp_do_unbind",
    "source",
)
CHILD_VERSION = BOOK(
    "child-has-the-packets-version",
    "An accepted socket is of IPv4 or IPv6 as its packets are, whatever its listener is.",
    "inet/tcp/tcp_input.c tcp_conn_create_v4, tcp_conn_create_v6",
    "source",
)
INHERITS = BOOK(
    "accept-inherits",
    "An accepted socket has its listener's SO_REUSEADDR.",
    "inet/ip/conn_opt.c conn_inherit_parent",
    "source",
)
NO_EXCLUSIVE_CHILD = BOOK(
    "accept-drops-exclbind",
    "An accepted socket does not have its listener's SO_EXCLBIND.",
    "inet/ip/conn_opt.c conn_inherit_parent",
    "source",
)
MINUTES = BOOK(
    "minute-of-time-wait",
    "TIME_WAIT with a descriptor, and FIN_WAIT2 without one, end after 60 s.",
    "inet/tcp/tcp_tunables.c (_time_wait_interval, _fin_wait_2_flush_interval)",
    "source",
)
MINUTE = 60.0
MOST = 128  # connections that wait to be accepted, _conn_req_max_q


def source_of(m: Machine, sk: Conn, host: str) -> tuple[str, str]:
    """The source and destination address of what goes from `sk` to `host`. Raises Errno, Unknown."""
    if (":" in host) != (sk.family == 6):
        raise Errno("EAFNOSUPPORT", FAMILY)
    address, here, kind = local(m, host)
    v4 = ":" not in address
    if sk.family == 6 and v4:
        if sk.v6only and MAPPED in m.on:
            raise Errno("EADDRNOTAVAIL", MAPPED)
        if ":" in sk.bound and sk.bound != "::" and OTHER_VERSION in m.on:
            raise Errno("EADDRNOTAVAIL", OTHER_VERSION)
    if kind == "any":
        if TO_ANY not in m.on:
            raise Errno("ECONNREFUSED", NO_LISTENER)
        m.clause = TO_ANY
        address = "127.0.0.1" if v4 else "::1"
    elif not here:
        raise Unknown("destinations that are not local")
    if is_any(sk.bound):
        if sk.bound == "0.0.0.0" and not v4:
            raise Unknown("connections from one address family to the other")
        if address in m.addresses:
            raise Unknown("which source address a socket at the wildcard gets")
        return address, address
    if v4 != (":" not in sk.bound):
        raise Unknown("connections from one address family to the other")
    return sk.bound, address


class Tcp:
    """The rules of a TCP socket; those of `stream.Lives` too."""

    def release(self, m: Machine, sk: Sock) -> None:
        """The port is free."""
        remove(m, conn(sk))

    def done(self, m: Machine, sk: Sock) -> None:
        """tcp_clean_death of a socket whose descriptor stays."""
        one = conn(sk)
        one.over, one.connected = True, False
        one.raddr, one.rport = "", 0
        one.laddr = one.bound if one.given else "0.0.0.0" if one.family == 4 else "::"
        if UNBINDS in m.on:
            m.clause = UNBINDS
            remove(m, one)

    def remain(self, m: Machine, sk: Sock, half: bool) -> None:
        """TIME_WAIT; or FIN_WAIT2 without a descriptor."""
        sk.state, sk.half = TIME_WAIT, half
        conn(sk).excl = conn(sk).excl and half
        stream.last(m, sk, self.stay(m, sk, half))

    def stay(self, m: Machine, sk: Sock, half: bool) -> stream.Stay:
        """A minute where nothing ends it before."""
        kept = half or sk.open or PURGED not in m.on
        return (MINUTE, MINUTE) if kept and MINUTES in m.on else stream.ALWAYS

    def listen(self, m: Machine, sk: Conn, backlog: int) -> None:
        """tcp_do_listen. Raises Errno."""
        if not sk.port:
            address = "0.0.0.0" if sk.family == 4 else "::"
            port = choose(m, sk, address, sk.ra and CHOSEN_REUSE in m.on)
            sk.bound, sk.given = address, True
            insert(m, sk, port)
        sk.backlog = min(backlog * 3 // 2 + 1, MOST)
        if sk.state != LISTEN:
            sk.state = LISTEN
            m.listeners.setdefault(sk.port, []).append(sk)

    def connect(self, m: Machine, sk: Conn, host: str, port: int) -> None:
        """tcp_do_connect, and the answer of the other side. Raises Errno, Unknown."""
        source, destination = self._allowed(m, sk, host, port)
        if not sk.port:
            plain = CONNECT_PLAIN in m.on
            chosen = choose(m, sk, "::", sk.ra and not plain, (destination, port))
            insert(m, sk, chosen)
        if (source, sk.port) == (destination, port) and SELF in m.on:
            raise Errno("EADDRNOTAVAIL", SELF)
        busy = holder(m, (source, sk.port, destination, port))
        if busy is not None and TUPLE in m.on:
            raise Errno("EADDRINUSE", m.met(busy, TUPLE))
        if holder(m, (destination, port, source, sk.port)) is not None:
            raise Unknown("a SYN that meets what is left of an earlier connection")
        listener = receiver(m, "tcp", destination, port)
        sk.v4 = ":" not in destination
        if listener is None:
            self.done(m, sk)
            raise Errno("ECONNREFUSED", NO_LISTENER)
        if len(listener.queue) >= listener.backlog:
            raise Unknown("connections beyond the backlog")
        sk.laddr, sk.raddr, sk.rport = source, destination, port
        self._establish(m, sk, listener)

    @staticmethod
    def _allowed(m: Machine, sk: Conn, host: str, port: int) -> tuple[str, str]:
        if (":" in host) != (sk.family == 6):
            raise Errno("EAFNOSUPPORT", FAMILY)
        if not port and PORT_ZERO in m.on:
            raise Errno("EADDRNOTAVAIL", PORT_ZERO)
        if sk.state == LISTEN:
            raise Errno("EOPNOTSUPP", IS_LISTENER)
        if sk.state == ESTABLISHED:
            raise Errno("EISCONN", CONNECTED)
        if sk.state != CLOSE:
            raise Errno("EINVAL", ENDED)
        return source_of(m, sk, host)

    @staticmethod
    def _establish(m: Machine, sk: Conn, listener: Conn) -> None:
        child = Conn("tcp", listener.family, listener.user)
        child.v6only, child.linger, child.options = listener.v6only, listener.linger, dict(listener.options)
        child.ra = listener.ra and INHERITS in m.on
        child.excl = listener.excl and NO_EXCLUSIVE_CHILD not in m.on
        child.v4 = sk.v4 if CHILD_VERSION in m.on else listener.v4
        child.laddr, child.raddr, child.rport = sk.raddr, sk.laddr, sk.port
        insert(m, child, sk.rport)
        child.open, child.over, sk.over = False, False, False
        child.state = sk.state = ESTABLISHED
        child.peer, sk.peer = sk, child
        m.tuples[sk.key], m.tuples[child.key] = sk, child
        listener.queue.append(child)

    def close(self, m: Machine, sk: Conn) -> None:
        """close(2). Raises Unknown."""
        if sk.rx and sk.linger != 0:
            raise Unknown("closing a socket with unread data")
        if sk.linger > 0:
            raise Unknown("closing a socket that lingers")
        if sk.state == TIME_WAIT:
            sk.open = False
            self.remain(m, sk, False)
        else:
            stream.close(m, self, sk)
