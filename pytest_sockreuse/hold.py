"""``sockreuse hold``: a command with ports that are held for it; its exit status is the command's."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence

from .ports import PortError, Ports
from .running import passed_on, waited
from .text import visible

_NOT_FOUND, _NOT_EXECUTABLE, _SIGNALLED = 127, 126, 128


class HoldError(Exception):
    """A wrong question; the message is one line."""


def hold(command: Sequence[str], count: int = 1, release: bool = False) -> int:
    """Run `command` with `count` ports, each ``{}`` of its arguments the next of them; the exit status.

    They are held until it has ended, for whoever binds beside a placeholder; with `release` until it starts. Raises
    HoldError.
    """
    places = sum(word.count("{}") for word in command)
    if 0 < places < count:
        raise HoldError(f"the command has {places} of the {count} places {{}} that it needs: one for each port")
    with Ports() as ports:
        try:
            leases = ports.hold_many(count)
        except PortError as error:
            raise HoldError(str(error)) from None
        if not places:
            print("sockreuse: the command has no {}, so nothing tells it the port", file=sys.stderr)
        numbers = itertools.cycle(lease.port for lease in leases)
        words = [_filled(word, numbers) for word in command]
        if release:
            for lease in leases:
                lease.release()
        with passed_on() as start:
            try:
                process = start(words)
            except FileNotFoundError:
                return _cannot(words[0], "no such command", _NOT_FOUND)
            except OSError as error:
                return _cannot(words[0], error.strerror or "cannot be run", _NOT_EXECUTABLE)
            status = waited(process)
    return status if status >= 0 else _SIGNALLED - status


def _filled(word: str, numbers: Iterator[int]) -> str:
    first, *rest = word.split("{}")
    return first + "".join(f"{next(numbers)}{part}" for part in rest)


def _cannot(word: str, why: str, status: int) -> int:
    print(f"sockreuse: {visible(word)}: {why}", file=sys.stderr)
    return status
