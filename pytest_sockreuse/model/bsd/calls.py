"""FreeBSD, macOS, NetBSD and OpenBSD: the calls, and what they have in common.

All four descend from one in_pcbbind(): bind() decides, and looks at the options of the socket that it meets as they
are now; listen() checks nothing. What one has of its own is a clause of its own book, in `freebsd` and the like.
"""

from __future__ import annotations

from ...scenario import Option
from .. import stream
from ..clause import Book, Declared, Errno, Unknown
from ..ports import Value
from ..sock import CLOSE, LISTEN, Sock
from . import bind, options, table, tcp, udp
from .table import Machine, Pcb, State, Traits
from .tcp import SHUT_DOWN, closed

COMMON = Book()

LISTEN_STATE = COMMON(
    "listen-once-connected", "listen() on a connected socket is EINVAL.", "sys/kern/uipc_socket.c solisten_proto_check"
)
DATAGRAM = COMMON("datagram-has-no-listener", "listen() on UDP is EOPNOTSUPP.", "sys/kern/uipc_socket.c")
IS_LISTENER = COMMON(
    "listener-does-not-connect", "connect() on a listener is EOPNOTSUPP.", "sys/kern/uipc_socket.c soconnect"
)
CONNECTED = COMMON(
    "connected-once", "connect() on a connected TCP socket is EISCONN.", "sys/kern/uipc_socket.c soconnect"
)
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

for _part in (table, bind, tcp, udp, options):
    COMMON.add(_part.BOOK)


class Bsd:
    """The calls on a BSD."""

    silence = PEER
    no_option = options.NO_OPTION

    def __init__(self, traits: Traits) -> None:
        self.traits, self.tcp = traits, tcp.Tcp()

    def begin(self, m: Machine) -> State:
        return State(self.traits)

    def elapse(self, m: Machine) -> None:
        stream.elapse(m, self.tcp)

    def socket(self, m: Machine, proto: str, family: int, user: str) -> Sock:
        if proto not in ("tcp", "udp"):
            raise Unknown(f"{proto} is not modelled")
        sk = Pcb(proto, family, user)
        default = m.env.get("net.inet6.ip6.v6only", "1" if self.traits.v6only else "0")
        sk.v6only = family == 6 and default != "0"
        return sk

    def set(self, m: Machine, sk: Sock, option: Option) -> None:
        options.apply(m, _pcb(sk), option)

    def get(self, m: Machine, sk: Sock, option: Option) -> str | None:
        return options.read(m, _pcb(sk), option)

    def name(self, m: Machine, sk: Sock) -> Value:
        if _pcb(sk).gone:
            raise Unknown("the name of a socket whose connection is over")
        return m.space.value(sk.host, sk.shown)

    def bind(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        self._alive(sk)
        bind.bind(m, _pcb(sk), host, port)

    @staticmethod
    def _alive(sk: Sock) -> None:
        if closed(_pcb(sk)):
            raise Unknown("what a socket can do whose connection failed or is over")

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        if sk.proto == "udp":
            raise Errno("EOPNOTSUPP", DATAGRAM)
        self._alive(sk)
        if sk.state not in (CLOSE, LISTEN):
            raise Errno("EINVAL", LISTEN_STATE)
        self.tcp.listen(m, _pcb(sk), backlog)

    def connect(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "udp":
            udp.connect(m, _pcb(sk), host, port)
            return
        if sk.state == LISTEN:
            raise Errno("EOPNOTSUPP", IS_LISTENER)
        self._alive(sk)
        if sk.state != CLOSE:
            raise Errno("EISCONN", CONNECTED)
        self.tcp.connect(m, _pcb(sk), host, port)

    def disconnect(self, m: Machine, sk: Sock) -> None:
        raise Unknown("connect() with AF_UNSPEC")

    def accept(self, m: Machine, sk: Sock) -> Sock | None:
        if sk.proto == "udp":
            raise Unknown("accept() on UDP")
        if sk.state != LISTEN:
            raise Errno("EINVAL", NOT_LISTENING)
        if sk.shut_rd:
            raise Unknown("a listener after shutdown()")
        if not sk.queue:
            return None
        if sk.queue[0].state == CLOSE:
            raise Unknown("accept() of a connection that was reset")
        child = sk.queue.pop(0)
        child.open = True
        return child

    def shutdown(self, m: Machine, sk: Sock, how: str) -> None:
        if sk.state == LISTEN:
            self.tcp.end_listening(m, _pcb(sk), how)
            return
        if sk.state == CLOSE:
            if sk.proto == "udp":
                raise Unknown("shutdown() of an unconnected UDP socket")
            raise Errno("ENOTCONN", NOT_CONNECTED)
        sk.shut_rd = sk.shut_rd or how != "WR"
        if how != "RD":
            stream.end(m, self.tcp, sk)

    def receive(self, m: Machine, sk: Sock, all_: bool) -> bool:
        outcome = udp.receive(_pcb(sk), all_) if sk.proto == "udp" else stream.receive(m, sk, all_)
        if outcome not in ("ok", "nothing"):
            raise Errno(*_error(outcome))
        return outcome == "ok"

    def send(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "udp":
            udp.send(m, _pcb(sk), host, port)
            return
        if host:
            raise Unknown("sendto() on TCP")
        if sk.state in (CLOSE, LISTEN) and not closed(_pcb(sk)):
            raise Errno("ENOTCONN", NOT_CONNECTED)
        failed = bool(sk.error)
        outcome = stream.send(m, self.tcp, sk)
        if outcome != "ok":
            raise Errno(*(_error(outcome) if failed else ("EPIPE", SHUT_DOWN)))

    def close(self, m: Machine, sk: Sock) -> None:
        if sk.proto == "udp":
            udp.close(m, _pcb(sk))
        else:
            self.tcp.close(m, _pcb(sk))


def _pcb(sk: Sock) -> Pcb:
    assert isinstance(sk, Pcb)
    return sk


def _error(outcome: str) -> tuple[str, Declared]:
    """The errno and clause of an error that a read or write finds; a reset is ECONNRESET in every state."""
    if outcome == "ENOTCONN":
        return outcome, NOT_CONNECTED
    return ("ECONNRESET" if outcome == "EPIPE" else outcome), PEER
