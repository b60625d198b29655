"""gVisor's network stack: the calls. It calls itself Linux, and follows its own rules.

The sources are of release 20240729; the clauses of addresses, reservations, TCP, UDP and options have a file each.
"""

from __future__ import annotations

from ...platforms import Platform
from ...scenario import Option
from ..clause import Book, Declared, Errno, Unknown
from ..ports import Value
from ..sock import Sock
from . import address, choice, demux, multicast, options, ports, stream, tcp, udp
from .demux import Demux
from .ports import Endpoint, Ports, shown
from .state import Machine, State

BOOK = Book()

NO_PROTOCOL = BOOK(
    "protocols-missing",
    "There is no MPTCP and no SCTP, EINVAL, and no UDP-Lite, EPROTONOSUPPORT.",
    "pkg/sentry/socket/netstack/provider.go getTransportProtocol",
)
DATAGRAM = BOOK(
    "datagram-has-no-listener", "listen() and accept() on UDP are EOPNOTSUPP.", "pkg/tcpip/transport/udp/endpoint.go"
)
NO_DISCONNECT = BOOK(
    "tcp-disconnect-missing",
    "Disconnecting a TCP socket is EAFNOSUPPORT.",
    "pkg/sentry/socket/netstack/netstack.go sock.Connect (AF_UNSPEC)",
)

SHARED = BOOK(
    "last-descriptor-closes",
    "close() of one of several descriptors leaves the socket as it is; the last one closes it.",
    "pkg/sentry/vfs/file_description.go FileDescription.DecRef; pkg/sentry/socket/netstack/netstack.go sock.Release",
    "source",
)

for _part in (address, ports, demux, choice, tcp, stream, udp, options, multicast):
    BOOK.add(_part.BOOK)


def _endpoint(sk: Sock) -> Endpoint:
    assert isinstance(sk, Endpoint)
    return sk


class Gvisor:
    """The calls on gVisor."""

    silence = stream.PEER
    scopes = False
    no_option = options.NO_OPTION
    shared = SHARED

    def begin(self, m: Machine) -> State:
        return State(Ports(m), Demux(m))

    def socket(self, m: Machine, proto: str, family: int, user: str) -> Sock:
        if proto not in ("tcp", "udp"):
            raise Errno("EPROTONOSUPPORT" if proto == "udplite" else "EINVAL", NO_PROTOCOL)
        sk = Endpoint(proto, family, user)
        sk.state = stream.INITIAL
        m.state.sockets.append(sk)
        return sk

    def elapse(self, m: Machine) -> None:
        stream.elapse(m)

    def set(self, m: Machine, sk: Sock, option: Option) -> None:
        options.apply(m, _endpoint(sk), option)

    def get(self, m: Machine, sk: Sock, option: Option) -> str | None:
        return options.read(m, _endpoint(sk), option)

    def name(self, m: Machine, sk: Sock) -> Value:
        ep = _endpoint(sk)
        address = ep.laddr if ep.proto == "tcp" else udp.host(ep)
        return m.space.value(shown(ep.family, address), ep.shown)

    def bind(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        ep = _endpoint(sk)
        address.check_bind_family(ep, host)
        if ep.proto == "tcp":
            tcp.bind(m, ep, host, port)
        else:
            udp.bind(m, ep, host, port)

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        if sk.proto == "udp":
            raise Errno("EOPNOTSUPP", DATAGRAM)
        tcp.listen(m, _endpoint(sk), backlog)

    def connect(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "tcp":
            tcp.connect(m, _endpoint(sk), host, port)
        else:
            udp.connect(m, _endpoint(sk), host, port)

    def disconnect(self, m: Machine, sk: Sock) -> None:
        if sk.proto == "tcp":
            raise Errno("EAFNOSUPPORT", NO_DISCONNECT)
        udp.disconnect(m, _endpoint(sk))

    def accept(self, m: Machine, sk: Sock) -> Sock | None:
        if sk.proto == "udp":
            raise Errno("EOPNOTSUPP", DATAGRAM)
        child = tcp.accept(_endpoint(sk))
        if child is not None:
            m.state.sockets.append(child)
        return child

    def shutdown(self, m: Machine, sk: Sock, how: str) -> None:
        if sk.proto == "tcp":
            stream.shutdown(m, _endpoint(sk), how)
        else:
            udp.shutdown(_endpoint(sk), how)

    def receive(self, m: Machine, sk: Sock, all_: bool) -> bool:
        if sk.proto == "tcp":
            return stream.receive(_endpoint(sk), all_)
        return udp.receive(_endpoint(sk), all_)

    def send(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "udp":
            udp.send(m, _endpoint(sk), host, port)
        elif host:
            raise Unknown("sendto() on TCP")
        else:
            stream.send(m, _endpoint(sk))

    def close(self, m: Machine, sk: Sock) -> None:
        if sk.proto == "tcp":
            stream.close(m, _endpoint(sk))
        else:
            udp.close(m, _endpoint(sk))


def family(_platform: Platform, _on: frozenset[Declared]) -> Gvisor:
    """The calls of a gVisor."""
    return Gvisor()


def covers(platform: Platform) -> str:
    """Empty where these clauses hold; else why not."""
    return "" if platform.version >= (20240729,) else "gVisor before 20240729 is not modelled"
