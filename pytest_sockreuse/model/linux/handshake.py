"""Linux TCP: which listener a SYN reaches, and when the connection is one that accept() may return.

A connection that it may not return yet is in the listener's queue, SYN_RECV and not `connected`. Once the listener has
gone, only its 4-tuple is left.
"""

from __future__ import annotations

from .. import stream
from ..address import arrives_by, of_one_link
from ..clause import Book, Errno, Unknown
from ..machine import PATIENCE
from ..sock import CLOSE, ESTABLISHED, SYN_RECV, TIME_WAIT, Sock
from .address import MAPPED_V6ONLY
from .mptcp import FINS_CROSS
from .state import Machine

BOOK = Book()
_HASH = "net/ipv4/inet_hashtables.c"

NO_LISTENER = BOOK(
    "nobody-listens", "connect() to a port without listener is ECONNREFUSED.", "net/ipv4/tcp_ipv4.c tcp_v4_rcv"
)
BACKLOG = BOOK(
    "backlog-full",
    "A listener with more than its backlog waiting answers no SYN.",
    "include/net/sock.h sk_acceptq_is_full",
)
SPECIFIC = BOOK(
    "specific-listener-first",
    "A connection goes to the listener at its address before one at the wildcard.",
    f"{_HASH} __inet_lookup_listener",
)
GROUP = BOOK(
    "reuseport-group",
    "Connections spread over the listeners of a SO_REUSEPORT group.",
    "net/core/sock_reuseport.c reuseport_select_sock",
)
DEFER = BOOK(
    "deferred-accept",
    "A listener with TCP_DEFER_ACCEPT accepts a connection once data or the end of stream came, or after 1, 3, 7, … "
    "seconds, the first of these that is not less; until then it holds no port, and nothing resets it.",
    "net/ipv4/tcp_minisocks.c tcp_check_req; net/ipv4/inet_connection_sock.c reqsk_timer_handler",
)
DEFER_COOKIE = BOOK(
    "deferred-accept-beyond-backlog",
    "Where more connections than the backlog wait for data, a further one is accepted at once, by a SYN cookie.",
    "net/ipv4/tcp_input.c tcp_conn_request (inet_csk_reqsk_queue_is_full)",
)
ONE_MORE = BOOK(
    "deferred-accept-one-more",
    "As many connections as the backlog and one more wait for data.",
    "3479c7549fb1 tcp/dccp: allow a connection when sk_max_ack_backlog is zero, and its backports",
    since=("5.10.234", "5.15.177", "6.1.125", "6.6.72", "6.12.10", "6.13"),
    confidence="inferred",
)
DEFER_ACK = BOOK(
    "deferred-accept-delays-ack",
    "A client with TCP_DEFER_ACCEPT is connected 0.2 s before its listener knows, unless it sends something.",
    "net/ipv4/tcp_input.c tcp_rcv_synsent_state_process (rskq_defer_accept)",
)

SHUT_LISTENER = BOOK(
    "connection-after-shutdown",
    "Of a listener that was shut down for writing before listen() each connection ends its direction at once.",
    "net/ipv4/tcp_input.c tcp_rcv_state_process (TCP_SYN_RECV), 94062790aedb tcp: defer shutdown(SEND_SHUTDOWN) for "
    "TCP_SYN_RECV sockets",
    since=("5.10.217", "5.15.159", "6.1.91", "6.6.31", "6.8.10", "6.9"),
)

_OPTION = "TCP_DEFER_ACCEPT"
_DELAYED_ACK = (0.2, 0.25)  # TCP_DELACK_MAX


def arrive(m: Machine, lives: stream.Lives, sk: Sock) -> bool:
    """The SYN of `sk` at the other side, which is this host: whether it is answered. Raises Errno ECONNREFUSED."""
    key = sk.raddr, sk.rport, sk.laddr, sk.port
    back = m.tuples.get(key)
    listener = _listener(m, sk)
    refused = listener is None
    if back is not None:
        if back.state == TIME_WAIT:
            if refused and m.env.get("net.ipv4.tcp_rfc1337", "0") != "0":
                raise Unknown("a SYN that TIME_WAIT answers, with tcp_rfc1337")
            refused = refused or back.half
        stream.take_reset(m, lives, back)  # else a challenge ACK, a reset, and two jiffies later the SYN again
    if listener is None or refused:
        raise Errno("ECONNREFUSED", NO_LISTENER)
    if listener.mapped and ":" in sk.raddr:
        raise Unknown("a connection over IPv6 to a listener that tried IPv4")
    ready = sum(child.connected for child in listener.queue) if listener.queue else 0
    if ready > listener.backlog and BACKLOG in m.on:
        return False
    child = Sock("tcp", listener.family, listener.user)
    child.device = listener.device
    if ":" in sk.laddr and of_one_link(sk.laddr):
        child.device = child.device or arrives_by(sk.laddr)
    child.mptcp = listener.mptcp and sk.mptcp
    child.twofold = sk.twofold = child.mptcp and FINS_CROSS in m.on
    child.laddr, child.port, child.raddr, child.rport = key
    child.told = child.host if child.mptcp else ""
    child.shown, child.timestamps, child.open = child.port, sk.timestamps, False
    child.state, child.peer, child.since = SYN_RECV, sk, m.now
    m.tuples[key] = child
    sk.state, sk.connected, sk.peer = ESTABLISHED, True, child
    if (listener.options or sk.options) and _waits(m, listener, child, len(listener.queue) - ready):
        listener.queue.append(child)
    else:
        _ready(m, lives, listener, child)
    return True


def _listener(m: Machine, sk: Sock) -> Sock | None:
    """inet_lookup_listener, inet6_lookup_listener: the socket that gets the connection."""
    v4 = ":" not in sk.raddr
    found: list[Sock] = []
    for other in m.listeners.get(sk.rport, ()):
        if v4 and other.v6only and MAPPED_V6ONLY in m.on:
            continue
        any_ = other.laddr == "0.0.0.0" or other.laddr == "::"
        wild = any_ and (not other.v6only if v4 else other.laddr == "::")
        if wild or (other.laddr == sk.raddr and not (v4 and any_)):
            if not other.device or other.device == arrives_by(sk.raddr):
                found.append(other)
    if len(found) == 1 and not found[0].rp:
        return found[0]
    if len(found) > 1 and SPECIFIC in m.on and any(not other.any_ for other in found):
        found = [other for other in found if not other.any_]
    best: Sock | None = None
    score = -1
    for other in found:
        points = 2 * bool(other.device) + (other.family == 4)
        if points <= score:
            continue
        best, score = other, points
        if other.rp and other.group is not None:
            if len(other.group) == 1:
                return other
            m.clause = GROUP
            return other.group[m.spread(len(other.group))]
    return best


def _ready(m: Machine, lives: stream.Lives, listener: Sock, child: Sock) -> None:
    """tcp_check_req: accept() may return it, with what it has of its listener (inet_csk_clone_lock)."""
    child.ra, child.rp, child.v6only = listener.ra, listener.rp, listener.v6only
    child.no_port, child.port_range, child.nonlocal_ = listener.no_port, listener.port_range, listener.nonlocal_
    child.linger, child.linger2 = listener.linger, listener.linger2
    child.addr_lock = listener.addr_lock
    if child.mptcp or not listener.mptcp:  # whose subflow was not shut down
        child.shut_rd, child.shut_wr = listener.shut_rd, listener.shut_wr
    child.options = dict(listener.options)
    child.mapped = child.family == 6 and ":" not in child.laddr
    child.state, child.connected, child.half = ESTABLISHED, True, False
    entry = m.state.tcp[child.port]
    entry.owners.append(child)
    entry.free.setdefault(child.laddr, False)
    listener.queue.append(child)
    if child.shut_wr and not child.mptcp and SHUT_LISTENER in m.on:
        if child.peer is not None and child.peer.mptcp:
            raise Unknown("what MPTCP hears of an end that comes at once")
        child.open = True  # it is no orphan
        stream.send_fin(m, lives, child)


# --- TCP_DEFER_ACCEPT -------------------------------------------------------------------------------------------------


def _retries(sk: Sock) -> int:
    """secs_to_retrans: how often the SYN is answered before the connection is ready without data."""
    seconds, retries = int(sk.options.get(_OPTION, "0")), 0
    while 2**retries - 1 < seconds:
        retries += 1
    return retries


def _waits(m: Machine, listener: Sock, child: Sock, others: int) -> bool:
    """Whether the connection is not ready at once, where so many others are not. Raises Unknown."""
    sk = child.peer
    assert sk is not None
    defers = _retries(listener) > 0 and DEFER in m.on
    delays = _retries(sk) > 0 and DEFER_ACK in m.on
    if not defers and not delays:
        return False
    if listener.mptcp or sk.mptcp:
        raise Unknown(f"a connection of MPTCP with {_OPTION}")
    if listener.shut_wr:
        raise Unknown(f"{_OPTION} after shutdown(WR)")
    if m.env.get("net.ipv4.tcp_syncookies", "1") != "1":
        raise Unknown(f"tcp_syncookies and {_OPTION}")
    if others + (ONE_MORE not in m.on) > listener.backlog and DEFER_COOKIE in m.on:
        if delays:
            raise Unknown(f"more connections with {_OPTION} than the backlog")
        m.clause = DEFER_COOKIE
        return False
    m.clause = DEFER if defers else DEFER_ACK
    child.half = delays
    return True


def _of(m: Machine, child: Sock) -> Sock | None:
    """The listener at which a connection is not ready yet."""
    return next((sk for sk in m.listeners.get(child.port, ()) if child in sk.queue), None)


def pending(sk: Sock) -> bool:
    """Whether accept() may not return the other end of `sk` yet, or never, since its listener has gone."""
    return sk.state == ESTABLISHED and sk.peer is not None and not sk.peer.connected


def speak(m: Machine, lives: stream.Lives, sk: Sock) -> bool:
    """`sk` sends data or its end, which makes its connection ready; whether a reset answers. Raises Unknown."""
    child = sk.peer
    if child is None or not pending(sk):
        return False
    listener = _of(m, child)
    if listener is None:
        stream.take_reset(m, lives, child)
        stream.take_reset(m, lives, sk)
        return True
    if sum(other.connected for other in listener.queue) > listener.backlog:
        raise Unknown(f"{_OPTION} and a full backlog")
    listener.queue.remove(child)
    _ready(m, lives, listener, child)
    return False


def hear(m: Machine, lives: stream.Lives, sk: Sock) -> None:
    """`sk` waits for something to come: a reset may, if its listener has gone."""
    if pending(sk):
        elapse(m, lives, PATIENCE)


def elapse(m: Machine, lives: stream.Lives, ahead: float = 0.0) -> None:
    """Time makes connections ready, or within the next `ahead` seconds may."""
    due = sorted(
        ((_due(m, sk), n, sk) for n, sk in enumerate(m.tuples.values()) if sk.state == SYN_RECV and _dated(m, sk)),
        key=lambda row: row[:2],
    )
    sure = sum(high <= m.now for (_, high), _, _ in due)
    may = sum(low < m.now + ahead for (low, _), _, _ in due) - sure
    for _, _, child in due[: sure + (m.choose(may + 1) if may > 0 else 0)]:
        assert child.peer is not None
        speak(m, lives, child.peer)


def _dated(m: Machine, child: Sock) -> bool:
    return child.half or _of(m, child) is not None


def _due(m: Machine, child: Sock) -> stream.Stay:
    """When time makes a connection ready, at the earliest and at the latest."""
    listener = _of(m, child)
    retries = _retries(listener) if listener is not None and DEFER in m.on else 0
    low, high = (2**retries - 1, (2**retries - 1) * 9 / 8) if retries else _DELAYED_ACK
    return child.since + low - stream.DRIFT, child.since + high + stream.DRIFT


def unlisten(m: Machine, sk: Sock, heirs: bool) -> list[Sock]:
    """The listener goes: of the connections that are not ready the 4-tuple stays until a timer ends. Raises Unknown."""
    waiting = [child for child in sk.queue if child.state == SYN_RECV]
    if waiting and heirs:
        raise Unknown(f"{_OPTION} and tcp_migrate_req")
    sk.queue = [child for child in sk.queue if child.connected]
    for child in waiting:
        seconds = 1.0
        while child.since + seconds < m.now:
            seconds = 2 * seconds + 1
        child.ends = (child.since + seconds - stream.DRIFT, child.since + seconds * 9 / 8 + stream.DRIFT)
    return waiting


def accepted(m: Machine, lives: stream.Lives, sk: Sock) -> Sock | None:
    """The connection that accept() returns, if any."""
    for child in sk.queue:
        if not child.connected:
            elapse(m, lives, PATIENCE)
            sk.queue = [child for child in sk.queue if child.connected or child.state != CLOSE]
            break
    for child in sk.queue:
        if child.connected:
            sk.queue.remove(child)
            return child
    return None
