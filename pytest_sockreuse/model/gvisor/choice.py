"""gVisor: which port is chosen where none was named."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ..clause import Book
from ..ports import mask
from .state import Machine

BOOK = Book()

RANGE = BOOK(
    "one-range-any-port",
    "A chosen port is any usable one of the range, 16000 to 65535 by default, the first from a random one on.",
    "pkg/tcpip/ports/ports.go PickEphemeralPort",
)


@lru_cache(256)
def _mask(text: str) -> int:
    low, high = text.replace("-", " ").split()
    return mask(int(low), int(high))


def pick(m: Machine, usable: Callable[[int], bool]) -> int:
    """PickEphemeralPort: the port, or 0."""
    text = m.env.get("ephemeral") or m.env.get("net.ipv4.ip_local_port_range") or "16000-65535"
    return m.space.pick(_mask(text if RANGE in m.on else "32768-60999"), usable, m.wanted())
