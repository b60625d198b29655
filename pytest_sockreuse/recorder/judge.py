"""Calls that worked here, held against the models of other platforms: which would not, and by which clause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..model import ModelError, clauses, families, predict
from ..model.clause import Clause
from ..platforms import Platform
from .calls import Call, Part, essential
from .conditions import caught, made_on
from .events import Trail
from .locations import Place, places
from .remedy import remedy

JUDGED = frozenset({"socket", "set", "bind", "listen", "connect", "accept"})
MOST = 400  # calls of a part: a longer one is not judged
_CURABLE = {"EADDRINUSE", "EACCES", "ENOPROTOOPT", "timeout"}  # by other options, or another order
ASKS = "the code asks for the system itself"
_REMEMBERED = 2_000  # judgements


@dataclass(frozen=True, slots=True)
class Finding:
    """A call that would do something else: where it is, what it did here, what it may do there, and the clause."""

    platforms: tuple[Platform, ...]
    step: str
    call: Call
    here: str
    outcomes: tuple[str, ...]
    clause: Clause
    trail: Trail
    option: str = ""  # which is to blame, of a new socket

    @property
    def places(self) -> tuple[Place, ...]:
        """The lines to blame, innermost first."""
        return places(self.trail)

    @property
    def caught(self) -> bool:
        """Whether the code goes on if the call fails."""
        return bool(self.places) and caught(self.places[0])


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a part: its findings; what would work on all platforms; where nothing could be said, and why."""

    part: Part
    findings: tuple[Finding, ...] = ()
    remedy: str = ""
    unknown: Mapping[str, str] = field(default_factory=dict)  # platform -> why


@dataclass(frozen=True, slots=True)
class _Departure:
    """The first step at which a platform cannot do what was seen here."""

    at: int
    step: str
    outcomes: tuple[str, ...]
    clause: str
    option: int = -1  # of a new socket the one that is to blame


class Judge:
    """Holds parts against `targets`; `here` is the platform that they were seen on."""

    def __init__(self, here: Platform, targets: Sequence[Platform]) -> None:
        self.here, self.targets = here, tuple(targets)
        self.clauses = {platform: {c.name: c for c in clauses(platform)} for platform in self.targets}
        self.remembered: dict[object, tuple[dict[Platform, _Departure | str], str]] = {}

    def judge(self, whole: Part) -> Judgement:
        """What the targets would do."""
        part = essential(whole)
        if len(part.calls) > MOST:
            why = f"more than {MOST} calls in one piece"
            return Judgement(part, unknown=dict.fromkeys(map(str, self.targets), why))
        there = {platform: self._on(part, platform) for platform in self.targets}
        key = (part.key, *(other and other.key for other in there.values() if other is not part))
        found = self.remembered.get(key)
        if found is None:
            if len(self.remembered) >= _REMEMBERED:
                self.remembered.clear()
            found = self.remembered[key] = self._judge(part, there)
        return self._judgement(part, *found)

    def _on(self, part: Part, platform: Platform) -> Part | None:
        """The part as the code would have it on a platform; None where it asks for it in ways we do not follow."""
        if platform.stack == self.here.stack:
            return part
        options, dropped = dict(part.options), set()
        for call in part.calls:
            if call.verb == "set" or (call.verb == "socket" and call.sock.options):
                entries = call.sock.options if call.verb == "socket" else [(call.option, call.trail)]
                for option, trail in entries:
                    made = [made_on(place, self.here.stack, platform.stack) for place in places(trail)]
                    if False in made and call.verb == "set":
                        dropped.add(call)
                    elif False in made:
                        options[call.sock] = tuple(o for o in options[call.sock] if o != option)
                    elif None in made:
                        return None
        if options == part.options and not dropped:
            return part
        return Part(tuple(call for call in part.calls if call not in dropped), part.names, options)

    def _judge(self, part: Part, there: Mapping[Platform, Part | None]) -> tuple[dict[Platform, _Departure | str], str]:
        try:
            if why := self._not_understood(part):
                return dict.fromkeys(self.targets, why), ""
            found: dict[Platform, _Departure | str] = {}
            for platform, other in there.items():
                departure = ASKS if other is None else _departure(other, platform)
                if departure is not None:
                    found[platform] = departure
        except ModelError as error:
            return dict.fromkeys(self.targets, str(error)), ""
        failing = {}
        for platform, departure in found.items():
            other = there[platform]
            if isinstance(departure, _Departure) and other is not None and _CURABLE & set(departure.outcomes):
                failing[platform] = other.calls[departure.at]
        if not any(call.outcome == "ok" for call in failing.values()):
            return found, ""
        known = {platform: other for platform, other in there.items() if other is not None}
        order = sorted(known, key=lambda platform: platform not in failing)  # those that fail now are tried first
        return found, remedy(list(failing.values()), part, {p: known[p] for p in order} | {self.here: part})

    def _not_understood(self, part: Part) -> str:
        """Why nothing is said of the part: what was seen here is not what the model of this platform says."""
        if self.here.stack not in families():
            return ""
        seen = part.observation(self.here.name)
        prediction = predict(part.scenario, self.here, seen)
        for call, step, known in zip(part.calls, prediction.steps, seen.steps, strict=False):
            if step.unknown and not prediction.unknown.startswith("what was observed"):
                return ""
            if call.verb in JUDGED and (step.unknown or known.outcome not in step.outcomes):
                return f"what {step.step} did here is not what the model of {self.here} says"
        return ""

    def _judgement(self, part: Part, found: Mapping[Platform, _Departure | str], fix: str) -> Judgement:
        """The findings with their lines of code; those at a line that asks for the system are none."""
        groups: dict[Finding, list[Platform]] = {}
        unknown = {}
        for platform, departure in found.items():
            if isinstance(departure, str):
                unknown[str(platform)] = departure
                continue
            other = self._on(part, platform)
            assert other is not None
            call = other.calls[departure.at]
            if call.old:
                continue
            trail = call.sock.options[departure.option][1] if departure.option >= 0 else call.trail
            if any(not made_on(place, self.here.stack, platform.stack) for place in places(trail)):
                unknown[str(platform)] = ASKS
                continue
            clause = self.clauses[platform].get(departure.clause) or Clause(departure.clause, "", "")
            option = call.sock.options[departure.option][0].name if departure.option >= 0 else ""
            finding = Finding((), departure.step, call, call.outcome, departure.outcomes, clause, trail, option)
            groups.setdefault(finding, []).append(platform)
        findings = tuple(replace(finding, platforms=tuple(platforms)) for finding, platforms in groups.items())
        return Judgement(part, findings, fix if findings else "", unknown)


def _departure(part: Part, platform: Platform) -> _Departure | str | None:
    """The first call that cannot do there what it did here; or why that is not known."""
    prediction = predict(part.scenario, platform)
    for at, (call, step) in enumerate(zip(part.calls, prediction.steps, strict=True)):
        if step.unknown:
            return step.unknown
        if call.outcome in ("", *step.outcomes) or call.verb not in JUDGED:
            continue
        if call.sock.stranger:
            return "what another process or machine would do there is not known"
        outcomes = tuple(outcome for outcome in step.outcomes if outcome != "unreached")
        return _Departure(at, step.step, outcomes, step.clause, _option(part, at, platform))
    return None


def _option(part: Part, at: int, platform: Platform) -> int:
    """Which option of the socket made at `at` is to blame that it cannot be made so; -1 where none is."""
    sock = part.calls[at].sock
    options = part.options[sock] if part.calls[at].verb == "socket" else ()
    for n, option in enumerate(options):
        fewer = Part(part.calls[: at + 1], part.names, {**part.options, sock: options[: n + 1]})
        if predict(fewer.scenario, platform).steps[-1].outcomes != ("ok",):
            return [entry for entry, _ in sock.options].index(option)
    return -1
