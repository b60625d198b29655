"""NetBSD 7.99 to 11: what it has beside the clauses common to the BSDs. Measured on 7.99.34, a tree of 2016.

From 8 on what was measured there is inferred to hold still; what was read again in later sources is `source`.
"""

from __future__ import annotations

from ...platforms import Platform
from ..clause import Book, Declared
from . import address as a
from . import bind as b
from . import calls, ended, table, tcp, udp
from . import multicast as g
from .calls import COMMON, Bsd

BOOK = Book(COMMON)
_PCB, _PCB6 = "sys/netinet/in_pcb.c", "sys/netinet6/in6_pcb.c"
_TCP, _UDP, _UDP6 = "sys/netinet/tcp_usrreq.c", "sys/netinet/udp_usrreq.c", "sys/netinet6/udp6_output.c"
_SOCKET = "sys/kern/uipc_socket.c"

BOOK.has(table.OWN_TABLES, f"{_PCB} in_pcbbind_port; {_PCB6} in6_pcblookup_port")
BOOK.has(table.MERGED, "the merge of in6pcb into inpcb, 2022; not run", "inferred", since=("10.0",))
BOOK.has(table.CHILDREN_UNSEEN, f"{_PCB} in_pcblookup_port (inph_lhash); 10: tcp_syncache.c syn_cache_get")
BOOK.has(table.NEWEST, f"{_PCB} in_pcblookup_bind")
BOOK.has(b.ANY_RP_FREE, f"{_PCB} in_pcbbind_port")
BOOK.has(b.V6_NO_OWNER, f"{_PCB6} in6_pcbbind_port")
BOOK.has(b.MULTICAST_RP, f"{_PCB} in_pcbbind_port (SO_REUSEADDR|SO_REUSEPORT)", "source")
BOOK.has(b.CHOICE_EXACT_V6, "sys/netinet/portalgo.c check_suitable_port (wild)")
BOOK.has(b.LOW_RANGE, f"{_PCB} in_pcbsetport")
BOOK.has(a.MAPPED_INVALID, f"{_PCB6} in6_pcbbind_addr")
BOOK.has(a.MAPPED_ON_V6ONLY, f"{_PCB6} in6_pcbconnect; {_UDP6} udp6_output")
BOOK.has(a.ANY_UNREACHABLE, f"{_UDP6} udp6_output, sys/netinet6/in6_src.c in6_selectsrc")
BOOK.has(a.CONNECT_ANY, f"{_PCB6} in6_pcbconnect, sys/netinet6/in6_src.c in6_selectsrc")
BOOK.has(a.NO_BROADCAST, f"{_PCB} in_pcbbind_addr")
BOOK.has(a.NO_ROUTE, f"{_PCB} in_selectsrc; sys/netinet/ip_output.c")
BOOK.has(tcp.BINDS_FIRST, f"{_TCP} tcp_connect")
BOOK.has(tcp.CLOSED_IGNORES, "sys/netinet/tcp_input.c (TCPS_CLOSED)", "source")
BOOK.has(tcp.INHERITS, "sys/kern/uipc_socket2.c sonewconn")
BOOK.has(tcp.SHUT_RELEASES, f"{_TCP} tcp_usrclosed")
BOOK.has(tcp.SHUT_RESETS, "sys/kern/uipc_socket2.c sonewconn (so_state)")
BOOK.has(udp.PORT_FIRST, f"{_UDP6} udp6_output")
BOOK.has(udp.TELLS, "sys/kern/uipc_syscalls.c do_sys_connect (so_error)")
BOOK.has(udp.LATE, "seen once on 7.99.34, in a kernel that runs beside the caller")
BOOK.has(udp.SENDS_BY_TUPLE, f"{_PCB} in_pcbconnect", "source")
BOOK.has(udp.CONNECTED_FIRST, f"{_UDP} udp_send; {_PCB} in_pcbconnect (sin_len)")
BOOK.has(udp.UNLISTED, f"{_UDP6} udp6_output (in6_pcbsetport)")
BOOK.has(udp.SWALLOWS, "sys/kern/uipc_syscalls.c do_sys_sendmsg_so (EWOULDBLOCK)")
BOOK.has(g.MOST, "sys/netinet/ip_output.c ip_add_membership (IP_MAX_MEMBERSHIPS)", "source")
BOOK.has(ended.NAMELESS, f"{_TCP} tcp_getpcb")
BOOK.has(ended.OPTIONS, f"{_TCP} tcp_ctloutput")
BOOK.has(calls.ABORTED, f"{_SOCKET} soaccept (PR_ABRTACPTDIS)", "source")
BOOK.has(calls.SHUTS_ALL, f"{_SOCKET} soshutdown")
BOOK.has(calls.UDP_ACCEPT, "sys/kern/uipc_syscalls.c do_sys_accept (PR_LISTEN)")
BOOK.has(calls.DISCONNECTS, f"{_SOCKET} soconnect (dom_family)")

_RANGE = "net.inet.ip."
TRAITS = table.Traits(
    ranges={
        "0": (49152, 65535, f"{_RANGE}anonportmin", f"{_RANGE}anonportmax"),
        "1": (49152, 65535, f"{_RANGE}anonportmin", f"{_RANGE}anonportmax"),
        "2": (600, 1023, f"{_RANGE}lowportmin", f"{_RANGE}lowportmax"),
    },
    v6only=True,
    aim=a.netbsd_aim,
    exhausted="EAGAIN",
    no_route={4: "EADDRNOTAVAIL", 6: "EHOSTUNREACH"},
)


def family(_platform: Platform, _on: frozenset[Declared]) -> Bsd:
    """The calls of a NetBSD; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (7, 99) else "NetBSD before 7.99 is not modelled"
