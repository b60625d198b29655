"""NetBSD 9 and 10: what it has beside the clauses common to the BSDs. Measured on a tree of 2016."""

from __future__ import annotations

from ...platforms import Platform
from ..clause import Book, Declared
from . import bind as b
from . import table, tcp
from .calls import COMMON, Bsd

BOOK = Book(COMMON)
_PCB = "sys/netinet/in_pcb.c"

BOOK.has(table.OWN_TABLES, f"{_PCB} in_pcbbind_port; sys/netinet6/in6_pcb.c in6_pcblookup_port")
BOOK.has(table.CHILDREN_UNSEEN, f"{_PCB} in_pcblookup_port (inph_lhash), 7.99.34", since=("7.99",), until=("8.0",))
BOOK.has(table.CHILDREN_MAY, f"{_PCB} in_pcblookup_port (inph_lhash)", confidence="inferred", since=("8.0",))
BOOK.has(table.NEWEST, f"{_PCB} in_pcblookup_bind")
BOOK.has(b.ANY_RP_FREE, f"{_PCB} in_pcbbind_port")
BOOK.has(b.V6_NO_OWNER, "sys/netinet6/in6_pcb.c in6_pcbbind_port", confidence="source")
BOOK.has(b.MULTICAST_RP, f"{_PCB} in_pcbbind_port (SO_REUSEADDR|SO_REUSEPORT)", confidence="source")
BOOK.has(b.LOW_RANGE, f"{_PCB} in_pcbsetport")
BOOK.has(tcp.BINDS_FIRST, "sys/netinet/tcp_usrreq.c tcp_connect", confidence="source")
BOOK.has(tcp.CLOSED_IGNORES, "sys/netinet/tcp_input.c (TCPS_CLOSED)", confidence="source")
BOOK.has(tcp.INHERITS, "sys/kern/uipc_socket2.c sonewconn")
BOOK.has(tcp.MAPPED_ON_V6ONLY, "sys/netinet6/in6_pcb.c in6_pcbconnect", confidence="source")
BOOK.has(tcp.SHUT_RELEASES, "sys/netinet/tcp_usrreq.c tcp_usrclosed, run on 7.99.34")

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


def family(_platform: Platform, _on: frozenset[Declared]) -> Bsd:
    """The calls of a NetBSD; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (7, 99) else "NetBSD before 7.99 is not modelled"
