"""Linux 5.7 to 7.3: the calls, and the checks that come before a protocol's own rules.

The clauses stand where they act: addresses, the choice of ports, TCP, UDP and options have a file each. A sentence says
what holds since or until the version that its clause names; the sources are of Linux 6.18.
"""

from __future__ import annotations

from ...platforms import Platform
from ...scenario import Option
from .. import stream
from ..address import parsed
from ..clause import Book, Declared, Errno, Unknown
from ..ports import Value
from ..sock import CLOSE, CLOSE_WAIT, LISTEN, Sock
from . import address, association, bind, choice, handshake, mptcp, multicast, options, route, sctp, table4, tcp, udp
from .address import MAPPED_ON_V6ONLY, SPECIFIC_V6ONLY, check_family, check_group, check_local, check_scope
from .state import Machine, State

BOOK = Book()

BOUND_ONCE = BOOK(
    "bind-once",
    "bind() of a socket that has a port, or is connected, is EINVAL.",
    "net/ipv4/af_inet.c __inet_bind (inet_num)",
)
LOW_PORT = BOOK(
    "low-port-privileged",
    "A port below ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE, else EACCES.",
    "net/ipv4/af_inet.c",
)
NO_UDPLITE = BOOK("udplite-gone", "UDP-Lite sockets are EPROTONOSUPPORT.", "removed in 7.1", since=("7.1",))
OWN_TABLE = BOOK(
    "udplite-own-ports",
    "UDP-Lite is as UDP, and its ports are its own.",
    "net/ipv4/udplite.c udplite_table",
    until=("7.1",),
)
LISTEN_STATE = BOOK(
    "listen-once-connected", "listen() on a connected socket is EINVAL.", "net/ipv4/af_inet.c inet_listen"
)
DATAGRAM = BOOK(
    "datagram-has-no-listener", "listen() and accept() on UDP are EOPNOTSUPP.", "net/core/sock.c sock_no_listen"
)
CONNECTED = BOOK(
    "connected-once",
    "connect() on a connected or listening TCP socket is EISCONN.",
    "net/ipv4/af_inet.c __inet_stream_connect",
)
NOT_LISTENING = BOOK(
    "accept-needs-listener",
    "accept() on a socket that does not listen is EINVAL.",
    "net/ipv4/inet_connection_sock.c inet_csk_accept",
)
NOT_CONNECTED = BOOK(
    "not-connected", "shutdown() and reading without a connection is ENOTCONN.", "net/ipv4/af_inet.c inet_shutdown"
)
SHUT_LISTENER = BOOK(
    "shutdown-ends-listening",
    "shutdown(RD) of a listener ends it; shutdown(WR) does nothing.",
    "net/ipv4/af_inet.c inet_shutdown",
)
PEER = BOOK(
    "peer-decides",
    "What the peer did before shows: data, the end of stream, or an error once.",
    "net/ipv4/tcp.c tcp_recvmsg_locked",
)

STREAM_ENDED = BOOK(
    "end-of-stream-stays",
    "After the peer's end of stream recv() returns 0, though a reset follows; the next send() tells of that.",
    "net/ipv4/tcp.c tcp_recvmsg_locked (SOCK_DONE before sk_err)",
)

LATE_FIN = BOOK(
    "fin-to-nobody",
    "Where what the peer left has ended, shutdown(WR) is answered by a reset, and the next send() is ECONNRESET.",
    "net/ipv4/tcp_input.c tcp_reset (TCP_LAST_ACK)",
)

SHARED = BOOK(
    "last-descriptor-closes",
    "close() of one of several descriptors leaves the socket as it is; the last one closes it.",
    "net/socket.c sock_close, which fs/file_table.c __fput calls for the last reference",
)

for _part in (address, route, multicast, choice, bind, handshake, tcp, udp, table4, options, mptcp, sctp, association):
    BOOK.add(_part.BOOK)


_CARRIERS = {"mptcp": "tcp", "udplite": "udp"}


class Linux:
    """The calls on Linux."""

    silence = PEER
    scopes = True
    no_option = options.NO_OPTION
    shared = SHARED

    def __init__(self) -> None:
        self.tcp, self.udp = tcp.Tcp(), udp.Udp()

    def begin(self, m: Machine) -> State:
        return State()

    def elapse(self, m: Machine) -> None:
        stream.elapse(m, self.tcp)
        handshake.elapse(m, self.tcp)

    def socket(self, m: Machine, proto: str, family: int, user: str) -> Sock:
        if proto == "udplite" and NO_UDPLITE in m.on:
            raise Errno("EPROTONOSUPPORT", NO_UDPLITE)
        if proto == "mptcp" and m.env.get("net.mptcp.enabled", "1") == "0" and mptcp.DISABLED in m.on:
            raise Errno("ENOPROTOOPT", mptcp.DISABLED)
        sk = Sock(_CARRIERS.get(proto, proto), family, user)
        if proto != sk.proto:
            sk.lite, sk.mptcp = proto == "udplite" and OWN_TABLE in m.on, proto == "mptcp"
        if family == 6 and m.env.get("net.ipv6.bindv6only", "0") != "0":
            sk.v6only = True
        return sk

    def set(self, m: Machine, sk: Sock, option: Option) -> None:
        if sk.mptcp:
            _covered(m, sk)
            mptcp.apply(m, sk, option)
            return
        if sk.proto == "sctp" and option.name == "IPV6_V6ONLY" and m.scenario.steps[m.at].verb == "set":
            sctp.known(m)  # whether it has a port
        options.apply(m, sk, option)
        if option.name == "SO_BINDTODEVICE" and sk.proto == "udp":
            self.udp.bind_to_device(m, sk)

    def get(self, m: Machine, sk: Sock, option: Option) -> str | None:
        if sk.proto == "sctp" and option.name == "IPV6_V6ONLY":
            sctp.known(m)  # whether it could be set
        return mptcp.read(m, sk, option) if sk.mptcp else options.read(m, sk, option)

    def name(self, m: Machine, sk: Sock) -> Value:
        if sk.proto == "sctp":
            sctp.known(m)
        elif not sk.connected:
            _covered(m, sk)
        return m.space.value(sk.told or sk.host, sk.shown)

    def bind(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        """__inet_bind, __inet6_bind."""
        if sk.proto == "sctp":
            if "%" in host:
                sctp.lose(m, "an address of one device")
            address = sctp.check(m, sk, host)
            self._privilege(m, sk, port)
            sctp.bind(m, sk, address, port)
            return
        if sk.mptcp:
            _covered(m, sk, host)
            mptcp.check_unconnected(m, sk)
        if (":" in host) is (sk.family == 4):
            check_family(sk, host)
        any_ = "0.0.0.0" if sk.family == 4 else "::"
        if sk.family == 4:
            address = check_local(m, sk, host)
        else:
            check_group(m, sk, host)
        if port and sk.user != "root":
            self._privilege(m, sk, port)
        if (sk.state != CLOSE or sk.port) and BOUND_ONCE in m.on:
            raise Errno("EINVAL", BOUND_ONCE)
        if sk.family == 6:
            address = check_local(m, sk, host)
            if sk.addr_lock and parsed(host)[1:] == (6, "multicast"):  # which does not become its source
                raise Unknown("bind() to a group of a socket that keeps an address")
        v6only, told = sk.v6only, sk.told or (sk.host if sk.mptcp else "")  # which has one beside its subflow's
        sk.laddr, sk.told = address, ""
        if address != any_ and ":" in address and SPECIFIC_V6ONLY in m.on:
            sk.v6only = True
        if port or not sk.no_port or bind.NO_PORT not in m.on:
            try:
                (bind if sk.proto == "tcp" else self.udp).get_port(m, sk, port)
            except Errno:
                sk.laddr, sk.v6only, sk.told = any_, v6only, told
                raise
        if address != any_:
            sk.addr_lock = True
        if port:
            sk.port_lock = True
        sk.shown = sk.port

    @staticmethod
    def _privilege(m: Machine, sk: Sock, port: int) -> None:
        if not port or sk.user == "root":
            return
        low = int(m.env.get("net.ipv4.ip_unprivileged_port_start", "1024"))
        if port < low and LOW_PORT in m.on:
            raise Errno("EACCES", LOW_PORT)

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        """inet_listen."""
        if sk.proto == "udp":
            raise Errno("EOPNOTSUPP", DATAGRAM)
        if sk.proto == "sctp":
            sctp.listen(m, sk, backlog)
            return
        if sk.mptcp:
            _covered(m, sk)
        if sk.connected or sk.state not in (CLOSE, LISTEN):
            raise Errno("EINVAL", LISTEN_STATE)
        self.tcp.listen(m, sk, backlog)
        sk.told = ""

    def connect(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        """inet_dgram_connect, __inet_stream_connect."""
        if sk.proto == "udp":
            self.udp.autobind(m, sk)
            if sk.family == 4:
                check_family(sk, host)
            elif ":" not in host and sk.v6only:
                raise Errno("EAFNOSUPPORT", MAPPED_ON_V6ONLY)
            self.udp.connect(m, sk, host, port)
            return
        if sk.proto == "sctp":
            association.connect(m, sk, host, port)
            return
        if sk.mptcp:
            _covered(m, sk, host)
        if sk.connected or sk.state != CLOSE:
            raise Errno("EISCONN", CONNECTED)
        sk.tried = sk.mptcp
        if ":" in host or sk.family == 6:
            check_family(sk, host)
            check_scope(m, sk, host)
        try:
            self.tcp.connect(m, sk, route.route(m, sk, host), port)
        except Errno as error:
            by_ipv4 = parsed(host)[1] == 4 or (host == "::" and ":" not in sk.laddr)
            if error.name in tcp.NOT_SENT and error.clause is not MAPPED_ON_V6ONLY and sk.family == 6 and by_ipv4:
                sk.mapped = False  # tcp_v6_connect goes back to IPv6 (ipv6_specific)
            raise
        sk.tried = False

    def disconnect(self, m: Machine, sk: Sock) -> None:
        """__udp_disconnect, tcp_disconnect."""
        if sk.proto == "udp":
            self.udp.disconnect(m, sk)
            return
        if sk.proto == "sctp":
            sctp.disconnect(m)
        self._end(m, sk)
        sk.connected, sk.tried = False, sk.mptcp

    def _end(self, m: Machine, sk: Sock) -> None:
        """tcp_disconnect."""
        _covered(m, sk)
        error = sk.error
        if sk.state == LISTEN:
            self.tcp.unlisten(m, sk)
            self.tcp.done(m, sk)
        elif sk.state != CLOSE:
            stream.send_reset(m, self.tcp, sk)
            error = "" if sk.mptcp else "ECONNRESET"
        self.tcp.reset_address(m, sk)
        sk.raddr, sk.rport, sk.rx, sk.error = "", 0, 0, error
        sk.fin = sk.ended = sk.shut_rd = sk.shut_wr = False

    def accept(self, m: Machine, sk: Sock) -> Sock | None:
        """inet_csk_accept."""
        if sk.proto == "udp":
            raise Errno("EOPNOTSUPP", DATAGRAM)
        if sk.proto == "sctp":
            return association.accept(m, sk)
        if sk.state != LISTEN:
            raise Errno("EINVAL", NOT_LISTENING)
        child = handshake.accepted(m, self.tcp, sk)
        if child is not None:
            child.open = True
        return child

    def shutdown(self, m: Machine, sk: Sock, how: str) -> None:
        """inet_shutdown."""
        if sk.proto == "sctp":
            association.shutdown(m, sk, how)
            return
        _covered(m, sk)
        if sk.state == LISTEN:
            if how != "WR" and SHUT_LISTENER in m.on:
                m.clause = SHUT_LISTENER
                self._end(m, sk)
            return
        sk.shut_rd = sk.shut_rd or how != "WR"
        if sk.state == CLOSE:
            sk.shut_wr = sk.shut_wr or how != "RD"
            raise Errno("ENOTCONN", NOT_CONNECTED)
        if how != "RD":
            handshake.speak(m, self.tcp, sk)
            gone = sk.state == CLOSE_WAIT and (sk.peer is None or sk.peer.state == CLOSE) and LATE_FIN in m.on
            stream.end(m, self.tcp, sk)
            if gone:
                sk.error = "ECONNRESET"

    def receive(self, m: Machine, sk: Sock, all_: bool) -> bool:
        if sk.proto == "sctp":
            return association.receive(m, sk, all_)
        _covered(m, sk)
        if sk.proto == "udp":
            outcome = self._datagram(sk, all_)
        else:
            if sk.mptcp and sk.peer is sk:
                raise Unknown("what MPTCP gets from itself")
            handshake.hear(m, self.tcp, sk)
            outcome = stream.receive(m, sk, all_, STREAM_ENDED in m.on)
        if outcome not in ("ok", "nothing"):
            raise Errno(outcome, NOT_CONNECTED if outcome == "ENOTCONN" else PEER)
        return outcome == "ok"

    @staticmethod
    def _datagram(sk: Sock, all_: bool) -> str:
        if sk.error:
            error, sk.error = sk.error, ""
            return error
        if sk.rx:
            sk.rx = 0 if all_ else sk.rx - 1
            if not all_:
                return "ok"
        return "ok" if sk.shut_rd else "nothing"

    def send(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        if sk.proto == "udp":
            self.udp.autobind(m, sk)
            self.udp.send(m, sk, host, port)
            return
        if sk.proto == "sctp":
            association.send(m, sk, host, port)
            return
        _covered(m, sk)
        if not sk.shut_wr and handshake.speak(m, self.tcp, sk):
            return
        outcome = stream.send(m, self.tcp, sk)
        if outcome != "ok":
            raise Errno(outcome, PEER if outcome != "EPIPE" else udp.SHUT_DOWN)

    def close(self, m: Machine, sk: Sock) -> None:
        if sk.proto == "udp":
            self.udp.unhash(m, sk)
            self.udp.leave(m, sk)
        elif sk.proto == "sctp":
            association.close(m, sk)
        else:
            if sk.mptcp and sk.connected and mptcp.AFTER not in m.on:
                raise Unknown(_BEFORE)
            if sk.mptcp and sk.rx and not sk.twofold:
                raise Unknown("close() of MPTCP over TCP with unread data")
            if sk.state == LISTEN:
                self.tcp.unlisten(m, sk)
            if sk.linger and sk.peer is not None:
                handshake.speak(m, self.tcp, sk)
            stream.close(m, self.tcp, sk)


_BEFORE = "MPTCP connections before Linux 6.1"


def _covered(m: Machine, sk: Sock, host: str = "") -> None:
    """Raises Unknown: of MPTCP after its connection, and of its connections that older kernels have."""
    if not sk.mptcp:
        return
    if "%" in host:
        raise Unknown("an address of one device on MPTCP")
    if (sk.connected or sk.queue) and mptcp.AFTER not in m.on:
        raise Unknown(_BEFORE)
    if (sk.tried and mptcp.AGAIN not in m.on) or (sk.connected and sk.state == CLOSE):
        raise Unknown("an MPTCP socket after its connection")


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (5, 7) else "Linux before 5.7 is not modelled"


def family(platform: Platform, on: frozenset[Declared]) -> Linux:
    """The calls of a Linux; what differs between versions is in `on`."""
    return Linux()
