"""What may be written next on a line of a scenario, from the tables of the language and the lines above."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .options import options
from .platforms import registry
from .scenario import CALLS, ENVIRONMENT, KINDS, USERS

MOST = 60  # words that are offered
_NAME = r"[A-Za-z]\w*(?:\[\d+-\d+\])?"
_HOSTS = {
    4: ("127.0.0.1", "0.0.0.0"),
    6: ("[::1]", "[::]", "[::ffff:127.0.0.1]"),
}
_VALUES = {
    "flag": ("0", "1"),
    "int": (),
    "linger": ("off", "0"),
    "range": ("40000-40007",),
    "text": ("lo",),
    "group": ("224.0.0.251%lo", "ff02::fb%lo"),
    "device": ("lo",),
}


class Offer(NamedTuple):
    """A text that may stand from the beginning of the word on, and what it is, in words."""

    text: str
    about: str = ""


class Completion(NamedTuple):
    """The column, from 1, at which the word begins that is being written, and what it may become."""

    start: int
    offers: list[Offer]


def complete(text: str, line: int, column: int) -> Completion:
    """What may be written at a place of a text, which need not be a scenario; lines and columns count from 1."""
    lines = text.split("\n")
    before = lines[line - 1][: column - 1] if 0 < line <= len(lines) else ""
    if "#" in before or before.startswith("---"):
        return Completion(column, [])
    above = _Above(lines[: line - 1], text)
    for pattern, offers in _PLACES:
        if found := re.search(pattern, before, re.ASCII):
            word = found[found.lastindex or 0]
            return Completion(column - len(word), _fitting(word, offers(above, found)))
    return Completion(column, [])


def _fitting(word: str, offers: Iterable[Offer]) -> list[Offer]:
    """Those that begin with the word, then those that have it within; none where it is complete."""
    small = word.lower()
    found = [offer for offer in offers if small in offer.text.lower()]
    found.sort(key=lambda offer: not offer.text.lower().startswith(small))
    return [] if [offer.text for offer in found] == [word] else found[:MOST]


class _Above:
    """The sockets that the lines above made, each with its kind; those that are closed; the symbols of all ports."""

    def __init__(self, lines: Iterable[str], text: str) -> None:
        self.kinds: dict[str, str] = {}
        self.closed: set[str] = set()
        for line in lines:
            if made := re.match(rf"[ \t]*({_NAME})[ \t]*=[ \t]*(\w+)[ \t]*([.(])", line, re.ASCII):
                self.kinds[made[1]] = made[2] if made[3] == "(" else self.kinds.get(made[2], "")
            if closed := re.match(rf"[ \t]*({_NAME})\.close\(", line, re.ASCII):
                self.closed.add(closed[1])
        self.symbols = list(dict.fromkeys(re.findall(r":([A-Z][A-Z0-9]*)\b(?![.\w])", text, re.ASCII))) or ["P"]

    @property
    def open(self) -> list[str]:
        return [name for name in self.kinds if name not in self.closed]

    def family(self, name: str) -> int:
        return KINDS.get(self.kinds.get(name, ""), ("", 4))[1]


def _beginnings(above: _Above, _: re.Match[str]) -> Iterator[Offer]:
    yield from (Offer(f"{name}.", f"a socket: {above.kinds[name] or 'of another'}") for name in above.open)
    lines = [line for line in CALLS if line.verb == "wait"] if above.kinds else ENVIRONMENT
    yield from (Offer(f"{line.verb} ", _plain(line.does)) for line in lines)


def _makers(above: _Above, _: re.Match[str]) -> Iterator[Offer]:
    for kind, (proto, family) in KINDS.items():
        yield Offer(f"{kind}(", f"{proto.upper()} over IPv{family}")
    for name in above.open:
        yield from (Offer(f"{name}.{rest}", about) for rest, about in _methods("OTHER", "LISTENER"))


def _making(above: _Above, _: re.Match[str]) -> Iterator[Offer]:
    return (Offer(*one) for one in _methods("OTHER", "LISTENER"))


def _calls(above: _Above, _: re.Match[str]) -> Iterator[Offer]:
    return (Offer(*one) for one in dict(_methods("NAME")).items())


def _methods(*on: str) -> Iterator[tuple[str, str]]:
    """Of the lines whose call is one of a socket, the call up to its argument, and what it does."""
    for line in CALLS:
        for form in line.forms:
            if found := re.fullmatch(r"(?:NAME = )?(\w+)\.(\w+\()(.*)\)", form):
                if found[1] in on:
                    does = _plain(line.does)
                    about = "; ".join(part for part in (found[3], does) if part and f"{part}(" != found[2])
                    yield f"{found[2]}{'' if found[3] else ')'}", about


def _options(above: _Above, found: re.Match[str]) -> Iterator[Offer]:
    for name, option in options().items():
        systems = [str(registry()[system]["title"]) for system in option.number if system in registry()]
        needs = option.form not in ("flag", "int") and found[1] != "get"
        yield Offer(f"{name}=" if needs else name, f"{option.form}; {', '.join(systems)}")


def _values(above: _Above, found: re.Match[str]) -> Iterator[Offer]:
    name = found[1]
    form = options()[name].form if name in options() else "int"
    other = "." if name.startswith("IPV6_") else ":"  # of a group of the other family
    return (Offer(value, form) for value in _VALUES[form] if form != "group" or other not in value)


def _hosts(above: _Above, found: re.Match[str]) -> Iterator[Offer]:
    family = above.family(found[1])
    for each in (family, 10 - family):
        yield from (Offer(f"{host}:", f"IPv{each}") for host in _HOSTS[each])


def _ports(above: _Above, found: re.Match[str]) -> Iterator[Offer]:
    yield from (Offer(f"{symbol})", "a port that is free when the scenario begins") for symbol in above.symbols)
    yield Offer("0)", "the system chooses")
    yield from (Offer(f"{name}.port)", f"the port that {name} has") for name in above.kinds)


def _hows(above: _Above, _: re.Match[str]) -> Iterator[Offer]:
    return (Offer(f"{how})") for how in ("RD", "WR", "RDWR"))


def _users(above: _Above, _: re.Match[str]) -> Iterator[Offer]:
    return (Offer(user, "has all privileges" if user == "root" else "has no privileges") for user in USERS)


def _plain(markdown: str) -> str:
    return markdown.replace("`", "")


#: Where one is on a line, its last group the word that is being written; and what may stand there.
_PLACES = (
    (r"^[ \t]*(\w*)$", _beginnings),
    (rf"^[ \t]*{_NAME}[ \t]*=[ \t]*{_NAME}\.(\w*)$", _making),
    (rf"^[ \t]*{_NAME}[ \t]*=[ \t]*(\w*)$", _makers),
    (rf"^[ \t]*{_NAME}\.(\w*)$", _calls),
    (r"\)[ \t]*as[ \t]+(\w*)$", _users),
    (r"\.shutdown\([ \t]*(\w*)$", _hows),
    (r"[(,][ \t]*([A-Z]\w*)[ \t]*=[ \t]*([\w.:%-]*)$", _values),
    (r"(?:=[ \t]*\w+|\.(set|get))\((?:[^()]*,)?[ \t]*(\w*)$", _options),
    (rf"({_NAME})\.(?:bind|connect|sendto)\([ \t]*([0-9.]*|\[[0-9A-Fa-f:.]*\]?)$", _hosts),
    (r"\.(?:bind|connect|sendto)\([ \t]*(?:[0-9.]+|\[[0-9A-Fa-f:.]+\]):(\w*(?:\.\w*)?)$", _ports),
)
