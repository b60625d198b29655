"""The abstract machine: it interprets a scenario step by step and asks its family what each call does.

It is in one state. Where the OS may choose, `choose` asks for one of the ways; `walk` follows them all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from ..options import options
from ..scenario import KINDS, Address, Observation, Option, Scenario, Step, StepOutcome
from .address import parsed
from .clause import PLAIN, Declared, Errno, ModelError, TimeUp, Unknown
from .memory import digest
from .ports import Contradiction, PortSpace, Value
from .prediction import StepPrediction
from .sock import Sock, Tuple4

PATIENCE = 0.2  # seconds that accept and recv wait
MAX_WORK = 2_000_000  # comparisons of sockets in one prediction

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
def _plain(label: str, outcome: str, clause: str) -> StepPrediction:
    """What a step shows that records nothing."""
    return StepPrediction(label, (outcome,), None, clause)


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
        "scenario stack family on choose space names over now clause work observed ports at labelled env addresses "
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
    ) -> None:
        self.scenario, self.stack, self.family, self.on = scenario, stack, family, on
        self.choose, self.observed = choose, observed
        self.space = PortSpace(choose)
        self.names: dict[str, Held] = {}
        self.ports: dict[int | str, int] = {}  # port symbol -> id
        self.over = False  # the scenario's time is up
        self.now = 0.0  # seconds that have passed at least
        self.clause: Declared = PLAIN
        self.work = [0]  # comparisons, of all machines of one prediction
        self.at = self.labelled = 0  # the next step, and its number among those with a label
        self.clock = 0
        self.touched: set[str] = set()  # names whose sockets may differ from one state to the other
        self.env: dict[str, str] = {}  # settings by name; "ephemeral"
        self.addresses: set[str] = set()
        self.devices = {"lo"}
        self.tuples: dict[Tuple4, Sock] = {}
        self.listeners: dict[int, list[Sock]] = {}
        self.called: dict[Sock, str] = {}  # the scenario's names, also of what is closed
        self.chance = 1.0  # of this state, as far as what is spread over a group's members decides
        self.against: Declared = PLAIN  # the clause that stands against the call because of the socket `other`
        self.other: Sock | None = None
        for setting in scenario.environment:
            if setting.kind == "address":
                self.addresses.add(setting.value if "%" in setting.value else parsed(setting.value)[0])
            elif setting.kind == "device":
                self.devices.add(setting.value)
            else:
                self.env[setting.name or "ephemeral"] = setting.value
        self.state = family.begin(self)  # what the family keeps of sockets and ports

    def do(self) -> StepPrediction | None:
        """Do the next step; what it shows, None for one without label.

        Raises Contradiction where this execution cannot be, Departed where it is not what was observed, and Unknown.
        """
        step = self.scenario.steps[self.at]
        if not step.label:
            self.now += float(step.seconds)
            self.at += 1
            return None
        try:
            outcome, value = self.step(step)
        except Unknown as why:
            shown = self._unknown(step, why)
        else:
            if value is None and self.other is None:
                shown = _plain(step.label, outcome, self.clause.name)
            else:
                values = None if value is None else (value,)
                shown = StepPrediction(step.label, (outcome,), values, self.clause.name, against=self._against(outcome))
            if self.observed is not None and self.labelled < len(self.observed.steps):
                try:
                    self.compare(step, outcome, value, self.observed.steps[self.labelled])
                except Contradiction:
                    raise Departed(shown) from None
        self.at += 1
        self.labelled += 1
        self.clause, self.other = PLAIN, None
        return shown

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

    def step(self, step: Step) -> tuple[str, Value | None]:
        """Do one step: its outcome and what it records."""
        verb = step.verb
        if verb == "socket":
            return self.create(step), None
        held = self.names.get(step.of or step.name)
        if held is None:
            return _UNREACHED
        if held.unknown:
            raise Unknown(held.unknown)
        sk = held.sock
        if sk is None or (held.failed and verb not in _ALWAYS):
            return _UNREACHED
        address, host, port = step.address, "", 0
        if address is not None:
            host, number = address.host, self.port(address)
            if "%" in host and not self.family.scopes:
                raise Unknown("an address of one device")
            if number is None:
                return _UNREACHED
            port = number
        try:
            if self.now and verb in _TIMED and sk.proto == "tcp":
                self.family.elapse(self)
            value = CALLS[verb](self, step, held, sk, host, port)
        except Errno as error:
            if error.clause not in self.on:  # a clause that was taken away
                return _OK
            self.clause = error.clause
            outcome = error.name
        except TimeUp as late:
            self.clause = late.clause
            self.over = late.clause in self.on
            return ("timeout" if self.over else "ok"), None
        else:
            if value is None:
                return _OK
            if value is not _NOTHING:
                return "ok", value
            outcome = "timeout"
            self.now += PATIENCE
        if not step.of and not step.survives:
            held.failed = True
        return outcome, None

    def create(self, step: Step) -> str:
        """socket(2) and its options."""
        proto, family = KINDS[step.kind]
        held = self.names[step.name] = Held()
        try:
            held.sock = self.family.socket(self, proto, family, step.user or "root")
            self.called[held.sock] = step.name
            for option in step.options:
                self.set(held, held.sock, option)
        except Errno as error:
            if error.clause not in self.on:
                return "ok"
            self.clause = error.clause
            held.failed = not step.survives
            return error.name
        except Unknown as why:
            if held.sock is None:
                held.unknown = str(why)
            raise
        return "ok"

    def set(self, held: Held, sk: Sock, option: Option) -> None:
        """setsockopt(2). Where it is not known what an option does that bears on no port, its socket is not."""
        self.has(option)
        try:
            self.family.set(self, sk, option)
        except Unknown as why:
            if not options()[option.name].ports:
                held.unknown = str(why)
            raise

    def has(self, option: Option) -> None:
        """Raises Errno where this system has no such option, in any version."""
        if self.stack not in options()[option.name].number:
            raise Errno("ENOPROTOOPT", self.family.no_option)

    def port(self, address: Address) -> int | None:
        """The id of the port that an address names; None where ``NAME.port`` has none."""
        named = address.port
        if isinstance(named, int):
            return self.space.number(named) if named else 0
        if named in self.ports:
            return self.ports[named]
        if address.owner is None:
            known = self.observed.ports.get(named) if self.observed is not None else None
            port = self.ports[named] = self.space.number(known) if known else self.space.symbol(named)
            return port
        held = self.names.get(address.owner)
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

    def compare(self, step: Step, outcome: str, value: Value | None, seen: StepOutcome) -> None:
        """Hold the step against what was observed. Raises Contradiction where this course is not the one."""
        if outcome != seen.outcome:
            raise Contradiction
        if value is None or seen.value is None:
            return
        assert self.observed is not None
        if step.verb == "name" and value.ports and value.matches(seen.value, {}):
            held = self.names[step.name]
            if held.sock is not None:
                self.space.is_number(held.sock.shown, int(seen.value.rpartition(":")[2]))
        elif not value.matches(seen.value, self.observed.ports):
            raise Contradiction

    def met(self, other: Sock | None, clause: Declared) -> Declared:
        """Note that `clause` stands against the call because of the socket `other`; returns the clause."""
        self.against, self.other = clause, other
        return clause

    def _against(self, outcome: str) -> str:
        """The socket because of which the step failed, by its name in the scenario; else empty."""
        if outcome == "ok" or self.against is not self.clause or self.other is None:
            return ""
        return self.called.get(self.other, "a connection not accepted")

    def spread(self, members: int) -> int:
        """The member of a group that gets what arrives: each alike."""
        self.chance /= members
        return self.choose(members)

    def memory(self) -> bytes:
        """A digest of all that what follows may depend on."""
        return digest((getattr(self, name) for name in _MEMORY), self)

    def spend(self, work: int) -> None:
        """Count comparisons. Raises ModelError beyond the bound."""
        self.work[0] += work
        if self.work[0] > MAX_WORK:
            raise ModelError(f"this scenario takes more than {MAX_WORK} comparisons of sockets to predict")


_NOTHING = Value("nothing")  # accept and recv: nothing to return within their time
_OK: tuple[str, Value | None] = ("ok", None)
_UNREACHED: tuple[str, Value | None] = ("unreached", None)


def _listen(m: Machine[Any], step: Step, held: Held, sk: Sock, host: str, port: int) -> None:
    m.family.listen(m, sk, 8 if step.backlog is None else step.backlog)


def _close(m: Machine[Any], step: Step, held: Held, sk: Sock, host: str, port: int) -> None:
    if sk.descriptors > 1 and m.family.shared in m.on:
        held.port, held.sock = sk.shown, None
        sk.descriptors -= 1
        if m.called[sk] == step.name:
            m.called[sk] = next(iter(m.sharing(sk)), step.name)
        m.clause = m.family.shared
        return
    names = m.sharing(sk) if sk.descriptors > 1 else (step.name,)  # without that clause all of them are closed
    shown = sk.shown
    m.family.close(m, sk)
    for name in names:
        m.names[name].port, m.names[name].sock = shown, None


def _dup(m: Machine[Any], step: Step, held: Held, sk: Sock, host: str, port: int) -> None:
    m.names[step.name] = Held(sk)
    sk.descriptors += 1


def _accept(m: Machine[Any], step: Step, held: Held, sk: Sock, host: str, port: int) -> Value | None:
    child = m.family.accept(m, sk)
    if child is None:
        return _NOTHING
    m.names[step.name], m.called[child] = Held(child), step.name
    return None


def _get(m: Machine[Any], step: Step, held: Held, sk: Sock, host: str, port: int) -> Value | None:
    m.has(step.options[0])
    text = m.family.get(m, sk, step.options[0])
    return None if text is None else Value(text)


def _recv(m: Machine[Any], step: Step, held: Held, sk: Sock, host: str, port: int) -> Value | None:
    return None if m.family.receive(m, sk, False) else _NOTHING


def _eof(m: Machine[Any], step: Step, held: Held, sk: Sock, host: str, port: int) -> None:
    if not m.family.receive(m, sk, True):
        raise TimeUp(m.family.silence)


Call = Callable[[Machine[Any], Step, Held, Sock, str, int], Value | None]
#: The calls of the language, as the family answers them: its value where it records one.
CALLS: dict[str, Call] = {
    "bind": lambda m, _step, _held, sk, host, port: m.family.bind(m, sk, host, port),
    "listen": _listen,
    "connect": lambda m, _step, _held, sk, host, port: m.family.connect(m, sk, host, port),
    "close": _close,
    "name": lambda m, _step, _held, sk, _host, _port: m.family.name(m, sk),
    "accept": _accept,
    "dup": _dup,
    "set": lambda m, step, held, sk, _host, _port: m.set(held, sk, step.options[0]),
    "get": _get,
    "disconnect": lambda m, _step, _held, sk, _host, _port: m.family.disconnect(m, sk),
    "shutdown": lambda m, step, _held, sk, _host, _port: m.family.shutdown(m, sk, step.how),
    "eof": _eof,
    "recv": _recv,
    "send": lambda m, _step, _held, sk, host, port: m.family.send(m, sk, host, port),
    "sendto": lambda m, _step, _held, sk, host, port: m.family.send(m, sk, host, port),
}
