"""gVisor TCP: bind, listen, connect and the handshake; what each leaves when it fails."""

from __future__ import annotations

from ..clause import Book, Errno, TimeUp, Unknown
from ..sock import ESTABLISHED, LISTEN, TIME_WAIT
from . import stream
from .address import check_destination_family, check_local, source, unwrap
from .choice import pick
from .demux import REGISTERED
from .ports import BIND0, CONFLICT, DUAL, LATCHED, NOWHERE, Claim, Destination, Endpoint, claim_of
from .state import Machine
from .stream import BOUND, CLOSED, CONNECTED, ERROR, INITIAL

BOOK = Book()
_TCP = "pkg/tcpip/transport/tcp/endpoint.go"
_ACCEPT = "pkg/tcpip/transport/tcp/accept.go"

BOUND_ONCE = BOOK("bind-once", "bind() of a socket that is bound, connected or dead is EINVAL.", f"{_TCP} bindLocked")
BIND_LISTENER = BOOK(
    "listener-excludes-its-address",
    "bind() to exactly the address at which another socket listens is EADDRINUSE, unless all have SO_REUSEPORT.",
    f"{_TCP} bindLocked (CheckRegisterTransportEndpoint)",
)
LISTEN_TAKEN = BOOK(
    "second-listener-dies",
    "listen() at exactly the address at which another socket listens is EADDRINUSE and closes the socket.",
    f"{_TCP} listen (transitionToStateCloseLocked)",
)
LISTEN_STATE = BOOK("listen-once-connected", "listen() on a connected or dead socket is EINVAL.", f"{_TCP} listen")
LISTEN_NO_PORT = BOOK(
    "listen-ports-exhausted", "listen() of an unbound socket is EAGAIN where no port is left.", f"{_TCP} listen"
)
SHRINK = BOOK("backlog-shrinks", "listen() with a backlog below what waits is EINVAL.", f"{_TCP} listen")
AGAIN = BOOK(
    "listen-reopens",
    "listen() makes a listener that was shut down take connections again.",
    f"{_TCP} listen (RcvClosed = false)",
)
EXHAUSTED = BOOK(
    "ports-exhausted",
    "No port is left: EADDRINUSE for bind(), EADDRNOTAVAIL for connect().",
    "pkg/sentry/socket/netstack/netstack.go sock.Bind, sock.Connect",
)
CONNECTED_ONCE = BOOK("connected-once", "connect() on a connected socket is EISCONN.", f"{_TCP} connect")
CONNECT_STATE = BOOK("connect-on-listener", "connect() on a listening or closed socket is EINVAL.", f"{_TCP} connect")
DEAD = BOOK(
    "failed-connect-kills",
    "After a refused connection the socket is dead: connect() is ECONNABORTED, bind() and listen() are EINVAL.",
    f"{_TCP} connect (StateError), pkg/tcpip/transport/tcp/connect.go handshakeFailed",
)
REFUSED_FREES = BOOK(
    "failed-connect-frees-port",
    "A refused connection gives back the port, also one that bind() named.",
    "pkg/tcpip/transport/tcp/connect.go handshakeFailed",
)
LEAK = BOOK(
    "wildcard-reservation-stays",
    "A socket bound to a wildcard that connected does not give that reservation back, for good.",
    f"{_TCP} cleanupLocked (LocalAddress is the connection's)",
)
LEAK_V4 = BOOK(
    "dual-stack-reservation-freed",
    "connect() of a socket bound to `::` gives back the reservation for IPv4.",
    "066d932b8 Release port for non listening sockets which are bound with `any` address.",
    "source",
    since=("20250428",),
)
TUPLE = BOOK("tuple-busy", "connect() over a 4-tuple in use, also by TIME_WAIT, is EADDRNOTAVAIL.", f"{_TCP} connect")
KEEPS_SADDR = BOOK(
    "failed-connect-keeps-address",
    "After EADDRNOTAVAIL of connect(), and EADDRINUSE of bind(), the address that the call gave stays.",
    f"{_TCP} connect, bindLocked (ID.LocalAddress)",
)
KEEPS_PEER = BOOK(
    "failed-connect-keeps-peer",
    "After EADDRNOTAVAIL of connect() listen() is for that 4-tuple alone: EADDRINUSE while it is in use, and then "
    "nobody else is answered.",
    f"{_TCP} connect (ID.RemoteAddress), listen (RegisterTransportEndpoint)",
)
NOT_ITSELF = BOOK(
    "no-chosen-self-connection",
    "connect() chooses no port that would connect the socket to itself.",
    f"{_TCP} registerEndpoint (sameAddr)",
)
TW_REUSE = BOOK(
    "time-wait-reuse",
    "connect() on loopback may choose a port whose 4-tuple has been in TIME_WAIT for a second.",
    f"{_TCP} registerEndpoint (TCPTimeWaitReuseLoopbackOnly)",
    "source",
)
NO_LISTENER = BOOK(
    "nobody-listens",
    "connect() to a port without listener, or whose listener was shut down, is ECONNREFUSED.",
    "pkg/tcpip/transport/tcp/protocol.go HandleUnknownDestinationPacket",
)
BACKLOG = BOOK(
    "backlog-full",
    "A listener with more than its backlog waiting answers no SYN.",
    f"{_ACCEPT} handleListenSegment (acceptQueueIsFull)",
)
TW_SYN = BOOK(
    "time-wait-answers-no-syn",
    "A SYN for a connection in TIME_WAIT goes to the listener at its port; where there is none it is not answered.",
    "pkg/tcpip/transport/tcp/connect.go handleTimeWaitSegments",
    "source",
)
NOT_LISTENING = BOOK(
    "accept-needs-listener", "accept() on a socket that does not listen, or is shut down, is EINVAL.", f"{_TCP} Accept"
)
INHERITS = BOOK(
    "child-inherits-flags-only",
    "An accepted socket has the listener's latched flags and IPV6_V6ONLY, and no other option.",
    f"{_ACCEPT} propagateInheritableOptionsLocked",
)


def bind(m: Machine, sk: Endpoint, host: str, port: int) -> None:
    """bindLocked; an empty `host` is the wildcard. Raises Errno."""
    if sk.state != INITIAL:
        raise Errno("EINVAL", BOUND_ONCE if sk.state != ERROR else DEAD)
    address, net = unwrap(m, sk, host, True)
    nets: tuple[int, ...] = (net,)
    if net == 6 and not address and not sk.v6only and DUAL in m.on:
        nets = (6, 4)
        sk.both = True
    check_local(m, address)
    before = sk.laddr
    if address:
        sk.laddr = address
    claim = Claim(nets, "tcp", address, sk.wants(m), sk.device)
    try:
        taken = _claim(m, sk, claim, port)
    except Errno:
        if KEEPS_SADDR not in m.on:
            sk.laddr = before
        raise
    sk.flags, sk.on_device, sk.nets, sk.dest, sk.reserved = claim.flags, claim.device, nets, claim.dest, True
    sk.port = sk.shown = taken
    sk.state = BOUND


def _claim(m: Machine, sk: Endpoint, claim: Claim, port: int) -> int:
    """ReservePort for bind(): the port. Raises Errno."""
    table = m.state.ports

    def listener(p: int) -> Endpoint | None:
        if BIND_LISTENER not in m.on:
            return None
        return m.state.demux.taken(sk, claim.nets, p, claim.flags, claim.device, NOWHERE)

    if port:
        if not table.available(claim.at(port)):
            raise Errno("EADDRINUSE", m.met(table.holder(claim), CONFLICT))
        if other := listener(port):
            raise Errno("EADDRINUSE", m.met(other, BIND_LISTENER))
    else:
        port = pick(m, lambda p: table.available(claim.at(p), BIND0 not in m.on) and not listener(p))
        if not port:
            raise Errno("EADDRINUSE", EXHAUSTED)
    table.reserve(claim.at(port))
    return port


def listen(m: Machine, sk: Endpoint, backlog: int) -> None:
    """Endpoint.listen. Raises Errno."""
    backlog = min(backlog, 1024) if backlog >= 0 else 1024
    if sk.state == LISTEN:
        if len(sk.queue) > backlog + 1 and SHRINK in m.on:
            raise Errno("EINVAL", SHRINK)
        sk.backlog = backlog
        sk.shut.clear()
        if AGAIN in m.on:
            sk.shut_rd = False
        return
    if sk.state == INITIAL:
        try:
            bind(m, sk, "", 0)
        except Errno as error:
            if error.clause == EXHAUSTED:
                raise Errno("EAGAIN", LISTEN_NO_PORT) from None
            raise
    if sk.state != BOUND:
        raise Errno("EINVAL", LISTEN_STATE if sk.state != ERROR else DEAD)
    if KEEPS_PEER not in m.on:
        sk.raddr, sk.rport = "", 0
    if other := m.state.demux.register(sk, sk.nets):
        why = KEEPS_PEER if sk.raddr else LISTEN_TAKEN if LISTEN_TAKEN in m.on else REGISTERED
        if LISTEN_TAKEN in m.on:
            stream.cleanup(m, sk)
            sk.state = CLOSED
        raise Errno("EADDRINUSE", m.met(other, why))
    sk.state, sk.registered, sk.backlog = LISTEN, True, backlog


def accept(sk: Endpoint) -> Endpoint | None:
    """Endpoint.Accept. Raises Errno."""
    if sk.state != LISTEN or sk.shut_rd:
        raise Errno("EINVAL", NOT_LISTENING)
    if not sk.queue:
        return None
    child = sk.queue.pop(0)
    assert isinstance(child, Endpoint)
    child.open = True
    return child


def connect(m: Machine, sk: Endpoint, host: str, port: int) -> None:
    """sock.Connect and Endpoint.connect. Raises Errno."""
    check_destination_family(sk, host)
    address, net = unwrap(m, sk, host)
    if sk.state in CONNECTED:
        raise Errno("EISCONN", CONNECTED_ONCE)
    if sk.state == ERROR and DEAD in m.on:
        error, sk.error = sk.error or "ECONNABORTED", ""
        raise Errno(error, DEAD)
    if sk.state not in (INITIAL, BOUND):
        raise Errno("EINVAL", CONNECT_STATE)
    before = sk.laddr
    sk.laddr = source(m, sk, address, net, sk.state == BOUND and bool(before))
    sk.raddr, sk.rport = address, port
    try:
        _register(m, sk, net, (address, port))
    except Errno:
        if KEEPS_SADDR not in m.on:
            sk.laddr = before
        raise
    if sk.both and LEAK_V4 in m.on:
        m.state.ports.release(Claim((4,), "tcp", "", 0, "").at(sk.port))
    if not before and not sk.dest[0] and LEAK not in m.on:
        old = Claim(sk.nets, "tcp", "", sk.flags, sk.on_device).at(sk.port)
        m.state.ports.release(old)
        m.state.ports.reserve(Claim((net,), "tcp", sk.laddr, sk.flags, sk.on_device).at(sk.port))
    sk.registered, sk.nets = True, (net,)
    _handshake(m, sk, net)


def _register(m: Machine, sk: Endpoint, net: int, dest: Destination) -> None:
    """registerEndpoint. Raises Errno."""
    if sk.port:
        if other := m.state.demux.register(sk, (net,)):
            raise Errno("EADDRNOTAVAIL", m.met(other, TUPLE))
        return
    claim = Claim((net,), "tcp", sk.laddr, sk.wants(m), sk.device, dest)
    table, endpoints = m.state.ports, m.state.demux
    same = sk.laddr == sk.raddr and NOT_ITSELF in m.on

    def usable(p: int) -> bool:
        if same and p == sk.rport:
            return False
        if table.available(claim.at(p)):
            return not endpoints.taken(sk, claim.nets, p, claim.flags, claim.device, dest)
        old = _waiting(m, sk, net, p)
        if old is None:
            return False
        table.release(claim_of(old))
        free = table.available(claim.at(p))
        table.reserve(claim_of(old))
        return free

    port = pick(m, usable)
    if not port:
        raise Errno("EADDRNOTAVAIL", EXHAUSTED)
    if not table.available(claim.at(port)):
        old = _waiting(m, sk, net, port)
        assert old is not None
        stream.cleanup(m, old)
        old.state = CLOSED
        m.clause = TW_REUSE
    table.reserve(claim.at(port))
    sk.port = sk.shown = port
    sk.flags, sk.on_device, sk.dest, sk.reserved = claim.flags, claim.device, dest, True
    endpoints.register(sk, (net,))


def _waiting(m: Machine, sk: Endpoint, net: int, port: int) -> Endpoint | None:
    """The connection in TIME_WAIT that `sk` may replace at this port."""
    if TW_REUSE not in m.on or not (sk.laddr == sk.raddr == "::1" or sk.laddr[:4] == sk.raddr[:4] == "127."):
        return None
    clause = m.clause
    old = m.state.demux.find(net, "tcp", (sk.laddr, port), (sk.raddr, sk.rport))
    m.clause = clause
    if old is None or old.state != TIME_WAIT or m.now - old.since < 0.5:
        return None
    return old if m.now - old.since >= 1 or m.choose(2) else None


def _handshake(m: Machine, sk: Endpoint, net: int) -> None:
    """The SYN at the other side, which is this host. Raises Errno, TimeUp."""
    there, here = (sk.raddr, sk.rport), (sk.laddr, sk.port)
    found = m.state.demux.find(net, "tcp", there, here)
    if found is sk:
        sk.state, sk.peer = ESTABLISHED, sk
        return
    if found is not None and found.state == TIME_WAIT:
        listener = next((ep for n in (4, 6) if (ep := m.state.demux.find(n, "tcp", there, ("", 0)))), None)
        if listener is None or listener.state != LISTEN or TW_SYN not in m.on:
            raise TimeUp(TW_SYN)
        stream.cleanup(m, found)
        found.state = CLOSED
        found = listener
    if found is not None and found.state in CONNECTED:
        raise Unknown("a SYN for a connection of which one side is left")
    if found is None or found.state != LISTEN or found.shut_rd:
        _refused(m, sk)
        raise Errno("ECONNREFUSED", NO_LISTENER)
    if len(found.queue) > found.backlog and BACKLOG in m.on:
        raise TimeUp(BACKLOG)
    child = _child(m, found, sk, net)
    found.queue.append(child)
    sk.state, sk.peer = ESTABLISHED, child


def _refused(m: Machine, sk: Endpoint) -> None:
    """handshakeFailed."""
    if REFUSED_FREES in m.on:
        stream.cleanup(m, sk)
    else:
        m.state.demux.unregister(sk, sk.flags)
        sk.registered = False
    sk.state = ERROR if DEAD in m.on else BOUND


def _child(m: Machine, listener: Endpoint, sk: Endpoint, net: int) -> Endpoint:
    """createConnectingEndpoint, reserveTupleLocked."""
    child = Endpoint("tcp", listener.family, listener.user)
    child.flags, child.on_device, child.v6only = listener.flags, listener.on_device, listener.v6only
    if INHERITS not in m.on:
        child.ra, child.rp, child.linger = listener.ra, listener.rp, listener.linger
    child.nets, child.laddr, child.port, child.shown = (net,), sk.raddr, sk.rport, sk.rport
    child.raddr, child.rport, child.dest = sk.laddr, sk.port, (sk.laddr, sk.port)
    child.open, child.state, child.peer = False, ESTABLISHED, sk
    if LATCHED not in m.on:
        child.flags = listener.wants(m)
    m.state.ports.reserve(claim_of(child))
    m.state.demux.register(child, child.nets)
    child.reserved = child.registered = True
    return child
