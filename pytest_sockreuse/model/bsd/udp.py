"""The BSDs: UDP's connect, send and receive; who may bind is TCP's rule."""

from __future__ import annotations

from ..clause import Book, Declared, Errno, Unknown
from ..sock import CLOSE, ESTABLISHED
from . import multicast
from .address import (
    ANY_UNREACHABLE,
    CONNECT_ANY,
    MAPPED_FIRST,
    MAPPED_ON_V6ONLY,
    NO_MAPPED,
    is_local,
    leaves,
    parsed,
    port_given,
    reached,
    right_family,
)
from .bind import choose
from .table import OWN_TABLES, Machine, Pcb, find, insert, receiver, remove, unhash
from .tcp import SHUT_DOWN, number_for, occupy

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
    "connect() of a connected socket dissolves the connection first, even where it fails then, and with it the local "
    "address, bound or not; the port stays.",
    f"{_UDP} udp_disconnect",
)
NO_DESTINATION = BOOK(
    "udp-no-destination", "send() on an unconnected socket is EDESTADDRREQ.", "sys/kern/uipc_socket.c"
)
ALREADY = BOOK("udp-sendto-connected", "sendto() on a connected socket is EISCONN.", f"{_UDP} udp_send")
# What only some of the systems have: their books say which, and where it is written.
NOWHERE = Declared(
    "dissolved-udp-is-nowhere",
    "A UDP socket whose connection was dissolved is in no table: anybody may bind its port, nothing arrives; a later "
    "connect() puts it back at its port without a look for others.",
)
FORGETS = Declared("connect-forgets-refusal", "connect() forgets a refusal of a datagram that came before.")
TELLS = Declared(
    "connect-tells-refusal",
    "connect() answers a refusal that came before, and connects; one that comes later is lost.",
)
LATE = Declared("refusal-may-be-late", "The refusal of a datagram may come after the next call, or the one after that.")
TO_PORT_ZERO = Declared(
    "bound-sends-to-port-zero", "sendto() to port 0 of an IPv4 address is ok from a socket that is bound to an address."
)
SENDS_BY_TUPLE = Declared(
    "sendto-looks-for-the-tuple",
    "sendto() to an IPv4 address from a wildcard socket over a connected socket's 4-tuple is EADDRINUSE.",
)
BIND_CHOICE = Declared(
    "ipv6-sendto-chooses-as-bind",
    "sendto() to an IPv6 address chooses its port as bind(0) of `::` does, not by 4-tuple.",
)
UNLISTED = Declared("ipv6-sendto-port-unseen", "A port that sendto() of an AF_INET6 socket took is seen by no bind().")
SWALLOWS = Declared("sendto-swallows-exhaustion", "sendto() that finds no port left is ok, and sends nothing.")
CONNECTED_FIRST = Declared(
    "udp-connected-before-family",
    "sendto() of an AF_INET socket to an IPv6 address is EISCONN if it is connected, else EINVAL.",
)
PORT_FIRST = Declared(
    "ipv6-sendto-port-zero-first",
    "sendto() to port 0 of an IPv6 address is EADDRNOTAVAIL, also on a connected socket; IPv4's is EISCONN there.",
)
PORT_FIRST_TOO = Declared("sendto-port-zero-first", "sendto() looks at port 0 before whether the socket is connected.")


def connect(m: Machine, sk: Pcb, host: str, port: int) -> None:
    """udp_connect. Raises Errno, or Unknown."""
    if sk.raddr == "::":
        raise Errno("EISCONN", CONNECT_ANY)
    dissolve(m, sk)
    right_family(m, sk, host)
    before = sk.v4, sk.v6
    try:
        source, dst = m.state.traits.aim(m, sk, host, port)
        if not is_local(m, dst):
            raise Unknown("a UDP connection to an address that is not local")
        occupy(m, sk, source, dst, port)
    except Errno:
        if not sk.port:
            sk.v4, sk.v6 = before
        raise
    sk.state = ESTABLISHED
    if TELLS in m.on:
        error, sk.error = _arrived(m, sk), ""
        if error:
            raise Errno(error, TELLS)


def _arrived(m: Machine, sk: Pcb) -> str:
    """The error that has come in, which a call takes away."""
    if not sk.error or (LATE in m.on and m.choose(2)):
        return ""
    error, sk.error = sk.error, ""
    return error


def dissolve(m: Machine, sk: Pcb) -> None:
    """sodisconnect, udp_disconnect: a connected socket is connected no longer."""
    if FORGETS in m.on:
        sk.error = ""
    if not sk.raddr:
        return
    sk.raddr, sk.rport, sk.state = "", 0, CLOSE
    if DROPS_ADDRESS in m.on:
        sk.laddr = "::" if sk.family == 6 and (":" in sk.laddr or OWN_TABLES in m.on) else "0.0.0.0"
    if NOWHERE in m.on:
        unhash(m, sk)


def close(m: Machine, sk: Pcb) -> None:
    """udp_detach."""
    remove(m, sk)


def receive(sk: Pcb, all_: bool) -> str:
    """A datagram, an error, or nothing."""
    if sk.rx:
        sk.rx = 0 if all_ else sk.rx - 1
        if not all_:
            return "ok"
    if sk.error:
        error, sk.error = sk.error, ""
        return error
    return "ok" if sk.shut_rd else "nothing"


def shutdown(sk: Pcb, how: str) -> None:
    """udp_shutdown, sorflush: what was received is thrown away."""
    if how != "WR":
        sk.shut_rd, sk.rx = True, 0
    sk.shut_wr = sk.shut_wr or how != "RD"


def send(m: Machine, sk: Pcb, host: str, port: int) -> None:
    """sosend, udp_send, udp6_send. Raises Errno, or Unknown."""
    if sk.shut_wr:
        raise Errno("EPIPE", SHUT_DOWN)
    if error := _arrived(m, sk):
        raise Errno(error, REFUSED)
    if host:
        _sendto(m, sk, host, port)
    elif not sk.raddr:
        raise Errno("EDESTADDRREQ", NO_DESTINATION)
    elif sk.raddr == "::":
        raise Errno("ENOTCONN", CONNECT_ANY)
    else:
        _deliver(m, sk, sk.laddr, sk.raddr, sk.rport)


def _sendto(m: Machine, sk: Pcb, host: str, port: int) -> None:
    _may_send(m, sk, host, port)
    address, family, kind = parsed(host)
    if family == 6 and kind == "any":
        if ANY_UNREACHABLE not in m.on:
            raise Unknown("sendto() to ::")
        raise Errno("EHOSTUNREACH", ANY_UNREACHABLE)
    choosing = not sk.port or sk.any_ or kind == "any"
    if choosing or family == 6 or TO_PORT_ZERO not in m.on:
        port_given(m, port)
    if kind == "multicast" and family == 4:
        _to_group(m, sk, address, port)
        return
    source, dst = reached(m, sk, address, family)
    if not sk.port:
        _take_port(m, sk, source, dst, port)
    elif SENDS_BY_TUPLE in m.on and family == 4 and (choosing if sk.family == 6 or OWN_TABLES not in m.on else True):
        other = find(m, sk, source, sk.port, dst, port)
        if other is not None and (OWN_TABLES not in m.on or sk.family == 4):
            raise Errno("EADDRINUSE", m.met(other, SENDS_BY_TUPLE))
    leaves(m, dst)
    if not port:
        m.clause = TO_PORT_ZERO
    elif sk.port:
        _deliver(m, sk, source, dst, port)


def _to_group(m: Machine, sk: Pcb, group: str, port: int) -> None:
    """A datagram to a group of IPv4. Raises Errno, or Unknown."""
    multicast.device_for(m, sk)
    if not port:
        raise Unknown("multicast")
    if not sk.port:
        _take_port(m, sk, multicast.LOOPBACK, group, port)
    multicast.deliver(m, sk, group, port)


def _may_send(m: Machine, sk: Pcb, host: str, port: int) -> None:
    """What sendto() refuses before it looks for a way to the destination. Raises Errno, or Unknown."""
    connected = sk.raddr not in ("", "::")
    if CONNECTED_FIRST in m.on and sk.family == 4:
        if connected:
            raise Errno("EISCONN", ALREADY)
        if ":" in host:
            raise Errno("EINVAL", CONNECTED_FIRST)
    right_family(m, sk, host)
    native = ":" in parsed(host)[0]
    mapped = sk.family == 6 and not native
    no_mapped = mapped and sk.v6only and MAPPED_ON_V6ONLY in m.on
    if no_mapped and MAPPED_FIRST in m.on:
        raise Errno("EINVAL", MAPPED_ON_V6ONLY)
    if (PORT_FIRST in m.on and (native or (mapped and OWN_TABLES in m.on))) or PORT_FIRST_TOO in m.on:
        port_given(m, port)
    if connected:
        raise Errno("EISCONN", ALREADY)
    if mapped and NO_MAPPED in m.on:
        raise Errno("EADDRNOTAVAIL", NO_MAPPED)
    if no_mapped or (mapped and ":" in sk.laddr and not sk.any_ and OWN_TABLES in m.on):
        raise Errno("EINVAL", MAPPED_ON_V6ONLY)
    if mapped and sk.v6only:
        raise Unknown("UDP with IPV6_V6ONLY to a v4-mapped address")
    if (mapped and ":" in sk.laddr and not sk.any_) or (native and ":" not in sk.laddr):
        raise Unknown("sending from one address family to the other")


def _take_port(m: Machine, sk: Pcb, source: str, dst: str, port: int) -> None:
    """The port of a socket that sends before it was bound. Raises Errno."""
    try:
        number = choose(m, sk) if ":" in dst and BIND_CHOICE in m.on else number_for(m, sk, source, dst, port)
    except Errno as full:
        if full.name != "EAGAIN" or SWALLOWS not in m.on:
            raise
        m.clause = SWALLOWS
        return
    sk.listed = sk.family == 4 or UNLISTED not in m.on
    insert(m, sk, number)


def _deliver(m: Machine, sk: Pcb, source: str, dst: str, port: int) -> None:
    """A datagram at the other side, which is this host."""
    found = receiver(m, sk, dst, port, source)
    if found is not None:
        found.rx += 1
    elif sk.raddr not in ("", "::") and REFUSED in m.on:
        sk.error = "ECONNREFUSED"
