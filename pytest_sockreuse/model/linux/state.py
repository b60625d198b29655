"""Linux: what the kernel keeps of each port."""

from __future__ import annotations

from dataclasses import field

from ...dataclass import dataclass
from .. import machine
from ..sock import Sock, Tuple4


class Bucket:
    """The sockets of one port; what `inet_bind_bucket` remembers of them."""

    __slots__ = ("owners", "blocked", "fast", "fast_rp", "fast_sk", "free", "makers")

    def __init__(self) -> None:
        self.owners: list[Sock] = []
        self.blocked = False  # a bind() had it
        self.free: dict[str, bool] = {}  # inet_bind2_bucket: by address, whether only connect() chose it
        self.makers: dict[str, int] = {}  # by address, the family of the first socket there
        self.fast = self.fast_rp = 0  # fast_rp: 1 any address, 2 the remembered one
        self.fast_sk: tuple[str, int, str, bool] = ("", 0, "", False)  # address, family, user, v6only

    def copy_options(self, sk: Sock) -> None:
        self.fast_sk = (sk.laddr, sk.family, sk.user, sk.v6only)


@dataclass(slots=True)
class SctpBucket:
    """The sockets of one SCTP port; whether all share by SO_REUSEADDR, and whose they all are by SO_REUSEPORT."""

    owners: list[Sock] = field(default_factory=list)
    reuse: bool = False
    user: str = ""


@dataclass(slots=True)
class State:
    """The hash tables, by port: TCP's buckets, the sockets of UDP and UDP-Lite, and those of UDP that are connected."""

    tcp: dict[int, Bucket] = field(default_factory=dict)
    udp: dict[int, list[Sock]] = field(default_factory=dict)
    sctp: dict[int, SctpBucket] = field(default_factory=dict)
    sctp_lost: str = ""  # what an SCTP socket did that is not modelled
    lite: dict[int, list[Sock]] = field(default_factory=dict)
    connected: dict[Tuple4, list[Sock]] = field(default_factory=dict)  # by the 4-tuple for which each was put there
    members: list[Sock] = field(default_factory=list)  # the sockets that are in a multicast group


Machine = machine.Machine[State]
