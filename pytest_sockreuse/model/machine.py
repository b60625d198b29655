"""The abstract machine: it interprets a scenario step by step and asks its family what each call does.

It is in one state. Where the OS may choose, `choose` asks for one of the ways; `walk` follows them all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Generic, Protocol, TypeVar

from ..options import options
from ..scenario import KINDS, Address, Observation, Option, Scenario, Setting, Step
from .address import parsed
from .clause import PLAIN, Declared, Errno, ModelError, TimeUp, Unknown
from .memory import digest
from .ports import Contradiction, PortSpace, Value
from .prediction import StepPrediction
from .sock import Sock, Tuple4

PATIENCE = 0.2  # seconds that accept and recv wait
MAX_WORK = 2_000_000  # comparisons of sockets in one prediction

Said = str | Value | None  # what a call comes to: None for plain ok, a value that it records, or another outcome
S = TypeVar("S")  # a family's state: a dataclass that its `begin` makes

_ALWAYS = frozenset({"close", "name", "get", "set"})
_MEMORY = "over space names now ports env addresses devices state tuples listeners clock".split()
_TIMED = frozenset({"bind", "connect", "listen", "send", "shutdown", "close"})  # may find that time ended something
_MOVES = frozenset({"bind", "connect", "disconnect", "listen", "close"})


class Departed(Contradiction):
    """An execution that is not the one observed, from a step on; carries what that step shows in it."""

    def __init__(self, shown: StepPrediction) -> None:
        super().__init__(shown)
        self.shown = shown


class Held:
    """A name of the scenario: its socket, whether it failed, its last reported port, why its steps are not covered."""

    __slots__ = ("sock", "failed", "port", "unknown")

    def __init__(self, sock: Sock | None = None, unknown: str = "") -> None:
        self.sock, self.failed, self.port, self.unknown = sock, False, 0, unknown


class Family(Protocol[S]):
    """What a family answers for each call: it raises Errno, TimeUp or Unknown, and notes what decided in `m.clause`.

    `receive` is false where there is nothing to return, by the clause `silence`; `elapse` ends what time alone ends. An
    option that the system does not have is refused by the clause `no_option`, and the family is not asked; nor is it
    where a descriptor is closed and by the clause `shared` another one keeps the socket.
    """

    silence: Declared
    no_option: Declared
    shared: Declared
    scopes: bool  # whether it knows what an address is on another device

    def begin(self, m: Machine[S]) -> S: ...
    def elapse(self, m: Machine[S]) -> None: ...
    def socket(self, m: Machine[S], proto: str, family: int, user: str) -> Sock: ...
    def set(self, m: Machine[S], sk: Sock, option: Option) -> None: ...
    def get(self, m: Machine[S], sk: Sock, option: Option) -> str | None: ...
    def bind(self, m: Machine[S], sk: Sock, host: str, port: int) -> None: ...
    def listen(self, m: Machine[S], sk: Sock, backlog: int) -> None: ...
    def connect(self, m: Machine[S], sk: Sock, host: str, port: int) -> None: ...
    def disconnect(self, m: Machine[S], sk: Sock) -> None: ...
    def accept(self, m: Machine[S], sk: Sock) -> Sock | None: ...
    def shutdown(self, m: Machine[S], sk: Sock, how: str) -> None: ...
    def receive(self, m: Machine[S], sk: Sock, all_: bool) -> bool: ...
    def send(self, m: Machine[S], sk: Sock, host: str, port: int) -> None: ...
    def close(self, m: Machine[S], sk: Sock) -> None: ...
    def name(self, m: Machine[S], sk: Sock) -> Value: ...


@lru_cache(8192)
def _plain(label: str, outcome: str, clause: str, against: str = "") -> StepPrediction:
    """What a step shows that records nothing."""
    return StepPrediction(label, (outcome,), None, clause, against=against)


@lru_cache(256)
def _surroundings(settings: tuple[Setting, ...]) -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    """The settings by name, or as "ephemeral"; the addresses; the devices."""
    env = {one.name or "ephemeral": one.value for one in settings if one.kind in ("sysctl", "ephemeral")}
    addresses = (one.value for one in settings if one.kind == "address")
    devices = {one.value for one in settings if one.kind == "device"}
    return env, frozenset(at if "%" in at else parsed(at)[0] for at in addresses), frozenset({"lo", *devices})


@cache
def _lacks(stack: str) -> frozenset[str]:
    """The options that a system has in no version."""
    return frozenset(name for name, option in options().items() if stack not in option.number)


def _bears(step: Step, held: Held) -> bool:
    """Whether another socket may tell what a step does of which that is not known."""
    if step.verb in ("get", "name", "dup") or (held.sock is not None and held.sock.proto == "sctp"):
        return False  # SCTP has ports of its own
    if not held.unknown or held.sock is None:  # a protocol that is not modelled has ports of its own
        return not held.unknown
    return step.verb not in ("socket", "set") or (step.verb == "set" and options()[step.options[0].name].ports)


class Machine(Generic[S]):
    """One scenario on one stack, before one of its steps."""

    __slots__ = (
        "scenario lacks family on choose space names over now clause work observed ports at labelled env addresses "
        "devices state tuples listeners clock touched called against other chance"
    ).split()

    def __init__(
        self,
        scenario: Scenario,
        stack: str,
        family: Family[S],
        on: frozenset[Declared],
        choose: Callable[[int], int],
        observed: Observation | None,
        settled: frozenset[int] | None = None,
    ) -> None:
        self.scenario, self.family, self.on = scenario, family, on
        self.lacks = _lacks(stack)
        self.choose, self.observed = choose, observed
        self.space = PortSpace(choose, settled)
        self.names: dict[str, Held] = {}
        self.ports: dict[int | str, int] = {}  # port symbol -> id
        self.over = False  # the scenario's time is up
        self.now = 0.0  # seconds that have passed at least
        self.clause: Declared = PLAIN
        self.work = [0]  # comparisons, of all machines of one prediction
        self.at = self.labelled = 0  # the next step, and its number among those with a label
        self.clock = 0
        self.touched: set[str] = set()  # names whose sockets may differ from one state to the other
        self.env, self.addresses, self.devices = _surroundings(scenario.environment)
        self.tuples: dict[Tuple4, Sock] = {}
        self.listeners: dict[int, list[Sock]] = {}
        self.called: dict[Sock, str] = {}  # the scenario's names, also of what is closed
        self.chance = 1.0  # of this state, as far as what is spread over a group's members decides
        self.against: Declared = PLAIN  # the clause that stands against the call because of the socket `other`
        self.other: Sock | None = None
        self.state = family.begin(self)  # what the family keeps of sockets and ports

    def run(self, until: int, shown: list[StepPrediction]) -> None:
        """Do the steps before number `until`, or until time is up, and note what each shows that has a label.

        Raises Contradiction where this execution cannot be, Departed where it is not what was observed, and Unknown.
        """
        steps = self.scenario.steps
        for at in range(self.at, until):
            self.at, step = at, steps[at]
            verb = step.verb
            said: Said | StepPrediction = None
            try:
                if verb == "socket":
                    self.create(step)
                elif verb == "wait":
                    self.now += float(step.seconds)
                    continue
                else:
                    said = self.call(step, verb)
            except Errno as error:
                if error.clause in self.on:  # else it was taken away
                    said, self.clause = error.name, error.clause
                    if not step.of and not step.survives:
                        self.names[step.name].failed = True
            except TimeUp as late:
                self.clause, self.over = late.clause, late.clause in self.on
                said = "timeout" if self.over else None
            except Unknown as why:
                said = self._unknown(step, why)
            one = _plain(step.label, "ok", self.clause.name) if said is None else self._shown(step.label, said)
            if self.observed is not None:
                self._compare(step, one)
            shown.append(one)
            self.clause, self.other = PLAIN, None
            if self.over:
                break
        self.at = until

    def _shown(self, label: str, said: str | Value | StepPrediction) -> StepPrediction:
        if isinstance(said, str):
            against = ""  # the socket because of which the step failed, by its name in the scenario
            if self.other is not None and self.against is self.clause:
                against = self.called.get(self.other, "a connection not accepted")
            return _plain(label, said, self.clause.name, against)
        return StepPrediction(label, ("ok",), (said,), self.clause.name) if isinstance(said, Value) else said

    def _unknown(self, step: Step, why: Unknown) -> StepPrediction:
        """What a step shows that is not known. Raises it where what follows is not known either."""
        held = self.names.get(step.of or step.name)
        if held is None or _bears(step, held):
            raise why
        if step.of:
            self.names[step.name] = Held(unknown=str(why))
        if step.verb != "name" and not (step.survives or step.of):  # if it fails so do the calls after it
            held.unknown = held.unknown or str(why)
        return StepPrediction(step.label, unknown=str(why))

    def call(self, step: Step, verb: str) -> Said:
        """Do one step on a socket that there is."""
        held = self.names.get(step.of or step.name)
        if held is None:
            return "unreached"
        if held.unknown:
            raise Unknown(held.unknown)
        sk, address = held.sock, step.address
        if sk is None or (held.failed and verb not in _ALWAYS):
            return "unreached"
        if address is None:
            if self.now:
                self._elapse(verb, sk)
            return CALLS[verb](self, step, held, sk)
        port = self.ports.get(address.port) or self.port(address)
        if "%" in address.host and not self.family.scopes:
            raise Unknown("an address of one device")
        if port is None:
            return "unreached"
        if self.now:
            self._elapse(verb, sk)
        family = self.family
        call = family.bind if verb == "bind" else family.connect if verb == "connect" else family.send
        call(self, sk, address.host, port)
        return None

    def _elapse(self, verb: str, sk: Sock) -> None:
        """Before a call that may find that time ended something."""
        if verb in _TIMED and sk.proto == "tcp":
            self.family.elapse(self)

    def create(self, step: Step) -> None:
        """socket(2) and its options."""
        proto, family = KINDS[step.kind]
        held = self.names[step.name] = Held()
        try:
            sk = held.sock = self.family.socket(self, proto, family, step.user or "root")
        except Unknown as why:
            held.unknown = str(why)
            raise
        self.called[sk] = step.name
        for option in step.options:
            self.set(held, sk, option)

    def set(self, held: Held, sk: Sock, option: Option) -> None:
        """setsockopt(2). Where it is not known what an option does that bears on no port, its socket is not."""
        if option.name in self.lacks:
            raise Errno("ENOPROTOOPT", self.family.no_option)
        try:
            self.family.set(self, sk, option)
        except Unknown as why:
            if not options()[option.name].ports:
                held.unknown = str(why)
            raise

    def port(self, address: Address) -> int | None:
        """The id of the port that an address names; None where ``NAME.port`` has none."""
        named = address.port
        if isinstance(named, int):
            return self.space.number(named) if named else 0
        if named in self.ports:
            return self.ports[named]
        if not named.endswith(".port"):
            known = self.observed.ports.get(named) if self.observed is not None else None
            port = self.ports[named] = self.space.number(known) if known else self.space.symbol(named)
            return port
        held = self.names.get(named[:-5])
        if held is None:
            return None
        if held.unknown and held.sock is None:
            raise Unknown(held.unknown)
        if held.sock is not None:
            if held.sock.proto == "sctp":
                self.family.name(self, held.sock)  # raises Unknown where that is not known
            held.port = held.sock.shown
        if self.space.loose:
            self.space.look(held.port)
        return held.port or None

    def wanted(self) -> int:
        """The port that the step under way was observed to choose, as the socket's next `name` tells; or 0."""
        if self.observed is None:
            return 0
        steps, name = self.scenario.steps, self.scenario.steps[self.at].name
        names, seen = self.sharing(self.names[name].sock), self.observed.steps
        before = sum(1 for step in steps[: self.at + 1] if step.label)
        for step in steps[self.at + 1 :]:
            if step.verb == "dup" and step.of in names:
                names.append(step.name)
            elif step.name in names:
                if step.verb == "name" and before < len(seen) and seen[before].value:
                    port = (seen[before].value or "").rpartition(":")[2]
                    return int(port) if port.isdigit() else 0  # a result may tell a range, or a symbol
                if step.verb in _MOVES:
                    return 0
            before += bool(step.label)
        return 0

    def sharing(self, sk: Sock | None) -> list[str]:
        """The names of the descriptors that refer to a socket, the oldest first."""
        return [name for name, held in self.names.items() if held.sock is sk is not None]

    def _compare(self, step: Step, shown: StepPrediction) -> None:
        """Hold the step against what was observed. Raises Departed where this course is not the one."""
        assert self.observed is not None
        self.labelled += 1
        if shown.unknown or self.labelled > len(self.observed.steps):
            return
        seen = self.observed.steps[self.labelled - 1]
        value = shown.values[0] if shown.values else None
        try:
            if shown.outcomes != (seen.outcome,):
                raise Departed(shown)
            if value is None or seen.value is None:
                return
            if step.verb == "name" and value.ports and value.matches(seen.value, {}):
                held = self.names[step.name]
                if held.sock is not None:
                    self.space.is_number(held.sock.shown, int(seen.value.rpartition(":")[2]))
            elif not value.matches(seen.value, self.observed.ports):
                raise Departed(shown)
        except Contradiction:
            raise Departed(shown) from None

    def met(self, other: Sock | None, clause: Declared) -> Declared:
        """Note that `clause` stands against the call because of the socket `other`; returns the clause."""
        self.against, self.other = clause, other
        return clause

    def spread(self, members: int) -> int:
        """The member of a group that gets what arrives: each alike."""
        self.chance /= members
        return self.choose(members)

    def memory(self) -> bytes:
        """A digest of all that what follows may depend on."""
        return digest((getattr(self, name) for name in _MEMORY), self)

    def spend(self, work: int) -> None:
        """Count comparisons. Raises ModelError beyond the bound."""
        spent = self.work
        spent[0] += work
        if spent[0] > MAX_WORK:
            raise ModelError(f"this scenario takes more than {MAX_WORK} comparisons of sockets to predict")


def _close(m: Machine[Any], step: Step, held: Held, sk: Sock) -> None:
    if sk.descriptors > 1 and m.family.shared in m.on:
        held.port, held.sock = sk.shown, None
        sk.descriptors -= 1
        if m.called[sk] == step.name:
            m.called[sk] = next(iter(m.sharing(sk)), step.name)
        m.clause = m.family.shared
        return
    closed = [held]
    if sk.descriptors > 1:  # without that clause all of them are closed
        closed = [m.names[name] for name in m.sharing(sk)]
    shown = sk.shown
    m.family.close(m, sk)
    for held in closed:
        held.port, held.sock = shown, None


def _dup(m: Machine[Any], step: Step, held: Held, sk: Sock) -> None:
    m.names[step.name] = Held(sk)
    sk.descriptors += 1


def _accept(m: Machine[Any], step: Step, held: Held, sk: Sock) -> str | None:
    child = m.family.accept(m, sk)
    if child is None:
        m.now += PATIENCE
        return "timeout"
    m.names[step.name], m.called[child] = Held(child), step.name
    return None


def _get(m: Machine[Any], step: Step, held: Held, sk: Sock) -> Value | None:
    if step.options[0].name in m.lacks:
        raise Errno("ENOPROTOOPT", m.family.no_option)
    text = m.family.get(m, sk, step.options[0])
    return None if text is None else Value(text)


def _recv(m: Machine[Any], step: Step, held: Held, sk: Sock) -> str | None:
    if m.family.receive(m, sk, False):
        return None
    m.now += PATIENCE
    held.failed = held.failed or not step.survives
    return "timeout"


def _eof(m: Machine[Any], step: Step, held: Held, sk: Sock) -> None:
    if not m.family.receive(m, sk, True):
        raise TimeUp(m.family.silence)


Call = Callable[[Machine[Any], Step, Held, Sock], Said]
#: The calls of the language without an address, as the family answers them.
CALLS: dict[str, Call] = {
    "listen": lambda m, step, _held, sk: m.family.listen(m, sk, 8 if step.backlog is None else step.backlog),
    "close": _close,
    "name": lambda m, _step, _held, sk: m.family.name(m, sk),
    "accept": _accept,
    "dup": _dup,
    "set": lambda m, step, held, sk: m.set(held, sk, step.options[0]),
    "get": _get,
    "disconnect": lambda m, _step, _held, sk: m.family.disconnect(m, sk),
    "shutdown": lambda m, step, _held, sk: m.family.shutdown(m, sk, step.how),
    "eof": _eof,
    "recv": _recv,
    "send": lambda m, _step, _held, sk: m.family.send(m, sk, "", 0),
}
