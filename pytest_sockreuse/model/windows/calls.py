"""Windows 10 and 11, Server 2016 to 2025: the calls. By documents and by tests that run on Windows, not measured.

What they do not tell is unknown; where they disagree the outcomes are a set.
"""

from __future__ import annotations

from ...platforms import Platform
from ...scenario import Option
from .. import stream
from ..clause import Book, Declared, Errno, Unknown
from ..ports import Value
from ..sock import ESTABLISHED, LISTEN, Sock
from . import bind, options, tcp
from .bind import Machine, State, WinSock, is_any, local, owners
from .options import V6ONLY_DEFAULT
from .tcp import dynamic, is_connected, route, win

BOOK = Book()
_WINE = "Wine 10.0 dlls/ws2_32/tests/sock.c"

BOUND_ONCE = BOOK("bind-once", "A second bind() of one socket is EINVAL.", f"{_WINE} test_bind", "documented")
LATCHED = BOOK(
    "options-latched",
    "SO_REUSEADDR and SO_EXCLUSIVEADDRUSE count as they were at bind(); later changes have no effect.",
    "Microsoft, SOL_SOCKET socket options; WinSock 2 specification",
    "documented",
)
BIND0 = BOOK(
    "bind-ports-exhausted",
    "bind(0) is ENOBUFS where no port is left.",
    "Microsoft, TCP/IP port exhaustion (STATUS_TOO_MANY_ADDRESSES); libuv issues 823, 824",
    "documented",
)
UNBOUND_LISTEN = BOOK(
    "listen-needs-bind", "listen() on an unbound socket is EINVAL.", f"{_WINE} test_listen", "documented"
)
UNBOUND_NAME = BOOK(
    "name-needs-bind", "getsockname() of an unbound socket is EINVAL.", "Microsoft, getsockname function", "documented"
)
CONNECTED = BOOK(
    "connected-once",
    "connect() on a connected socket is EISCONN, listen() as well.",
    "Microsoft, connect and listen functions",
    "documented",
)
ON_LISTENER = BOOK(
    "connect-on-listener", "connect() on a listening socket is EINVAL.", f"{_WINE} test_connect", "documented"
)
NOT_LISTENING = BOOK(
    "accept-needs-listener",
    "accept() on a socket that does not listen is EINVAL.",
    "Microsoft, accept function",
    "documented",
)
DATAGRAM = BOOK(
    "datagram-has-no-listener",
    "listen() and accept() on UDP are EOPNOTSUPP.",
    "Microsoft, listen and accept functions",
    "documented",
)
UNICAST = BOOK(
    "shared-datagram",
    "Of UDP sockets that share one address one gets a datagram, whichever.",
    "Microsoft, Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE",
    "documented",
)

NOTHING = BOOK("nothing-arrives", "Reading waits for the peer.", "Microsoft, recv function", "documented")

SHARED = BOOK(
    "last-descriptor-closes",
    "close() of one of several descriptors leaves the socket as it is; the last one closes it.",
    "Microsoft, Shared Sockets (WSADuplicateSocket)",
    "documented",
)

for _part in (bind, tcp, options):
    BOOK.add(_part.BOOK)

_ANY = {4: "0.0.0.0", 6: "::"}


class Windows:
    """The calls on Windows."""

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
        sk = WinSock(proto, family, user)
        sk.v6only = V6ONLY_DEFAULT in m.on
        return sk

    def set(self, m: Machine, sk: Sock, option: Option) -> None:
        options.apply(win(sk), option)
        if LATCHED not in m.on:
            win(sk).mode = win(sk).now()

    def get(self, m: Machine, sk: Sock, option: Option) -> str | None:
        return options.read(win(sk), option)

    def name(self, m: Machine, sk: Sock) -> Value:
        self._known(sk)
        if not sk.port:
            raise Errno("EINVAL", UNBOUND_NAME)
        return m.space.value(sk.host, sk.shown)

    @staticmethod
    def _known(sk: Sock) -> None:
        if win(sk).vague:
            raise Unknown(win(sk).vague)

    def bind(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        self._known(sk)
        if sk.port or is_connected(sk):
            raise Errno("EINVAL", BOUND_ONCE)
        self._bind(m, win(sk), local(m, win(sk), host), port)

    def _bind(self, m: Machine, sk: WinSock, address: str, port: int) -> None:
        sk.bound, sk.mode = address, sk.now()
        sk.dual = address == "::" and not sk.v6only
        try:
            if port:
                bind.check(m, sk, port)
                tcp.child_against(m, sk, port)
            else:
                port = self._free_port(m, sk)
        except Errno:
            sk.bound, sk.dual = "", False
            raise
        sk.laddr, sk.port, sk.shown, sk.port_lock = address, port, port, True
        owners(m, sk.proto, port).append(sk)

    @staticmethod
    def _free_port(m: Machine, sk: WinSock) -> int:
        def unused(port: int) -> bool:
            return not owners(m, sk.proto, port) and not any(
                other.port == port and other.proto == sk.proto for other in m.tuples.values()
            )

        port = m.space.pick(dynamic(m), unused, m.wanted())
        if port:
            return port
        if not m.space.any_usable(dynamic(m), lambda p: not _clash(m, sk, p)):
            raise Errno("ENOBUFS", BIND0)
        raise Unknown("whether bind(0) shares a port that is in use")

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        self._known(sk)
        if sk.proto == "udp":
            raise Errno("EOPNOTSUPP", DATAGRAM)
        if is_connected(sk):
            raise Errno("EISCONN", CONNECTED)
        if not sk.port:
            raise Errno("EINVAL", UNBOUND_LISTEN)
        if sk.state != LISTEN:
            m.listeners.setdefault(sk.port, []).append(sk)
            m.clock += 1
            win(sk).turn = m.clock
            sk.state, sk.backlog = LISTEN, max(backlog, 1)

    def connect(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        self._known(sk)
        if sk.proto == "udp":
            self._connect_datagram(m, win(sk), host, port)
            return
        if sk.state == LISTEN:
            raise Errno("EINVAL", ON_LISTENER)
        if is_connected(sk):
            raise Errno("EISCONN", CONNECTED)
        self.tcp.connect(m, win(sk), host, port)

    def _connect_datagram(self, m: Machine, sk: WinSock, host: str, port: int) -> None:
        destination, source = route(m, sk, host)
        if not port:
            raise Unknown("connect() to port 0")
        if not sk.port:
            self._bind(m, sk, _ANY[sk.family], 0)
        if any((o.laddr, o.raddr, o.rport) == (source, destination, port) for o in owners(m, "udp", sk.port)):
            raise Unknown("two UDP sockets with one 4-tuple")
        sk.laddr, sk.raddr, sk.rport, sk.state = source, destination, port, ESTABLISHED

    def disconnect(self, m: Machine, sk: Sock) -> None:
        raise Unknown("disconnecting")

    def accept(self, m: Machine, sk: Sock) -> Sock | None:
        if sk.proto == "udp":
            raise Errno("EOPNOTSUPP", DATAGRAM)
        self._known(sk)
        if sk.state != LISTEN:
            raise Errno("EINVAL", NOT_LISTENING)
        if not sk.queue:
            return None
        child = sk.queue.pop(0)
        child.open = True
        return child

    def shutdown(self, m: Machine, sk: Sock, how: str) -> None:
        self._known(sk)
        if sk.proto == "udp" or sk.state != ESTABLISHED or sk.shut_rd or how == "RD":
            raise Unknown("shutdown() of this socket")
        stream.send_fin(m, self.tcp, sk)
        sk.shut_wr = True
        sk.shut_rd = how == "RDWR"

    def receive(self, m: Machine, sk: Sock, all_: bool) -> bool:
        if not sk.rx:
            self._known(sk)
        if not sk.rx and sk.shut_rd:
            raise Unknown("reading after shutdown()")
        if sk.rx:
            sk.rx = 0 if all_ else sk.rx - 1
            if not all_:
                return True
        if sk.proto == "tcp" and not is_connected(sk):
            raise Unknown("reading without a connection")
        return sk.fin

    def send(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        self._known(sk)
        if sk.proto == "udp":
            self._send_datagram(m, win(sk), host, port)
            return
        peer = sk.peer
        if host or sk.shut_wr or peer is None or not peer.open or not is_connected(peer) or not is_connected(sk):
            raise Unknown("sending after the end of a connection")
        peer.rx += 1

    def _send_datagram(self, m: Machine, sk: WinSock, host: str, port: int) -> None:
        if not host and not sk.raddr:
            raise Unknown("sending without a destination")
        destination, source = route(m, sk, host) if host else (sk.raddr, sk.laddr)
        port = port if host else sk.rport
        if not port:
            raise Unknown("a datagram to port 0")
        if not sk.port:
            self._bind(m, sk, _ANY[sk.family], 0)
        found = self._receivers(m, (source, sk.port), destination, port)
        if not found:
            sk.vague = "a socket whose datagram reached nobody"
            return
        if len(found) > 1:
            m.clause = UNICAST
        found[m.choose(len(found)) if len(found) > 1 and UNICAST in m.on else 0].rx += 1

    @staticmethod
    def _receivers(m: Machine, sender: tuple[str, int], destination: str, port: int) -> list[WinSock]:
        v4 = ":" not in destination
        here = [o for o in owners(m, "udp", port) if not o.raddr or (o.raddr, o.rport) == sender]
        if any(o.raddr for o in here) and len(here) > 1:
            raise Unknown("connected and unconnected UDP sockets at one port")
        exact = [o for o in here if o.laddr == destination]
        wild = [o for o in here if is_any(o.laddr) and (o.laddr == _ANY[4 if v4 else 6] or (v4 and o.dual))]
        return exact or wild

    def close(self, m: Machine, sk: Sock) -> None:
        if sk.proto == "tcp":
            stream.close(m, self.tcp, sk)
        elif sk.port:
            owners(m, "udp", sk.port).remove(win(sk))


def _clash(m: Machine, sk: WinSock, port: int) -> bool:
    """Whether something stands against `sk` at this port."""
    return any(bind.answer(m, other, sk)[0] for other in owners(m, sk.proto, port))


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (10,) else "Windows before 10 is not modelled"


def family(_platform: Platform, _on: frozenset[Declared]) -> Windows:
    """The calls of a Windows."""
    return Windows()
