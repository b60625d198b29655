"""What is still to come of a scenario, from one of its steps on: by it states are told apart, or are one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable

from ..scenario import Scenario, Step

_IDLE = frozenset({"name", "close", "wait"})


class Outlook:
    """What is still to come of a scenario, by the number of the next step.

    With `whole` every name counts for ever. With `told` the values that were observed tell ports apart.
    """

    def __init__(self, scenario: Scenario, whole: bool, told: bool) -> None:
        self.whole = whole
        self.uses: dict[str, list[int]] = {}  # name -> the steps that speak of it
        self.first: dict[str, str] = {}  # name -> the first name of its socket, where that is another
        self.reads: dict[str, list[int]] = {}  # first name -> the steps that speak of the socket
        self.ports: dict[str, int] = {}  # first name -> the last of them to which it matters which port it has
        self.accepts: dict[str, int] = {}  # first name -> the last step that accepts from it
        self.numbered = -1  # the last step that binds a port by number
        self.numbers: dict[int, int] = {}  # number of a port -> the last step that names it
        self.calls: dict[str, list[int]] = {}  # verb -> its steps
        last = max((at for at, step in enumerate(scenario.steps) if step.verb not in _IDLE), default=-1)
        for at, step in enumerate(scenario.steps):
            self.calls.setdefault(step.verb, []).append(at)
            if step.verb == "dup":
                self.first[step.name] = self.first.get(step.of, step.of)
            for name in spoken(step):
                first = self.first.get(name, name)
                self.uses.setdefault(name, []).append(at)
                self.reads.setdefault(first, []).append(at)
                if step.verb not in _IDLE or (step.verb == "close" and at < last) or (step.verb == "name" and told):
                    self.ports[first] = at
            if step.address is not None and isinstance(step.address.port, int):
                self.numbers[step.address.port] = at
            if step.verb == "accept":
                self.accepts[self.first.get(step.of, step.of)] = at
            elif step.verb == "bind" and step.address is not None and step.address.port != 0:
                self.numbered = at

    def alive(self, name: str, at: int) -> bool:
        """Whether a step from `at` on speaks of it."""
        return self.whole or self.uses[name][-1] >= at

    def distinct(self, name: str, at: int) -> bool:
        """Whether it matters to a step from `at` on which port it has: not to its name, nor to a close after all."""
        return self.whole or self.ports.get(self.first.get(name, name), -1) >= at

    def next(self, name: str, at: int) -> int:
        """The next step that speaks of it."""
        uses = self.uses[name]
        where = bisect_left(uses, at)
        return uses[where] if where < len(uses) else len(uses) + uses[0]

    def left(self, name: str, at: int) -> int:
        """How many steps from `at` on speak of its socket."""
        reads = self.reads[self.first.get(name, name)]
        return len(reads) - bisect_left(reads, at)

    def coming(self, verb: str, at: int) -> int:
        """How many steps from `at` on do this call."""
        steps = self.calls.get(verb, [])
        return len(steps) - bisect_left(steps, at)

    def accepted(self, name: str, at: int) -> bool:
        """Whether a step from `at` on accepts a connection from it."""
        return self.whole or self.accepts.get(self.first.get(name, name), -1) >= at

    def meets(self, ports: int, at: int) -> bool:
        """Whether a step from `at` on names one of these ports by its number."""
        return any(ports >> number & 1 for number, last in self.numbers.items() if last >= at)

    def crowds(self, at: int) -> bool:
        """Whether a step from `at` on binds a port by number."""
        return self.whole or self.numbered >= at


def spoken(step: Step) -> tuple[str, ...]:
    """The names that a step speaks of, its own first."""
    owner = step.address.owner if step.address is not None else None
    return tuple([name for name in (step.name, step.of, owner) if name])


def shape(step: Step) -> tuple[Hashable, ...]:
    """All of a step but the names of its sockets."""
    address = step.address
    where = None if address is None else (address.host, "" if address.owner is not None else address.port)
    return (*[getattr(step, name) for name in _STEP], where)


_STEP = [name for name in Step.__slots__ if name not in ("name", "of", "label", "address", "line")]
