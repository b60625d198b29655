"""What another process said of an address in use: looked up among the test's leases and the ports that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

from ..diagnosis import addresses
from ..diagnosis.question import Asked, family_of
from ..diagnosis.sight import Explanation, here, look
from ..diagnosis.words import Scene, text
from ..live.port_blocks import descriptors
from ..live.users import this_user
from ..platforms import current
from ..ports import leases
from ..text import visible

_MOST = 3  # ports that are looked up
_LINES = 2  # around the words: a port may stand on the line before
_NUMBER = re.compile(r"(?<![\w.])\d{4,5}(?![\w.])")  # which may be a port: of a command's arguments, say
_NUMBERS = 20  # that are looked up
_PYTEST = re.compile(r"^(?:E\s)?\s*")  # what it writes before a line


def explained(failure: str, printed: Sequence[str], made: Mapping[int, str], how: Mapping[int, str]) -> list[str]:
    """An explanation for each port that such words in a test's failure and output may mean and that somebody has; or
    that nobody has it any more.

    `made` and `how` say of this run's sockets which line made them, and how they came to their port.
    """
    lines = [line for text in (failure, *printed) for line in text[-200_000:].splitlines()]
    hits = [number for number, line in enumerate(lines) if addresses.IN_USE.search(line)]
    if not hits:
        return []
    said = min((_PYTEST.sub("", lines[number]) for number in hits), key=lambda it: (not _named([it]), len(it)))
    near = [line for hit in hits for line in lines[max(0, hit - _LINES) : hit + _LINES + 1]]
    scene = here(current(), made, frozenset(descriptors()))
    look_up = partial(_looked_up, visible(said, 300), scene, how)
    named = _named(near)
    held = [("127.0.0.1", lease.port) for lease in leases()]
    numbers = dict.fromkeys(("", int(it)) for line in near for it in _NUMBER.findall(line) if 1024 <= int(it) < 65536)
    for places in ([*named, *held], [] if named else [*numbers][:_NUMBERS]):
        if found := [words for place in places if (words := look_up(place))]:
            return [*dict.fromkeys(found)][:_MOST]
    gone = ", ".join(f"{host or '*'}:{port}" for host, port in named[:_MOST])
    if not gone or not any(addresses.IN_USE.search(text) for text in printed):  # perhaps words of the test's source
        return []
    return [text([("said", visible(said, 300)), ("held by", f"nobody any more at {gone}, now that the test is over")])]


def _named(lines: Sequence[str]) -> list[addresses.Named]:
    """The places that lines name, each once: of a port without an address only where no other line gives it one."""
    found = dict.fromkeys(place for line in lines for place in addresses.found(line) if place[1])
    places = [(host, port) for host, port in found if not addresses.SOURCE.fullmatch(host)]
    whole = {port for host, port in places if host}
    return [(host, port) for host, port in places if host or port not in whole]


def _looked_up(said: str, scene: Scene, how: Mapping[int, str], place: addresses.Named) -> str:
    return _words(said, scene, how, place, "tcp") or _words(said, scene, how, place, "udp")


def _words(said: str, scene: Scene, how: Mapping[int, str], place: addresses.Named, protocol: str) -> str:
    """The explanation of a bind there, whatever options the process set; empty where nobody has the port."""
    host, _, zone = place[0].partition("%")
    if host and not host.replace(".", "").isdigit() and ":" not in host:
        host = "127.0.0.1" if host == "localhost" else ""
    local = (host or "0.0.0.0", place[1])
    family = family_of(local[0])
    tries: list[Explanation] = []
    for options in ((), ("SO_REUSEADDR",)):
        asked = Asked("bind", "EADDRINUSE", protocol, family, options, local, uid=this_user(), device=zone)
        sight = look(asked, scene, how)
        if not sight.there:
            return ""
        explanation = sight.explanation()
        if explanation.found.clauses or not tries:
            tries.append(explanation)
    common = [fix for fix in tries[0].fixes if all(fix in other.fixes for other in tries)]
    rows = [row for row in tries[0].rows() if row[0] != "fix"]
    return text([("said", said), *rows, *(("fix", fix) for fix in common)])
