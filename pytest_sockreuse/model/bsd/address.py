"""The BSDs: what an address means to bind(), connect() and sendto(), and which addresses are refused.

Each system's `aim` gives the source and destination of a packet, and settles the family of a dual-stack socket.
"""

from __future__ import annotations

from functools import lru_cache

from ..address import canonical, of_one_link
from ..clause import Book, Declared, Errno, Unknown
from .table import Machine, Pcb

BOOK = Book()

NOT_LOCAL = BOOK(
    "address-not-local",
    "bind() to an address of no interface is EADDRNOTAVAIL; 127.0.0.2 is such an address unless it was added.",
    "sys/netinet/in_pcb.c in_pcbbind (ifa_ifwithaddr)",
)
FAMILY = BOOK(
    "address-family",
    "An address of the other family is EAFNOSUPPORT, before anything else is looked at; EINVAL where its length is.",
    "sys/netinet/tcp_usrreq.c tcp_usr_bind, tcp_usr_connect; sys/netinet/udp_usrreq.c udp_send",
)
PORT_ZERO = BOOK(
    "connect-port-zero",
    "connect() to port 0 is EADDRNOTAVAIL, so is a sendto() that must choose its port or address.",
    "sys/netinet/in_pcb.c in_pcbconnect_setup; sys/netinet6/in6_pcb.c in6_pcbladdr",
)

# What only some of the systems have: their books say which, and where it is written.
LENGTH = Declared("address-length-first", "An address of the other family is EINVAL: its length is looked at first.")
UDP_LENGTH = Declared("udp-address-length-first", "An address of the other family is EINVAL to UDP, for its length.")
FAMILY_LATE = Declared("bound-before-family", "bind() of a bound socket is EINVAL before the address is looked at.")
NO_MULTICAST = Declared(
    "tcp-multicast-refused", "bind() and connect() of TCP to a multicast address is EAFNOSUPPORT, first of all."
)
NO_MAPPED = Declared(
    "no-mapped-addresses",
    "There are no dual-stack sockets: IPV6_V6ONLY cannot be cleared (EINVAL), v4-mapped addresses are EADDRNOTAVAIL.",
)
MAPPED_INVALID = Declared(
    "mapped-bind-on-v6only", "bind() of an IPV6_V6ONLY socket to a v4-mapped address is EINVAL, not EADDRNOTAVAIL."
)
MAPPED_ON_V6ONLY = Declared(
    "mapped-on-v6only", "connect() or sendto() of an IPV6_V6ONLY socket to a v4-mapped address is EINVAL."
)
MAPPED_FIRST = Declared(
    "mapped-before-port-zero",
    "A v4-mapped address at an IPV6_V6ONLY socket is refused before port 0 and a connection are looked at.",
)
ONE_FAMILY = Declared(
    "dual-stack-settles",
    "A dual-stack socket that bind() or connect() has given to one family is EAFNOSUPPORT at the other's addresses.",
)
ANY_UNREACHABLE = Declared(
    "ipv6-wildcard-no-destination",
    "sendto() to `::` looks for a route to it, and is EHOSTUNREACH on a machine without one.",
)
CONNECT_ANY = Declared(
    "ipv6-wildcard-not-loopback",
    "connect() to `::` looks for a route to it, and is EHOSTUNREACH on a machine without one, if no address is bound.",
)
NO_ANY_DESTINATION = Declared(
    "wildcard-no-destination", "connect() and sendto() to 0.0.0.0 is ENETUNREACH, by net.inet.ip.connect_inaddr_wild."
)
ANY_UNSETTLED = Declared(
    "ipv6-wildcard-unsettled",
    "Whether connect() to `::` is refused since 15.0, by connect_in6addr_wild, is not settled.",
)
TCP_ANY_INVALID = Declared("tcp-wildcard-no-destination", "connect() of TCP to 0.0.0.0 or `::` is EINVAL.")
NO_BROADCAST = Declared(
    "broadcast-not-local",
    "bind() to 255.255.255.255, or to a link-local address without its interface, is EADDRNOTAVAIL.",
)
SCOPED = Declared(
    "link-local-of-a-device",
    "A link-local address with its device, as in `fe80::1%lo`, is one on that alone; a device that does not exist is "
    "ENXIO, on macOS and OpenBSD EINVAL.",
)
NO_ROUTE = Declared(
    "no-route",
    "On a machine without a route, a packet to an address that is not local is EHOSTUNREACH, connect() keeps its port; "
    "from the wildcard already the source address is missing, but for one of 127.0.0.0/8.",
)


@lru_cache(4096)
def parsed(host: str) -> tuple[str, int, str]:
    """The canonical address, its family (4 for v4-mapped) and its kind: any, loopback, multicast, special or other."""
    address = canonical(host)
    kind = "other"
    if address.is_unspecified:
        kind = "any"
    elif str(address) in ("127.0.0.1", "::1"):
        kind = "loopback"
    elif address.is_multicast:
        kind = "multicast"
    elif address.is_link_local or str(address) == "255.255.255.255":
        kind = "special"
    return str(address), address.version, kind


def right_family(m: Machine, sk: Pcb, host: str) -> None:
    """An address of the other family is refused. Raises Errno."""
    if (":" in host) != (sk.family == 6):
        for clause in (LENGTH, UDP_LENGTH):
            if clause in m.on and (clause is LENGTH or sk.proto == "udp"):
                raise Errno("EINVAL", clause)
        raise Errno("EAFNOSUPPORT", FAMILY)


def on_a_device(m: Machine, address: str) -> None:
    """sa6_embedscope: the device that an address names is there. Raises Errno, or Unknown."""
    bare, scoped, device = address.partition("%")
    if scoped and not (SCOPED in m.on and of_one_link(bare)):
        raise Unknown("an address of one device")
    if scoped and device not in m.devices:
        raise Errno(m.state.traits.no_zone, SCOPED)


def right_tcp(m: Machine, sk: Pcb, host: str) -> None:
    """A multicast address is refused to TCP. Raises Errno."""
    if sk.proto == "tcp" and parsed(host)[2] == "multicast" and NO_MULTICAST in m.on:
        raise Errno("EAFNOSUPPORT", NO_MULTICAST)


def local_address(m: Machine, sk: Pcb, host: str) -> str:
    """The address that bind() gives to `sk`. Raises Errno."""
    address, family, kind = parsed(host)
    if sk.family == 6 and family == 4 and (sk.v6only or NO_MAPPED in m.on):
        raise Errno("EINVAL", MAPPED_INVALID) if MAPPED_INVALID in m.on else Errno("EADDRNOTAVAIL", NOT_LOCAL)
    on_a_device(m, address)
    if kind in ("any", "loopback", "multicast") or address in m.addresses or NOT_LOCAL not in m.on:
        return address
    if kind == "special" and NO_BROADCAST not in m.on:
        raise Unknown("binding link-local and broadcast addresses")
    if "1" in (sk.options.get("IP_BINDANY"), sk.options.get("IPV6_BINDANY")):
        return address
    raise Errno("EADDRNOTAVAIL", NOT_LOCAL)


def belongs(sk: Pcb, address: str) -> None:
    """Bound to `address`, `sk` is seen by the family of that; by both at the wildcard without IPV6_V6ONLY."""
    if sk.family == 6:
        sk.v6 = ":" in address
        sk.v4 = not sk.v6 or (address == "::" and not sk.v6only)


def port_given(m: Machine, port: int) -> None:
    """Port 0 is no destination. Raises Errno."""
    if not port and PORT_ZERO in m.on:
        raise Errno("EADDRNOTAVAIL", PORT_ZERO)


def freebsd_aim(m: Machine, sk: Pcb, host: str, port: int) -> tuple[str, str]:
    """tcp6_usr_connect, udp6_connect, in_pcbconnect_setup, in6_pcbladdr. Raises Errno, or Unknown."""
    address, family, _ = parsed(host)
    if MAPPED_FIRST not in m.on:
        port_given(m, port)
    if sk.family == 6:
        if family == 4 and sk.v6only and MAPPED_ON_V6ONLY in m.on:
            raise Errno("EINVAL", MAPPED_ON_V6ONLY)
        if not (sk.v4 if family == 4 else sk.v6):
            raise Errno("EAFNOSUPPORT", ONE_FAMILY)
        sk.v4, sk.v6 = family == 4, family == 6
    port_given(m, port)
    return reached(m, sk, address, family)


def netbsd_aim(m: Machine, sk: Pcb, host: str, port: int) -> tuple[str, str]:
    """in_pcbconnect, in6_pcbconnect. Raises Errno, or Unknown.

    A v4-mapped address makes the wildcard of an unbound socket a v4-mapped one, for good.
    """
    port_given(m, port)
    address, family, kind = parsed(host)
    if sk.family == 6 and family == 4:
        if sk.v6only and MAPPED_ON_V6ONLY in m.on:
            raise Errno("EINVAL", MAPPED_ON_V6ONLY)
        if sk.laddr == "::":
            sk.laddr = "0.0.0.0"
        if ":" in sk.laddr:
            raise Errno("EINVAL", MAPPED_ON_V6ONLY)
    elif sk.family == 6:
        if ":" not in sk.laddr:
            raise Errno("EINVAL", MAPPED_ON_V6ONLY)
        if kind == "any":
            if sk.laddr == "::" and CONNECT_ANY in m.on:
                raise Errno("EHOSTUNREACH", CONNECT_ANY)
            return sk.laddr, address
    return reached(m, sk, address, family)


def other_aim(m: Machine, sk: Pcb, host: str, port: int) -> tuple[str, str]:
    """The same of macOS and OpenBSD, as far as it was read. Raises Errno, or Unknown."""
    address, family, kind = parsed(host)
    if sk.family == 6 and family == 4 and NO_MAPPED not in m.on:
        if sk.v6only and sk.proto == "tcp":
            raise Errno("EAFNOSUPPORT", ONE_FAMILY)
        if sk.v6only:
            raise Unknown("UDP with IPV6_V6ONLY to a v4-mapped address")
    if (sk.family == 6 and family == 4 and not sk.v4) or (family == 6 and not sk.v6):
        if sk.proto == "tcp":
            raise Errno("EAFNOSUPPORT", ONE_FAMILY)
        raise Errno("EINVAL", ONE_FAMILY)
    port_given(m, port)
    if sk.family == 6 and family == 4 and NO_MAPPED in m.on:
        raise Errno("EADDRNOTAVAIL", NO_MAPPED)
    if kind == "any" and NO_MAPPED in m.on:
        raise Unknown("sending to the wildcard address")
    if sk.family == 6:
        sk.v4, sk.v6 = family == 4, family == 6
    return reached(m, sk, address, family)


def reached(m: Machine, sk: Pcb, address: str, family: int) -> tuple[str, str]:
    """The source and destination address of a packet from `sk` to `address`. Raises Errno, or Unknown."""
    kind = parsed(address)[2]
    on_a_device(m, address)
    if kind == "any":
        if family == 4 and NO_ANY_DESTINATION in m.on and m.env.get("net.inet.ip.connect_inaddr_wild", "0") == "0":
            raise Errno("ENETUNREACH", NO_ANY_DESTINATION)
        if family == 6 and ANY_UNSETTLED in m.on:
            raise Unknown("connect() to ::")
        address = "127.0.0.1" if family == 4 else "::1"
    elif kind == "multicast":
        raise Unknown("multicast")
    elif not is_local(m, address):
        if NO_ROUTE not in m.on or kind == "special":
            raise Unknown("sending to addresses that are not local")
        if sk.any_ and not address.startswith("127."):
            raise Errno(m.state.traits.no_route[family], NO_ROUTE)
        return "127.0.0.1" if sk.any_ else sk.laddr, address
    if not sk.any_:
        return sk.laddr, address
    return _source(m, address), address


def is_local(m: Machine, address: str) -> bool:
    """Whether this host has the address, or it is none."""
    return parsed(address)[2] in ("any", "loopback") or address in m.addresses


def leaves(m: Machine, address: str) -> None:
    """ip_output: a packet to elsewhere finds no route. Raises Errno."""
    if not is_local(m, address):
        raise Errno("EHOSTUNREACH", NO_ROUTE)


def _source(m: Machine, address: str) -> str:
    """The local address that a socket at the wildcard gets; to a further local address either that or the first one."""
    if address not in m.addresses:
        return address
    if address not in m.state.sources:
        ways = (address, "127.0.0.1") if address.startswith("127.") else (address,)
        m.state.sources[address] = ways[m.choose(2)] if len(ways) > 1 else address
    return m.state.sources[address]
