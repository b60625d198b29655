"""The walk over the states that a scenario may lead to, step by step.

Where nothing is left to choose there is one state, and it is not copied. From the first choice on each state is
followed by as many as there are ways through the next step; those that are one for all that comes go on as one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NoReturn

from ..scenario import Observation, Scenario, Step
from .clause import PLAIN, Declared, Unknown
from .course import Course
from .keys import Keys, look
from .machine import Departed, Family, Machine
from .outlook import Outlook, shape, spoken
from .ports import Contradiction, Settle
from .prediction import StepPrediction, united
from .states import alike, fork

LEAST = 1e-6  # the chance below which a state is left out: that all of many connections went to one of two listeners
ROUNDS = 4  # in which ports may be loose
TOO_MANY = "more executions are possible than are followed"
MAX_COPIES = 100_000  # sockets copied for one prediction, over all its states
_UNREACHED = StepPrediction("", ("unreached",), None, PLAIN.name)
_NONE = frozenset[int]()


class Chosen(Exception):
    """A step has more than one way."""


def _no_choice(ways: int) -> NoReturn:
    raise Chosen


class Walk:
    """What a scenario may show, and the states that it may end in.

    `steps` has one entry for each labelled step; `unknown` says why from one of them on nothing is known.
    """

    def __init__(
        self,
        scenario: Scenario,
        stack: str,
        family: Family[Any],
        on: frozenset[Declared],
        observed: Observation | None,
        whole: bool = False,
    ) -> None:
        self.scenario, self.whole, self.observed = scenario, whole, observed
        self.stack, self.family, self.on = stack, family, on
        settled = None if whole or observed is not None else _NONE
        for _ in range(ROUNDS):
            try:
                self._run(settled)
                return
            except Settle as open_:
                assert settled is not None
                settled |= open_.steps
        self._run(None)

    def _begin(self, choose: Callable[[int], int], settled: frozenset[int] | None) -> Machine[Any]:
        return Machine(self.scenario, self.stack, self.family, self.on, choose, self.observed, settled)

    def _run(self, settled: frozenset[int] | None) -> None:
        """Do steps until one has a choice. Raises Settle, where `settled` lacks steps whose port matters."""
        self.unknown = ""
        self.states: list[Machine[Any]] = []
        self.steps: list[StepPrediction] = []
        machine = self._begin(_no_choice, settled)
        try:
            machine.run(len(self.scenario.steps), self.steps)
        except Chosen:
            first = self._begin(Course().choose, settled)
            first.run(machine.at, [])
            self._follow(first)
        except Contradiction as gone:  # what was observed is not what the model says
            if isinstance(gone, Departed):
                self.steps.append(gone.shown)
            self._rest(united("", ()))
        except Unknown as why:
            self.unknown = str(why)
        else:
            self.states.append(machine)
            if machine.over:
                self._rest(_UNREACHED)
        if self.unknown:
            self._rest(StepPrediction("", unknown=self.unknown))

    def _rest(self, shown: StepPrediction) -> None:
        """All steps from here on show this."""
        labels = [step.label for step in self.scenario.steps if step.label]
        self.steps += [shown._replace(step=label) for label in labels[len(self.steps) :]]

    def _follow(self, first: Machine[Any]) -> None:
        """From `first` on, by every way."""
        self.outlook = Outlook(self.scenario, self.whole, first.observed is not None)
        self.copies = 0
        self.numbers: dict[Hashable, int] = {}  # by content
        self.led: dict[Hashable, list[_Way]] = {}  # a state and a step -> its ways
        states = [self._state(fork(first, first.choose), first.at)]
        over = False
        for at in range(first.at, len(self.scenario.steps)):
            label = self.scenario.steps[at].label
            seen = [_UNREACHED] if over else []
            found: dict[Hashable, _State] = {}
            self.departed: list[StepPrediction] = []  # what this step shows in executions that were not observed
            for state in states:
                names, ways, new = self._ways(state, at)
                if self.unknown:
                    return
                for way in ways:
                    if way.shown is not None:
                        seen.append(way.shown._replace(step=label))
                    ours = way.end.names if new else tuple([names[n] for n in way.names])
                    if way.end.machine.over:
                        over = True
                        self.states.append(way.end.machine)
                    elif (known := found.get((ours, way.end.number))) is not None:
                        known.machine.chance += state.machine.chance * way.share
                    else:
                        end = way.end if new else self._renamed(state, way, names, ours)
                        found[ours, way.end.number] = end
            if label:
                self.steps.append(united(label, seen or self.departed))
            states = [state for state in found.values() if state.machine.chance >= LEAST]
        self.states += [state.machine for state in states]

    def _state(self, machine: Machine[Any], at: int) -> _State:
        names, content = Keys(self.outlook, at).key(machine)
        return _State(machine, names, self.numbers.setdefault(content, len(self.numbers)))

    def _ways(self, state: _State, at: int) -> tuple[list[str], list[_Way], bool]:
        """Where step `at` leads from a state, with the names that it concerns; whether it was performed for this."""
        step = self.scenario.steps[at]
        names = list(dict.fromkeys((*state.names, *spoken(step))))
        asked = (state.number, self._asked(state, step, names, at))
        ways = self.led.get(asked)
        if ways is not None:
            return names, ways, False
        ways = self._performed(state, at)
        for way in ways:
            way.names = [names.index(name) if name in names else -1 for name in way.end.names]
        if not any(-1 in way.names or (way.shown is not None and way.shown.against) for way in ways):
            self.led[asked] = ways
        return names, ways, True

    def _asked(self, state: _State, step: Step, names: list[str], at: int) -> Hashable:
        """A step, and what is to come of the names of a state, without the names themselves."""
        outlook, after = self.outlook, at + 1
        alive = sorted((outlook.next(name, after), n) for n, name in enumerate(names) if outlook.alive(name, after))
        return (
            shape(step),
            tuple([names.index(name) for name in spoken(step)]),
            tuple([look(name, state.machine.names.get(name)) for name in names[len(state.names) :]]),
            tuple([n for _, n in alive]),
            tuple([outlook.accepted(name, after) for name in names]),
            outlook.crowds(after),
            at if self.observed is not None else -1,  # what was seen then decides
        )

    def _performed(self, state: _State, at: int) -> list[_Way]:
        """The ways that step `at` takes from a state. Sets `unknown` where the model does not know."""
        course = Course()
        ways: list[_Way] = []
        while True:
            if self.copies > MAX_COPIES:
                self.unknown = TOO_MANY
                return ways
            machine = fork(state.machine, course.choose)
            self.copies += 1 + len(machine.called) + len(machine.tuples)
            try:
                shown: list[StepPrediction] = []
                machine.run(at + 1, shown)
            except Departed as gone:
                self.departed.append(gone.shown)
            except Contradiction:
                pass
            except Unknown as why:
                self.unknown = str(why)
                return ways
            else:
                share = machine.chance / state.machine.chance
                ways.append(_Way(shown[0] if shown else None, self._state(machine, at + 1), share))
            if not course.next():
                return ways

    def _renamed(self, state: _State, way: _Way, names: list[str], ours: tuple[str, ...]) -> _State:
        """Where a way ends that began in a like state, by the names of this one."""
        old, here = way.end, state.machine
        machine = alike(old.machine)
        machine.at, machine.labelled = here.at + 1, here.labelled + (way.shown is not None)
        machine.names = {name: held for name, held in here.names.items() if name not in names}
        machine.names |= {new: old.machine.names[name] for name, new in zip(old.names, ours, strict=True)}
        machine.touched = {*here.touched, *ours}
        machine.chance = here.chance * way.share
        return _State(machine, ours, old.number)


class _State:
    """A machine between two steps, its names in the order in which they come up again, and its number by content."""

    __slots__ = ("machine", "names", "number")

    def __init__(self, machine: Machine[Any], names: tuple[str, ...], number: int) -> None:
        self.machine, self.names, self.number = machine, names, number


class _Way:
    """What a step shows on a way through it, where that ends, with which share of the chance that there was before.

    `names`: which of the names before are the names there.
    """

    __slots__ = ("shown", "end", "share", "names")

    def __init__(self, shown: StepPrediction | None, end: _State, share: float) -> None:
        self.shown, self.end, self.share = shown, end, share
        self.names: list[int] = []
