"""Windows: setsockopt and getsockopt, as far as the language has options."""

from __future__ import annotations

from ...scenario import Option
from ..clause import Book, Errno, Unknown
from ..option import linger, set_linger
from .bind import WinSock

BOOK = Book()

NO_OPTION = BOOK(
    "option-unknown",
    "There is no SO_REUSEPORT, nor an option that other systems have for ports: ENOPROTOOPT.",
    "Microsoft, SOL_SOCKET socket options",
    "documented",
)
BOTH = BOOK(
    "reuseaddr-or-exclusive",
    "SO_REUSEADDR and SO_EXCLUSIVEADDRUSE on one socket is EINVAL, in either order, until the first is cleared.",
    "Wine 10.0 dlls/ws2_32/tests/sock.c test_reuseaddr; mongoose issues 1550 and 2204",
    "documented",
)
V6ONLY_DEFAULT = BOOK(
    "v6only-by-default", "IPV6_V6ONLY is 1 unless cleared.", "Microsoft, Dual-Stack Sockets", "documented"
)
V6ONLY_LATE = BOOK(
    "v6only-before-bind",
    "IPV6_V6ONLY after bind() is EINVAL.",
    "Wine 10.0 dlls/ws2_32/tests/sock.c test_ipv6only asserts that it fails",
    "inferred",
)

_PLAIN = frozenset(
    """SO_BROADCAST SO_KEEPALIVE SO_DONTROUTE TCP_NODELAY SO_REUSE_UNICASTPORT SO_PORT_SCALABILITY
    SO_RANDOMIZE_PORT""".split()
)
_UNSEEN = frozenset("SO_SNDBUF SO_RCVBUF IP_TTL IP_TOS TCP_FASTOPEN".split())


def _exists(sk: WinSock, name: str) -> None:
    if (name.startswith("TCP_") and sk.proto != "tcp") or (name.startswith("IPV6_") and sk.family == 4):
        raise Unknown(f"{name} on {sk.proto}{sk.family}")


def apply(sk: WinSock, option: Option) -> None:
    """setsockopt(2). Raises Errno, Unknown."""
    name = option.name
    _exists(sk, name)
    if option.raw is not None:
        raise Unknown(f"raw {name}")
    value = option.value or "1"
    if name == "SO_LINGER":
        set_linger(sk, option)
        return
    if name in _UNSEEN:
        return
    flag = value != "0"
    if name in ("SO_REUSEADDR", "SO_EXCLUSIVEADDRUSE"):
        if flag and (sk.ex if name == "SO_REUSEADDR" else sk.ra):
            raise Errno("EINVAL", BOTH)
        setattr(sk, "ra" if name == "SO_REUSEADDR" else "ex", flag)
    elif name == "IPV6_V6ONLY":
        if sk.bound:
            raise Errno("EINVAL", V6ONLY_LATE)
        sk.v6only = flag
    elif name in _PLAIN:
        _ports_option(sk, name, flag)
    else:
        raise Unknown(f"{name} is not modelled")


def _ports_option(sk: WinSock, name: str, flag: bool) -> None:
    others = {"SO_REUSE_UNICASTPORT", "SO_PORT_SCALABILITY", "SO_RANDOMIZE_PORT"} - {name}
    if flag and name not in ("SO_BROADCAST", "SO_KEEPALIVE") and any(sk.options.get(o) == "1" for o in others):
        raise Unknown(f"{name} together with another option for chosen ports")
    sk.options[name] = str(int(flag))


def read(sk: WinSock, option: Option) -> str | None:
    """getsockopt(2), as text; None where the value is not modelled. Raises Errno, Unknown."""
    name = option.name
    _exists(sk, name)
    if name == "SO_REUSEADDR":
        return str(int(sk.ra))
    if name == "SO_EXCLUSIVEADDRUSE":
        return str(int(sk.ex))
    if name == "IPV6_V6ONLY":
        return str(int(sk.v6only))
    if name == "SO_LINGER":
        return linger(sk)
    if name in _PLAIN:
        return sk.options.get(name, "0")
    if name in _UNSEEN:
        return None
    raise Unknown(f"{name} is not modelled")
