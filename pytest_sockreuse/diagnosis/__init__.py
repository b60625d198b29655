"""Why a call at a port fails: what is there is told to the model, and changed until the call works.

The options of another process's socket often cannot be seen. So every guess that explains the answer is kept, and only
a change that helps with each of them is named.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..dataclass import dataclass
from ..live.holders import Holder
from ..model import Clause, clauses
from ..platforms import Platform
from .changes import helpful
from .question import SHARING, Address, Asked, shown
from .story import answers

__all__ = ["Address", "Asked", "Diagnosis", "diagnose", "guesses", "in_the_way", "shown"]

_GUESSES = ((), ("SO_REUSEADDR",), ("SO_REUSEPORT",), SHARING)
_MOST = 3  # holders that are told to the model: 64 guesses


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The clauses of the model that decided, the changes with which it lets the call succeed, and the sockets in the
    way."""

    clauses: tuple[Clause, ...] = ()
    changes: tuple[str, ...] = ()
    blocking: tuple[Holder, ...] = ()


def diagnose(asked: Asked, holders: Sequence[Holder], platform: Platform) -> Diagnosis:
    """The clauses and the changes; none where the model does not account for the answer, or does not know."""
    blocking = in_the_way(asked, holders, platform)
    known = {clause.name: clause for clause in clauses(platform)}
    deciding: dict[str, Clause] = {}
    explained = []
    for others in guesses(blocking):
        for order in ("first",) if asked.verb == "listen" else ("",) if others or asked.local[1] else ("", "taken"):
            answer = answers(asked, others, platform, order).get(asked.verb)
            if answer is not None and answer.outcomes == (asked.errno,):
                explained.append(others)
                deciding.setdefault(answer.clause, known[answer.clause])
                break
    changes = helpful(asked, explained, platform) if explained else ()
    return Diagnosis(tuple(deciding.values()), changes, tuple(blocking))


def in_the_way(asked: Asked, holders: Sequence[Holder], platform: Platform) -> list[Holder]:
    """The holders with one of which alone the call would fail so; all of them where none would, or the model does not
    say; none where it would fail so without any."""
    order = "first" if asked.verb == "listen" else ""
    if (alone := answers(asked, (), platform, order).get(asked.verb)) and alone.outcomes == (asked.errno,):
        return []
    found = []
    verdicts: dict[tuple[object, ...], bool | None] = {}
    for holder in holders:
        if (kind := _kind(asked, holder)) not in verdicts:
            verdicts[kind] = _blocks(asked, holder, platform)
        if verdicts[kind] is not False:
            found.append(holder)
    return found if any(verdicts.values()) else [*holders]


def _blocks(asked: Asked, holder: Holder, platform: Platform) -> bool | None:
    """Whether it may be the reason; None where the model does not say."""
    order = "first" if asked.verb == "listen" else ""
    verdicts = set()
    for others in guesses([holder]):
        answer = answers(asked, others, platform, order).get(asked.verb)
        verdicts.add(None if answer is None else asked.errno in answer.outcomes)
    return True if True in verdicts else None if None in verdicts else False


def guesses(holders: Sequence[Holder]) -> Iterator[tuple[Holder, ...]]:
    """What the holders may be: each kind once, three at the most, and every set of options where they cannot be
    seen."""
    if any(holder.state == "LISTEN" for holder in holders):  # what it accepted goes with it
        holders = [holder for holder in holders if holder.how != "accept" or holder.ended]
    told = tuple({_kind(None, holder): holder for holder in holders}.values())[:_MOST]
    return itertools.product(*(_possible(holder) for holder in told))


def _possible(holder: Holder) -> list[Holder]:
    if holder.options is not None:
        return [holder]
    known = holder.known
    sets = [(*known, *guess) for guess in _GUESSES]
    if holder.local[0] == "::" and not holder.told:
        sets += [(*options, "IPV6_V6ONLY") for options in sets]
    return [replace(holder, options=options) for options in sets]


def _kind(asked: Asked | None, holder: Holder) -> tuple[object, ...]:
    """What the model can tell a holder by."""
    same = asked is not None and holder.foreign == asked.foreign
    ended, how = holder.ended, holder.how
    return holder.local, holder.state, holder.options, holder.known, holder.device, holder.uid, ended, how, same
