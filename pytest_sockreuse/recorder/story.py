"""The story of a process: from the events on a tape to calls on sockets.

Descriptors become sockets, addresses those of the language, and whoever was at the other end but not seen gets a
stand-in, so that the story can be told, predicted and performed without them.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..live.errnos import number_name
from ..live.options import number_of
from ..scenario import OPTIONS, Option, Scenario
from .calls import FOREIGN, STAND_IN, Call, Part, Sock, parts
from .watch import NO_ERRNO, Event, Trail

#: The options that bear on which call may have which port.
BEARING = """SO_REUSEADDR SO_REUSEPORT SO_REUSEPORT_LB SO_EXCLUSIVEADDRUSE SO_REUSE_UNICASTPORT SO_PORT_SCALABILITY
    SO_LINGER TCP_LINGER2 IPV6_V6ONLY IP_BIND_ADDRESS_NO_PORT IP_LOCAL_PORT_RANGE IP_PORTRANGE IPV6_PORTRANGE
    SO_BINDTODEVICE IP_FREEBIND IPV6_FREEBIND IP_TRANSPARENT IPV6_TRANSPARENT IP_BINDANY IPV6_BINDANY""".split()
NUMBERS = {where: name for name in BEARING if (where := number_of(name)) is not None}

_KINDS = {
    (int(socket.SOCK_STREAM), 0): "tcp", (int(socket.SOCK_STREAM), 6): "tcp", (int(socket.SOCK_STREAM), 262): "mptcp",
    (int(socket.SOCK_STREAM), 132): "sctp", (int(socket.SOCK_DGRAM), 0): "udp", (int(socket.SOCK_DGRAM), 17): "udp",
    (int(socket.SOCK_DGRAM), 136): "udplite",
}  # fmt: skip
_TYPE = ~(getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0))
_WILDCARD = {4: "0.0.0.0", 6: "::"}
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_HOW = {int(socket.SHUT_RD): "RD", int(socket.SHUT_WR): "WR", int(socket.SHUT_RDWR): "RDWR"}
_LINGER = "HH" if sys.platform == "win32" else "ii"
_MOST_OWN = 9  # addresses of this machine that are told apart


@dataclass(frozen=True, slots=True)
class Story:
    """What a process did: its calls in order, and what was left out of them, with the number of times."""

    calls: tuple[Call, ...]
    left_out: Counter[str]

    @property
    def scenario(self) -> Scenario:
        """All of it as one scenario."""
        return Part.of(self.calls).scenario

    @property
    def parts(self) -> list[Part]:
        """The parts that have nothing to do with one another."""
        return list(parts(self.calls))


def tell(events: Sequence[Event], old: int = 0) -> tuple[Story, list[Event]]:
    """The story of `events`, of which the first `old` were before its time; and those that bear on what comes next."""
    teller = _Teller(events, old)
    for at, event in enumerate(events):
        teller.at = at
        teller.told[event[0]](event[1], event[2], event[3], event[4])
    return Story(tuple(teller.kept()), teller.left_out), [events[at] for at in sorted(teller.still_of_interest())]


class _Teller:
    """The sockets as the events so far left them."""

    def __init__(self, events: Sequence[Event], old: int) -> None:
        self.events, self.old, self.at = events, old, 0
        self.calls: list[Call] = []
        self.left_out: Counter[str] = Counter()
        self.fds: dict[int, Sock] = {}
        self.listeners: list[Sock] = []
        self.waiting: dict[Sock, list[Sock]] = {}  # clients that a listener has not accepted, in order
        self.chosen: dict[int, Sock] = {}  # port that the OS chose -> for whom
        self.outside: dict[tuple[str, int], Sock] = {}  # listeners that were not seen
        self.own: dict[str, str] = {}  # addresses of this machine -> stand-ins
        self.foreign: dict[tuple[str, int], int] = {}  # ports elsewhere
        self.told = {
            "socket": self.socket, "set": self.set, "bind": self.bind, "name": self.name, "listen": self.listen,
            "connect": self.connect, "accept": self.accept, "shutdown": self.shutdown, "close": self.close,
            "dup": self.dup,
        }  # fmt: skip

    def call(self, verb: str, sock: Sock, code: int | None = 0, trail: Trail = (), **more: object) -> Call:
        """Add a call; `code` is its errno."""
        call = Call(verb, sock, outcome(code), trail, old=self.at < self.old, **more)  # type: ignore[arg-type]
        self.calls.append(call)
        sock.touched = verb != "socket"
        return call

    def lose(self, sock: Sock, why: str) -> None:
        """Leave a socket out: what it did cannot be told."""
        sock.lost = True
        self.left_out[why] += 1
        if sock in self.listeners:
            self.listeners.remove(sock)

    def known(self, fd: int) -> Sock | None:
        sock = self.fds.get(fd)
        if sock is None or sock.lost:
            return None
        sock.events.append(self.at)
        return sock

    def kept(self) -> Iterator[Call]:
        """The calls of sockets that are not left out."""
        for call in self.calls:
            if call.sock.lost or (call.sock.parent is not None and call.sock.parent.lost):
                continue
            if isinstance(call.port, Sock) and call.port.lost:
                call.port = call.number
            yield call

    def still_of_interest(self) -> set[int]:
        """The events of sockets that are open, and of the listeners that they came from."""
        alive = {sock for sock in self.fds.values() if not sock.lost}
        alive |= {sock.parent for sock in alive if sock.parent is not None}
        return {at for sock in alive for at in sock.events}

    # --- the events -----------------------------------------------------------------------------------------------

    def socket(self, fd: int, what: tuple[int, int, int], number: int, trail: Trail) -> None:
        if fd in self.fds:  # closed where nobody saw it
            self.close(fd, (False, False), 0, ())
        family, type_, proto = what
        base = _KINDS.get((socket.SOCK_STREAM if type_ == -1 else type_ & _TYPE, max(proto, 0)))
        if base is None:
            self.left_out["a raw socket, or one of a protocol that the language does not have"] += 1
            return
        sock = Sock(f"{base}{6 if family == socket.AF_INET6 else 4}", trail, fds={fd}, events=[self.at])
        self.fds[fd] = sock
        self.call("socket", sock, 0, trail)

    def set(self, fd: int, what: tuple[int, int, object], number: int, trail: Trail) -> None:
        option = read_option(*what)
        sock = self.known(fd)
        if sock is None or option is None:
            return
        if number or sock.touched:
            self.call("set", sock, number, trail, option=option)
            return
        kept = [(other, where) for other, where in sock.options if other.name != option.name]
        if len(kept) == len(sock.options) and option.value == "0" and option.name.startswith("SO_REUSE"):
            return  # as it was
        sock.options = [*kept, (option, trail)]

    def bind(self, fd: int, what: tuple[tuple[object, ...], tuple[object, ...] | None], number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None:
            return
        address, own = what
        host = self.literal((own or address)[0], sock)
        port = address[1]
        if host is None or not isinstance(port, int):
            self.lose(sock, "a socket bound to an address that cannot be told")
            return
        call = self.call("bind", sock, number, trail, host=host, port=self.port(port), number=port)
        if not number:
            sock.host, sock.number, sock.named, sock.binding = host, port, port != 0, call

    def name(self, fd: int, what: tuple[str, int], number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None:
            return
        sock.number = what[1]
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
            sock.host = sock.host or _WILDCARD[_family(sock)]
            if not sock.listening:
                self.listeners.append(sock)
            sock.listening, sock.role = True, "listener"

    def connect(self, fd: int, what: tuple[tuple[object, ...], tuple[str, int] | None, bool], number: int | None, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None:
            return
        address, own, _ = what
        target, port = str(address[0]), address[1]
        family = _family(sock)
        here = _is_here(target) or (own is not None and _plain(target) == _plain(own[0]))
        host = self.literal(target, sock) if here else self.source(own, sock)
        if host is None or not isinstance(port, int) or number == NO_ERRNO:
            self.lose(sock, "a socket that connected to an address that cannot be told, or in vain")
            return
        tcp = sock.kind.startswith(("tcp", "mptcp", "sctp"))
        sock.role = sock.role or ("udp" if not tcp else "outgoing" if sock.host else "client")
        if not here and number and number != errno.ECONNREFUSED:
            self.lose(sock, "a socket that could not reach another machine")
            return
        if not here:
            port = self.foreign.setdefault((target, port), FOREIGN + len(self.foreign))
        listener = self.listener(host, port) if here else None
        if tcp and number == 0 and listener is None:
            listener = self.stranger(f"{sock.kind[:-1]}{6 if ':' in host else 4}", host, port)
        self.call("connect", sock, number, trail, host=host, port=self.port(port), number=port)
        if not tcp or number != 0 or listener is None:
            return
        if listener.stranger:
            child = Sock(listener.kind, stranger=True, role="peer", parent=listener, peer=sock)
            sock.peer = child
            self.call("accept", child, number=port)
        else:
            self.waiting.setdefault(listener, []).append(sock)

    def accept(self, fd: int, what: tuple[int, tuple[str, int]], number: int, trail: Trail) -> None:
        listener = self.known(fd)
        if listener is None:
            return
        child_fd, peer = what
        client = self.caller(listener, peer[1]) or self.visitor(listener)
        self.chosen.setdefault(peer[1], client)
        child = Sock(listener.kind, trail, role="child", parent=listener, peer=client, fds={child_fd}, events=[self.at])
        client.peer = child
        if child_fd in self.fds:
            self.close(child_fd, (False, False), 0, ())
        self.fds[child_fd] = child
        self.call("accept", child, 0, trail, number=listener.number)

    def shutdown(self, fd: int, how: int, number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is None or how not in _HOW:
            return
        if not number:
            self.call("shutdown", sock, 0, trail, how=_HOW[how])
        elif number == errno.ENOTCONN and sock.peer is not None:  # the other end closed without having read all
            self.send(sock, sock.peer)

    def dup(self, fd: int, copy: int, number: int, trail: Trail) -> None:
        sock = self.known(fd)
        if sock is not None:
            sock.fds.add(copy)
            self.fds[copy] = sock

    def close(self, fd: int, what: tuple[bool, bool], number: int, trail: Trail) -> None:
        sock = self.known(fd)
        self.fds.pop(fd, None)
        if sock is None:
            return
        sock.fds.discard(fd)
        if sock.fds:
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

    # --- what was not seen ----------------------------------------------------------------------------------------

    def stranger(self, kind: str, host: str, port: int) -> Sock:
        """A listener elsewhere: bound to where the connection went."""
        host = _LOOPBACK[6 if ":" in host else 4] if host in _WILDCARD.values() else host
        sock = self.outside.get((host, port))
        if sock is None:
            sock = self.outside[host, port] = Sock(kind, stranger=True, role="elsewhere", host=host, number=port)
            self.call("socket", sock)
            self.call("bind", sock, host=host, port=self.port(port), number=port)
            self.call("listen", sock, number=port)
        return sock

    def visitor(self, listener: Sock) -> Sock:
        """A client elsewhere, which has just connected to `listener`."""
        sock = Sock(listener.kind, stranger=True, role="visitor")
        host = _LOOPBACK[_family(listener)] if listener.host in _WILDCARD.values() else listener.host
        self.call("socket", sock)
        port = self.port(listener.number) if listener.number else listener
        self.call("connect", sock, host=host, port=port, number=listener.number)
        return sock

    def caller(self, listener: Sock, port: int) -> Sock | None:
        """The client whose connection from `port` was accepted, if it is one of ours: by its port, else the first."""
        group = [listener, *(sock for sock in self.listeners if sock.number == listener.number and sock is not listener)]
        for known in (port, 0):
            for queue in (self.waiting[sock] for sock in group if sock in self.waiting):
                for client in queue:
                    if client.number == known:
                        queue.remove(client)
                        return client
        return None

    def send(self, sock: Sock, reader: Sock) -> None:
        """`sock` has sent what `reader` did not read: at the latest before either of them ended the connection."""
        ends = ((sock, "shutdown"), (sock, "close"), (reader, "close"))
        found = (n for n, call in enumerate(self.calls) if (call.sock, call.verb) in ends)
        self.calls.insert(next(found, len(self.calls)), Call("send", sock, old=self.at < self.old))

    # --- addresses ------------------------------------------------------------------------------------------------

    def literal(self, host: object, sock: Sock) -> str | None:
        """An address in the language; None where it has no word for it."""
        if not isinstance(host, str):
            return None
        family = _family(sock)
        if host in ("", "localhost"):
            return (_LOOPBACK if host else _WILDCARD)[family]
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return None
        if address.is_multicast or host == "255.255.255.255":
            return None
        inner = getattr(address, "ipv4_mapped", None)
        if inner is not None and (inner.is_loopback or inner.is_unspecified):
            return f"::ffff:{inner}"
        if inner is not None or not (address.is_loopback or address.is_unspecified):
            return self.stand_in(str(inner or address), inner is not None)
        return str(address)

    def stand_in(self, address: str, mapped: bool) -> str | None:
        """What stands for an address of this machine on its network."""
        if address not in self.own:
            if len(self.own) >= _MOST_OWN:
                return None
            self.own[address] = f"{STAND_IN[6 if ':' in address else 4]}{len(self.own) + 1}"
        return f"::ffff:{self.own[address]}" if mapped else self.own[address]

    def source(self, own: tuple[str, int] | None, sock: Sock) -> str | None:
        """The address that a connection to another machine came from, which stands for the other machine too."""
        if own is not None and not _is_here(own[0]):
            return self.literal(own[0], sock)
        return self.stand_in(_WILDCARD[_family(sock)], False)

    def listener(self, host: str, port: int) -> Sock | None:
        """The listener that a connection to `host` and `port` reaches, if it is one of ours."""
        there = _plain(host)
        there = _LOOPBACK[6 if ":" in there else 4] if there in _WILDCARD.values() else there
        found = [sock for sock in self.listeners if sock.number == port and _listens_at(sock, there)]
        return min(found, key=lambda sock: sock.host in _WILDCARD.values(), default=None)

    def port(self, number: int) -> Sock | int:
        """A port as the language names it: that which some socket got, or a number."""
        return self.chosen.get(number, number) if number else 0


def _family(sock: Sock) -> int:
    return int(sock.kind[-1])


def _plain(host: str) -> str:
    """An IPv4 address in IPv6 clothes as it is."""
    return host.lower().removeprefix("::ffff:").partition("%")[0]


def _listens_at(sock: Sock, host: str) -> bool:
    """Whether a connection to `host`, an address without clothes, may reach this listener."""
    own = _plain(sock.host)
    if own == host or own == "0.0.0.0":
        return own == host or ":" not in host
    v6only = any(option.name == "IPV6_V6ONLY" and option.value != "0" for option, _ in sock.options)
    return own == "::" and (":" in host or not v6only)


def _is_here(host: str) -> bool:
    """Whether an address is that of this machine wherever it is."""
    plain = _plain(host)
    return plain in ("", "localhost", "0.0.0.0", "::", "::1") or plain.startswith("127.")


def outcome(number: int | None) -> str:
    """The outcome that an errno stands for; empty where it is not known."""
    if number is None or number == NO_ERRNO:
        return ""
    return number_name(number) if number else "ok"


def read_option(level: int, number: int, value: object) -> Option | None:
    """An option as the language writes it; None where it bears on no port, or its value cannot be read."""
    name = NUMBERS.get((level, number))
    if name is None:
        return None
    form = OPTIONS[name]
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        if form == "linger" and len(data) == struct.calcsize(_LINGER):
            on, seconds = struct.unpack(_LINGER, data)
            return Option(name, str(max(seconds, 0)) if on else "off")
        if form == "text" and re.fullmatch(rb"[A-Za-z0-9_.\-]{1,15}\0*", data):
            return Option(name, data.rstrip(b"\0").decode())
        if form not in ("flag", "int", "range") or len(data) != 4:
            return Option(name, f"raw:{data[:256].hex()}")
        value = int.from_bytes(data, sys.byteorder, signed=True)
    if not isinstance(value, int) or form in ("linger", "text"):
        return None
    if form == "range":
        return Option(name, f"{value & 0xFFFF}-{value >> 16 & 0xFFFF}")
    return Option(name) if value == 1 and form == "flag" else Option(name, str(int(value)))
