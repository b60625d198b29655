"""What came of a connect: at once, by what the program asks next, or at the last moment before its socket is closed."""

from __future__ import annotations

import errno
import socket
from typing import Any

from .events import NO_CALL, Known, Tape
from .looks import PLAIN_HOSTS, option, own_of, peer_of

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})
_ENDED = frozenset({errno.EPIPE, errno.ECONNRESET})  # it was connected, and what was sent came to nobody


def ended(tape: Tape, known: Known, sock: Any, event: list[Any], number: int) -> None:
    """What came of a connect so far: maybe only that it is under way; asked by another connect, that it is done."""
    if known.asked is event:  # it was known already what came of it
        known.asked = None
        return
    address = event[2][0]
    if address is None and number and number not in _UNDER_WAY:
        number = NO_CALL
    if number == NO_CALL:
        if known.pending is not event:
            event[3] = number
            tape.amend(event)
        return
    if address is None or address[0] not in PLAIN_HOSTS:
        event[2] = (peer_of(sock) or address or own_of(sock), own_of(sock))
    if number:
        if number in _UNDER_WAY:
            known.pending = event
            return
        if number == errno.EISCONN and known.pending is event:
            number = 0
    event[3], known.pending, known.connected = number, None, number == 0
    if tape.spool is not None:
        tape.amend(event)


def settle(tape: Tape, sock: Any, known: Known) -> None:
    """The last chance to learn what came of a connect: nobody else asks for the socket's error any more."""
    number = 0 if peer_of(sock) else option(sock, socket.SOL_SOCKET, socket.SO_ERROR)
    if number in _ENDED:
        number = 0
    elif not number and not peer_of(sock):
        return
    if known.pending is not None:
        ended(tape, known, sock, known.pending, number)
