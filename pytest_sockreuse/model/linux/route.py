"""Linux: from which address a socket sends to a destination, and whether that can be reached."""

from __future__ import annotations

from typing import NamedTuple

from ..address import arrives_by, of_one_link, parsed
from ..clause import Book, Errno, Unknown
from ..sock import Sock
from . import multicast
from .address import FAMILY, LOOPBACK4, MAPPED_ON_V6ONLY, check_device, is_local, kind_of
from .state import Machine

BOOK = Book()
_OUTPUT = "net/ipv4/route.c ip_route_output_key_hash_rcu"

NO_ROUTE = BOOK("no-route", "A destination without a route is ENETUNREACH.", _OUTPUT)
FOREIGN = BOOK(
    "foreign-source",
    "Over IPv4 nothing is sent from an address that is not local, ENETUNREACH, but for IP_TRANSPARENT, from "
    "255.255.255.255 EINVAL; over IPv6 it is, and no answer comes back.",
    f"{_OUTPUT} (__ip_dev_find); net/ipv6/route.c ip6_route_output_flags",
)
BROADCAST = BOOK(
    "broadcast-destination",
    "To 127.255.255.255, and from a bound address to 255.255.255.255, connect() of TCP is ENETUNREACH, UDP without "
    "SO_BROADCAST EACCES, and a datagram goes to all sockets that it fits.",
    "net/ipv4/tcp_ipv4.c tcp_v4_connect; net/ipv4/udp.c udp_sendmsg, __udp4_lib_mcast_deliver (RTCF_BROADCAST)",
)
BROADCAST_SOURCE = BOOK(
    "broadcast-is-no-source",
    "An AF_INET socket that is bound to a broadcast address sends from 127.0.0.1; AF_INET6 with IP_TRANSPARENT sends "
    "from that of lo, and a connection is answered.",
    "net/ipv4/af_inet.c __inet_bind (inet_saddr = 0)",
)
OWN_SOURCE = BOOK(
    "added-address-is-its-source",
    "To an address that lo was given IPv4 sends from that address, to others of 127.0.0.0/8 from 127.0.0.1; where a "
    "device is all that tells the way, from the first that lo was given.",
    "net/ipv4/fib_frontend.c fib_add_ifaddr (prefsrc); net/ipv4/devinet.c inet_select_addr",
)
MULTICAST_TO = BOOK(
    "multicast-destination",
    "A multicast address is no source. To one IPv4 sends from a bound address or by a device alone, else it is "
    "ENETUNREACH, as it is of TCP; what comes in reaches all sockets that the datagram fits.",
    f"{_OUTPUT}; net/ipv4/igmp.c ip_mc_up (IGMP_ALL_HOSTS); net/ipv4/tcp_ipv4.c tcp_v4_connect",
)
NO_IPV6 = BOOK(
    "ipv6-disabled",
    "With disable_ipv6 no IPv6 address is local: nothing is sent over IPv6, EADDRNOTAVAIL, or ENETUNREACH from a bound "
    "address.",
    "net/ipv6/addrconf.c addrconf_ifdown; net/ipv6/ip6_output.c ip6_dst_lookup_tail",
)
BY_DEVICE = BOOK(
    "sent-by-device",
    "IPv4 is sent by the device that a socket is bound to, whatever the destination, and no answer comes: by lo it "
    "reaches a wildcard socket, by another device nobody, and that sends not from a loopback address, and does "
    "not connect to 0.0.0.0, EINVAL. IPv6 has no route there, ENETUNREACH.",
    f"{_OUTPUT} (flowi4_oif)",
)


class Route(NamedTuple):
    """Where a connection, or a datagram, comes from and goes to. `lost`: nothing comes back; `away`: nobody gets it;
    `by` is the device by which a group does."""

    source: str
    destination: str
    broadcast: bool = False
    lost: bool = False
    away: bool = False
    by: str = "lo"


def route(m: Machine, sk: Sock, host: str, once: bool = False) -> Route:
    """The way from `sk` to `host`, of a connection or `once` of a datagram. Raises Errno."""
    address, family, kind = parsed(host)
    if kind == "any" and family == 6:
        address, family = ("::1", 6) if ":" in sk.laddr else ("127.0.0.1", 4)
    if sk.family == 6 and family == 4 and sk.v6only and MAPPED_ON_V6ONLY in m.on:
        raise Errno("ENETUNREACH", MAPPED_ON_V6ONLY)
    return _over_ipv4(m, sk, address, once) if family == 4 else _over_ipv6(m, sk, address, once)


def connected(m: Machine, sk: Sock) -> Route:
    """The way of what a connected UDP socket sends."""
    source = sk.laddr if ":" in sk.raddr else sends_from(m, sk) or _preferred(m, sk.raddr)
    kind = kind_of(sk.raddr)
    if kind == "multicast" and MULTICAST_TO in m.on:
        return route(m, sk, sk.raddr, True)
    broadcast = kind == "broadcast" and BROADCAST in m.on
    lost = not is_local(m, source) and FOREIGN in m.on
    elsewhere = sk.device not in ("", "lo") and not of_one_link(sk.raddr)
    if elsewhere and BY_DEVICE in m.on and (":" in sk.raddr or sends_from(m, sk).startswith("127.")):
        raise Errno("ENETUNREACH" if ":" in sk.raddr else "EINVAL", BY_DEVICE)
    away = elsewhere and BY_DEVICE in m.on
    return Route(source, sk.raddr, broadcast, lost, away)


def _preferred(m: Machine, destination: str) -> str:
    """The source that a route to this host's own address prefers."""
    if destination in m.addresses and OWN_SOURCE in m.on:
        return destination
    kind = kind_of(destination)
    return "127.0.0.1" if kind in ("loopback", "broadcast") else "0.0.0.0" if kind == "multicast" else destination


def _given(m: Machine) -> str:
    """The first IPv4 address that lo was given; empty where there is none."""
    given = (one.value for one in m.scenario.environment if one.kind == "address" and ":" not in one.value)
    return next(given, "") if OWN_SOURCE in m.on else ""


def sends_from(m: Machine, sk: Sock) -> str:
    """The IPv4 address that is fixed for what `sk` sends; empty where the route decides."""
    if ":" in sk.laddr:  # at an IPv6 address that bind() named, or that connect() chose
        return LOOPBACK4 if sk.addr_lock and not sk.any_ else sk.source
    if sk.laddr == "0.0.0.0":
        return sk.source
    kind = kind_of(sk.laddr)
    if sk.family == 4 and kind == "broadcast" and BROADCAST_SOURCE in m.on:
        return sk.source
    if sk.family == 4 and kind == "multicast" and MULTICAST_TO in m.on:
        return sk.source
    return sk.laddr


def _over_ipv4(m: Machine, sk: Sock, destination: str, once: bool) -> Route:
    """ip_route_output_key_hash_rcu."""
    source, kind = sends_from(m, sk), kind_of(destination)
    foreign, transparent = False, sk.options.get("IP_TRANSPARENT") == "1"
    if source:
        if source == LOOPBACK4 and sk.proto == "tcp" and ":" in sk.laddr:
            raise Unknown("IPv4 from a TCP socket at an IPv6 address")
        foreign = not is_local(m, source)
        if source == "255.255.255.255" and FOREIGN in m.on:
            raise Errno("EINVAL", FOREIGN)
        if kind_of(source) == "multicast" and MULTICAST_TO in m.on:
            raise Errno("EINVAL", MULTICAST_TO)
        if foreign and not transparent and FOREIGN in m.on:
            raise Errno("ENETUNREACH", FOREIGN)
    if sk.device:
        check_device(m, sk)
    group = kind == "multicast" and MULTICAST_TO in m.on
    everybody = destination == "255.255.255.255" or group
    device = multicast.device_for(m, sk, destination) if group else sk.device
    if device not in ("", "lo") and BY_DEVICE in m.on:
        if once and destination == "0.0.0.0":
            raise Unknown("IPv4 by another device")
        if destination == "0.0.0.0":
            destination = source = source or "127.0.0.1"
        source = source or _given(m)
        if source and kind_of(source) == "loopback":
            if m.env.get("net.ipv4.conf.all.route_localnet", "0") != "0":
                raise Unknown("IPv4 by another device")
            raise Errno("EINVAL", BY_DEVICE)
        if foreign or (everybody and not group) or kind == "broadcast":
            raise Unknown("IPv4 by another device")
        if not group:
            return Route(source or "0.0.0.0", destination, lost=True, away=True)
    if foreign:
        if once and destination == "0.0.0.0":
            return Route(source, source, lost=True)
        if everybody and not device and FOREIGN in m.on:
            raise Errno("ENETUNREACH", FOREIGN)
    if everybody:
        if not source and not device:
            raise Errno("ENETUNREACH", NO_ROUTE)
        source = source or _given(m) or "0.0.0.0"
    elif destination == "0.0.0.0":
        destination = source or "127.0.0.1"
    if group:
        by = device or "lo"
        return Route(source, destination, True, away=not multicast.comes_in(m, sk, destination, by), by=by)
    if kind_of(destination) == "broadcast" and BROADCAST in m.on:
        return Route(source or _preferred(m, destination), destination, broadcast=True)
    if not is_local(m, destination):
        if sk.device == "lo" and BY_DEVICE in m.on:
            return Route(source or _given(m) or "0.0.0.0", destination, lost=True)
        raise Errno("ENETUNREACH", NO_ROUTE)
    answered = kind_of(source) == "broadcast" if foreign and not once else not foreign
    return Route(source or _preferred(m, destination), destination, lost=not answered)


def _of_a_link(m: Machine, sk: Sock, destination: str) -> str:
    """A link-local address, with the device on which it is this host's. Raises Errno, Unknown."""
    bare, _, device = destination.partition("%")
    named = device = device or sk.device
    homes = [at for at in m.addresses if at.partition("%")[0] == bare]
    if device and device not in m.devices:
        raise Errno("ENETUNREACH", NO_ROUTE)
    if (not device and len(homes) > 1) or (sk.device and sk.device != device):
        raise Unknown("by which of several devices something is sent")
    device = device or (arrives_by(homes[0]) if homes else "lo")
    if is_local(m, f"{bare}%{device}"):
        if sk.proto == "tcp" and not sk.any_ and not of_one_link(sk.laddr):
            raise Unknown("a connection to a link-local address from another one")
        return f"{bare}%{device}"
    if len(m.devices) > 1 and named != "lo":
        raise Unknown("another host on a link")
    raise Errno("ENETUNREACH", NO_ROUTE)


def _to_a_group(m: Machine, sk: Sock, destination: str, once: bool) -> Route:
    """A multicast address of IPv6. Raises Errno, Unknown."""
    device, group = multicast.way_out(m, sk, destination)
    if not device:
        raise Errno("ENETUNREACH", NO_ROUTE)
    if ":" not in sk.laddr:
        raise Errno("EAFNOSUPPORT", FAMILY)
    if not once or not any(at.endswith(f"%{device}") for at in m.addresses):
        raise Unknown("from which of its addresses a device sends")
    if not sk.any_ and kind_of(sk.laddr) != "multicast":
        raise Unknown("a datagram to a group from a bound IPv6 address")
    return Route("", group, True, away=not multicast.comes_in(m, sk, group, device), by=device)


def _over_ipv6(m: Machine, sk: Sock, destination: str, once: bool) -> Route:
    """ip6_route_output_flags, after tcp_v6_connect."""
    if sk.proto == "tcp" and parsed(destination)[2] == "multicast":
        raise Errno("ENETUNREACH", NO_ROUTE)
    if not is_local(m, "::1") and NO_IPV6 in m.on:
        fixed = sk.laddr != "::" and parsed(sk.laddr)[1:] != (6, "multicast")
        if not fixed and len(m.devices) > 1 and m.env.get("net.ipv6.conf.all.disable_ipv6", "0") == "0":
            raise Unknown("IPv6 without lo where another device may have an address")
        raise Errno("ENETUNREACH" if fixed else "EADDRNOTAVAIL", NO_IPV6)
    kind = parsed(destination)[2]
    if kind == "multicast" and MULTICAST_TO in m.on:
        return _to_a_group(m, sk, destination, once)
    if kind == "linklocal":
        destination = _of_a_link(m, sk, destination)
    elif not is_local(m, destination) or sk.device not in ("", "lo"):
        raise Errno("ENETUNREACH", NO_ROUTE)
    if ":" not in sk.laddr:
        raise Errno("EAFNOSUPPORT", FAMILY)
    source = destination if sk.any_ or kind_of(sk.laddr) == "multicast" else sk.laddr
    return Route(source, destination, lost=not is_local(m, source) and FOREIGN in m.on)
