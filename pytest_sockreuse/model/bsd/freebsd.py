"""FreeBSD 13 to 15: what it has beside the clauses common to the BSDs."""

from __future__ import annotations

from ...platforms import Platform
from ..clause import Book, Declared
from . import bind as b
from . import options, table, tcp
from .calls import COMMON, Bsd

BOOK = Book(COMMON)
_PCB = "sys/netinet/in_pcb.c"

BOOK.has(b.LB, f"{_PCB} in_pcbbind_setup (reuseport_lb)")
BOOK.has(table.LB_GROUP, f"{_PCB} in_pcblookup_lbgroup")
BOOK.has(table.NEWEST_EXACT, f"{_PCB} in_pcblookup_hash_locked (local_exact)", confidence="source", until=("14.0",))
BOOK.has(table.NEWEST, f"{_PCB} in_pcblookup_hash_wild_smr", since=("14.0",))
BOOK.has(table.MAPPED_COST, f"{_PCB} in_pcblookup_local (INP_LOOKUP_MAPPED_PCB_COST)")
BOOK.has(b.DUAL, "sys/netinet6/in6_pcb.c in6_pcbbind")
BOOK.has(b.ANY_QUIRK, "sys/netinet6/in6_pcb.c in6_pcbbind (INP_IPV6PROTO)")
BOOK.has(b.NO_MULTICAST, "sys/netinet/tcp_usrreq.c tcp_usr_bind")
BOOK.has(b.MULTICAST_RP, f"{_PCB} in_pcbbind_setup (SO_REUSEADDR|SO_REUSEPORT)", confidence="source")
BOOK.has(b.CONNECTED_FREE, f"{_PCB} in_pcbbind_setup (inp_faddr)")
BOOK.has(b.ANY_LB_FREE, f"{_PCB} in_pcbbind_setup (INP_REUSEPORT_LB)", until=("14.1",))
BOOK.has(
    b.ANY_LB_MAY,
    "in6_pcbbind_avail of main has the exception no longer",
    confidence="inferred",
    since=("14.1",),
    until=("15.0",),
)
BOOK.has(b.CHOICE_EXACT, f"{_PCB} in_pcb_lport (lookupflags)")
BOOK.has(b.LOW_RANGE, f"{_PCB} in_pcb_lport")
BOOK.has(tcp.TUPLE_CHOICE, f"{_PCB} in_pcb_lport_dest", since=("13.0",))
BOOK.has(
    tcp.LB_CONNECT,
    "sys/netinet/tcp_usrreq.c tcp_usr_connect; tests/sys/netinet/so_reuseport_lb_test.c",
    confidence="source",
    since=("15.0",),
)
BOOK.has(
    tcp.LB_CONNECT_MAY,
    "allowed in 14.0-STABLE of January 2024, refused in main",
    confidence="inferred",
    since=("14.1",),
    until=("15.0",),
)
BOOK.has(tcp.NO_LOCAL_TW, "commit 92b3e07229ba, release notes of 14.0", since=("14.0",))
BOOK.has(
    tcp.INHERITS, "sys/kern/uipc_socket.c sonewconn (so_options & ~SO_ACCEPTCONN)", confidence="source", until=("14.0",)
)
BOOK.has(options.BINDANY, f"{_PCB} (INP_BINDANY)", "source")
BOOK.has(options.PRIVILEGED, "sys/netinet/ip_output.c", "source")
BOOK.has(tcp.MAPPED_ON_V6ONLY, "sys/netinet/tcp_usrreq.c tcp6_usr_connect", confidence="source")
BOOK.has(tcp.SHUT_KEEPS, "sys/kern/uipc_socket.c soshutdown (soerror_enotconn)")

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


def family(_platform: Platform, _on: frozenset[Declared]) -> Bsd:
    """The calls of a FreeBSD; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (13,) else "FreeBSD before 13 is not modelled"
