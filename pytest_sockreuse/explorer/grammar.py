"""Random scenarios: bytes drawn by hypothesis, read as choices among few addresses, ports and options that collide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

SIZE = 160  # bytes that one scenario may use

T = TypeVar("T")

_HOSTS = {
    4: ("127.0.0.1", "127.0.0.1", "127.0.0.1", "0.0.0.0", "0.0.0.0", "127.0.0.2"),
    6: ("[::1]", "[::1]", "[::]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"),
}
_REUSE = ("SO_REUSEADDR", "SO_REUSEPORT")
_SELDOM = (
    "IP_BIND_ADDRESS_NO_PORT",
    "IP_LOCAL_PORT_RANGE=40000-40002",
    "IP_LOCAL_PORT_RANGE=40001-40001",
    "SO_LINGER=0",
    "TCP_LINGER2=-1",
    "SO_BINDTODEVICE=lo",
    "IP_FREEBIND",
)
_SETTINGS = (
    "net.ipv4.ip_autobind_reuse = 1",
    "net.ipv4.tcp_tw_reuse = 0",
    "net.ipv4.tcp_tw_reuse = 1",
    "net.ipv4.tcp_timestamps = 0",
    "net.ipv4.ip_local_reserved_ports = 40001",
    "net.ipv6.bindv6only = 1",
)
_PROTOCOLS = ("tcp",) * 10 + ("udp",) * 5 + ("mptcp",)
_TCP = "bind listen connect accept close set disconnect shutdown name send recv get".split()
_UDP = "bind connect close set disconnect name send sendto recv".split()
_WEIGHT = {
    "bind": 6, "listen": 5, "connect": 7, "accept": 5, "close": 6, "set": 4, "disconnect": 2, "shutdown": 2,
    "name": 4, "send": 2, "recv": 1, "get": 1, "sendto": 5,
}  # fmt: skip
_VERBS = {
    "tcp": tuple(verb for verb in _TCP for _ in range(_WEIGHT[verb])),
    "udp": tuple(verb for verb in _UDP for _ in range(_WEIGHT[verb])),
}
_NAMED = frozenset({"bind", "listen", "connect", "disconnect"})  # after which getsockname is worth asking


class Dice:
    """Reads bytes as choices; zeros when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def pick(self, options: Sequence[T]) -> T:
        return options[next(self._data, 0) % len(options)]

    def chance(self, percent: int) -> bool:
        """True in about `percent` of 100; never when the bytes are used up."""
        return 255 - next(self._data, 0) < percent * 256 // 100


@dataclass
class _Draft:
    """A scenario in the making: its theme, and the sockets that are open."""

    dice: Dice
    users: bool
    lines: list[str] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)  # name -> kind
    made: list[str] = field(default_factory=list)
    protocol: str = "tcp"
    families: tuple[int, ...] = (4,)
    common: tuple[str, ...] | None = None  # options that every socket has
    ports: tuple[str, ...] = ("P",)

    def begin(self) -> None:
        dice = self.dice
        self.protocol = dice.pick(_PROTOCOLS)
        self.families = dice.pick(((4,), (4,), (6,), (4, 6), (6, 4, 6)))
        self.common = dice.pick(((), _REUSE[:1], _REUSE[1:], _REUSE, None, None))
        self.users = self.users and dice.chance(20)
        self.ports = ("P",) * 5 + ("0", "0", "Q")
        if dice.chance(50):
            size = dice.pick((1, 1, 2, 2, 3, 4, 5))
            low = dice.pick((40000, 40001))
            self.lines.append(f"ephemeral {low}-{low + size - 1}")
            self.ports += ("40001",)
        if dice.chance(25):
            self.lines.append(f"sysctl {dice.pick(_SETTINGS)}")

    def socket(self) -> None:
        dice = self.dice
        name = f"{chr(65 + len(self.made) % 26)}{len(self.made) // 26 or ''}"
        family = dice.pick(self.families)
        protocol = self.protocol if not dice.chance(6) else dice.pick(("tcp", "udp"))
        options = [*self.common] if self.common is not None else [name for name in _REUSE if dice.chance(50)]
        if family == 6 and dice.chance(25):
            options.append("IPV6_V6ONLY")
        if dice.chance(15):
            options.append(dice.pick(_SELDOM))
        user = f" as {dice.pick(('user1', 'user2'))}" if self.users and dice.chance(60) else ""
        self.lines.append(f"{name} = {protocol}{family}({', '.join(options)}){user}")
        self._made(name, f"{protocol}{family}")
        if dice.chance(60):
            self.call(name, "bind")
            if protocol != "udp" and dice.chance(45):
                self.call(name, "listen")

    def _made(self, name: str, kind: str) -> None:
        self.open[name] = kind
        self.made.append(name)

    def address(self, kind: str) -> str:
        dice = self.dice
        family = int(kind[-1]) if not dice.chance(2) else 10 - int(kind[-1])
        port = dice.pick(self.ports)
        if self.made and dice.chance(30):
            port = f"{dice.pick(self.made)}.port"
        return f"{dice.pick(_HOSTS[family])}:{port}"

    def call(self, name: str, verb: str) -> None:
        dice, kind = self.dice, self.open[name]
        if verb == "accept":
            child = f"c{len(self.made)}"
            self.lines.append(f"{child} = {name}.accept()")
            self._made(child, kind)
            return
        argument = ""
        if verb in ("bind", "connect", "sendto"):
            argument = self.address(kind)
        elif verb == "set":
            argument = f"{dice.pick((*_REUSE, *_REUSE, 'IPV6_V6ONLY'))}={dice.pick('01')}"
        elif verb == "get":
            argument = dice.pick(_REUSE)
        elif verb == "shutdown":
            argument = dice.pick(("RD", "WR", "RDWR"))
        elif verb == "close":
            del self.open[name]
        survives = "?" if verb not in ("close", "name", "get") and dice.chance(50) else ""
        self.lines.append(f"{name}.{verb}({argument}){survives}")
        if verb in _NAMED and dice.chance(60):
            self.lines.append(f"{name}.name()")

    def step(self) -> None:
        dice = self.dice
        if not self.open or dice.chance(28):
            self.socket()
        elif dice.chance(1) and dice.chance(3):
            self.lines.append("wait 1.1")
        else:
            name = dice.pick(sorted(self.open))
            self.call(name, dice.pick(_VERBS["udp" if self.open[name].startswith("udp") else "tcp"]))


def scenario_text(data: bytes, users: bool) -> str:
    """The scenario that `data` chooses; `users` allows ``as user1``."""
    dice = Dice(data)
    draft = _Draft(dice, users)
    draft.begin()
    for _ in range(4 + dice.pick(range(10))):
        draft.step()
    return "\n".join(draft.lines) + "\n"
