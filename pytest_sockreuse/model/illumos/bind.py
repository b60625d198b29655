"""illumos: what bind() checks, and which port it chooses. It asks the binder's options alone, but for SO_EXCLBIND."""

from __future__ import annotations

from functools import lru_cache

from ..clause import PLAIN, Book, Declared, Errno, Unknown
from ..ports import mask
from ..sock import CLOSE, ESTABLISHED, LISTEN
from .table import Conn, Machine, insert, is_any, local, owners

BOOK = Book()
_BIND = "inet/tcp/tcp_bind.c"
_UDP = "inet/udp/udp.c"

OVER = BOOK(
    "over-does-not-bind",
    "bind() of a socket whose sending side is gone, by shutdown(), a reset or a refused connect(), is EINVAL.",
    "fs/sockfs/sockcommon_sops.c so_bind",
    "source",
)
FAMILY = BOOK(
    "address-family",
    "An address of the other family is EAFNOSUPPORT.",
    "inet/proto_set.c proto_verify_ip_addr",
    "source",
)
BOUND_ONCE = BOOK(
    "bind-once",
    "bind() of a socket that has a port is EINVAL.",
    f"inet/tcp/tcp.c tcp_do_bind; {_UDP} udp_do_bind",
    "source",
)
MAPPED = BOOK(
    "mapped-on-v6only",
    "bind() or connect() with IPV6_V6ONLY to a v4-mapped address is EADDRNOTAVAIL.",
    f"{_BIND} tcp_bind_check; inet/tcp/tcp.c tcp_do_connect",
    "source",
)
NOT_LOCAL = BOOK(
    "address-not-local",
    "bind() to an address of no interface is EADDRNOTAVAIL; 127.0.0.2 is such an address unless it was added.",
    f"{_BIND} tcp_bind_check (ip_laddr_verify_v4)",
    "source",
)
NO_MULTICAST = BOOK(
    "tcp-multicast-not-local",
    "For TCP a multicast or broadcast address is EADDRNOTAVAIL; UDP binds it.",
    f"{_BIND} tcp_bind_check; {_UDP} udp_do_bind (IPVL_MCAST, IPVL_BCAST)",
    "source",
)
LOW_PORT = BOOK(
    "low-port-privileged",
    "A port below 1024 needs the privilege net_privaddr, else EACCES; the address is looked at before.",
    f"{_BIND} tcp_bind_select_lport (smallest_nonpriv_port)",
    "source",
)
EXTRA_PORT = BOOK(
    "extra-port-privileged",
    "So do the ports 2049 and 4045, which are never chosen either.",
    f"{_BIND} tcp_bind_select_lport (extra_priv_ports)",
    "source",
)
EXCLUSIVE = BOOK(
    "exclbind-keeps-apart",
    "With SO_EXCLBIND on either socket, as it is now, addresses that overlap conflict: in both families, whatever "
    "SO_REUSEADDR and IPV6_V6ONLY say.",
    f"{_BIND} tcp_bindi (conn_exclbind); {_UDP} udp_do_bind",
    "source",
)
EXCLUSIVE_ENDS = BOOK(
    "exclbind-ends-with-connection",
    "SO_EXCLBIND does not count against a connection that one side has ended already.",
    f"{_BIND} tcp_bindi (tcp_state <= TCPS_ESTABLISHED)",
    "source",
)
OVERLAP = BOOK(
    "overlap-conflicts",
    "Without SO_REUSEADDR bind() is EADDRINUSE where a socket overlaps, in any state and with any option.",
    f"{_BIND} tcp_bindi (!reuseaddr)",
    "source",
)
EQUAL = BOOK(
    "reuseaddr-looks-at-equals",
    "With SO_REUSEADDR TCP's bind() is EADDRINUSE only where a socket is bound or listens at the very same address, "
    "whatever options that has.",
    f"{_BIND} tcp_bindi (reuseaddr)",
    "source",
)
EVERYWHERE = BOOK(
    "connection-is-everywhere",
    "An accepted socket, and one that connect() gave its port, count as if they were at the wildcard.",
    f"{_BIND} tcp_bindi (conn_bound_addr_v6)",
    "source",
)
VERSIONS = BOOK(
    "versions-apart",
    "A port that bind() names is one thing for IPv4 and another for IPv6, dual-stack or not.",
    f"{_BIND} tcp_bindi (conn_ipversion); {_UDP} udp_do_bind",
    "source",
)
CHOSEN_ONE_SPACE = BOOK(
    "chosen-port-of-both-versions",
    "A port that is chosen must be free for IPv4 and IPv6.",
    f"{_BIND} tcp_bindi (bind_to_req_port_only); {_UDP} udp_do_bind",
    "source",
)
CHOSEN_REUSE = BOOK(
    "bind0-with-reuseaddr-may-overlap",
    "With SO_REUSEADDR TCP's bind(0) and listen() may choose a port that is held at another address.",
    f"{_BIND} tcp_bind_select_lport, tcp_bindi",
    "source",
)
SHARES = BOOK(
    "connect-shares-ports",
    "connect() may choose the port of a connection to another destination.",
    f"{_BIND} tcp_bindi (quick_connect)",
    "source",
)
CONNECT_PLAIN = BOOK(
    "connect-ignores-reuseaddr",
    "SO_REUSEADDR does not count where connect() chooses a port.",
    "inet/tcp/tcp.c tcp_connect_ipv4 (tcp_bindi)",
    "source",
)
EXHAUSTED = BOOK(
    "ports-exhausted",
    "Where no port is left bind(0), listen(), connect() and sendto() are EADDRNOTAVAIL.",
    f"{_BIND} tcp_bind_select_lport (TNOADDR); {_UDP} udp_do_bind",
    "source",
)
RANGE = BOOK(
    "anonymous-ports",
    "A chosen port is one of 32768 to 65535.",
    "inet/tcp/tcp_tunables.c, inet/udp/udp_tunables.c (smallest_anon_port)",
    "source",
)
UDP_REUSE = BOOK(
    "udp-reuseaddr-binds-anywhere",
    "With SO_REUSEADDR UDP's bind() to a named port succeeds even at the very same address, whatever the other has.",
    f"{_UDP} udp_do_bind (conn_reuseaddr)",
    "source",
)
UDP_MAPPED = BOOK(
    "udp-mapped-is-ipv4",
    "A UDP socket that is bound to a v4-mapped address counts as one of IPv4; a TCP socket does not.",
    f"{_UDP} udp_do_bind (conn_ipversion)",
    "source",
)
EXTRA_PORTS = (2049, 4045)
_BEGINNING = (CLOSE, LISTEN, ESTABLISHED)  # the states up to ESTABLISHED


def bind(m: Machine, sk: Conn, host: str, port: int) -> None:
    """tcp_do_bind, udp_do_bind. Raises Errno, Unknown."""
    if (sk.over or sk.shut_wr) and OVER in m.on:
        raise Errno("EINVAL", OVER)
    if (":" in host) != (sk.family == 6):
        raise Errno("EAFNOSUPPORT", FAMILY)
    if sk.proto == "tcp":
        _unbound(m, sk)
    address = _address(m, sk, host)
    _privilege(m, sk, port)
    _unbound(m, sk)
    v4 = sk.family == 4 or (sk.proto == "udp" and ":" not in address and UDP_MAPPED in m.on)
    if port:
        clause = stands_against(m, sk, address, port, v4)
        if clause is not None:
            raise Errno("EADDRINUSE", clause)
    else:
        port = choose(m, sk, address, sk.proto == "tcp" and sk.ra and CHOSEN_REUSE in m.on)
    sk.laddr = sk.bound = address
    sk.given, sk.v4 = True, v4
    insert(m, sk, port)


def _unbound(m: Machine, sk: Conn) -> None:
    if (sk.port or sk.raddr) and BOUND_ONCE in m.on:
        raise Errno("EINVAL", BOUND_ONCE)


def _address(m: Machine, sk: Conn, host: str) -> str:
    address, here, kind = local(m, host)
    if sk.family == 6 and ":" not in address and sk.v6only and MAPPED in m.on:
        raise Errno("EADDRNOTAVAIL", MAPPED)
    if kind in ("multicast", "broadcast"):
        if sk.proto == "tcp" and NO_MULTICAST in m.on:
            raise Errno("EADDRNOTAVAIL", NO_MULTICAST)
    elif kind == "linklocal" and not here:
        raise Unknown("binding link-local addresses")
    elif not here and NOT_LOCAL in m.on:
        raise Errno("EADDRNOTAVAIL", NOT_LOCAL)
    return address


def _privilege(m: Machine, sk: Conn, port: int) -> None:
    if sk.user != "root" and port:
        if port < 1024 and LOW_PORT in m.on:
            raise Errno("EACCES", LOW_PORT)
        if port in EXTRA_PORTS and EXTRA_PORT in m.on:
            raise Errno("EACCES", EXTRA_PORT)


def stands_against(m: Machine, sk: Conn, address: str, port: int, v4: bool) -> Declared | None:
    """What stands against bind() of `sk` to a port that it names."""
    if sk.proto == "udp":
        return _udp_conflict(m, sk, address, port, v4, True)
    return _tcp_conflict(m, sk, address, port, v4, sk.ra, None, True)


def _overlap(one: str, two: str) -> bool:
    return one == two or is_any(one) or is_any(two)


def _tcp_conflict(
    m: Machine, sk: Conn, address: str, port: int, v4: bool, reuse: bool, to: tuple[str, int] | None, named: bool
) -> Declared | None:
    """tcp_bindi: every socket of the port, until one conflicts. `to` is where connect() chooses a port for."""
    for t in owners(m, "tcp", port):
        if t is sk:
            continue
        at = t.bound if t.given or EVERYWHERE in m.on else t.laddr
        overlap = _overlap(at, address)
        ended = t.state not in _BEGINNING
        if (t.excl or sk.excl) and EXCLUSIVE in m.on and not (ended and EXCLUSIVE_ENDS in m.on):
            if overlap:
                return m.met(t, EXCLUSIVE)
            continue
        if named and t.v4 != v4 and VERSIONS in m.on:
            m.clause = VERSIONS if overlap else m.clause
            continue
        if to is not None and t.raddr and (t.raddr, t.rport) != to and SHARES in m.on:
            continue
        if not reuse:
            if overlap and OVERLAP in m.on:
                return m.met(t, OVERLAP)
        elif at == address and t.state in (CLOSE, LISTEN) and EQUAL in m.on:
            return m.met(t, EQUAL)
        elif overlap:
            m.clause = EQUAL
    return None


def _udp_conflict(m: Machine, sk: Conn, address: str, port: int, v4: bool, named: bool) -> Declared | None:
    """udp_do_bind: the scan stops at one of the sockets that overlap, which is not told where they differ."""
    near = [t for t in owners(m, "udp", port) if t is not sk and _overlap(t.bound, address)]
    exclusive = [t for t in near if (t.excl or sk.excl) and EXCLUSIVE in m.on]
    others = [t for t in near if t not in exclusive and not (named and t.v4 != v4 and VERSIONS in m.on)]
    shared = named and sk.ra and UDP_REUSE in m.on
    if exclusive:
        if others and shared:
            raise Unknown("a UDP socket with SO_EXCLBIND among others without it")
        return m.met(exclusive[0], EXCLUSIVE)
    if near and not others:
        m.clause = VERSIONS
    if not others or OVERLAP not in m.on:
        return None
    if shared:
        m.clause = UDP_REUSE
        return None
    return m.met(others[0], OVERLAP)


@lru_cache(256)
def _ports(text: str, extra: bool) -> int:
    low, _, high = text.partition("-")
    ports = mask(max(int(low), 1024), int(high))
    return ports & ~sum(1 << port for port in EXTRA_PORTS) if extra else ports


def choose(m: Machine, sk: Conn, address: str, reuse: bool, to: tuple[str, int] | None = None) -> int:
    """A port that is free for `sk` at `address`; with `to` for a connection there. Raises Errno."""
    named = CHOSEN_ONE_SPACE not in m.on

    def free(port: int) -> bool:
        if sk.proto == "udp":
            return _udp_conflict(m, sk, address, port, sk.v4, named) is None
        return _tcp_conflict(m, sk, address, port, sk.v4, reuse, to, named) is None

    text = m.env.get("ephemeral") or ("32768-65535" if RANGE in m.on else "1024-65535")
    port = m.space.pick(_ports(text, EXTRA_PORT in m.on), free, m.wanted())
    m.clause = PLAIN
    if not port:
        raise Errno("EADDRNOTAVAIL", EXHAUSTED)
    return port
