"""illumos: UDP's connect, send and receive; who may bind stands with TCP's rule."""

from __future__ import annotations

from ..clause import Book, Errno, Unknown
from ..sock import ESTABLISHED
from .bind import choose
from .table import Conn, Machine, insert, owners, receiver
from .tcp import PORT_ZERO, source_of

BOOK = Book()
_UDP = "inet/udp/udp.c"

TUPLE = BOOK(
    "udp-tuple-busy",
    "connect() over the 4-tuple of another connected UDP socket is EADDRNOTAVAIL; the socket stays bound.",
    f"{_UDP} udp_do_connect (ipcl_conn_insert)",
    "source",
)
NO_DESTINATION = BOOK(
    "udp-no-destination", "send() on an unconnected socket is EDESTADDRREQ.", f"{_UDP} udp_send", "source"
)
ALREADY = BOOK("udp-sendto-connected", "sendto() on a connected socket is EISCONN.", f"{_UDP} udp_send", "source")
CONNECTED_FIRST = BOOK(
    "connected-first",
    "A datagram goes to the socket that is connected to its sender before any other.",
    "inet/ip/ipclassifier.c ipcl_classify_v4, ipcl_classify_v6",
    "source",
)


def connect(m: Machine, sk: Conn, host: str, port: int) -> None:
    """udp_do_connect. Raises Errno, Unknown."""
    source, destination = source_of(m, sk, host)
    if not port and PORT_ZERO in m.on:
        raise Errno("EADDRNOTAVAIL", PORT_ZERO)
    _place(m, sk)
    four = (source, destination, port)
    busy = [t for t in owners(m, "udp", sk.port) if t is not sk and (t.laddr, t.raddr, t.rport) == four]
    if busy and TUPLE in m.on:
        raise Errno("EADDRNOTAVAIL", m.met(busy[0], TUPLE))
    sk.laddr, sk.raddr, sk.rport = four
    sk.state = ESTABLISHED


def _place(m: Machine, sk: Conn) -> None:
    """The port of a socket that has none."""
    if not sk.port:
        address = "0.0.0.0" if sk.family == 4 else "::"
        port = choose(m, sk, address, False)
        sk.bound, sk.given = address, True
        insert(m, sk, port)


def send(m: Machine, sk: Conn, host: str, port: int) -> None:
    """udp_send. Raises Errno, Unknown."""
    if not host and not sk.raddr:
        raise Errno("EDESTADDRREQ", NO_DESTINATION)
    if host and sk.raddr:
        raise Errno("EISCONN", ALREADY)
    source, destination = source_of(m, sk, host) if host else (sk.laddr, sk.raddr)
    port = port if host else sk.rport
    if not port:
        raise Unknown("a datagram to port 0")
    _place(m, sk)
    sender = (destination, source, sk.port)
    found = next((t for t in owners(m, "udp", port) if (t.laddr, t.raddr, t.rport) == sender), None)
    if found is not None and CONNECTED_FIRST in m.on:
        m.clause = CONNECTED_FIRST
    else:
        found = receiver(m, "udp", destination, port)
    if found is None:
        sk.unsure = bool(sk.raddr)
    else:
        found.rx += 1


def receive(sk: Conn, all_: bool) -> bool:
    """Whether there is a datagram; with `all_` they are all taken. Raises Unknown."""
    if sk.rx:
        sk.rx = 0 if all_ else sk.rx - 1
        if not all_:
            return True
    if sk.unsure:
        raise Unknown("what a connected UDP socket hears of a datagram to nobody")
    return False
