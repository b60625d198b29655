"""Calls that worked here, compared with the models of other platforms: which would not, and by which clause.

One question is asked of each: would this line run there, with these values, and would its failure matter?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache
from typing import Any, TypeVar

from ..dataclass import dataclass
from ..model import STACKS, ModelError, clauses, predict
from ..model.clause import Clause
from ..platforms import Platform
from ..scenario import Option
from .calls import Call, Piece, Traced, essential
from .difference import COMPARED, Difference, first_difference, without_groups
from .events import Trail
from .fate import NOBODY, Fate
from .locations import Place, places
from .reader import fate, names, reading
from .reconstruct import Trace
from .remedy import remedy
from .systems import HAS

DEFAULT = ("linux", "macos", "windows", "freebsd")  # the stacks that are compared with, the newest of each
MOST = 400  # calls of a piece: a longer one is not compared
_CURABLE = {"EADDRINUSE", "EACCES", "ENOPROTOOPT", "ECONNREFUSED", "timeout"}  # by other options, or another order
_BEGINS = {"bind", "listen", "connect"}
ASKS = "the code asks for the system itself"
_REMEMBERED = 5_000  # comparisons, and what they are made of
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class There:
    """What a call may do on platforms that agree in it, and the clause."""

    platforms: tuple[Platform, ...]
    outcomes: tuple[str, ...]
    clause: Clause


@dataclass(frozen=True, slots=True)
class Finding:
    """A call that would do something else: where it is, what it did here, what it may do there, and the clause.

    Where platforms differ from one another too, `there` has each of them.
    """

    platforms: tuple[Platform, ...]
    step: str
    call: Call
    here: str
    outcomes: tuple[str, ...]
    clause: Clause
    trail: Trail
    option: str = ""  # which is to blame, of a new socket
    missing: str = ""  # Python has no name for it there: what it raises
    fate: Fate = NOBODY  # of the error: there, or here where it fails here
    default: str = ""  # an option that is another by default there, and is to blame
    there: tuple[There, ...] = ()

    @property
    def id(self) -> str:
        """What it is called where it is accepted: as the clause, but for what is Python's or a default's."""
        return "missing-name" if self.missing else "dual-stack-default" if self.default else self.clause.name

    @property
    def places(self) -> tuple[Place, ...]:
        """The lines to blame, innermost first."""
        return places(self.trail)

    @property
    def caught(self) -> bool:
        """Whether the code goes on if the call fails."""
        return self.fate.handler is not None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of a piece: its findings; what would work on all platforms; where nothing could be said, and why."""

    piece: Piece
    findings: tuple[Finding, ...] = ()
    remedy: str = ""
    unknown: Mapping[str, str] = field(default_factory=dict)  # platform -> why


_Found = dict[Platform, Difference | str]  # where they differ, or why that is not known


#: Whether a test would be skipped on a stack; None where that is not known.
Skipped = Callable[[str], bool | None]


class Comparer:
    """Compares pieces with `targets`; `here` is the platform that they were seen on."""

    def __init__(self, here: Platform, targets: Sequence[Platform]) -> None:
        self.here, self.targets = here, tuple(targets)
        self.remembered: dict[object, Any] = {}

    def _once(self, key: object, work: Callable[[], _T]) -> _T:
        """What this gave for the key before; an exception is not remembered."""
        if key not in self.remembered:
            if len(self.remembered) >= _REMEMBERED:
                self.remembered.clear()
            self.remembered[key] = work()
        found: _T = self.remembered[key]
        return found

    def compare(self, whole: Piece, skipped: Mapping[Platform, bool | None] | None = None) -> Comparison:
        """What the targets would do. Those on which the test is `skipped` are left out; None: that is not known."""
        piece = essential(whole)
        if len(piece.calls) > MOST:
            why = f"more than {MOST} calls in one piece"
            return Comparison(piece, unknown=dict.fromkeys(map(str, self.targets), why))
        try:
            piece = self._understood(piece)
        except ModelError as error:
            return Comparison(piece, unknown=dict.fromkeys(map(str, self.targets), str(error)))
        wanted = [platform for platform in self.targets if not (skipped or {}).get(platform)]
        there = {p: self._on(piece, p) if self._matters(piece, p) else piece for p in wanted}
        key = (piece.key, tuple(there), *(other and other.key for other in there.values() if other is not piece))
        found, fix = self._once(key, lambda: self._compare(piece, there))
        return self._comparison(piece, there, found, fix, skipped or {})

    def _matters(self, piece: Piece, platform: Platform) -> bool:
        """Whether it matters to a platform which calls and options the code would have there."""
        if platform.stack == self.here.stack and platform.version == self.here.version:
            return False
        try:
            return self._difference(piece, platform) is not None or (
                (bare := _bare(piece)) is not piece and self._difference(bare, platform) is not None
            )
        except ModelError:
            return False

    def _difference(self, piece: Piece, platform: Platform) -> Difference | str | None:
        """The first difference, worked out once for equal pieces. Raises ModelError."""
        return self._once((piece.key, platform), lambda: first_difference(piece, platform))

    def _on(self, piece: Piece, platform: Platform) -> Piece | None:
        """The piece as the code has it on a platform; None where it asks for that in ways that are not followed."""
        if platform.stack == self.here.stack and platform.version == self.here.version:
            return piece
        there, dropped = dict(piece.options), set()
        for call in piece.calls:
            if call.verb == "set" or (call.verb == "socket" and call.sock.options):
                entries = call.sock.options if call.verb == "socket" else [(call.option, call.trail)]
                for option, trail in entries:
                    assert option is not None
                    read = reading(places(trail), self.here.stack, platform.stack)
                    if read.made is None:
                        return None
                    if read.made and not self._given_up(call.sock, option, trail, platform):
                        continue
                    there[call.sock] = _besides(there[call.sock], read.options)
                    if call.verb == "set":
                        dropped.add(call)
                    else:
                        there[call.sock] = tuple(o for o in there[call.sock] if o != option)
            elif call.verb == "bind" and call.trail:
                read = reading(places(call.trail), self.here.stack, platform.stack)
                there[call.sock] = _besides(there[call.sock], read.options)
        if there == piece.options and not dropped:
            return piece
        return replace(piece, calls=tuple(call for call in piece.calls if call not in dropped), options=there)

    def _given_up(self, sock: Traced, option: Option, trail: Trail, platform: Platform) -> bool:
        """Whether the code does without an option that the platform refuses."""
        error = refused(sock.kind, option, platform)
        if not error:
            return False
        error = self._missing(option.name, trail, platform) or error
        return fate(places(trail), error).handler is not None

    def _missing(self, name: str, trail: Trail, platform: Platform) -> str:
        """What Python raises there, where it has no name for an option that the code calls by its name; else empty."""
        stacks = HAS.get(f"socket.{name}")
        if stacks is None or platform.stack in stacks:
            return ""
        raises = reading(places(trail), self.here.stack, platform.stack).raises
        return raises or ("AttributeError" if names(places(trail), name) else "")

    def _understood(self, piece: Piece) -> Piece:
        """The piece with the options that sockets must have had which were not seen: their success says it."""
        unseen = {call.sock for call in piece.calls if call.verb == "bind" and call.sock.stranger}
        if not unseen or not self._not_understood(piece):
            return piece
        shared = {sock: (*piece.options[sock], Option("SO_REUSEADDR")) for sock in unseen}
        changed = replace(piece, options={**piece.options, **shared})
        return piece if self._not_understood(changed) else changed

    def _compare(self, piece: Piece, there: Mapping[Platform, Piece | None]) -> tuple[_Found, str]:
        try:
            if why := self._not_understood(piece):
                return dict.fromkeys(self.targets, why), ""
            found: dict[Platform, Difference | str] = {}
            for platform, other in there.items():
                find = self._difference if other is piece else first_difference  # else its sockets say other options
                difference = ASKS if other is None else find(other, platform)
                if difference is not None:
                    found[platform] = difference
        except ModelError as error:
            return dict.fromkeys(self.targets, str(error)), ""
        failing = {}
        for platform, difference in found.items():
            other = there[platform]
            if isinstance(difference, Difference) and other is not None and _CURABLE & set(difference.outcomes):
                failing[platform] = other.calls[difference.at]
        if not any(call.outcome == "ok" for call in failing.values()):
            return found, ""
        known = {platform: other for platform, other in there.items() if other is not None}
        order = sorted(known, key=lambda platform: platform not in failing)  # those that fail now are tried first
        bare = {p: without_groups(known[p]) for p in order}
        if any(bare[p] is not known[p] and first_difference(bare[p], p) is None for p in failing):
            return found, ""
        mine = without_groups(piece)
        return found, remedy(list(failing.values()), mine, bare | {self.here: mine})

    def _not_understood(self, piece: Piece) -> str:
        """Why nothing is said of the piece: what was seen here is not what the model of this platform says."""
        return self._once(piece.key, lambda: self._why_not(piece)) if self.here.stack in STACKS else ""

    def _why_not(self, piece: Piece) -> str:
        seen = piece.observation(self.here.name)
        prediction = predict(piece.scenario, self.here, seen)
        for call, step, known in zip(piece.calls, prediction.steps, seen.steps, strict=False):
            if step.unknown and not prediction.unknown.startswith("what was observed"):
                return ""
            if call.verb in COMPARED and (step.unknown or known.outcome not in step.outcomes):
                return f"what {step.step} did here is not what the model of {self.here} says"
        return ""

    def _comparison(
        self,
        piece: Piece,
        there: Mapping[Platform, Piece | None],
        found: Mapping[Platform, Difference | str],
        fix: str,
        skipped: Mapping[Platform, bool | None],
    ) -> Comparison:
        """The findings with their lines of code; those at lines that ask for the system in other ways are none."""
        groups: dict[Finding, list[Platform]] = {}
        unknown = {}
        for platform, difference in found.items():
            if isinstance(difference, str):
                unknown[str(platform)] = difference
                continue
            other = there[platform]
            assert other is not None
            finding = self._finding(other, difference, platform)
            if finding is None:
                continue
            if platform in skipped or not self._surely(other, difference, platform):
                unknown[str(platform)] = ASKS
                continue
            groups.setdefault(finding, []).append(platform)
        findings = _by_call([replace(finding, platforms=tuple(on)) for finding, on in groups.items()])
        return Comparison(piece, findings, fix if findings else "", unknown)

    def _surely(self, piece: Piece, difference: Difference, platform: Platform) -> bool:
        """Whether everything up to the call would be done there as it was here, but for options."""
        if platform.stack == self.here.stack:
            return True
        blamed = piece.calls[difference.at]
        trails = [call.trail for call in piece.calls[: difference.at + 1] if call.verb != "set" and call.trail]
        trails += [trail for option, trail in blamed.sock.options if option in piece.options.get(blamed.sock, ())]
        return all(reading(places(trail), self.here.stack, platform.stack).made for trail in trails)

    def _finding(self, piece: Piece, difference: Difference, platform: Platform) -> Finding | None:
        """What there is to say of a difference; None where it makes none to the code."""
        call = piece.calls[difference.at]
        if call.old:
            return None
        clause = _clause(platform, difference.clause)
        option, trail, default = "", call.trail, ""
        if difference.option >= 0:
            chosen, trail = call.sock.options[difference.option]
            option = chosen.name
        elif call.verb == "set" and call.option is not None:
            option = call.option.name
        elif difference.listener >= 0:
            default, trail = "IPV6_V6ONLY", piece.calls[difference.listener].trail
        missing = self._missing(option, trail, platform) if option else ""
        ends = [
            fate(places(call.trail if default else trail), missing or error, call.outcome == "ok")
            for error in difference.outcomes
            if error != "ok"
        ]
        if call.outcome == "ok":
            if ends and all(end.quiet for end in ends):
                return None
            end = next((end for end in ends if end.handler is None), ends[0] if ends else NOBODY)
        else:
            end = fate(places(trail), call.outcome, lasts=False)
            alike = (end.handler is not None or end.told) and bool(ends) and all(map(end.is_as, ends))
            if alike and "ok" not in difference.outcomes and piece.ephemeral is None:
                return None  # but who uses up a range of ports asks for just this error
        return Finding(
            (), difference.step, call, call.outcome, difference.outcomes, clause, trail, option, missing, end, default
        )


def _bare(piece: Piece) -> Piece:
    """The piece without any options."""
    if not any(piece.options.values()) and not any(call.verb == "set" for call in piece.calls):
        return piece
    calls = tuple(call for call in piece.calls if call.verb != "set")
    return replace(piece, calls=calls, options=dict.fromkeys(piece.options, ()))


def _by_call(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings, of which those at one call are one."""
    groups: dict[tuple[Call, str, str], list[Finding]] = {}
    for found in findings:
        groups.setdefault((found.call, found.option, found.default), []).append(found)
    return tuple(_joined([There(f.platforms, f.outcomes, f.clause) for f in group], group) for group in groups.values())


def _joined(there: Sequence[There], group: Sequence[Finding]) -> Finding:
    worst = next((found for found in group if not found.caught), group[0])
    platforms = tuple(platform for part in there for platform in part.platforms)
    outcomes = tuple(dict.fromkeys(outcome for part in there for outcome in part.outcomes))
    return replace(worst, platforms=platforms, outcomes=outcomes, clause=there[0].clause, there=tuple(there))


def first(comparisons: Sequence[Comparison], trace: Trace) -> list[Comparison]:
    """The comparisons of one trace without what only follows from an earlier finding that nobody catches."""
    at = {call: n for n, call in enumerate(trace.calls)}
    ends: dict[Platform, int] = {}
    for found in (found for comparison in comparisons for found in comparison.findings):
        if found.here == "ok" and not found.caught:
            for platform in found.platforms:
                ends[platform] = min(ends.get(platform, len(at)), at.get(found.call, len(at)))
    if not ends:
        return list(comparisons)

    def kept(found: Finding) -> Finding:
        before = {p for p in found.platforms if at.get(found.call, 0) <= ends.get(p, len(at))}
        parts = [replace(t, platforms=tuple(p for p in t.platforms if p in before)) for t in found.there]
        parts = [part for part in parts if part.platforms]
        return _joined(parts, [found]) if parts else replace(found, platforms=())

    def known(it: Comparison) -> dict[str, str]:
        begins = min((at.get(call, 0) for call in it.piece.calls if call.verb in _BEGINS), default=0)
        over = {str(platform) for platform, end in ends.items() if end < begins}
        return {platform: why for platform, why in it.unknown.items() if platform not in over}

    changed = [
        replace(it, findings=tuple(f for f in map(kept, it.findings) if f.platforms), unknown=known(it))
        for it in comparisons
    ]
    return [it if it.findings else replace(it, remedy="") for it in changed]


def _besides(mine: tuple[Option, ...], more: Sequence[Option]) -> tuple[Option, ...]:
    names_ = {option.name for option in mine}
    return (*mine, *(option for option in dict.fromkeys(more) if option.name not in names_))


@lru_cache(512)
def _clause(platform: Platform, name: str) -> Clause:
    return next((clause for clause in clauses(platform) if clause.name == name), Clause(name, "", ""))


@lru_cache(512)
def refused(kind: str, option: Option, platform: Platform) -> str:
    """The error with which a platform refuses an option of a new socket; empty if it takes it, or that is not known."""
    sock = Traced(kind, options=[(option, ())])
    (step,) = predict(Piece.of([Call("socket", sock)]).scenario, platform).steps
    return "" if step.unknown or "ok" in step.outcomes else step.outcomes[0]
