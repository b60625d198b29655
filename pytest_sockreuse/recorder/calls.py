"""Calls on sockets, and the scenario that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property

from ..dataclass import dataclass
from ..scenario import Address, Observation, Option, Scenario, Setting, Step, StepOutcome
from .devices import NONE, device_in
from .events import Trail
from .locations import Place, places, shown_place
from .translate import ON_LINK, STAND_IN

FOREIGN = 1 << 16  # port numbers from here on stand for ports elsewhere

_SYMBOLS = "PQRSTUVWXYZABCDEFGHIJKLMNO"
MATTERS = frozenset({"bind", "listen", "connect", "accept"})  # what has to do with a port
_STAYS = MATTERS | {"socket", "set", "dup"}


@dataclass(eq=False, slots=True)
class Traced:
    """A socket of the kernel's, whatever objects and descriptors refer to it, or what other processes have of it.

    A `stranger` was not seen: it is the other end of a connection, in another process or on another machine.
    """

    kind: str
    trail: Trail = ()
    stranger: bool = False
    role: str = ""
    options: list[tuple[Option, Trail]] = field(default_factory=list)
    parent: Traced | None = None  # the listener that a child came from
    copy_of: Traced | None = None  # what this is a second descriptor of
    peer: Traced | None = None
    host: str = ""  # what it is bound to
    number: int = 0  # its port, as far as it is known
    named: bool = False  # by the program's choice
    listening: bool = False
    lost: bool = False  # it did what the language has no word for: it is left out
    touched: bool = False  # something was done with it
    asked: bool = False  # the program asked for its port before it connected
    served: bool = False  # somebody else had to do with it
    binding: Call | None = None  # the call that gave it a port
    fds: set[int] = field(default_factory=set)
    events: list[int] = field(default_factory=list)

    @property
    def place(self) -> Place | None:
        """The line that made it."""
        return shown_place(self.trail)


@dataclass(eq=False, slots=True)
class Call:
    """One call: its `outcome` is ok, an errno name, or empty where it was not seen.

    `port` is a number, or the socket whose port it was; `number` is the number in any case.
    """

    verb: str
    sock: Traced
    outcome: str = "ok"
    trail: Trail = ()
    host: str = ""
    port: Traced | int = 0
    number: int = 0
    option: Option | None = None
    how: str = ""
    old: bool = False  # it was made before the test began

    @property
    def places(self) -> tuple[Place, ...]:
        """The lines that made it, innermost first."""
        return places(self.trail)


@dataclass(frozen=True, eq=False)
class Piece:
    """Calls whose sockets have to do with one another: they share ports or connections, and with no other's.

    `names` is what its scenario calls them, `options` those that each has from the start.
    """

    calls: tuple[Call, ...]
    names: Mapping[Traced, str]
    options: Mapping[Traced, tuple[Option, ...]]
    ephemeral: tuple[int, int] | None = None  # the ports that the OS chooses from, where a test has set that

    @classmethod
    def of(
        cls,
        calls: Sequence[Call],
        names: Mapping[Traced, str] | None = None,
        ephemeral: tuple[int, int] | None = None,
    ) -> Piece:
        """The piece that the calls make, with the options that their sockets have."""
        socks = [call.sock for call in calls if call.verb in ("socket", "accept", "dup")]
        options = {sock: tuple(option for option, _ in sock.options) for sock in socks}
        return cls(tuple(calls), named(socks) if names is None else names, options, ephemeral)

    @cached_property
    def scenario(self) -> Scenario:
        """The calls in the language. One that failed is marked as survived: the program went on."""
        symbols: dict[int, str] = {}
        count: dict[str, int] = {}
        environment = tuple(self._environment())
        steps = []
        for line, call in enumerate(self.calls, len(environment) + 1):
            label = f"{self.names[call.sock]}.{call.verb}"
            number = count[label] = count.get(label, 0) + 1
            steps.append(self._step(call, label if number == 1 else f"{label}#{number}", line, symbols))
        return Scenario((*map(str, environment), *map(str, steps)), environment, tuple(steps))

    def _environment(self) -> Iterator[Setting]:
        """What has to be there: the range of ports, devices, addresses."""
        if self.ephemeral is not None:
            yield Setting("ephemeral", "{}-{}".format(*self.ephemeral))
        hosts = dict.fromkeys(call.host.removeprefix("::ffff:") for call in self.calls)
        devices = [host.partition("%")[2] for host in hosts]
        devices += [device_in(option) for options in self.options.values() for option in options]
        devices += [device_in(call.option) for call in self.calls if call.option and call.outcome != "ENODEV"]
        for device in dict.fromkeys(devices):
            if device not in ("", "lo", NONE):
                yield Setting("device", device)
        for host in hosts:
            on_link = host.startswith(ON_LINK) and host.partition("%")[2] not in ("", NONE)
            if on_link or host.startswith(tuple(STAND_IN.values())):
                yield Setting("address", host)

    def _step(self, call: Call, label: str, line: int, symbols: dict[int, str]) -> Step:
        made = call.verb == "socket"
        return Step(
            call.verb,
            self.names[call.sock],
            label,
            line,
            kind=call.sock.kind if made else "",
            options=self.options[call.sock] if made else (call.option,) if call.option is not None else (),
            address=Address(call.host, self._port(call, symbols)) if call.host else None,
            of=self.names[of] if (of := _made_of(call)) is not None else "",
            how=call.how,
            survives=call.outcome not in ("ok", ""),
        )

    def _port(self, call: Call, symbols: dict[int, str]) -> int | str:
        if isinstance(call.port, Traced):
            return f"{self.names[call.port]}.port"
        if call.port < 1024 or (self.ephemeral is not None and self.ephemeral[0] <= call.port <= self.ephemeral[1]):
            return call.port
        if call.port not in symbols:
            at = len(symbols)
            symbols[call.port] = _SYMBOLS[at] if at < len(_SYMBOLS) else f"P{at}"
        return symbols[call.port]

    def observation(self, platform: str) -> Observation:
        """What came of them, up to the first of which that is not known."""
        steps = []
        for step, call in zip(self.scenario.steps, self.calls, strict=True):
            if not call.outcome:
                break
            steps.append(StepOutcome(step.label, call.outcome))
        return Observation(platform, tuple(steps))

    @cached_property
    def key(self) -> tuple[object, ...]:
        """What makes two pieces the same, wherever their calls were made and whichever ports they had."""
        numbers: dict[int, int] = {}
        key: list[object] = [self.ephemeral]
        for call in self.calls:
            port: object = call.port if isinstance(call.port, int) else self.names[call.port]
            if isinstance(port, int) and port >= 1024:
                port = -1 - numbers.setdefault(port, len(numbers))
            more: object = call.option or call.how
            if call.verb == "socket":
                more = (call.sock.kind, call.sock.stranger, self.options[call.sock])
            elif (of := _made_of(call)) is not None:
                more = self.names[of]
            key.append((call.verb, self.names[call.sock], call.outcome, call.host, port, more))
        return tuple(key)


def _made_of(call: Call) -> Traced | None:
    """The socket on which accept or dup is called."""
    return {"accept": call.sock.parent, "dup": call.sock.copy_of}.get(call.verb)


def named(socks: Iterable[Traced]) -> dict[Traced, str]:
    """A name for each socket: its variable's where that says something, else what it is there for."""
    names: dict[Traced, str] = {}
    count: dict[str, int] = {}
    for sock in socks:
        base = name = (sock.place.variable if sock.place and not sock.stranger else "") or sock.role or "idle"
        while name in count:
            count[base] += 1
            name = f"{base}{count[base]}"
        count[name] = 1
        names[sock] = name
    return names


def pieces(calls: Sequence[Call], ephemeral: tuple[int, int] | None = None) -> Iterator[Piece]:
    """The calls taken apart: what shares neither port nor connection cannot bear on one another.

    Where the OS may choose from few ports, all that had one chosen do.
    """
    root: dict[object, object] = {}

    def find(item: object) -> object:
        while (up := root.setdefault(item, item)) is not item:
            root[item] = root[up]
            item = up
        return item

    def join(one: object, other: object) -> None:
        root[find(one)] = find(other)

    for call in calls:
        if call.number:
            join(call.sock, ("port", call.number))
        if ephemeral is not None:
            join(call.sock, ephemeral)
        if isinstance(call.port, Traced):
            join(call.sock, call.port)
        for other in (call.sock.parent, call.sock.peer, call.sock.copy_of):
            if other is not None:
                join(call.sock, other)
    groups: dict[object, list[Call]] = {}
    for call in calls:
        groups.setdefault(find(call.sock), []).append(call)
    for group in groups.values():
        if any(not call.old and call.verb in MATTERS for call in group):
            yield Piece.of(group, ephemeral=ephemeral)


def essential(piece: Piece) -> Piece:
    """A piece without what bears on no outcome.

    That is, after the last bind or listen: connections that are the same as an earlier one, and how connections end.
    """
    last = max((n for n, call in enumerate(piece.calls) if call.verb in ("bind", "listen")), default=-1)
    early = {call.sock for call in piece.calls[: last + 1]}
    seen: set[object] = set()
    gone: set[Traced] = set()
    for call in piece.calls[last + 1 :]:
        sock = call.sock
        if sock.copy_of in gone:
            gone.add(sock)
        if call.verb == "connect" and call.outcome == "ok" and not early & {sock, sock.peer}:
            key = (sock.kind, piece.options[sock], call.host, call.number)
            if key in seen:
                gone.update(it for it in (sock, sock.peer) if it is not None)  # None: nobody accepted it
            seen.add(key)
    kept = [
        call
        for n, call in enumerate(piece.calls)
        if call.sock not in gone and (n <= last or call.verb in _STAYS or call.sock.peer is None)
    ]
    return Piece.of(kept, piece.names, piece.ephemeral) if len(kept) < len(piece.calls) else piece
