"""Wine 8 to 10 on Linux: the calls. Its server has a table of addresses and options of its own, the host does the rest.

The host is taken to be the newest Linux that is known: what that does differently from an older one shows here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from ...platforms import Platform, known
from ...scenario import Option
from ..clause import Book, Declared, Errno, TimeUp, Unknown
from ..linux import calls as linux
from ..linux.address import kind_of
from ..linux.state import Machine
from ..ports import Value
from ..sock import CLOSE, LISTEN, Sock
from . import addresses
from .addresses import RUN, State, reuses

HOST = linux.BOOK
_SERVER = "server/sock.c"


class _Book(Book):
    """Wine's own clauses, by its version, and those of the host, by that one's."""

    def on(self, platform: Platform) -> frozenset[Declared]:
        own = frozenset(self.declared[name] for name in self.clauses.keys() - HOST.clauses.keys())
        return super().on(platform) & own | HOST.on(_linux())


@cache
def _linux() -> Platform:
    return [platform for platform in known() if platform.stack == "linux"][-1]


BOOK = _Book(HOST, addresses.BOOK)
DENIED = BOOK(
    "reuseaddr-denied",
    "Where the host says EADDRINUSE to a socket with SO_REUSEADDR, bind() is EACCES.",
    f"{_SERVER} sock_ioctl (IOCTL_AFD_BIND); {RUN}",
    "source",
)
HOST_REUSES = BOOK(
    "tcp-reuses-on-the-host",
    "On the host every TCP socket has SO_REUSEADDR, whatever the program sets; a UDP socket has what it sets.",
    f"{_SERVER} init_socket; {RUN}",
    "source",
)
V6ONLY_DEFAULT = BOOK(
    "v6only-by-default", "IPV6_V6ONLY is 1 unless cleared.", f"{_SERVER} init_socket; {RUN}", "source"
)
V6ONLY_OF_IPV4 = BOOK(
    "v6only-of-ipv4",
    "IPV6_V6ONLY of an IPv4 socket does nothing, and is EINVAL once it is bound.",
    f"dlls/ntdll/unix/socket.c; {RUN}",
    "source",
)
BOTH = BOOK(
    "reuseaddr-or-exclusive",
    "SO_REUSEADDR and SO_EXCLUSIVEADDRUSE on one socket is EINVAL, in either order, until the first is cleared.",
    f"{_SERVER} sock_ioctl (IOCTL_AFD_WINE_SET_SO_REUSEADDR); {RUN}",
    "source",
)
NO_PROTOCOL = BOOK(
    "winsock-has-no-such-protocol",
    "A socket of MPTCP, SCTP or UDP-Lite is EPROTONOSUPPORT.",
    f"{_SERVER} init_socket (get_unix_protocol); {RUN}",
    "source",
)
NO_OPTION = BOOK(
    "winsock-has-no-such-option",
    "There is no SO_REUSEPORT, nor an option that Linux has for ports: ENOPROTOOPT.",
    f"dlls/ws2_32/socket.c setsockopt; {RUN}",
    "source",
)
BOUND_FIRST = BOOK(
    "bound-before-that",
    "listen(), and getsockname(), of a socket that is neither bound nor connected is EINVAL.",
    f"{_SERVER} sock_ioctl (IOCTL_AFD_LISTEN, IOCTL_AFD_GETSOCKNAME); {RUN}",
    "source",
)
ON_LISTENER = BOOK(
    "connect-on-listener",
    "connect() on a listening socket is EINVAL.",
    f"{_SERVER} sock_ioctl (IOCTL_AFD_WINE_CONNECT); {RUN}",
    "source",
)
TRANSLATED = BOOK(
    "errors-of-the-host",
    "Of the host's errors EAFNOSUPPORT becomes EOPNOTSUPP, EDESTADDRREQ EINVAL, and EPIPE ECONNRESET, after the "
    "program's own shutdown() ESHUTDOWN.",
    f"{_SERVER} sock_get_ntstatus; {RUN}",
    "source",
)
UDP_ANYWHERE = BOOK(
    "udp-binds-the-wildcard",
    "A UDP socket that is bound to an IPv4 address other than 0.0.0.0 and 127.0.0.1, local or not, is bound to the "
    "wildcard on the host.",
    f"{_SERVER} bind_to_interface; {RUN}",
    "source",
    until=("10",),
)
UDP_BOUND_FIRST = BOOK(
    "udp-listen-looks-at-bind",
    "listen() on UDP is EINVAL unless it is bound, and then EOPNOTSUPP.",
    f"{_SERVER} sock_ioctl (IOCTL_AFD_LISTEN); {RUN}",
    "source",
    until=("10",),
)
NOT_SHUT = BOOK(
    "not-connected-to-shut",
    "shutdown() of a TCP socket that is not connected is ENOTCONN and does nothing: a listener goes on listening.",
    f"{_SERVER} sock_ioctl (IOCTL_AFD_WINE_SHUTDOWN); {RUN}",
    "source",
)
AT_ACCEPT = BOOK(
    "flags-at-accept",
    "An accepted socket has SO_REUSEADDR and SO_EXCLUSIVEADDRUSE as its listener has them at accept().",
    f"{_SERVER} accept_socket; {RUN}",
)
LISTENER_WAITS = BOOK(
    "listener-waits-to-send",
    "send() on a listening socket waits for ever.",
    RUN,
)
IGNORED = BOOK(
    "port-options-ignored",
    "SO_RANDOMIZE_PORT, SO_PORT_SCALABILITY and SO_REUSE_UNICASTPORT are taken and do nothing; getsockopt() of them is "
    "ENOPROTOOPT.",
    RUN,
)
LAST_HANDLE = BOOK(
    "last-handle-closes",
    "closesocket() of one of several handles leaves the socket as it is; the last one closes it.",
    f"{_SERVER} sock_close_handle",
    "source",
)

_FLAGS = {"SO_REUSEADDR": "SO_EXCLUSIVEADDRUSE", "SO_EXCLUSIVEADDRUSE": "SO_REUSEADDR"}
_TAKEN = frozenset({"SO_RANDOMIZE_PORT", "SO_PORT_SCALABILITY", "SO_REUSE_UNICASTPORT"})
_HOST = frozenset("IPV6_V6ONLY SO_LINGER SO_BROADCAST SO_KEEPALIVE SO_DONTROUTE TCP_NODELAY".split())


class Wine(linux.Linux):
    """The calls on Wine: what its server decides, then the host's."""

    scopes = False
    no_option = NO_OPTION
    shared = LAST_HANDLE

    def begin(self, m: Machine) -> State:
        # What is loopback's is local already: nobody gives it to a device for Wine.
        m.addresses = frozenset(address for address in m.addresses if kind_of(address) != "loopback")
        return State()

    def socket(self, m: Machine, proto: str, family: int, user: str) -> Sock:
        if proto not in ("tcp", "udp"):
            raise Errno("EPROTONOSUPPORT", NO_PROTOCOL)
        sk = super().socket(m, proto, family, user)
        sk.ra = proto == "tcp" and HOST_REUSES in m.on
        sk.v6only = family == 6 and V6ONLY_DEFAULT in m.on
        return sk

    def set(self, m: Machine, sk: Sock, option: Option) -> None:
        name = option.name
        if option.raw is not None:
            raise Unknown(f"raw {name}")
        if name in _FLAGS:
            self._flag(m, sk, name, option.value != "0")
        elif name == "IPV6_V6ONLY" and sk.family == 4:
            if _bound(sk):
                raise Errno("EINVAL", V6ONLY_OF_IPV4)
            m.clause = V6ONLY_OF_IPV4
        elif name in _HOST:
            super().set(m, sk, option)
        elif name in _TAKEN and IGNORED in m.on:
            m.clause = IGNORED
        else:
            raise Unknown(f"{name} on Wine")

    @staticmethod
    def _flag(m: Machine, sk: Sock, name: str, flag: bool) -> None:
        if flag and sk.options.get(_FLAGS[name]) == "1":
            raise Errno("EINVAL", BOTH)
        sk.options[name] = str(int(flag))
        if name == "SO_REUSEADDR" and (sk.proto == "udp" or HOST_REUSES not in m.on):
            sk.ra = flag

    def get(self, m: Machine, sk: Sock, option: Option) -> str | None:
        if option.name in _FLAGS:
            return sk.options.get(option.name, "0")
        if option.name in _TAKEN:
            raise Errno("ENOPROTOOPT", IGNORED)
        if option.name not in _HOST or (option.name == "IPV6_V6ONLY" and sk.family == 4):
            raise Unknown(f"{option.name} on Wine")
        return super().get(m, sk, option)

    def name(self, m: Machine, sk: Sock) -> Value:
        self._answered(sk)
        if sk.options.get("elsewhere"):
            raise Unknown("the name of a UDP socket that is bound elsewhere than it asked for")
        if not _bound(sk):
            raise Errno("EINVAL", BOUND_FIRST)
        return super().name(m, sk)

    def bind(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        self._answered(sk)
        if (_bound(sk) or sk.connected) and linux.BOUND_ONCE in m.on:
            raise Errno("EINVAL", linux.BOUND_ONCE)
        tracked = sk.proto == "tcp" and (":" in host) == (sk.family == 6)
        if tracked and port:
            addresses.check(m, sk, host, port)
        if sk.proto == "udp" and sk.family == 4 and ":" not in host and host not in ("0.0.0.0", "127.0.0.1"):
            host = self._anywhere(m, sk, host)
        with _translated(m):
            try:
                super().bind(m, sk, host, port)
            except Errno as error:
                if error.name == "EADDRINUSE" and reuses(sk) and DENIED in m.on:
                    raise Errno("EACCES", m.met(m.other, DENIED)) from None
                raise
        if tracked:
            addresses.enter(m, sk, host)

    @staticmethod
    def _anywhere(m: Machine, sk: Sock, host: str) -> str:
        if UDP_ANYWHERE in m.on:
            m.clause = UDP_ANYWHERE
            sk.options["elsewhere"] = "1"
            return "0.0.0.0"
        if host in m.addresses:
            raise Unknown("binding UDP to the address of an interface")
        return host

    @staticmethod
    def _answered(sk: Sock) -> None:
        if sk.options.get("failed"):
            raise Unknown("a socket whose connect() has failed")

    @staticmethod
    def _undisturbed(sk: Sock) -> None:
        if sk.error:
            raise Unknown("what a program hears of a reset, or of a datagram to nobody")

    def listen(self, m: Machine, sk: Sock, backlog: int) -> None:
        self._answered(sk)
        if sk.proto == "udp":
            if not _bound(sk) and UDP_BOUND_FIRST in m.on:
                raise Errno("EINVAL", UDP_BOUND_FIRST)
        elif not _bound(sk) and BOUND_FIRST in m.on:
            raise Errno("EINVAL", BOUND_FIRST)
        super().listen(m, sk, backlog)

    def connect(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        self._answered(sk)
        if sk.state == LISTEN:
            raise Errno("EINVAL", ON_LISTENER)
        unbound = sk.proto == "udp" and not sk.shown
        try:
            with _translated(m):
                super().connect(m, sk, host, port)
        except Errno as error:
            if unbound or error.name == "ECONNREFUSED":
                sk.options["failed"] = "1"
            raise

    def accept(self, m: Machine, sk: Sock) -> Sock | None:
        child = super().accept(m, sk)
        if child is not None and AT_ACCEPT in m.on:
            child.options |= {name: sk.options.get(name, "0") for name in _FLAGS}
        return child

    def receive(self, m: Machine, sk: Sock, all_: bool) -> bool:
        self._undisturbed(sk)
        return super().receive(m, sk, all_)

    def send(self, m: Machine, sk: Sock, host: str, port: int) -> None:
        self._answered(sk)
        self._undisturbed(sk)
        if sk.state == LISTEN and LISTENER_WAITS in m.on:
            raise TimeUp(LISTENER_WAITS)
        with _translated(m, sk.shut_wr):
            super().send(m, sk, host, port)

    def disconnect(self, m: Machine, sk: Sock) -> None:
        if sk.state == LISTEN:
            raise Errno("EINVAL", ON_LISTENER)
        if sk.proto == "tcp" and sk.connected:
            raise Errno("EISCONN", linux.CONNECTED)
        if sk.proto == "tcp" or not _bound(sk):
            raise Unknown("connect() with AF_UNSPEC on Wine")
        self._answered(sk)
        super().disconnect(m, sk)
        sk.options["bound"] = "1"

    def shutdown(self, m: Machine, sk: Sock, how: str) -> None:
        if sk.proto == "udp":
            raise Unknown("shutdown() of UDP on Wine")
        if not sk.connected:
            raise Errno("ENOTCONN", NOT_SHUT)
        if sk.state != CLOSE:
            super().shutdown(m, sk, how)

    def close(self, m: Machine, sk: Sock) -> None:
        addresses.leave(m, sk)
        super().close(m, sk)


def _bound(sk: Sock) -> bool:
    """Whether Wine takes `sk` to be bound, also after the host let its port go."""
    return bool(sk.shown) or "bound" in sk.options


@contextmanager
def _translated(m: Machine, shut: bool = False) -> Iterator[None]:
    """The host's errors as Winsock tells them; `shut`: the program has ended its sending side."""
    names = {"EAFNOSUPPORT": "EOPNOTSUPP", "EDESTADDRREQ": "EINVAL", "EPIPE": "ESHUTDOWN" if shut else "ECONNRESET"}
    try:
        yield
    except Errno as error:
        if error.name not in names or TRANSLATED not in m.on:
            raise
        raise Errno(names[error.name], TRANSLATED) from None


def covers(platform: Platform) -> str:
    """Why this version is not modelled; empty if it is."""
    if platform.version[0] == 9:
        return "Wine 9 is not modelled: which of the changes from 8 to 10 it has is not known"
    return "" if platform.version >= (8,) else "Wine before 8 is not modelled"


def family(_platform: Platform, _on: frozenset[Declared]) -> Wine:
    """The family of a Wine."""
    return Wine()
