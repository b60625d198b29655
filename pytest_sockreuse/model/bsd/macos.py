"""macOS 11.6 to 26: what it has beside the clauses common to the BSDs."""

from __future__ import annotations

from ...platforms import Platform
from ..clause import Book, Declared
from . import address as a
from . import bind as b
from . import calls, table, tcp, udp
from . import multicast as g
from .calls import COMMON, Bsd

BOOK = Book(COMMON)
_PCB = "bsd/netinet/in_pcb.c"
_PCB6 = "bsd/netinet6/in6_pcb.c in6_pcbbind"

BOOK.has(table.NEWEST_EXACT, f"{_PCB} in_pcblookup_hash")
BOOK.has(table.IPV4_FIRST, f"{_PCB} in_pcblookup_hash (local_wild_mapped)", "source")
BOOK.has(b.DUAL, _PCB6)
BOOK.has(b.ANY_QUIRK, f"{_PCB6} (SOCK_DOM)")
BOOK.has(a.NO_MULTICAST, "bsd/netinet/tcp_usrreq.c tcp_usr_bind")
BOOK.has(a.UDP_LENGTH, f"{_PCB} in_pcbbind, in_pcbladdr (sa_len)", "source")
BOOK.has(a.ONE_FAMILY, "bsd/netinet/tcp_usrreq.c tcp_usr_connect_common; bsd/netinet6/udp6_usrreq.c", "source")
BOOK.has(b.ANY_RP_FREE, f"{_PCB} in_pcbbind (INADDR_ANY)")
BOOK.has(b.ANY_LOW_PORT, f"{_PCB} in_pcbbind", since=("10.14",))
BOOK.has(b.RESTRICTED, "bsd/net/restricted_in_port.c", confidence="source", since=("10.15",))
BOOK.has(b.CHOICE_EXACT_V6, "bsd/netinet6/in6_src.c in6_pcbsetport (wild)", confidence="source")
BOOK.has(b.LOW_RANGE, f"{_PCB} in_pcbbind")
BOOK.has(g.STREAM, "bsd/netinet/in_mcast.c inp_setmoptions; bsd/netinet6/in6_mcast.c ip6_setmoptions", "source")
BOOK.has(g.INTERFACE6, "bsd/netinet6/in6_mcast.c in6p_set_multicast_if", "source")
BOOK.has(g.ANY_DEVICE, "bsd/netinet/in_mcast.c inp_leave_group", "source")
BOOK.has(a.SCOPED, f"{_PCB6} in6_pcbbind, in6_pcbladdr (in6_embedscope)", "source")
BOOK.has(tcp.BINDS_FIRST, "bsd/netinet/tcp_usrreq.c tcp_connect")
BOOK.has(tcp.SELF, "bsd/netinet/tcp_usrreq.c tcp_connect")
BOOK.has(tcp.CLOSED_IGNORES, "bsd/netinet/tcp_input.c (TCPS_CLOSED)", confidence="source")
BOOK.has(tcp.GONE_STAYS, f"{_PCB} in_pcblookup_local_and_cleanup (so_usecount)", confidence="source")
BOOK.has(tcp.INHERITS, "bsd/kern/uipc_socket2.c sonewconn")
BOOK.has(calls.SHUT_IGNORED, "bsd/kern/uipc_socket.c soshutdown", "source")
BOOK.has(udp.PORT_FIRST, "bsd/netinet6/udp6_output.c udp6_output", "source")
BOOK.has(udp.TELLS, "bsd/kern/uipc_syscalls.c connectit (so_error)", "source")
BOOK.has(udp.TO_PORT_ZERO, "bsd/netinet/udp_usrreq.c udp_output", "source")

_RANGE = "net.inet.ip.portrange."
TRAITS = table.Traits(
    ranges={
        "0": (49152, 65535, f"{_RANGE}first", f"{_RANGE}last"),
        "1": (49152, 65535, f"{_RANGE}hifirst", f"{_RANGE}hilast"),
        "2": (1023, 600, f"{_RANGE}lowfirst", f"{_RANGE}lowlast"),
    },
    v6only=False,
    aim=a.other_aim,
    no_zone="EINVAL",
    time_wait=30.0,
    low_errno="EPERM",
)


def family(_platform: Platform, _on: frozenset[Declared]) -> Bsd:
    """The calls of a macOS; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (11,) else "macOS before 11 is not modelled"
