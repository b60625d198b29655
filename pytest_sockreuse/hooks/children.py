"""What another process said of an address in use: looked up among the test's leases and the ports that it names."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from ..diagnosis import addresses
from ..diagnosis.question import Asked
from ..diagnosis.sight import Explanation, here, look
from ..diagnosis.words import text
from ..live.port_blocks import descriptors
from ..live.users import this_user
from ..platforms import current
from ..ports import leases
from ..text import visible

_MOST = 3  # ports that are looked up
_LINES = 2  # around the words: a port may stand on the line before


def explained(texts: Sequence[str]) -> list[str]:
    """An explanation for each port that such words in `texts` may mean and that somebody has."""
    found: dict[tuple[str, str, int], str] = {}
    for said, host, port in _meant(texts):
        for protocol in ("tcp", "udp"):
            if (
                len(found) < _MOST
                and (protocol, host, port) not in found
                and (words := _words(said, host, port, protocol))
            ):
                found[protocol, host, port] = words
    return [*found.values()]


def _meant(texts: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """The words, and each address that they may mean: one that they name, or else a lease of this test."""
    said = ""
    named = False
    for whole in texts:
        lines = whole[-200_000:].splitlines()
        for number, line in enumerate(lines):
            if not addresses.IN_USE.search(line):
                continue
            said = said or line.strip()
            near = [line, *lines[max(0, number - _LINES) : number], *lines[number + 1 : number + 1 + _LINES]]
            for host, port in (place for part in near for place in addresses.found(part)):
                if port:
                    named = True
                    yield line.strip(), host, port
    if said and not named:
        yield from ((said, "127.0.0.1", lease.port) for lease in leases if lease.open)


def _words(said: str, host: str, port: int, protocol: str) -> str:
    """The explanation of a bind there, whatever options the process set; empty where nobody has the port."""
    if host and not host.replace(".", "").isdigit() and ":" not in host:
        host = "127.0.0.1" if host == "localhost" else ""
    local = (host or "0.0.0.0", port)
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    scene = here(current(), None, frozenset(descriptors()))
    tries: list[Explanation] = []
    for options in ((), ("SO_REUSEADDR",)):
        asked = Asked("bind", "EADDRINUSE", protocol, family, options, local, uid=this_user())
        sight = look(asked, scene, {})
        if not sight.there:
            return ""
        explanation = sight.explanation()
        if explanation.found.clauses or not tries:
            tries.append(explanation)
    common = [fix for fix in tries[0].fixes if all(fix in other.fixes for other in tries)]
    rows = [row for row in tries[0].rows() if row[0] != "fix"]
    return text([("said", visible(said, 300)), *rows, *(("fix", fix) for fix in common)])
