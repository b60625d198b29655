"""Calls that worked here, compared with the models of other platforms: which would not, and by which clause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..model import ModelError, clauses, families, predict
from ..model.clause import Clause
from ..platforms import Platform
from .calls import Call, Piece, essential
from .conditions import caught, made_on
from .events import Trail
from .locations import Place, places
from .remedy import remedy

COMPARED = frozenset({"socket", "set", "bind", "listen", "connect", "accept"})
DEFAULT = ("linux", "macos", "windows", "freebsd")  # the stacks that are compared with, the newest of each
MOST = 400  # calls of a piece: a longer one is not compared
_CURABLE = {"EADDRINUSE", "EACCES", "ENOPROTOOPT", "timeout"}  # by other options, or another order
ASKS = "the code asks for the system itself"
_REMEMBERED = 2_000  # comparisons


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
class Comparison:
    """What became of a piece: its findings; what would work on all platforms; where nothing could be said, and why."""

    piece: Piece
    findings: tuple[Finding, ...] = ()
    remedy: str = ""
    unknown: Mapping[str, str] = field(default_factory=dict)  # platform -> why


@dataclass(frozen=True, slots=True)
class _Difference:
    """The first step at which a platform cannot do what was seen here."""

    at: int
    step: str
    outcomes: tuple[str, ...]
    clause: str
    option: int = -1  # of a new socket the one that is to blame


_Found = dict[Platform, _Difference | str]  # where they differ, or why that is not known


class Comparer:
    """Compares pieces with `targets`; `here` is the platform that they were seen on."""

    def __init__(self, here: Platform, targets: Sequence[Platform]) -> None:
        self.here, self.targets = here, tuple(targets)
        self.clauses = {platform: {c.name: c for c in clauses(platform)} for platform in self.targets}
        self.remembered: dict[object, tuple[_Found, str]] = {}

    def compare(self, whole: Piece) -> Comparison:
        """What the targets would do."""
        piece = essential(whole)
        if len(piece.calls) > MOST:
            why = f"more than {MOST} calls in one piece"
            return Comparison(piece, unknown=dict.fromkeys(map(str, self.targets), why))
        there = {platform: self._on(piece, platform) for platform in self.targets}
        key = (piece.key, *(other and other.key for other in there.values() if other is not piece))
        found = self.remembered.get(key)
        if found is None:
            if len(self.remembered) >= _REMEMBERED:
                self.remembered.clear()
            found = self.remembered[key] = self._compare(piece, there)
        return self._comparison(piece, *found)

    def _on(self, piece: Piece, platform: Platform) -> Piece | None:
        """The piece as the code would have it on a platform; None where it asks for it in ways we do not follow."""
        if platform.stack == self.here.stack:
            return piece
        options, dropped = dict(piece.options), set()
        for call in piece.calls:
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
        if options == piece.options and not dropped:
            return piece
        return Piece(tuple(call for call in piece.calls if call not in dropped), piece.names, options)

    def _compare(self, piece: Piece, there: Mapping[Platform, Piece | None]) -> tuple[_Found, str]:
        try:
            if why := self._not_understood(piece):
                return dict.fromkeys(self.targets, why), ""
            found: dict[Platform, _Difference | str] = {}
            for platform, other in there.items():
                difference = ASKS if other is None else _difference(other, platform)
                if difference is not None:
                    found[platform] = difference
        except ModelError as error:
            return dict.fromkeys(self.targets, str(error)), ""
        failing = {}
        for platform, difference in found.items():
            other = there[platform]
            if isinstance(difference, _Difference) and other is not None and _CURABLE & set(difference.outcomes):
                failing[platform] = other.calls[difference.at]
        if not any(call.outcome == "ok" for call in failing.values()):
            return found, ""
        known = {platform: other for platform, other in there.items() if other is not None}
        order = sorted(known, key=lambda platform: platform not in failing)  # those that fail now are tried first
        return found, remedy(list(failing.values()), piece, {p: known[p] for p in order} | {self.here: piece})

    def _not_understood(self, piece: Piece) -> str:
        """Why nothing is said of the piece: what was seen here is not what the model of this platform says."""
        if self.here.stack not in families():
            return ""
        seen = piece.observation(self.here.name)
        prediction = predict(piece.scenario, self.here, seen)
        for call, step, known in zip(piece.calls, prediction.steps, seen.steps, strict=False):
            if step.unknown and not prediction.unknown.startswith("what was observed"):
                return ""
            if call.verb in COMPARED and (step.unknown or known.outcome not in step.outcomes):
                return f"what {step.step} did here is not what the model of {self.here} says"
        return ""

    def _comparison(self, piece: Piece, found: Mapping[Platform, _Difference | str], fix: str) -> Comparison:
        """The findings with their lines of code; those at a line that asks for the system are none."""
        groups: dict[Finding, list[Platform]] = {}
        unknown = {}
        for platform, difference in found.items():
            if isinstance(difference, str):
                unknown[str(platform)] = difference
                continue
            other = self._on(piece, platform)
            assert other is not None
            call = other.calls[difference.at]
            if call.old:
                continue
            trail = call.sock.options[difference.option][1] if difference.option >= 0 else call.trail
            if any(not made_on(place, self.here.stack, platform.stack) for place in places(trail)):
                unknown[str(platform)] = ASKS
                continue
            clause = self.clauses[platform].get(difference.clause) or Clause(difference.clause, "", "")
            option = call.sock.options[difference.option][0].name if difference.option >= 0 else ""
            finding = Finding((), difference.step, call, call.outcome, difference.outcomes, clause, trail, option)
            groups.setdefault(finding, []).append(platform)
        findings = tuple(replace(finding, platforms=tuple(platforms)) for finding, platforms in groups.items())
        return Comparison(piece, findings, fix if findings else "", unknown)


def _difference(piece: Piece, platform: Platform) -> _Difference | str | None:
    """The first call that cannot do there what it did here; or why that is not known."""
    prediction = predict(piece.scenario, platform)
    for at, (call, step) in enumerate(zip(piece.calls, prediction.steps, strict=True)):
        if step.unknown:
            return step.unknown
        if call.outcome in ("", *step.outcomes) or call.verb not in COMPARED:
            continue
        if call.sock.stranger:
            return "what another process or machine would do there is not known"
        outcomes = tuple(outcome for outcome in step.outcomes if outcome != "unreached")
        return _Difference(at, step.step, outcomes, step.clause, _option(piece, at, platform))
    return None


def _option(piece: Piece, at: int, platform: Platform) -> int:
    """Which option of the socket made at `at` is to blame that it cannot be made so; -1 where none is."""
    sock = piece.calls[at].sock
    options = piece.options[sock] if piece.calls[at].verb == "socket" else ()
    for n, option in enumerate(options):
        fewer = Piece(piece.calls[: at + 1], piece.names, {**piece.options, sock: options[: n + 1]})
        if predict(fewer.scenario, platform).steps[-1].outcomes != ("ok",):
            return [entry for entry, _ in sock.options].index(option)
    return -1
