"""Wine: its server's table of bound addresses, by which TCP's bind() does as on Windows before the host is asked."""

from __future__ import annotations

from dataclasses import field
from ipaddress import IPv4Address, IPv6Address, ip_address

from ...dataclass import dataclass
from ..clause import Book, Errno
from ..linux import state as linux
from ..linux.state import Machine
from ..sock import Sock

BOOK = Book()
_SERVER = "server/sock.c"
RUN = "run on Wine 8.0"

TABLE = BOOK(
    "server-compares-addresses",
    "TCP's bind() to an address that is bound already is EADDRINUSE, with SO_REUSEADDR EACCES, unless both sockets "
    "have SO_REUSEADDR; a wildcard and a specific address are two addresses.",
    f"{_SERVER} check_addr_usage; {RUN}",
    "source",
)
EXCLUSIVE = BOOK(
    "exclusive-wildcard-is-every-address",
    "A wildcard with SO_EXCLUSIVEADDRUSE stands for all addresses of its family, and dual-stack for those of IPv4: "
    "over a bound one it is EADDRINUSE, and who comes after it gets EACCES.",
    f"{_SERVER} addr_compare, ipv4addr_from_v6; {RUN}",
    "source",
)


@dataclass(slots=True, eq=False)
class Bound:
    """An address in the table; `every`: it stands for all of its family, `shared`: those who hold it share it."""

    address: str
    port: int
    every: bool
    shared: bool
    holders: list[Sock]

    def meets(self, address: str, every: bool) -> bool:
        """Whether `address` is the same, or one of the two stands for all of their family."""
        if (":" in self.address) != (":" in address):
            return False
        return self.every or every or self.address == address


@dataclass(slots=True)
class State(linux.State):
    """What the host keeps of ports, and the server's table."""

    bound: list[Bound] = field(default_factory=list)


def table(m: Machine) -> list[Bound]:
    """The server's table."""
    assert isinstance(m.state, State)
    return m.state.bound


def reuses(sk: Sock) -> bool:
    """Whether Winsock's SO_REUSEADDR is set."""
    return sk.options.get("SO_REUSEADDR") == "1"


def exclusive(sk: Sock) -> bool:
    """Whether SO_EXCLUSIVEADDRUSE is set."""
    return sk.options.get("SO_EXCLUSIVEADDRUSE") == "1"


def _stands_for(m: Machine, sk: Sock, host: str) -> list[tuple[str, bool]]:
    """The addresses at which `sk` is compared, and whether each stands for all of its family."""
    address = ip_address(host)
    alone = exclusive(sk) and EXCLUSIVE in m.on
    found = [(str(address), alone and address.is_unspecified)]
    if isinstance(address, IPv6Address) and not sk.v6only:
        four = address.ipv4_mapped or (IPv4Address(0) if address.is_unspecified and alone else None)
        found += [(str(four), alone and four.is_unspecified)] if four is not None else []
    return found


def check(m: Machine, sk: Sock, host: str, port: int) -> None:
    """check_addr_usage. Raises Errno."""
    m.spend(len(table(m)))
    for at, every in _stands_for(m, sk, host):
        found = next((one for one in table(m) if one.port == port and one.meets(at, every)), None)
        if found is not None and not (found.shared and reuses(sk)):
            name = "EACCES" if reuses(sk) or found.every else "EADDRINUSE"
            raise Errno(name, m.met(found.holders[0], EXCLUSIVE if found.every or every else TABLE))


def enter(m: Machine, sk: Sock, host: str) -> None:
    """update_addr_usage: `sk` is bound to `host` at its port."""
    for at, every in _stands_for(m, sk, host):
        same = next((one for one in table(m) if one.port == sk.port and one.meets(at, every)), None)
        if same is None:
            table(m).append(Bound(at, sk.port, every, reuses(sk), [sk]))
        elif same.shared:
            same.holders.append(sk)


def leave(m: Machine, sk: Sock) -> None:
    """sock_destroy: the addresses of `sk` are free for the table."""
    for one in [one for one in table(m) if sk in one.holders]:
        one.holders.remove(sk)
        if not one.holders:
            table(m).remove(one)
