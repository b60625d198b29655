"""FreeBSD 13 to 15: what it has beside the clauses common to the BSDs."""

from __future__ import annotations

from ...platforms import Platform
from ..clause import Book, Declared
from . import address as a
from . import bind as b
from . import calls, ended, options, table, tcp, udp
from . import multicast as g
from .calls import COMMON, Bsd

BOOK = Book(COMMON)
_PCB, _PCB6 = "sys/netinet/in_pcb.c", "sys/netinet6/in6_pcb.c"
_TCP, _UDP6 = "sys/netinet/tcp_usrreq.c", "sys/netinet6/udp6_usrreq.c"
_SOCKET = "sys/kern/uipc_socket.c"

BOOK.has(b.LB, f"{_PCB} in_pcbbind_setup (reuseport_lb)")
BOOK.has(table.LB_GROUP, f"{_PCB} in_pcblookup_lbgroup")
BOOK.has(table.LB_LISTENS, f"{_PCB} in_pcblisten", "source", since=("15.0",))
BOOK.has(table.NEWEST_EXACT, f"{_PCB} in_pcblookup_hash_locked (local_exact)", "source", until=("14.0",))
BOOK.has(table.NEWEST, f"{_PCB} in_pcblookup_hash_wild_smr", since=("14.0",))
BOOK.has(table.IPV4_FIRST, f"{_PCB} in_pcblookup_hash_locked (local_wild_mapped)", "source", until=("14.0",))
BOOK.has(table.MAPPED_COST, f"{_PCB} in_pcblookup_local (INP_LOOKUP_MAPPED_PCB_COST)")
BOOK.has(b.DUAL, f"{_PCB6} in6_pcbbind")
BOOK.has(b.ANY_QUIRK, f"{_PCB6} in6_pcbbind (INP_IPV6PROTO)")
BOOK.has(b.MULTICAST_RP, f"{_PCB} in_pcbbind_setup (SO_REUSEADDR|SO_REUSEPORT)", "source")
BOOK.has(b.CONNECTED_FREE, f"{_PCB} in_pcbbind_setup (inp_faddr)")
BOOK.has(b.ANY_LB_FREE, f"{_PCB} in_pcbbind_setup (INP_REUSEPORT_LB)", until=("14.1",))
BOOK.has(b.ANY_LB_MAY, "in6_pcbbind_avail of main lacks the exception", "inferred", since=("14.1",), until=("15.0",))
BOOK.has(b.CHOICE_EXACT, f"{_PCB} in_pcb_lport (lookupflags)")
BOOK.has(b.DUAL_CHOICE, f"{_PCB} in_pcb_lport_dest (INP_IPV4), not in 13.0", since=("14.0",))
BOOK.has(b.LOW_RANGE, f"{_PCB} in_pcb_lport")
BOOK.has(a.LENGTH, f"{_TCP} tcp_usr_bind, tcp_usr_connect (sa_len)", "source", until=("14.0",))
BOOK.has(a.NO_MULTICAST, f"{_TCP} tcp_usr_bind, tcp_usr_connect")
BOOK.has(a.MAPPED_ON_V6ONLY, f"{_TCP} tcp6_usr_connect; {_UDP6} udp6_send, udp6_connect")
BOOK.has(a.MAPPED_FIRST, f"{_TCP} tcp6_usr_connect; {_UDP6} udp6_send, udp6_connect")
BOOK.has(a.ONE_FAMILY, f"{_TCP} tcp6_usr_connect (inp_vflag)")
BOOK.has(a.ANY_UNREACHABLE, "sys/netinet6/in6_src.c in6_selectsrc")
BOOK.has(
    a.NO_ANY_DESTINATION, "commit cd240957d7ba, release notes of 15.0 (connect_inaddr_wild)", "documented", ("15.0",)
)
BOOK.has(a.ANY_UNSETTLED, "refused in main; the setting's default in 15.0 was not found", "inferred", since=("15.0",))
BOOK.has(a.NO_BROADCAST, f"{_PCB} in_pcbbind_setup (ifa_ifwithaddr)")
BOOK.has(a.NO_ROUTE, f"{_PCB} in_pcbladdr; sys/netinet/ip_output.c", since=("14.0",))
BOOK.has(a.SCOPED, "sys/netinet6/scope6.c sa6_embedscope; in6_pcb.c in6_pcbbind, in6_pcbladdr", "source")
BOOK.has(tcp.LISTENER_LATE, f"{_TCP} tcp_usr_connect, tcp6_usr_connect (SOLISTENING)", since=("14.0",))
BOOK.has(tcp.TUPLE_CHOICE, f"{_PCB} in_pcb_lport_dest", since=("13.0",))
BOOK.has(tcp.LB_CONNECT, f"{_TCP} tcp_connect; tests/sys/netinet/so_reuseport_lb_test.c", "source", since=("15.0",))
BOOK.has(
    tcp.LB_CONNECT_MAY, "allowed in 14.0-STABLE of January 2024, refused in main", "inferred", ("14.1",), ("15.0",)
)
BOOK.has(tcp.NO_LOCAL_TW, "commit 92b3e07229ba, release notes of 14.0", since=("14.0",))
BOOK.has(tcp.INHERITS, f"{_SOCKET} sonewconn (so_options & ~SO_ACCEPTCONN)", "source", until=("14.0",))
BOOK.has(tcp.SHUT_KEEPS, f"{_SOCKET} soshutdown (soerror_enotconn), solisten_dequeue (so_error)")
BOOK.has(udp.NOWHERE, f"{_PCB} in_pcbdisconnect (in_pcbremhash_locked), not in 13.0", since=("14.0",))
BOOK.has(udp.FORGETS, f"{_SOCKET} soconnectat (so_error = 0)")
BOOK.has(udp.PORT_FIRST, f"{_UDP6} udp6_send")
BOOK.has(udp.TO_PORT_ZERO, "sys/netinet/udp_usrreq.c udp_send (inp_laddr, inp_lport)")
BOOK.has(udp.SENDS_BY_TUPLE, f"{_PCB} in_pcbconnect_setup", "source")
BOOK.has(udp.BIND_CHOICE, f"{_PCB6} in6_pcbsetport")
BOOK.has(ended.REFUSED_AGAIN, f"{_TCP} tcp_usr_connect (INP_DROPPED)")
BOOK.has(ended.KEEPS_NAME, f"{_PCB} in_pcbdrop, in_getsockaddr")
BOOK.has(ended.OPTIONS, f"{_TCP} tcp_ctloutput (INP_DROPPED)")
BOOK.has(calls.ABORTED, f"{_TCP} tcp_usr_accept (INP_DROPPED)", "source")
BOOK.has(calls.UDP_SHUTS, f"{_SOCKET} soshutdown (SOCK_DGRAM)")
BOOK.has(calls.UDP_LITE, "sys/netinet/udp_usrreq.c (V_ulitecbinfo)")
BOOK.has(calls.DISCONNECTS, f"{_SOCKET} soconnectat (sodisconnect)", since=("14.0",))
BOOK.has(g.STREAM, "sys/netinet/in_mcast.c inp_setmoptions; sys/netinet6/in6_mcast.c ip6_setmoptions", "source")
BOOK.has(g.TWICE6, "sys/netinet6/in6_mcast.c in6p_join_group", "source")
BOOK.has(g.INTERFACE6, "sys/netinet6/in6_mcast.c in6p_set_multicast_if", "source")
BOOK.has(g.ANY_DEVICE, "sys/netinet/in_mcast.c inp_leave_group", "source")
BOOK.has(g.ONLY_MEMBERS, "sys/netinet/udp_usrreq.c udp_input (inp_moptions, imo_multi_filter)", "source")
BOOK.has(g.LOOP, "sys/netinet/ip_output.c (ip_mloopback, IFF_LOOPBACK)", "source")
BOOK.has(options.BINDANY, f"{_PCB} (INP_BINDANY)", "source")
BOOK.has(options.PRIVILEGED, "sys/netinet/ip_output.c", "source")

_RANGE = "net.inet.ip.portrange."
TRAITS = table.Traits(
    ranges={
        "0": (10000, 65535, f"{_RANGE}first", f"{_RANGE}last"),
        "1": (49152, 65535, f"{_RANGE}hifirst", f"{_RANGE}hilast"),
        "2": (1023, 600, f"{_RANGE}lowfirst", f"{_RANGE}lowlast"),
    },
    v6only=True,
    aim=a.freebsd_aim,
    no_route={4: "ENETUNREACH", 6: "EHOSTUNREACH"},
    low_errno="EPERM",
)


def family(_platform: Platform, _on: frozenset[Declared]) -> Bsd:
    """The calls of a FreeBSD; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (13,) else "FreeBSD before 13 is not modelled"
