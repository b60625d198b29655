"""Linux: the options of an MPTCP socket, where they are not those of TCP, its first subflow's."""

from __future__ import annotations

from ...scenario import Option
from ..clause import Book, Errno, Unknown
from ..sock import CLOSE, LISTEN, Sock
from . import multicast, options
from .state import Machine

BOOK = Book()
_SOURCE = "net/mptcp/sockopt.c"

DISABLED = BOOK(
    "mptcp-disabled",
    "With net.mptcp.enabled=0 there are no MPTCP sockets, ENOPROTOOPT.",
    "net/mptcp/protocol.c mptcp_init_sock",
)
PORT_OPTIONS = BOOK(
    "mptcp-port-options",
    "MPTCP has IP_LOCAL_PORT_RANGE and IP_BIND_ADDRESS_NO_PORT.",
    "c85636a29264 mptcp: support IP_LOCAL_PORT_RANGE",
    since=("6.8",),
)
MISSING = BOOK(
    "mptcp-options",
    "MPTCP has no IP_TTL (EOPNOTSUPP), TCP_LINGER2, TCP_SYNCNT, TCP_USER_TIMEOUT and multicast (ENOPROTOOPT, of "
    "getsockopt EOPNOTSUPP); it takes SO_BROADCAST and SO_DONTROUTE, and nothing comes of them.",
    f"{_SOURCE} mptcp_setsockopt, mptcp_getsockopt; before 6.1 it is not modelled",
    since=("6.1",),
)
FASTOPEN = BOOK(
    "mptcp-fastopen",
    "MPTCP has TCP_FASTOPEN.",
    "4ffb0a02346c mptcp: add TCP_FASTOPEN sock option",
    since=("6.2",),
)
REUSE_OPTIONS = BOOK(
    "mptcp-reuse-options",
    "SO_REUSEADDR and SO_REUSEPORT of MPTCP reach its first subflow; before they had no effect on its port.",
    "83f0c10bc36d net: use mptcp setsockopt function for SOL_SOCKET on mptcp sockets",
    "source",
    since=("5.9",),
)
AFTER = BOOK(
    "mptcp-connections",
    "A connection of MPTCP, or of MPTCP and TCP, holds its ports as one of TCP does.",
    "net/mptcp/protocol.c; before 6.1 it is not modelled",
    since=("6.1",),
)
AGAIN = BOOK(
    "mptcp-after-connection",
    "Of a failed or dissolved connection an MPTCP socket keeps the address that getsockname() tells, and no error.",
    "net/mptcp/protocol.c mptcp_connect (mptcp_copy_inaddrs), mptcp_disconnect; before 6.12 it is not modelled",
    since=("6.12",),
)
KEEPS = BOOK(
    "mptcp-close-keeps-connection",
    "What MPTCP closed goes on taking data until the peer ends too, and no TIME_WAIT stands for it.",
    "net/mptcp/protocol.c __mptcp_close",
)
FINS_CROSS = BOOK(
    "mptcp-ends-cross",
    "Once both ends of an MPTCP connection are closed, that of the first leaves TIME_WAIT, and that of the second may.",
    "net/mptcp/protocol.c mptcp_check_data_fin, __mptcp_close_subflow",
)
CONNECTED = BOOK(
    "mptcp-options-before-connect",
    "SO_REUSEADDR, SO_REUSEPORT, SO_BINDTODEVICE, TCP_FASTOPEN and the options of IPv6 are EINVAL once MPTCP is "
    "connected, and so is bind(), to any address.",
    f"{_SOURCE} mptcp_setsockopt_sol_socket (__mptcp_nmpc_socket)",
)
FALLBACK = BOOK(
    "mptcp-options-of-fallback",
    "SO_REUSEADDR and SO_REUSEPORT are no error while MPTCP is connected to itself or to TCP, which is a connection of "
    "TCP.",
    "net/mptcp/protocol.c __mptcp_nmpc_socket (can_ack), until ddb1a072f858",
    until=("6.4",),
)
TELLS = BOOK(
    "mptcp-tells-what-was-set",
    "getsockopt() of MPTCP tells IPV6_V6ONLY, IP_FREEBIND and IP_TRANSPARENT as the program set them, on AF_INET too; "
    "before it was EOPNOTSUPP.",
    f"{_SOURCE} mptcp_getsockopt_v6, 8c3963375988 mptcp: sockopt: fix getting IPV6_V6ONLY, and its backports",
    confidence="inferred",
    since=("6.1.134", "6.6.87", "6.12.23", "6.13.11", "6.14.2", "6.15"),
)

_IGNORED = frozenset({"SO_BROADCAST", "SO_DONTROUTE"})
_MISSING = frozenset({"IP_TTL", "TCP_LINGER2", "TCP_SYNCNT", "TCP_USER_TIMEOUT"})
_PORTS = frozenset({"IP_LOCAL_PORT_RANGE", "IP_BIND_ADDRESS_NO_PORT"})
_TOLD = frozenset({"IPV6_V6ONLY", "IP_FREEBIND", "IPV6_FREEBIND", "IP_TRANSPARENT", "IPV6_TRANSPARENT"})
_BEFORE_ALONE = frozenset({"IPV6_V6ONLY", "IPV6_FREEBIND", "IPV6_TRANSPARENT", "TCP_FASTOPEN"})
_AT_ANY_TIME = _IGNORED | frozenset(
    "SO_LINGER SO_KEEPALIVE SO_PRIORITY SO_MARK SO_RCVBUF SO_SNDBUF IP_TOS TCP_NODELAY TCP_DEFER_ACCEPT".split()
)
_ALWAYS = frozenset({"SO_REUSEADDR", "SO_REUSEPORT", "SO_LINGER", "IPV6_V6ONLY"})


def check_unconnected(m: Machine, sk: Sock) -> None:
    """__mptcp_nmpc_sk. Raises Errno."""
    if sk.state not in (CLOSE, LISTEN) and CONNECTED in m.on and (sk.twofold or FALLBACK not in m.on):
        raise Errno("EINVAL", CONNECTED)


def apply(m: Machine, sk: Sock, option: Option) -> None:
    """setsockopt(2). Raises Errno, and Unknown on kernels where that is not known."""
    name = option.name
    if _of_groups(name):
        _check(m, name, "", "")
        raise Errno("ENOPROTOOPT", MISSING)
    if _fell_back(m, sk, name) and name != "TCP_LINGER2":
        options.apply(m, sk, option)
        return
    if sk.state not in (CLOSE, LISTEN):
        late = name == "SO_BINDTODEVICE" or (sk.twofold and name in _BEFORE_ALONE)
        always = name in _AT_ANY_TIME or (sk.twofold and name in _MISSING)
        if name not in ("SO_REUSEADDR", "SO_REUSEPORT") and not ((late or always) and AGAIN in m.on):
            raise Unknown(f"{name} on connected MPTCP")
        if not always:
            check_unconnected(m, sk)
    _check(m, name, "ENOPROTOOPT" if name == "IP_LOCAL_PORT_RANGE" else "EOPNOTSUPP", "ENOPROTOOPT")
    if name in _MISSING:
        if name != "IP_TTL":
            options.value_of(option)
        raise Errno("EOPNOTSUPP" if name == "IP_TTL" else "ENOPROTOOPT", MISSING)
    if name in _IGNORED:
        return
    if name == "TCP_DEFER_ACCEPT" and option.raw is not None and len(option.raw) < 4:
        return  # which does not fail
    if name in ("SO_REUSEADDR", "SO_REUSEPORT", "IPV6_V6ONLY") and REUSE_OPTIONS not in m.on:
        if name == "IPV6_V6ONLY":
            raise Unknown("IPV6_V6ONLY on MPTCP before 5.9")
        sk.options[name] = str(int(bool(options.value_of(option))))
        return
    options.apply(m, sk, option)
    if name == "IPV6_V6ONLY":
        sk.options[name] = str(int(sk.v6only))


def read(m: Machine, sk: Sock, option: Option) -> str | None:
    """getsockopt(2). Raises Errno, and Unknown on kernels where that is not known."""
    name = option.name
    if _fell_back(m, sk, name):
        return options.read(m, sk, option)
    if (sk.tried or sk.connected) and AGAIN not in m.on:
        raise Unknown("MPTCP after connect()")
    _check(m, name, "EOPNOTSUPP", "EOPNOTSUPP")
    if sk.connected and sk.state == CLOSE:
        raise Unknown("options of MPTCP after a reset")
    if name in _MISSING or _of_groups(name):
        raise Errno("EOPNOTSUPP", MISSING)
    if name in ("SO_REUSEADDR", "SO_REUSEPORT") and REUSE_OPTIONS not in m.on:
        return sk.options.get(name, "0")
    if name in _TOLD:
        if TELLS not in m.on:
            raise Errno("EOPNOTSUPP", options.NO_OPTION)
        default = m.env.get("net.ipv6.bindv6only", "0") if name == "IPV6_V6ONLY" and sk.family == 6 else "0"
        return sk.options.get(options.name_of(m, name), default)
    return "0" if name in _IGNORED else options.read(m, sk, option)


def _fell_back(m: Machine, sk: Sock, name: str) -> bool:
    """__mptcp_tcp_fallback: whether the connection is one of TCP, whose options these are."""
    connected = sk.state not in (CLOSE, LISTEN)
    return connected and not sk.twofold and not name.startswith("SO_") and AGAIN in m.on


def _of_groups(name: str) -> bool:
    return "MULTICAST" in name or name in multicast.MEMBERSHIPS


def _check(m: Machine, name: str, no_port_option: str, no_fastopen: str) -> None:
    if name in _PORTS and PORT_OPTIONS not in m.on:
        raise Errno(no_port_option, options.NO_OPTION)
    if name not in _ALWAYS | _PORTS and MISSING not in m.on:
        raise Unknown(f"{name} on MPTCP")
    if name == "TCP_FASTOPEN" and FASTOPEN not in m.on:
        raise Errno(no_fastopen, options.NO_OPTION)
