"""FreeBSD 13 to 15: what it has beside the clauses common to the BSDs."""

from __future__ import annotations

from ...platforms import Platform
from . import bind as b
from . import options, table, tcp
from .calls import Bsd, book

BOOK = book()
_PCB = "sys/netinet/in_pcb.c"

BOOK(
    b.LB,
    "Both sockets have SO_REUSEPORT_LB now, at this bind(): they share.",
    f"{_PCB} in_pcbbind_setup (reuseport_lb)",
)
BOOK(
    table.LB_GROUP,
    "A packet goes to any member of a SO_REUSEPORT_LB group, before every other socket.",
    f"{_PCB} in_pcblookup_lbgroup",
)
BOOK(
    table.NEWEST_EXACT,
    "Of several sockets at one specific address the one bound last gets what arrives.",
    f"{_PCB} in_pcblookup_hash_locked (local_exact)",
    confidence="source",
    until=("14.0",),
)
BOOK(
    table.NEWEST,
    "Of several sockets at one address the one bound last gets what arrives.",
    f"{_PCB} in_pcblookup_hash_wild_smr",
    since=("14.0",),
)
BOOK(
    table.MAPPED_COST,
    "In IPv4's view a dual-stack socket at `::` comes after every IPv4 one.",
    f"{_PCB} in_pcblookup_local (INP_LOOKUP_MAPPED_PCB_COST)",
)
BOOK(
    b.DUAL,
    "bind() to `::` without IPV6_V6ONLY looks at 0.0.0.0 of IPv4, too.",
    "sys/netinet6/in6_pcb.c in6_pcbbind",
)
BOOK(
    b.ANY_QUIRK,
    "`::` does not conflict with an IPv4 socket at 0.0.0.0 that came first, though the reverse does.",
    "sys/netinet6/in6_pcb.c in6_pcbbind (INP_IPV6PROTO)",
)
BOOK(
    b.NO_MULTICAST,
    "bind() of TCP to a multicast address is EAFNOSUPPORT.",
    "sys/netinet/tcp_usrreq.c tcp_usr_bind",
)
BOOK(
    b.MULTICAST_RP,
    "Binding a multicast address, SO_REUSEPORT alone also fits SO_REUSEADDR alone.",
    f"{_PCB} in_pcbbind_setup (SO_REUSEADDR|SO_REUSEPORT)",
    confidence="source",
)
BOOK(
    b.CONNECTED_FREE,
    "Another user's TCP connection, or TIME_WAIT, is in nobody's way.",
    f"{_PCB} in_pcbbind_setup (inp_faddr)",
)
BOOK(
    b.ANY_LB_FREE,
    "A wildcard socket of another user that has SO_REUSEPORT_LB alone is not in the way of a wildcard bind().",
    f"{_PCB} in_pcbbind_setup (INP_REUSEPORT_LB)",
    until=("14.1",),
)
BOOK(
    b.ANY_LB_MAY,
    "When a wildcard SO_REUSEPORT_LB socket began to count for other users, in 14.1 to 15.0, is not settled.",
    "in6_pcbbind_avail of main has the exception no longer",
    confidence="inferred",
    since=("14.1",),
    until=("15.0",),
)
BOOK(
    b.CHOICE_EXACT,
    "bind(0) with a reuse option avoids only sockets at the very same address.",
    f"{_PCB} in_pcb_lport (lookupflags)",
)
BOOK(b.LOW_RANGE, "IP_PORTRANGE_LOW without root makes bind(0) EPERM.", f"{_PCB} in_pcb_lport")
BOOK(
    tcp.TUPLE_CHOICE,
    "connect() may choose a port of another connection to another destination, but none that bind() holds.",
    f"{_PCB} in_pcb_lport_dest",
    since=("13.0",),
)
BOOK(
    tcp.LB_CONNECT,
    "connect() of a socket with SO_REUSEPORT_LB is EOPNOTSUPP.",
    "sys/netinet/tcp_usrreq.c tcp_usr_connect; tests/sys/netinet/so_reuseport_lb_test.c",
    confidence="source",
    since=("15.0",),
)
BOOK(
    tcp.LB_CONNECT_MAY,
    "When connect() with SO_REUSEPORT_LB became EOPNOTSUPP, in 14.1 to 15.0, is not settled.",
    "allowed in 14.0-STABLE of January 2024, refused in main",
    confidence="inferred",
    since=("14.1",),
    until=("15.0",),
)
BOOK(
    tcp.NO_LOCAL_TW,
    "A connection within this host leaves no TIME_WAIT, by net.inet.tcp.nolocaltimewait.",
    "commit 92b3e07229ba, release notes of 14.0",
    since=("14.0",),
)
BOOK(
    tcp.INHERITS,
    "An accepted socket has its listener's reuse options.",
    "sys/kern/uipc_socket.c sonewconn (so_options & ~SO_ACCEPTCONN)",
    confidence="source",
    until=("14.0",),
)
BOOK(options.BINDANY, "IP_BINDANY lets bind() take an address that is not local.", f"{_PCB} (INP_BINDANY)", "source")
BOOK(options.PRIVILEGED, "IP_BINDANY needs root, else EPERM.", "sys/netinet/ip_output.c", "source")
BOOK(
    tcp.MAPPED_ON_V6ONLY,
    "connect() of an IPV6_V6ONLY socket to a v4-mapped address is EINVAL.",
    "sys/netinet/tcp_usrreq.c tcp6_usr_connect",
    confidence="source",
)
BOOK(
    tcp.SHUT_KEEPS,
    "shutdown() of a listener is ENOTCONN; it accepts no more, and its port stays held.",
    "sys/kern/uipc_socket.c soshutdown (soerror_enotconn)",
)

_RANGE = "net.inet.ip.portrange."
TRAITS = table.Traits(
    ranges={
        "0": (10000, 65535, f"{_RANGE}first", f"{_RANGE}last"),
        "1": (49152, 65535, f"{_RANGE}hifirst", f"{_RANGE}hilast"),
        "2": (1023, 600, f"{_RANGE}lowfirst", f"{_RANGE}lowlast"),
    },
    v6only=True,
    low_errno="EPERM",
)


def rules(_platform: Platform, _on: frozenset[str]) -> Bsd:
    """The rules of a FreeBSD; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (13,) else "FreeBSD before 13 is not modelled"
