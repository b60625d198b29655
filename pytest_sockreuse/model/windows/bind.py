"""Windows: who may bind a port. Microsoft's table, as the rule that it follows from."""

from __future__ import annotations

from dataclasses import field

from ...dataclass import dataclass
from .. import machine
from ..address import parsed
from ..clause import PLAIN, Book, Declared, Errno, Unknown
from ..sock import Sock

BOOK = Book()
_MS = "Microsoft, Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE (Windows Server 2003 and later)"
_WINE = "Wine 10.0 dlls/ws2_32/tests/sock.c"

SAME = BOOK(
    "same-address-conflicts",
    "A second bind() to one address is EADDRINUSE, to two wildcards as well.",
    f"{_MS}; {_WINE} test_bind",
    "documented",
)
BOTH_RA = BOOK(
    "reuseaddr-both",
    "With SO_REUSEADDR on both sockets nothing is checked, whoever listens.",
    f"{_MS}; {_WINE} test_reuseaddr",
    "documented",
)
DENIED = BOOK(
    "reuseaddr-second-denied",
    "With SO_REUSEADDR on the second socket only, bind() to the same address is EACCES.",
    f"{_MS}; {_WINE} test_reuseaddr",
    "documented",
)
EITHER = BOOK(
    "reuseaddr-first-either",
    "With SO_REUSEADDR on the first socket only, bind() to its specific address is EADDRINUSE, or EACCES.",
    f"{_MS} says WSAEADDRINUSE; the WDK, Sharing Transport Addresses, denied",
    "documented",
)
APART = BOOK(
    "wildcard-and-specific-apart",
    "A wildcard and a specific address share a port without any option, in either order.",
    f"{_MS}; {_WINE} test_reuseaddr",
    "documented",
)
EXCLUSIVE_WILD = BOOK(
    "exclusive-wildcard-shuts-out",
    "A wildcard with SO_EXCLUSIVEADDRUSE keeps everybody from the port: EACCES.",
    f"{_MS}; {_WINE} test_reuseaddr",
    "documented",
)
EXCLUSIVE_EITHER = BOOK(
    "exclusive-wildcard-either",
    "A second wildcard without SO_REUSEADDR is then EADDRINUSE, or EACCES.",
    f"{_MS} says WSAEADDRINUSE; Wine's own code WSAEACCES",
    "documented",
)
EXCLUSIVE_LATE = BOOK(
    "exclusive-wildcard-comes-late",
    "A wildcard with SO_EXCLUSIVEADDRUSE over a specific address is EADDRINUSE.",
    f"{_MS}; {_WINE} test_reuseaddr",
    "documented",
)
OTHER_USER = BOOK(
    "other-user-denied",
    "A specific address under another user's wildcard is EACCES, unless both have SO_REUSEADDR.",
    f"{_MS} (different user accounts)",
    "documented",
)
DUAL_APART = BOOK(
    "plain-wildcards-of-two-families",
    "A dual-stack `::` without option and 0.0.0.0 without SO_REUSEADDR share a port.",
    f"{_WINE} tests_exclusive; Go TestDualStackTCPListener",
    "documented",
)
DUAL_EXCLUSIVE = BOOK(
    "exclusive-dual-stack",
    "A dual-stack `::` with SO_EXCLUSIVEADDRUSE keeps IPv4 out as well: EACCES; bound after an IPv4 socket it is "
    "EADDRINUSE, or EACCES.",
    f"{_WINE} tests_exclusive, test_ipv6only; {_MS} says WSAEACCES",
    "documented",
)
DIFFERENT = BOOK(
    "addresses-apart", "Two specific addresses never conflict.", "WDK, Sharing Transport Addresses", "documented"
)
V6ONLY = BOOK(
    "v6only-keeps-apart",
    "IPv6 sockets, but for `::` with IPV6_V6ONLY=0 and v4-mapped addresses, meet no IPv4 one.",
    f"{_WINE} tests_exclusive",
    "documented",
)


class WinSock(Sock):
    """A socket of Windows. `mode` is latched at bind: none, ra or ex; `bound` its address then; `vague`: why its
    steps are not known."""

    __slots__ = ("ex", "mode", "bound", "vague", "dual", "turn")

    def __init__(self, proto: str, family: int, user: str) -> None:
        super().__init__(proto, family, user)
        self.ex = self.dual = False
        self.mode, self.bound, self.vague = "none", "", ""
        self.v6only = True
        self.turn = 0  # when it listened

    def now(self) -> str:
        """The mode that its options ask for."""
        return "ex" if self.ex else "ra" if self.ra else "none"


def is_any(address: str) -> bool:
    return address in ("0.0.0.0", "::")


@dataclass(slots=True)
class State:
    """The sockets that bind(), or sendto(), gave a port, by protocol and port."""

    ports: dict[tuple[str, int], list[WinSock]] = field(default_factory=dict)


Machine = machine.Machine[State]

Answer = tuple[tuple[str, ...], Declared]  # errnos that may be, none where the two share; the clause
_FREE: Answer = ((), PLAIN)


def owners(m: Machine, proto: str, port: int) -> list[WinSock]:
    """The sockets that bind(), or sendto(), gave this port."""
    return m.state.ports.setdefault((proto, port), [])


def answer(m: Machine, first: WinSock, second: WinSock) -> Answer:
    """What stands against `second`, whose `bound` and `mode` are set, from a socket bound before. Raises Unknown."""
    one, two = first.bound, second.bound
    if (":" in one) != (":" in two):
        return _across(m, first, second)
    any_one, any_two = is_any(one), is_any(two)
    if not any_one and not any_two and one != two:
        return _FREE if DIFFERENT in m.on else (("EADDRINUSE",), SAME)
    both = first.mode == second.mode == "ra" and BOTH_RA in m.on
    if any_one == any_two:
        return _FREE if both else _same(m, first, second, any_one)
    if any_one and first.mode == "ex" and EXCLUSIVE_WILD in m.on:
        return ("EACCES",), EXCLUSIVE_WILD
    if any_two and second.mode == "ex" and EXCLUSIVE_LATE in m.on:
        return ("EADDRINUSE",), EXCLUSIVE_LATE
    if any_one and first.user != second.user and not both and OTHER_USER in m.on:
        return ("EACCES",), OTHER_USER
    return _FREE if APART in m.on or both else (("EADDRINUSE",), SAME)


def _same(m: Machine, first: WinSock, second: WinSock, wild: bool) -> Answer:
    if second.mode == "ra" and DENIED in m.on:
        return ("EACCES",), DENIED
    if wild and first.mode == "ex" and EXCLUSIVE_EITHER in m.on:
        return ("EADDRINUSE", "EACCES"), EXCLUSIVE_EITHER
    if not wild and first.mode == "ra" and second.mode == "none" and EITHER in m.on:
        return ("EADDRINUSE", "EACCES"), EITHER
    return ("EADDRINUSE",), SAME


def _across(m: Machine, first: WinSock, second: WinSock) -> Answer:
    """An IPv4 and an IPv6 address."""
    six, four = (first, second) if ":" in first.bound else (second, first)
    if not six.dual and V6ONLY in m.on:
        return _FREE
    if first.mode == second.mode == "ra" and BOTH_RA in m.on:
        return _FREE
    if six.mode == "ex" and DUAL_EXCLUSIVE in m.on:
        if six is first and not (is_any(four.bound) and four.mode == "ex"):
            return ("EACCES",), DUAL_EXCLUSIVE
        if six is second and is_any(four.bound) and four.mode != "none":
            raise Unknown("a dual-stack :: with SO_EXCLUSIVEADDRUSE after 0.0.0.0 with an option")
        return ("EADDRINUSE", "EACCES"), DUAL_EXCLUSIVE
    if first.user != second.user:
        raise Unknown("a dual-stack :: and an IPv4 address of two users")
    if not is_any(four.bound):
        return _FREE if APART in m.on else (("EADDRINUSE",), SAME)
    if six.mode == "none" and (four.mode == "none" or (four.mode == "ex" and six is first)) and DUAL_APART in m.on:
        return _FREE
    raise Unknown("a dual-stack :: and 0.0.0.0 where one of them has an option")


def check(m: Machine, sk: WinSock, port: int) -> None:
    """Whether `sk` may have the port. Raises Errno, Unknown."""
    here = owners(m, sk.proto, port)
    m.spend(len(here))
    found: dict[str, tuple[WinSock, Declared]] = {}
    for other in here:
        if other is not sk:
            errnos, clause = _settled(m, other, sk)
            for errno in errnos:
                found.setdefault(errno, (other, clause))
    if found:
        names = sorted(found)
        name = names[m.choose(len(names))] if len(names) > 1 else names[0]
        raise Errno(name, m.met(*found[name]))


def _settled(m: Machine, first: WinSock, second: WinSock) -> Answer:
    """`answer`, also where a wildcard socket has connected since: known if its old and new address agree."""
    as_bound = answer(m, first, second)
    if not first.raddr or not is_any(first.bound):
        return as_bound
    bound, dual = first.bound, first.dual
    first.bound, first.dual = first.laddr, False
    try:
        as_connected = answer(m, first, second)
    finally:
        first.bound, first.dual = bound, dual
    if as_bound[0] != as_connected[0]:
        raise Unknown("whether a socket bound to a wildcard keeps it when it connects")
    return as_bound


NOT_LOCAL = BOOK(
    "address-not-local",
    "bind() to an address that is not local is EADDRNOTAVAIL; all of 127.0.0.0/8 is local but its broadcast address.",
    f"{_WINE} test_bind; WSL issue 1549; libuv's tests",
    "documented",
)


MULTICAST = BOOK(
    "multicast-is-not-bound",
    "A UDP socket cannot bind an IPv4 multicast address, EADDRNOTAVAIL.",
    "mongoose issue 3128",
    "documented",
)


def local(m: Machine, sk: WinSock, host: str) -> str:
    """The canonical address that bind() gives to `sk`. Raises Errno, Unknown."""
    if (sk.family == 6) != (":" in host):
        raise Unknown("an address of the other family")
    address, family, kind = parsed(host)
    if sk.family == 6 and family == 4 and sk.v6only:
        raise Unknown("a v4-mapped address on an IPV6_V6ONLY socket")
    if address == "127.255.255.255":
        raise Errno("EADDRNOTAVAIL", NOT_LOCAL)
    if kind in ("any", "loopback") or address in m.addresses:
        return address
    if kind == "multicast" and family == 4 and sk.proto == "udp" and MULTICAST in m.on:
        raise Errno("EADDRNOTAVAIL", MULTICAST)
    if kind != "other":
        raise Unknown("binding multicast, broadcast and link-local addresses")
    raise Errno("EADDRNOTAVAIL", NOT_LOCAL)
