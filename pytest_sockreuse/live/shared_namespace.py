"""Linux: namespaces that many scenarios share, for exploration. A new one for each would cost more than the scenario.

Scenarios do not influence each other. Where no port is named by its number, each gets port numbers of its own out of
thousands, so the TIME_WAIT sockets of earlier ones do not matter (`_roomy`). Where a scenario changes settings or names
a port by its number, the settings are put back, and the namespace is replaced once a connection was made in it
(`_small`).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator

from ..scenario import Scenario
from . import NotRun, namespace
from .perform import Observed

assert sys.platform == "linux"

_MOST = 4000  # scenarios of one namespace: few enough for its port symbols, and for net.ipv4.tcp_max_tw_buckets
_SYMBOLS = range(10000, 32768)  # below the default ephemeral range
_TIME_WAITS = "net.ipv4.tcp_max_tw_buckets"


class _Room:
    """A new namespace: how many scenarios may yet be performed in it, the ports that symbols may yet stand for."""

    def __init__(self) -> None:
        namespace.new()
        namespace.quickack()
        self._here = namespace.Place()
        self.left = _MOST
        self.ports: Iterator[int] = iter(_SYMBOLS)
        self.before: dict[str, str] = {}  # settings as they were
        try:
            namespace.write(_TIME_WAITS, "65536")
        except NotRun:
            self.left = 200

    def enter(self) -> None:
        self._here.enter()
        self.left -= 1

    def close(self) -> None:
        self._here.close()


class SharedNamespaces:
    """The two namespaces of a worker process. `enter` one, perform the scenario, tell `leave` what it did."""

    def __init__(self) -> None:
        self._roomy: _Room | None = None
        self._small: _Room | None = None
        self._in_small = False

    @staticmethod
    def takes(scenario: Scenario) -> bool:
        """Whether a scenario can be performed here: further addresses and devices would stay."""
        return all(setting.kind in ("sysctl", "ephemeral") for setting in scenario.environment)

    def enter(self, scenario: Scenario) -> dict[str, int]:
        """Move to a namespace where nothing is in this scenario's way; returns its ports. Raises NotRun, OSError."""
        if not scenario.environment and not _numbered(scenario):
            return self.roomy(scenario.symbols)
        self._in_small = True
        self._small = room = _ready(self._small)
        for setting in scenario.environment:
            name, before = namespace.change(setting)
            room.before.setdefault(name, before)
        taken = {address.port for address in scenario.addresses}
        free = (port for port in _SYMBOLS if port not in taken)
        return {symbol: next(free) for symbol in scenario.symbols}

    def roomy(self, symbols: Iterable[str]) -> dict[str, int]:
        """The same for a scenario without settings and numbered ports, that has these symbols. Raises OSError."""
        self._in_small = False
        self._roomy = room = _ready(self._roomy)
        return {symbol: next(room.ports) for symbol in symbols}

    def leave(self, outcomes: Iterable[Observed]) -> None:
        """The scenario is over: what it made is gone, or the namespace is."""
        room = self._small
        if not self._in_small or room is None:
            return
        if any(outcome in ("ok", "timeout") and ".connect" in step for step, outcome, _ in outcomes):
            room.left = 0
        for name, value in reversed(room.before.items()):
            namespace.write(name, value)
        room.before.clear()


def _ready(room: _Room | None) -> _Room:
    """Enter this room for one scenario more, or a new one where it has had its share. Raises OSError."""
    if room is not None and room.left:
        with contextlib.suppress(OSError):  # where setns is refused it cannot be come back to
            room.enter()
            return room
    if room is not None:
        room.close()
    room = _Room()
    room.enter()
    return room


def _numbered(scenario: Scenario) -> bool:
    """Whether it says which ports to use, so that what another left there would matter."""
    if any(isinstance(address.port, int) and address.port for address in scenario.addresses):
        return True
    return any(option.name == "IP_LOCAL_PORT_RANGE" for step in scenario.steps for option in step.options)
