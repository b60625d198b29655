"""Linux UDP: who may share a port, and which socket gets a datagram."""

from __future__ import annotations

from ..address import arrives_by, parsed
from ..clause import PLAIN, Book, Errno, Unknown
from ..sock import CLOSE, ESTABLISHED, Sock
from . import address as at
from . import multicast, table4
from .choice import datagram
from .route import BROADCAST, Route, connected, route
from .state import Machine

BOOK = Book()
_UDP = "net/ipv4/udp.c"

SHUT_DOWN = BOOK("shut-down", "Sending after shutdown(WR) is EPIPE.", "net/core/sock.c sock_alloc_send_pskb")

CONFLICT = BOOK(
    "udp-conflict",
    "UDP sockets at one port whose addresses overlap conflict unless both share.",
    f"{_UDP} udp_lib_lport_inuse",
)
REUSEADDR = BOOK(
    "udp-reuseaddr-shares", "They share if both have SO_REUSEADDR, whoever owns them.", f"{_UDP} udp_lib_lport_inuse"
)
REUSEPORT = BOOK(
    "udp-reuseport-shares", "They share if both have SO_REUSEPORT and one owner.", f"{_UDP} udp_lib_lport_inuse"
)
FIRST_REUSEPORT = BOOK(
    "udp-first-reuseport-decides",
    "The sockets are looked at from the newest on, and the first that shares by SO_REUSEPORT ends the search; of more "
    "than 10 at a port those at the address of bind(), and then those at the wildcard.",
    f"{_UDP} udp_lib_lport_inuse (return 0), udp_lib_get_port (hslot->count)",
)
MISSED = BOOK(
    "udp-wildcard-misses-many",
    "With more than 10 sockets at a port a wildcard bind() looked at wildcard sockets only.",
    "until e537dd15d0d4 udp: Fix wildcard bind conflict check when using hash2",
    until=("6.1.168", "6.6.131", "6.12.80", "6.18.21", "6.19.11", "7.0"),
)
SHARED_ZERO = BOOK(
    "udp-bind0-may-share",
    "bind(0) may choose a port in use if the sockets share it.",
    f"{_UDP} udp_lib_get_port",
)
EXHAUSTED = BOOK(
    "udp-ports-exhausted",
    "No port is left: EADDRINUSE for bind, EAGAIN where connect or sendto would bind.",
    "net/ipv4/af_inet.c inet_autobind",
)
DISCONNECT = BOOK(
    "udp-disconnect-drops-port",
    "Disconnecting drops a port that bind() did not name, and getsockname shows 0.",
    f"{_UDP} __udp_disconnect",
)
REFUSED = BOOK(
    "udp-refused",
    "A datagram to nobody makes the next call on a connected socket ECONNREFUSED.",
    f"{_UDP} __udp4_lib_err",
)
NEWEST = BOOK(
    "udp-newest-gets-it", "Of equal sockets the one bound last gets the datagram.", f"{_UDP} udp4_lib_lookup2"
)
SPREAD = BOOK(
    "udp-reuseport-group",
    "Datagrams spread over the unconnected sockets of a SO_REUSEPORT group.",
    f"{_UDP} lookup_reuseport",
)
GROUP_CONNECTED = BOOK(
    "udp-group-counts-its-connections",
    "A SO_REUSEPORT group hides connected sockets that fit better, unless a socket connected while it was a member.",
    "net/core/sock_reuseport.c reuseport_has_conns_set; net/ipv4/datagram.c __ip4_datagram_connect",
)
PAST_PEER = BOOK(
    "udp-disconnect-keeps-peer",
    "A disconnected AF_INET6 socket gets IPv6 datagrams only of the address that it was connected to, before others.",
    "net/ipv4/udp.c __udp_disconnect; net/ipv6/udp.c compute_score (sk_v6_daddr)",
)
SAME_CPU = BOOK(
    "udp-same-processor",
    "Of equal sockets one that a datagram reached while it was connected is preferred on the processor that sent it.",
    f"{_UDP} compute_score (sk_incoming_cpu)",
)
PORT_ZERO = BOOK("udp-port-zero", "A datagram to port 0 is EINVAL.", f"{_UDP} udp_sendmsg")
NO_DESTINATION = BOOK("udp-no-destination", "send() on an unconnected socket is EDESTADDRREQ.", f"{_UDP} udp_sendmsg")


def table(m: Machine, lite: bool) -> dict[int, list[Sock]]:
    """The sockets of UDP, or of UDP-Lite, by port."""
    return m.state.lite if lite else m.state.udp


def owners(m: Machine, port: int, lite: bool) -> list[Sock]:
    """The sockets of a port, newest first, but those of IPv6 with SO_REUSEPORT last."""
    return table(m, lite).get(port, [])


def in_use(m: Machine, sk: Sock, port: int, many: bool = True) -> bool:
    """udp_lib_get_port: whether a socket of the port stands against `sk`; `many`: bind() by number."""
    here = owners(m, port, sk.lite)
    m.spend(len(here))
    if many and len(here) > 10:
        if not sk.any_:
            exact = [other for other in here if other.laddr == sk.laddr]
            return _stands(m, sk, exact, many) or _stands(m, sk, [other for other in here if other.any_], many)
        if MISSED in m.on:
            here = [other for other in here if other.any_]
    return _stands(m, sk, here, many)


def _stands(m: Machine, sk: Sock, others: list[Sock], many: bool) -> bool:
    """udp_lib_lport_inuse, udp_lib_lport_inuse2."""
    on = m.on
    for sk2 in others:
        if sk2 is sk or not at.overlap(on, sk, sk2) or (sk2.device and sk.device and sk2.device != sk.device):
            continue
        if sk.ra and sk2.ra and REUSEADDR in on:
            m.clause = REUSEADDR
        elif sk.rp and sk2.rp and sk.user == sk2.user and REUSEPORT in on:
            m.clause = REUSEPORT
            if many and FIRST_REUSEPORT in on:
                return False
        elif CONFLICT in on:
            m.met(sk2, CONFLICT)
            return True
    return False


class Udp:
    """A UDP socket's calls after the checks that all protocols share."""

    def get_port(self, m: Machine, sk: Sock, port: int, errno: str = "EADDRINUSE") -> None:
        """udp_lib_get_port. Raises Errno."""
        if port:
            if in_use(m, sk, port):
                raise Errno("EADDRINUSE", CONFLICT)
        else:
            port = datagram(
                m, sk, lambda p: not (owners(m, p, sk.lite) and SHARED_ZERO not in m.on) and not in_use(m, sk, p, False)
            )
            m.clause = PLAIN
            if not port:
                raise Errno(errno, EXHAUSTED)
        here = table(m, sk.lite).setdefault(port, [])
        assert isinstance(here, list)
        if sk.rp:
            self._join(sk, here)
        last = sk.rp and sk.family == 6  # sk_add_node_rcu
        here.insert(len(here) if last else 0, sk)
        sk.port = port
        self.rehash(m, sk)
        if last:
            sk.bound_at = -m.clock

    @staticmethod
    def _join(sk: Sock, here: list[Sock]) -> None:
        """udp_reuseport_add_sock."""
        for sk2 in here:
            if sk2.rp and (sk2.family, sk2.v6only, sk2.device, sk2.user, sk2.laddr) == (
                sk.family,
                sk.v6only,
                sk.device,
                sk.user,
                sk.laddr,
            ):
                if sk2.group is None:
                    sk2.group = [sk2]
                sk2.group.append(sk)
                sk.group, sk.conns = sk2.group, sk2.conns
                return
        sk.group = [sk]

    @staticmethod
    def rehash(m: Machine, sk: Sock) -> None:
        """udp_lib_rehash: the socket is the newest at its address."""
        m.clock += 1
        sk.bound_at = m.clock

    def autobind(self, m: Machine, sk: Sock) -> None:
        """inet_autobind. Raises Errno EAGAIN."""
        if not sk.port:
            self.get_port(m, sk, 0, "EAGAIN")
            sk.shown = sk.port

    def leave(self, m: Machine, sk: Sock) -> None:
        """ip_mc_drop_socket, ipv6_sock_mc_close."""
        if sk in m.state.members:
            m.state.members.remove(sk)
        sk.groups = frozenset()

    def unhash(self, m: Machine, sk: Sock) -> None:
        """udp_lib_unhash."""
        if sk.port:
            here = owners(m, sk.port, sk.lite)
            here.remove(sk)
            if not here:
                del table(m, sk.lite)[sk.port]
            self._leave_group(sk)
            table4.leave(m, sk)
            sk.port = 0

    def connect(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        """__ip4_datagram_connect, __ip6_datagram_connect."""
        at.check_scope(m, sk, host)
        try:
            way = self._way(m, sk, host)
        except Errno:
            sk.tried = sk.state == ESTABLISHED and ":" not in sk.raddr
            raise
        sk.tried = False
        if sk.any_ and sk.laddr != way.source:
            sk.laddr = way.source
            self._leave_group(sk)
            self.rehash(m, sk)
        own = ":" not in sk.laddr and at.kind_of(sk.laddr) not in ("broadcast", "multicast")
        if not (own or sk.source or ":" in way.destination or way.source == "0.0.0.0"):
            sk.source = way.source  # inet_saddr
        for member in sk.group or ():
            member.conns = True
        sk.raddr, sk.rport, sk.state = way.destination, port, ESTABLISHED
        if not sk.lite and not sk.any_ and table4.enter(m, sk):
            self._leave_group(sk)

    def bind_to_device(self, m: Machine, sk: Sock) -> None:
        """sock_bindtoindex_locked: the socket is hashed anew (udp_lib_rehash)."""
        if sk.port:
            self._leave_group(sk)
            table4.rehash(m, sk)

    @staticmethod
    def _leave_group(sk: Sock) -> None:
        """reuseport_detach_sock."""
        if sk.group is not None:
            sk.group.remove(sk)
            sk.group, sk.conns = None, False

    def disconnect(self, m: Machine, sk: Sock) -> None:
        """__udp_disconnect."""
        if "%" in sk.laddr and sk.addr_lock:
            raise Unknown("a link-local address without its device")
        if sk.family == 6 and PAST_PEER in m.on:
            sk.past = sk.raddr or sk.past
        sk.state, sk.raddr, sk.rport, sk.device, sk.tried = CLOSE, "", 0, "", False
        if not sk.addr_lock:
            table4.leave(m, sk)
            before, sk.laddr, sk.source = sk.laddr, "0.0.0.0" if sk.family == 4 else "::", ""
            if sk.port_lock and sk.laddr != before:
                self._leave_group(sk)
                self.rehash(m, sk)
        if not sk.port_lock and DISCONNECT in m.on:
            self.unhash(m, sk)
            sk.shown = 0

    def send(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        """udp_sendmsg, udpv6_sendmsg. Raises Errno."""
        if not host and sk.state != ESTABLISHED:
            raise Errno("EDESTADDRREQ", NO_DESTINATION)
        if sk.family == 4 and ":" in host:
            raise Errno("EAFNOSUPPORT", at.FAMILY)
        if sk.tried and not host:
            raise Unknown("send() of a connected UDP socket whose next connect() failed")
        native = sk.family == 6 and ":" in (parsed(host)[0] if host else sk.raddr)
        native = native and not (host and parsed(host)[2] == "any" and ":" not in sk.laddr)
        port = port if host else sk.rport
        if not port and (host or (sk.family == 6 and not native)) and (native or not sk.v6only) and PORT_ZERO in m.on:
            raise Errno("EINVAL", PORT_ZERO)
        way = self._way(m, sk, host, True) if host else connected(m, sk)
        if sk.error:
            error, sk.error = sk.error, ""
            raise Errno(error, REFUSED)
        if sk.shut_wr:
            raise Errno("EPIPE", SHUT_DOWN)
        if way.away:
            return
        others = [other for here in table(m, sk.lite).values() for other in here] if m.space.loose else []
        if others:
            m.space.look(port)
            m.space.tell(sk.port, [other.rport for other in others if other.raddr])
        if way.broadcast:
            found = self._everybody(m, way, sk.port, port, sk.lite)
        else:
            found = self._receiver(m, way.source, sk.port, way.destination, port, sk.lite)
        for other in found:
            if other.rx > 1 and "SO_RCVBUF" in other.options:
                raise Unknown("how much a small SO_RCVBUF takes")
            other.rx += 1
            other.warm = other.warm or bool(other.raddr or (":" in way.destination and other.past))
        if not found and not way.broadcast and not way.lost:
            if any(other.raddr for other in others):
                m.space.tell(sk.port, [other.port for other in others])
            victim = self._lookup(m, way.destination, port, way.source, sk.port, sk.lite)
            if victim is not None and victim.state == ESTABLISHED and REFUSED in m.on:
                victim.error = "ECONNREFUSED"

    @staticmethod
    def _way(m: Machine, sk: Sock, host: str, once: bool = False) -> Route:
        way = route(m, sk, host, once)
        if way.broadcast and at.kind_of(way.destination) == "broadcast" and sk.options.get("SO_BROADCAST") != "1":
            raise Errno("EACCES", BROADCAST)
        return way

    @staticmethod
    def _everybody(m: Machine, way: Route, sport: int, dport: int, lite: bool) -> list[Sock]:
        """__udp_is_mcast_sock, __udp_v6_is_mcast_sock: all sockets that a datagram to a group or to all fits."""
        to, v6 = way.destination, ":" in way.destination
        group = at.kind_of(to) == "multicast"
        found = [
            other
            for other in owners(m, dport, lite)
            if other.laddr in ((to, "::") if v6 else (to, "0.0.0.0", "::"))
            and not (other.v6only and not v6)
            and (not group or multicast.hears(m, other, to, way.by))
            and other.device in ("", way.by)
        ]
        if not way.source and any(other.raddr for other in found):
            raise Unknown("from which of its addresses a device sends")
        return [o for o in found if not o.raddr or (o.raddr == way.source and o.rport in (0, sport))]

    @staticmethod
    def _candidates(m: Machine, source: str, sport: int, destination: str, dport: int, lite: bool) -> list[Sock]:
        """The sockets that a datagram fits, the newest first; those at the wildcard only if there are no others."""
        v4, device, found = ":" not in destination, arrives_by(destination), []
        for other in sorted(owners(m, dport, lite), key=lambda other: other.bound_at, reverse=NEWEST in m.on):
            if destination == at.LOOPBACK4 and _narrowed(other) and other.rport in (0, sport):
                raise Unknown("IPv4 to 127.0.0.6 beside a socket that connect() gave an IPv6 address")
            if other.laddr != destination and not (other.any_ and (":" in other.laddr or v4)):
                continue
            if (v4 and other.v6only) or other.device not in ("", device):
                continue
            peer = other.raddr or ("" if v4 else other.past)
            if not peer or (peer == source and other.rport in (0, sport)):
                found.append(other)
        exact = [other for other in found if other.laddr == destination]
        return exact or found

    def _lookup(self, m: Machine, source: str, sport: int, destination: str, dport: int, lite: bool) -> Sock | None:
        """__udp4_lib_lookup, __udp6_lib_lookup: the best score; a group that counts no connection ends the search."""
        found = None if lite else table4.find(m, source, sport, destination, dport)
        if found is not None:
            return found
        v6 = ":" in destination
        fit = [
            (other, self._score(other, v6)) for other in self._candidates(m, source, sport, destination, dport, lite)
        ]
        best: Sock | None = None
        score = -1
        for other, points in fit:
            near = any(theirs - points in (0, 1) for another, theirs in fit if another is not other)
            points += m.choose(2) if other.warm and near and SAME_CPU in m.on else 0
            if points > score:
                best, score = other, points
                if other.rp and not other.raddr and other.group and SPREAD in m.on:
                    connected = any(member.raddr for member in other.group)
                    if not (other.conns if GROUP_CONNECTED in m.on else connected):
                        break
        return best

    @staticmethod
    def _score(sk: Sock, v6: bool) -> int:
        """compute_score."""
        counted = bool(sk.raddr or (v6 and sk.past)) + bool(sk.rport) + bool(sk.device)
        return counted if v6 else 4 * counted + (sk.family == 4)

    def _receiver(self, m: Machine, source: str, sport: int, destination: str, dport: int, lite: bool) -> list[Sock]:
        """The socket that gets a datagram, if any: by lookup_reuseport one of its group that is not connected."""
        best = self._lookup(m, source, sport, destination, dport, lite)
        if best is None:
            return []
        if not best.rp or best.raddr or SPREAD not in m.on or best.group is None:
            return [best]
        members = [member for member in best.group if not member.raddr]
        if len(members) < 2:
            return [best]
        m.clause = SPREAD
        return [members[m.spread(len(members))]]


def _narrowed(sk: Sock) -> bool:
    """Whether connect() gave `sk` an IPv6 address: newer kernels' IPv4 takes that for 127.0.0.6, from any peer."""
    return bool(sk.raddr) and ":" in sk.laddr and not sk.any_ and not sk.addr_lock
