"""A TCP connection's life after the handshake: data, ends, resets and what they leave. Common to all families.

What differs is the family's: `Lives.release` (a socket gives back its port), `Lives.remain` (what TIME_WAIT keeps).
Segments on loopback arrive at once: FIN_WAIT1, CLOSING and LAST_ACK have passed when a call returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, Protocol, TypeVar

from . import machine
from .clause import Unknown
from .sock import CLOSE, CLOSE_WAIT, ESTABLISHED, FIN_WAIT2, LAST_ACK, LISTEN, SYN_RECV, TIME_WAIT, Sock

Machine = machine.Machine[Any]  # of whatever family


Stay = tuple[float, float]  # seconds, at least and at most
ALWAYS = (inf, inf)
T = TypeVar("T", bound=Sock)
SOON = 0.5  # seconds that the end of an MPTCP connection may take
DRIFT = 0.5  # seconds that calls may take beside the waits of a scenario


class Lives(Protocol):
    """What a family decides at the ends of a connection."""

    def release(self, m: Machine, sk: Sock) -> None:
        """`sk` holds its port no longer."""

    def done(self, m: Machine, sk: Sock) -> None:
        """`sk` went to CLOSE with its descriptor open: what becomes of its port."""

    def remain(self, m: Machine, sk: Sock, half: bool) -> None:
        """`sk` enters TIME_WAIT; with `half` it is FIN_WAIT2 and no descriptor refers to it."""

    def stay(self, m: Machine, sk: Sock, half: bool) -> Stay:
        """How long `sk` is in TIME_WAIT; with `half` in FIN_WAIT2."""


def leave_tuple(m: Machine, sk: Sock) -> None:
    """The 4-tuple of `sk` is free again, if it is still its own."""
    if sk.raddr and m.tuples.get(sk.key) is sk:
        del m.tuples[sk.key]


def finish(m: Machine, lives: Lives, sk: Sock) -> None:
    """The connection of `sk` is over on its side."""
    leave_tuple(m, sk)
    sk.state = CLOSE
    if sk.open:
        lives.done(m, sk)
    else:
        lives.release(m, sk)


def send_fin(m: Machine, lives: Lives, sk: Sock) -> None:
    """`sk` ends its direction; whoever ends first keeps FIN_WAIT2, then TIME_WAIT."""
    peer, sk.shut_wr = sk.peer, True
    if peer is sk:
        sk.fin = sk.ended = True
        lives.remain(m, sk, False)
        return
    if sk.state == CLOSE_WAIT:
        crossed = m.choose(3) if sk.twofold else 0
        if crossed == 1:  # the FINs of both sides cross
            lives.remain(m, sk, False)
        elif crossed:  # they are still on their way
            sk.state = LAST_ACK
            last(m, sk, (0, SOON))
        else:
            finish(m, lives, sk)
    elif sk.state == ESTABLISHED:
        sk.state = FIN_WAIT2
        if not sk.open and sk.linger2 < 0 and peer is not None:  # it ends when its FIN is acknowledged
            _take_fin(m, lives, peer)
            send_reset(m, lives, sk)
            return
        if not sk.open:
            lives.remain(m, sk, True)
    if peer is not None:
        _take_fin(m, lives, peer)


def end(m: Machine, lives: Lives, sk: Sock) -> None:
    """shutdown(WR) of a connected socket."""
    if sk.proto == "tcp" and sk.state in (ESTABLISHED, CLOSE_WAIT):
        send_fin(m, lives, sk)
    sk.shut_wr = True


def _take_fin(m: Machine, lives: Lives, sk: Sock) -> None:
    sk.fin = sk.ended = True
    if sk.state == ESTABLISHED:
        sk.state = CLOSE_WAIT
    elif sk.state == FIN_WAIT2:
        if sk.twofold and not sk.open and m.choose(2):  # it is still on its way
            last(m, sk, (0, SOON))
        else:
            lives.remain(m, sk, False)
    elif sk.state == TIME_WAIT and sk.half:
        sk.half = False
        last(m, sk, lives.stay(m, sk, False))


def last(m: Machine, sk: Sock, stay: Stay) -> None:
    """From now on `sk` stays as it is for so long."""
    sk.since, sk.ends = m.now, (m.now + stay[0] - DRIFT, m.now + stay[1] + DRIFT)


def over(m: Machine, socks: Iterable[T]) -> list[T]:
    """Those whose time has ended; where it may have, the first of them in time up to any."""
    due = sorted((sk for sk in socks if sk.ends[0] < m.now), key=lambda sk: sk.ends)
    sure = [sk for sk in due if sk.ends[1] <= m.now]
    open_ = [sk for sk in due if sk.ends[1] > m.now]
    return sure + open_[: m.choose(len(open_) + 1) if open_ else 0]


def elapse(m: Machine, lives: Lives) -> None:
    """Time has passed: TIME_WAIT ends by it, and so does FIN_WAIT2, or its first part."""
    gone = over(m, m.tuples.values())
    while gone:
        gone = over(m, [rest for sk in gone if (rest := _ended(m, lives, sk))])


def _ended(m: Machine, lives: Lives, sk: Sock) -> Sock | None:
    """The time of `sk` is over; returns what then takes its place."""
    key, ends = sk.key, sk.ends
    sk.ends = ALWAYS
    if sk.state in (TIME_WAIT, LAST_ACK, SYN_RECV):
        finish(m, lives, sk)
        return None
    if sk.ended:  # the peer's end has come at last
        lives.remain(m, sk, False)
        return None
    stay = lives.stay(m, sk, True)
    lives.remain(m, sk, True)
    small = m.tuples[key]
    small.ends = ends[0] + stay[0], ends[1] + stay[1]
    return small


def survive(m: Machine, lives: Lives, sk: Sock, small: Sock, half: bool) -> None:
    """`small` takes the place of `sk` in TIME_WAIT, or with `half` in FIN_WAIT2."""
    if sk in m.called:
        m.called[small] = m.called[sk]
    small.state, small.half, small.open = TIME_WAIT, half, False
    last(m, small, lives.stay(m, sk, half))
    small.peer, sk.peer = sk.peer, None
    if small.peer is not None and small.peer is not sk:
        small.peer.peer = small
    finish(m, lives, sk)
    m.tuples[small.key] = small


def send_reset(m: Machine, lives: Lives, sk: Sock) -> None:
    """`sk` aborts its connection: nothing remains on either side."""
    peer = sk.peer
    sk.peer = None
    finish(m, lives, sk)
    if peer is not None and peer is not sk:
        take_reset(m, lives, peer)


def take_reset(m: Machine, lives: Lives, sk: Sock) -> None:
    """The peer of `sk` has reset the connection. Raises Unknown."""
    if sk.mptcp and sk.state == FIN_WAIT2 and not sk.open:
        raise Unknown("an MPTCP connection that is reset after close()")
    sk.peer = None
    if sk.state == TIME_WAIT:
        leave_tuple(m, sk)
        lives.release(m, sk)
    elif sk.state != CLOSE:
        sk.error = "EPIPE" if sk.state == CLOSE_WAIT else "ECONNRESET"
        sk.fin = True
        finish(m, lives, sk)


def close(m: Machine, lives: Lives, sk: Sock) -> None:
    """close(2) of a stream socket: by FIN, or by reset where data is unread or SO_LINGER is 0 s."""
    sk.open = False
    if sk.state == LISTEN:
        stop_listening(m, lives, sk)
        lives.release(m, sk)
    elif sk.state == CLOSE:
        lives.release(m, sk)
    elif sk.rx or sk.linger == 0 or (sk.state == FIN_WAIT2 and sk.linger2 < 0):
        send_reset(m, lives, sk)
    elif sk.state == FIN_WAIT2:
        lives.remain(m, sk, True)
    else:
        send_fin(m, lives, sk)


def stop_listening(m: Machine, lives: Lives, sk: Sock) -> None:
    """The listener goes: connections that nobody accepted are reset."""
    queue, sk.queue = sk.queue, []
    m.listeners[sk.port].remove(sk)
    if sk.group is not None:
        sk.group.remove(sk)
        sk.group = None
    sk.state = CLOSE
    for child in queue:
        child.open = False
        send_reset(m, lives, child)


def send(m: Machine, lives: Lives, sk: Sock) -> str:
    """One byte to the peer: ok, or the errno."""
    if sk.error:
        error, sk.error = sk.error, ""
        return error
    if sk.shut_wr or sk.state not in (ESTABLISHED, CLOSE_WAIT):
        return "EPIPE"
    peer = sk.peer
    deaf = peer is not None and peer.state == FIN_WAIT2 and (peer.shut_rd or not peer.open)
    if peer is not None and deaf and peer.mptcp:  # it takes what comes
        peer.rx += peer.open
        return "ok"
    if peer is None or deaf or peer.state in (TIME_WAIT, CLOSE):
        if peer is not None:
            take_reset(m, lives, peer)
        take_reset(m, lives, sk)
    else:
        peer.rx += 1
    return "ok"


def receive(m: Machine, sk: Sock, all_: bool, end_first: bool = False) -> str:
    """Read one byte, or `all_` up to the end of stream: ok, an errno, or nothing where there is nothing to return.

    `end_first`: the peer's end of stream is told before an error that came after it.
    """
    if sk.state == LISTEN:
        return "ENOTCONN"
    if sk.rx:
        sk.rx = 0 if all_ else sk.rx - 1
        if not all_:
            return "ok"
    if sk.error and not (end_first and sk.ended):
        error, sk.error = sk.error, ""
        return error
    if sk.fin or sk.shut_rd:
        return "ok"
    return "ENOTCONN" if sk.state == CLOSE else "nothing"
