"""What the listen calls of languages and servers set by default, from `conformance/runtimes.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from .data import DataError, complaints, line_of, read
from .dataclass import dataclass
from .options import options
from .platforms import CONFORMANCE, registry
from .text import nearest, visible

#: Systems that run the programs of another system, which set there what they set at home unless a statement names them.
HOSTS = {"gvisor": "linux", "wsl1": "linux", "wine": "windows"}
BASES = ("measured", "documented", "source")
PROTOCOLS = ("tcp", "mptcp", "udp")
ADDRESSES = ("127.0.0.1", "0.0.0.0", "::1", "::")

_RUNTIME = {"title": str, "call": str, "version": str, "address": [ADDRESSES], "on": [dict]}
_SETS = {
    "protocol": PROTOCOLS, "address": [ADDRESSES], "options": [str], "v6only": bool, "mapped": bool, "backlog": int,
    "retries": int,
}  # fmt: skip
_STATEMENT = {"systems": [str], "basis": BASES, "evidence": [str]}


class UnknownRuntime(ValueError):
    """No runtime has this name; the message carries the nearest ones."""


@dataclass(frozen=True, slots=True)
class Sets:
    """What one listen call sets: a socket for each address, all with these options.

    `v6only` is what IPV6_V6ONLY is set to on IPv6 sockets, None where it is left as the OS has it. If `mapped`, an IPv4
    address is bound on an IPv6 socket.
    """

    protocol: str
    address: tuple[str, ...]
    options: tuple[str, ...] = ()
    v6only: bool | None = None
    mapped: bool = False

    @property
    def sockets(self) -> tuple[tuple[str, str], ...]:
        """How the language makes each socket, and the address that it binds, without a port."""
        return tuple(self._socket(host) for host in self.address)

    def _socket(self, host: str) -> tuple[str, str]:
        six = ":" in host or self.mapped
        given = (*self.options, *([f"IPV6_V6ONLY={int(self.v6only)}"] if six and self.v6only is not None else ()))
        literal = host if not six else f"[{host}]" if ":" in host else f"[::ffff:{host}]"
        return f"{self.protocol}{6 if six else 4}({', '.join(given)})", literal


@dataclass(frozen=True, slots=True)
class Listen:
    """A statement: what the call sets on these `systems`; how we know. A `backlog` of None is not known, or none."""

    systems: tuple[str, ...]
    sets: Sets
    backlog: int | None
    retries: int
    basis: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A language's or server's way to listen. `told` says that the program has to name an address: ours is assumed."""

    name: str
    title: str
    call: str
    version: str
    note: str
    told: bool
    on: tuple[Listen, ...]

    def listen(self, stack: str) -> Listen | None:
        """What it sets on a system; None where that is not known, or it does not run there."""
        by = {system: listen for listen in self.on for system in listen.systems}
        return by.get(stack) or by.get(HOSTS.get(stack, ""))

    @property
    def udp(self) -> bool:
        return self.on[0].sets.protocol == "udp"


def named(name: str) -> Runtime:
    """The runtime of this name. Raises UnknownRuntime, and DataError."""
    if name in runtimes():
        return runtimes()[name]
    close = nearest(name, runtimes(), 3, 0.5)
    hint = f"perhaps {' or '.join(close)}; " if close else ""
    raise UnknownRuntime(f"no runtime '{visible(name)}': {hint}known are {', '.join(runtimes())}")


@cache
def runtimes() -> dict[str, Runtime]:
    """Every runtime that is known, by its name. Raises DataError, with a line for each mistake."""
    path = CONFORMANCE / "runtimes.toml"
    data, text = read(path)
    evidence = read(CONFORMANCE / "evidence.toml")[0]
    found, wrong = {}, []
    for name, entry in data.items():
        bad = [(line_of(name, text), what) for what in _mistakes(name, entry)]
        if not bad:
            lines = _lines(name, len(entry["on"]), text)
            for line, statement in zip(lines, entry["on"], strict=True):
                bad += [(line, f"{name}: {what}") for what in _wrong(entry, statement, evidence)]
            if not bad:
                found[name] = _runtime(name, entry)
                bad = [(line_of(name, text), f"{name}: {what}") for what in _at_odds(found[name])]
        wrong += [f"{path.name}:{line}: {what}" for line, what in bad]
    if wrong or not found:
        raise DataError("\n".join(wrong) or f"{path.name}:1: should have a table, at least")
    return found


def _mistakes(name: str, entry: Any) -> list[str]:
    """What is wrong with the form of a table."""
    shown = visible(name)
    wrong = complaints(entry, _RUNTIME, {**_SETS, "note": str, "told": bool}, shown)
    if not re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", name):
        wrong.append(f"'{shown}' should be lower case words and numbers joined by '-' or '.'")
    if not wrong and not entry["on"]:
        wrong.append(f"{shown} needs a statement [[{shown}.on]]")
    return wrong


def _wrong(entry: Mapping[str, Any], statement: Any, evidence: Mapping[str, Any]) -> list[str]:
    """What is wrong with one [[NAME.on]]."""
    wrong = complaints(statement, _STATEMENT, _SETS, "a statement")
    if wrong:
        return wrong
    known = registry()
    wrong = [f"no system '{visible(s)}' (there are {', '.join(known)})" for s in statement["systems"] if s not in known]
    wrong += [f"no evidence '{visible(key)}' in evidence.toml" for key in statement["evidence"] if key not in evidence]
    merged = {**entry, **statement}
    for option in merged.get("options", ()):
        if option not in options() or options()[option].form != "flag" or option == "IPV6_V6ONLY":
            wrong.append(f"'{visible(option)}' is no flag of options.toml (IPV6_V6ONLY is set by v6only)")
    for key, most in (("backlog", 2**31 - 1), ("retries", 65535)):
        if not 0 <= merged.get(key, 0) <= most:
            wrong.append(f"{key!r} should be from 0 to {most}")
    for key in ("systems", "evidence", "address"):
        if not merged[key] or len(set(merged[key])) < len(merged[key]):
            wrong.append(f"{key!r} should name one at least, and each once")
    return wrong


def _at_odds(runtime: Runtime) -> list[str]:
    """What is wrong with a table whose statements are right one by one."""
    systems = [system for listen in runtime.on for system in listen.systems]
    wrong = [f"two statements speak of {system}" for system in dict.fromkeys(systems) if systems.count(system) > 1]
    if len({listen.sets.protocol == "udp" for listen in runtime.on}) > 1:
        wrong.append("'protocol' should be udp everywhere or nowhere")
    return wrong


def _lines(name: str, count: int, text: str) -> list[int]:
    """The lines of the [[NAME.on]]; that of the table where they are written otherwise."""
    header = re.compile(rf"\s*\[\[\s*([\"']?){re.escape(name)}\1\s*\.\s*on\s*\]\]")
    found = [number for number, line in enumerate(text.split("\n"), 1) if header.match(line)]
    return found if len(found) == count else [line_of(name, text)] * count


def _runtime(name: str, entry: Mapping[str, Any]) -> Runtime:
    return Runtime(
        name,
        entry["title"],
        entry["call"],
        entry["version"],
        entry.get("note", ""),
        entry.get("told", False),
        tuple(_listen({**entry, **statement}) for statement in entry["on"]),
    )


def _listen(merged: Mapping[str, Any]) -> Listen:
    sets = Sets(
        merged.get("protocol", "tcp"),
        tuple(merged["address"]),
        tuple(merged.get("options", ())),
        merged.get("v6only"),
        merged.get("mapped", False),
    )
    return Listen(
        tuple(merged["systems"]),
        sets,
        merged.get("backlog"),
        merged.get("retries", 0),
        merged["basis"],
        tuple(merged["evidence"]),
    )
