"""gVisor: who is in a multicast group, and by which device it is sent to. Who hears a group is not modelled."""

from __future__ import annotations

from ...scenario import Option
from ..address import parsed
from ..clause import Book, Errno, Unknown
from .ports import Endpoint
from .state import Machine

BOOK = Book()
_NETWORK = "pkg/tcpip/transport/internal/network/endpoint.go SetSockOpt"

NOT_A_GROUP = BOOK(
    "membership-of-a-group",
    "To join or leave what is no multicast address is EINVAL.",
    f"{_NETWORK} (AddMembershipOption, RemoveMembershipOption)",
    "source",
)
TWICE = BOOK(
    "membership-once",
    "To join a group once more on the same device is EADDRINUSE.",
    f"{_NETWORK} (multicastMemberships)",
    "source",
)
NO_MEMBER = BOOK(
    "membership-to-leave",
    "To leave a group that the socket did not join is EADDRNOTAVAIL.",
    f"{_NETWORK} (multicastMemberships)",
    "source",
)
NO_DEVICE = BOOK(
    "membership-needs-device",
    "To join on a device that does not exist is ENODEV.",
    "pkg/tcpip/stack/stack.go JoinGroup (ErrUnknownNICID)",
    "source",
)
INTERFACE = BOOK(
    "multicast-interface",
    "IP_MULTICAST_IF of a device that does not exist is EADDRNOTAVAIL.",
    f"{_NETWORK} (MulticastInterfaceOption)",
    "source",
)

MEMBERSHIPS = frozenset({"IP_ADD_MEMBERSHIP", "IP_DROP_MEMBERSHIP", "IPV6_JOIN_GROUP", "IPV6_LEAVE_GROUP"})


def member(m: Machine, sk: Endpoint, option: Option) -> None:
    """IP_ADD_MEMBERSHIP and the like. Raises Errno, or Unknown."""
    if option.raw is not None:
        raise Unknown(f"raw {option.name}")
    group, _, device = (option.value or "").partition("%")
    group, version, kind = parsed(group)
    if sk.proto != "udp" or version != sk.family:
        raise Unknown(f"{option.name} of {sk.proto}{sk.family}")
    if kind != "multicast" and NOT_A_GROUP in m.on:
        raise Errno("EINVAL", NOT_A_GROUP)
    if not device:
        raise Unknown("by which device a group is joined")
    joined = (group, device) in sk.groups
    if option.name in ("IP_ADD_MEMBERSHIP", "IPV6_JOIN_GROUP"):
        if joined and TWICE in m.on:
            raise Errno("EADDRINUSE", TWICE)
        if device not in m.devices and NO_DEVICE in m.on:
            raise Errno("ENODEV", NO_DEVICE)
        sk.groups |= {(group, device)}
        return
    if not joined and NO_MEMBER in m.on:
        raise Errno("EADDRNOTAVAIL", NO_MEMBER)
    sk.groups -= {(group, device)}


def choose(m: Machine, sk: Endpoint, option: Option) -> None:
    """IP_MULTICAST_IF. Raises Errno, or Unknown."""
    if sk.proto != "udp" or sk.family != 4 or option.raw is not None or sk.device:
        raise Unknown(f"{option.name} of {sk.proto}{sk.family}")
    if option.value not in m.devices and INTERFACE in m.on:
        raise Errno("EADDRNOTAVAIL", INTERFACE)
    sk.options[option.name] = option.value or ""
