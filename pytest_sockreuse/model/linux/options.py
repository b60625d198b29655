"""Linux: setsockopt and getsockopt of the language's options; of MPTCP see `mptcp`."""

from __future__ import annotations

import struct

from ...options import options as known
from ...scenario import Option
from ..address import arrives_by
from ..clause import Book, Errno, Unknown
from ..option import linger, number, set_linger
from ..sock import CLOSE, LISTEN, Sock
from . import multicast
from .state import Machine

BOOK = Book()

NO_OPTION = BOOK(
    "option-unknown",
    "An option that the protocol does not have is ENOPROTOOPT.",
    "net/core/sock.c sk_setsockopt; ip_setsockopt",
)
NO_LEVEL = BOOK(
    "option-level-unknown",
    "getsockopt() of an AF_INET socket at a level that it does not have is EOPNOTSUPP, of AF_INET6 ENOPROTOOPT.",
    "net/ipv4/ip_sockglue.c do_ip_getsockopt",
)
RANGE_SINCE = BOOK(
    "local-range-option",
    "IP_LOCAL_PORT_RANGE exists.",
    "91d0b78c5177 inet: Add IP_LOCAL_PORT_RANGE socket option",
    since=("6.1.32", "6.3"),
)
RANGE_CHECK = BOOK(
    "local-range-checked",
    "IP_LOCAL_PORT_RANGE takes 4 bytes, and not low > high unless a side is 0, else EINVAL.",
    "net/ipv4/ip_sockglue.c",
)
V6ONLY_LATE = BOOK(
    "v6only-before-bind", "IPV6_V6ONLY after a port was bound is EINVAL.", "net/ipv6/ipv6_sockglue.c (inet_num)"
)
TOO_SHORT = BOOK(
    "option-too-short",
    "A value shorter than an int is EINVAL; IPv4's options take a byte.",
    "net/core/sock.c sk_setsockopt; net/ipv4/ip_sockglue.c do_ip_setsockopt",
)
EMPTY = BOOK(
    "option-empty",
    "A value of length 0 is EINVAL for IP_FREEBIND, IP_TRANSPARENT, IP_TTL, IP_MULTICAST_LOOP and IP_MULTICAST_ALL, "
    "and 0 for other options of IPv4.",
    "net/ipv4/ip_sockglue.c do_ip_setsockopt (optlen < 1)",
)
BOUNDS = BOOK(
    "option-out-of-bounds",
    "A value that an option cannot have is EINVAL: IP_TTL beyond 1 to 255 and -1, TCP_SYNCNT beyond 1 to 127, below "
    "0 for TCP_USER_TIMEOUT and TCP_FASTOPEN, which a connected socket cannot have at all, beyond 0 and 1 for "
    "IP_MULTICAST_ALL and IPV6_MULTICAST_LOOP.",
    "net/ipv4/ip_sockglue.c do_ip_setsockopt; net/ipv4/tcp.c do_tcp_setsockopt",
)
ONE_FLAG = BOOK(
    "two-names-one-flag",
    "IP_FREEBIND and IPV6_FREEBIND are one flag, and so are IP_TRANSPARENT and IPV6_TRANSPARENT.",
    "net/ipv6/ipv6_sockglue.c do_ipv6_setsockopt",
)
LINGER2 = BOOK(
    "linger2-bounds",
    "TCP_LINGER2 above 120 s is 120 s; 0 is tcp_fin_timeout.",
    "net/ipv4/tcp.c do_tcp_setsockopt, f0628c524fd1 net: Replace the limit of TCP_LINGER2 with TCP_FIN_TIMEOUT_MAX",
    since=("5.8",),
)
NO_LINGER2 = BOOK(
    "linger2-negative",
    "With TCP_LINGER2 below 0 nothing is left of a closed socket: a reset follows its FIN, or takes its place.",
    "net/ipv4/tcp_input.c tcp_rcv_state_process (TCP_FIN_WAIT1); net/ipv4/tcp.c __tcp_close",
)
NO_DEVICE = BOOK(
    "device-unknown", "SO_BINDTODEVICE to a device that does not exist is ENODEV.", "net/core/sock.c sock_bindtoindex"
)
PRIVILEGED = BOOK(
    "option-privileged",
    "Turning IP_TRANSPARENT on, SO_MARK, and SO_PRIORITY beyond 0 to 6 need CAP_NET_ADMIN, else EPERM.",
    "net/core/sock.c sk_setsockopt; net/ipv4/ip_sockglue.c do_ip_setsockopt",
)

_FIELDS = {"SO_REUSEADDR": "ra", "SO_REUSEPORT": "rp", "IPV6_V6ONLY": "v6only", "IP_BIND_ADDRESS_NO_PORT": "no_port"}
_SHARING = frozenset({"SO_REUSEADDR", "SO_REUSEPORT"})
_NONLOCAL = ("IP_FREEBIND", "IP_TRANSPARENT")
_BOUNDS = {
    "IP_TTL": (-1, 255),
    "TCP_SYNCNT": (1, 127),
    "TCP_USER_TIMEOUT": (0, 2**31),
    "TCP_FASTOPEN": (0, 2**31),
    "IP_MULTICAST_ALL": (0, 1),
    "IPV6_MULTICAST_LOOP": (0, 1),
}
_NAMED = frozenset(
    """IP_LOCAL_PORT_RANGE SO_LINGER SO_BINDTODEVICE TCP_LINGER2 IP_FREEBIND IPV6_FREEBIND IP_TRANSPARENT
    IPV6_TRANSPARENT SO_BROADCAST SO_DONTROUTE SO_KEEPALIVE SO_MARK SO_PRIORITY SO_RCVBUF SO_SNDBUF IP_TOS IP_TTL
    TCP_DEFER_ACCEPT TCP_FASTOPEN TCP_NODELAY TCP_SYNCNT TCP_USER_TIMEOUT""".split()
).union(_FIELDS, multicast.MEMBERSHIPS, multicast.INTERFACES, multicast.ON)
_NAME_SIZE = 15  # bytes of a device's name


def name_of(m: Machine, name: str) -> str:
    """The name of what an option sets: of two names for one flag, IPv4's."""
    if name in ("IPV6_FREEBIND", "IPV6_TRANSPARENT") and ONE_FLAG in m.on:
        return name.replace("IPV6", "IP")
    return name


def exists(m: Machine, sk: Sock, name: str, getting: bool = False) -> None:
    """Raises Errno where the socket does not have the option, Unknown where nobody has said what it does."""
    if name not in _NAMED:
        raise Unknown(f"{name} is not modelled")
    option = known()[name]
    if name == "IP_LOCAL_PORT_RANGE" and RANGE_SINCE not in m.on:
        raise Errno("ENOPROTOOPT", NO_OPTION)
    if (option.level == "IPPROTO_TCP" and sk.proto != "tcp") or (option.level == "IPPROTO_IPV6" and sk.family == 4):
        if getting and sk.family == 4:
            raise Errno("EOPNOTSUPP", NO_LEVEL)
        raise Errno("ENOPROTOOPT", NO_OPTION)


def value_of(option: Option) -> int:
    """The int that the kernel reads. Raises Errno."""
    raw = option.raw
    if raw is None:
        return int(option.value or "1")
    if len(raw) < 4 and option.name.startswith("IP_"):
        if not raw and option.name in (*_NONLOCAL, "IP_TTL", "IP_MULTICAST_LOOP", "IP_MULTICAST_ALL"):
            raise Errno("EINVAL", EMPTY)
        return raw[0] if raw else 0
    return number(option, TOO_SHORT)


def apply(m: Machine, sk: Sock, option: Option) -> None:
    """setsockopt(2). Raises Errno."""
    if option.value is None and sk.user == "root" and option.name in _SHARING:  # which nothing refuses
        setattr(sk, _FIELDS[option.name], True)
        return
    exists(m, sk, option.name)
    name = name_of(m, option.name)
    if name == "IP_LOCAL_PORT_RANGE":
        _range(m, sk, option)
    elif name == "SO_LINGER":
        _linger(sk, option)
    elif name == "SO_BINDTODEVICE":
        _device(m, sk, option)
    elif name in multicast.MEMBERSHIPS:
        multicast.member(m, sk, option)
    elif name in multicast.INTERFACES:
        multicast.choose(m, sk, option)
    else:
        value = value_of(option)
        _check(m, sk, name, value)
        if name == "TCP_DEFER_ACCEPT" and any(not child.connected for child in sk.queue):
            raise Unknown("TCP_DEFER_ACCEPT while connections wait for data")
        _keep(m, sk, name, value)


def _check(m: Machine, sk: Sock, name: str, value: int) -> None:
    low, high = _BOUNDS.get(name, (-(2**31), 2**32))
    late = name == "TCP_FASTOPEN" and sk.state not in (CLOSE, LISTEN)
    if not low <= value <= high or (name == "IP_TTL" and not value) or late:
        raise Errno("EINVAL", BOUNDS)
    if name == "IPV6_V6ONLY" and sk.port and V6ONLY_LATE in m.on:
        raise Errno("EINVAL", V6ONLY_LATE)
    if sk.user != "root" and PRIVILEGED in m.on:
        low_priority = name == "SO_PRIORITY" and 0 <= value <= 6
        if (name in ("SO_MARK", "SO_PRIORITY") and not low_priority) or (name.endswith("TRANSPARENT") and value):
            raise Errno("EPERM", PRIVILEGED)


def _keep(m: Machine, sk: Sock, name: str, value: int) -> None:
    if name in _FIELDS:
        setattr(sk, _FIELDS[name], bool(value))
    elif name == "TCP_LINGER2" and value < 0:
        sk.linger2 = -1 if NO_LINGER2 in m.on else 0
    elif name == "TCP_LINGER2":
        sk.linger2 = min(value, 120) if LINGER2 in m.on else value * (value <= _fin_timeout(m))
    else:
        sk.options[name] = str(int(bool(value)) if known()[name].form == "flag" else value)
        sk.nonlocal_ = any(
            other.endswith(("FREEBIND", "TRANSPARENT")) and on == "1" for other, on in sk.options.items()
        )


def _fin_timeout(m: Machine) -> int:
    return int(m.env.get("net.ipv4.tcp_fin_timeout", "60"))


def _linger(sk: Sock, option: Option) -> None:
    raw = option.raw
    if raw is None:
        set_linger(sk, option)
    elif len(raw) < 8:
        raise Errno("EINVAL", TOO_SHORT)
    else:
        on, seconds = struct.unpack("<ii", raw[:8])
        sk.linger = seconds if on else -1


def _range(m: Machine, sk: Sock, option: Option) -> None:
    raw = option.raw
    if raw is not None:
        if len(raw) != 4:
            raise Errno("EINVAL", RANGE_CHECK)
        packed = int.from_bytes(raw, "little")
        low, high = packed & 0xFFFF, packed >> 16
    else:
        if not option.value:
            raise Unknown("IP_LOCAL_PORT_RANGE without a range")
        low, high = map(int, option.value.split("-"))
    if low and high and low > high and RANGE_CHECK in m.on:
        raise Errno("EINVAL", RANGE_CHECK)
    sk.port_range = (low, high)


def _device(m: Machine, sk: Sock, option: Option) -> None:
    raw = option.raw
    name = (option.value or "") if raw is None else raw[:_NAME_SIZE].partition(b"\0")[0].decode("ascii", "replace")
    if name and name not in m.devices and NO_DEVICE in m.on:
        raise Errno("ENODEV", NO_DEVICE)
    if sk.device and sk.user != "root":
        raise Errno("EPERM", PRIVILEGED)
    if "%" in sk.laddr and name != sk.device:
        raise Unknown("a link-local address without its device")
    connected = sk.proto == "tcp" and sk.state not in (CLOSE, LISTEN)
    if connected and name not in ("", sk.device, arrives_by(sk.laddr)):
        raise Unknown("SO_BINDTODEVICE of a connected socket to a device by which nothing comes")
    sk.device = name


def read(m: Machine, sk: Sock, option: Option) -> str | None:
    """getsockopt(2), as text; None where the value is not modelled. Raises Errno."""
    exists(m, sk, option.name, getting=True)
    name = name_of(m, option.name)
    if name in _FIELDS:
        return str(int(getattr(sk, _FIELDS[name])))
    if name in multicast.MEMBERSHIPS:
        raise Errno("ENOPROTOOPT", NO_OPTION)
    if name in multicast.ON:
        return str(int(multicast.flag(sk, name)))
    if name == "IP_LOCAL_PORT_RANGE":
        return f"{sk.port_range[0]}-{sk.port_range[1]}"
    if name == "SO_LINGER":
        return linger(sk)
    if name == "SO_BINDTODEVICE":
        if sk.device and sk.device not in m.devices:
            raise Errno("ENODEV", NO_DEVICE)
        return sk.device
    if name == "TCP_LINGER2":
        return str(sk.linger2 or _fin_timeout(m))
    return sk.options.get(name, "0") if known()[name].form == "flag" else None
