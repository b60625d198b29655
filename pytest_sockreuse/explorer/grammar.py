"""Random scenarios: random bytes, read as choices among few addresses, ports and options that collide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..live.sandbox import ALL_LOCAL
from ..options import options

SIZE = 240  # bytes that one scenario may use

T = TypeVar("T")

_HOSTS = {
    4: ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "0.0.0.0", "0.0.0.0", "127.0.0.2", "127.0.0.6"),
    6: ("[::1]", "[::1]", "[::]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"),
}
_RARE_HOSTS = {
    4: ("127.255.255.255", "127.255.255.255", "255.255.255.255", "192.0.2.1", "127.0.0.3"),
    6: (
        "[::ffff:127.0.0.2]",
        "[::ffff:127.0.0.6]",
        "[::ffff:127.255.255.255]",
        "[::ffff:192.0.2.1]",
        "[::127.0.0.1]",
        "[::2]",
    ),
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
    "IPV6_FREEBIND",
    "SO_BROADCAST",
    "IP_FREEBIND, IPV6_FREEBIND=0",
    "IPV6_TRANSPARENT, IP_TRANSPARENT=0",
    "TCP_LINGER2=121",
)
#: Values that tell something, by the form of an option.
_VALUES = {
    "flag": ("0", "1", "1", "raw:", "raw:00", "raw:0100", "raw:01000000", "raw:0000000001"),
    "int": ("0", "1", "-1", "raw:", "raw:01", "raw:05000000"),
    "linger": ("0", "off", "1", "0"),
    "range": ("40000-40002", "40001-40001", "0-0", "40001-0", "0-40001", "40002-40001", "raw:419c", "raw:419c419c"),
    "text": ("lo", "lo", "nosuch", "raw:6c6f", "raw:6c6f006c", "raw:", "raw:00"),
}
_SOME_VALUES = {
    "TCP_LINGER2": ("-1", "0", "1", "60", "120", "121", "100000", "-5", "raw:ffffffff", "raw:01"),
    "TCP_USER_TIMEOUT": ("0", "150", "-1"),
    "TCP_SYNCNT": ("0", "1", "127", "128"),
    "SO_PRIORITY": ("0", "6", "7"),
    "IP_TTL": ("0", "1", "255", "256", "-1"),
}
#: Settings that tell something, by the system that has them.
_SETTINGS = {
    "linux": (
        "net.ipv4.ip_autobind_reuse = 1",
        "net.ipv4.tcp_tw_reuse = 0",
        "net.ipv4.tcp_tw_reuse = 1",
        "net.ipv4.tcp_timestamps = 0",
        "net.ipv4.ip_local_reserved_ports = 40001",
        "net.ipv6.bindv6only = 1",
        "net.ipv4.ip_nonlocal_bind = 1",
        "net.ipv6.ip_nonlocal_bind = 1",
        "net.ipv6.conf.all.disable_ipv6 = 1",
        "net.ipv6.conf.lo.disable_ipv6 = 1",
        "net.ipv4.tcp_max_tw_buckets = 0",
        "net.ipv4.tcp_max_tw_buckets = 1",
        "net.ipv4.tcp_migrate_req = 1",
        "net.core.somaxconn = 0",
        "net.core.somaxconn = 1",
        "net.ipv4.tcp_fin_timeout = 90",
        "net.ipv4.tcp_abort_on_overflow = 1",
    ),
    "freebsd": (
        "net.inet6.ip6.v6only = 0",
        "net.inet.tcp.nolocaltimewait = 0",
        "net.inet.tcp.require_unique_port = 1",
        "net.inet.ip.connect_inaddr_wild = 1",
        "net.inet.ip.portrange.randomized = 0",
        "net.inet.ip.portrange.reservedhigh = 0",
        "net.inet.ip.portrange.hilast = 49153",
    ),
    "netbsd": ("net.inet6.ip6.v6only = 0",),
}
_PROTOCOLS = ("tcp",) * 20 + ("udp",) * 11 + ("mptcp",) * 2
_ALL_PROTOCOLS = ("tcp", "tcp", "udp", "udp", "mptcp", "udplite", "sctp")
#: Options that every socket has where a setting would have no say without them.
_FOR_SETTING = {"net.ipv4.ip_autobind_reuse": _REUSE[:1], "net.ipv4.tcp_migrate_req": _REUSE[1:]}
_TCP = "bind listen connect accept close set disconnect shutdown name send recv get".split()
_UDP = "bind connect close set disconnect shutdown name send sendto recv get listen accept".split()
_CONNECTED = "send recv shutdown close set disconnect eof name get".split()
_WEIGHT = {
    "bind": 6, "listen": 5, "connect": 7, "accept": 5, "close": 6, "set": 4, "disconnect": 2, "shutdown": 2,
    "name": 4, "send": 2, "recv": 2, "get": 2, "sendto": 5, "eof": 1,
}  # fmt: skip
_CONNECTED_WEIGHT = _WEIGHT | {"send": 7, "recv": 7, "shutdown": 6, "close": 7, "name": 1, "get": 1, "set": 2}


def _weighed(verbs: Sequence[str], weight: dict[str, int]) -> tuple[str, ...]:
    return tuple(verb for verb in verbs for _ in range(weight[verb]))


_VERBS = {"tcp": _weighed(_TCP, _WEIGHT), "udp": _weighed(_UDP, _WEIGHT | {"listen": 1, "accept": 1, "recv": 5})}
_VERBS_CONNECTED = _weighed(_CONNECTED, _CONNECTED_WEIGHT)
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
    stack: str
    lines: list[str] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)  # name -> kind
    made: list[str] = field(default_factory=list)
    talking: set[str] = field(default_factory=set)  # those that were connected to each other
    protocol: str = "tcp"
    families: tuple[int, ...] = (4,)
    common: tuple[str, ...] | None = None  # options that every socket has
    ports: tuple[str, ...] = ("P",)
    devices: tuple[str, ...] = ()

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
        settings = _SETTINGS.get(self.stack, ())
        if settings and dice.chance(25):
            setting = dice.pick(settings)
            self.lines.append(f"sysctl {setting}")
            name = setting.partition(" ")[0]
            self.common = _FOR_SETTING.get(name, self.common)
            if name.startswith(("net.ipv4.tcp_", "net.core.")):
                self.protocol = "tcp"
        if self.stack not in ALL_LOCAL and dice.chance(50):
            self.lines.append("address 127.0.0.2")
        if dice.chance(3):
            self.lines.append("device d1")
            self.devices = ("d1",)

    def socket(self) -> str:
        """A socket, which may be bound, and listen."""
        dice = self.dice
        family = dice.pick(self.families)
        protocol = self.protocol if not dice.chance(6) else dice.pick(_ALL_PROTOCOLS)
        name = self._made(f"{protocol}{family}")
        options = [*self.common] if self.common is not None else [name for name in _REUSE if dice.chance(50)]
        if family == 6 and dice.chance(25):
            options.append("IPV6_V6ONLY")
        if dice.chance(15):
            options.append(dice.pick(_SELDOM))
        if dice.chance(4):
            options.append(self.option())
        user = f" as {dice.pick(('user1', 'user2'))}" if self.users and dice.chance(60) else ""
        self.lines.append(f"{name} = {protocol}{family}({', '.join(options)}){user}")
        if dice.chance(60):
            self.call(name, "bind")
            if protocol != "udp" and dice.chance(45):
                self.call(name, "listen")
        return name

    def connection(self) -> None:
        """A listener, a client and the accepted socket: what they do next, and how they end, is left to chance."""
        dice = self.dice
        family = dice.pick(self.families)
        host = dice.pick(("127.0.0.1",) if family == 4 else ("[::1]", "[::ffff:127.0.0.1]"))
        rare = [option for option in (*_REUSE, "TCP_LINGER2=-1", "TCP_LINGER2=61", "SO_LINGER=0") if dice.chance(12)]
        listener, client = self._made(f"tcp{family}"), self._made(f"tcp{family}")
        self.lines += [
            f"{listener} = tcp{family}({', '.join(rare)})",
            f"{listener}.bind({host}:{'R' if dice.chance(70) else dice.pick(self.ports)})",
            f"{listener}.listen()",
            f"{client} = tcp{family}({', '.join(option for option in rare if dice.chance(50))})",
        ]
        if dice.chance(40):
            self.call(client, "bind")
        self.lines.append(f"{client}.connect({host}:{listener}.port)")
        self.talking.add(client)
        if dice.chance(15):
            return
        server = self.accept(listener)
        self.talking.add(server)
        if dice.chance(25):
            self.again(listener, client, server, host)

    def again(self, listener: str, client: str, server: str, host: str) -> None:
        """The connection ends, and another socket wants its port, or the same peer."""
        dice = self.dice
        for name in dice.pick(((client, server), (server, client), (client,), (server,))):
            self.call(name, "close")
        if dice.chance(2):
            self.lines.append("wait 1.1")
        name = self._made(self.open[listener])
        self.lines.append(f"{name} = {self.open[listener]}({', '.join(self.common or ())})")
        verb, port = dice.pick((("connect", f"{listener}.port"), ("bind", f"{client}.port")))
        self.lines.append(f"{name}.{verb}({host}:{port})?")

    def crowd(self) -> None:
        """More connections than a small backlog takes; or more sockets than the range has ports."""
        dice = self.dice
        family = dice.pick(self.families)
        host = "127.0.0.1" if family == 4 else "[::1]"
        common, many = ", ".join(self.common or ()), f"m{len(self.made)}x"
        self.made.append(f"{many}1")
        if dice.chance(50):
            kind = f"{dice.pick(('tcp', 'udp'))}{family}"
            self.lines += [f"{many}[1-4] = {kind}({common})", f"{many}[1-4].bind({host}:0)?"]
            return
        listener = self._made(f"tcp{family}")
        self.lines += [
            f"{listener} = tcp{family}({common})",
            f"{listener}.listen({dice.pick('018')})",
            f"{many}[1-3] = tcp{family}(TCP_USER_TIMEOUT=20)",
            f"{many}[1-3].connect({host}:{listener}.port)?",
        ]

    def deaf(self) -> None:
        """A socket that is bound to a v4-mapped address without a port, and made IPV6_V6ONLY then."""
        name = self._made(f"{self.dice.pick(('tcp', 'udp'))}6")
        self.lines += [
            f"{name} = {self.open[name]}(IP_BIND_ADDRESS_NO_PORT)",
            f"{name}.bind([::ffff:127.0.0.1]:0)",
            f"{name}.set(IPV6_V6ONLY)",
            f"{name}.listen()?" if self.open[name] == "tcp6" else f"{name}.sendto([::ffff:127.0.0.1]:P)?",
        ]

    def _made(self, kind: str) -> str:
        name = f"{chr(65 + len(self.made) % 26)}{len(self.made) // 26 or ''}"
        self.open[name] = kind
        self.made.append(name)
        return name

    def accept(self, listener: str) -> str:
        name = f"c{len(self.made)}"
        self.lines.append(f"{name} = {listener}.accept()")
        self.open[name] = self.open[listener]
        self.made.append(name)
        return name

    def address(self, kind: str) -> str:
        dice = self.dice
        family = int(kind[-1]) if not dice.chance(2) else 10 - int(kind[-1])
        port = dice.pick(self.ports)
        if self.made and dice.chance(30):
            port = f"{dice.pick(self.made)}.port"
        return f"{dice.pick((_RARE_HOSTS if dice.chance(7) else _HOSTS)[family])}:{port}"

    def option(self) -> str:
        """Any option with any value of its form."""
        name = self.dice.pick([*options()])
        form = options()[name].form
        values = _SOME_VALUES.get(name, _VALUES[form])
        return f"{name}={self.dice.pick(values + self.devices if form == 'text' else values)}"

    def call(self, name: str, verb: str) -> None:
        dice, kind = self.dice, self.open[name]
        if verb == "accept":
            self.accept(name)
            return
        argument = ""
        if verb in ("bind", "connect", "sendto"):
            argument = self.address(kind)
        elif verb == "set":
            if dice.chance(30):
                argument = self.option()
            else:
                argument = f"{dice.pick((*_REUSE, *_REUSE, 'IPV6_V6ONLY'))}={dice.pick('01')}"
        elif verb == "get":
            argument = dice.pick([*options()]) if dice.chance(60) else dice.pick((*_REUSE, "IPV6_V6ONLY"))
        elif verb == "shutdown":
            argument = dice.pick(("RD", "WR", "RDWR"))
        elif verb == "listen" and dice.chance(10):
            argument = dice.pick(("0", "1", "-1"))
        elif verb == "close":
            del self.open[name]
        survives = "?" if verb not in ("close", "name", "get") and dice.chance(50) else ""
        self.lines.append(f"{name}.{verb}({argument}){survives}")
        if verb in _NAMED and dice.chance(60):
            self.lines.append(f"{name}.name()")

    def step(self) -> None:
        dice = self.dice
        if not self.open or dice.chance(25):
            self.socket()
        elif self.protocol == "tcp" and dice.chance(6):
            self.connection()
        elif 6 in self.families and dice.chance(1):
            self.deaf()
        elif dice.chance(1):
            self.crowd()
        elif dice.chance(1):
            self.lines.append("wait 1.1" if dice.chance(3) else f"wait {dice.pick(('0.01', '0.1', '0.3'))}")
        else:
            talkers = sorted(self.talking & self.open.keys())
            name = dice.pick(talkers if talkers and dice.chance(60) else sorted(self.open))
            if name in self.talking:
                self.call(name, dice.pick(_VERBS_CONNECTED))
            else:
                self.call(name, dice.pick(_VERBS["udp" if self.open[name].startswith("udp") else "tcp"]))


def scenario_text(data: bytes, users: bool, stack: str) -> str:
    """The scenario that `data` chooses, with settings of `stack`; `users` allows ``as user1``."""
    dice = Dice(data)
    draft = _Draft(dice, users, stack)
    draft.begin()
    for _ in range(4 + dice.pick(range(10))):
        draft.step()
    return "\n".join(draft.lines) + "\n"
