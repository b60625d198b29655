"""Linux: namespaces that scenarios share, as `sharing` says. A new one for each would cost more than the scenario."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys
from collections.abc import Container, Iterable, Sequence
from io import FileIO

from ..scenario import Scenario, Setting
from . import NotRun, namespace
from .perform import Observed
from .settle import Settler
from .sharing import Sharing
from .symbols import Dealer

assert sys.platform == "linux"

_MOST = 4000  # scenarios of one namespace: few enough for its port symbols, and for net.ipv4.tcp_max_tw_buckets
_KEPT = 16  # namespaces, of different environments, where a process may have many files open: each takes some five
_TIME_WAITS = "net.ipv4.tcp_max_tw_buckets"
_IN_USE = re.compile(rb" (?:inuse|tw) (\d+)")


class _Room:
    """A namespace with this environment: the ports that it has left, and what scenarios left in it.

    Raises NotRun, OSError.
    """

    def __init__(self, environment: Sequence[Setting]) -> None:
        namespace.new()
        self._place = namespace.Place()
        self.settler = Settler()
        self.left = _MOST
        try:
            namespace.quickack()
            namespace.arrange(environment)
            self._dealer = Dealer(*namespace.ports_in_force())
        except BaseException:
            self._place.close()
            raise
        self._counts: list[FileIO] = []
        for name in ("sockstat", "sockstat6"):
            with contextlib.suppress(OSError):  # gVisor has neither
                self._counts.append(FileIO(f"/proc/thread-self/net/{name}"))

    def enter(self, symbols: Sequence[str], numbers: Container[int | str]) -> dict[str, int]:
        """Move there, for one scenario more; returns its ports. Raises NotRun where too few are left, OSError."""
        self.left -= 1
        ports = self._dealer.deal_to(symbols, numbers)
        self._place.enter()
        return ports

    def is_empty(self) -> bool:
        """Whether the kernel shows no socket in use here, and no connection in TIME_WAIT."""
        numbers: set[bytes] = set()
        for file in self._counts:
            numbers.update(_IN_USE.findall(os.pread(file.fileno(), 1000, 0)))
        return numbers == {b"0"}

    def close(self) -> None:
        self.settler.close()
        for file in self._counts:
            file.close()
        self._place.close()


def _kept() -> int:
    """How many namespaces a process keeps with the files that it may open; one where it is not told."""
    try:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    except OSError:
        return 1
    return max(1, min(_KEPT, files // 64)) if files >= 0 else _KEPT


class SharedNamespaces:
    """The namespaces of a worker process. `enter` one, perform the scenario, tell `leave` what it did."""

    def __init__(self) -> None:
        self._rooms: dict[Sequence[Setting] | None, _Room] = {}  # by environment, the last used last; None: PORTS
        self._now: Sequence[Setting] | None = None
        self._kept = _kept()

    @property
    def settler(self) -> Settler:
        """The one of the namespace that was entered."""
        return self._rooms[self._now].settler

    def enter(self, scenario: Scenario, how: Sharing) -> dict[str, int]:
        """Move to a namespace where nothing is in the way of a scenario that shares so; returns its ports.

        Raises NotRun, OSError.
        """
        if how is Sharing.PORTS:
            return self.enter_by_ports(scenario.symbols)
        return self._enter(scenario.environment, scenario.symbols, {address.port for address in scenario.addresses})

    def enter_by_ports(self, symbols: Sequence[str]) -> dict[str, int]:
        """The same for a scenario that shares by its ports, and has these symbols. Raises OSError."""
        return self._enter(None, symbols, ())

    def _enter(
        self, key: Sequence[Setting] | None, symbols: Sequence[str], numbers: Container[int | str]
    ) -> dict[str, int]:
        self._now = key
        room = self._rooms.pop(key, None)
        if room is not None:
            if room.left:
                with contextlib.suppress(OSError, NotRun):  # setns is refused; or it has too few ports
                    ports = room.enter(symbols, numbers)
                    self._rooms[key] = room
                    return ports
            room.close()
        self._rooms[key] = room = self._new(key)
        return room.enter(symbols, numbers)

    def _new(self, key: Sequence[Setting] | None) -> _Room:
        if len(self._rooms) >= self._kept:
            self._rooms.pop(next(iter(self._rooms))).close()
        room = _Room(key or ())
        if key is None:
            try:
                namespace.write(_TIME_WAITS, "65536")
            except NotRun:
                room.left = 200
        return room

    def leave(self, outcomes: Iterable[Observed]) -> None:
        """The scenario is over: what it made is gone, or bears on none that comes, or the namespace goes."""
        room = self._rooms[self._now]
        room.settler.forget()
        if self._now is None:
            return
        stuck = any(outcome == "timeout" and ".connect" in step for step, outcome, _ in outcomes)
        if stuck or not room.is_empty():
            self._rooms.pop(self._now).close()
