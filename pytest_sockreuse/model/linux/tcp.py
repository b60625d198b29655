"""Linux TCP: listen and connect; what keeps, loses and takes over a port or a 4-tuple."""

from __future__ import annotations

from typing import NoReturn

from .. import stream
from ..clause import Book, Declared, Errno, TimeUp, Unknown
from ..sock import CLOSE, ESTABLISHED, LISTEN, TIME_WAIT, Sock
from . import handshake
from .address import kind_of
from .bind import EXHAUSTED, TW_KEEPS, bucket, get_port, left, moved
from .choice import connect_auto
from .mptcp import KEEPS
from .route import BROADCAST, BY_DEVICE, FOREIGN, MULTICAST_TO, Route
from .state import Bucket, Machine

BOOK = Book()
_CSK = "net/ipv4/inet_connection_sock.c"
_HASH = "net/ipv4/inet_hashtables.c"

RELISTEN = BOOK(
    "listen-checks-again",
    "listen() checks the port for conflicts as a socket that listens.",
    f"{_CSK} inet_csk_listen_start",
)
UNLOCKED = BOOK(
    "chosen-port-is-lost",
    "A chosen port is given back when the socket fails, disconnects or stops listening; getsockname still shows it.",
    "net/ipv4/tcp.c tcp_set_state (SOCK_BINDPORT_LOCK)",
)
TUPLE = BOOK("tuple-busy", "connect() over a 4-tuple in use is EADDRNOTAVAIL.", f"{_HASH} __inet_check_established")
BOUND_PORTS = BOOK(
    "connect-avoids-bound-ports",
    "connect() chooses no port that any bind() holds.",
    f"{_HASH} __inet_hash_connect (fastreuse)",
)
STICKY = BOOK(
    "bound-port-sticks",
    "A port once bound stays unfit for connect() until no socket has it, TIME_WAIT included.",
    f"{_HASH}, until d57f4b874946 tcp: Update bind bucket state on port release",
    until=("6.17.8", "6.18"),
)
KEEPS_SADDR = BOOK(
    "failed-connect-keeps-address",
    "After EADDRNOTAVAIL the source address that connect() chose stays.",
    "until 77934dc6db0d dccp/tcp: Reset saddr on failure after inet6?_hash_connect().",
    confidence="inferred",
    until=("5.10.157", "5.15.81", "6.0.11", "6.1"),
)
TW_BOUND = BOOK(
    "time-wait-bound-reconnect",
    "A bound socket may connect over TIME_WAIT if TCP timestamps were in use, whatever tcp_tw_reuse says.",
    "net/ipv4/tcp_ipv4.c tcp_twsk_unique (twp == NULL)",
)
TW_REUSE = BOOK(
    "time-wait-reuse",
    "connect() may choose a 4-tuple in TIME_WAIT by tcp_tw_reuse=1, or 2 on loopback, with TCP timestamps.",
    "net/ipv4/tcp_ipv4.c tcp_twsk_unique",
)
TW_DELAY = BOOK(
    "time-wait-reuse-delay",
    "tcp_tw_reuse counts after tcp_tw_reuse_delay milliseconds, 1000 by default.",
    "19ce8cd30465, ca6a6f93867a",
    since=("6.14",),
)
TW_SECOND = BOOK(
    "time-wait-reuse-next-second",
    "tcp_tw_reuse counts from the next second of the clock on.",
    "net/ipv4/tcp_ipv4.c tcp_twsk_unique (ktime_get_seconds), until 19ce8cd30465",
    until=("6.14",),
)
TW_BUCKETS = BOOK(
    "time-wait-buckets",
    "Where tcp_max_tw_buckets sockets are in TIME_WAIT, or in FIN_WAIT2 and closed, the next one leaves nothing.",
    "net/ipv4/inet_timewait_sock.c inet_twsk_alloc",
)
MIGRATE = BOOK(
    "listener-leaves-its-queue",
    "With tcp_migrate_req connections that wait at a listener that ends go to others of its SO_REUSEPORT group.",
    "net/core/sock_reuseport.c reuseport_migrate_sock, f9ac779f881c net: Introduce net.ipv4.tcp_migrate_req.",
    since=("5.14",),
)
HALF_KEPT = BOOK(
    "fin-wait2-not-reused",
    "tcp_tw_reuse does not count for FIN_WAIT2.",
    "0d9e5df4a257 tcp: avoid reusing FIN_WAIT2 when trying to find port in connect() process",
    since=("5.10.227", "6.1.113", "6.11.3", "6.12"),
)
TW_ENDS = BOOK("time-wait-ends", "TIME_WAIT ends after 60 s.", "include/net/tcp.h TCP_TIMEWAIT_LEN")
HALF_ENDS = BOOK(
    "fin-wait2-ends",
    "FIN_WAIT2 without a descriptor ends after TCP_LINGER2 or else tcp_fin_timeout seconds, but 0.7 at least; "
    "of more than 60 it lasts twice what exceeds them.",
    "net/ipv4/tcp.c __tcp_close, tcp_fin_time; net/ipv4/tcp_timer.c tcp_keepalive_timer",
)
_PATIENT = 3  # retries of a SYN that last longer than a scenario without waits
MINUTE = 60.0  # TCP_TIMEWAIT_LEN
LEAST_FIN_TIME = 0.7  # 3.5 times the least retransmission time-out
SOMAXCONN = BOOK(
    "somaxconn",
    "net.core.somaxconn, 4096 by default, bounds the backlog of listen(); a negative one is that.",
    "net/socket.c __sys_listen",
)
USER_TIMEOUT = BOOK(
    "user-timeout",
    "Without an answer connect() is ETIMEDOUT after a second if TCP_USER_TIMEOUT is at most that.",
    "net/ipv4/tcp_timer.c tcp_write_timeout (icsk_user_timeout)",
)

SHUT_SELF = BOOK(
    "self-connection-after-shutdown",
    "A connection of a socket to itself that was shut down for writing before ends at once: connect() is ECONNABORTED, "
    "and TIME_WAIT stands for it.",
    "net/ipv4/tcp_input.c tcp_rcv_state_process (TCP_SYN_RECV), 94062790aedb tcp: defer shutdown(SEND_SHUTDOWN) for "
    "TCP_SYN_RECV sockets",
    since=("5.10.217", "5.15.159", "6.1.91", "6.6.31", "6.8.10", "6.9"),
)
MAPPED_STICKS = BOOK(
    "mapped-sticks",
    "An AF_INET6 socket that sent a SYN to a v4-mapped address, or was accepted from one, goes on with IPv4, and a "
    "later connect() to IPv6 hangs.",
    "net/ipv6/tcp_ipv6.c tcp_v6_connect, tcp_v6_syn_recv_sock (icsk_af_ops = &ipv6_mapped)",
)

#: Errors of a connect() that sent no SYN.
NOT_SENT = frozenset({"ENETUNREACH", "EADDRNOTAVAIL", "EINVAL", "EACCES"})
#: What a small socket in TIME_WAIT keeps of the one it stands for.
_REMEMBERED = "ra rp v6only device laddr port raddr rport auto timestamps".split()


class Tcp:
    """A TCP socket's calls after the checks that all protocols share."""

    def release(self, m: Machine, sk: Sock) -> None:
        """inet_put_port, inet_twsk_bind_unhash."""
        entry = bucket(m, sk.port)
        if entry is not None and sk in entry.owners:
            entry.owners.remove(sk)
            left(entry, sk.laddr)
            if not entry.owners:
                del m.state.tcp[sk.port]
            elif STICKY not in m.on and all(entry.free.values()):
                entry.blocked = False
        sk.port = 0
        sk.auto = False

    def done(self, m: Machine, sk: Sock) -> None:
        """tcp_set_state(TCP_CLOSE)."""
        if not sk.port_lock and UNLOCKED in m.on:
            self.release(m, sk)

    def remain(self, m: Machine, sk: Sock, half: bool) -> None:
        """tcp_time_wait: a small socket takes the place of `sk`; for a long FIN_WAIT2 tcp_keepalive_timer does it."""
        if half and sk.mptcp and KEEPS in m.on:
            if sk.half:
                raise Unknown("an MPTCP connection a minute after close()")
            sk.half = True
            stream.last(m, sk, (MINUTE, MINUTE))
            return
        if half and not sk.half and HALF_ENDS in m.on and self._fin_time(m, sk) > MINUTE:
            sk.half = True
            stream.last(m, sk, self.stay(m, sk, True))
            return
        if not self._room(m):
            if sk.mptcp:
                raise Unknown("an MPTCP connection that has no room in TIME_WAIT")
            if sk.peer is not None:
                sk.peer.peer = None
            sk.peer = None
            stream.finish(m, self, sk)
            return
        small = Sock("tcp", sk.family, sk.user)
        small.have(_REMEMBERED, sk)
        small.mptcp = sk.mptcp and not sk.twofold
        entry = bucket(m, sk.port)
        if entry is not None and TW_KEEPS in m.on:
            entry.owners.append(small)
        stream.survive(m, self, sk, small, half)

    def stay(self, m: Machine, sk: Sock, half: bool) -> stream.Stay:
        """What tcp_time_wait and tcp_reset_keepalive_timer are given; the timer wheel is late by up to an eighth."""
        if (HALF_ENDS if half else TW_ENDS) not in m.on:
            return stream.ALWAYS
        seconds = self._fin_time(m, sk) if half else MINUTE
        if seconds > MINUTE:
            seconds -= MINUTE
        return seconds, seconds * 9 / 8

    @staticmethod
    def _fin_time(m: Machine, sk: Sock) -> float:
        """tcp_fin_time."""
        return max(float(sk.linger2 or m.env.get("net.ipv4.tcp_fin_timeout", MINUTE)), LEAST_FIN_TIME)

    @staticmethod
    def _room(m: Machine) -> bool:
        """Whether TIME_WAIT may have one more (inet_twsk_alloc)."""
        most = m.env.get("net.ipv4.tcp_max_tw_buckets")
        if most is None or TW_BUCKETS not in m.on:
            return True
        owners = (sk for entry in m.state.tcp.values() for sk in entry.owners)
        return sum(sk.state == TIME_WAIT for sk in owners) < int(most)

    def unlisten(self, m: Machine, sk: Sock) -> None:
        """inet_csk_listen_stop; reuseport_migrate_sock: who waits may go to others of the group. Raises Unknown."""
        migrates = MIGRATE in m.on and m.env.get("net.ipv4.tcp_migrate_req", "0") != "0"
        heirs = [other for other in sk.group or () if other is not sk and migrates]
        stays = sk.group is not None and migrates
        left = handshake.unlisten(m, sk, bool(heirs))
        if heirs:
            for child in sk.queue:
                heirs[m.choose(len(heirs)) if len(heirs) > 1 else 0].queue.append(child)
            sk.queue = []
        stream.stop_listening(m, self, sk)
        sk.queue, sk.group = left, [] if stays else None  # reuseport_stop_listen_sock: it is a closed member

    def reset_address(self, m: Machine, sk: Sock) -> None:
        """inet_bhash2_reset_saddr."""
        if not sk.addr_lock:
            old, sk.laddr = sk.laddr, "0.0.0.0" if sk.family == 4 else "::"
            moved(m, sk, old)

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        """inet_csk_listen_start."""
        most = 4096
        if "net.core.somaxconn" in m.env and SOMAXCONN in m.on:
            most = int(m.env["net.core.somaxconn"])
        sk.backlog = min(backlog, most) if backlog >= 0 else most
        if sk.state == LISTEN:
            return
        if sk.queue:
            raise Unknown("a socket that listens again while connections wait that it had")
        sk.state = LISTEN
        try:
            if RELISTEN in m.on or not sk.port:
                get_port(m, sk, sk.port)
        except Errno:
            sk.state = CLOSE
            raise
        sk.shown = sk.port
        others = m.listeners.setdefault(sk.port, [])
        sk.group = self._group(sk, others) if sk.rp and handshake.GROUP in m.on else None
        if sk.rp and sk.family == 6:
            others.append(sk)
        else:
            others.insert(0, sk)

    @staticmethod
    def _group(sk: Sock, others: list[Sock]) -> list[Sock]:
        """inet_reuseport_add_sock."""
        for sk2 in others:
            if (
                sk2.rp
                and (sk2.family, sk2.v6only, sk2.device, sk2.user) == (sk.family, sk.v6only, sk.device, sk.user)
                and sk2.laddr == sk.laddr
            ):
                if sk2.group is None:
                    sk2.group = [sk2]
                sk2.group.append(sk)
                return sk2.group
        return [sk]

    def connect(self, m: Machine, sk: Sock, way: Route, port: int) -> None:
        """tcp_v4_connect, tcp_v6_connect and the answer of the other side."""
        source, destination, broadcast, lost, _, _ = way
        if broadcast:
            raise Errno("ENETUNREACH", MULTICAST_TO if kind_of(destination) == "multicast" else BROADCAST)
        old, sk.laddr, sk.raddr, sk.rport = sk.laddr, source, destination, port
        if sk.port:
            moved(m, sk, old)
        sk.timestamps = m.env.get("net.ipv4.tcp_timestamps", "1") != "0"
        try:
            if sk.port:
                if not self._unique(m, sk, sk.port, False):
                    raise Errno("EADDRNOTAVAIL", TUPLE)
            else:
                self._choose(m, sk)
        except Errno:
            self._failed(m, sk, KEEPS_SADDR not in m.on)
            raise
        sk.shown = sk.port
        sk.told = sk.host if sk.mptcp else ""
        taken = m.tuples.get(key := sk.key)
        if taken is not None:
            stream.leave_tuple(m, taken)
            if taken.state == TIME_WAIT:
                self.release(m, taken)
        m.tuples[key] = sk
        sk.fin, sk.ended, sk.error = False, False, ""
        if sk.family == 6 and ":" not in destination:
            sk.mapped = True
        elif sk.mapped and MAPPED_STICKS in m.on:
            self._unanswered(m, sk, MAPPED_STICKS)
        if lost:
            self._unanswered(m, sk, BY_DEVICE if sk.device else FOREIGN)
        if sk.port == port and source == destination:
            sk.state, sk.connected, sk.peer = ESTABLISHED, True, sk
            if sk.shut_wr and SHUT_SELF in m.on:
                self._abort(m, sk)
            return
        try:
            answered = handshake.arrive(m, self, sk)
        except Errno:
            stream.leave_tuple(m, sk)
            self._failed(m, sk, True)
            sk.shut_rd = sk.shut_wr = False
            raise
        if not answered:
            self._unanswered(m, sk, handshake.BACKLOG)

    def _failed(self, m: Machine, sk: Sock, reset: bool) -> None:
        self.done(m, sk)
        if reset:
            self.reset_address(m, sk)
        sk.raddr, sk.rport, sk.state = "", 0, CLOSE

    def _abort(self, m: Machine, sk: Sock) -> NoReturn:
        """A FIN follows the SYN of a connection to itself. Raises Errno, Unknown."""
        if sk.mptcp:
            raise Unknown("a connection of MPTCP to itself after shutdown(WR)")
        self.remain(m, sk, False)
        self.reset_address(m, sk)
        sk.raddr, sk.rport, sk.connected = "", 0, False
        sk.fin = sk.ended = sk.shut_rd = sk.shut_wr = False
        raise Errno("ECONNABORTED", SHUT_SELF)

    def _unanswered(self, m: Machine, sk: Sock, clause: Declared) -> NoReturn:
        """The SYN is sent again and again. Raises TimeUp, or Errno ETIMEDOUT."""
        retries = sk.options.get("TCP_SYNCNT") or m.env.get("net.ipv4.tcp_syn_retries", "6")
        if int(retries) < _PATIENT:
            raise Unknown("how long a SYN without an answer is sent again")
        milliseconds = int(sk.options.get("TCP_USER_TIMEOUT", "0"))
        if not 0 < milliseconds <= 1000:
            raise TimeUp(clause)
        m.now += 1
        stream.leave_tuple(m, sk)
        self._failed(m, sk, True)
        raise Errno("ETIMEDOUT", USER_TIMEOUT)

    def _choose(self, m: Machine, sk: Sock) -> None:
        """The search of __inet_hash_connect for a port whose bucket and 4-tuple are free."""

        def fit(port: int) -> bool:
            entry = m.state.tcp.get(port)
            if entry is not None and entry.blocked and BOUND_PORTS in m.on:
                return False
            return self._unique(m, sk, port, True)

        port = connect_auto(m, sk, fit)
        if not port:
            raise Errno("EADDRNOTAVAIL", EXHAUSTED)
        entry = m.state.tcp.get(port) or m.state.tcp.setdefault(port, Bucket())
        sk.port, sk.auto = port, True
        entry.owners.append(sk)
        entry.free.setdefault(sk.laddr, True)

    def _unique(self, m: Machine, sk: Sock, port: int, auto: bool) -> bool:
        """__inet_check_established: whether the 4-tuple with this port is free, or its TIME_WAIT may be taken."""
        old = m.tuples.get((sk.laddr, port, sk.raddr, sk.rport))
        if old is None or old is sk or TUPLE not in m.on or (old.device and old.device != sk.device):
            return True
        m.met(old, TUPLE)
        if old.state != TIME_WAIT or not old.timestamps:
            return False
        if not auto:
            m.clause = TW_BOUND
            return TW_BOUND in m.on
        if port in m.space.loose:  # it is taken from who has it
            m.space.look(port)
        return TW_REUSE in m.on and self._tw_reuse(m, old)

    @staticmethod
    def _tw_reuse(m: Machine, old: Sock) -> bool:
        reuse = m.env.get("net.ipv4.tcp_tw_reuse", "2")
        loopback = (
            old.raddr.startswith("127.") or old.raddr == "::1" or old.laddr.startswith("127.") or old.laddr == "::1"
        )
        if reuse == "0" or (reuse == "2" and not loopback and old.device != "lo"):
            return False
        if old.half and HALF_KEPT in m.on:
            return False
        passed, certain = m.now - old.since, True
        if TW_DELAY in m.on:
            delay = int(m.env.get("net.ipv4.tcp_tw_reuse_delay", "1000")) / 1000
            certain = not delay - 0.25 < passed <= delay
            ripe = passed > delay
        else:
            ripe = passed >= 1
            certain = ripe or TW_SECOND not in m.on
        if not certain:
            ripe = bool(m.choose(2))
        if ripe:
            m.clause = TW_REUSE
        return ripe
