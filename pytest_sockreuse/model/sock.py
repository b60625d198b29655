"""A socket as the models have it, and the states that TCP may be in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from math import inf

CLOSE, LISTEN, SYN_RECV, ESTABLISHED = "CLOSE", "LISTEN", "SYN_RECV", "ESTABLISHED"
FIN_WAIT2, CLOSE_WAIT, LAST_ACK, TIME_WAIT = "FIN_WAIT2", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"


@lru_cache(1024)
def _written(address: str) -> str:
    """An IPv6 address as inet_ntop writes it: the last half of an IPv4-compatible one in decimals."""
    number = int(IPv6Address(address))
    return f"::{IPv4Address(number)}" if 0xFFFF < number < 1 << 32 else address


_FALSE, _ZERO, _EMPTY = (False,) * 21, (0,) * 7, ("",) * 6
_NONE, _ENDLESS = frozenset[tuple[str, str]](), (inf, inf)

Tuple4 = tuple[str, int, str, int]  # local address and port, foreign address and port


class Sock:
    """A socket as the kernel has it: one that a name holds, a child, an orphan, or what TIME_WAIT keeps of one.

    `laddr` is canonical, a v4-mapped address is its IPv4 address; `port` is the port it holds (0: none), `shown` the
    one that getsockname reports.
    """

    __slots__ = (
        "proto mptcp lite family user options ra rp v6only device no_port port_range linger linger2 nonlocal_ laddr "
        "port shown raddr rport state connected addr_lock port_lock auto queue backlog group conns peer rx error fin "
        "ended shut_rd shut_wr open descriptors half since ends timestamps bound_at mapped tried twofold warm past "
        "told source groups"
    ).split()

    def __init__(self, proto: str, family: int, user: str) -> None:
        self.proto, self.family, self.user = proto, family, user
        self.options: dict[str, str] = {}  # those with no bearing on ports
        self.laddr = "0.0.0.0" if family == 4 else "::"
        self.state = CLOSE
        self.open = self.timestamps = True  # open: a descriptor refers to it,
        self.descriptors = 1  # or several, if it is open
        self.linger = -1
        self.port_range = (0, 0)
        self.ends = _ENDLESS  # when time alone ends it: at the earliest, at the latest
        self.groups: frozenset[tuple[str, str]] = _NONE  # Linux: multicast groups, each with a device
        self.queue: list[Sock] = []
        self.group: list[Sock] | None = None  # SO_REUSEPORT members, shared
        self.peer: Sock | None = None
        (  # all at once, which takes half the time: every prediction makes several
            self.lite,
            self.mptcp,
            self.ra,
            self.rp,
            self.v6only,
            self.no_port,
            self.nonlocal_,
            self.connected,  # the descriptor was connected and not disconnected since
            self.addr_lock,  # bind() named the address,
            self.port_lock,  # the port
            self.auto,  # connect() chose the port
            self.conns,  # Linux UDP: of the group a member connected, and may have left since
            self.fin,
            self.ended,  # the peer's end has come; SCTP: before accept()
            self.shut_rd,
            self.shut_wr,
            self.half,  # TIME_WAIT: in truth FIN_WAIT2; SYN_RECV: its ACK is still to come; SCTP: its data's is
            self.twofold,  # a connection of MPTCP on both sides, whose ends are not those of its TCP connection
            self.tried,  # MPTCP that a connection was tried with; UDP whose connect() failed while it was connected
            self.warm,  # Linux UDP: it got a datagram while it was connected; SCTP: the next it acknowledges late
            self.mapped,  # an AF_INET6 socket that sent a SYN by IPv4
        ) = _FALSE
        (
            self.linger2,  # seconds of FIN_WAIT2 without a descriptor; 0 the default, negative none
            self.port,
            self.shown,
            self.rport,
            self.backlog,
            self.rx,
            self.bound_at,
        ) = _ZERO
        (
            self.device,
            self.raddr,
            self.error,
            self.past,  # Linux UDP over IPv6: the peer before it was disconnected
            self.source,  # Linux UDP: from where it sends IPv4 since it connected, if not from `laddr`
            self.told,  # what getsockname reports: of MPTCP, if not its subflow's; of SCTP that is connected
        ) = _EMPTY
        self.since = 0.0

    @property
    def key(self) -> Tuple4:
        return self.laddr, self.port, self.raddr, self.rport

    @property
    def any_(self) -> bool:
        return self.laddr == "0.0.0.0" or self.laddr == "::"

    @property
    def host(self) -> str:
        """The local address as getsockname prints it."""
        if self.family == 4:
            return self.laddr
        return f"[{_written(self.laddr)}]" if ":" in self.laddr else f"[::ffff:{self.laddr}]"

    def have(self, names: Iterable[str], other: Sock) -> None:
        """Take over attributes of another socket."""
        for name in names:
            setattr(self, name, getattr(other, name))
