"""Linux SCTP: a connection, which the standard calls an association, from connect() to its end.

All that is sent over loopback arrives at once, and so does its end. What is not acknowledged at once may hold both up.
"""

from __future__ import annotations

from ..address import parsed
from ..clause import Book, Errno
from ..sock import LISTEN, Sock
from . import address as at
from .route import NO_ROUTE
from .sctp import CONNECTED, EXHAUSTED, check_family, get_port, known, lose, put_port
from .state import Machine

BOOK = Book()
_SOCKET, _STATES = "net/sctp/socket.c", "net/sctp/sm_statefuns.c"

UNCONNECTED = BOOK(
    "sctp-not-connected",
    "Without a connection SCTP sends nothing, EPIPE, nor does a listener receive, ENOTCONN; shutdown() is ENOTCONN.",
    f"{_SOCKET} sctp_sendmsg, sctp_recvmsg; net/ipv4/af_inet.c inet_shutdown",
)
DESTINATION = BOOK(
    "sctp-destination",
    "connect() of SCTP to a wildcard, a group or 255.255.255.255 is EINVAL.",
    "net/sctp/protocol.c sctp_v4_addr_valid; net/sctp/ipv6.c sctp_v6_addr_valid",
)
TWICE = BOOK(
    "sctp-same-tuple",
    "connect() of SCTP from an address and port to where another socket is connected from there is EADDRNOTAVAIL.",
    f"{_SOCKET} sctp_connect_new_asoc (sctp_endpoint_is_peeled_off)",
)
NO_LISTENER = BOOK(
    "sctp-nobody-listens",
    "connect() of SCTP to a port without listener is ECONNREFUSED, and so it is where more than its backlog wait.",
    f"{_STATES} sctp_sf_do_5_1B_init (sk_acceptq_is_full)",
)
CHILD = BOOK(
    "sctp-child-holds-address",
    "An accepted SCTP socket holds the addresses of its listener, whose options it has.",
    f"{_SOCKET} sctp_sock_migrate",
)
OVER = BOOK(
    "sctp-ends-both-ways",
    "close() or shutdown(WR) of one end ends both: the other reads what came, then 0, and sends nothing.",
    f"{_STATES} sctp_sf_do_9_2_shutdown_ack, sctp_sf_do_4_C",
)
ABORTED = BOOK(
    "sctp-unread-aborts",
    "close() with unread data or SO_LINGER=0 is told to the other end once, ECONNRESET; no end of stream follows.",
    f"{_SOCKET} sctp_close (data_was_unread)",
)
ELSEWHERE = BOOK(
    "sctp-sends-to-peer",
    "sendto() of a connected SCTP socket to another address than its peer's, or after the end, is EADDRNOTAVAIL.",
    f"{_SOCKET} sctp_sendmsg_new_asoc",
)
#: Before it what these do is not known.
LATER = BOOK(
    "sctp-since-6-1",
    "IPv4 of an AF_INET6 SCTP socket carries data, no route is ENETUNREACH, an accepted socket has SO_REUSEPORT.",
    "net/sctp/ipv6.c, net/sctp/socket.c; seen on 6.1 and not on 5.10",
    "measured",
    since=("6.1",),
)


def connect(m: Machine, sk: Sock, host: str, port: int) -> None:
    """__sctp_connect. Raises Errno, Unknown."""
    known(m)
    if (sk.connected or sk.state == LISTEN) and CONNECTED in m.on:
        raise Errno("EISCONN", CONNECTED)
    if sk.queue or sk.shut_rd:  # shut down it does not wait for the answer
        lose(m, "connect() of a socket that was shut down, or at which some wait")
    check_family(sk, host)
    address, family, kind = parsed(host)
    if kind in ("any", "multicast", "broadcast") and DESTINATION in m.on:
        raise Errno("EINVAL", DESTINATION)
    if kind == "linklocal" or "%" in host or sk.device or m.addresses or address == "127.255.255.255":
        lose(m, "connect() to or from an address of a device")
    if not sk.any_ and ((":" in sk.laddr) != (family == 6) or not at.is_local(m, sk.laddr)):
        lose(m, "connect() from an address that does not lead there")
    _check_tuple(m, sk, address, port)
    if not sk.port:
        try:
            get_port(m, sk, 0)
        except Errno:
            raise Errno("EAGAIN", EXHAUSTED) from None
    sk.shown = sk.port
    if not at.is_local(m, address):
        if kind == "loopback" or LATER not in m.on:
            lose(m, "connect() to where no route leads")
        raise Errno("ENETUNREACH", NO_ROUTE)
    source = sk.laddr if not sk.any_ else "::1" if family == 6 else "127.0.0.1"
    if sk.port == port and (sk.any_ or sk.laddr == address):
        lose(m, "connect() of a socket to itself")
    sk.told, sk.error = _printed(sk, source), ""
    listener = _listener(m, address, port)
    if listener is None or len(listener.queue) > listener.backlog:
        sk.error = "ECONNREFUSED"
        raise Errno("ECONNREFUSED", NO_LISTENER)
    if listener.any_ and address not in ("127.0.0.1", "::1"):
        lose(m, "an answer from another address than 127.0.0.1")
    if any(one.ended and (one.raddr, one.rport) == (source, sk.port) for one in _at(m, port)):
        lose(m, "a connection that ended before it was accepted, like this one")
    if family == 4 and 6 in (sk.family, listener.family) and LATER not in m.on:
        lose(m, "a connection of an AF_INET6 socket by IPv4")
    child = Sock("sctp", listener.family, listener.user)
    child.connected, child.peer, child.port, child.laddr = True, sk, port, listener.laddr
    child.raddr, child.rport = source, sk.port
    child.told = listener.told = _printed(listener, address)
    sk.connected, sk.peer = True, child
    sk.raddr, sk.rport = address, port
    listener.queue.append(child)


def _check_tuple(m: Machine, sk: Sock, address: str, port: int) -> None:
    """Raises Errno where another socket is connected from this one's address and port to there."""
    for one in _at(m, sk.port):
        if (one.peer or one.ended) and (one.raddr, one.rport) == (address, port):
            if sk.any_ or one.any_:
                lose(m, "a second connection from a wildcard address")
            if sk.laddr == one.laddr and TWICE in m.on:
                raise Errno("EADDRNOTAVAIL", TWICE)


def _at(m: Machine, port: int) -> list[Sock]:
    """The sockets at a port, and those that wait to be accepted."""
    owners = m.state.sctp[port].owners if port in m.state.sctp else []
    return [one for sk in owners for one in (sk, *sk.queue)]


def _listener(m: Machine, address: str, port: int) -> Sock | None:
    """Who listens at an address. Raises Unknown where that are several, or one of a device."""
    found = [sk for sk in _at(m, port) if sk.state == LISTEN and _reached(sk, address)]
    if len(found) > 1 or any(sk.device for sk in found):
        lose(m, "connect() where several sockets listen, or one of a device")
    return found[0] if found else None


def _reached(sk: Sock, address: str) -> bool:
    """sctp_endpoint_is_match."""
    if sk.family == 4 if ":" in address else sk.v6only:
        return False
    return sk.any_ or sk.laddr == address


def _printed(sk: Sock, address: str) -> str:
    """An address as getsockname of `sk` prints it."""
    if sk.family == 4:
        return address
    return f"[{address}]" if ":" in address else f"[::ffff:{address}]"


def accept(m: Machine, sk: Sock) -> Sock | None:
    """sctp_accept. Raises Errno, Unknown."""
    known(m)
    if sk.shut_rd:
        lose(m, "shutdown(RD)")
    if sk.state != LISTEN:
        raise Errno("EINVAL", CONNECTED)
    if not sk.queue:
        return None
    if sk.rp and LATER not in m.on:
        lose(m, "accept() of a listener with SO_REUSEPORT")  # 5.10 does not hand it on, 6.1 does
    child = sk.queue.pop(0)
    child.have(("ra", "rp", "v6only", "linger"), sk)
    child.shown = child.port
    if child.ended:  # sctp_sock_migrate
        child.connected, child.shut_rd, child.error = False, True, ""
    if CHILD in m.on:
        m.state.sctp[child.port].owners.append(child)
    else:
        child.port = 0
    return child


def send(m: Machine, sk: Sock, host: str, port: int) -> None:
    """sctp_sendmsg. Raises Errno, Unknown."""
    known(m)
    if host and sk.state != LISTEN:
        if not sk.connected:
            lose(m, "a sendto() that connects")
        check_family(sk, host)
        if sk.peer is None or (sk.raddr, sk.rport) != (parsed(host)[0], port):
            raise Errno("EADDRNOTAVAIL", ELSEWHERE)
    if sk.peer is None:
        _tell(sk)
        raise Errno("EPIPE", UNCONNECTED)
    _acknowledge(m, sk)
    if not sk.peer.shut_rd:
        sk.peer.rx += 1


def _acknowledge(m: Machine, sk: Sock) -> None:
    """sctp_gen_sack: every other datum that comes is acknowledged at once, or with the next one that goes back."""
    peer = sk.peer
    assert peer is not None
    if sk.half:
        lose(m, "data that waits until other data is acknowledged")
    if peer.half:
        peer.half, sk.warm = False, True
    sk.half, peer.warm = peer.warm, not peer.warm


def _tell(sk: Sock) -> None:
    """sock_error: what the other end did is told once. Raises Errno."""
    if sk.error:
        error, sk.error = sk.error, ""
        raise Errno(error, ABORTED if error == "ECONNRESET" else NO_LISTENER)


def receive(m: Machine, sk: Sock, all_: bool) -> bool:
    """sctp_recvmsg. Raises Errno, Unknown."""
    known(m)
    if sk.state == LISTEN:
        raise Errno("ENOTCONN", UNCONNECTED)
    if sk.queue:
        lose(m, "recv() of a socket at which some wait")
    if sk.rx and not all_:
        sk.rx -= 1
        return True
    sk.rx = 0
    _tell(sk)
    if sk.fin or sk.shut_rd:
        return True
    if all_ and sk.peer is None:
        raise Errno("ENOTCONN", UNCONNECTED)
    return False


def shutdown(m: Machine, sk: Sock, how: str) -> None:
    """inet_shutdown. Raises Errno, Unknown."""
    known(m)
    if sk.state == LISTEN:
        if how != "WR":
            lose(m, "shutdown(RD) of a listener")
        return
    if sk.queue:
        lose(m, "shutdown() of a socket at which some wait")
    sk.shut_rd = sk.shut_rd or how != "WR"
    if not sk.connected:
        sk.connected = sk.ended and how != "RD"  # sctp_shutdown: there is a connection still
        raise Errno("ENOTCONN", UNCONNECTED)
    if how != "RD":
        _end(m, sk)


def close(m: Machine, sk: Sock) -> None:
    """sctp_close. Raises Unknown."""
    known(m)
    unread = sk.rx or any(child.rx for child in sk.queue)
    for one in (sk, *sk.queue):
        if unread or not sk.linger:
            _abort(m, one)
        else:
            _end(m, one)
    put_port(m, sk)


def _end(m: Machine, sk: Sock) -> None:
    """`sk` sends SHUTDOWN, and gets the answer."""
    peer = sk.peer
    if peer is None:
        return
    if sk.half:
        lose(m, "the end of a connection before all data is acknowledged")
    _part(sk, peer)
    peer.half = False
    if OVER in m.on:
        peer.fin = True


def _abort(m: Machine, sk: Sock) -> None:
    peer = sk.peer
    if peer is not None:
        _part(sk, peer)
        if ABORTED in m.on:
            peer.error = "ECONNRESET"


def _part(sk: Sock, peer: Sock) -> None:
    """sctp_cmd_delete_tcb: what waits to be accepted stays until it was, and is closed."""
    sk.peer = peer.peer = None
    peer.ended = not peer.shown
