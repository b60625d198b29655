"""OpenBSD 7: what it has beside the clauses common to the BSDs. Read in sources of about 2015."""

from __future__ import annotations

from ...platforms import Platform
from . import bind as b
from . import table, tcp
from .calls import Bsd, book

BOOK = book()
_PCB = "sys/netinet/in_pcb.c"

BOOK(
    b.NO_MAPPED,
    "There are no dual-stack sockets: IPV6_V6ONLY cannot be cleared (EINVAL), v4-mapped addresses are EADDRNOTAVAIL.",
    "sys/netinet6/in6_pcb.c; ip6_output.c",
    confidence="source",
)
BOOK(b.MULTICAST_UNKNOWN, "Whether TCP may bind a multicast address is not settled.", f"{_PCB}", confidence="inferred")
BOOK(
    b.CHOICE_EXACT,
    "bind(0) with a reuse option avoids only sockets at the very same address.",
    f"{_PCB} in_pcbbind (wild)",
    confidence="source",
)
BOOK(
    b.LOW_RANGE,
    "IP_PORTRANGE_LOW without root makes bind(0) EACCES.",
    f"{_PCB} in_pcbbind (INP_LOWPORT)",
    confidence="source",
)
BOOK(
    tcp.BINDS_FIRST,
    "connect() of TCP takes a port that nobody has before it looks at the destination, and keeps it if that fails.",
    "sys/netinet/tcp_usrreq.c (PRU_CONNECT)",
    confidence="source",
)
BOOK(
    tcp.SELF_UNKNOWN,
    "Whether TCP can connect to its own address and port is not settled.",
    "not run",
    confidence="inferred",
)
BOOK(
    tcp.CLOSED_IGNORES,
    "A SYN to a socket that is bound but neither listens nor is connected is not answered: connect() hangs.",
    "sys/netinet/tcp_input.c (TCPS_CLOSED)",
    confidence="source",
)
BOOK(
    tcp.INHERITS,
    "An accepted socket has its listener's reuse options.",
    "sys/kern/uipc_socket2.c sonewconn",
    confidence="inferred",
)

_RANGE = "net.inet.ip."
TRAITS = table.Traits(
    ranges={
        "0": (1024, 49151, f"{_RANGE}portfirst", f"{_RANGE}portlast"),
        "1": (49152, 65535, f"{_RANGE}porthifirst", f"{_RANGE}porthilast"),
        "2": (1023, 600, "", ""),
    },
    v6only=True,
)


def rules(_platform: Platform, _on: frozenset[str]) -> Bsd:
    """The rules of an OpenBSD; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (7,) else "OpenBSD before 7 is not modelled"
