"""gVisor: what its network stack keeps."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import field
from typing import TYPE_CHECKING

from ...dataclass import dataclass
from .. import machine

if TYPE_CHECKING:
    from .demux import Demux
    from .ports import Endpoint, Ports


@dataclass(slots=True)
class State:
    """The reservations of ports, the endpoints that packets find, every socket."""

    ports: Ports
    demux: Demux
    sockets: list[Endpoint] = field(default_factory=list)

    def forget(self, ports: AbstractSet[int]) -> None:
        """No call is made any more on sockets of these ports: who got what they sent, or were sent, is forgotten."""
        hashes = self.demux.hashes
        for key in [key for key in hashes if key[0][0][1] in ports or key[0][1][1] in ports]:
            del hashes[key]


Machine = machine.Machine[State]
