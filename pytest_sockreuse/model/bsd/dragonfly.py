"""DragonFly BSD 6: what it has beside the clauses common to the BSDs. Read in its sources of 2020, not run."""

from __future__ import annotations

from ...platforms import Platform
from ..clause import Declared, Unknown
from . import address as a
from . import bind as b
from . import calls, options, table, tcp
from . import multicast as g
from .calls import Bsd, unrun
from .table import Machine, Pcb

BOOK = unrun()
_PCB = "sys/netinet/in_pcb.c"

BOOK.has(table.RP_GROUP, f"{_PCB} inp_localgroup_lookup", "source")
BOOK.has(b.CHILDREN_FREE, f"{_PCB} in_pcbbind (kern.ipc.soaccept_reuse, commit 2d5847e2)", "source")
BOOK.has(b.CHOICE_EXACT, f"{_PCB} in_pcbsetlport (wild)", "source")
BOOK.has(a.NO_MULTICAST, "sys/netinet/tcp_usrreq.c tcp_usr_bind", "source")
BOOK.has(options.V6ONLY_ALWAYS, "sys/netinet6/ip6_output.c ip6_ctloutput", "source")
BOOK.has(tcp.TUPLE_CHOICE, f"{_PCB} in_pcbsetlport, in_pcbconnect", "source")
BOOK.has(tcp.SELF_UNKNOWN, "not run", "inferred")
BOOK.has(tcp.INHERITS, "sys/kern/uipc_socket2.c sonewconn", "source")
BOOK.has(g.MOST, "sys/netinet/ip_output.c ip_setmoptions (IP_MAX_MEMBERSHIPS)", "source")
BOOK.has(calls.SHUTS_ALL, "sys/kern/uipc_socket.c soshutdown", "source")
BOOK.has(tcp.SHUT_RELEASES, "sys/netinet/tcp_usrreq.c tcp_usrclosed", "source")


def _aim(m: Machine, sk: Pcb, host: str, port: int) -> tuple[str, str]:
    """in_pcbladdr. Raises Errno, or Unknown."""
    address, family, kind = a.parsed(host)
    if sk.family == 6 and (family == 4 or kind == "any"):
        raise Unknown("IPv6 to a v4-mapped address or the wildcard")
    a.port_given(m, port)
    return a.reached(m, sk, address, family)


_RANGE = "net.inet.ip.portrange."
TRAITS = table.Traits(
    ranges={
        "0": (1024, 5000, f"{_RANGE}first", f"{_RANGE}last"),
        "1": (49152, 65535, f"{_RANGE}hifirst", f"{_RANGE}hilast"),
        "2": (1023, 600, f"{_RANGE}lowfirst", f"{_RANGE}lowlast"),
    },
    v6only=True,
    aim=_aim,
)


def family(_platform: Platform, _on: frozenset[Declared]) -> Bsd:
    """The calls of a DragonFly BSD."""
    return Bsd(TRAITS)


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    return "" if platform.version >= (5, 6) else "DragonFly BSD before 5.6 is not modelled"
