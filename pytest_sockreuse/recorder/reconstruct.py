"""The trace of a process: from the events on a tape to calls on sockets.

Descriptors become sockets, addresses those of the language, and whoever was at the other end but not seen gets a
stand-in, so that the trace can be written, predicted and performed without them.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..dataclass import dataclass
from ..options import options
from ..scenario import Scenario
from . import translate
from .calls import FOREIGN, Call, Piece, Traced, pieces
from .events import NO_CALL, NO_ERRNO, Event, Trail
from .sockets import Sockets, family, is_stream
from .translate import HOW, WILDCARD, is_group, is_here, nowhere, plain


@dataclass(frozen=True, slots=True)
class Trace:
    """What a process did: its calls in order, and what was left out of them, with the number of times."""

    calls: tuple[Call, ...]
    left_out: Counter[str]
    ephemeral: tuple[int, int] | None = None  # the ports that the OS chooses from, where a test has set that

    @property
    def scenario(self) -> Scenario:
        """All of it as one scenario."""
        return Piece.of(self.calls, ephemeral=self.ephemeral).scenario

    @property
    def pieces(self) -> list[Piece]:
        """The pieces that have nothing to do with one another."""
        return list(pieces(self.calls, self.ephemeral))


def reconstruct(events: Sequence[Event], old: int = 0) -> tuple[Trace, list[Event]]:
    """The trace of `events`, of which the first `old` were before its time; and those that bear on what comes next."""
    reconstruction = _Reconstruction(events, old)
    unused = _unused(events)
    for at, event in enumerate(events):
        if at not in unused:
            reconstruction.at = at
            reconstruction.handlers[event[0]](event[1], event[2], event[3], event[4])
    trace = Trace(tuple(reconstruction.kept()), reconstruction.left_out, reconstruction.ephemeral)
    return trace, [events[at] for at in sorted(reconstruction.still_of_interest())]


def _unused(events: Sequence[Event]) -> set[int]:
    """The events of sockets that were made and closed, and nothing else: some programs make thousands."""
    made: dict[int, int] = {}
    unused: set[int] = set()
    for at, event in enumerate(events):
        if event[0] == "socket":
            made[event[1]] = at
        elif (start := made.pop(event[1], None)) is not None and event[0] == "close":
            unused |= {start, at}
    return unused


class _Reconstruction(Sockets):
    """What each kind of event changes."""

    def __init__(self, events: Sequence[Event], old: int) -> None:
        super().__init__(events, old)
        self.handlers: dict[str, Callable[[int, Any, Any, Trail], None]] = {
            "socket": self.socket, "set": self.set, "bind": self.bind, "name": self.name, "listen": self.listen,
            "connect": self.connect, "accept": self.accept, "shutdown": self.shutdown, "close": self.close,
            "dup": self.dup, "left": self.left, "fork": self.fork,
            "range": self.narrow, "kept": self.keep, "sent": self.sent,
        }  # fmt: skip

    # --- the events -----------------------------------------------------------------------------------------------

    def socket(self, fd: int, what: tuple[int, int, int], number: int, trail: Trail) -> None:
        self.reused(fd)
        kind = translate.kind(*what)
        if kind is None:
            self.left_out["a raw socket, or one of a protocol that the language does not have"] += 1
            return
        sock = Traced(kind, trail, fds={fd}, events=[self.at])
        self.fds[fd] = sock
        self.call("socket", sock, 0, trail)

    def set(self, fd: int, what: tuple[int, int, object], number: int, trail: Trail) -> None:
        option = translate.option(*what)
        sock = self.known(fd)
        if sock is None:
            return
        if option is None:
            if what[2] is None:
                self.left_out["a membership of a group, or the device that it is sent by, which cannot be told"] += 1
            return
        group = options()[option.name].form == "group"
        if group and number != errno.ENODEV:
            option = self.routed(sock, option, number)
        if number or sock.touched or group:
            self.call("set", sock, number, trail, option=option)
            return
        kept = [(other, where) for other, where in sock.options if other.name != option.name]
        if len(kept) == len(sock.options) and option.value == "0" and option.name.startswith("SO_REUSE"):
            return  # as it was
        sock.options = [*kept, (option, trail)]

    def bind(self, fd: int, what: tuple[Any, Any], number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None:
            return
        address, own = what
        name = (own or address)[0]
        absent = number == errno.EADDRNOTAVAIL and not is_group(name)
        host = nowhere(name, family(sock)) if absent else self.addresses.literal(name, family(sock))
        port = address[1]
        if host is None or not isinstance(port, int):
            self.lose(sock, "a socket bound to an address that is not known")
            return
        call = self.call("bind", sock, number, trail, host=host, port=self.port(port), number=port)
        sock.role = sock.role or ("bound" if is_stream(sock) else "udp")
        if not number:
            sock.host, sock.number, sock.named, sock.binding = host, port, port != 0, call

    def name(self, fd: int, what: tuple[str, int], number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None:
            return
        sock.number, sock.asked = what[1], not sock.role.startswith(("outgoing", "client"))
        self.chosen[sock.number] = sock
        if sock.binding is not None:
            sock.binding.number = sock.number

    def listen(self, fd: int, what: None, number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None:
            return
        call = self.call("listen", sock, number, trail, number=sock.number)
        if not number:
            sock.binding = sock.binding or call
            sock.host = sock.host or WILDCARD[family(sock)]
            if not sock.listening:
                self.listeners.append(sock)
            sock.listening, sock.role = True, "listener"

    def connect(self, fd: int, what: tuple[Any, Any], number: int | None, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None or number == NO_CALL:
            return
        if number == errno.ECONNRESET:  # it was connected, and the other end is gone already
            number = 0
        there = self.destination(*what, family(sock)) if number != NO_ERRNO else None
        if there is None:
            self.lose(sock, "a socket that connected to an address that is not known, or in vain")
            return
        host, port = there
        if port >= FOREIGN and number not in (0, None, errno.ECONNREFUSED):
            self.lose(sock, "a socket that could not reach another machine")
            return
        connected = is_stream(sock) and number == 0
        sock.role = "udp" if not is_stream(sock) else "outgoing" if sock.host else "client"
        listener = self.listener(host, port)
        for other in self.fds.values() if not number else ():
            other.served |= other.number == port and other is not sock
        if connected and listener is None and sock.number != port:
            listener = self.stranger(f"{sock.kind[:-1]}{6 if ':' in host else 4}", host, port)
        self.call("connect", sock, number, trail, host=host, port=self.port(port), number=port)
        if connected and listener is not None:
            self.waiting.setdefault(listener, []).append(sock)
            if listener.stranger:
                child = sock.peer = Traced(listener.kind, stranger=True, role="peer", parent=listener, peer=sock)
                self.call("accept", child, number=port)

    def destination(self, address: tuple[Any, ...], own: tuple[str, int] | None, family: int) -> tuple[str, int] | None:
        """Where a connection goes, and a number for its port; None where the language has no word for that."""
        target, port = address[0], address[1]
        if not isinstance(target, str) or not isinstance(port, int):
            return None
        if is_here(target) or (own is not None and plain(target) == plain(own[0])):
            host = self.addresses.literal(target, family)
        else:
            host = self.addresses.source(own, family)
            port = self.foreign.setdefault((target, port), FOREIGN + len(self.foreign))
        return (host, port) if host else None

    def accept(self, fd: int, what: tuple[int, tuple[str, int]], number: int, trail: Trail) -> None:
        listener = self.fds.get(fd)
        if listener is None or listener.lost:
            return
        child_fd, peer = what
        client = self.caller(listener, peer[1]) or self.visitor(listener)
        self.chosen.setdefault(peer[1], client)
        child = Traced(
            listener.kind, trail, role="child", parent=listener, peer=client, fds={child_fd}, events=[self.at]
        )
        client.peer, listener.served = child, True
        self.reused(child_fd)
        self.fds[child_fd] = child
        self.call("accept", child, 0, trail, number=listener.number)

    def shutdown(self, fd: int, how: int, number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None or how not in HOW:
            return
        if number == errno.ENOTCONN and sock.peer is not None:  # the other end closed without having read all
            self.send(sock, sock.peer)
        else:
            self.call("shutdown", sock, number, trail, how=HOW[how])

    def dup(self, fd: int, copy: int, number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is not None:
            self.reused(copy)
            sock.fds.add(copy)
            self.fds[copy] = sock

    def left(self, fd: int, what: None, number: int, trail: Trail) -> None:
        """The process that made a socket has closed it, and others have it still."""
        sock = self.known(fd)
        if sock is None:
            return
        heir = self.fds[fd] = self.copy(sock, "heir")
        heir.fds, heir.events, sock.fds = {fd}, [self.at], set()
        if sock in self.listeners:
            self.listeners[self.listeners.index(sock)] = heir
        if sock in self.waiting:
            self.waiting[heir] = self.waiting.pop(sock)
        self.call("close", sock)

    def fork(self, fd: int, what: None, number: int, trail: Trail) -> None:
        """From here on these are the calls of a child: what is open has its parent too."""
        self.inherited = set(self.fds.values())

    def reused(self, fd: int) -> None:
        """A new socket has this descriptor: one that had it was closed where nobody saw it."""
        if fd in self.fds:
            self.close(fd, (False, False), 0, ())

    def close(self, fd: int, what: tuple[bool, bool], number: int, trail: Trail) -> None:
        sock = self.known(fd)
        self.fds.pop(fd, None)
        if sock is None:
            return
        sock.fds.discard(fd)
        if sock.fds:
            return
        if sock in self.inherited:
            self.copy(sock, "parent").stranger = True
            self.call("close", sock)
            return
        unread, gone = what
        peer = sock.peer if sock.peer is not None and not sock.peer.lost else None
        if unread and peer is not None:
            self.send(peer, sock)
        if peer is not None and peer.stranger and gone:
            self.call("close", peer)
        self.call("close", sock)
        if peer is not None and peer.stranger and not gone:
            self.call("close", peer)
        if sock in self.listeners:
            self.listeners.remove(sock)

    def narrow(self, fd: int, ports: tuple[int, int], number: int, trail: Trail) -> None:
        if self.at >= self.old:
            self.ephemeral = ports[0], ports[1]

    def keep(self, fd: int, what: object, number: int, trail: Trail) -> None:
        self.left_out["a bind to a port that held_port still keeps"] += 1

    def sent(self, fd: int, address: tuple[str, int], number: int, trail: Trail) -> None:
        """A datagram to a port of ours: whoever has it is no mere look whether it is free."""
        for sock in self.fds.values():
            sock.served |= sock.number == address[1]
