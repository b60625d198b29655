"""The BSDs: TCP's listen and connect, and what a connection leaves behind."""

from __future__ import annotations

from .. import stream
from ..clause import Book, Declared, Errno, TimeUp, Unknown
from ..sock import CLOSE, ESTABLISHED, LISTEN, TIME_WAIT, Sock
from .bind import FAMILY, NO_MAPPED, choose, pick
from .table import Machine, Pcb, find, held, insert, parsed, receiver, remove

BOOK = Book()

TUPLE = BOOK(
    "tuple-busy",
    "connect() over a 4-tuple that a socket has in any state, TIME_WAIT included, is EADDRINUSE.",
    "sys/netinet/in_pcb.c in_pcbconnect",
)
PORT_ZERO = BOOK("connect-port-zero", "connect() to port 0 is EADDRNOTAVAIL.", "sys/netinet/in_pcb.c in_pcbladdr")
NO_LISTENER = BOOK(
    "nobody-listens", "connect() to a port without socket is ECONNREFUSED.", "sys/netinet/tcp_input.c dropwithreset"
)
TIME_WAITS = BOOK(
    "time-wait", "The side that ends a connection first keeps it in TIME_WAIT.", "sys/netinet/tcp_timewait.c"
)
SHUT_DOWN = BOOK("shut-down", "Sending after shutdown(WR) is EPIPE.", "sys/kern/uipc_socket.c sosend")
NO_OPTION = BOOK(
    "option-unknown", "An option that the system does not have is ENOPROTOOPT.", "sys/netinet/ip_output.c; tcp_usrreq.c"
)

# What only some of the systems have: their books say which, and where it is written.
MAPPED_ON_V6ONLY = Declared("mapped-on-v6only", "connect() of an IPV6_V6ONLY socket to a v4-mapped address is EINVAL.")
TUPLE_CHOICE = Declared(
    "connect-shares-ports",
    "connect() may choose a port of another connection to another destination, but none that bind() holds.",
)
BINDS_FIRST = Declared(
    "connect-binds-first",
    "connect() of TCP takes a port that nobody has before it looks at the destination, and keeps it if that fails.",
)
SELF = Declared("self-connect-refused", "connect() of TCP to its own address and port is EINVAL.")
SELF_UNKNOWN = Declared("self-connect-unsettled", "Whether TCP can connect to its own address and port is not settled.")
LB_CONNECT = Declared("lb-does-not-connect", "connect() of a socket with SO_REUSEPORT_LB is EOPNOTSUPP.")
LB_CONNECT_MAY = Declared(
    "lb-connect-unsettled", "When connect() with SO_REUSEPORT_LB became EOPNOTSUPP, in 14.1 to 15.0, is not settled."
)
CLOSED_IGNORES = Declared(
    "bound-socket-ignores-syn",
    "A SYN to a socket that is bound but neither listens nor is connected is not answered: connect() hangs.",
)
GONE_STAYS = Declared(
    "dead-connection-keeps-port",
    "A connection that was reset or refused keeps its port until its descriptor is closed.",
)
SHUT_KEEPS = Declared(
    "shutdown-keeps-the-port", "shutdown() of a listener is ENOTCONN; it accepts no more, and its port stays held."
)
SHUT_RELEASES = Declared("shutdown-releases-the-port", "shutdown(RDWR) of a listener gives its port back.")
NO_LOCAL_TW = Declared(
    "no-local-time-wait", "A connection within this host leaves no TIME_WAIT, by net.inet.tcp.nolocaltimewait."
)
INHERITS = Declared("accept-inherits", "An accepted socket has its listener's reuse options.")
REUSE_OPTIONS = ("ra", "rp", "lb")


def destination(m: Machine, sk: Pcb, host: str) -> tuple[str, str]:
    """The source and destination address of a packet from `sk` to `host`. Raises Errno."""
    if (":" in host) != (sk.family == 6):
        raise Errno(("EAFNOSUPPORT", "EINVAL")[m.choose(2)], FAMILY)
    address, family, kind = parsed(host)
    if sk.family == 6 and family == 4:
        if NO_MAPPED in m.on:
            raise Errno("EADDRNOTAVAIL", NO_MAPPED)
        if sk.v6only and MAPPED_ON_V6ONLY in m.on:
            raise Errno("EINVAL", MAPPED_ON_V6ONLY)
    if (":" in sk.laddr and sk.laddr != "::" and family == 4) or (":" not in sk.laddr and family == 6):
        raise Unknown("connections from one address family to the other")
    if kind == "any":
        address = "127.0.0.1" if family == 4 else "::1"
    elif kind != "loopback" and address not in m.addresses:
        raise Unknown("connections to addresses that are not local")
    return _source(m, sk, address), address


def _source(m: Machine, sk: Pcb, address: str) -> str:
    """The local address that a socket at the wildcard gets; to a further local address either that or the first one."""
    if not sk.any_:
        return sk.laddr
    if address not in m.addresses:
        return address
    if address not in m.state.sources:
        ways = (address, "127.0.0.1") if address.startswith("127.") else (address,)
        m.state.sources[address] = ways[m.choose(2)] if len(ways) > 1 else address
    return m.state.sources[address]


def occupy(m: Machine, sk: Pcb, source: str, dst: str, port: int) -> None:
    """in_pcbconnect_setup: the 4-tuple becomes that of `sk`, with a port if it has none. Raises Errno."""
    number = sk.port
    if number:
        other = find(m, sk, source, number, dst, port)
        if other is not None and TUPLE in m.on:
            raise Errno("EADDRINUSE", m.met(other, TUPLE))
    elif TUPLE_CHOICE in m.on and (sk.proto == "udp" or m.env.get("net.inet.tcp.require_unique_port", "0") == "0"):

        def free(p: int) -> bool:
            return find(m, sk, source, p, dst, port) is None and not held(m, sk.proto, source, p)

        number = pick(m, sk, free, True)
    else:
        number = choose(m, sk, True)
    sk.laddr, sk.raddr, sk.rport = source, dst, port
    if not sk.port:
        insert(m, sk, number)


class Tcp:
    """A TCP socket's calls, and what `stream.Lives` asks."""

    def release(self, m: Machine, sk: Sock) -> None:
        """in_pcbdetach: the port is free."""
        assert isinstance(sk, Pcb)
        remove(m, sk)

    def done(self, m: Machine, sk: Sock) -> None:
        """tcp_close of a socket whose descriptor stays."""
        assert isinstance(sk, Pcb)
        sk.gone = True
        if GONE_STAYS not in m.on:
            remove(m, sk)

    def remain(self, m: Machine, sk: Sock, half: bool) -> None:
        """tcp_twstart; FIN_WAIT2 needs nothing."""
        if half:
            sk.shut_rd = True
        elif TIME_WAITS not in m.on or self._vanishes(m):
            m.clause = NO_LOCAL_TW if NO_LOCAL_TW in m.on else m.clause
            stream.finish(m, self, sk)
        else:
            sk.state, sk.since = TIME_WAIT, m.now

    def stay(self, m: Machine, sk: Sock, half: bool) -> stream.Stay:
        """Not known here; `table.owners` ends TIME_WAIT."""
        return stream.ALWAYS

    @staticmethod
    def _vanishes(m: Machine) -> bool:
        default = "1" if NO_LOCAL_TW in m.on else "0"
        return m.env.get("net.inet.tcp.nolocaltimewait", default) != "0"

    def listen(self, m: Machine, sk: Pcb, backlog: int) -> None:
        """tcp_usr_listen."""
        if not sk.port:
            insert(m, sk, choose(m, sk))
        sk.backlog = backlog
        if sk.state != LISTEN:
            sk.state = LISTEN
            m.listeners.setdefault(sk.port, []).append(sk)

    def connect(self, m: Machine, sk: Pcb, host: str, port: int) -> None:
        """tcp_usr_connect, tcp_connect and the answer of the other side."""
        if sk.lb and (LB_CONNECT in m.on or (LB_CONNECT_MAY in m.on and m.choose(2))):
            raise Errno("EOPNOTSUPP", LB_CONNECT if LB_CONNECT in m.on else LB_CONNECT_MAY)
        if BINDS_FIRST in m.on and not sk.port:
            insert(m, sk, choose(m, sk, True))
        if not port and PORT_ZERO in m.on:
            raise Errno("EADDRNOTAVAIL", PORT_ZERO)
        source, dst = destination(m, sk, host)
        if parsed(host)[2] == "multicast":
            raise Unknown("TCP to a multicast address")
        if (source, sk.port) == (dst, port) and SELF in m.on:
            raise Errno("EINVAL", SELF)
        occupy(m, sk, source, dst, port)
        sk.fin, sk.error = False, ""
        if (sk.laddr, sk.port) == (sk.raddr, sk.rport):
            if SELF_UNKNOWN in m.on or SELF in m.on:
                raise Unknown("a connection to itself")
            sk.state, sk.connected, sk.peer = ESTABLISHED, True, sk
        else:
            self._handshake(m, sk)

    def _handshake(self, m: Machine, sk: Pcb) -> None:
        """The SYN at the other side, which is this host."""
        if find(m, sk, sk.raddr, sk.rport, sk.laddr, sk.port) is not None:
            raise Unknown("a SYN that meets what is left of an earlier connection")
        target = receiver(m, "tcp", sk.raddr, sk.rport, sk.laddr, sk.port)
        if target is None or target.state != LISTEN:
            if target is not None and CLOSED_IGNORES in m.on:
                raise TimeUp(CLOSED_IGNORES)
            stream.finish(m, self, sk)
            raise Errno("ECONNREFUSED", NO_LISTENER)
        if target.shut_rd:
            raise Unknown("a listener after shutdown()")
        if len(target.queue) > target.backlog * 3 // 2:
            raise Unknown("connections beyond the backlog")
        child = self._child(m, target)
        child.laddr, child.raddr, child.rport, child.state = sk.raddr, sk.laddr, sk.port, ESTABLISHED
        insert(m, child, sk.rport)
        child.connected, child.peer, child.open = True, sk, False
        target.queue.append(child)
        sk.state, sk.connected, sk.peer = ESTABLISHED, True, child

    @staticmethod
    def _child(m: Machine, listener: Pcb) -> Pcb:
        """sonewconn, solisten_clone: what an accepted socket has of its listener."""
        child = Pcb("tcp", listener.family, listener.user)
        child.child, child.v6only, child.linger = True, listener.v6only, listener.linger
        child.options = dict(listener.options)
        if INHERITS in m.on:
            child.have(REUSE_OPTIONS, listener)
        return child

    def close(self, m: Machine, sk: Pcb) -> None:
        """close(2): unread data is thrown away and the connection ends by FIN."""
        if sk.state == TIME_WAIT:
            sk.open = False
            return
        sk.rx, sk.linger2 = 0, 0
        stream.close(m, self, sk)

    def end_listening(self, m: Machine, sk: Pcb, how: str) -> None:
        """shutdown(2) of a listener. Raises Errno."""
        if SHUT_KEEPS in m.on:
            sk.shut_rd = sk.shut_rd or how != "WR"
            raise Errno("ENOTCONN", SHUT_KEEPS)
        if SHUT_RELEASES not in m.on or how != "RDWR":
            raise Unknown("shutdown() of a listener")
        m.clause = SHUT_RELEASES
        stream.stop_listening(m, self, sk)
        sk.gone = True
        self.release(m, sk)


def closed(sk: Pcb) -> bool:
    """Whether a call finds a socket whose connection is over."""
    return sk.gone or (sk.state == CLOSE and sk.connected)
