"""The BSDs: who is in a multicast group, by which device it is sent to, and whom that reaches.

Over IPv4 a device is named by its address, of which that of `lo` is known.
"""

from __future__ import annotations

from ...scenario import Option
from ..clause import Book, Declared, Errno, Unknown
from .address import NO_ROUTE, parsed
from .table import Machine, Pcb, owners

BOOK = Book()
LOOPBACK = "127.0.0.1"
_IP = "sys/netinet/ip_output.c ip_setmoptions; FreeBSD, XNU: in_mcast.c"

NOT_A_GROUP = BOOK(
    "membership-of-a-group",
    "To join or leave what is no multicast address is EINVAL.",
    f"{_IP} inp_join_group, inp_leave_group",
    "source",
)
NO_DEVICE = BOOK(
    "membership-needs-device",
    "To join on a device that does not exist is EADDRNOTAVAIL, over IPv4 also where none is named and no route tells "
    "one.",
    f"{_IP} inp_lookup_mcast_ifp",
    "source",
)
TWICE = BOOK(
    "membership-once",
    "To join a group once more on the same device is EADDRINUSE.",
    f"{_IP} inp_join_group",
    "source",
)
NO_MEMBER = BOOK(
    "membership-to-leave",
    "To leave a group that the socket did not join is EADDRNOTAVAIL.",
    f"{_IP} inp_leave_group",
    "source",
)
INTERFACE = BOOK(
    "multicast-interface",
    "IP_MULTICAST_IF names the device by which a socket sends to groups; one that does not exist is EADDRNOTAVAIL.",
    f"{_IP} inp_set_multicast_if",
    "source",
)
# What only some of the systems have: their books say which, and where it is written.
STREAM = Declared("groups-are-for-datagrams", "A TCP socket has none of the options of multicast: EOPNOTSUPP.")
TWICE6 = Declared(
    "ipv6-membership-once", "To join a group of IPv6 once more on the same device is EINVAL, not EADDRINUSE."
)
INTERFACE6 = Declared("ipv6-multicast-interface", "IPV6_MULTICAST_IF of a device that does not exist is EINVAL.")
ANY_DEVICE = Declared(
    "unknown-device-is-any", "To leave a group of IPv4 on a device that does not exist is to leave it on any."
)
MOST = Declared("memberships-at-most", "A socket is in 20 groups of IPv4 at most, else ETOOMANYREFS.")
LOOP_BYTE = Declared("multicast-loop-of-one-byte", "IP_MULTICAST_LOOP takes one byte: an int is EINVAL.")
ONLY_MEMBERS = Declared(
    "members-alone-hear",
    "A datagram to a group of IPv4 goes to all sockets that joined it on its device, are bound to its port, and to "
    "the group or the wildcard address, and to no other.",
)
LOOP = Declared("multicast-loop", "With IP_MULTICAST_LOOP=0 nobody on this host gets what is sent, by lo neither.")

_MEMBERSHIPS = frozenset({"IP_ADD_MEMBERSHIP", "IP_DROP_MEMBERSHIP", "IPV6_JOIN_GROUP", "IPV6_LEAVE_GROUP"})
_INTERFACES = frozenset({"IP_MULTICAST_IF", "IPV6_MULTICAST_IF"})
_LOOPS = frozenset({"IP_MULTICAST_LOOP", "IPV6_MULTICAST_LOOP"})
_MOST = 20  # IP_MAX_MEMBERSHIPS
OPTIONS = _MEMBERSHIPS | _INTERFACES | _LOOPS


def check(m: Machine, sk: Pcb, name: str) -> None:
    """Whether a socket has the options of multicast. Raises Errno, or Unknown."""
    if sk.proto == "tcp":
        raise Errno("EOPNOTSUPP", STREAM) if STREAM in m.on else Unknown(f"{name} of tcp")
    if sk.family == 6 and INTERFACE6 not in m.on:
        raise Unknown(f"{name} is not modelled")


def apply(m: Machine, sk: Pcb, option: Option) -> None:
    """setsockopt(2). Raises Errno, or Unknown."""
    check(m, sk, option.name)
    if option.raw is not None or (option.name in _LOOPS and option.value not in (None, "0", "1")):
        raise Unknown(f"{option.name} of such a value")
    if option.name in _INTERFACES:
        _choose(m, sk, option)
    elif option.name == "IP_MULTICAST_LOOP" and LOOP_BYTE in m.on:
        raise Errno("EINVAL", LOOP_BYTE)
    elif option.name in _LOOPS:
        sk.options[option.name] = option.value or "1"
    else:
        _member(m, sk, option)


def _device(m: Machine, sk: Pcb, name: str) -> str:
    """A device as the kernel finds it, empty where there is none. Raises Unknown."""
    if sk.family == 4 and name in m.devices - {"lo"}:
        raise Unknown("the IPv4 address of another device")
    return name if name in m.devices else ""


def _choose(m: Machine, sk: Pcb, option: Option) -> None:
    device = _device(m, sk, option.value or "")
    clause = INTERFACE if sk.family == 4 else INTERFACE6
    if not device and clause in m.on:
        raise Errno("EADDRNOTAVAIL" if sk.family == 4 else "EINVAL", clause)
    sk.options[option.name] = device


def _member(m: Machine, sk: Pcb, option: Option) -> None:
    group, _, named = (option.value or "").partition("%")
    group, _, kind = parsed(group)
    joins = option.name in ("IP_ADD_MEMBERSHIP", "IPV6_JOIN_GROUP")
    device = _device(m, sk, named)
    missing = bool(named) and not device and NO_DEVICE in m.on
    if missing and sk.family == 6 and kind != "multicast":
        raise Unknown("which is looked at first, the group or the device")
    if kind != "multicast" and NOT_A_GROUP in m.on:
        raise Errno("EINVAL", NOT_A_GROUP)
    if not named and (sk.family == 6 or (joins and (len(m.devices) > 1 or NO_ROUTE not in m.on))):
        raise Unknown("by which device a group is joined")
    if missing and not joins and (sk.family == 6 or ANY_DEVICE not in m.on):
        raise Errno("EADDRNOTAVAIL", NO_DEVICE)
    (_join if joins else _leave)(m, sk, group, device)


def _join(m: Machine, sk: Pcb, group: str, device: str) -> None:
    if not device and NO_DEVICE in m.on:
        raise Errno("EADDRNOTAVAIL", NO_DEVICE)
    if (group, device) in sk.groups and TWICE6 in m.on and sk.family == 6:
        raise Errno("EINVAL", TWICE6)
    if (group, device) in sk.groups and TWICE in m.on:
        raise Errno("EADDRINUSE", TWICE)
    if sk.family == 4 and len(sk.groups) >= _MOST and MOST in m.on:
        raise Errno("ETOOMANYREFS", MOST)
    sk.groups |= {(group, device)}


def _leave(m: Machine, sk: Pcb, group: str, device: str) -> None:
    entries = {entry for entry in sk.groups if entry[0] == group and device in ("", entry[1])}
    if not entries and NO_MEMBER in m.on:
        raise Errno("EADDRNOTAVAIL", NO_MEMBER)
    if len(entries) > 1:
        raise Unknown("which of several memberships ends")
    sk.groups -= entries


def read(m: Machine, sk: Pcb, option: Option) -> str:
    """getsockopt(2), as text. Raises Errno, or Unknown."""
    check(m, sk, option.name)
    if option.name in _LOOPS:
        return sk.options.get(option.name, "1")
    if option.name not in _INTERFACES:
        raise Unknown(f"{option.name} is not to be read")
    device = sk.options.get(option.name, "")
    if sk.family == 6:
        return device or "0"
    return LOOPBACK if device else "0.0.0.0"


def device_for(m: Machine, sk: Pcb) -> str:
    """in_pcbconnect_setup: the device by which a socket sends to a group of IPv4. Raises Errno, or Unknown."""
    if ONLY_MEMBERS not in m.on or sk.family == 6:
        raise Unknown("multicast")
    device = sk.options.get("IP_MULTICAST_IF", "")
    if not device and sk.any_ and len(m.devices) == 1 and NO_ROUTE in m.on:
        raise Errno(m.state.traits.no_route[4], NO_ROUTE)
    if not device or sk.laddr not in ("0.0.0.0", LOOPBACK):
        raise Unknown("multicast")
    return device


def deliver(m: Machine, sk: Pcb, group: str, port: int) -> None:
    """ip_output and udp_input of a datagram to a group. Raises Unknown."""
    device = device_for(m, sk)
    if sk.options.get("IP_MULTICAST_LOOP") == "0" and LOOP in m.on:
        return
    found = [t for t in owners(m, sk.space, port) if _takes(t, group, device, sk.port)]
    if len(found) > 1 and not all(t.reuses for t in found):
        raise Unknown("in which order sockets without a reuse option were made")
    for t in found:
        t.rx += 1


def _takes(t: Pcb, group: str, device: str, port: int) -> bool:
    here = t.v4 and (t.any_ or t.laddr == group) and (group, device) in t.groups
    return here and (not t.raddr or (t.raddr, t.rport) == (LOOPBACK, port))
