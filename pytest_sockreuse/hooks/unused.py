"""Held ports under the names that other plugins' fixtures have: pytest-asyncio's, anyio's, aiohttp's.

`plugin` registers this module after all plugins, if ``sockreuse_unused_ports`` asks for it, so that these are found
before theirs; a fixture of a test file or a conftest.py is found before these. Whoever asks by such a name sets no
option and releases nothing, so a number is released already: it is of a block that no other run has, and outside the
range of which the OS chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..live.placeholder import PROTOCOLS, Protocol
from ..ports import Ports

Factory = Callable[..., int]


def _made(name: str, fixture: Any, scope: Any = "function") -> None:
    globals()[f"_{name}"] = pytest.fixture(fixture, name=name, scope=scope)


def _factory(protocol: Protocol) -> Callable[[Ports], Factory]:
    def factory(held_port_factory: Ports) -> Factory:
        """A function: each call gives another port of this host that nobody uses, and is given no more."""

        def unused(family: object = None) -> int:
            return held_port_factory.hold(protocol).release()

        return unused

    return factory


def _port(protocol: Protocol) -> Callable[[Ports], Iterator[int]]:
    def port(held_port_factory: Ports) -> Iterator[int]:
        """A port of this host that nobody uses, and is given to nobody else while the test runs."""
        with held_port_factory.hold(protocol) as lease:
            yield lease.release()

    return port


for _protocol in PROTOCOLS:
    for _kind in ("unused", "free"):  # pytest-asyncio; anyio
        _made(f"{_kind}_{_protocol}_port", _port(_protocol))
        _made(f"{_kind}_{_protocol}_port_factory", _factory(_protocol), "session")
_made("aiohttp_unused_port", _factory("tcp"), "session")
