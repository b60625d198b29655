"""Linux: who is in a multicast group, by which device it is sent to, and whom that reaches."""

from __future__ import annotations

from ...scenario import Option
from ..address import arrives_by, of_one_link, parsed
from ..clause import Book, Errno, Unknown
from ..sock import Sock
from .address import is_local
from .state import Machine

BOOK = Book()
_IGMP, _MLD = "net/ipv4/igmp.c", "net/ipv6/mcast.c"

STREAM = BOOK(
    "groups-are-for-datagrams",
    "A TCP socket joins and leaves no group, EPROTO, and has no IP_MULTICAST_IF, EINVAL, nor IPV6_MULTICAST_IF, "
    "ENOPROTOOPT.",
    "net/ipv4/ip_sockglue.c do_ip_setsockopt (IS_ICSK, SOCK_STREAM); net/ipv6/ipv6_sockglue.c do_ipv6_setsockopt",
)
NOT_A_GROUP = BOOK(
    "membership-of-a-group",
    "To join what is no multicast address is EINVAL; to leave it too over IPv6, over IPv4 EADDRNOTAVAIL, but "
    "ENODEV without a device and a route.",
    f"{_IGMP} ip_mc_join_group; {_MLD} __ipv6_sock_mc_join, ipv6_sock_mc_drop",
)
NO_DEVICE = BOOK(
    "membership-needs-device",
    "To join on a device that does not exist is ENODEV, and so it is where none is named and no route tells one.",
    f"{_IGMP} ip_mc_find_dev; {_MLD} __ipv6_sock_mc_join",
)
SHORT = BOOK(
    "membership-too-short",
    "A membership shorter than its structure is EINVAL, over IPv6 before all else, and so is a device shorter than an "
    "int.",
    "net/ipv4/ip_sockglue.c do_ip_setsockopt (ip_mreq); net/ipv6/ipv6_sockglue.c do_ipv6_setsockopt (ipv6_mreq)",
)
TWICE = BOOK(
    "membership-once",
    "To join a group once more on the same device is EADDRINUSE.",
    f"{_IGMP} ip_mc_join_group; {_MLD} __ipv6_sock_mc_join",
)
MOST = BOOK(
    "memberships-at-most",
    "A socket is in igmp_max_memberships groups of IPv4 at most, 20 by default, else ENOBUFS.",
    f"{_IGMP} ip_mc_join_group",
)
NO_MEMBER = BOOK(
    "membership-to-leave",
    "To leave a group that the socket did not join is EADDRNOTAVAIL.",
    f"{_IGMP} ip_mc_leave_group; {_MLD} ipv6_sock_mc_drop",
)
INTERFACE = BOOK(
    "multicast-interface",
    "IP_MULTICAST_IF and IPV6_MULTICAST_IF name the device by which a socket sends to groups: one that does not exist "
    "is EADDRNOTAVAIL, over IPv6 ENODEV, another one than the socket is bound to EINVAL. 0 takes it back.",
    "net/ipv4/ip_sockglue.c do_ip_setsockopt; net/ipv6/ipv6_sockglue.c do_ipv6_setsockopt; net/ipv4/udp.c udp_sendmsg",
)
HOST = BOOK(
    "group-reaches-members-host",
    "A datagram to a group comes in where any socket is a member on the device that it is sent by.",
    f"{_IGMP} ip_check_mc_rcu; net/ipv4/route.c __mkroute_output; {_MLD} ipv6_chk_mcast_addr",
)
LOOP = BOOK(
    "multicast-loop",
    "With IP_MULTICAST_LOOP=0, IPV6_MULTICAST_LOOP=0 of an AF_INET6 socket, what is sent to a group by another device "
    "than lo does not come in here.",
    "net/ipv4/ip_output.c ip_mc_output; net/ipv6/ip6_output.c ip6_finish_output2; include/net/sock.h sk_mc_loop",
)
ALL = BOOK(
    "multicast-all",
    "Of what comes in to a group a socket that is no member of it gets nothing with IP_MULTICAST_ALL=0, which is so of "
    "AF_INET6 sockets from the start, or IPV6_MULTICAST_ALL=0.",
    f"{_IGMP} ip_mc_sf_allow; {_MLD} inet6_mc_check",
)

MEMBERSHIPS = frozenset({"IP_ADD_MEMBERSHIP", "IP_DROP_MEMBERSHIP", "IPV6_JOIN_GROUP", "IPV6_LEAVE_GROUP"})
INTERFACES = frozenset({"IP_MULTICAST_IF", "IPV6_MULTICAST_IF"})
ON = frozenset({"IP_MULTICAST_LOOP", "IPV6_MULTICAST_LOOP", "IP_MULTICAST_ALL", "IPV6_MULTICAST_ALL"})
_LEAST4, _LEAST6 = 8, 20  # bytes of ip_mreq and ipv6_mreq
_EVERY_HOST = frozenset({"224.0.0.1", "ff01::1", "ff02::1"})  # of which each device is a member


def flag(sk: Sock, name: str) -> bool:
    """One of the flags, which are on unless cleared, but for IP_MULTICAST_ALL of an AF_INET6 socket."""
    return sk.options.get(name, str(int(sk.family == 4 or name != "IP_MULTICAST_ALL"))) == "1"


def member(m: Machine, sk: Sock, option: Option) -> None:
    """IP_ADD_MEMBERSHIP and the like. Raises Errno."""
    ip6, joins = option.name.startswith("IPV6"), option.name in ("IP_ADD_MEMBERSHIP", "IPV6_JOIN_GROUP")
    short = option.raw is not None and len(option.raw) < (_LEAST6 if ip6 else _LEAST4)
    if ip6 and short and SHORT in m.on:  # which IPv4 asks later
        raise Errno("EINVAL", SHORT)
    if sk.proto == "tcp" and STREAM in m.on:
        raise Errno("EPROTO", STREAM)
    if short and SHORT in m.on:
        raise Errno("EINVAL", SHORT)
    if sk.proto != "udp":
        raise Unknown(f"{option.name} of {sk.proto}")
    if option.raw is not None:
        raise Unknown(f"raw {option.name}")
    host, _, device = (option.value or "").partition("%")
    group, _, kind = parsed(host)
    if kind != "multicast" and (joins or ip6) and NOT_A_GROUP in m.on:
        raise Errno("EINVAL", NOT_A_GROUP)
    (_join if joins else _leave)(m, sk, group, device)
    if sk not in m.state.members:
        m.state.members.append(sk)


def _join(m: Machine, sk: Sock, group: str, device: str) -> None:
    ip6 = ":" in group
    known = _entries(sk, group, device) if ip6 and not device else [(group, device)]
    if ip6 and any(entry in sk.groups for entry in known) and TWICE in m.on:
        raise Errno("EADDRINUSE", TWICE)
    if not device:
        device = _by_route(m) if ip6 else ""
    if device not in m.devices and NO_DEVICE in m.on:
        raise Errno("ENODEV", NO_DEVICE)
    if (group, device) in sk.groups and TWICE in m.on:
        raise Errno("EADDRINUSE", TWICE)
    most = int(m.env.get("net.ipv4.igmp_max_memberships", "20"))
    if not ip6 and sum(":" not in joined for joined, _ in sk.groups) >= most and MOST in m.on:
        raise Errno("ENOBUFS", MOST)
    sk.groups |= {(group, device)}


def _leave(m: Machine, sk: Sock, group: str, device: str) -> None:
    routed = is_local(m, group) or group in ("0.0.0.0", "127.255.255.255")  # by lo
    if not device and ":" not in group and not routed and NO_DEVICE in m.on:
        raise Errno("ENODEV", NO_DEVICE)
    entries = _entries(sk, group, device)
    if len(entries) > 1:
        raise Unknown("which of several memberships ends")
    if not entries and NO_MEMBER in m.on:
        raise Errno("EADDRNOTAVAIL", NO_MEMBER)
    sk.groups -= set(entries)


def _entries(sk: Sock, group: str, device: str) -> list[tuple[str, str]]:
    """The memberships of a socket in a group, on a device or on any."""
    return [entry for entry in sk.groups if entry[0] == group and device in ("", entry[1])]


def _by_route(m: Machine) -> str:
    """The device by which the route of all IPv6 groups goes: lo has none."""
    others = m.devices - {"lo"}
    if len(others) > 1:
        raise Unknown("by which of several devices something is sent")
    return next(iter(others), "")


def choose(m: Machine, sk: Sock, option: Option) -> None:
    """IP_MULTICAST_IF, IPV6_MULTICAST_IF. Raises Errno."""
    ip6 = option.name.startswith("IPV6")
    if sk.proto == "tcp" and STREAM in m.on:
        raise Errno("ENOPROTOOPT" if ip6 else "EINVAL", STREAM)
    if option.raw is not None and len(option.raw) < 4 and SHORT in m.on:
        raise Errno("EINVAL", SHORT)
    if sk.proto == "udp" and option.raw == bytes(4) and INTERFACE in m.on:
        sk.options.pop(option.name, None)
        return
    if sk.proto != "udp" or option.raw is not None:
        raise Unknown(f"{option.name} of {sk.proto}" if option.raw is None else f"raw {option.name}")
    device = option.value or ""
    if device not in m.devices and INTERFACE in m.on:
        raise Errno("ENODEV" if ip6 else "EADDRNOTAVAIL", INTERFACE)
    if sk.device not in ("", device) and INTERFACE in m.on:
        raise Errno("EINVAL", INTERFACE)
    sk.options[option.name] = device


def device_for(m: Machine, sk: Sock, group: str) -> str:
    """The device by which a socket sends to a group; empty where the route decides."""
    named = arrives_by(group) if "%" in group else sk.device
    if named or INTERFACE not in m.on:
        return named
    return sk.options.get("IPV6_MULTICAST_IF" if ":" in group else "IP_MULTICAST_IF", "")


def comes_in(m: Machine, sk: Sock, group: str, device: str) -> bool:
    """Whether what `sk` sends to a group by a device comes in on this host."""
    group = group.partition("%")[0]
    loop = "IP_MULTICAST_LOOP" if sk.family == 4 else "IPV6_MULTICAST_LOOP"
    if device != "lo" and not flag(sk, loop) and LOOP in m.on:
        return False
    return group in _EVERY_HOST or HOST not in m.on or any((group, device) in it.groups for it in m.state.members)


def hears(m: Machine, sk: Sock, group: str, device: str) -> bool:
    """Whether a socket takes what came in to a group by a device."""
    bare, ip6 = group.partition("%")[0], ":" in group
    joined = any(to == bare and (ip6 or by == device) for to, by in sk.groups)
    return joined or flag(sk, "IPV6_MULTICAST_ALL" if ip6 else "IP_MULTICAST_ALL") or ALL not in m.on


def way_out(m: Machine, sk: Sock, group: str) -> tuple[str, str]:
    """The device by which an IPv6 group is sent to, empty where there is none, and the group on it. Raises Unknown."""
    bare = group.partition("%")[0]
    device = device_for(m, sk, group) or _by_route(m)
    if device == "lo" or device not in m.devices:
        return "", group
    return device, f"{bare}%{device}" if of_one_link(bare) else bare
