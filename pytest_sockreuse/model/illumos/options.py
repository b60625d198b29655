"""illumos: setsockopt and getsockopt, as far as the language has options."""

from __future__ import annotations

from ...scenario import Option
from ..clause import Book, Errno, Unknown
from ..option import linger, set_linger
from . import multicast
from .table import Conn, Machine, is_any

BOOK = Book()

NO_OPTION = BOOK(
    "option-unknown",
    "There is no SO_REUSEPORT, nor an option that other systems have for ports: ENOPROTOOPT.",
    "inet/tcp/tcp_opt_data.c; inet/ip/conn_opt.c",
    "source",
)
OVER = BOOK(
    "over-takes-no-option",
    "setsockopt() of a socket whose sending side is gone, by shutdown(), a reset or a refused connect(), is EINVAL.",
    "fs/sockfs/sockcommon_sops.c so_setsockopt",
    "source",
)
V6ONLY_VALUE = BOOK(
    "v6only-is-a-truth-value", "IPV6_V6ONLY is 0 or 1, else EINVAL.", "inet/ip/conn_opt.c conn_opt_check", "source"
)
IPV4_ALREADY = BOOK(
    "ipv4-takes-no-ipv6-option",
    "On an AF_INET6 socket that has connected to a v4-mapped address the options of IPv6 are EINVAL.",
    "inet/ip/conn_opt.c conn_opt_check (conn_ipversion)",
    "source",
)

_FIELDS = {"SO_REUSEADDR": "ra", "SO_EXCLBIND": "excl"}
_PLAIN = frozenset("SO_KEEPALIVE SO_BROADCAST SO_DONTROUTE TCP_NODELAY".split())


def _covered(sk: Conn, name: str) -> None:
    if (name.startswith("TCP_") and sk.proto != "tcp") or (name.startswith("IPV6_") and sk.family == 4):
        raise Unknown(f"{name} on {sk.proto}{sk.family}")


def apply(m: Machine, sk: Conn, option: Option) -> None:
    """setsockopt(2). Raises Errno, Unknown."""
    name = option.name
    if (sk.over or sk.shut_wr) and OVER in m.on:
        raise Errno("EINVAL", OVER)
    _covered(sk, name)
    if option.raw is not None:
        raise Unknown(f"raw {name}")
    value = option.value or "1"
    if name == "SO_LINGER":
        set_linger(sk, option)
    elif name in _FIELDS:
        setattr(sk, _FIELDS[name], value != "0")
    elif name == "IPV6_V6ONLY":
        _v6only(m, sk, value)
    elif name in multicast.MEMBERSHIPS:
        multicast.member(m, sk, option)
    elif name in multicast.INTERFACES:
        multicast.choose(m, sk, option)
    elif name in _PLAIN:
        sk.options[name] = str(int(value != "0"))
    else:
        raise Unknown(f"{name} is not modelled")


def _v6only(m: Machine, sk: Conn, value: str) -> None:
    if sk.raddr and ":" not in sk.raddr and IPV4_ALREADY in m.on:
        raise Errno("EINVAL", IPV4_ALREADY)
    if value not in ("0", "1") and V6ONLY_VALUE in m.on:
        raise Errno("EINVAL", V6ONLY_VALUE)
    if sk.given and not is_any(sk.bound) and ":" not in sk.bound:
        raise Unknown("IPV6_V6ONLY of a socket at a v4-mapped address")
    sk.v6only = value != "0"


def read(sk: Conn, option: Option) -> str:
    """getsockopt(2), as text. Raises Unknown."""
    name = option.name
    _covered(sk, name)
    if name in _FIELDS:
        return str(int(getattr(sk, _FIELDS[name])))
    if name == "IPV6_V6ONLY":
        return str(int(sk.v6only))
    if name == "SO_LINGER":
        return linger(sk)
    if name in multicast.INTERFACES and sk.proto == "udp":
        return multicast.chosen(sk, option)
    if name in _PLAIN:
        return sk.options.get(name, "0")
    raise Unknown(f"{name} is not modelled")
