"""The attacks by group."""

# ruff: noqa: E402
from __future__ import annotations

import sys
from random import Random

assert sys.platform != "win32", "attacks are made on POSIX"

from given import arguments, data, logs, places, results, scenarios
from promises import Attack
from surroundings import ends, hosts, repeats, streams, tests


def groups(seed: int) -> dict[str, list[Attack]]:
    """All attacks by group; a seed chooses who reads wrong data, what is repeated, and when commands are ended."""
    found = {
        group.__name__: list(group()) for group in (scenarios, logs, places, arguments, results, hosts, streams, tests)
    }
    return found | {group.__name__: list(group(Random(seed))) for group in (data, repeats, ends)}
