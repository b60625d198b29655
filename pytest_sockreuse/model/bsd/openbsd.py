"""OpenBSD 7: what it has beside the clauses common to the BSDs. Read in sources of 7.7 and 7.8, not run."""

from __future__ import annotations

from ...platforms import Platform
from ..clause import Declared
from . import address as a
from . import bind as b
from . import ended, table, tcp, udp
from . import multicast as g
from .calls import Bsd, unrun

BOOK = unrun()
_PCB = "sys/netinet/in_pcb.c"

BOOK.has(a.NO_MAPPED, "sys/netinet6/in6_pcb.c; ip6_output.c", confidence="source")
BOOK.has(a.FAMILY_LATE, f"{_PCB} in_pcbbind_locked", confidence="source")
BOOK.has(a.TCP_ANY_INVALID, "sys/netinet/tcp_usrreq.c tcp_connect", confidence="source")
BOOK.has(b.TAKEN_FIRST, f"{_PCB} in_pcbbind_locked (in_rootonly)", confidence="source")
BOOK.has(udp.TELLS, "sys/kern/uipc_syscalls.c sys_connect (so_error)", confidence="inferred")
BOOK.has(udp.PORT_FIRST_TOO, "sys/netinet/udp_usrreq.c udp_output", confidence="source")
BOOK.has(b.MULTICAST_UNKNOWN, f"{_PCB}", confidence="inferred")
BOOK.has(b.CHOICE_EXACT, f"{_PCB} in_pcbbind (wild)", confidence="source")
BOOK.has(b.LOW_RANGE, f"{_PCB} in_pcbbind (INP_LOWPORT)", confidence="source")
BOOK.has(g.LOOP_BYTE, "sys/netinet/ip_output.c ip_setmoptions", "source")
BOOK.has(a.SCOPED, "sys/netinet6/in6_pcb.c in6_pcbaddrisavail, in6_pcbconnect (in6_embedscope)", "source")
BOOK.has(tcp.SOURCE_FIRST, f"{_PCB} in_pcbconnect, in_pcbpickport", confidence="source")
BOOK.has(ended.NAMELESS, "sys/netinet/tcp_usrreq.c tcp_sogetpcb", confidence="source")
BOOK.has(ended.TELLS_ERROR, "sys/netinet/tcp_usrreq.c tcp_sogetpcb", confidence="source")
BOOK.has(tcp.SELF_UNKNOWN, "not run", confidence="inferred")
BOOK.has(tcp.CLOSED_IGNORES, "sys/netinet/tcp_input.c (TCPS_CLOSED)", confidence="source")
BOOK.has(tcp.INHERITS, "sys/kern/uipc_socket2.c sonewconn", confidence="inferred")

_RANGE = "net.inet.ip."
TRAITS = table.Traits(
    ranges={
        "0": (1024, 49151, f"{_RANGE}portfirst", f"{_RANGE}portlast"),
        "1": (49152, 65535, f"{_RANGE}porthifirst", f"{_RANGE}porthilast"),
        "2": (1023, 600, "", ""),
    },
    v6only=True,
    aim=a.other_aim,
    no_zone="EINVAL",
)


def family(_platform: Platform, _on: frozenset[Declared]) -> Bsd:
    """The calls of an OpenBSD; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (7,) else "OpenBSD before 7 is not modelled"
