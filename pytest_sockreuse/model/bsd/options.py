"""The BSDs: setsockopt and getsockopt, as far as the language has options."""

from __future__ import annotations

from ...scenario import Option
from ..clause import Book, Declared, Errno, Unknown
from ..option import linger, number, set_linger
from . import ended, multicast
from .address import NO_MAPPED
from .bind import LB
from .table import OWN_TABLES, Machine, Pcb

BOOK = Book()

NO_OPTION = BOOK(
    "option-unknown", "An option that the system does not have is ENOPROTOOPT.", "sys/netinet/ip_output.c; tcp_usrreq.c"
)
V6ONLY_LATE = BOOK(
    "v6only-before-bind",
    "IPV6_V6ONLY after the socket was bound is EINVAL.",
    "sys/netinet6/ip6_output.c ip6_ctloutput",
    confidence="source",
)
TOO_SHORT = BOOK(
    "option-too-short",
    "A value shorter than an int is EINVAL.",
    "sys/kern/uipc_socket.c sooptcopyin",
    confidence="source",
)

V6ONLY_ALWAYS = Declared("v6only-always", "IPV6_V6ONLY cannot be cleared: EOPNOTSUPP.")
BINDANY = Declared("bindany", "IP_BINDANY lets bind() take an address that is not local.")
PRIVILEGED = Declared("option-privileged", "IP_BINDANY needs root, else EPERM.")

_FIELDS = {"SO_REUSEADDR": "ra", "SO_REUSEPORT": "rp", "SO_REUSEPORT_LB": "lb", "IPV6_V6ONLY": "v6only"}
_PLAIN = frozenset("SO_KEEPALIVE SO_BROADCAST SO_DONTROUTE TCP_NODELAY".split())
_BINDANY = ("IP_BINDANY", "IPV6_BINDANY")
_PORTRANGE = ("IP_PORTRANGE", "IPV6_PORTRANGE")


def _exists(m: Machine, sk: Pcb, name: str) -> None:
    if name == "SO_REUSEPORT_LB" and LB not in m.on:
        raise Errno("ENOPROTOOPT", NO_OPTION)
    if name in _BINDANY and BINDANY not in m.on:
        raise Unknown(f"{name} is not modelled")
    level = name.partition("_")[0]
    if (level == "TCP" and sk.proto != "tcp") or (level in ("IP", "IPV6") and (level == "IPV6") != (sk.family == 6)):
        raise Unknown(f"{name} on a socket of another kind")
    if ended.OPTIONS in m.on and level != "SO":
        ended.check(m, sk, ended.OPTIONS)


def apply(m: Machine, sk: Pcb, option: Option) -> None:
    """setsockopt(2). Raises Errno, or Unknown."""
    name = option.name
    _exists(m, sk, name)
    if name in multicast.OPTIONS:
        multicast.apply(m, sk, option)
    elif name == "SO_LINGER":
        set_linger(sk, option)
    elif name in _FIELDS:
        _flag(m, sk, name, bool(number(option, TOO_SHORT)))
    elif name in _BINDANY:
        if sk.user != "root" and PRIVILEGED in m.on:
            raise Errno("EPERM", PRIVILEGED)
        sk.options[name] = str(int(bool(number(option, TOO_SHORT))))
    elif name in _PORTRANGE:
        value = number(option, TOO_SHORT)
        if value not in (0, 1, 2):
            raise Errno("EINVAL", PORTRANGE)
        sk.options[name] = str(value)
    elif name in _PLAIN:
        sk.options[name] = str(int(bool(number(option, TOO_SHORT))))
    else:
        raise Unknown(f"{name} is not modelled")


def _flag(m: Machine, sk: Pcb, name: str, flag: bool) -> None:
    """An option that bind() looks at. Raises Errno."""
    if name == "IPV6_V6ONLY":
        late = sk.port or sk.laddr != "::"
        if (late and V6ONLY_LATE in m.on) or (not flag and NO_MAPPED in m.on):
            raise Errno("EINVAL", V6ONLY_LATE if late else NO_MAPPED)
        if not flag and V6ONLY_ALWAYS in m.on:
            raise Errno("EOPNOTSUPP", V6ONLY_ALWAYS)
        sk.v4 = not flag
    setattr(sk, _FIELDS[name], flag)
    if ended.OPTIONS in m.on and OWN_TABLES in m.on:
        ended.check(m, sk, ended.OPTIONS)


PORTRANGE = BOOK("portrange-checked", "IP_PORTRANGE is 0, 1 (high) or 2 (low), else EINVAL.", "sys/netinet/ip_output.c")


def read(m: Machine, sk: Pcb, option: Option) -> str | None:
    """getsockopt(2), as text; None where the value is not modelled. Raises Errno."""
    name = option.name
    _exists(m, sk, name)
    if name in multicast.OPTIONS:
        return multicast.read(m, sk, option)
    if name in _FIELDS:
        return str(int(getattr(sk, _FIELDS[name])))
    if name == "SO_LINGER":
        return linger(sk)
    if name in _PLAIN or name in _BINDANY or name in _PORTRANGE:
        return sk.options.get(name, "0")
    raise Unknown(f"{name} is not modelled")
