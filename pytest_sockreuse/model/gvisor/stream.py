"""gVisor TCP: a connection's life after the handshake, and what it leaves.

Segments on loopback arrive at once: FIN_WAIT1, CLOSING and LAST_ACK have passed when a call returns.
"""

from __future__ import annotations

import contextlib

from .. import stream as lives
from ..clause import Book, Errno
from ..sock import CLOSE_WAIT, ESTABLISHED, FIN_WAIT2, LISTEN, TIME_WAIT
from .ports import Endpoint, claim_of
from .state import Machine

BOOK = Book()
_TCP = "pkg/tcpip/transport/tcp/endpoint.go"
_CONNECT = "pkg/tcpip/transport/tcp/connect.go"

INITIAL, BOUND, CLOSED, ERROR = "INITIAL", "BOUND", "CLOSED", "ERROR"
CONNECTED = (ESTABLISHED, FIN_WAIT2, CLOSE_WAIT, TIME_WAIT)
TIMEOUT = 60.0  # seconds of TIME_WAIT, and of FIN_WAIT2 without a descriptor

TW_KEEPS = BOOK(
    "time-wait-keeps-reservation",
    "TIME_WAIT, 60 s long, keeps the reservation of the dead connection with its flags.",
    "pkg/tcpip/transport/tcp/protocol.go DefaultTCPTimeWaitTimeout",
)
UNREAD = BOOK(
    "unread-data-resets",
    "close(), or shutdown() of both ways, with unread data resets the connection.",
    f"{_TCP} shutdownLocked",
)
LINGER = BOOK("linger-zero-resets", "close() with SO_LINGER 0 resets the connection.", f"{_TCP} closeLocked")
NOT_CONNECTED = BOOK(
    "not-connected", "shutdown() and reading without a connection is ENOTCONN, sending EPIPE.", f"{_TCP} shutdownLocked"
)
SHUT_LISTENER = BOOK(
    "shutdown-listener",
    "shutdown(RD) of a listener refuses connections; it keeps its port, and goes on by listen().",
    f"{_TCP} shutdownLocked (StateListen)",
)
SHUT = BOOK("shut-down", "Sending after shutdown(WR) is EPIPE.", f"{_TCP} isEndpointWritableLocked")
SHUT_AGAIN = BOOK(
    "shutdown-in-time-wait", "shutdown(WR) of a connection in TIME_WAIT is ENOTCONN.", f"{_TCP} shutdownLocked"
)
PEER = BOOK(
    "peer-decides",
    "What the peer did before shows: data, the end of stream, or an error once.",
    f"{_CONNECT} handleReset; {_TCP} checkReadLocked",
)


def cleanup(m: Machine, sk: Endpoint) -> None:
    """cleanupLocked: reset what waits, unregister, give back the port."""
    queue, sk.queue = sk.queue, []
    for child in queue:
        assert isinstance(child, Endpoint)
        child.open = False
        reset(m, child, "EPIPE")
    if sk.registered:
        m.state.demux.unregister(sk, sk.flags)
        sk.registered = False
    if sk.reserved:
        m.state.ports.release(claim_of(sk))
        sk.reserved = False
    sk.flags, sk.on_device = 0, ""


def reset(m: Machine, sk: Endpoint, error: str) -> None:
    """resetConnectionLocked: the connection of `sk` is aborted by its own side."""
    peer, sk.peer = sk.peer, None
    sk.error = error
    cleanup(m, sk)
    sk.state = ERROR
    if peer is not None and peer is not sk:
        assert isinstance(peer, Endpoint)
        take_reset(m, peer)


def take_reset(m: Machine, sk: Endpoint) -> None:
    """handleReset."""
    sk.peer = None
    late = sk.state == CLOSE_WAIT
    cleanup(m, sk)
    sk.state, sk.error = (CLOSED, "EPIPE") if late else (ERROR, "ECONNRESET")


def _wait(m: Machine, sk: Endpoint) -> None:
    sk.state = TIME_WAIT
    lives.last(m, sk, (TIMEOUT, TIMEOUT))
    if TW_KEEPS not in m.on:
        cleanup(m, sk)
        sk.state = CLOSED


def _send_fin(m: Machine, sk: Endpoint) -> None:
    peer, sk.shut_wr = sk.peer, True
    if peer is sk:
        sk.fin = sk.shut_rd = True
        _wait(m, sk)
        return
    if sk.state == CLOSE_WAIT:
        cleanup(m, sk)
        sk.state = CLOSED
    elif sk.state == ESTABLISHED:
        sk.state = FIN_WAIT2
    if isinstance(peer, Endpoint):
        peer.fin = True
        if peer.state == ESTABLISHED:
            peer.state = CLOSE_WAIT
        elif peer.state == FIN_WAIT2:
            _wait(m, peer)


def shutdown(m: Machine, sk: Endpoint, how: str) -> None:
    """Endpoint.Shutdown. Raises Errno."""
    sk.shut |= {"RD", "WR"} if how == "RDWR" else {how}
    if sk.state == LISTEN:
        if "RD" in sk.shut and SHUT_LISTENER in m.on:
            sk.shut_rd = True
            queue, sk.queue = sk.queue, []
            for child in queue:
                assert isinstance(child, Endpoint)
                reset(m, child, "EPIPE")
            sk.backlog = -1
        return
    if sk.state not in CONNECTED:
        raise Errno("ENOTCONN", NOT_CONNECTED)
    if "RD" in sk.shut:
        sk.shut_rd = True
        if "WR" in sk.shut and sk.rx and UNREAD in m.on:
            reset(m, sk, "ECONNABORTED")
            return
    if "WR" in sk.shut:
        if not sk.shut_wr:
            _send_fin(m, sk)
        elif sk.state == TIME_WAIT:
            raise Errno("ENOTCONN", SHUT_AGAIN)


def close(m: Machine, sk: Endpoint) -> None:
    """Endpoint.Close."""
    sk.open = False
    if sk.state in (ESTABLISHED, CLOSE_WAIT, FIN_WAIT2) and sk.linger == 0 and LINGER in m.on:
        reset(m, sk, "ECONNABORTED")
        return
    if sk.state in CONNECTED:
        with contextlib.suppress(Errno):
            shutdown(m, sk, "RDWR")
        if sk.state == FIN_WAIT2:
            seconds = max(float(sk.options.get("TCP_LINGER2", TIMEOUT)), 0.0)
            lives.last(m, sk, (seconds, seconds))
    else:
        cleanup(m, sk)
        sk.state = CLOSED


def elapse(m: Machine) -> None:
    """The timers of TIME_WAIT, and of FIN_WAIT2 without a descriptor."""
    for sk in lives.over(m, m.state.sockets):
        cleanup(m, sk)
        sk.state, sk.ends = CLOSED, lives.ALWAYS


def send(m: Machine, sk: Endpoint) -> None:
    """One byte to the peer. Raises Errno."""
    if sk.state == ERROR and sk.error:
        error, sk.error = sk.error, ""
        raise Errno(error, PEER)
    if sk.state not in CONNECTED:
        raise Errno("EPIPE", NOT_CONNECTED)
    if sk.shut_wr:
        raise Errno("EPIPE", SHUT)
    peer = sk.peer
    assert isinstance(peer, Endpoint)
    if peer.state == FIN_WAIT2 and (peer.shut_rd or not peer.open):
        reset(m, peer, "ECONNABORTED")
    elif not (peer.shut_rd or (peer.fin and peer is not sk)):
        peer.rx += 1


def receive(sk: Endpoint, all_: bool) -> bool:
    """Read one byte, or `all_` up to the end of stream; False where there is nothing to return. Raises Errno."""
    if sk.rx:
        sk.rx = 0 if all_ else sk.rx - 1
        if not all_:
            return True
    if sk.state == ERROR:
        if sk.error:
            error, sk.error = sk.error, ""
            raise Errno(error, PEER)
        return True
    if sk.state == CLOSED:
        return True
    if sk.state not in CONNECTED:
        raise Errno("ENOTCONN", NOT_CONNECTED)
    return sk.fin or sk.shut_rd
