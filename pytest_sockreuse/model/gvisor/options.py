"""gVisor: setsockopt and getsockopt, as far as the language has options."""

from __future__ import annotations

from ...scenario import Option
from ..clause import Book, Errno, Unknown
from ..option import linger, number, set_linger
from . import multicast
from .ports import LATCHED, Endpoint, claim_of
from .state import Machine
from .stream import INITIAL

BOOK = Book()
_SOCK = "pkg/sentry/socket/netstack/netstack.go"

NO_OPTION = BOOK(
    "option-unknown",
    "An option that Linux does not have, or of another protocol, is ENOPROTOOPT; reading IPv6's on IPv4 EOPNOTSUPP.",
    f"{_SOCK} SetSockOpt, GetSockOpt",
)
IGNORED = BOOK(
    "option-ignored",
    "IP_LOCAL_PORT_RANGE, IP_BIND_ADDRESS_NO_PORT, IP_FREEBIND, IP_MULTICAST_ALL and IPV6_MULTICAST_* are taken, have "
    "no effect, and cannot be read.",
    f"{_SOCK} setSockOptIP",
)
IGNORED_SOCKET = BOOK(
    "socket-option-ignored",
    "SO_PRIORITY, SO_DONTROUTE and SO_MARK are taken and have no effect.",
    f"{_SOCK} setSockOptSocket",
    until=("20250416",),
)
V6ONLY_LATE = BOOK("v6only-before-bind", "IPV6_V6ONLY after bind() is EINVAL.", f"{_SOCK} setSockOptIPv6")
TOO_SHORT = BOOK(
    "option-too-short",
    "A value shorter than an int is EINVAL; IP_TTL and IP_TOS take a byte, IP_TOS also none.",
    f"{_SOCK} setSockOptSocket, parseIntOrChar",
)
OUT_OF_BOUNDS = BOOK(
    "option-out-of-bounds",
    "IP_TTL that is neither -1 nor 1 to 255, TCP_SYNCNT that is not 1 to 255, a negative TCP_USER_TIMEOUT are EINVAL.",
    f"{_SOCK} setSockOptIP, setSockOptTCP",
)
NO_DEVICE = BOOK(
    "device-unknown", "SO_BINDTODEVICE to a device that does not exist is ENODEV.", f"{_SOCK} setSockOptSocket"
)

_FIELDS = {"SO_REUSEADDR": "ra", "SO_REUSEPORT": "rp", "IPV6_V6ONLY": "v6only"}
_IGNORED = frozenset(
    """IP_BIND_ADDRESS_NO_PORT IP_FREEBIND IPV6_FREEBIND IP_TRANSPARENT IPV6_TRANSPARENT TCP_FASTOPEN
    IP_LOCAL_PORT_RANGE IP_MULTICAST_ALL IPV6_MULTICAST_ALL IPV6_MULTICAST_IF IPV6_MULTICAST_LOOP""".split()
)
_SOCKET = frozenset("SO_DONTROUTE SO_PRIORITY SO_MARK".split())
_FLAGS = frozenset("SO_BROADCAST SO_KEEPALIVE TCP_NODELAY".split())
_UNSEEN = frozenset("SO_SNDBUF SO_RCVBUF IP_TTL IP_TOS TCP_USER_TIMEOUT TCP_SYNCNT".split())
_BOUNDS = {"IP_TTL": range(1, 256), "TCP_SYNCNT": range(1, 256), "TCP_USER_TIMEOUT": range(1 << 31)}
_LINGER2_MOST = 120


def _exists(sk: Endpoint, name: str, reading: bool) -> None:
    level = name.partition("_")[0]
    if level == "TCP" and sk.proto != "tcp":
        raise Errno("ENOPROTOOPT", NO_OPTION)
    if level == "IPV6" and sk.family == 4:
        raise Errno("EOPNOTSUPP" if reading else "ENOPROTOOPT", NO_OPTION)


def apply(m: Machine, sk: Endpoint, option: Option) -> None:
    """setsockopt(2). Raises Errno, or Unknown for what is not modelled."""
    name = option.name
    _exists(sk, name, False)
    field = _FIELDS.get(name)
    if field is not None:
        flag = bool(number(option, TOO_SHORT))
        if name == "IPV6_V6ONLY" and sk.state != INITIAL:
            raise Errno("EINVAL", V6ONLY_LATE)
        setattr(sk, field, flag)
        _latch(m, sk)
    elif name in _IGNORED:
        if IGNORED not in m.on:
            raise Errno("ENOPROTOOPT", NO_OPTION)
    elif name in _SOCKET:
        if IGNORED_SOCKET not in m.on:
            raise Unknown(f"{name} of newer builds") if name != "SO_DONTROUTE" else Errno("ENOPROTOOPT", NO_OPTION)
    elif name in _FLAGS:
        sk.options[name] = str(int(bool(number(option, TOO_SHORT))))
    elif name == "TCP_LINGER2":
        value = number(option, TOO_SHORT)
        sk.options[name] = str(-1 if value < 0 else min(value or 60, _LINGER2_MOST))
    elif name == "SO_LINGER":
        if option.raw is not None and len(option.raw) < 8:
            raise Errno("EINVAL", TOO_SHORT)
        set_linger(sk, option)
    elif name == "SO_BINDTODEVICE":
        _device(m, sk, option)
    elif name in multicast.MEMBERSHIPS:
        multicast.member(m, sk, option)
    elif name == "IP_MULTICAST_IF":
        multicast.choose(m, sk, option)
    elif name in _UNSEEN:
        value = _number(option)
        if value not in _BOUNDS.get(name, (value,)) and (name, value) != ("IP_TTL", -1):
            raise Errno("EINVAL", OUT_OF_BOUNDS)
    else:
        raise Unknown(f"{name} is not modelled")


def _number(option: Option) -> int:
    raw = option.raw
    if raw is not None and len(raw) < 4 and option.name.startswith("IP_"):
        if raw:
            return raw[0]
        if option.name == "IP_TOS":
            return 0
    return number(option, TOO_SHORT)


def _latch(m: Machine, sk: Endpoint) -> None:
    """Without the clause the flags of a reservation are those of now."""
    if LATCHED in m.on or not (sk.port and (sk.reserved or sk.proto == "udp")) or sk.registered:
        return
    m.state.ports.release(claim_of(sk))
    sk.flags = sk.wants(m)
    m.state.ports.reserve(claim_of(sk))


def _device(m: Machine, sk: Endpoint, option: Option) -> None:
    if option.raw is not None:
        raise Unknown("raw SO_BINDTODEVICE")
    name = option.value or ""
    if name and name not in m.devices:
        raise Errno("ENODEV", NO_DEVICE)
    sk.device = name


def read(m: Machine, sk: Endpoint, option: Option) -> str | None:
    """getsockopt(2), as text; None where the value is not modelled. Raises Errno."""
    name = option.name
    _exists(sk, name, True)
    if name in _FIELDS:
        return str(int(getattr(sk, _FIELDS[name])))
    if name in _IGNORED or name in _SOCKET:
        if name == "SO_MARK" and IGNORED_SOCKET not in m.on:
            raise Unknown("SO_MARK of newer builds")
        raise Errno("ENOPROTOOPT", IGNORED if name in _IGNORED else NO_OPTION)
    if name == "SO_LINGER":
        return linger(sk)
    if name == "SO_BINDTODEVICE":
        return sk.device
    if name == "TCP_LINGER2":
        return sk.options.get(name, "60")
    if name in _FLAGS:
        return sk.options.get(name, "0")
    if name in _UNSEEN:
        return None
    raise Unknown(f"{name} is not modelled")
