"""What another process said of an address in use: looked up among the test's leases and the ports that it names."""

from __future__ import annotations

import socket
from collections.abc import Sequence

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
    lines = [line for text in texts for line in text[-200_000:].splitlines()]
    hits = [number for number, line in enumerate(lines) if addresses.IN_USE.search(line)]
    if not hits:
        return []
    said = min((lines[number].strip() for number in hits), key=len)
    near = [line for hit in hits for line in lines[max(0, hit - _LINES) : hit + _LINES + 1]]
    named = dict.fromkeys(place for line in near for place in addresses.found(line) if place[1])
    held = [("127.0.0.1", lease.port) for lease in leases()]
    found = [words for host, port in [*named, *held] if (words := _looked_up(said, host, port))]
    return [*dict.fromkeys(found)][:_MOST]


def _looked_up(said: str, host: str, port: int) -> str:
    return _words(said, host, port, "tcp") or _words(said, host, port, "udp")


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
