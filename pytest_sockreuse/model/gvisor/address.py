"""gVisor: which addresses are local, what a socket makes of a literal, and where a connection comes from."""

from __future__ import annotations

from ..address import parsed
from ..clause import Book, Errno, Unknown
from .ports import Endpoint
from .state import Machine

BOOK = Book()
_INFO = "pkg/tcpip/stack/stack.go AddrNetProtoLocked"
_SOCK = "pkg/sentry/socket/netstack/netstack.go"

FAMILY = BOOK(
    "address-family",
    "bind() of an AF_INET6 address on an AF_INET socket is EAFNOSUPPORT, the reverse EINVAL (too short).",
    f"{_SOCK} sock.Bind",
)
FAMILY_CONNECT = BOOK(
    "destination-family",
    "An AF_INET6 destination on an AF_INET socket is EINVAL, the reverse too if the socket is IPV6_V6ONLY, else taken.",
    f"{_SOCK} sock.checkFamily",
)
NOT_LOCAL = BOOK(
    "address-not-local",
    "bind() to an address that is not local is EADDRNOTAVAIL; all of 127.0.0.0/8 is local.",
    "pkg/tcpip/stack/stack.go CheckLocalAddress",
)
MAPPED_ON_V6ONLY = BOOK("mapped-on-v6only", "A v4-mapped address on an IPV6_V6ONLY socket is EHOSTUNREACH.", _INFO)
MIXED = BOOK(
    "mixed-families",
    "From an IPv4 address to an IPv6 one is EINVAL, the reverse ENETUNREACH.",
    _INFO,
)
TO_ANY = BOOK("wildcard-destination", "A wildcard destination is the source address, or loopback.", _INFO)
SOURCE = BOOK(
    "source-is-destination",
    "An unbound socket connects to a local address from that very address.",
    "pkg/tcpip/stack/stack.go findLocalRouteRLocked",
)
NO_ROUTE = BOOK(
    "no-route",
    "A destination without a route is EHOSTUNREACH.",
    "pkg/tcpip/stack/stack.go FindRoute (needRoute)",
)
WRONG_ROUTE = BOOK(
    "wildcard-of-other-family",
    "From an IPv4 address to `::`, and from an IPv6 one to `::ffff:0.0.0.0`, is EADDRNOTAVAIL; from an IPv4 one that "
    "bind() did not give, and by connect() of UDP, ENETUNREACH.",
    "pkg/tcpip/stack/stack.go FindRoute",
)


def check_bind_family(sk: Endpoint, host: str) -> None:
    """Raises Errno where the literal is of the other family."""
    if sk.family == 4 and ":" in host:
        raise Errno("EAFNOSUPPORT", FAMILY)
    if sk.family == 6 and ":" not in host:
        raise Errno("EINVAL", FAMILY)


def check_destination_family(sk: Endpoint, host: str) -> None:
    """Raises Errno where the socket takes no such literal as destination."""
    if (sk.family == 4) == (":" in host) and (sk.family == 4 or sk.v6only):
        raise Errno("EINVAL", FAMILY_CONNECT)


def unwrap(m: Machine, sk: Endpoint, host: str, bind: bool = False) -> tuple[str, int]:
    """The canonical address, empty for any, and its network; a destination is never any. Raises Errno."""
    address, net, kind = parsed(host) if host else ("", sk.family, "any")
    if kind == "any":
        address = ""
    if address and sk.laddr and (":" in sk.laddr) != (net == 6):
        raise Errno("EINVAL" if net == 6 else "ENETUNREACH", MIXED)
    if not bind and not address:
        address = sk.laddr if sk.laddr and TO_ANY in m.on else ("127.0.0.1" if net == 4 else "::1")
    if net == 4 and sk.family == 6 and sk.v6only and MAPPED_ON_V6ONLY in m.on:
        raise Errno("EHOSTUNREACH", MAPPED_ON_V6ONLY)
    return address, net


def is_local(m: Machine, address: str) -> bool:
    """Whether the address is this host's, in the isolated environment."""
    return parsed(address)[2] == "loopback" or address in m.addresses


def check_local(m: Machine, address: str) -> None:
    """Raises Errno, or Unknown, where bind() to the address fails or is not modelled."""
    if not address or is_local(m, address):
        return
    if parsed(address)[2] in ("multicast", "linklocal", "broadcast"):
        raise Unknown("binding multicast, broadcast and link-local addresses")
    raise Errno("EADDRNOTAVAIL", NOT_LOCAL)


def source(m: Machine, sk: Endpoint, address: str, net: int, interface: bool) -> str:
    """The source address of what goes from `sk` to `address`; `interface`: it is tied to one. Raises Errno."""
    if (":" in address) != (net == 6):
        raise Errno("EADDRNOTAVAIL" if net == 4 or interface else "ENETUNREACH", WRONG_ROUTE)
    if sk.device not in ("", "lo"):
        raise Unknown("connections through a device")
    if "127.255.255.255" in (address, sk.laddr):
        raise Unknown("connections to multicast, broadcast and link-local addresses")
    if not is_local(m, address):
        if parsed(address)[2] != "other":
            raise Unknown("connections to multicast, broadcast and link-local addresses")
        raise Errno("EHOSTUNREACH", NO_ROUTE)
    if sk.laddr:
        return sk.laddr
    if SOURCE not in m.on and address.startswith("127."):
        return "127.0.0.1"
    return address
