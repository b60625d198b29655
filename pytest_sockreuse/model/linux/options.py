"""Linux: setsockopt and getsockopt, as far as the language has options."""

from __future__ import annotations

from ...scenario import Option
from ..clause import Book, Errno, Unknown
from ..option import linger, number, set_linger
from ..sock import Sock
from .state import Machine

BOOK = Book()

NO_OPTION = BOOK(
    "option-unknown",
    "An option that the protocol does not have is ENOPROTOOPT.",
    "net/core/sock.c sk_setsockopt; ip_setsockopt",
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
MPTCP_OPTIONS = BOOK(
    "mptcp-port-options",
    "MPTCP has IP_LOCAL_PORT_RANGE and IP_BIND_ADDRESS_NO_PORT.",
    "c85636a29264 mptcp: support IP_LOCAL_PORT_RANGE",
    since=("6.8",),
)
V6ONLY_LATE = BOOK(
    "v6only-before-bind", "IPV6_V6ONLY after a port was bound is EINVAL.", "net/ipv6/ipv6_sockglue.c (inet_num)"
)
TOO_SHORT = BOOK(
    "option-too-short",
    "A value shorter than an int is EINVAL, for IPv4's options shorter than a byte.",
    "net/core/sock.c",
)
NO_DEVICE = BOOK(
    "device-unknown", "SO_BINDTODEVICE to a device that does not exist is ENODEV.", "net/core/sock.c sock_bindtoindex"
)
PRIVILEGED = BOOK(
    "option-privileged",
    "IP_TRANSPARENT, SO_MARK and high priorities need CAP_NET_ADMIN, else EPERM.",
    "net/core/sock.c",
)

_FIELDS = {"SO_REUSEADDR": "ra", "SO_REUSEPORT": "rp", "IPV6_V6ONLY": "v6only", "IP_BIND_ADDRESS_NO_PORT": "no_port"}
_NONLOCAL = frozenset({"IP_FREEBIND", "IPV6_FREEBIND", "IP_TRANSPARENT", "IPV6_TRANSPARENT"})
_PLAIN = frozenset("SO_KEEPALIVE SO_BROADCAST SO_DONTROUTE TCP_NODELAY".split())
_UNSEEN = frozenset("SO_SNDBUF SO_RCVBUF SO_PRIORITY IP_TTL IP_TOS TCP_USER_TIMEOUT TCP_SYNCNT SO_MARK".split())


def _exists(m: Machine, sk: Sock, name: str, getting: bool = False) -> None:
    level = name.partition("_")[0]
    if sk.mptcp and MPTCP_OPTIONS not in m.on and name in ("IP_LOCAL_PORT_RANGE", "IP_BIND_ADDRESS_NO_PORT"):
        unknown = name == "IP_LOCAL_PORT_RANGE" and not getting
        raise Errno("ENOPROTOOPT" if unknown else "EOPNOTSUPP", NO_OPTION)
    if (
        (level == "TCP" and sk.proto != "tcp")
        or (level == "IPV6" and sk.family == 4)
        or (name == "IP_LOCAL_PORT_RANGE" and RANGE_SINCE not in m.on)
    ):
        raise Errno("ENOPROTOOPT", NO_OPTION)
    if sk.mptcp and name not in _FIELDS and name not in ("SO_LINGER", "IP_LOCAL_PORT_RANGE"):
        raise Unknown(f"{name} on MPTCP")


def _number(option: Option) -> int:
    """The int that the kernel reads. Raises Errno."""
    raw = option.raw
    if raw is not None and len(raw) < 4 and option.name.startswith("IP_"):
        return raw[0] if raw else 0
    return number(option, TOO_SHORT)


def apply(m: Machine, sk: Sock, option: Option) -> None:
    """setsockopt(2). Raises Errno, or Unknown for what bears on ports in a way that is not modelled."""
    name = option.name
    field = _FIELDS.get(name)
    _exists(m, sk, name)
    if field is not None:
        flag = bool(_number(option))
        if name == "IPV6_V6ONLY" and sk.port and V6ONLY_LATE in m.on:
            raise Errno("EINVAL", V6ONLY_LATE)
        setattr(sk, field, flag)
    elif name == "IP_LOCAL_PORT_RANGE":
        _range(m, sk, option)
    elif name == "SO_LINGER":
        set_linger(sk, option)
    elif name == "SO_BINDTODEVICE":
        _device(m, sk, option)
    elif name in _NONLOCAL:
        if "TRANSPARENT" in name and sk.user != "root" and PRIVILEGED in m.on:
            raise Errno("EPERM", PRIVILEGED)
        sk.options[name] = str(int(bool(_number(option))))
        sk.nonlocal_ = "1" in (sk.options.get(other) for other in _NONLOCAL)
    elif name == "TCP_LINGER2":
        value = _number(option)
        sk.linger2 = -1 if value < 0 else min(value, 120)
        sk.options[name] = "-1" if value < 0 else str(value if 0 < value <= 120 else 60 if value == 0 else 0)
    elif name in _PLAIN:
        sk.options[name] = str(int(bool(_number(option))))
    elif name in _UNSEEN:
        if sk.user != "root" or option.raw is not None:
            raise Unknown(f"{name} for users, and raw")
        if name == "TCP_USER_TIMEOUT":
            sk.options[name] = option.value or "1"
    else:
        raise Unknown(f"{name} is not modelled")


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
    if option.raw is not None:
        raise Unknown("raw SO_BINDTODEVICE")
    name = option.value or ""
    if name not in m.devices and NO_DEVICE in m.on:
        raise Errno("ENODEV", NO_DEVICE)
    if sk.device and sk.user != "root":
        raise Errno("EPERM", PRIVILEGED)
    sk.device = name


def read(m: Machine, sk: Sock, option: Option) -> str | None:
    """getsockopt(2), as text; None where the value is not modelled. Raises Errno."""
    name = option.name
    field = _FIELDS.get(name)
    _exists(m, sk, name, getting=True)
    if field is not None:
        return str(int(getattr(sk, field)))
    if name == "IP_LOCAL_PORT_RANGE":
        return f"{sk.port_range[0]}-{sk.port_range[1]}"
    if name == "SO_LINGER":
        return linger(sk)
    if name == "SO_BINDTODEVICE":
        return sk.device
    if name == "TCP_LINGER2":
        return sk.options.get(name, m.env.get("net.ipv4.tcp_fin_timeout", "60"))
    if name in _NONLOCAL or name in _PLAIN:
        return sk.options.get(_alias(sk, name), "0")
    if name in _UNSEEN:
        return None
    raise Unknown(f"{name} is not modelled")


def _alias(sk: Sock, name: str) -> str:
    """IPv4's and IPv6's option are one flag of the socket."""
    other = name.replace("IPV6_", "IP_") if name.startswith("IPV6_") else name.replace("IP_", "IPV6_")
    return name if name in sk.options else other
