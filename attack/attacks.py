"""The attacks by group."""

from __future__ import annotations

import sys
from random import Random

if sys.platform == "win32":
    raise SystemExit("attacks are made on POSIX")

from asked import explains, holds, traces
from given import arguments, data, logs, places, results, scenarios, values
from promises import Attack
from surroundings import ends, hosts, repeats, streams, tests

#: Of groups whose attacks are much alike. Those of the last two read the whole suite.
PARTS = {"arguments": 0.5, "places": 0.35, "explains": 0.5, "data": 0.3, "values": 0.02}


def groups(seed: int) -> dict[str, list[Attack]]:
    """All attacks by group; a seed chooses a part of some, what is repeated, and when commands are ended."""
    chance = Random(seed)
    named = (scenarios, logs, places, arguments, results, values, data, hosts, streams, tests, explains, holds, traces)
    found = {group.__name__: list(group()) for group in named}
    for name, part in PARTS.items():
        found[name] = chance.sample(found[name], int(part * len(found[name])))
    return found | {group.__name__: list(group(chance)) for group in (repeats, ends)}
