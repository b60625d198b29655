"""gVisor: what its network stack keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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


Machine = machine.Machine[State]
