"""The numbers that port symbols stand for: outside the ephemeral range, and given once."""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence

from ..scenario import Scenario
from . import NotRun


class Dealer:
    """Deals ports from `start` on that are not in the ephemeral range `low` to `high`, each of them once."""

    def __init__(self, low: int, high: int, start: int) -> None:
        self._range = f"{low}-{high}"
        likely = itertools.chain(range(10000, 65536), range(1024, 10000))
        self._left = (port for port in likely if port >= start and not low <= port <= high)

    def deal(self, scenario: Scenario) -> dict[str, int]:
        """A port for each of its symbols, none that it names by its number. Raises NotRun where none is left."""
        return self.deal_to(scenario.symbols, {address.port for address in scenario.addresses})

    def deal_to(self, symbols: Sequence[str], numbers: Container[int | str] = ()) -> dict[str, int]:
        """The same for such symbols and numbers."""
        ports = dict(zip(symbols, (port for port in self._left if port not in numbers), strict=False))
        for symbol in symbols[len(ports) :]:
            raise NotRun(f"no port outside the ephemeral range {self._range} is left for {symbol}")
        return ports
