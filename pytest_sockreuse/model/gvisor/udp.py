"""gVisor UDP: bind, connect, and which socket gets a datagram."""

from __future__ import annotations

from ..clause import Book, Errno
from ..sock import ESTABLISHED
from .address import check_destination_family, check_local, source, unwrap
from .choice import pick
from .demux import REGISTERED
from .ports import CONFLICT, DUAL, NOWHERE, Claim, Endpoint, claim_of
from .state import Machine
from .stream import BOUND, INITIAL

BOOK = Book()
_UDP = "pkg/tcpip/transport/udp/endpoint.go"

UDP_ONCE = BOOK("udp-bind-once", "bind() of a socket that is bound or connected is EINVAL.", f"{_UDP} bindLocked")
EXHAUSTED = BOOK(
    "udp-ports-exhausted",
    "No port is left: EADDRINUSE for bind(), EAGAIN where connect() or sendto() would bind.",
    "pkg/sentry/socket/netstack/netstack.go sock.Bind",
)
TUPLE = BOOK(
    "udp-tuple-busy",
    "connect() over the 4-tuple of another socket is EADDRINUSE, unless all have SO_REUSEADDR, and loses the port.",
    f"{_UDP} registerWithStack",
)
LOSES = BOOK(
    "udp-failed-connect-loses-port",
    "After that the port is given back and no datagram arrives, though getsockname() still shows it.",
    f"{_UDP} Connect, registerWithStack",
)
RELATCHED = BOOK(
    "udp-options-latched-again",
    "connect() latches the flags anew; the reservation that bind() made keeps its own, for good if they differ.",
    f"{_UDP} registerWithStack (boundPortFlags)",
)
DISCONNECT = BOOK(
    "udp-disconnect-drops-port",
    "Disconnecting drops a port that connect() chose, and getsockname() shows 0.",
    f"{_UDP} Disconnect",
)
REFUSED = BOOK(
    "udp-refused",
    "A datagram to nobody makes the next call on a connected socket ECONNREFUSED.",
    f"{_UDP} HandleError",
)
PORT_ZERO = BOOK("udp-port-zero", "A datagram to port 0 is EINVAL.", f"{_UDP} prepareForWrite")
NO_DESTINATION = BOOK(
    "udp-no-destination",
    "send() on an unconnected socket binds it, and is EDESTADDRREQ.",
    f"{_UDP} prepareForWriteInner",
)
NOT_CONNECTED = BOOK(
    "udp-not-connected", "shutdown() of a socket that is not connected is ENOTCONN.", f"{_UDP} Shutdown"
)
SHUT = BOOK("udp-shut-down", "Sending after shutdown(WR) is EPIPE.", "pkg/tcpip/transport/internal/network/endpoint.go")


def _register(m: Machine, sk: Endpoint, nets: tuple[int, ...], port: int) -> None:
    """registerWithStack, with the addresses that `sk` has now. Raises Errno."""
    claim = Claim(nets, "udp", sk.laddr, sk.wants(m), sk.device)
    table = m.state.ports
    if not sk.port:
        if port:
            if not table.available(claim.at(port)):
                raise Errno("EADDRINUSE", m.met(table.holder(claim), CONFLICT))
        else:
            port = pick(m, lambda p: table.available(claim.at(p), False))
            if not port:
                raise Errno("EAGAIN", EXHAUSTED)
        table.reserve(claim.at(port))
    else:
        port = sk.port
    old = sk.port, sk.on_device
    sk.port, sk.on_device = port, sk.device
    if RELATCHED in m.on or not old[0]:
        sk.flags = claim.flags
    if other := m.state.demux.register(sk, nets):
        sk.port, sk.on_device = old
        if LOSES in m.on or not sk.port:
            table.release(claim.at(port))
            sk.flags = 0
        raise Errno("EADDRINUSE", m.met(other, TUPLE if sk.raddr else REGISTERED))
    sk.nets, sk.shown = nets, port


def bind(m: Machine, sk: Endpoint, host: str, port: int, errno: str = "EADDRINUSE") -> None:
    """bindLocked; an empty `host` is the wildcard. Raises Errno."""
    if sk.state != INITIAL:
        raise Errno("EINVAL", UDP_ONCE)
    address, net = unwrap(m, sk, host, True)
    check_local(m, address)
    nets: tuple[int, ...] = (net,)
    if net == 6 and not address and not sk.v6only and DUAL in m.on:
        nets = (6, 4)
    before, sk.laddr = sk.laddr, address
    try:
        _register(m, sk, nets, port)
    except Errno as error:
        sk.laddr = before
        raise Errno(errno if error.clause == EXHAUSTED else error.name, error.clause) from None
    sk.was_bound, sk.bind_addr, sk.state, sk.fixed = True, address, BOUND, bool(address)


def connect(m: Machine, sk: Endpoint, host: str, port: int) -> None:
    """ConnectAndThen. Raises Errno."""
    check_destination_family(sk, host)
    address, net = unwrap(m, sk, host)
    origin = source(m, sk, address, net, False)
    nets: tuple[int, ...] = (net,)
    if net == 6 and not sk.v6only:
        nets = (4, 6)
    before = sk.laddr, sk.raddr, sk.rport
    if sk.port:
        m.state.demux.unregister(sk, sk.flags)
    if sk.state == INITIAL:
        sk.laddr = origin
    sk.raddr, sk.rport = address, port
    try:
        _register(m, sk, nets, 0)
    except Errno:
        sk.laddr, sk.raddr, sk.rport = before
        raise
    sk.state, sk.fixed = ESTABLISHED, False
    sk.options["source"] = origin


def disconnect(m: Machine, sk: Endpoint) -> None:
    """endpoint.Disconnect. Raises Errno."""
    if sk.state != ESTABLISHED:
        return
    demux_ = m.state.demux
    flags, remote = sk.flags, (sk.raddr, sk.rport)
    if sk.was_bound or DISCONNECT not in m.on:
        nets, device = sk.nets, sk.on_device
        sk.raddr, sk.rport = NOWHERE
        try:
            _register(m, sk, nets, 0)
        except Errno:
            sk.raddr, sk.rport = remote
            raise
        flags = sk.flags
        sk.raddr, sk.rport = remote
        now, sk.on_device = sk.on_device, device
        demux_.unregister(sk, flags)
        sk.on_device = now
        sk.laddr, sk.state = sk.bind_addr, BOUND
    else:
        m.state.ports.release(claim_of(sk))
        demux_.unregister(sk, flags)
        sk.port = sk.shown = sk.flags = 0
        sk.laddr, sk.state = "", INITIAL
    sk.raddr, sk.rport = NOWHERE


def host(sk: Endpoint) -> str:
    """GetLocalAddress."""
    return sk.options["source"] if sk.state == ESTABLISHED else sk.bind_addr


def send(m: Machine, sk: Endpoint, to: str, port: int) -> None:
    """endpoint.write. Raises Errno."""
    if to:
        check_destination_family(sk, to)
    if sk.error:
        error, sk.error = sk.error, ""
        raise Errno(error, REFUSED)
    if sk.state == INITIAL:
        bind(m, sk, "", 0, "EAGAIN")
    if not to and sk.state == BOUND:
        raise Errno("EDESTADDRREQ", NO_DESTINATION)
    if to and not port:
        raise Errno("EINVAL", PORT_ZERO)
    if sk.shut_wr:
        raise Errno("EPIPE", SHUT)
    if to:
        address, net = unwrap(m, sk, to)
        origin = source(m, sk, address, net, sk.fixed or bool(sk.device))
    else:
        address, port, origin = sk.raddr, sk.rport, sk.options["source"]
        net = 6 if ":" in address else 4
    _deliver(m, net, (origin, sk.port), (address, port))


def _deliver(m: Machine, net: int, here: tuple[str, int], there: tuple[str, int]) -> None:
    found = m.state.demux.find(net, "udp", there, here)
    if found is not None:
        if not found.shut_rd:
            found.rx += 1
        return
    clause = m.clause
    back = m.state.demux.find(net, "udp", here, there)  # who the ICMP error is for
    m.clause = clause
    if back is not None and back.state == ESTABLISHED and REFUSED in m.on:
        back.error = "ECONNREFUSED"


def receive(sk: Endpoint, all_: bool) -> bool:
    """endpoint.Read; False where it waits. Raises Errno."""
    if sk.error:
        error, sk.error = sk.error, ""
        raise Errno(error, REFUSED)
    if sk.rx:
        sk.rx = 0 if all_ else sk.rx - 1
        if not all_:
            return True
    return sk.shut_rd


def shutdown(sk: Endpoint, how: str) -> None:
    """endpoint.Shutdown. Raises Errno."""
    if sk.state == INITIAL:
        raise Errno("ENOTCONN", NOT_CONNECTED)
    sk.shut_wr = sk.shut_wr or how != "RD"
    sk.shut_rd = sk.shut_rd or how != "WR"
    if sk.state == BOUND:
        raise Errno("ENOTCONN", NOT_CONNECTED)


def close(m: Machine, sk: Endpoint) -> None:
    """endpoint.Close."""
    if sk.state != INITIAL:
        m.state.demux.unregister(sk, sk.flags)
        m.state.ports.release(claim_of(sk))
    sk.state, sk.open = INITIAL, False
