"""The attacks by group."""

# ruff: noqa: E402
from __future__ import annotations

import sys
from random import Random

assert sys.platform != "win32", "attacks are made on POSIX"

from given import arguments, data, logs, places, results, scenarios
from promises import Attack
from surroundings import ends, hosts, repeats, streams, tests

PARTS = {"results": 0.5, "data": 0.4}  # of groups whose attacks are much alike, and each reads the whole suite


def groups(seed: int) -> dict[str, list[Attack]]:
    """All attacks by group; a seed chooses a part of some, what is repeated, and when commands are ended."""
    chance = Random(seed)
    named = (scenarios, logs, places, arguments, results, data, hosts, streams, tests)
    found = {group.__name__: list(group()) for group in named}
    for name, part in PARTS.items():
        found[name] = chance.sample(found[name], int(part * len(found[name])))
    return found | {group.__name__: list(group(chance)) for group in (repeats, ends)}
