"""What happens when two runtimes take one port: scenarios made of what they set, and what the models say of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

from .dataclass import dataclass
from .model import Prediction, predictions
from .parser import parse
from .platforms import Platform
from .runtimes import Listen, Runtime, Sets, runtimes
from .scenario import Scenario

#: The questions by id, as sentences about {first} and {second}.
SCENES = {
    "twice": "{second} starts while {first} listens",
    "restart": "{second} starts after {first}, which closed a connection and left TIME_WAIT",
    "child": "{second} starts after {first}, of which a child still holds the listening socket",
}
_DATAGRAMS = {
    "twice": "{second} binds while {first} is bound",
    "restart": "{second} binds after {first} has closed",
    "child": "{second} binds after {first}, of which a child still holds the socket",
}
_LOOPBACK = {"v4": "127.0.0.1", "v6": "[::1]"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the second runtime meets: `ok` if it starts, None where that is not known, and `why`.

    If it fails, `step` is the first call that does and `error` its errno. `gets` says who has the connections to an
    address of loopback where anybody has: first, second, or either where both may. The `clause` decides the step.
    """

    ok: bool | None
    step: str = ""
    error: str = ""
    clause: str = ""
    why: str = ""
    gets: tuple[tuple[str, str], ...] = ()
    retries: bool = False

    def words(self, scene: str) -> str:
        """A sentence about {first} and {second}."""
        if self.ok is None:
            return f"not known: {self.why}"
        if not self.ok:
            call, error = self.step.partition(".")[2], self.error.replace("|", " or ")
            return f"{{second}} fails: {call} {error}" + (", and tries another port" if self.retries else "")
        start = {"twice": "both run", "restart": "{second} starts", "child": "{second} starts"}[scene]
        return "; ".join([start, *_shares(self.gets, scene)])


def _shares(gets: Sequence[tuple[str, str]], scene: str) -> Iterator[str]:
    """Who gets what, said once where it is the same on every address."""
    names = {
        "first": "goes to {first}" if scene == "twice" else "goes to the child of {first}",
        "second": "goes to {second}",
        "either": "may go to either",
    }
    if len({who for _, who in gets}) == 1:
        yield f"all {names[gets[0][1]]}"
    elif gets:
        yield ", ".join(f"{address} {names[who]}" for address, who in gets)


def title(scene: str, first: Runtime, second: Runtime) -> str:
    """The question with its names."""
    return (_DATAGRAMS if first.udp else SCENES)[scene].format(first=first.name, second=second.name)


@cache
def scenario(scene: str, first: Sets, second: Sets) -> Scenario:
    """A scene as the language writes it; `first` and `second` both take P."""
    stream = first.protocol != "udp"
    lines = [*_starts("first", first)]
    if scene != "twice" and stream:
        lines += _served("first", first)
    if scene == "restart":
        lines += [f"{name}.close()" for name in _names("first", first)]
    lines += _starts("second", second)
    for family in _LOOPBACK if scene != "restart" else ():
        if reached := [*_reached("first", first, family), *_reached("second", second, family)]:
            lines += _asked(family, reached, stream)
    return parse("\n".join(lines))


def _names(role: str, sets: Sets) -> list[str]:
    """The names of a runtime's sockets."""
    return [f"{role}{number or ''}" for number in range(len(sets.address))]


def _starts(role: str, sets: Sets) -> Iterator[str]:
    """A runtime listens: binds each socket, then listens on each."""
    names = _names(role, sets)
    for name, (maker, host) in zip(names, sets.sockets, strict=True):
        yield f"{name} = {maker}"
        yield f"{name}.bind({host}:P)"
    if sets.protocol != "udp":
        yield from (f"{name}.listen()" for name in names)


def _served(role: str, sets: Sets) -> Iterator[str]:
    """A connection comes, is accepted, and is closed by the server first."""
    surely = "v4" if sets.address[0] in ("127.0.0.1", "0.0.0.0") or sets.v6only is False else "v6"
    yield f"client = tcp{surely[1]}()"
    yield f"client.connect({_LOOPBACK[surely]}:P)"
    yield f"served = {_names(role, sets)[0]}.accept()"
    yield from ("served.close()", "client.eof()", "client.close()")


def _reached(role: str, sets: Sets, family: str) -> list[str]:
    """The sockets that may get what comes to loopback by this family; a dual-stack one may get both."""
    both = "::" if not sets.v6only else ""
    of = {"v4": ("127.0.0.1", "0.0.0.0", both), "v6": ("::1", "::")}[family]
    return [name for name, host in zip(_names(role, sets), sets.address, strict=True) if host in of]


def _asked(family: str, reached: Sequence[str], stream: bool) -> Iterator[str]:
    """Somebody connects, or sends, and each socket that may get it looks."""
    yield f"{family} = {'tcp' if stream else 'udp'}{family[1]}()"
    if stream:
        yield f"{family}.connect({_LOOPBACK[family]}:P)"
        yield from (f"{name}_{family} = {name}.accept()" for name in reached)
    else:
        yield f"{family}.sendto({_LOOPBACK[family]}:P)"
        yield from (f"{name}.recv()?" for name in reached)


def outcome(prediction: Prediction, retries: bool = False) -> Outcome:
    """What a prediction says of the second runtime."""
    if prediction.not_run:
        return Outcome(None, why=prediction.not_run)
    for step in prediction.steps:
        name = step.step.partition(".")[0]
        if name in _LOOPBACK:
            break
        if step.unknown:
            return Outcome(None, step.step, why=step.unknown)
        if "ok" not in step.outcomes:
            failed = "|".join(step.outcomes)
            if name.startswith("second"):
                return Outcome(False, step.step, failed, step.clause, retries=retries)
            return Outcome(None, step.step, failed, step.clause, f"{step.step} of {{first}} is {failed}")
    return Outcome(True, gets=tuple(_gets(prediction)))


def _gets(prediction: Prediction) -> Iterator[tuple[str, str]]:
    """Whose accept or recv succeeds, for each address of loopback."""
    family = ""
    whose: dict[str, list[str]] = {}
    for step in prediction.steps:
        name, _, verb = step.step.partition(".")
        if name in _LOOPBACK:
            family = name
        elif family and verb.partition("#")[0] in ("accept", "recv") and "ok" in step.outcomes:
            roles, role = whose.setdefault(family, []), "first" if name.startswith("first") else "second"
            if role not in roles:
                roles.append(role)
    for family, roles in whose.items():
        yield _LOOPBACK[family], "either" if len(roles) > 1 else roles[0]


@dataclass(frozen=True, slots=True)
class Meeting:
    """One scene of two runtimes on one platform; there is no `scenario` where one of them is not known there."""

    platform: Platform
    scenario: Scenario | None
    outcome: Outcome


def meetings(scene: str, first: Runtime, second: Runtime, platforms: Iterable[Platform]) -> list[Meeting]:
    """What happens on each of the platforms, which are modelled."""
    found = []
    for stack, versions in itertools.groupby(platforms, key=lambda platform: platform.stack):
        members = tuple(versions)
        one, other = first.listen(stack), second.listen(stack)
        if one is None or other is None:
            why = f"what {'{first}' if one is None else '{second}'} sets there is not known, or it does not run there"
            found += [Meeting(platform, None, Outcome(None, why=why)) for platform in members]
        else:
            found += _met(scene, one, other, members)
    return found


def _met(scene: str, one: Listen, other: Listen, platforms: tuple[Platform, ...]) -> Iterator[Meeting]:
    asked = scenario(scene, one.sets, other.sets)
    for platform, found in zip(platforms, _outcomes(asked, platforms, other.retries > 0), strict=True):
        yield Meeting(platform, asked, found)


@lru_cache(8192)
def _outcomes(asked: Scenario, platforms: tuple[Platform, ...], retries: bool) -> tuple[Outcome, ...]:
    predicted = [*predictions(asked, platforms)]
    apart = {(id(one.steps), one.not_run): one for one in predicted}  # of most versions the same is said
    known = {key: outcome(one, retries) for key, one in apart.items()}
    return tuple(known[id(one.steps), one.not_run] for one in predicted)


# --- the whole table ------------------------------------------------------------------------------------------------


def table(platforms: Sequence[Platform]) -> dict[str, Any]:
    """Every pair of runtimes in every scene on `platforms`, as data ready for JSON.

    Runtimes that set the same everywhere are one class. ``cells[scene][class of first][class of second]`` is the
    number of a vector, or None where one listens for streams and the other for datagrams; a vector has runs over the
    platforms: how many, the number of a scenario's text (None: none), the number of an outcome. A text is the numbers
    of its lines.
    """
    known = list(runtimes().values())
    classes: dict[object, int] = {}
    numbers = [classes.setdefault(_sort(runtime), len(classes)) for runtime in known]
    heads = [known[numbers.index(number)] for number in range(len(classes))]
    texts: dict[tuple[str, ...], int] = {}
    outcomes: dict[tuple[str, Outcome], int] = {}
    vectors: dict[tuple[tuple[int, int | None, int], ...], int] = {}

    def vector(scene: str, first: Runtime, second: Runtime) -> int | None:
        if first.udp != second.udp:
            return None
        cells = [
            (
                None if met.scenario is None else texts.setdefault(met.scenario.lines, len(texts)),
                outcomes.setdefault((met.outcome.words(scene), met.outcome), len(outcomes)),
            )
            for met in meetings(scene, first, second, platforms)
        ]
        runs = tuple((len(list(group)), *cell) for cell, group in itertools.groupby(cells))
        return vectors.setdefault(runs, len(vectors))

    cells = {scene: [[vector(scene, first, second) for second in heads] for first in heads] for scene in SCENES}
    lines = {line: number for number, line in enumerate(dict.fromkeys(itertools.chain(*texts)))}
    return {
        "runtimes": [_runtime_json(runtime) for runtime in known],
        "classes": numbers,
        "platforms": [platform.name for platform in platforms],
        "scenes": [{"id": id_, "title": text} for id_, text in SCENES.items()],
        "lines": list(lines),
        "texts": [[lines[line] for line in text] for text in texts],
        "outcomes": [_outcome_json(words, found) for words, found in outcomes],
        "vectors": list(vectors),
        "cells": cells,
    }


def _sort(runtime: Runtime) -> object:
    """What makes two runtimes the same here."""
    return frozenset((system, listen.sets, listen.retries > 0) for listen in runtime.on for system in listen.systems)


def _runtime_json(runtime: Runtime) -> dict[str, Any]:
    return {
        "name": runtime.name,
        "title": runtime.title,
        "call": runtime.call,
        "version": runtime.version,
        "note": runtime.note,
        "told": runtime.told,
        "listens": [
            {
                "systems": listen.systems,
                "sockets": [f"{maker} {host}" for maker, host in listen.sets.sockets],
                "backlog": listen.backlog,
                "retries": listen.retries,
                "basis": listen.basis,
                "evidence": listen.evidence,
            }
            for listen in runtime.on
        ],
    }


def _outcome_json(words: str, found: Outcome) -> dict[str, Any]:
    return {
        "words": words,
        "ok": found.ok,
        "step": found.step,
        "error": found.error,
        "clause": found.clause,
        "gets": dict(found.gets),
    }
