"""NetBSD 9 and 10: what it has beside the clauses common to the BSDs. Measured on a tree of 2016."""

from __future__ import annotations

from ...platforms import Platform
from . import bind as b
from . import table, tcp
from .calls import Bsd, book

BOOK = book()
_PCB = "sys/netinet/in_pcb.c"

BOOK(
    table.OWN_TABLES,
    "IPv6 sockets have a table of their own: bind() of IPv4 looks into it by its v4-mapped address, bind() to `::` not "
    "into IPv4's.",
    f"{_PCB} in_pcbbind_port; sys/netinet6/in6_pcb.c in6_pcblookup_port",
)
BOOK(
    table.CHILDREN_UNSEEN,
    "bind() without option did not see accepted connections and TIME_WAIT.",
    f"{_PCB} in_pcblookup_port (inph_lhash), 7.99.34",
    since=("7.99",),
    until=("8.0",),
)
BOOK(
    table.CHILDREN_MAY,
    "Whether bind() without option sees accepted connections and TIME_WAIT is not settled; in 2016 it did not.",
    f"{_PCB} in_pcblookup_port (inph_lhash)",
    confidence="inferred",
    since=("8.0",),
)
BOOK(
    table.NEWEST,
    "Of several sockets at one address the one bound last gets what arrives.",
    f"{_PCB} in_pcblookup_bind",
)
BOOK(
    b.ANY_RP_FREE,
    "Another user's wildcard socket with SO_REUSEPORT is not in the way of a wildcard bind().",
    f"{_PCB} in_pcbbind_port",
)
BOOK(
    b.V6_NO_OWNER,
    "Users are not compared for AF_INET6 sockets.",
    "sys/netinet6/in6_pcb.c in6_pcbbind_port",
    confidence="source",
)
BOOK(
    b.MULTICAST_RP,
    "Binding a multicast address, SO_REUSEPORT alone also fits SO_REUSEADDR alone.",
    f"{_PCB} in_pcbbind_port (SO_REUSEADDR|SO_REUSEPORT)",
    confidence="source",
)
BOOK(b.LOW_RANGE, "IP_PORTRANGE_LOW without root makes bind(0) EACCES.", f"{_PCB} in_pcbsetport")
BOOK(
    tcp.BINDS_FIRST,
    "connect() of TCP takes a port that nobody has before it looks at the destination, and keeps it if that fails.",
    "sys/netinet/tcp_usrreq.c tcp_connect",
    confidence="source",
)
BOOK(
    tcp.CLOSED_IGNORES,
    "A SYN to a socket that is bound but neither listens nor is connected is not answered: connect() hangs.",
    "sys/netinet/tcp_input.c (TCPS_CLOSED)",
    confidence="source",
)
BOOK(tcp.INHERITS, "An accepted socket has its listener's reuse options.", "sys/kern/uipc_socket2.c sonewconn")
BOOK(
    tcp.MAPPED_ON_V6ONLY,
    "connect() of an IPV6_V6ONLY socket to a v4-mapped address is EINVAL.",
    "sys/netinet6/in6_pcb.c in6_pcbconnect",
    confidence="source",
)
BOOK(
    tcp.SHUT_RELEASES,
    "shutdown(RDWR) of a listener gives its port back.",
    "sys/netinet/tcp_usrreq.c tcp_usrclosed, run on 7.99.34",
)

_RANGE = "net.inet.ip."
TRAITS = table.Traits(
    ranges={
        "0": (49152, 65535, f"{_RANGE}anonportmin", f"{_RANGE}anonportmax"),
        "1": (49152, 65535, f"{_RANGE}anonportmin", f"{_RANGE}anonportmax"),
        "2": (600, 1023, f"{_RANGE}lowportmin", f"{_RANGE}lowportmax"),
    },
    v6only=True,
    exhausted=("EAGAIN",),
    exhausted_connect=("EADDRINUSE", "EAGAIN"),
)


def rules(_platform: Platform, _on: frozenset[str]) -> Bsd:
    """The rules of a NetBSD; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (7, 99) else "NetBSD before 7.99 is not modelled"
