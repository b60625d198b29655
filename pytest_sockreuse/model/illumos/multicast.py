"""illumos: who is in a multicast group, and by which device it is sent to. Who hears a group is not modelled."""

from __future__ import annotations

from ...scenario import Option
from ..address import parsed
from ..clause import Book, Errno, Unknown
from .table import Conn, Machine

BOOK = Book()
_MULTI = "inet/ip/ip_multi.c"

NOT_A_GROUP = BOOK(
    "membership-of-a-group",
    "To join or leave what is no multicast address is EINVAL.",
    f"{_MULTI} ip_opt_check",
    "source",
)
NO_DEVICE = BOOK(
    "membership-needs-device",
    "To join on a device that does not exist is EADDRNOTAVAIL over IPv4, by an address of it, ENXIO over IPv6.",
    f"{_MULTI} ill_mcast_lookup",
    "source",
)
TWICE = BOOK(
    "membership-once",
    "To join a group once more on the same device is EADDRINUSE.",
    f"{_MULTI} ilg_add",
    "source",
)
NO_MEMBER = BOOK(
    "membership-to-leave",
    "To leave a group that the socket did not join is EADDRNOTAVAIL.",
    f"{_MULTI} ip_opt_delete_group_excl",
    "source",
)
INTERFACE = BOOK(
    "multicast-interface",
    "IP_MULTICAST_IF of a device that does not exist is EHOSTUNREACH, IPV6_MULTICAST_IF EINVAL.",
    "inet/ip/conn_opt.c conn_opt_set_ip, conn_opt_set_ipv6",
    "source",
)

MEMBERSHIPS = frozenset({"IP_ADD_MEMBERSHIP", "IP_DROP_MEMBERSHIP", "IPV6_JOIN_GROUP", "IPV6_LEAVE_GROUP"})
INTERFACES = frozenset({"IP_MULTICAST_IF", "IPV6_MULTICAST_IF"})


def _there(m: Machine, sk: Conn, option: Option, device: str) -> bool:
    """Whether a device exists. Raises Unknown."""
    if sk.proto != "udp" or option.name.startswith("IPV6") != (sk.family == 6):
        raise Unknown(f"{option.name} of {sk.proto}{sk.family}")
    if sk.family == 4 and device in m.devices - {"lo"}:
        raise Unknown("the IPv4 address of another device")
    return device in m.devices


def member(m: Machine, sk: Conn, option: Option) -> None:
    """IP_ADD_MEMBERSHIP and the like. Raises Errno, or Unknown."""
    group, _, device = (option.value or "").partition("%")
    group, _, kind = parsed(group)
    there = _there(m, sk, option, device)
    if kind != "multicast" and NOT_A_GROUP in m.on:
        raise Errno("EINVAL", NOT_A_GROUP)
    if not device:
        raise Unknown("by which device a group is joined")
    if not there and NO_DEVICE in m.on:
        raise Errno("ENXIO" if sk.family == 6 else "EADDRNOTAVAIL", NO_DEVICE)
    joined = (group, device) in sk.groups
    if option.name in ("IP_ADD_MEMBERSHIP", "IPV6_JOIN_GROUP"):
        if joined and TWICE in m.on:
            raise Errno("EADDRINUSE", TWICE)
        sk.groups |= {(group, device)}
        return
    if not joined and NO_MEMBER in m.on:
        raise Errno("EADDRNOTAVAIL", NO_MEMBER)
    sk.groups -= {(group, device)}


def choose(m: Machine, sk: Conn, option: Option) -> None:
    """IP_MULTICAST_IF, IPV6_MULTICAST_IF. Raises Errno, or Unknown."""
    device = option.value or ""
    if not _there(m, sk, option, device) and INTERFACE in m.on:
        raise Errno("EINVAL" if sk.family == 6 else "EHOSTUNREACH", INTERFACE)
    sk.options[option.name] = device


def chosen(sk: Conn, option: Option) -> str:
    """getsockopt of them; IPv4's device is told by its address."""
    device = sk.options.get(option.name, "")
    if sk.family == 6:
        return device or "0"
    return "127.0.0.1" if device else "0.0.0.0"
