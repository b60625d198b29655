"""The BSDs: TCP's listen and connect, and what a connection leaves behind."""

from __future__ import annotations

from .. import stream
from ..clause import Book, Declared, Errno, TimeUp, Unknown
from ..sock import CLOSE, ESTABLISHED, LISTEN, TIME_WAIT, Sock
from . import ended
from .address import CONNECT_ANY, TCP_ANY_INVALID, belongs, leaves, parsed, right_family, right_tcp
from .bind import choose, pick
from .table import CHILDREN_UNSEEN, MERGED, OWN_TABLES, Machine, Pcb, find, held, insert, owners, receiver, remove

BOOK = Book()

TUPLE = BOOK(
    "tuple-busy",
    "connect() over a 4-tuple that a socket has in any state, TIME_WAIT included, is EADDRINUSE.",
    "sys/netinet/in_pcb.c in_pcbconnect",
)
IS_LISTENER = BOOK(
    "listener-does-not-connect", "connect() on a listener is EOPNOTSUPP.", "sys/kern/uipc_socket.c soconnect"
)
ALREADY = BOOK("connected-once", "connect() on a connected TCP socket is EISCONN.", "sys/kern/uipc_socket.c soconnect")
NO_LISTENER = BOOK(
    "nobody-listens", "connect() to a port without socket is ECONNREFUSED.", "sys/netinet/tcp_input.c dropwithreset"
)
TIME_WAITS = BOOK(
    "time-wait", "The side that ends a connection first keeps it in TIME_WAIT.", "sys/netinet/tcp_timewait.c"
)
SYN_ENDS_TW = BOOK(
    "syn-ends-time-wait",
    "A new connection over the 4-tuple of an accepted one in TIME_WAIT ends that.",
    "sys/netinet/tcp_input.c (TCPS_TIME_WAIT, SEQ_GT)",
)
HALF_CLOSED_ENDS = BOOK(
    "fin-wait2-ends",
    "A closed connection whose peer stays is given up after keepcnt times keepintvl, 600 s, or one keepintvl more.",
    "sys/netinet/tcp_timer.c tcp_timer_2msl (maxidle)",
    confidence="source",
)
SHUT_DOWN = BOOK("shut-down", "Sending after shutdown(WR) is EPIPE.", "sys/kern/uipc_socket.c sosend")

# What only some of the systems have: their books say which, and where it is written.
LISTENER_LATE = Declared(
    "listener-refused-late",
    "connect() of a listener looks at the address first, and an AF_INET6 one answers EINVAL, not EOPNOTSUPP.",
)
TUPLE_CHOICE = Declared(
    "connect-shares-ports",
    "connect() may choose a port of another connection to another destination, but none that bind() holds.",
)
BINDS_FIRST = Declared(
    "connect-binds-first",
    "connect() of TCP takes a port that nobody has before it looks at the destination, and keeps it if that fails.",
)
SOURCE_FIRST = Declared(
    "connect-chooses-at-source",
    "connect() chooses a port that is free at the source address, with a reuse option one that connections have, too; "
    "a 4-tuple that is taken then is EADDRINUSE.",
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
    "shutdown-keeps-the-port",
    "shutdown() of a listener is ENOTCONN; if for reading, its next accept() is ECONNABORTED, and that is all.",
)
SHUT_RELEASES = Declared(
    "shutdown-releases-the-port",
    "shutdown(WR) and shutdown(RDWR) of a TCP socket that is not connected, a listener too, end it: its port is free.",
)
SHUT_RESETS = Declared("shut-listener-resets", "A listener after shutdown(RD) resets what connects to it: ECONNRESET.")
NO_LOCAL_TW = Declared(
    "no-local-time-wait", "A connection within this host leaves no TIME_WAIT, by net.inet.tcp.nolocaltimewait."
)
INHERITS = Declared("accept-inherits", "An accepted socket has its listener's reuse options.")
REUSE_OPTIONS = ("ra", "rp", "lb")


def occupy(m: Machine, sk: Pcb, source: str, dst: str, port: int) -> None:
    """in_pcbconnect_setup: the 4-tuple becomes that of `sk`, with a port if it has none. Raises Errno."""
    number = number_for(m, sk, source, dst, port)
    sk.laddr, sk.raddr, sk.rport = source, dst, port
    if not sk.hashed:
        insert(m, sk, number)


def number_for(m: Machine, sk: Pcb, source: str, dst: str, port: int) -> int:
    """The port that `sk` has or gets to connect. Raises Errno."""
    if sk.port:
        other = find(m, sk, source, sk.port, dst, port)
        if other is not None and TUPLE in m.on:
            raise Errno("EADDRINUSE", m.met(other, TUPLE))
        return sk.port
    unique = sk.proto == "tcp" and m.env.get("net.inet.tcp.require_unique_port", "0") != "0"
    if SOURCE_FIRST in m.on:
        return _at_source(m, sk, source, dst, port)
    if TUPLE_CHOICE not in m.on or unique:
        return choose(m, sk)

    def free(p: int) -> bool:
        return find(m, sk, source, p, dst, port) is None and not held(m, sk, source, p)

    return pick(m, sk, free)


def _at_source(m: Machine, sk: Pcb, source: str, dst: str, port: int) -> int:
    """OpenBSD's in_pcbpickport with the source address, then the look for the 4-tuple. Raises Errno."""
    before, sk.laddr = sk.laddr, source
    try:
        number = choose(m, sk)
    finally:
        sk.laddr = before
    if (other := find(m, sk, source, number, dst, port)) is not None:
        raise Errno("EADDRINUSE", m.met(other, SOURCE_FIRST))
    return number


class Tcp:
    """A TCP socket's calls, and what `stream.Lives` asks."""

    def release(self, m: Machine, sk: Sock) -> None:
        """in_pcbdetach: the port is free."""
        assert isinstance(sk, Pcb)
        remove(m, sk)

    def done(self, m: Machine, sk: Sock) -> None:
        """tcp_close of a socket whose descriptor stays: there is nothing more to read."""
        assert isinstance(sk, Pcb)
        sk.gone = sk.fin = True
        if ended.NAMELESS in m.on:
            sk.shown = 0
        if GONE_STAYS not in m.on:
            remove(m, sk)

    def remain(self, m: Machine, sk: Sock, half: bool) -> None:
        """tcp_twstart; FIN_WAIT2 stays as it is."""
        if half:
            sk.shut_rd = True
        elif TIME_WAITS not in m.on or self._vanishes(m):
            m.clause = NO_LOCAL_TW if NO_LOCAL_TW in m.on else m.clause
            stream.finish(m, self, sk)
            return
        else:
            sk.state = TIME_WAIT
        stream.last(m, sk, self.stay(m, sk, half))

    def stay(self, m: Machine, sk: Sock, half: bool) -> stream.Stay:
        """tcp_timer_2msl: FIN_WAIT2 is looked at after keepcnt times keepintvl, and once more a keepintvl later."""
        if not half:
            msl = m.env.get("net.inet.tcp.msl")
            seconds = 2 * int(msl) / 1000 if msl else m.state.traits.time_wait
            return seconds, seconds
        if HALF_CLOSED_ENDS not in m.on:
            return stream.ALWAYS
        if m.env.get("net.inet.tcp.fast_finwait2_recycle", "0") != "0":
            seconds = int(m.env.get("net.inet.tcp.finwait2_timeout", "60000")) / 1000
            return seconds, seconds
        return 600, 675

    def elapse(self, m: Machine) -> None:
        """Time has passed: what TIME_WAIT or FIN_WAIT2 kept too long is gone."""
        for sk in stream.over(m, [sk for here in m.state.ports.values() for sk in here]):
            stream.finish(m, self, sk)

    @staticmethod
    def _vanishes(m: Machine) -> bool:
        default = "1" if NO_LOCAL_TW in m.on else "0"
        return m.env.get("net.inet.tcp.nolocaltimewait", default) != "0"

    def listen(self, m: Machine, sk: Pcb, backlog: int) -> None:
        """tcp_usr_listen."""
        if not sk.port:
            before = sk.v4, sk.v6
            belongs(sk, sk.laddr)
            try:
                number = choose(m, sk, True)
            except Errno:
                sk.v4, sk.v6 = before
                raise
            insert(m, sk, number)
        sk.backlog, sk.accepts = backlog, True
        if sk.state != LISTEN:
            sk.state = LISTEN
            m.listeners.setdefault(sk.port, []).append(sk)

    def connect(self, m: Machine, sk: Pcb, host: str, port: int) -> None:
        """tcp_usr_connect, tcp_connect and the answer of the other side."""
        self.may_connect(m, sk)
        self._may_go(m, sk, host)
        before = sk.v4, sk.v6
        try:
            if BINDS_FIRST in m.on and not sk.port:
                insert(m, sk, choose(m, sk))
            source, dst = m.state.traits.aim(m, sk, host, port)
            if dst == "::":
                raise Errno("EHOSTUNREACH", CONNECT_ANY)
            if (source, sk.port) == (dst, port) and SELF in m.on:
                raise Errno("EINVAL", SELF)
            occupy(m, sk, source, dst, port)
        except Errno:
            if not sk.port:
                sk.v4, sk.v6 = before
            raise
        sk.fin, sk.error, sk.tried = False, "", True
        leaves(m, dst)
        sk.tried = False
        if (sk.laddr, sk.port) == (sk.raddr, sk.rport):
            if SELF_UNKNOWN in m.on or SELF in m.on:
                raise Unknown("a connection to itself")
            sk.state, sk.connected, sk.peer = ESTABLISHED, True, sk
        else:
            self._handshake(m, sk)

    @staticmethod
    def may_connect(m: Machine, sk: Pcb) -> None:
        """soconnect: what is refused whatever the address. Raises Errno."""
        if sk.accepts and LISTENER_LATE not in m.on:
            raise Errno("EOPNOTSUPP", IS_LISTENER)
        if sk.state not in (CLOSE, LISTEN):
            raise Errno("EISCONN", ALREADY)
        if sk.tried:
            raise Unknown("a socket whose connection found no way out")
        if sk.state == LISTEN:
            sk.error = ""

    @staticmethod
    def _may_go(m: Machine, sk: Pcb, host: str) -> None:
        """tcp_usr_connect: what is refused before the port is looked at. Raises Errno."""
        if sk.gone and ended.REFUSED_AGAIN in m.on:
            raise Errno("ECONNREFUSED", ended.REFUSED_AGAIN)
        right_family(m, sk, host)
        right_tcp(m, sk, host)
        ended.check(m, sk, ended.ENDED)
        if sk.state == LISTEN:
            raise Errno("EINVAL", LISTENER_LATE) if sk.family == 6 else Errno("EOPNOTSUPP", IS_LISTENER)
        if parsed(host)[2] == "any" and TCP_ANY_INVALID in m.on:
            raise Errno("EINVAL", TCP_ANY_INVALID)
        if sk.lb and (LB_CONNECT in m.on or (LB_CONNECT_MAY in m.on and m.choose(2))):
            raise Errno("EOPNOTSUPP", LB_CONNECT if LB_CONNECT in m.on else LB_CONNECT_MAY)

    def _handshake(self, m: Machine, sk: Pcb) -> None:
        """The SYN at the other side, which is this host."""
        self._meet(m, sk)
        target = receiver(m, sk, sk.raddr, sk.rport, sk.laddr)
        if target is None or target.state != LISTEN:
            if target is not None and CLOSED_IGNORES in m.on:
                raise TimeUp(CLOSED_IGNORES)
            stream.finish(m, self, sk)
            raise Errno("ECONNREFUSED", NO_LISTENER)
        if target.shut_rd and SHUT_RESETS in m.on:
            stream.finish(m, self, sk)
            raise Errno("ECONNRESET", SHUT_RESETS)
        if self._answered_elsewhere(m, sk):
            raise TimeUp(OWN_TABLES)
        if len(target.queue) > target.backlog * 3 // 2:
            raise Unknown("connections beyond the backlog")
        child = self._child(m, target)
        child.laddr, child.raddr, child.rport, child.state = sk.raddr, sk.laddr, sk.port, ESTABLISHED
        child.v4, child.v6 = ":" not in child.laddr, ":" in child.laddr
        insert(m, child, sk.rport)
        child.connected, child.peer, child.open = True, sk, False
        target.queue.append(child)
        sk.state, sk.connected, sk.peer = ESTABLISHED, True, child

    def _meet(self, m: Machine, sk: Pcb) -> None:
        """The SYN finds an accepted connection of the same 4-tuple, which asks back. Raises TimeUp, or Unknown.

        Where the tables are apart, IPv4's socket gets the question: a new one resets the connection and tries again,
        an old one knows it, and the new one waits for ever.
        """
        met = find(m, sk, sk.raddr, sk.rport, sk.laddr, sk.port, both=True)
        if met is None:
            return
        if met.state == TIME_WAIT and SYN_ENDS_TW in m.on:
            m.clause = SYN_ENDS_TW
            remove(m, met)
            return
        old = met.peer
        if OWN_TABLES not in m.on or old is None or old.family == sk.family or met.state != ESTABLISHED:
            raise Unknown("a SYN that meets what is left of an earlier connection")
        m.clause = OWN_TABLES
        if sk.family == 6:
            raise TimeUp(OWN_TABLES)
        old.peer = None
        stream.take_reset(m, self, met)

    @staticmethod
    def _answered_elsewhere(m: Machine, sk: Pcb) -> bool:
        """Whether an AF_INET socket at the port gets the answer to an IPv4 SYN of an AF_INET6 one."""
        if OWN_TABLES not in m.on or sk.family == 4 or ":" in sk.laddr:
            return False
        here = owners(m, sk.space, sk.port)
        elsewhere = any(t.family == 4 and not t.raddr and (t.any_ or t.laddr == sk.laddr) for t in here)
        if elsewhere and MERGED in m.on:
            raise Unknown("an IPv4 connection of an AF_INET6 socket beside an AF_INET socket")
        return elsewhere

    @staticmethod
    def _child(m: Machine, listener: Pcb) -> Pcb:
        """sonewconn, solisten_clone: what an accepted socket has of its listener."""
        child = Pcb("tcp", listener.family, listener.user)
        child.child = True
        child.listed, child.v6only, child.linger = CHILDREN_UNSEEN not in m.on, listener.v6only, listener.linger
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

    def shut_unconnected(self, m: Machine, sk: Pcb) -> None:
        """shutdown(2) for writing of a socket that is not connected, where that ends it."""
        m.clause = SHUT_RELEASES
        sk.shut_wr = True
        if sk.state == LISTEN:
            stream.stop_listening(m, self, sk)
        self.done(m, sk)
        self.release(m, sk)
