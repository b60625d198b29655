"""Addresses as people type them, and as the messages of programs print them."""

from __future__ import annotations

import re
import socket

from ..text import visible

Named = tuple[str, int]  # a host with its zone, empty where none is named, and a port

_FOUR = r"\d{1,3}(?:\.\d{1,3}){3}"
_SIX = r"[0-9A-Fa-f]*:[0-9A-Fa-f:]*(?:\.\d{1,3}){0,3}"
_ZONE = r"(?:%[\w.\-]+)?"
_NAME = r"[A-Za-z](?:[A-Za-z0-9_\-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_\-]*[A-Za-z0-9])?)*"
_PORT = r"(?P<port>\d{1,5})(?!\d|\.\d)"
_PLAIN = rf"(?P<host>(?:{_FOUR}|[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f.]*){_ZONE}|localhost)"
#: The forms, the surest first: a tuple of Python, brackets, words around a port, IPv4, any address, Java's, IPv6 as
#: netstat prints it, a name, a port alone.
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"""\(\s*['"](?P<host>[^'"]*)['"]\s*,\s*['"]?{_PORT}""",
        rf"\[(?P<host>(?:{_SIX}|{_FOUR}){_ZONE}|{_NAME})\][:.]{_PORT}",
        rf"""(?<![\w.:%]){_PLAIN}["'\]]*,?\s*(?:--?)?[Pp]ort["'\s:=]+{_PORT}""",
        rf"""\b[Pp]ort\s+{_PORT}\s+(?:on|at|of)\s+["'\[]?{_PLAIN}""",
        rf"(?<![\w.:])(?P<host>{_FOUR}{_ZONE})[:.]{_PORT}",
        rf"(?<![\w.:])(?P<host>\*{_ZONE})[:.]{_PORT}",
        rf"(?<![\w.\-]){_NAME}/(?P<host>{_FOUR}):{_PORT}",
        rf"(?<![\w.:])(?P<host>{_SIX}{_ZONE})[:.]{_PORT}(?!:\w|::)",
        rf"(?<![\w.\-:%])(?P<host>localhost)\.{_PORT}",
        rf"\b(?:tcp|udp)[46]?[:/](?P<host>){_PORT}",
        rf"(?<![\w.\-:%])(?P<host>{_NAME}):{_PORT}(?!\w|:\w|::)",
        rf"""(?<![^\s"'`(<=,/\[])(?P<host>):{_PORT}(?!\w|:\w|::)""",
        rf"\b[Pp]orts?(?:\s+number|\s+already in use)?\s*[:=]?\s*(?P<host>){_PORT}",
    )
)
#: What stands before an address: a scheme, or a family as gRPC and socat write it.
_PREFIX = re.compile(
    r"\b(?:[a-z][a-z0-9+.\-]{1,15}://|(?:ipv[46]|(?:tcp|udp)[46]?):(?!\d+(?![\d.:])))", re.ASCII | re.IGNORECASE
)
SOURCE = re.compile(r".+\.(?:cc?|cpp|exs?|go|java|m?js|kt|php|py|rb|rs|ts)", re.ASCII)  # a file, as in main.go:12
#: How programs say that an address is taken, or cannot be had.
IN_USE = re.compile(
    r"(?:addr(?:ess|\.)?|connection)(?: is)? (?:already )?in ?use|EADDRINUSE|AddrInUse"
    r"|\bport:? (?:\d+ )?(?:(?:is|was) )?(?:already |being |currently )?(?:in use|used|taken|occupied|allocated)"
    r"|already (?:running|listening) on port|Only one usage of each socket address|WinError 10048"
    r"|os error (?:98|48)\b|\[?Errno (?:98|48)\]?",
    re.IGNORECASE,
)


class AddressError(ValueError):
    """A text that names no address, or none that there may be; the message is one line."""


def found(text: str) -> list[Named]:
    """The addresses that a text names, each once, in the order of its forms."""
    seen: dict[Named, None] = {}

    def taken(match: re.Match[str]) -> str:
        port = int(match["port"])
        if port < 65536 and (place := _valid(match["host"])) is not None:
            seen[place, port] = None
        return " "

    text = _PREFIX.sub(" ", text[:4000].replace("%5B", "[").replace("%5D", "]"))
    for form in _FORMS:
        text = form.sub(taken, text)
    return list(seen)


def _valid(host: str) -> str | None:
    """A host in its usual spelling; None if it is no address that there may be."""
    host, percent, zone = host.partition("%")
    if host in ("", "*"):
        return ""
    if ":" in host or re.fullmatch(_FOUR, host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, host)) + percent + zone
        except OSError:
            return None
    return host


def is_udp(text: str) -> bool:
    """Whether a text says of its address that it is UDP's."""
    return re.search(r"(?<![a-z])udp[46]?(?![a-z])", text[:4000], re.IGNORECASE) is not None


def parsed(text: str) -> Named:
    """The one address that a user typed: ``8080``, ``[::]:8080``, ``localhost:8080``, ``('::', 8080, 0, 0)``, or a
    message that has one. Raises AddressError."""
    plain = text.strip()
    if number := re.fullmatch(r"(\d+)(?:/(?:tcp|udp))?", plain, re.ASCII):
        if len(number[1]) > 5 or int(number[1]) > 65535:
            raise AddressError(f"{visible(number[1])} is no port: there are 0 to 65535")
        return "", int(number[1])
    places = found(plain)
    for sure in (lambda it: it[1], lambda it: not SOURCE.fullmatch(it[0])):  # port 0 is of nobody
        places = [*filter(sure, places)] or places
    if len(places) == 1:
        return places[0]
    if places:
        names = ", ".join(f"{host or '*'}:{port}" for host, port in places[:5])
        raise AddressError(f"{visible(plain)!r} names several addresses ({visible(names)}): give one of them")
    if number := re.search(r"[:.](\d{5,})\W*$", plain, re.ASCII):
        raise AddressError(f"{visible(number[1])} is no port: there are 0 to 65535")
    if _valid(plain) in (None, "") and (host := re.fullmatch(r"\[?([^\s\[\]]+)\]?:\d+", plain, re.ASCII)):
        raise AddressError(f"{visible(host[1])!r} is no address")
    raise AddressError(f"{visible(plain)!r} names no port: give 8080, 127.0.0.1:8080, [::1]:8080 or localhost:8080")
