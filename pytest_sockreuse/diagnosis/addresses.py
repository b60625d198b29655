"""Addresses as people type them, and as the messages of programs print them."""

from __future__ import annotations

import re
import socket

from ..text import visible

Named = tuple[str, int]  # a host, empty where none is named, and a port

_FOUR = r"\d{1,3}(?:\.\d{1,3}){3}"
_SIX = r"[0-9A-Fa-f]*:[0-9A-Fa-f:]*(?:\.\d{1,3}){0,3}"
_ZONE = r"(?:%[\w.\-]+)?"
_NAME = r"[A-Za-z](?:[A-Za-z0-9_\-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_\-]*[A-Za-z0-9])?)*"
_PORT = r"(\d{1,5})(?![\d.])"
# #: The forms, the surest first: a tuple of Python, brackets, IPv4, any address, IPv6 as netstat prints it, a name, a
# port alone.
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"""\(\s*['"]([^'"]*)['"]\s*,\s*{_PORT}""",
        rf"\[({_SIX}{_ZONE})\][:.]{_PORT}",
        rf"(?<![\w.:])({_FOUR})[:.]{_PORT}",
        rf"(?<![\w.:])(\*)[:.]{_PORT}",
        rf"(?<![\w.\-])({_NAME})/({_FOUR}):{_PORT}",  # Java's
        rf"(?<![\w.:])({_SIX}){_ZONE}[:.]{_PORT}(?!:\w|::)",
        rf"(?<![\w.\-:])({_NAME}):{_PORT}(?!\w|:\w|::)",
        rf"(?<![\w.:])():{_PORT}(?!\w|:\w|::)",
        rf"\b[Pp]orts?(?:\s+number)?\s*[:=]?\s*(){_PORT}",
    )
)
_SCHEME = re.compile(r"\b[a-z][a-z0-9+.\-]{1,15}://", re.ASCII)
#: How programs say that an address is taken, or cannot be had.
IN_USE = re.compile(
    r"addr(?:ess|\.)?(?: is)? (?:already )?in use|EADDRINUSE|port is already allocated"
    r"|port (?:\d+ )?(?:is|was) (?:already )?in use|Only one usage of each socket address|WinError 10048"
    r"|os error (?:98|48)\b|\[?Errno (?:98|48)\]?",
    re.IGNORECASE,
)


class AddressError(ValueError):
    """A text that names no address, or none that there may be; the message is one line."""


def found(text: str) -> list[Named]:
    """The addresses that a text names, each once, in the order of its forms."""
    text = _SCHEME.sub(" ", text[:4000])
    seen: dict[Named, None] = {}
    for form in _FORMS:
        for match in form.finditer(text):
            groups = match.groups()
            host, port = groups[-2], int(groups[-1])
            if port < 65536 and (place := _valid(host)) is not None:
                seen[place, port] = None
        text = form.sub(" ", text)
    return list(seen)


def _valid(host: str) -> str | None:
    """A host without its zone; None if it is no address that there may be."""
    if host in ("", "*"):
        return ""
    host = host.partition("%")[0]
    if ":" in host or re.fullmatch(_FOUR, host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, host))
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
    if len(places) == 1:
        return places[0]
    if places:
        names = ", ".join(f"{host or '*'}:{port}" for host, port in places[:5])
        raise AddressError(f"{visible(plain)!r} names several addresses ({visible(names)}): give one of them")
    if number := re.search(r"[:.](\d{5,})\W*$", plain, re.ASCII):
        raise AddressError(f"{visible(number[1])} is no port: there are 0 to 65535")
    if host := re.fullmatch(r"\[?([^\s\[\]]+)\]?:\d+", plain, re.ASCII):
        raise AddressError(f"{visible(host[1])!r} is no address")
    raise AddressError(f"{visible(plain)!r} names no port: give 8080, 127.0.0.1:8080, [::1]:8080 or localhost:8080")
