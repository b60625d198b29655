"""macOS 11.6 to 26: what it has beside the clauses common to the BSDs."""

from __future__ import annotations

from ...platforms import Platform
from . import bind as b
from . import table, tcp
from .calls import Bsd, book

BOOK = book()
_PCB = "bsd/netinet/in_pcb.c"
_PCB6 = "bsd/netinet6/in6_pcb.c in6_pcbbind"

BOOK(
    table.NEWEST_EXACT,
    "Of several sockets at one specific address the one bound last gets what arrives.",
    f"{_PCB} in_pcblookup_hash",
)
BOOK(b.DUAL, "bind() to `::` without IPV6_V6ONLY looks at 0.0.0.0 of IPv4, too.", _PCB6)
BOOK(
    b.ANY_QUIRK,
    "`::` does not conflict with an IPv4 socket at 0.0.0.0 that came first, though the reverse does.",
    f"{_PCB6} (SOCK_DOM)",
)
BOOK(
    b.NO_MULTICAST,
    "bind() of TCP to a multicast address is EAFNOSUPPORT.",
    "bsd/netinet/tcp_usrreq.c tcp_usr_bind",
)
BOOK(
    b.ANY_RP_FREE,
    "Another user's wildcard socket with SO_REUSEPORT is not in the way of a wildcard bind(); its connections are.",
    f"{_PCB} in_pcbbind (INADDR_ANY)",
)
BOOK(
    b.ANY_LOW_PORT,
    "A port below 1024 is free to every user at the wildcard address.",
    f"{_PCB} in_pcbbind",
    since=("10.14",),
)
BOOK(
    b.RESTRICTED,
    "TCP port 55555 is EADDRINUSE without an entitlement of Apple's.",
    "bsd/net/restricted_in_port.c",
    confidence="source",
    since=("10.15",),
)
BOOK(
    b.CHOICE_EXACT_V6,
    "bind(0) of an AF_INET6 socket with a reuse option avoids only sockets at the very same address.",
    "bsd/netinet6/in6_src.c in6_pcbsetport (wild)",
    confidence="source",
)
BOOK(b.LOW_RANGE, "IP_PORTRANGE_LOW without root makes bind(0) EPERM.", f"{_PCB} in_pcbbind")
BOOK(
    tcp.BINDS_FIRST,
    "connect() of TCP takes a port that nobody has before it looks at the destination, and keeps it if that fails.",
    "bsd/netinet/tcp_usrreq.c tcp_connect",
)
BOOK(
    tcp.SELF,
    "connect() of TCP to its own address and port is EINVAL.",
    "bsd/netinet/tcp_usrreq.c tcp_connect",
)
BOOK(
    tcp.CLOSED_IGNORES,
    "A SYN to a socket that is bound but neither listens nor is connected is not answered: connect() hangs.",
    "bsd/netinet/tcp_input.c (TCPS_CLOSED)",
    confidence="source",
)
BOOK(
    tcp.GONE_STAYS,
    "A connection that was reset or refused keeps its port until its descriptor is closed.",
    f"{_PCB} in_pcblookup_local_and_cleanup (so_usecount)",
    confidence="source",
)
BOOK(tcp.INHERITS, "An accepted socket has its listener's reuse options.", "bsd/kern/uipc_socket2.c sonewconn")
BOOK(
    tcp.MAPPED_ON_V6ONLY,
    "connect() of an IPV6_V6ONLY socket to a v4-mapped address is EINVAL.",
    "bsd/netinet/tcp_usrreq.c tcp6_usr_connect",
    confidence="source",
)
BOOK(
    tcp.SHUT_KEEPS,
    "shutdown() of a listener is ENOTCONN; it accepts no more, and its port stays held.",
    "bsd/kern/uipc_socket.c soshutdown",
)

_RANGE = "net.inet.ip.portrange."
TRAITS = table.Traits(
    ranges={
        "0": (49152, 65535, f"{_RANGE}first", f"{_RANGE}last"),
        "1": (49152, 65535, f"{_RANGE}hifirst", f"{_RANGE}hilast"),
        "2": (1023, 600, f"{_RANGE}lowfirst", f"{_RANGE}lowlast"),
    },
    v6only=False,
    time_wait=30.0,
    low_errno="EPERM",
)


def rules(_platform: Platform, _on: frozenset[str]) -> Bsd:
    """The rules of a macOS; what differs between versions is in `m.on`."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (11,) else "macOS before 11 is not modelled"
