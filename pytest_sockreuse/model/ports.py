"""Ports that are not known yet, and what may be said of them.

A port is an *id*: a number below 65536 is itself, a larger id is a port symbol or a port that the OS chose. Two ids are
two ports. A chosen id has a domain, a bit mask of the ports it may be; what a scenario asks narrows it, by a choice
where the answer is open (`choose`). A chosen port may always be a number that the scenario names: programs wait for
that. That two chosen ports are one, or one is at a range's edge, is left out where the chance is below 1 in `RARE`.
A chosen id is *loose* as long as nothing depends on which of the ports it is that may be shared: two loose ids may be
one port, unless they are *apart*, since the sockets at them conflict. Where more matters `Settle` is raised, and the
steps that it names choose anew, among the ports in play.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from ..dataclass import dataclass

RARE = 1000
_MATCHING = 64  # ports: the largest domains for which it is checked that all ids fit


class Contradiction(Exception):
    """An execution that cannot be: it is left out."""


class Settle(Exception):
    """Something depends on ports that are loose; carries the steps that chose them."""

    def __init__(self, steps: Iterable[int]) -> None:
        self.steps = frozenset(steps)


@lru_cache(4096)
def mask(low: int, high: int, step: int = 1) -> int:
    """The ports low, low + step, … up to high as bits."""
    count = max(0, (high - low) // step + 1)
    return ((1 << step * count) - 1) // ((1 << step) - 1) << low


@lru_cache(4096)
def members(bits: int) -> tuple[int, ...]:
    """The ports of a mask, ascending."""
    found = []
    low = (bits & -bits).bit_length() - 1 if bits else 0
    bits >>= low
    while bits:
        skip = (bits & -bits).bit_length()
        low += skip
        found.append(low - 1)
        bits >>= skip
    return tuple(found)


_SIZES: dict[int, tuple[int, int]] = {}  # by id: a set of ports, how many they are


def size_of(ports: int) -> int:
    """How many ports these are. To count a range takes long, and the same few are asked about again and again."""
    known = _SIZES.get(id(ports))
    if known is None or known[0] is not ports:
        if len(_SIZES) > 1000:
            _SIZES.clear()
        known = _SIZES[id(ports)] = ports, ports.bit_count()
    return known[1]


@dataclass(frozen=True, slots=True)
class Value:
    """A recorded value that may be: `text` as it is, or an address whose port is a symbol or one of a mask."""

    text: str
    symbol: str = ""
    ports: int = 0

    def matches(self, value: str | None, ports: Mapping[str, int]) -> bool:
        """Whether `value` was meant; `ports` tells what the symbols stood for."""
        if value is None:
            return False
        if not self.symbol and not self.ports:
            return value == self.text
        host, _, port = value.rpartition(":")
        if host != self.text or not port.isdigit():
            return False
        return ports.get(self.symbol) == int(port) if self.symbol else bool(self.ports >> int(port) & 1)

    def __str__(self) -> str:
        """As an expectation spells it, ``127.0.0.1:40000..40007``; of many ports with gaps the hull."""
        if self.symbol:
            return f"{self.text}:{self.symbol}"
        if not self.ports:
            return self.text
        low, high, count = (
            (self.ports & -self.ports).bit_length() - 1,
            self.ports.bit_length() - 1,
            self.ports.bit_count(),
        )
        if count <= 8 and count != high - low + 1:
            return "|".join(f"{self.text}:{port}" for port in members(self.ports))
        return f"{self.text}:{low}" + (f"..{high}" if high > low else "")

    def __repr__(self) -> str:
        """As that: the mask has more digits than Python prints of a number."""
        return f"<Value {self}>"


class PortSpace:
    """The ids of one execution. `choose` takes a number of ways and returns one of them."""

    __slots__ = ("choose", "symbols", "domain", "concrete", "colours", "loose", "apart", "settled", "_next")

    def __init__(self, choose: Callable[[int], int], settled: frozenset[int] | None = None) -> None:
        self.choose, self.settled = choose, settled  # steps whose port is not loose; None: that of none is
        self.symbols: dict[int, str] = {}  # id -> port symbol
        self.domain: dict[int, int] = {}  # chosen id -> the ports it may be
        self.concrete: dict[int, int] = {}  # number -> id, of every number in play
        self.colours: dict[int, int] = {}  # chosen id -> what is known of it: one of each colour stands for all
        self.loose: dict[int, int] = {}  # loose id -> the step that chose it
        self.apart: dict[int, frozenset[int]] = {}  # loose id -> those that are another port
        self._next = 1 << 16

    def fork(self, choose: Callable[[int], int]) -> PortSpace:
        """A copy that chooses by `choose`."""
        new = PortSpace.__new__(PortSpace)
        new.choose, new.symbols, new.domain = choose, dict(self.symbols), dict(self.domain)
        new.concrete, new.colours, new._next = dict(self.concrete), self.colours, self._next
        new.loose, new.apart, new.settled = dict(self.loose), dict(self.apart), self.settled
        return new

    def symbol(self, name: str) -> int:
        """A new id for the port symbol `name`: outside of every domain."""
        self._next += 1
        self.symbols[self._next] = name
        return self._next

    def value(self, host: str, port: int) -> Value:
        """An address whose port is this id."""
        if port in self.symbols:
            return Value(host, symbol=self.symbols[port])
        if port in self.domain:
            return Value(host, ports=self.domain[port])
        return Value(f"{host}:{port}")

    def number(self, number: int) -> int:
        """The id of a port that is named by its number."""
        known = self.concrete.get(number)
        if known is not None or not number:
            return known or 0
        bit = 1 << number
        if self.loose:
            self._settle(bit)
        for port, ports in list(self.domain.items()):
            if ports & bit and (ports == bit or self._splits(port, bit)):
                return port
        self.concrete[number] = number
        return number

    def is_number(self, port: int, number: int) -> None:
        """What was observed: this id is `number`. Raises Contradiction if it cannot be."""
        if port == number or self.concrete.get(number) == port or port in self.symbols:
            return
        if number in self.concrete or not self.domain.get(port, 0) >> number & 1:
            raise Contradiction
        self._narrow(port, 1 << number)

    def fresh(self, ports: int, step: int = -1, against: Sequence[int] = ()) -> int:
        """A new id for one of `ports` that is none of the others; loose if `step` may leave it so, not `against`."""
        self._next = port = self._next + 1
        for number in self.concrete:
            if ports >> number & 1:
                ports &= ~(1 << number)
        size = size_of(ports)
        if size > _MATCHING:
            self.domain[port] = ports
        else:
            self._narrow(port, ports)
        if 1 < size <= RARE and self._may_be_loose(step):
            self.loose[port] = step
            self.apart[port] = frozenset(against)
            for other in against:
                self.apart[other] |= {port}
        return port

    def pick(self, ports: int, usable: Callable[[int], bool], wanted: int = 0, step: int = -1) -> int:
        """One of `ports` for which `usable` holds (as for every port not in play), or 0 if there is none.

        `wanted` is the number that is known to have been picked, if it was; `step` the one whose port may be loose.
        Raises Settle where it depends on the loose ports.
        """
        if wanted and ports >> wanted & 1:
            port = self.number(wanted)
            return port if usable(port) else 0
        against: list[int] = []
        if self.loose:
            meets = {id(may) for may in self._domains(self.loose) if may & ports}
            against = [port for port in self.loose if id(self.domain[port]) in meets and not usable(port)]
        inside = self._in_play(ports)
        if against and (inside or not self._may_be_loose(step)):
            raise Settle(map(self.loose.__getitem__, against))
        if not inside:
            if not ports or (against and not self._beside(against, ports)):
                return 0
            return self.fresh(ports, step, against)
        size = size_of(ports)
        rare = size > RARE and len(inside) * 2 <= size
        options = [port for port in inside if (not rare or port < 1 << 16) and usable(port)]
        if self.colours and len(options) > 1:
            options = self._one_of_each(options)
        if size > len(inside):
            options.append(0)
        if not options:
            return 0
        if options == [0]:
            return self.fresh(ports, step)
        chosen = options[self.choose(len(options))] if len(options) > 1 else options[0]
        return chosen or self.fresh(ports)

    def _domains(self, chosen: Iterable[int]) -> Iterable[int]:
        """What these chosen ids may be, once where many have the same."""
        return {id(may): may for may in map(self.domain.__getitem__, chosen)}.values()

    def _may_be_loose(self, step: int) -> bool:
        return step >= 0 and self.settled is not None and step not in self.settled

    def _beside(self, against: Sequence[int], ports: int) -> bool:
        """Whether one of `ports` is none of these loose ones. Raises Settle where it depends on which are one port."""
        size = size_of(ports)
        if len(against) < size:
            return True
        several: set[int] = set()  # each another port than the others
        if not any(may & ~ports for may in self._domains(against)):
            for port in against:
                if self.apart[port] >= several:
                    several.add(port)
        if len(several) < size:
            raise Settle(map(self.loose.__getitem__, against))
        return False

    def forget(self, port: int) -> None:
        """Nobody has this chosen port any more."""
        del self.domain[port]
        if self.loose.pop(port, None) is not None:
            for other in self.apart.pop(port):
                if other in self.apart:
                    self.apart[other] -= {port}

    def settle(self, ports: int) -> None:
        """Something depends on which of `ports` is whose. Raises Settle where loose ones may be among them."""
        if self.loose:
            self._settle(ports)

    def look(self, port: int) -> None:
        """Something depends on who has this port. Raises Settle where loose ports may be the same."""
        if port in self.loose or port in self.domain or port < 1 << 16:
            self._settle(self._may(port))

    def tell(self, port: int, others: Iterable[int]) -> None:
        """Something depends on whether one of `others` is this port. Raises Settle where that is open."""
        loose = self.loose
        for other in others:
            if other == port or other in self.apart.get(port, ()):
                continue
            if (port in loose or other in loose) and self._may(port) & self._may(other):
                raise Settle(loose[one] for one in (port, other) if one in loose)

    def _may(self, port: int) -> int:
        """The ports that an id may be; of a symbol none that may be chosen."""
        return self.domain.get(port) or (1 << port if port < 1 << 16 else 0)

    def _settle(self, ports: int) -> None:
        if found := [step for port, step in self.loose.items() if self.domain[port] & ports]:
            raise Settle(found)

    def _one_of_each(self, ports: list[int]) -> list[int]:
        """The first port of each colour: nothing that comes can tell it from the others."""
        found: dict[int, int] = {}
        for port in ports:
            found.setdefault(self.colours.get(port, port), port)
        return list(found.values())

    def any_usable(self, ports: int, usable: Callable[[int], bool]) -> bool:
        """Whether one of `ports` could be picked. Raises Settle."""
        self.settle(ports)
        inside = self._in_play(ports)
        return size_of(ports) > len(inside) or any(usable(port) for port in inside)

    def _in_play(self, ports: int) -> list[int]:
        """The ids that are one of `ports`."""
        if not self.concrete and len(self.domain) == len(self.loose):
            return []
        inside = {known: None for number, known in self.concrete.items() if ports >> number & 1}
        sure: dict[int, tuple[int, bool | None]] = {}  # by id: a set of ports, which many have; whether in `ports`
        for port, may in self.domain.items():
            if id(may) not in sure:
                common = may & ports
                sure[id(may)] = may, bool(common) if common == may or not common else None
            within = sure[id(may)][1]
            if within is None:
                within = port not in self.loose and port not in inside and self._inside(port, ports)
            if within:
                inside[port] = None
        return [port for port in inside if port not in self.loose] if self.loose else list(inside)

    def _inside(self, port: int, ports: int) -> bool:
        """Whether a chosen port is one of `ports`; a choice where both may be."""
        may = self.domain[port]
        within = may & ports
        if within == may or not within:
            return bool(within)
        size, part = size_of(may), within.bit_count()
        if part * RARE < size:
            return False
        if (size - part) * RARE < size:
            return True
        return self._splits(port, within)

    def _splits(self, port: int, ports: int) -> bool:
        """A choice: whether a chosen port is one of `ports`, of which it may be some and not others."""
        self._settle(self.domain[port])
        if self.choose(2):
            self._narrow(port, self.domain[port] & ~ports)
            return False
        self._narrow(port, ports)
        return True

    def _narrow(self, port: int, ports: int) -> None:
        if not ports:
            raise Contradiction
        self.domain[port] = ports
        size = size_of(ports)
        if size == 1:
            number = ports.bit_length() - 1
            if self.concrete.setdefault(number, port) != port:
                raise Contradiction
            for other, may in list(self.domain.items()):
                if other != port and may & ports and other not in self.loose:
                    self._narrow(other, may & ~ports)
        elif size <= _MATCHING and len(self.domain) > 1:
            if not _all_fit(may for other, may in self.domain.items() if may & ports and other not in self.loose):
                raise Contradiction


def _all_fit(domains: Iterable[int]) -> bool:
    """Whether every domain can have a port of its own."""
    counts: dict[int, int] = {}
    for may in domains:
        if size_of(may) <= _MATCHING:
            counts[may] = counts.get(may, 0) + 1
    seen = 0
    for may, count in counts.items():
        if count > size_of(may):
            return False
        if may & seen:
            return _matched([may for may, count in counts.items() for _ in range(count)])
        seen |= may
    return True


def _matched(domains: Sequence[int]) -> bool:
    """The same for domains that overlap: a matching by augmenting paths."""
    taken: dict[int, int] = {}
    wanted = list(map(members, domains))

    def place(who: int, seen: set[int]) -> bool:
        for port in wanted[who]:
            if port not in seen:
                seen.add(port)
                if port not in taken or place(taken[port], seen):
                    taken[port] = who
                    return True
        return False

    return all(place(who, set()) for who in range(len(wanted)))
