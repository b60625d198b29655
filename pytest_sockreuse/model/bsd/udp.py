"""The BSDs: UDP's connect, send and receive; who may bind is TCP's rule."""

from __future__ import annotations

from ..clause import Book, Errno, Unknown
from ..sock import CLOSE, ESTABLISHED
from .bind import choose, pick
from .table import Machine, Pcb, find, held, insert, parsed, receiver, remove
from .tcp import PORT_ZERO, SHUT_DOWN, TUPLE_CHOICE, destination, occupy

BOOK = Book()
_UDP = "sys/netinet/udp_usrreq.c (XNU: bsd/netinet/udp_usrreq.c)"

REFUSED = BOOK(
    "udp-refused",
    "A datagram to nobody makes the next call on a connected socket ECONNREFUSED.",
    f"{_UDP} udp_notify",
    confidence="source",
)
DROPS_ADDRESS = BOOK(
    "udp-reconnect-drops-address",
    "connect() of a connected socket dissolves the connection first, and with it the local address, bound or not.",
    f"{_UDP} udp_disconnect",
    confidence="source",
)
NO_DESTINATION = BOOK(
    "udp-no-destination", "send() on an unconnected socket is EDESTADDRREQ.", "sys/kern/uipc_socket.c"
)
ALREADY = BOOK(
    "udp-sendto-connected", "sendto() on a connected socket is EISCONN.", f"{_UDP} udp_send", confidence="source"
)


def connect(m: Machine, sk: Pcb, host: str, port: int) -> None:
    """udp_connect. Raises Errno."""
    if sk.raddr:
        sk.raddr, sk.rport, sk.state = "", 0, CLOSE
        if DROPS_ADDRESS in m.on:
            sk.laddr = "::" if sk.family == 6 and ":" in sk.laddr else "0.0.0.0"
    if not port and PORT_ZERO in m.on:
        raise Errno("EADDRNOTAVAIL", PORT_ZERO)
    if parsed(host)[2] == "multicast":
        raise Unknown("multicast")
    source, dst = destination(m, sk, host)
    occupy(m, sk, source, dst, port)
    sk.state = ESTABLISHED


def close(m: Machine, sk: Pcb) -> None:
    """udp_detach."""
    remove(m, sk)


def receive(sk: Pcb, all_: bool) -> str:
    """A datagram, an error, or nothing."""
    if sk.error:
        error, sk.error = sk.error, ""
        return error
    if sk.rx:
        sk.rx = 0 if all_ else sk.rx - 1
        if not all_:
            return "ok"
    return "ok" if sk.shut_rd else "nothing"


def send(m: Machine, sk: Pcb, host: str, port: int) -> None:
    """udp_output. Raises Errno."""
    if sk.shut_wr:
        raise Errno("EPIPE", SHUT_DOWN)
    if sk.error:
        error, sk.error = sk.error, ""
        raise Errno(error, REFUSED)
    if not host and not sk.raddr:
        raise Errno("EDESTADDRREQ", NO_DESTINATION)
    if host and sk.raddr:
        raise Errno("EISCONN", ALREADY)
    if host and not port:
        raise Errno("EADDRNOTAVAIL", PORT_ZERO)
    if host and parsed(host)[2] == "multicast":
        raise Unknown("multicast")
    source, dst = destination(m, sk, host) if host else (sk.laddr, sk.raddr)
    port = port if host else sk.rport
    if not sk.port:
        insert(m, sk, _port(m, sk, source, dst, port))
    elif host and sk.any_ and find(m, sk, source, sk.port, dst, port) is not None:
        raise Unknown("sending as a connected socket would")
    found = receiver(m, "udp", dst, port, source, sk.port)
    if found is not None:
        found.rx += 1
    elif sk.raddr and REFUSED in m.on:
        sk.error = "ECONNREFUSED"


def _port(m: Machine, sk: Pcb, source: str, dst: str, port: int) -> int:
    """The port of a socket that sends before it was bound. Raises Errno."""
    if TUPLE_CHOICE not in m.on:
        return choose(m, sk, True)

    def free(p: int) -> bool:
        return find(m, sk, source, p, dst, port) is None and not held(m, "udp", source, p)

    return pick(m, sk, free, True)
