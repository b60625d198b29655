"""One line of the scenario language: its syntax, what it stands for, and how it is spelled.

A line is read once and remembered, since suites repeat theirs; what depends on the lines above is the parser's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from operator import attrgetter
from typing import NoReturn

from .options import options
from .scenario import KINDS, USERS, Address, Option, Setting, Step
from .text import nearest

MAX_STEPS = 10_000  # steps of one scenario, after expansion

BLANK = " \t"  # all of the language's white space
_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_HOST = {4: (r"[0-9.]+", IPv4Address), 6: (r"[0-9A-Fa-f:.]+", IPv6Address)}
_VALUE = {
    "flag": (r"-?\d{1,10}", "a whole number"),
    "int": (r"-?\d{1,10}", "a whole number"),
    "linger": (r"off|\d{1,5}", "seconds or 'off'"),
    "range": (r"\d{1,5}-\d{1,5}", "LOW-HIGH, each 0 to 65535"),
    "text": (r"[A-Za-z0-9_.\-]{1,15}", "an interface name"),
    "device": (r"[A-Za-z][\w.\-]{0,14}", "an interface name"),
}
_DEVICE = r"[A-Za-z][\w.\-]{0,14}(?![\w.\-])"


class Wrong(Exception):
    """A line that does not parse: where (an offset), and what was expected."""

    def __init__(self, at: int, expected: str) -> None:
        super().__init__(at, expected)
        self.at, self.expected = at, expected


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)  # whose own memory is asked in Python, for half of the time that a line takes


class _Scan:
    """A cursor over one line."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.start = text, 0, 0

    def fail(self, expected: str, at: int | None = None) -> NoReturn:
        raise Wrong(self.at if at is None else at, f"expected {expected}")

    def maybe(self, pattern: str) -> str | None:
        """Consume a regular expression after white space, if it stands there; `start` is where."""
        space = _pattern(r"[ \t]*").match(self.text, self.at)
        self.at = self.start = space.end() if space else self.at
        found = _pattern(pattern).match(self.text, self.at)
        if not found:
            return None
        self.at = found.end()
        return found.group()

    def take(self, pattern: str, expected: str) -> str:
        found = self.maybe(pattern)
        return self.fail(expected) if found is None else found

    def end(self) -> None:
        self.maybe("")
        if self.at < len(self.text):
            self.fail("the end of the line")


@lru_cache(16384)  # a scenario of the most steps, however often it comes again
def syntax(text: str) -> Setting | Step:
    """One line without comment and index ranges. Raises Wrong."""
    scan = _Scan(text)
    if word := scan.maybe(r"(sysctl|ephemeral|address|device)(?=[ \t])"):
        item: Setting | Step = _setting(scan, word)
    elif scan.maybe(r"wait(?=[ \t])(?![ \t]*[=.])"):
        item = Step("wait", seconds=scan.take(r"\d{1,4}(\.\d{1,6})?(?![\w.])", "seconds"))
    else:
        item = _step(scan, scan.take(_NAME, "a name, 'wait' or an environment line"))
    scan.end()
    return item


@lru_cache(16384)
def placed(text: str, label: str, line: int) -> Step:
    """The step of a line, with its place in the scenario."""
    step = syntax(text)
    assert isinstance(step, Step)
    return Step(step.verb, step.name, label, line, *_rest(step))  # `replace` takes twice as long


@lru_cache(16384)
def said(text: str) -> tuple[Setting | Step, str, str | None]:
    """What such a line says; the label of its step where it is the first, and the socket whose port it names.

    Raises Wrong.
    """
    item = syntax(text)
    if isinstance(item, Setting) or item.verb == "wait":
        return item, "", None
    return item, f"{item.name}.{item.verb}", item.address.owner if item.address is not None else None


@lru_cache(16384)
def read(text: str) -> tuple[str, bool, str]:
    """A line as written: what there is of it without comment, whether it has index ranges, its canonical spelling.

    Raises Wrong, but not for what is wrong beyond index ranges.
    """
    body, hash_, comment = text.partition("#")
    note = f"#{comment.rstrip(BLANK)}" if hash_ else ""
    body = body.strip(BLANK)
    ranges = "-" in body and RANGE.search(body) is not None
    shown = spell(body) if ranges or not body else str(syntax(body))
    return body, ranges, f"{shown}  {note}" if shown and note else shown or note


def _single(text: str) -> str:
    """The words of a text, a single blank between them."""
    return " ".join(re.findall(r"[^ \t]+", text))


def _setting(scan: _Scan, word: str) -> Setting:
    match word:
        case "sysctl":
            name = scan.take(r"\w+([./][\w\-]+)+", "the name of a setting, such as net.ipv4.tcp_tw_reuse")
            scan.take("=", "'='")
            return Setting("sysctl", _single(scan.take(r"\S.{0,200}", "a value")), name)
        case "ephemeral":
            setting = Setting("ephemeral", scan.take(r"\d{1,5}-\d{1,5}(?!\w)", "LOW-HIGH"))
            if not 0 < setting.ports[0] <= setting.ports[1] <= 65535:
                scan.fail("LOW-HIGH with 1 <= LOW <= HIGH <= 65535", scan.start)
            return setting
        case "address":
            host = _host(scan, 6 if ":" in scan.text else 4)
            at = scan.at
            device = _of_device(scan)
            if device and not (":" in host and ip_address(host).is_link_local):
                scan.fail("a device of a link-local address only", at)
            return Setting("address", host + device)
        case _:
            return Setting("device", scan.take(_DEVICE, "an interface name"))


def _step(scan: _Scan, name: str) -> Step:
    if scan.maybe("="):
        step = _creation(scan, name)
    else:
        scan.take(r"\.", "'.' or '='")
        verb = scan.take(r"\w*", "a call")
        if verb not in ARGUMENTS:
            scan.fail(MAKERS.get(verb, f"one of {', '.join(ARGUMENTS)}"), scan.start)
        scan.take(r"\(", "'('")
        step = ARGUMENTS[verb](scan, Step(verb, name))
        scan.take(r"\)", "')'")
    return replace(step, survives=True) if scan.maybe(r"\?") else step


def _creation(scan: _Scan, name: str) -> Step:
    maker = scan.take(_NAME, "a socket kind, LISTENER.accept() or OTHER.dup()")
    at = scan.start
    if scan.maybe(r"\."):
        verb = scan.take(rf"(?:{'|'.join(MAKERS)})\b", "accept() or dup()")
        scan.take(r"\([ \t]*\)", "'()'")
        return Step(verb, name, of=maker)
    if maker not in KINDS:
        scan.fail(f"a socket kind ({' '.join(KINDS)}), LISTENER.accept() or OTHER.dup()", at)
    scan.take(r"\(", "'('")
    given: list[Option] = []
    while not scan.maybe(r"\)"):
        if given:
            scan.take(",", "',' or ')'")
        given.append(_option(scan))
    user = scan.take("|".join(USERS), "user1, user2 or root") if scan.maybe(r"as\b") else ""
    return Step("socket", name, kind=maker, options=tuple(given), user=user)


def _option_name(scan: _Scan) -> str:
    name = scan.take(r"[A-Z]\w*", "an option, such as SO_REUSEADDR")
    if name not in options():
        close = nearest(name, options(), 3, 0.5) or sorted(options())
        scan.fail(f"an option of the language ({', '.join(close)}), not {name}", scan.start)
    return name


def _option(scan: _Scan) -> Option:
    name = _option_name(scan)
    form = options()[name].form
    pattern, expected = _VALUE.get(form, ("", "a group's address, such as 224.0.0.251%lo"))
    if not scan.maybe("="):
        if form not in ("flag", "int"):
            scan.fail(f"'=' and {expected}")
        return Option(name)
    if scan.maybe("raw:"):
        digits = scan.take(r"[0-9A-Fa-f]{0,512}(?![0-9A-Za-z])", "hexadecimal digits, at most 512")
        if len(digits) % 2:
            scan.fail("an even number of hexadecimal digits")
        return Option(name, f"raw:{digits}")
    if form == "group":
        host = _host(scan, 6 if name.startswith("IPV6_") else 4)
        return Option(name, host + _of_device(scan))
    value = scan.take(rf"(?:{pattern})(?![\w.])", expected)
    if form == "range" and max(map(int, value.split("-"))) > 65535:
        scan.fail(expected, scan.start)
    if form in ("flag", "int") and not -(2**31) <= int(value) < 2**31:
        scan.fail("a number of 32 bits", scan.start)
    return Option(name, value)


def _host(scan: _Scan, family: int) -> str:
    pattern, address = _HOST[family]
    host = scan.take(pattern, "an address, such as 127.0.0.1 or [::1]")
    try:
        address(host)  # not inet_pton: a Python without IPv6 reads scenarios too
    except ValueError:
        scan.fail(f"an IPv{family} address", scan.start)
    return host


def _of_device(scan: _Scan) -> str:
    """The device of an IPv6 address, ``%lo``; empty where none is named."""
    return "%" + scan.take(_DEVICE, "an interface name") if scan.maybe("%") else ""


def _address(scan: _Scan) -> Address:
    if scan.maybe(r"\["):
        host = _host(scan, 6)
        host += _of_device(scan)
        scan.take(r"\]", "']'")
    else:
        host = _host(scan, 4)
    scan.take(":", "':' and a port")
    port = scan.take(
        rf"\d{{1,5}}(?!\w)|{_NAME}\.port\b|[A-Z][A-Z0-9]*(?![\w.])",
        "a port: a number, a symbol such as P, or NAME.port",
    )
    if port.isdigit() and int(port) > 65535:
        scan.fail("a port from 0 to 65535", scan.start)
    return Address(host, int(port) if port.isdigit() else port)


def _nothing(_: _Scan, step: Step) -> Step:
    return step


def _to(scan: _Scan, step: Step) -> Step:
    return replace(step, address=_address(scan))


def _set(scan: _Scan, step: Step) -> Step:
    return replace(step, options=(_option(scan),))


def _get(scan: _Scan, step: Step) -> Step:
    return replace(step, options=(Option(_option_name(scan)),))


def _listen(scan: _Scan, step: Step) -> Step:
    backlog = scan.maybe(r"-?\d{1,9}(?!\w)")
    return step if backlog is None else replace(step, backlog=int(backlog))


def _shutdown(scan: _Scan, step: Step) -> Step:
    return replace(step, how=scan.take(r"(RDWR|RD|WR)\b", "RD, WR or RDWR"))


ARGUMENTS: dict[str, Callable[[_Scan, Step], Step]] = {
    **dict.fromkeys(("close", "disconnect", "eof", "name", "recv", "send"), _nothing),
    **dict.fromkeys(("bind", "connect", "sendto"), _to),
    "get": _get,
    "listen": _listen,
    "set": _set,
    "shutdown": _shutdown,
}

#: The calls that make a name, and how they are written.
MAKERS = {"accept": "NAME = LISTENER.accept()", "dup": "NAME = OTHER.dup()"}

_rest = attrgetter(*Step.__slots__[4:])

RANGE = re.compile(r"\[(\d{1,9})-(\d{1,9})\]", re.ASCII)


def expand(body: str) -> Iterator[tuple[str, Callable[[int], int]]]:
    """The lines that `body` stands for, each with a function from its offsets to those of `body`. Raises Wrong."""
    ranges = list(RANGE.finditer(body))
    sizes = [int(found[2]) - int(found[1]) + 1 for found in ranges]
    for found, size in zip(ranges, sizes, strict=True):
        if size < 1:
            raise Wrong(found.start(), "expected a range from low to high")
        if size != sizes[0]:
            raise Wrong(found.start(), f"expected a range of {sizes[0]} numbers, as the first on this line")
        if size > MAX_STEPS:
            raise Wrong(found.start(), f"expected at most {MAX_STEPS} steps in a scenario")
    for offset in range(sizes[0]):
        numbers = [str(int(found[1]) + offset) for found in ranges]

        def original(at: int, numbers: list[str] = numbers) -> int:
            for found, number in zip(ranges, numbers, strict=True):
                if at < found.start() + len(number):
                    return min(at, found.start())
                at += len(found[0]) - len(number)
            return at

        at = iter(numbers)
        yield RANGE.sub(lambda _: next(at), body), original  # noqa: B023 used before the next turn


def spell(body: str) -> str:
    """A line with index ranges in canonical spelling: its syntax is that of any expansion, so white space is all."""
    if re.match(r"(sysctl|ephemeral|address|device)\s", body):
        return _single(body)
    tight = re.sub(r"\s*([(),.?=])\s*", r"\1", re.sub(r"\s+", " ", body)).replace(",", ", ")
    tight = re.sub(r"\)as ", ") as ", tight)
    return re.sub(r"^([\w\[\]-]+)=", r"\1 = ", tight)
