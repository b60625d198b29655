"""Linux TCP: bind, listen and connect; which sockets conflict, and what keeps or loses a port."""

from __future__ import annotations

from . import linux_address as at
from . import stream
from .clause import Book, Errno, TimeUp
from .linux_choice import bind_zero, connect_auto
from .machine import CLOSE, ESTABLISHED, LISTEN, PLAIN, TIME_WAIT, Machine, Sock

BOOK = Book()
_CSK = "net/ipv4/inet_connection_sock.c"
_HASH = "net/ipv4/inet_hashtables.c"

CONFLICT = BOOK("bind-conflict", "Sockets at one port whose addresses overlap conflict unless both share.", f"{_CSK} inet_bind_conflict")
REUSEADDR = BOOK("reuseaddr-shares", "They share if both have SO_REUSEADDR and the other does not listen.", f"{_CSK} inet_bind_conflict")
LISTENER = BOOK("listener-excludes", "SO_REUSEADDR does not share with a socket that listens.", f"{_CSK} inet_bind_conflict")
REUSEPORT = BOOK("reuseport-shares", "They share if both have SO_REUSEPORT and one owner.", f"{_CSK} inet_bind_conflict")
SAME_USER = BOOK("reuseport-same-user", "SO_REUSEPORT shares only between sockets of one user.", f"{_CSK} inet_bind_conflict (uid_eq)")
TW_ANY_USER = BOOK(
    "time-wait-any-user",
    "For SO_REUSEPORT the owner of a socket in TIME_WAIT does not count.",
    f"{_CSK} inet_bind_conflict (TCP_TIME_WAIT)",
)
ORPHAN_ROOT = BOOK(
    "orphan-is-root",
    "A connection without descriptor (not accepted, or closed) counts as root's.",
    "net/core/sock.c sock_i_uid, until e84a4927a404",
    until=("6.17",),
)
TW_KEEPS = BOOK("time-wait-keeps-port", "TIME_WAIT holds address and options of the dead socket.", "net/ipv4/inet_timewait_sock.c")
DEVICE = BOOK("device-keeps-apart", "Sockets bound to two devices do not conflict.", f"{_CSK} inet_bind_conflict (sk_bound_dev_if)")
BIND0_STRICT = BOOK(
    "bind0-shares-nothing", "bind(0) takes only a port that no overlapping socket has, whatever the options.", f"{_CSK} inet_csk_find_open_port"
)
AUTOBIND_REUSE = BOOK(
    "autobind-reuse",
    "With ip_autobind_reuse=1 bind(0), when the range is used up, shares by SO_REUSEADDR, not if both have SO_REUSEPORT too.",
    "4b01a9674231 tcp: bind(0) remove the SO_REUSEADDR restriction when ephemeral ports are exhausted.",
    since=("5.7",),
)
FAST_REUSE = BOOK(
    "fastreuse-remembers",
    "A port whose sockets all had SO_REUSEADDR when they were bound is shared without a look at their options now.",
    f"{_CSK} inet_csk_update_fastreuse, until b2cb9f9ef240",
    until=("6.8",),
)
FAST_REUSEPORT = BOOK(
    "fastreuseport-any",
    "The first socket's SO_REUSEPORT is remembered for every address of the port.",
    f"{_CSK} sk_reuseport_match (FASTREUSEPORT_ANY), until b2cb9f9ef240",
    until=("6.8",),
)
STRICT_REUSEPORT = BOOK(
    "fastreuseport-same-address",
    "The last socket's SO_REUSEPORT is remembered for its address.",
    f"{_CSK} sk_reuseport_match (FASTREUSEPORT_STRICT)",
)
RELISTEN = BOOK("listen-checks-again", "listen() checks the port for conflicts as a socket that listens.", f"{_CSK} inet_csk_listen_start")
NO_PORT = BOOK(
    "bind-address-no-port",
    "With IP_BIND_ADDRESS_NO_PORT bind(address, 0) takes no port yet.",
    "net/ipv4/af_inet.c __inet_bind, 90c337da1524",
)
UNLOCKED = BOOK(
    "chosen-port-is-lost",
    "A port that bind(0) or connect() chose is given back when the socket fails, disconnects or stops to listen; getsockname still shows it.",
    "net/ipv4/tcp.c tcp_set_state (SOCK_BINDPORT_LOCK)",
)
TUPLE = BOOK("tuple-busy", "connect() over a 4-tuple in use is EADDRNOTAVAIL.", f"{_HASH} __inet_check_established")
BOUND_PORTS = BOOK("connect-avoids-bound-ports", "connect() chooses no port that any bind() holds.", f"{_HASH} __inet_hash_connect (fastreuse)")
STICKY = BOOK(
    "bound-port-sticks",
    "A port once bound stays unfit for connect() until no socket has it, TIME_WAIT included.",
    f"{_HASH}, until d57f4b874946 tcp: Update bind bucket state on port release",
    until=("6.18",),
)
NO_LISTENER = BOOK("nobody-listens", "connect() to a port without listener is ECONNREFUSED.", "net/ipv4/tcp_ipv4.c tcp_v4_rcv")
EXHAUSTED = BOOK("ports-exhausted", "No port is left: EADDRINUSE for bind and listen, EADDRNOTAVAIL for connect.", f"{_CSK}; {_HASH}")
KEEPS_SADDR = BOOK(
    "failed-connect-keeps-address",
    "After EADDRNOTAVAIL the source address that connect() chose stays.",
    "until 77934dc6db0d dccp/tcp: Reset saddr on failure after inet6?_hash_connect().",
    until=("5.10.157", "5.15.81", "6.0.11", "6.1"),
)
TW_BOUND = BOOK(
    "time-wait-bound-reconnect",
    "A bound socket may connect over its 4-tuple in TIME_WAIT if TCP timestamps were in use, whatever tcp_tw_reuse says.",
    "net/ipv4/tcp_ipv4.c tcp_twsk_unique (twp == NULL)",
)
TW_REUSE = BOOK(
    "time-wait-reuse",
    "connect() may choose a port whose 4-tuple is in TIME_WAIT, by tcp_tw_reuse=1, or 2 on loopback, with TCP timestamps.",
    "net/ipv4/tcp_ipv4.c tcp_twsk_unique",
)
TW_DELAY = BOOK(
    "time-wait-reuse-delay",
    "tcp_tw_reuse counts after tcp_tw_reuse_delay milliseconds, 1000 by default.",
    "19ce8cd30465, ca6a6f93867a tcp: add sysctl_tcp_tw_reuse_delay",
    since=("6.14",),
)
TW_SECOND = BOOK(
    "time-wait-reuse-next-second",
    "tcp_tw_reuse counts from the next second of the clock on.",
    "net/ipv4/tcp_ipv4.c tcp_twsk_unique (ktime_get_seconds), until 19ce8cd30465",
    until=("6.14",),
)
HALF_KEPT = BOOK(
    "fin-wait2-not-reused",
    "tcp_tw_reuse does not count for FIN_WAIT2.",
    "0d9e5df4a257 tcp: avoid reusing FIN_WAIT2 when trying to find port in connect() process",
    since=("6.1.113", "6.11.3", "6.12"),
)
BACKLOG = BOOK("backlog-full", "A listener with more than its backlog waiting answers no SYN.", "include/net/sock.h sk_acceptq_is_full")
SPECIFIC = BOOK("specific-listener-first", "A connection goes to the listener at its address before one at the wildcard.", f"{_HASH} __inet_lookup_listener")
GROUP = BOOK("reuseport-group", "Connections spread over the listeners of a SO_REUSEPORT group.", "net/core/sock_reuseport.c reuseport_select_sock")


class Bucket:
    """The sockets of one port; what `inet_bind_bucket` remembers of them."""

    __slots__ = ("owners", "blocked", "fast", "fast_rp", "fast_sk")

    def __init__(self) -> None:
        self.owners: list[Sock] = []
        self.blocked = False  # a bind() had it
        self.fast = self.fast_rp = 0  # fast_rp: 1 any address, 2 the remembered one
        self.fast_sk: tuple[str, int, str, bool] = ("", 0, "", False)  # address, family, user, v6only

    def copy_options(self, sk: Sock) -> None:
        self.fast_sk = (sk.laddr, sk.family, sk.user, sk.v6only)


def bucket(m: Machine, port: int) -> Bucket | None:
    """The bucket of a port, if any socket has it."""
    return m.buckets.get(("tcp", port))  # type: ignore[return-value]


def shares(m: Machine, sk: Sock, sk2: Sock, relax: bool = True, reuseport_ok: bool = True) -> str:
    """inet_bind_conflict: empty if the two may share, else the clause by which they conflict."""
    on = m.on
    same = sk2.state == TIME_WAIT and TW_ANY_USER in on or _user(on, sk2) == sk.user or SAME_USER not in on
    both_rp = sk.rp and sk2.rp and REUSEPORT in on
    if sk.ra and sk2.ra and REUSEADDR in on and (sk2.state != LISTEN or LISTENER not in on):
        return "" if relax and not (not reuseport_ok and both_rp and same) else BIND0_STRICT
    if both_rp and same and reuseport_ok:
        return ""
    if not reuseport_ok and not relax:
        return BIND0_STRICT
    if both_rp and reuseport_ok:
        return SAME_USER
    return LISTENER if sk.ra and sk2.ra else CONFLICT


def _user(on: frozenset[str], sk: Sock) -> str:
    return "root" if not sk.open and ORPHAN_ROOT in on else sk.user


def conflict(m: Machine, sk: Sock, owners: list[Sock], relax: bool = True, reuseport_ok: bool = True) -> str:
    """inet_csk_bind_conflict: the clause by which a socket of `owners` stands against `sk`, or empty."""
    on = m.on
    m.spend(len(owners))
    for sk2 in owners:
        if sk2 is sk or (sk2.device and sk.device and sk.device != sk2.device and DEVICE in on):
            continue
        if not at.overlap(on, sk, sk2):
            if not (sk.family == 6 and ":" not in sk.laddr and sk2.laddr == "::" and at.V6ONLY_REFUSED in on):
                continue
        rule = shares(m, sk, sk2, relax, reuseport_ok)
        if not rule:
            if m.rule == PLAIN:
                m.rule = REUSEADDR if sk.ra and sk2.ra else REUSEPORT
        elif missed := at.unseen(on, sk, sk2, owners):
            m.rule = missed
        elif CONFLICT in on:
            return TW_KEEPS if sk2.state == TIME_WAIT and rule == CONFLICT else rule
    return ""


def get_port(m: Machine, sk: Sock, port: int) -> None:
    """inet_csk_get_port: `sk` gets the port, 0 for one of the OS's choice. Raises Errno EADDRINUSE."""
    if not port:
        port = _open_port(m, sk)
    elif (found := bucket(m, port)) and found.owners and not _fast(m, sk, found):
        if rule := conflict(m, sk, found.owners):
            raise Errno("EADDRINUSE", rule)
    entry = bucket(m, port) or _new_bucket(m, port)
    _remember(m, sk, entry)
    entry.blocked = True
    if not sk.port:
        sk.port = port
        entry.owners.append(sk)


def _open_port(m: Machine, sk: Sock) -> int:
    def free(port: int, relax: bool = False) -> bool:
        found = bucket(m, port)
        if found is None or BIND0_STRICT not in m.on:
            return True
        return not conflict(m, sk, found.owners, relax, False)

    port = bind_zero(m, sk, free)
    m.rule = PLAIN
    if not port and AUTOBIND_REUSE in m.on and m.env.get("net.ipv4.ip_autobind_reuse", "0") != "0":
        port = bind_zero(m, sk, lambda port: free(port, True))
        m.rule = AUTOBIND_REUSE
    if not port:
        raise Errno("EADDRINUSE", EXHAUSTED)
    return port


def _new_bucket(m: Machine, port: int) -> Bucket:
    made = m.buckets["tcp", port] = Bucket()
    return made


def _fast(m: Machine, sk: Sock, entry: Bucket) -> bool:
    """Whether what the bucket remembers is enough to share."""
    if sk.ra and sk.state != LISTEN and entry.fast > 0:
        m.rule = FAST_REUSE
        return True
    if not _fast_reuseport(sk, entry):
        return False
    m.rule = FAST_REUSEPORT if entry.fast_rp == 1 else STRICT_REUSEPORT
    return True


def _fast_reuseport(sk: Sock, entry: Bucket) -> bool:
    """sk_reuseport_match."""
    if not entry.fast_rp or not sk.rp or entry.fast_sk[2] != sk.user:
        return False
    if entry.fast_rp == 1:
        return True
    laddr, family, _, v6only = entry.fast_sk
    if laddr == sk.laddr:
        return True
    if ":" in laddr:
        return laddr == "::" and not (v6only and ":" not in sk.laddr)
    return laddr == "0.0.0.0" and (":" not in sk.laddr) and not sk.v6only


def _remember(m: Machine, sk: Sock, entry: Bucket) -> None:
    """inet_csk_update_fastreuse."""
    reuse = sk.ra and sk.state != LISTEN
    if not entry.owners and FAST_REUSE in m.on:
        entry.fast = int(reuse)
    elif not reuse:
        entry.fast = 0
    if not sk.rp:
        entry.fast_rp = 0
    elif not entry.owners and FAST_REUSEPORT in m.on:
        entry.fast_rp = 1
        entry.copy_options(sk)
    elif not _fast_reuseport(sk, entry) and STRICT_REUSEPORT in m.on:
        entry.fast_rp = 2
        entry.copy_options(sk)


class Tcp:
    """The rules of a TCP socket's calls after the checks that all protocols share."""

    def release(self, m: Machine, sk: Sock) -> None:
        """inet_put_port, inet_twsk_bind_unhash."""
        entry = bucket(m, sk.port)
        if entry is not None and sk in entry.owners:
            entry.owners.remove(sk)
            if not entry.owners:
                del m.buckets["tcp", sk.port]
            elif STICKY not in m.on and all(other.auto for other in entry.owners):
                entry.blocked = False
        sk.port = 0
        sk.auto = False

    def done(self, m: Machine, sk: Sock) -> None:
        """tcp_set_state(TCP_CLOSE)."""
        if not sk.port_lock and UNLOCKED in m.on:
            self.release(m, sk)

    def remain(self, m: Machine, sk: Sock, half: bool) -> None:
        """tcp_time_wait: a small socket takes the place of `sk`."""
        small = Sock("tcp", sk.family, sk.user)
        for name in ("ra", "rp", "v6only", "device", "laddr", "port", "raddr", "rport", "auto", "timestamps"):
            setattr(small, name, getattr(sk, name))
        small.state, small.half, small.since, small.open = TIME_WAIT, half, m.now, False
        small.peer, sk.peer = sk.peer, None
        if small.peer is not None and small.peer is not sk:
            small.peer.peer = small
        entry = bucket(m, sk.port)
        if entry is not None and TW_KEEPS in m.on:
            entry.owners.append(small)
        stream.finish(m, self, sk)
        m.tuples[small.key] = small

    def reset_address(self, sk: Sock) -> None:
        """inet_bhash2_reset_saddr."""
        if not sk.addr_lock:
            sk.laddr = "0.0.0.0" if sk.family == 4 else "::"

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        """inet_csk_listen_start."""
        sk.backlog = min(backlog, 4096) if backlog >= 0 else 4096
        if sk.state == LISTEN:
            return
        sk.state = LISTEN
        try:
            if RELISTEN in m.on or not sk.port:
                get_port(m, sk, sk.port)
        except Errno:
            sk.state = CLOSE
            raise
        sk.shown = sk.port
        others = m.listeners.setdefault(sk.port, [])
        if sk.rp and GROUP in m.on:
            sk.group = self._group(sk, others)
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

    def connect(self, m: Machine, sk: Sock, source: str, destination: str, port: int) -> None:
        """tcp_v4_connect, tcp_v6_connect and the answer of the other side."""
        sk.laddr, sk.raddr, sk.rport = source, destination, port
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
        old = m.tuples.get(sk.key)
        if old is not None:
            stream.leave_tuple(m, old)
            if old.state == TIME_WAIT:
                self.release(m, old)
        m.tuples[sk.key] = sk
        sk.fin = sk.shut_rd = sk.shut_wr = False
        sk.error = ""
        if sk.port == port and source == destination:
            sk.state, sk.connected, sk.peer = ESTABLISHED, True, sk
            return
        self._handshake(m, sk)

    def _failed(self, m: Machine, sk: Sock, reset: bool) -> None:
        self.done(m, sk)
        if reset:
            self.reset_address(sk)
        sk.raddr, sk.rport, sk.state = "", 0, CLOSE

    def _choose(self, m: Machine, sk: Sock) -> None:
        """The search of __inet_hash_connect for a port whose bucket and 4-tuple are free."""

        def fit(port: int) -> bool:
            entry = bucket(m, port)
            if entry is not None and entry.blocked and BOUND_PORTS in m.on:
                return False
            return self._unique(m, sk, port, True)

        port = connect_auto(m, sk, fit)
        if not port:
            raise Errno("EADDRNOTAVAIL", EXHAUSTED)
        entry = bucket(m, port) or _new_bucket(m, port)
        sk.port, sk.auto = port, True
        entry.owners.append(sk)

    def _unique(self, m: Machine, sk: Sock, port: int, auto: bool) -> bool:
        """__inet_check_established: whether the 4-tuple with this port is free, or its TIME_WAIT may be taken."""
        old = m.tuples.get((sk.laddr, port, sk.raddr, sk.rport))
        if old is None or old is sk or TUPLE not in m.on or (old.device and old.device != sk.device):
            return True
        if old.state != TIME_WAIT or not old.timestamps:
            return False
        if not auto:
            m.rule = TW_BOUND
            return TW_BOUND in m.on
        return TW_REUSE in m.on and self._tw_reuse(m, old)

    @staticmethod
    def _tw_reuse(m: Machine, old: Sock) -> bool:
        reuse = m.env.get("net.ipv4.tcp_tw_reuse", "2")
        loopback = old.raddr.startswith("127.") or old.raddr == "::1" or old.laddr.startswith("127.") or old.laddr == "::1"
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
            m.rule = TW_REUSE
        return ripe

    def _handshake(self, m: Machine, sk: Sock) -> None:
        """The SYN at the other side, which is this host."""
        back = m.tuples.get((sk.raddr, sk.rport, sk.laddr, sk.port))
        listener = self._listener(m, sk)
        refused = listener is None
        if back is not None:
            if back.state == TIME_WAIT:
                refused = refused or back.half
            else:
                m.now += 1  # a challenge ACK, a reset, and the SYN again
            stream.take_reset(m, self, back)
        if listener is None or refused:
            stream.leave_tuple(m, sk)
            self._failed(m, sk, True)
            raise Errno("ECONNREFUSED", NO_LISTENER)
        if len(listener.queue) > listener.backlog and BACKLOG in m.on:
            raise TimeUp(BACKLOG)
        child = Sock("tcp", listener.family, listener.user)
        for name in "mptcp ra rp v6only device no_port port_range linger linger2 nonlocal_ addr_lock".split():
            setattr(child, name, getattr(listener, name))
        child.options = dict(listener.options)
        child.laddr, child.port, child.raddr, child.rport = sk.raddr, sk.rport, sk.laddr, sk.port
        child.shown, child.timestamps, child.open = child.port, sk.timestamps, False
        child.state, child.connected, child.peer = ESTABLISHED, True, sk
        entry = bucket(m, child.port)
        assert entry is not None
        entry.owners.append(child)
        m.tuples[child.key] = child
        listener.queue.append(child)
        sk.state, sk.connected, sk.peer = ESTABLISHED, True, child

    def _listener(self, m: Machine, sk: Sock) -> Sock | None:
        """inet_lookup_listener, inet6_lookup_listener: the socket that gets the connection."""
        v4 = ":" not in sk.raddr
        best: Sock | None = None
        score = -1
        for other in m.listeners.get(sk.rport, ()):
            exact = other.laddr == sk.raddr
            wild = other.any_ and (not other.v6only if v4 else other.laddr == "::")
            if v4 and other.laddr == "::" and other.v6only or not (exact or wild):
                continue
            if other.device not in ("", "lo"):
                continue
            points = 8 * (exact and SPECIFIC in m.on) + 2 * bool(other.device) + (other.family == 4)
            if points > score:
                best, score = other, points
        if best is not None and best.rp and best.group is not None and len(best.group) > 1:
            m.rule = GROUP
            return best.group[m.choose(len(best.group))]
        return best
