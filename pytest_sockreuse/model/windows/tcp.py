"""Windows TCP: connect, who gets a connection, and what it leaves; by documents, so much of it is unknown."""

from __future__ import annotations

from math import inf

from .. import stream
from ..address import parsed
from ..clause import Book, Errno, Unknown
from ..ports import mask
from ..sock import CLOSE, ESTABLISHED, LISTEN, TIME_WAIT, Sock
from .bind import SAME, Machine, WinSock, is_any, owners

BOOK = Book()
_WSL = "WSL issue 3909 (the Windows stack), event 4227, libzmq issues 84 and 1078"
_WINE = "Wine 10.0 dlls/ws2_32/tests/sock.c"

TW_FREE = BOOK(
    "time-wait-holds-no-port",
    "A connection in TIME_WAIT does not stand against bind(), whatever the options.",
    "CPython socket.create_server, Go setDefaultListenerSockopts, PostgreSQL pqcomm",
    "documented",
)
TW_ENDS = BOOK(
    "time-wait-ends",
    "TIME_WAIT ends after 30 s at the earliest and 300 s at the latest, FIN_WAIT2 not before 30 s.",
    "Microsoft, TcpTimedWaitDelay and TcpFinWait2Delay",
    "documented",
)
CHILD_FREE = BOOK(
    "accepted-holds-no-port",
    "An accepted connection whose listener is closed does not stand against bind(), where nobody has "
    "SO_EXCLUSIVEADDRUSE.",
    "Microsoft KB307175",
    "documented",
)
TUPLE = BOOK("tuple-busy", "connect() over a 4-tuple in use, also by TIME_WAIT, is EADDRINUSE.", _WSL, "documented")
EXHAUSTED = BOOK(
    "connect-ports-exhausted",
    "Where no port is left connect() is ENOBUFS, or EADDRINUSE.",
    "Microsoft, TCP/IP port exhaustion; libuv issue 824; event 4227",
    "documented",
)
AUTO_REUSE = BOOK(
    "connect-reuses-ports",
    "connect() without bind() may choose a port in use towards another destination.",
    "Microsoft, SOL_SOCKET options (SO_REUSE_UNICASTPORT); KB3149157",
    "documented",
)
SELF = BOOK(
    "chosen-port-connects-to-itself",
    "connect() to a port of the dynamic range may choose that very port, and then connects the socket to itself.",
    "nats.net.v1 issue 847",
    "documented",
)
RANGE = BOOK(
    "dynamic-range",
    "A chosen port is one of 49152 to 65535.",
    "Microsoft, netsh int ipv4 show dynamicport",
    "documented",
)
NO_LISTENER = BOOK(
    "nobody-listens",
    "connect() to a port without listener is ECONNREFUSED, after 2 s.",
    "libuv issue 2896, curl issue 14144",
    "documented",
)
SPECIFIC = BOOK(
    "specific-listener-first",
    "A connection goes to the listener at its address before one at the wildcard.",
    f"{_WINE} test_reuseaddr; WSL issue 1549",
    "documented",
)
FIRST = BOOK(
    "first-listener-gets-it",
    "Of listeners at one address the first gets the connection, the next one when it is closed.",
    f"{_WINE} test_reuseaddr; libwebsockets issue 942; actix-web issue 1335",
    "documented",
)
BETWEEN = BOOK(
    "delivery-between-families",
    "Of a dual-stack `::` and 0.0.0.0 that both listen either may get an IPv4 connection.",
    "no source says which",
    "inferred",
)
INHERITS = BOOK(
    "child-inherits",
    "An accepted socket has the listener's SO_REUSEADDR.",
    f"{_WINE} test_accept_inheritance",
    "documented",
)
TO_ANY = BOOK(
    "wildcard-destination",
    "connect() to a wildcard address is EADDRNOTAVAIL.",
    "Microsoft, connect function (winsock2.h)",
    "documented",
)


def win(sk: Sock) -> WinSock:
    assert isinstance(sk, WinSock)
    return sk


def dynamic(m: Machine) -> int:
    """The range of chosen ports, as a mask."""
    text = m.env.get("ephemeral") or ("49152-65535" if RANGE in m.on else "1025-5000")
    low, high = text.split("-")
    return mask(int(low), int(high))


def child_against(m: Machine, sk: WinSock, port: int) -> None:
    """Connections at the port that bind() did not make. Raises Errno, Unknown."""
    for other in list(m.tuples.values()):
        if other.proto != sk.proto or other.port != port or other is sk:
            continue
        if (":" in other.laddr) != (":" in sk.bound) or not (is_any(sk.bound) or sk.bound == other.laddr):
            continue
        if other.state == TIME_WAIT and not other.half:
            if TW_FREE not in m.on:
                raise Errno("EADDRINUSE", m.met(other, SAME))
            m.clause = TW_FREE
        elif other.auto:
            raise Unknown("whether a port that connect() chose stands against bind()")
        elif other.addr_lock:  # accepted
            if "ex" in (sk.mode, win(other).mode):
                raise Unknown("SO_EXCLUSIVEADDRUSE and a connection whose listener is closed")
            if CHILD_FREE not in m.on:
                raise Errno("EADDRINUSE", m.met(other, SAME))
            m.clause = CHILD_FREE


#: What TIME_WAIT keeps of a socket, and an accepted one has of its listener.
_REMEMBERED = "laddr port raddr rport auto addr_lock mode".split()
_INHERITED = "ra ex mode v6only linger dual".split()


class Tcp:
    """What the ends of connections mean for ports, and connect()."""

    def release(self, m: Machine, sk: Sock) -> None:
        here = owners(m, "tcp", sk.port)
        if sk in here:
            here.remove(win(sk))
        sk.port = 0

    def done(self, m: Machine, sk: Sock) -> None:
        """The socket stays bound."""
        win(sk).vague = "a socket whose connection has ended"

    def remain(self, m: Machine, sk: Sock, half: bool) -> None:
        small = WinSock("tcp", sk.family, sk.user)
        small.have(_REMEMBERED, sk)
        stream.survive(m, self, sk, small, half)

    def stay(self, m: Machine, sk: Sock, half: bool) -> stream.Stay:
        return (30.0, inf if half else 300.0) if TW_ENDS in m.on else stream.ALWAYS

    def connect(self, m: Machine, sk: WinSock, host: str, port: int) -> None:
        """Raises Errno, Unknown."""
        destination, source = route(m, sk, host)
        if not port:
            raise Unknown("connect() to port 0")
        before = sk.laddr
        sk.laddr, sk.raddr, sk.rport = source, destination, port
        if sk.port == port and source == destination:
            sk.laddr, sk.raddr, sk.rport = before, "", 0
            raise Unknown("a connection to itself")
        try:
            if sk.port:
                if sk.key in m.tuples and TUPLE in m.on:
                    raise Errno("EADDRINUSE", m.met(m.tuples[sk.key], TUPLE))
            else:
                self._choose(m, sk)
        except Errno:
            sk.laddr, sk.raddr, sk.rport = before, "", 0
            raise
        sk.shown = sk.port
        if (source, sk.port) == (destination, port) and SELF in m.on and m.choose(2):
            m.clause = SELF
            sk.state, sk.peer = ESTABLISHED, sk
            m.tuples[sk.key] = sk
            return
        listener = self._listener(m, sk)
        if listener is None:
            sk.raddr, sk.rport = "", 0
            sk.vague = "a socket whose connection was refused"
            m.now += 2
            raise Errno("ECONNREFUSED", NO_LISTENER)
        if len(listener.queue) > listener.backlog:
            raise Unknown("a full backlog")
        if (sk.raddr, sk.rport, sk.laddr, sk.port) in m.tuples:
            raise Unknown("a connection of which one side is left")
        self._establish(m, sk, listener)

    @staticmethod
    def _establish(m: Machine, sk: WinSock, listener: WinSock) -> None:
        child = WinSock("tcp", listener.family, listener.user)
        child.have(_INHERITED if INHERITS in m.on else _INHERITED[1:], listener)
        child.options = dict(listener.options)
        child.laddr = child.bound = sk.raddr
        child.port = child.shown = sk.rport
        child.raddr, child.rport, child.open, child.addr_lock = sk.laddr, sk.port, False, True
        child.state = sk.state = ESTABLISHED
        child.peer, sk.peer = sk, child
        m.tuples[sk.key], m.tuples[child.key] = sk, child
        listener.queue.append(child)

    def _choose(self, m: Machine, sk: WinSock) -> None:
        def fit(port: int) -> bool:
            if owners(m, "tcp", port):
                return False
            if AUTO_REUSE not in m.on and any(other.port == port for other in m.tuples.values()):
                return False
            return (sk.laddr, port, sk.raddr, sk.rport) not in m.tuples

        port = m.space.pick(dynamic(m), fit, m.wanted())
        if not port:
            raise Errno(("ENOBUFS", "EADDRINUSE")[m.choose(2)], EXHAUSTED)
        sk.port, sk.auto = port, True

    @staticmethod
    def _listener(m: Machine, sk: WinSock) -> WinSock | None:
        """Who gets the connection."""
        v4 = ":" not in sk.raddr
        exact: list[WinSock] = []
        wild: list[WinSock] = []
        for other in owners(m, "tcp", sk.rport):
            if other.state != LISTEN:
                continue
            if other.laddr == sk.raddr:
                exact.append(other)
            elif other.laddr == ("0.0.0.0" if v4 else "::") or (v4 and other.dual):
                wild.append(other)
        best = exact or wild if SPECIFIC in m.on else wild or exact
        if len({other.laddr for other in best}) > 1 and BETWEEN in m.on:
            m.clause = BETWEEN
            return best[m.choose(len(best))]
        if len(best) > 1:
            m.clause = FIRST
            best.sort(key=lambda other: other.turn if FIRST in m.on else -other.turn)
        return best[0] if best else None


def route(m: Machine, sk: WinSock, host: str) -> tuple[str, str]:
    """Destination and source of what goes from `sk` to `host`. Raises Errno, Unknown."""
    if (sk.family == 6) != (":" in host):
        raise Unknown("a destination of the other family")
    address, family, kind = parsed(host)
    if sk.family == 6 and family == 4 and sk.v6only:
        raise Unknown("a v4-mapped destination on an IPV6_V6ONLY socket")
    if kind == "any":
        raise Errno("EADDRNOTAVAIL", TO_ANY)
    if kind != "loopback" and address not in m.addresses:
        raise Unknown("a destination that is not local")
    if not is_any(sk.laddr):
        if (":" in sk.laddr) != (":" in address):
            raise Unknown("a destination of the other family")
        return address, sk.laddr
    if kind == "loopback" and address not in ("127.0.0.1", "::1"):
        return address, ("127.0.0.1", address)[m.choose(2)]
    return address, address


def is_connected(sk: Sock) -> bool:
    return sk.state not in (CLOSE, LISTEN)
