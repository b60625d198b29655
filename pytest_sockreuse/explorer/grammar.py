"""Random scenarios: random bytes, read as choices among few addresses, ports and options that collide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from typing import TypeVar

from ..dataclass import dataclass
from ..live.sandbox import ALL_LOCAL
from ..options import options
from . import plots, scenes, values
from .values import REUSE

SIZE = 300  # bytes that one scenario may use

T = TypeVar("T")

_PROTOCOLS = ("tcp",) * 20 + ("udp",) * 12 + ("mptcp",) * 2 + ("sctp",)
_ALL_PROTOCOLS = ("tcp", "tcp", "udp", "udp", "mptcp", "udplite", "sctp")
_TCP = "bind listen connect accept close set disconnect shutdown name send recv get dup".split()
_UDP = "bind connect close set disconnect shutdown name send sendto recv get listen accept dup".split()
_CONNECTED = "send recv shutdown close set disconnect eof name get dup".split()
_WEIGHT = {
    "bind": 6, "listen": 5, "connect": 7, "accept": 5, "close": 6, "set": 4, "disconnect": 2, "shutdown": 2,
    "name": 4, "send": 2, "recv": 2, "get": 2, "sendto": 5, "eof": 1, "dup": 1,
}  # fmt: skip
_CONNECTED_WEIGHT = _WEIGHT | {"send": 7, "recv": 7, "shutdown": 6, "close": 7, "name": 1, "get": 1, "set": 2}


def _weighed(verbs: Sequence[str], weight: dict[str, int]) -> tuple[str, ...]:
    return tuple(verb for verb in verbs for _ in range(weight[verb]))


_VERBS = {"tcp": _weighed(_TCP, _WEIGHT), "udp": _weighed(_UDP, _WEIGHT | {"listen": 1, "accept": 1, "recv": 5})}
_VERBS_CONNECTED = _weighed(_CONNECTED, _CONNECTED_WEIGHT)
_WAITS = ("0.01",) * 6 + ("0.1", "0.3")
_NAMED = frozenset({"bind", "listen", "connect", "disconnect"})  # after which getsockname is worth asking


class Dice:
    """Reads bytes as choices; zeros when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def pick(self, options: Sequence[T]) -> T:
        return options[next(self._data, 0) % len(options)]

    def chance(self, percent: float) -> bool:
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
        self.common = dice.pick(((), REUSE[:1], REUSE[1:], REUSE, None, None))
        self.users = self.users and dice.chance(20)
        self.ports = ("P",) * 5 + ("0", "0", "Q") + ("80",) * self.users
        plot = plots.Plot("")
        if dice.chance(30):
            plot = dice.pick(plots.PLOTS[""] + plots.PLOTS.get(self.stack, ()))
        if plot.setting.startswith(("net.ipv4.tcp_", "net.core.")):
            self.protocol = "tcp"
        if plot.common is not None:
            self.common = plot.common
        if plot.sizes or dice.chance(50):
            size = dice.pick(plot.sizes or (1, 1, 2, 2, 3, 4, 5))
            low = dice.pick((40000, 40001))
            self.lines.append(f"ephemeral {low}-{low + size - 1}")
            self.ports += ("40001",)
        if plot.setting:
            self.lines.append(f"sysctl {plot.setting}")
        if self.stack not in ALL_LOCAL and dice.chance(50):
            self.lines.append("address 127.0.0.2")
        elif dice.chance(4):
            self.lines.append(f"address {dice.pick(values.GIVEN)}")
        if dice.chance(4):
            self.lines.append("device d1")
            self.devices = ("d1",)
            if 6 in self.families and self.stack == "linux" and "disable_ipv6" not in plot.setting:
                self.lines += ["address fe80::1", "address fe80::1%d1"]
                self.scene(dice.pick((scenes.DEVICES, scenes.LINKS, scenes.GROUP6)))
            else:
                self.scene(dice.pick((scenes.DEVICES, scenes.GROUP)))
        if dice.chance(1) and dice.chance(25):
            self.scene(dice.pick(scenes.SLOW))
        elif plot.scene and dice.chance(60):
            self.scene(plot.scene)

    def socket(self) -> str:
        """A socket, which may be bound, and listen."""
        dice = self.dice
        family = dice.pick(self.families)
        protocol = self.protocol if not dice.chance(6) else dice.pick(_ALL_PROTOCOLS)
        name = self._made(f"{protocol}{family}")
        options = [*self.common] if self.common is not None else [name for name in REUSE if dice.chance(50)]
        if family == 6 and dice.chance(25):
            options.append("IPV6_V6ONLY")
        if dice.chance(15):
            options.append(dice.pick(values.SELDOM))
        if dice.chance(4):
            options.append(self.option())
        user = f" as {dice.pick(('user1', 'user2'))}" if self.users and dice.chance(60) else ""
        self.lines.append(f"{name} = {protocol}{family}({', '.join(options)}){user}")
        if dice.chance(60):
            self.call(name, "bind")
            if protocol != "udp" and dice.chance(45):
                self.call(name, "listen")
        return name

    def scene(self, text: str) -> None:
        """A scene, with its choices made; its sockets go on as all others do."""
        dice = self.dice
        family = dice.pick(self.families)
        place = dice.pick(values.PLACES[family]) | {"group": values.GROUPS[family], "p": dice.pick(self.ports)}
        place["user"] = "<| as user1>"
        place = {word: self._choose(what) for word, what in place.items()}
        text = self._choose(text.strip().format(f=family, reuse=", ".join(self.common or ()), **place))
        text = text.replace("(, ", "(")
        if not self.users:
            text = text.replace(" as user1", "")
        names: dict[str, str] = {}
        for line in filter(None, text.splitlines()):
            for name in re.findall(r"\$(\w+)", line):
                if name not in names:
                    names[name] = self._name("m{}x" if name == "many" else "")
            self.lines.append(re.sub(r"\$(\w+)", lambda found: names[found[1]], line))
            self._follow(self.lines[-1])

    def _choose(self, text: str) -> str:
        """The text with one of each `<a|b>`, the innermost first."""
        while found := re.search("<([^<>]*)>", text):
            text = text[: found.start()] + self.dice.pick(found[1].split("|")) + text[found.end() :]
        return text

    def _follow(self, line: str) -> None:
        """Note what a line of a scene makes, connects and closes."""
        if found := re.match(r"(\w+) = (\w+)\(", line):
            self.open[found[1]] = found[2]
        elif found := re.match(r"(\w+) = (\w+)\.accept", line):
            self.open[found[1]] = self.open.get(found[2], self.protocol + "4")
            self.talking.add(found[1])
        elif found := re.match(r"(\w+) = (\w+)\.dup", line):
            self.open[found[1]] = self.open[found[2]]
            self.talking |= {found[1]} if found[2] in self.talking else set()
        elif found := re.match(r"(\w+)\.close", line):
            del self.open[found[1]]
        elif (found := re.match(r"(\w+)\.connect", line)) and "tcp" in self.open.get(found[1], ""):
            self.talking.add(found[1])

    def _name(self, crowd: str = "") -> str:
        """A new name; of a crowd `made` notes its first member."""
        number = len(self.made)
        name = crowd.format(number) or f"{chr(65 + number % 26)}{number // 26 or ''}"
        self.made.append(f"{name}1" if crowd else name)
        return name

    def _made(self, kind: str) -> str:
        name = self._name()
        self.open[name] = kind
        return name

    def made_of(self, of: str, verb: str) -> None:
        """What accept or dup makes."""
        name = f"{verb[0]}{len(self.made)}"
        self.lines.append(f"{name} = {of}.{verb}()")
        self.made.append(name)
        self.open[name] = self.open[of]
        if verb == "dup" and of in self.talking:
            self.talking.add(name)

    def address(self, kind: str) -> str:
        dice = self.dice
        family = int(kind[-1]) if not dice.chance(2) else 10 - int(kind[-1])
        port = dice.pick(self.ports)
        if self.made and dice.chance(30):
            port = f"{dice.pick(self.made)}.port"
        return f"{dice.pick((values.RARE_HOSTS if dice.chance(7) else values.HOSTS)[family])}:{port}"

    def option(self) -> str:
        """Any option with any value of its form."""
        name = self.dice.pick([*options()])
        form = options()[name].form
        some = values.SOME_VALUES.get(name, values.VALUES[form])
        return f"{name}={self.dice.pick(some + self.devices if form in ('text', 'device') else some)}"

    def call(self, name: str, verb: str) -> None:
        dice, kind = self.dice, self.open[name]
        if verb in ("accept", "dup"):
            self.made_of(name, verb)
            return
        argument = ""
        if verb in ("bind", "connect", "sendto"):
            argument = self.address(kind)
        elif verb == "set":
            if dice.chance(30):
                argument = self.option()
            else:
                argument = f"{dice.pick((*REUSE, *REUSE, 'IPV6_V6ONLY'))}={dice.pick('01')}"
        elif verb == "get":
            argument = dice.pick([*options()]) if dice.chance(60) else dice.pick((*REUSE, "IPV6_V6ONLY"))
        elif verb == "shutdown":
            argument = dice.pick(("RD", "WR", "RDWR"))
        elif verb == "listen" and dice.chance(10):
            argument = dice.pick(("0", "1", "-1"))
        elif verb == "close":
            del self.open[name]
        elif verb == "disconnect":
            self.talking.discard(name)
        survives = "?" if verb not in ("close", "name", "get") and dice.chance(50) else ""
        self.lines.append(f"{name}.{verb}({argument}){survives}")
        if verb in _NAMED and dice.chance(60):
            self.lines.append(f"{name}.name()")

    def step(self) -> None:
        dice = self.dice
        if not self.open or dice.chance(25):
            self.socket()
        elif self.protocol in scenes.SCENES and dice.chance(7):
            self.scene(dice.pick(scenes.SCENES[self.protocol]))
        elif 6 in self.families and dice.chance(1):
            self.scene(dice.pick((scenes.DEAF, scenes.WILD)))
        elif dice.chance(0.5):
            self.lines.append(f"wait {dice.pick(_WAITS)}")
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
