"""The sockets of a process as the events so far left them, and stand-ins for those that were not seen."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..scenario import Option
from . import translate
from .calls import MATTERS, Call, Traced
from .devices import CHOSEN, JOINS, LEAVES
from .events import Event, Trail, staged
from .translate import LOOPBACK, WILDCARD, Addresses, plain


class Sockets:
    """What is known of them, and the `calls` that they made."""

    def __init__(self, events: Sequence[Event], old: int) -> None:
        self.events, self.old, self.at = events, old, 0
        self.calls: list[Call] = []
        self.left_out: Counter[str] = Counter()
        self.fds: dict[int, Traced] = {}
        self.inherited: set[Traced] = set()  # what a forked child has of its parent, who has it too
        self.listeners: list[Traced] = []
        self.waiting: dict[Traced, list[Traced]] = {}  # clients that a listener has not accepted, in order
        self.chosen: dict[int, Traced] = {}  # port that the OS chose -> for whom
        self.outside: dict[tuple[str, int], Traced] = {}  # listeners that were not seen
        self.addresses = Addresses()
        self.ephemeral: tuple[int, int] | None = None
        self.foreign: dict[tuple[str, int], int] = {}  # ports elsewhere

    def call(self, verb: str, sock: Traced, code: int | None = 0, trail: Trail = (), **more: object) -> Call:
        """Add a call; `code` is its errno."""
        old = self.at < self.old or staged(trail)
        call = Call(verb, sock, "ok" if code == 0 else translate.outcome(code), trail, old=old, **more)  # type: ignore[arg-type]
        self.calls.append(call)
        sock.touched = verb != "socket"
        return call

    def lose(self, sock: Traced, why: str) -> None:
        """Leave a socket out: what it did cannot be written in the language."""
        sock.lost = True
        self.left_out[why] += 1
        if sock in self.listeners:
            self.listeners.remove(sock)

    def known(self, fd: int) -> Traced | None:
        sock = self.fds.get(fd)
        if sock is None or sock.lost:
            return None
        sock.events.append(self.at)
        return sock

    def kept(self) -> Iterator[Call]:
        """The calls of sockets that had to do with a port, and are not left out."""
        matter = {call.sock for call in self.calls if call.verb in MATTERS and not call.sock.lost}
        matter -= {sock for sock in matter if sock.parent is not None and sock.parent.lost}
        matter |= {call.sock for call in self.calls if call.sock.copy_of in matter}
        for call in self.calls:
            if call.sock not in matter:
                continue
            if isinstance(call.port, Traced) and call.port.lost:
                call.port = call.number
            yield call

    def still_of_interest(self) -> set[int]:
        """The events of sockets that are open, and of the listeners that they came from."""
        alive = {sock for sock in self.fds.values() if not sock.lost}
        alive |= {sock.copy_of for sock in alive if sock.copy_of is not None}
        alive |= {sock.parent for sock in alive if sock.parent is not None}
        return {at for sock in alive for at in sock.events}

    def copy(self, sock: Traced, role: str) -> Traced:
        """A second descriptor of a socket, which somebody else has."""
        copy = replace(sock, trail=(), role=role, copy_of=sock, options=[], fds=set(), events=[])
        self.call("dup", copy)
        return copy

    def routed(self, sock: Traced, option: Option, number: int) -> Option:
        """A membership whose device the system chose: of one that there is already its own, else what stands for it."""
        value = option.value or ""
        if "%" in value or value.startswith("raw:"):
            return option
        joined: list[str] = []
        for other in (call.option for call in self.calls if call.sock is sock and call.option and call.outcome == "ok"):
            if other.name in JOINS:
                joined.append(other.value or "")
            elif other.name in LEAVES and other.value in joined:
                joined.remove(other.value)
        if number == errno.EADDRINUSE or option.name in LEAVES:
            value = next((one for one in joined if one.startswith(f"{value}%")), value)
        return Option(option.name, value if "%" in value else f"{value}%{CHOSEN}")

    # --- what was not seen ----------------------------------------------------------------------------------------

    def stranger(self, kind: str, host: str, port: int) -> Traced:
        """A listener elsewhere: bound to where the connection went."""
        host = LOOPBACK[6 if ":" in host else 4] if host in WILDCARD.values() else host
        sock = self.outside.get((host, port))
        if sock is None:
            sock = self.outside[host, port] = Traced(kind, stranger=True, role="elsewhere", host=host, number=port)
            self.call("socket", sock)
            self.call("bind", sock, host=host, port=self.port(port), number=port)
            self.call("listen", sock, number=port)
        return sock

    def visitor(self, listener: Traced) -> Traced:
        """A client elsewhere, which has just connected to `listener`."""
        sock = Traced(listener.kind, stranger=True, role="visitor")
        host = LOOPBACK[family(listener)] if listener.host in WILDCARD.values() else listener.host
        self.call("socket", sock)
        port = self.port(listener.number) if listener.number else listener
        self.call("connect", sock, host=host, port=port, number=listener.number)
        return sock

    def caller(self, listener: Traced, port: int) -> Traced | None:
        """The client whose connection from `port` was accepted, if it is one of ours: by its port, else the first."""
        group = [sock for sock in self.listeners if sock.number == listener.number]
        group.sort(key=lambda sock: sock is not listener)
        for known in (port, 0):
            for queue in (self.waiting[sock] for sock in group if sock in self.waiting):
                for client in queue:
                    if client.number == known:
                        queue.remove(client)
                        return client
        return None

    def send(self, sock: Traced, reader: Traced) -> None:
        """`sock` has sent what `reader` did not read: at the latest before either of them ended the connection."""
        ends = ((sock, "shutdown"), (sock, "close"), (reader, "close"))
        found = (n for n, call in enumerate(self.calls) if (call.sock, call.verb) in ends)
        self.calls.insert(next(found, len(self.calls)), Call("send", sock, old=self.at < self.old))

    # --- ports ----------------------------------------------------------------------------------------------------

    def listener(self, host: str, port: int) -> Traced | None:
        """The listener that a connection to `host` and `port` reaches, if it is one of ours."""
        there = plain(host)
        there = LOOPBACK[6 if ":" in there else 4] if there in WILDCARD.values() else there
        found = [sock for sock in self.listeners if sock.number == port and _listens_at(sock, there)]
        return min(found, key=lambda sock: sock.host in WILDCARD.values(), default=None)

    def port(self, number: int) -> Traced | int:
        """A port as the language names it: that which some socket got, or a number."""
        return self.chosen.get(number, number) if number else 0


def family(sock: Traced) -> int:
    """4 or 6."""
    return int(sock.kind[-1])


def is_stream(sock: Traced) -> bool:
    """Whether it has connections."""
    return not sock.kind.startswith("udp")


def _listens_at(sock: Traced, host: str) -> bool:
    """Whether a connection to `host`, an address without `::ffff:`, may reach this listener."""
    own = plain(sock.host)
    if own == host or own == "0.0.0.0":
        return own == host or ":" not in host
    v6only = any(option.name == "IPV6_V6ONLY" and option.value != "0" for option, _ in sock.options)
    return own == "::" and (":" in host or not v6only)
