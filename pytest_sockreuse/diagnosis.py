"""Why a call got EADDRINUSE or EADDRNOTAVAIL: what was there is told to the model, and changed until the call works.

The options of another process's socket cannot be seen. So every guess that explains the answer is kept, and only a
change that helps with each of them is named.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .live.holders import Holder
from .model import Clause, ModelError, StepPrediction, clauses, predict
from .parser import parse
from .platforms import Platform
from .scenario import ScenarioError

Address = tuple[str, int]
_SHARING = ("SO_REUSEADDR", "SO_REUSEPORT")
_GUESSES = ((), ("SO_REUSEADDR",), ("SO_REUSEPORT",), _SHARING)
_MOST = 3  # holders that are told to the model: 64 guesses
_ENDED = ("TIME_WAIT", "FIN_WAIT2")  # the socket is closed, the OS keeps the rest
_OVERRIDES = ("windows", "wine", "wsl1")  # where SO_REUSEADDR takes a port away from who has it


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that failed: `verb` bind, listen or connect; the socket's protocol, family and options; its `local`
    address (port 0: to be chosen), and the `foreign` one that it was to connect to."""

    verb: str
    errno: str
    protocol: str
    family: int
    options: tuple[str, ...]
    local: Address
    foreign: Address | None = None

    def __str__(self) -> str:
        options = " and ".join(name for name in _SHARING if name in self.options) or "no sharing option"
        there = f" to {shown(self.foreign)}" if self.foreign else ""
        word = {"bind": "to", "listen": "at"}.get(self.verb, "from")
        here = f" {word} {shown(self.local)}" if self.local[1] or not self.foreign else ""
        return f"{self.verb}{there}{here}, {self.protocol.upper()}, {options}"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The clauses of the model that decided, and the changes with which it lets the call succeed."""

    clauses: tuple[Clause, ...] = ()
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Change:
    """What could be done: options for the new socket and for the others, the order, no bind before connect."""

    sentence: str
    option: str = ""
    others_too: bool = False
    first: bool = False
    unbound: bool = False


_CHANGES = (
    _Change("set SO_REUSEADDR on this socket before it binds", "SO_REUSEADDR"),
    _Change("set SO_REUSEADDR on both sockets before they bind", "SO_REUSEADDR", True),
    _Change("set SO_REUSEADDR on both sockets, and bind this one before the other listens", "SO_REUSEADDR", True, True),
    _Change("set SO_REUSEPORT on both sockets before they bind, if both are to serve the port", "SO_REUSEPORT", True),
    _Change("do not bind before connect: the OS then chooses a port that is free for this destination", unbound=True),
)


def shown(address: Address) -> str:
    """An address as the scenario language has it."""
    return _at(address[0], str(address[1]))


def diagnose(asked: Asked, holders: Sequence[Holder], platform: Platform) -> Diagnosis:
    """The clauses and the changes; none where the model does not account for the answer, or does not know."""
    told = tuple({(h.local[0], h.state, h.options, h.foreign == asked.foreign): h for h in holders}.values())[:_MOST]
    guesses = [[it] if it.options is not None else [replace(it, options=o) for o in _GUESSES] for it in told]
    known = {clause.name: clause for clause in clauses(platform)}
    deciding: dict[str, Clause] = {}
    explained = []
    for others in itertools.product(*guesses):
        for order in ("first",) if asked.verb == "listen" else ("",) if others or asked.local[1] else ("", "taken"):
            answer = _answers(asked, others, platform, order).get(asked.verb)
            if answer is not None and answer.outcomes == (asked.errno,):
                explained.append(others)
                deciding.setdefault(answer.clause, known[answer.clause])
                break
    changes = []
    for change in _CHANGES if explained and platform.stack not in _OVERRIDES else ():
        after = [_after(change, asked, others, platform) for others in explained]
        if None not in after:
            but = max(filter(None, after), default="")
            changes.append(change.sentence + but)
            if not but:  # no more than this is needed
                break
    return Diagnosis(tuple(deciding.values()), tuple(changes))


def _after(change: _Change, asked: Asked, others: Sequence[Holder], platform: Platform) -> str | None:
    """What is to be said of the call after a change: nothing if all is well, None if it does not help."""
    if not others or change.unbound != (asked.verb == "connect"):
        return None
    answers = _answers(*_changed(change, asked, others), platform, "first" if change.first else "")
    if not answers or any(step.outcomes != ("ok",) for verb, step in answers.items() if verb != "then"):
        return None
    return "" if "then" not in answers or answers["then"].outcomes == ("ok",) else " (to connect out; it cannot listen)"


def _changed(change: _Change, asked: Asked, others: Sequence[Holder]) -> tuple[Asked, Sequence[Holder]]:
    extra = (change.option,) * bool(change.option)
    asked = replace(asked, options=asked.options + extra, local=(asked.local[0], 0) if change.unbound else asked.local)
    return asked, [replace(it, options=(it.options or ()) + extra) for it in others] if change.others_too else others


# --- the scenario -----------------------------------------------------------------------------------------------------


def _answers(asked: Asked, others: Sequence[Holder], platform: Platform, order: str = "") -> dict[str, StepPrediction]:
    """What the model says of the new socket's calls, by verb; of a listen that was not asked as `then`. Nothing if it
    does not know of a call, or does not let the others be as they were seen."""
    lines = "\n".join(_lines(asked, others, order))
    try:
        steps = predict(parse(lines), platform).steps
    except (ScenarioError, ModelError):
        return {}
    if any(step.unknown or (step.outcomes != ("ok",) and not step.step.startswith("new.")) for step in steps):
        return {}
    found = {step.step.removeprefix("new."): step for step in steps if step.step.startswith("new.")}
    if asked.verb == "bind" and "listen" in found:
        found["then"] = found.pop("listen")
    return found


def _lines(asked: Asked, others: Sequence[Holder], order: str) -> Iterator[str]:
    """The others as they were seen, then the call. In the order ``first`` the new socket binds before the others
    listen; ``taken`` means that no port is left to choose."""
    hosts = [other.local[0] for other in others] + ([asked.foreign[0]] if asked.foreign else [])
    if asked.errno == "EADDRINUSE":  # so it is local
        hosts.append(asked.local[0])
    yield from (f"address {host}" for host in dict.fromkeys(hosts) if not _everywhere(host))
    if order == "taken":
        yield "ephemeral 40000-40000"
        yield from _made("taken", asked.protocol, asked.local[0], "0", (), asked.family)
    if asked.foreign:
        yield from _made("server", asked.protocol, asked.foreign[0], "D")
        yield from ["server.listen()"] if asked.protocol == "tcp" else []
    listens = []
    for number, other in enumerate(others):
        name = f"other{number}"
        yield from _made(name, other.protocol, other.local[0], "P", other.options or ())
        if other.state == "LISTEN":
            listens.append(f"{name}.listen()")
        elif other.protocol == "tcp" and other.state != "BOUND":
            yield from _used(name, other, asked.foreign)
    new = [*_made("new", asked.protocol, asked.local[0], "P" if asked.local[1] else "0", asked.options, asked.family)]
    if asked.verb == "connect" and not asked.local[1]:
        del new[1:]
    yield from [*new, *listens] if order == "first" else [*listens, *new]
    if asked.foreign:
        yield f"new.connect({_at(asked.foreign[0], 'D')})"
    elif asked.protocol == "tcp":
        yield "new.listen()"


def _made(
    name: str, protocol: str, host: str, port: str, options: Sequence[str] = (), family: int | None = None
) -> Iterator[str]:
    """A socket that is bound."""
    six = family == socket.AF_INET6 if family is not None else ":" in host
    given = dict.fromkeys(option for option in options if option in _SHARING)
    if host == "::":
        given[f"IPV6_V6ONLY={int('IPV6_V6ONLY' in options)}"] = None
    yield f"{name} = {protocol}{6 if six else 4}({', '.join(given)})"
    yield f"{name}.bind({_at(host, port)})"


def _used(name: str, other: Holder, foreign: Address | None) -> Iterator[str]:
    """What a TCP socket did until it was seen in its state: it connected, or it ended a connection and was closed."""
    kind = "tcp6" if ":" in other.local[0] else "tcp4"
    if other.state in _ENDED:
        yield from (f"{name}.listen()", f"{name}p = {kind}()", f"{name}p.connect({_at(other.local[0], 'P')})")
        yield from (f"{name}c = {name}.accept()", f"{name}c.close()")
        yield from (f"{name}p.eof()", f"{name}p.close()") if other.state == "TIME_WAIT" else ()
        yield f"{name}.close()"
    elif foreign and other.foreign == foreign:
        yield f"{name}.connect({_at(foreign[0], 'D')})"
    else:
        peer = "::1" if kind == "tcp6" else "127.0.0.1"
        yield from (*_made(f"{name}p", "tcp", peer, f"Q{name[5:]}"), f"{name}p.listen()")
        yield f"{name}.connect({_at(peer, f'Q{name[5:]}')})"


def _at(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _everywhere(host: str) -> bool:
    """Whether every system has the address: no scenario needs to add it."""
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_unspecified or getattr(address, "ipv4_mapped", None) is not None
