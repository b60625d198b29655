"""What outcomes come to, step by step: as stated, as recorded, and whether the one has room for the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..scenario import Scenario, StepOutcome
from ..verdict import is_outcome, meets
from .table import UNKNOWN, Outcome

_ALWAYS = frozenset({"close", "name", "get", "set"})  # performed on a socket of which a call has failed


class Call(NamedTuple):
    """What bears on the outcome of a labelled step: its own socket, and the one that must have worked for it."""

    label: str
    verb: str
    name: str
    needs: str
    survives: bool


class Shape(NamedTuple):
    """The calls of a scenario and the port numbers that it names; many scenarios have one shape."""

    calls: tuple[Call, ...]
    ports: frozenset[int]


def shape(scenario: Scenario) -> Shape:
    calls = (Call(s.label, s.verb, s.name, s.of or s.name, s.survives) for s in scenario.steps if s.label)
    return Shape(tuple(calls), frozenset(a.port for a in scenario.addresses if isinstance(a.port, int)))


def ordered(text: str) -> str:
    """Alternatives in one order, ok first."""
    return "|".join(sorted(set(text.split("|")), key=lambda one: (one != "ok", one))) if "|" in text else text


def stated(of: Shape, outcome: Mapping[str, str]) -> Outcome:
    """An expectation, which names the steps that do not just succeed, for every step.

    A step that it does not name is unreached where the socket failed before, and ok else.
    """
    failed: dict[str, str] = {}  # socket -> the outcome of its next call
    found = []
    for call in of.calls:
        text = outcome.get(call.label)
        if text is None:
            text = "ok" if call.verb in _ALWAYS else failed.get(call.needs, "ok")
        text = ordered(text)
        found.append(text)
        errors = [one != "ok" and is_outcome(one) for one in text.split("|")]
        if any(errors) and not call.survives and call.verb != "close":
            failed[call.name] = "unreached" if all(errors) else "ok|unreached"
    return tuple(found)


def recorded(of: Shape, outcome: Mapping[str, str]) -> Outcome:
    """What a run recorded, which names the steps that were not just ok, for every step."""
    return tuple(ordered(outcome.get(call.label, "ok")) for call in of.calls)


def canonical(of: Shape, outcome: Outcome) -> Outcome:
    """A recorded outcome without the port numbers that the system chose: another run would have others."""
    return tuple(
        ordered("|".join(_without(one, of.ports) for one in text.split("|"))) if ":" in text else text
        for text in outcome
    )


def _without(value: str, meant: Iterable[int]) -> str:
    found = re.fullmatch(r"(.*):([0-9]{1,5})", value)
    return f"{found[1]}:*" if found and int(found[2]) not in meant and found[2] != "0" else value


def has_room(known: Outcome, seen: Outcome) -> bool:
    """Whether a recorded outcome is one of those that are known to be possible."""
    return all(may in (did, UNKNOWN) or _has_room(may, did) for may, did in zip(known, seen, strict=True))


def _has_room(may: str, did: str) -> bool:
    return all(
        meets(StepOutcome("", one) if is_outcome(one) else StepOutcome("", "ok", one), may, {})
        for one in did.split("|")
    )


def united(outcomes: Iterable[Outcome]) -> Outcome:
    """What one or the other shows, step by step."""
    return tuple(ordered("|".join(texts)) for texts in zip(*outcomes, strict=True))
