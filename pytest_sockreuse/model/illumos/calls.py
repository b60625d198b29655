"""illumos: the calls. By its source (uts/common), nothing was run there; what the source was not asked is unknown."""

from __future__ import annotations

from ...platforms import Platform
from ...scenario import Option
from .. import stream
from ..clause import Book, Declared, Errno, Unknown
from ..ports import Value
from ..sock import CLOSE, ESTABLISHED, LISTEN, Sock
from . import bind, multicast, options, table, tcp, udp
from .table import Conn, Machine, State, conn, remove

BOOK = Book(table.BOOK, bind.BOOK, tcp.BOOK, udp.BOOK, options.BOOK, multicast.BOOK)
_SOPS = "fs/sockfs/sockcommon_sops.c"

LISTEN_STATE = BOOK(
    "listen-once-connected", "listen() on a connected socket is EINVAL.", "inet/tcp/tcp.c tcp_do_listen", "source"
)
DATAGRAM = BOOK("datagram-has-no-listener", "listen() on UDP is EOPNOTSUPP.", f"{_SOPS} so_listen", "source")
NOT_LISTENING = BOOK(
    "accept-needs-listener", "accept() on a socket that does not listen is EINVAL.", f"{_SOPS} so_accept", "source"
)
NOT_CONNECTED = BOOK(
    "not-connected",
    "shutdown() of a socket that is not connected is ENOTCONN and does nothing: a listener goes on listening.",
    f"{_SOPS} so_shutdown",
    "source",
)
NO_UNSPEC = BOOK(
    "tcp-does-not-disconnect",
    "connect() with AF_UNSPEC is EINVAL for TCP, and for UDP where it is not connected.",
    "inet/tcp/tcp.c tcp_do_connect; inet/udp/udp.c udp_do_connect",
    "source",
)
NOTHING = BOOK("nothing-arrives", "Reading waits for the peer.", f"{_SOPS} so_recvmsg", "source")
SHARED = BOOK(
    "last-descriptor-closes",
    "close() of one of several descriptors leaves the socket as it is; the last one closes it.",
    "fs/sockfs/sockcommon_vnops.c socket_vop_close (count > 1)",
    "source",
)


class Illumos:
    """The calls on illumos."""

    silence = NOTHING
    scopes = False
    no_option = options.NO_OPTION
    shared = SHARED

    def __init__(self) -> None:
        self.tcp = tcp.Tcp()

    def begin(self, m: Machine) -> State:
        return State()

    def elapse(self, m: Machine) -> None:
        stream.elapse(m, self.tcp)

    def socket(self, m: Machine, proto: str, family: int, user: str) -> Sock:
        if proto not in ("tcp", "udp"):
            raise Unknown(f"{proto} is not modelled")
        return Conn(proto, family, user)

    def set(self, m: Machine, sk: Sock, option: Option) -> None:
        options.apply(m, conn(sk), option)

    def get(self, m: Machine, sk: Sock, option: Option) -> str:
        return options.read(conn(sk), option)

    def name(self, m: Machine, sk: Sock) -> Value:
        return m.space.value(sk.host, sk.shown)

    def bind(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        bind.bind(m, conn(sk), host, port)

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        if sk.proto == "udp":
            raise Errno("EOPNOTSUPP", DATAGRAM)
        if conn(sk).over:
            raise Unknown("listen() of a socket whose connection was refused or is over")
        if sk.state not in (CLOSE, LISTEN):
            raise Errno("EINVAL", LISTEN_STATE)
        self.tcp.listen(m, conn(sk), backlog)

    def connect(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "udp":
            udp.connect(m, conn(sk), host, port)
        else:
            self.tcp.connect(m, conn(sk), host, port)

    def disconnect(self, m: Machine, sk: Sock) -> None:
        if sk.proto == "udp" and sk.raddr:
            raise Unknown("dissolving the connection of a UDP socket")
        raise Errno("EINVAL", NO_UNSPEC)

    def accept(self, m: Machine, sk: Sock) -> Sock | None:
        if sk.proto == "udp":
            raise Unknown("accept() on UDP")
        if sk.state != LISTEN:
            raise Errno("EINVAL", NOT_LISTENING)
        if not sk.queue:
            return None
        if sk.queue[0].state == CLOSE:
            raise Unknown("accept() of a connection that was reset")
        child = sk.queue.pop(0)
        child.open = True
        return child

    def shutdown(self, m: Machine, sk: Sock, how: str) -> None:
        if sk.state in (CLOSE, LISTEN):
            raise Errno("ENOTCONN", NOT_CONNECTED)
        if sk.proto == "udp":
            raise Unknown("shutdown() of a connected UDP socket")
        sk.shut_rd = sk.shut_rd or how != "WR"
        if how != "RD":
            stream.end(m, self.tcp, sk)

    def receive(self, m: Machine, sk: Sock, all_: bool) -> bool:
        if sk.proto == "udp":
            return udp.receive(conn(sk), all_)
        if sk.rx:
            sk.rx = 0 if all_ else sk.rx - 1
            if not all_:
                return True
        if sk.state in (CLOSE, LISTEN) or sk.error or (sk.shut_rd and not sk.fin):
            raise Unknown("reading without a connection, or after it was shut down or reset")
        return sk.fin

    def send(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "udp":
            udp.send(m, conn(sk), host, port)
            return
        peer = sk.peer
        if host or sk.shut_wr or sk.state != ESTABLISHED or peer is None or peer.state != ESTABLISHED or peer.shut_rd:
            raise Unknown("sending without a connection, or after one side has ended it")
        peer.rx += 1

    def close(self, m: Machine, sk: Sock) -> None:
        if sk.proto == "udp":
            remove(m, conn(sk))
        else:
            self.tcp.close(m, conn(sk))


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return ""


def family(_platform: Platform, _on: frozenset[Declared]) -> Illumos:
    """The family of an illumos."""
    return Illumos()
