"""FreeBSD, macOS, NetBSD and OpenBSD: the calls, and what they have in common.

All four descend from one in_pcbbind(): bind() decides, and looks at the options of the socket that it meets as they
are now; listen() checks nothing. What one has of its own is a clause of its own book, in `freebsd` and the like.
"""

from __future__ import annotations

from dataclasses import replace

from ...scenario import Option
from .. import stream
from ..address import of_one_link
from ..clause import Book, Declared, Errno, Unknown
from ..ports import Value
from ..sock import CLOSE, LISTEN, TIME_WAIT, Sock
from . import address, bind, ended, multicast, options, table, tcp, udp
from .table import OWN_TABLES, Machine, Pcb, State, Traits
from .tcp import SHUT_DOWN, SHUT_KEEPS, SHUT_RELEASES

COMMON = Book()

LISTEN_STATE = COMMON(
    "listen-once-connected", "listen() on a connected socket is EINVAL.", "sys/kern/uipc_socket.c solisten_proto_check"
)
DATAGRAM = COMMON("datagram-has-no-listener", "listen() on UDP is EOPNOTSUPP.", "sys/kern/uipc_socket.c")
NOT_LISTENING = COMMON(
    "accept-needs-listener",
    "accept() on a socket that does not listen is EINVAL.",
    "sys/kern/uipc_syscalls.c kern_accept",
)
NOT_CONNECTED = COMMON(
    "not-connected", "shutdown() and reading without a connection is ENOTCONN.", "sys/kern/uipc_socket.c"
)
PEER = COMMON(
    "peer-decides",
    "What the peer did before shows: data, the end of stream, or an error once.",
    "sys/netinet/tcp_input.c",
)

SHARED = COMMON(
    "last-descriptor-closes",
    "close() of one of several descriptors leaves the socket as it is; the last one closes it.",
    "close(2) of each of them; sys/kern/kern_descrip.c closef, soo_close",
    "documented",
)

# What only some of the systems have: their books say which, and where it is written.
ABORTED = Declared("reset-before-accept", "accept() of a connection that was reset is ECONNABORTED.")
UDP_SHUTS = Declared(
    "unconnected-udp-shuts", "shutdown() of an unconnected UDP socket is ENOTCONN, and has its effect nevertheless."
)
SHUTS_ALL = Declared("shutdown-asks-nothing", "shutdown() of a socket that is not connected is ok.")
UDP_ACCEPT = Declared("accept-on-udp", "accept() on UDP is EOPNOTSUPP.")
SHUT_IGNORED = Declared("shutdown-of-listener-ignored", "shutdown() of a listener is ENOTCONN and has no effect.")
UDP_LITE = Declared("udp-lite", "UDP-Lite is as UDP, and its ports are its own.")
DISCONNECTS = Declared(
    "disconnect-refused", "connect() with AF_UNSPEC is EAFNOSUPPORT, and dissolves the connection of a UDP socket."
)

for _part in (table, address, bind, tcp, udp, options, ended, multicast):
    COMMON.add(_part.BOOK)


def unrun() -> Book:
    """The common clauses for a system that was not run: what was measured is so of its relatives."""
    book = Book(COMMON)
    for name, clause in book.clauses.items():
        if clause.confidence == "measured":
            book.clauses[name] = replace(clause, confidence="inferred")
    return book


class Bsd:
    """The calls on a BSD."""

    silence = PEER
    scopes = True
    no_option = options.NO_OPTION
    shared = SHARED

    def __init__(self, traits: Traits) -> None:
        self.traits, self.tcp = traits, tcp.Tcp()

    def begin(self, m: Machine) -> State:
        m.addresses = frozenset(f"{at}%lo" if "%" not in at and of_one_link(at) else at for at in m.addresses)
        return State(self.traits)

    def elapse(self, m: Machine) -> None:
        self.tcp.elapse(m)

    def socket(self, m: Machine, proto: str, family: int, user: str) -> Sock:
        lite = proto == "udplite" and UDP_LITE in m.on
        if proto not in ("tcp", "udp") and not lite:
            raise Unknown(f"{proto} is not modelled")
        sk = Pcb("udp" if lite else proto, family, user)
        sk.space = proto
        default = m.env.get("net.inet6.ip6.v6only", "1" if self.traits.v6only else "0")
        sk.v6only = family == 6 and default != "0"
        sk.v4 = not sk.v6only
        return sk

    def set(self, m: Machine, sk: Sock, option: Option) -> None:
        options.apply(m, _pcb(sk), option)

    def get(self, m: Machine, sk: Sock, option: Option) -> str | None:
        return options.read(m, _pcb(sk), option)

    def name(self, m: Machine, sk: Sock) -> Value:
        ended.check(m, _pcb(sk), ended.NAMELESS)
        return m.space.value(sk.host, sk.shown)

    def bind(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if _pcb(sk).gone and OWN_TABLES in m.on:
            address.right_family(m, _pcb(sk), host)
        ended.check(m, _pcb(sk), ended.ENDED)
        bind.bind(m, _pcb(sk), host, port)

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        if sk.proto == "udp":
            raise Errno("EINVAL", LISTEN_STATE) if sk.raddr and OWN_TABLES in m.on else Errno("EOPNOTSUPP", DATAGRAM)
        ended.check(m, _pcb(sk), ended.ENDED)
        if sk.state not in (CLOSE, LISTEN):
            raise Errno("EINVAL", LISTEN_STATE)
        self.tcp.listen(m, _pcb(sk), backlog)

    def connect(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "udp":
            udp.connect(m, _pcb(sk), host, port)
        else:
            self.tcp.connect(m, _pcb(sk), host, port)

    def disconnect(self, m: Machine, sk: Sock) -> None:
        if DISCONNECTS not in m.on:
            raise Unknown("connect() with AF_UNSPEC")
        if sk.proto == "udp":
            udp.dissolve(m, _pcb(sk))
        else:
            self.tcp.may_connect(m, _pcb(sk))
            if _pcb(sk).gone and ended.REFUSED_AGAIN in m.on:
                raise Errno("ECONNREFUSED", ended.REFUSED_AGAIN)
        raise Errno("EAFNOSUPPORT", DISCONNECTS)

    def accept(self, m: Machine, sk: Sock) -> Sock | None:
        if sk.proto == "udp" and UDP_ACCEPT in m.on:
            raise Errno("EOPNOTSUPP", UDP_ACCEPT)
        if not _pcb(sk).accepts:
            raise Errno("EINVAL", NOT_LISTENING)
        if sk.error:  # shutdown(RD) of the listener
            sk.error = ""
            raise Errno("ECONNABORTED", SHUT_KEEPS)
        if not sk.queue:
            return None
        if sk.queue[0].state == CLOSE:
            if ABORTED not in m.on:
                raise Unknown("accept() of a connection that was reset")
            sk.queue.pop(0)
            raise Errno("ECONNABORTED", ABORTED)
        child = sk.queue.pop(0)
        child.open = True
        return child

    def shutdown(self, m: Machine, sk: Sock, how: str) -> None:
        if SHUTS_ALL in m.on:
            self._shuts(m, _pcb(sk), how)
            return
        if sk.state in (CLOSE, LISTEN, TIME_WAIT):
            if sk.proto == "udp" and UDP_SHUTS in m.on:
                udp.shutdown(_pcb(sk), how)
                raise Errno("ENOTCONN", UDP_SHUTS)
            if sk.state == LISTEN and SHUT_KEEPS in m.on:
                sk.error = sk.error if how == "WR" else "ECONNABORTED"
                raise Errno("ENOTCONN", SHUT_KEEPS)
            if sk.state == LISTEN and SHUT_IGNORED not in m.on:
                raise Unknown("shutdown() of a listener")
            raise Errno("ENOTCONN", NOT_CONNECTED)
        self._end(m, _pcb(sk), how)

    def _shuts(self, m: Machine, sk: Pcb, how: str) -> None:
        """shutdown(2) where it asks for no connection. Raises Errno."""
        if sk.proto == "tcp" and sk.state in (CLOSE, LISTEN):
            sk.shut_rd = sk.shut_rd or how != "WR"
            m.clause = SHUTS_ALL
            if how != "RD" and SHUT_RELEASES in m.on:
                ended.check(m, sk, ended.ENDED)
                self.tcp.shut_unconnected(m, sk)
            return
        self._end(m, sk, how)

    def _end(self, m: Machine, sk: Pcb, how: str) -> None:
        if sk.proto == "udp":
            udp.shutdown(sk, how)
            return
        sk.shut_rd = sk.shut_rd or how != "WR"
        if how != "RD":
            stream.end(m, self.tcp, sk)

    def receive(self, m: Machine, sk: Sock, all_: bool) -> bool:
        if sk.proto == "udp":
            outcome = udp.receive(_pcb(sk), all_)
        elif sk.state == LISTEN and sk.shut_rd:
            outcome = "ok"
        else:
            outcome = stream.receive(m, sk, all_)
        if outcome not in ("ok", "nothing"):
            raise Errno(*_error(outcome))
        return outcome == "ok"

    def send(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "udp":
            udp.send(m, _pcb(sk), host, port)
            return
        if host:
            raise Unknown("sendto() on TCP")
        if sk.state in (CLOSE, LISTEN) and not _pcb(sk).gone:
            raise Errno("ENOTCONN", NOT_CONNECTED)
        if _pcb(sk).gone or stream.send(m, self.tcp, sk) != "ok":
            raise Errno("EPIPE", SHUT_DOWN)

    def close(self, m: Machine, sk: Sock) -> None:
        if sk.proto == "udp":
            udp.close(m, _pcb(sk))
        else:
            self.tcp.close(m, _pcb(sk))


def _pcb(sk: Sock) -> Pcb:
    assert isinstance(sk, Pcb)
    return sk


def _error(outcome: str) -> tuple[str, Declared]:
    """The errno and clause of an error that a read finds; a reset is ECONNRESET in every state."""
    if outcome == "ENOTCONN":
        return outcome, NOT_CONNECTED
    return ("ECONNRESET" if outcome == "EPIPE" else outcome), PEER
