"""Linux: which addresses are local, which overlap, and what a family of socket makes of a literal."""

from __future__ import annotations

from functools import lru_cache

from ..address import of_one_link, parsed
from ..clause import Book, Declared, Errno
from ..sock import TIME_WAIT, Sock
from .state import Bucket, Machine

BOOK = Book()
LOOPBACK4 = "127.0.0.6"  # LOOPBACK4_IPV6, what IPv4 takes an IPv6 address for
_LO_DISABLED = "net.ipv6.conf.lo.disable_ipv6"

FAMILY = BOOK(
    "address-family",
    "An AF_INET6 address on an AF_INET socket is EAFNOSUPPORT, the reverse EINVAL (too short).",
    "net/ipv4/af_inet.c inet_bind_sk; net/ipv6/af_inet6.c inet6_bind; tcp_v4_connect, tcp_v6_connect",
)
NOT_LOCAL = BOOK(
    "address-not-local",
    "bind() to an address that is not local is EADDRNOTAVAIL, but for IP_FREEBIND, IP_TRANSPARENT, ip_nonlocal_bind.",
    "net/ipv4/af_inet.c inet_addr_valid_or_nonlocal; net/ipv6/af_inet6.c __inet6_bind",
)
OTHER_DEVICE = BOOK(
    "address-of-another-device",
    "A socket bound to another device cannot bind ::1, EADDRNOTAVAIL, but an IPv6 address of lo that others reach.",
    "net/ipv6/af_inet6.c __inet6_bind (ipv6_chk_addr with dev)",
)
MAPPED_ON_V6ONLY = BOOK(
    "mapped-on-v6only",
    "A v4-mapped address on an IPV6_V6ONLY socket is EINVAL for bind() and ENETUNREACH for connect().",
    "net/ipv6/af_inet6.c __inet6_bind; net/ipv6/tcp_ipv6.c tcp_v6_connect",
)
SPECIFIC_V6ONLY = BOOK(
    "specific-v6-is-v6only",
    "Binding a specific IPv6 address that is not v4-mapped sets IPV6_V6ONLY.",
    "net/ipv6/af_inet6.c __inet6_bind",
)
WILDCARD = BOOK(
    "wildcard-overlaps",
    "A wildcard address overlaps every address of its family, `::` without IPV6_V6ONLY also every IPv4 one.",
    "net/ipv4/inet_connection_sock.c inet_rcv_saddr_equal",
)
DUAL = BOOK(
    "dual-stack-overlaps",
    "`::` without IPV6_V6ONLY overlaps IPv4 addresses, also v4-mapped ones.",
    "net/ipv4/inet_connection_sock.c ipv6_rcv_saddr_equal",
)
V6ONLY = BOOK(
    "v6only-keeps-apart",
    "`::` with IPV6_V6ONLY overlaps no IPv4 address.",
    "net/ipv4/inet_connection_sock.c ipv6_rcv_saddr_equal",
)
CONNECTED_V6 = BOOK(
    "v4-wildcard-sees-connected-v6",
    "0.0.0.0 overlaps the IPv6 address that a socket without IPV6_V6ONLY took by connect() or accept().",
    "net/ipv4/inet_connection_sock.c ipv4_rcv_saddr_equal (inet_rcv_saddr is LOOPBACK4_IPV6)",
)
LOOPBACK4_IPV6 = BOOK(
    "loopback4-is-ipv6",
    "127.0.0.6 overlaps an IPv6 address, as 0.0.0.0 does, of a socket without IPV6_V6ONLY.",
    "net/ipv4/inet_connection_sock.c ipv4_rcv_saddr_equal (inet_rcv_saddr is LOOPBACK4_IPV6)",
)
MAPPED_V6ONLY = BOOK(
    "v6only-mapped-keeps-apart",
    "A socket at a v4-mapped address that got IPV6_V6ONLY while it had no port takes no IPv4 address and connection.",
    "net/ipv4/inet_connection_sock.c ipv6_rcv_saddr_equal (sk2_ipv6only); ipv6_sockglue.c (inet_num)",
)
OWN_ADDRESS = BOOK(
    "own-address-only",
    "bind() of TCP to a specific address looks for those at this address and at wildcards only.",
    "28044fc1d495 net: Add a bhash2 table hashed by port and address",
    since=("6.1",),
)
TW_UNSEEN = BOOK(
    "time-wait-unseen",
    "bind() to a specific address did not see sockets in TIME_WAIT, which were missing from bhash2.",
    "936a192f9740 tcp: Add TIME_WAIT sockets in bhash2.",
    since=("6.1",),
    until=("6.1.5", "6.2"),
    confidence="source",
)
DUAL_UNSEEN = BOOK(
    "dual-stack-unseen",
    "bind() of an AF_INET socket to a specific address did not see `::` of a dual-stack socket.",
    "d9ba99342855 tcp: Fix bind() conflict check for dual-stack wildcard address.",
    since=("6.1",),
    until=("6.1.21", "6.3"),
    confidence="source",
)
MAPPED_UNSEEN = BOOK(
    "mapped-unseen",
    "bind() of an AF_INET socket to a specific address did not see AF_INET6 sockets at v4-mapped addresses.",
    "aa99e5f87bd5, c48ef9c4aed3 tcp: Fix bind() regression for v4-mapped-v6 (non-)wildcard address.",
    since=("6.1",),
    until=("6.1.54", "6.5.4", "6.6"),
    confidence="source",
)
V6ONLY_HIDES = BOOK(
    "v6only-hides-wildcard",
    "bind() to a specific IPv4 address did not see 0.0.0.0 if `::` with IPV6_V6ONLY was bound after it.",
    "fixed by d91ef1e1b55f; the 6.6 and 6.8 stable releases by their date",
    since=("6.1",),
    until=("6.1.85", "6.6.26", "6.8.5", "6.9"),
    confidence="inferred",
)
V6ONLY_REFUSED = BOOK(
    "v6only-refuses-mapped",
    "bind() to a specific v4-mapped address took `::` with IPV6_V6ONLY for an address that overlaps.",
    "fixed by ea111449501e",
    since=("6.8",),
    until=("6.8.5", "6.9"),
    confidence="inferred",
)
MAPPED_WILDCARD_UNSEEN = BOOK(
    "mapped-wildcard-unseen",
    "bind() to a specific v4-mapped address does not see sockets at 0.0.0.0 if an AF_INET6 one was there first.",
    "stable backports of 5e07e672412b without the address type of 6.8",
    since=("6.1.168", "6.6.131"),
)


def overlap(on: frozenset[Declared], sk: Sock, sk2: Sock) -> bool:
    """inet_rcv_saddr_equal: whether the local address of `sk2` stands in the way of that of `sk`."""
    one, two = sk.laddr, sk2.laddr
    v6, v6_two = ":" in one, ":" in two
    if not (v6 or v6_two):
        same = one == two or (WILDCARD in on and (sk.any_ or sk2.any_))
        return same and not (sk2.v6only and MAPPED_V6ONLY in on)
    if sk.family == 4 and two != "::":
        seen = CONNECTED_V6 if sk.any_ else LOOPBACK4_IPV6
        return (sk.any_ or one == LOOPBACK4) and seen in on and not sk2.v6only
    if one == two:
        return True
    if v6 == v6_two:
        return WILDCARD in on and (sk.any_ or sk2.any_)
    wild = sk if v6 else sk2
    if wild.laddr != "::" or DUAL not in on:
        return False
    return not wild.v6only or V6ONLY not in on


def unseen(on: frozenset[Declared], sk: Sock, sk2: Sock, entry: Bucket) -> Declared | None:
    """The clause by which bind() of TCP to a specific address misses an overlapping socket."""
    if sk.any_ or (sk2.laddr == sk.laddr and sk2.family == sk.family and sk2.state != TIME_WAIT):
        return None
    v4 = ":" not in sk.laddr
    if sk2.state == TIME_WAIT and TW_UNSEEN in on and (sk.family == 4 or not v4):
        return TW_UNSEEN
    if not v4:
        return None
    if sk.family == 4:
        if sk2.laddr == "::" and DUAL_UNSEEN in on:
            return DUAL_UNSEEN
        if ":" in sk2.laddr and sk2.laddr != "::" and OWN_ADDRESS in on:
            return OWN_ADDRESS
        if sk2.family == 6 and sk2.laddr != "::" and MAPPED_UNSEEN in on:
            return MAPPED_UNSEEN
        if sk2.laddr == "0.0.0.0" and V6ONLY_HIDES in on:
            later = entry.owners[entry.owners.index(sk2) + 1 :]
            if any(other.laddr == "::" and other.v6only for other in later):
                return V6ONLY_HIDES
    elif sk2.laddr == "0.0.0.0" and entry.makers.get("0.0.0.0") == 6 and MAPPED_WILDCARD_UNSEEN in on:
        return MAPPED_WILDCARD_UNSEEN
    return None


def check_family(sk: Sock, host: str) -> None:
    """The literal's family against the socket's. Raises Errno."""
    v6 = ":" in host
    if sk.family == 4 and v6:
        raise Errno("EAFNOSUPPORT", FAMILY)
    if sk.family == 6 and not v6:
        raise Errno("EINVAL", FAMILY)


MULTICAST = BOOK(
    "multicast-binds",
    "A multicast address can be bound, whoever else has another address of the port; TCP over IPv6 cannot, EINVAL.",
    "net/ipv4/af_inet.c inet_addr_valid_or_nonlocal; net/ipv6/af_inet6.c __inet6_bind",
)
SCOPE = BOOK(
    "scope-needs-device",
    "A link-local or interface-local IPv6 address is EINVAL for bind() and connect() of a socket without device.",
    "net/ipv6/af_inet6.c __inet6_bind; net/ipv6/datagram.c; net/ipv6/tcp_ipv6.c (sin6_scope_id)",
)
SCOPE_BINDS = BOOK(
    "scope-binds-to-device",
    "bind() and connect() to a link-local address of a device bind the socket to it, and it stays so where they fail.",
    "net/ipv6/af_inet6.c __inet6_bind (sk_bound_dev_if); net/ipv6/tcp_ipv6.c tcp_v6_connect; net/ipv6/datagram.c",
)
SCOPE_ONCE = BOOK(
    "scope-of-another-device",
    "connect() of a socket that is bound to a device to a link-local address of another one is EINVAL.",
    "net/ipv6/tcp_ipv6.c tcp_v6_connect, net/ipv6/datagram.c (sk_dev_equal_l3scope)",
)
DEVICE_GONE = BOOK(
    "scope-without-device",
    "Where the device that a socket is bound to does not exist, bind() of an AF_INET6 socket, but to ::, and what IPv4 "
    "sends are ENODEV.",
    "net/ipv6/af_inet6.c __inet6_bind; net/ipv4/route.c ip_route_output_key_hash_rcu (dev_get_by_index_rcu)",
)


@lru_cache(4096)
def kind_of(address: str) -> str:
    """The kind of a canonical address on Linux, where the network of lo has a broadcast address."""
    return "broadcast" if address == "127.255.255.255" else parsed(address)[2]


def is_local(m: Machine, address: str) -> bool:
    """Whether the address is this host's, in the isolated environment."""
    if ":" in address and m.env.get("net.ipv6.conf.all.disable_ipv6", m.env.get(_LO_DISABLED, "0")) != "0":
        return False
    return kind_of(address) == "loopback" or address in m.addresses or address.removesuffix("%lo") in m.addresses


def on_its_link(m: Machine, sk: Sock, host: str) -> str:
    """The address of a literal that bind() or connect() gets, with its device if it means something on one only.

    Of `sk` that is the device from then on. Raises Errno.
    """
    address, _, kind = parsed(host)
    bare, _, device = address.partition("%")
    if not of_one_link(bare) or (sk.proto == "tcp" and kind == "multicast"):
        return address
    if device and SCOPE_BINDS in m.on:
        sk.device = device
    if not sk.device and SCOPE in m.on:
        raise Errno("EINVAL", SCOPE)
    return f"{bare}%{sk.device}" if sk.device else bare


def check_scope(m: Machine, sk: Sock, host: str) -> None:
    """A destination of connect() that means something on one device only. Raises Errno."""
    address, _, kind = parsed(host)
    device = address.partition("%")[2]
    elsewhere = device and sk.device not in ("", device) and (kind != "multicast" or sk.proto != "tcp")
    if elsewhere and SCOPE_ONCE in m.on:
        raise Errno("EINVAL", SCOPE_ONCE)
    if kind == "multicast" and sk.proto == "udp" and not sk.device:
        sk.device = device or (sk.options.get("IPV6_MULTICAST_IF", "") if of_one_link(address) else "")
    on_its_link(m, sk, host)


def check_device(m: Machine, sk: Sock) -> None:
    """Raises Errno where the device that a socket is bound to does not exist."""
    if sk.device and sk.device not in m.devices and DEVICE_GONE in m.on:
        raise Errno("ENODEV", DEVICE_GONE)


def check_group(m: Machine, sk: Sock, host: str) -> None:
    """An IPv6 multicast address that bind() of TCP gets, before all else. Raises Errno."""
    _, family, kind = parsed(host)
    if (sk.proto, family, kind) == ("tcp", 6, "multicast") and MULTICAST in m.on:
        raise Errno("EINVAL", MULTICAST)


def check_local(m: Machine, sk: Sock, host: str) -> str:
    """The address that bind() gives to `sk`. Raises Errno."""
    address, family, kind = parsed(host)
    if sk.family == 6:
        if family == 4 and sk.v6only and MAPPED_ON_V6ONLY in m.on:
            raise Errno("EINVAL", MAPPED_ON_V6ONLY)
        if family == 6 and kind != "any":
            address = on_its_link(m, sk, host)
        if (family, kind) != (6, "any"):
            check_device(m, sk)
    if family == 6 and kind == "loopback" and sk.device not in ("", "lo") and is_local(m, address):
        if OTHER_DEVICE in m.on and not _anywhere(m, sk, family):
            raise Errno("EADDRNOTAVAIL", OTHER_DEVICE)
    if kind == "any" or is_local(m, address) or (family == 4 and kind_of(address) == "broadcast"):
        return address
    if kind == "multicast" and MULTICAST in m.on:
        return address
    if NOT_LOCAL in m.on and not _anywhere(m, sk, family):
        raise Errno("EADDRNOTAVAIL", NOT_LOCAL)
    return address


def _anywhere(m: Machine, sk: Sock, family: int) -> bool:
    """Whether `sk` may bind an address that is not this host's."""
    return sk.nonlocal_ or m.env.get(f"net.ipv{family}.ip_nonlocal_bind", "0") != "0"
