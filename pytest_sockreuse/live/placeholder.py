"""Placeholders: sockets that keep a port from everybody, and let the application that it is meant for bind beside them.

What does that differs by OS; `TECHNIQUES` has it for each stack, and the tests ask the models whether it holds.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import Literal

from ..dataclass import dataclass
from .plain import Plain
from .port_blocks import DISCARD, bound, keeping, let_go

Protocol = Literal["tcp", "udp"]
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
LOOPBACK = {int(socket.AF_INET): "127.0.0.1", int(socket.AF_INET6): "::1"}
_RESET = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Technique:
    """How a placeholder is made: when it sets SO_REUSEADDR, for which protocols it is connected (to nobody who sends),
    the addresses it has. `beside` says whether an application that sets SO_REUSEADDR can bind at those addresses too.
    """

    beside: bool = True
    reuse: Literal["before", "after", "never"] = "never"
    connected: tuple[Protocol, ...] = ("udp",)  # unconnected it would receive the application's datagrams
    hosts: tuple[tuple[int, str], ...] = tuple(LOOPBACK.items())


# On the BSDs and illumos a connected socket blocks no binder that sets the option, and every binder that does not.
_BSD = Technique(connected=PROTOCOLS)
# On Windows two specific addresses never conflict, and nobody should set SO_REUSEADDR: the placeholder steps aside.
_WINDOWS = Technique(False, connected=(), hosts=((int(socket.AF_INET), "127.88.77.66"),))
TECHNIQUES = {
    "linux": Technique(reuse="after"),  # bound before it sets the option, so that it shares with nobody at first
    "gvisor": Technique(reuse="before"),  # where an option counts as it was at the bind
    "freebsd": _BSD,
    "dragonfly": _BSD,
    "macos": _BSD,
    "netbsd": _BSD,
    "openbsd": _BSD,
    "illumos": _BSD,
    "windows": _WINDOWS,
}
STRICT = Technique(False, connected=())  # where no rule is known: nobody binds beside it


class Placeholders:
    """Makes placeholders by one technique."""

    def __init__(self, technique: Technique) -> None:
        self.technique = technique
        self._keepers: dict[int, Plain] = {}

    def make(self, protocol: Protocol, port: int) -> dict[int, list[Plain]]:
        """Keep `port`, at each address that the system has; returns the sockets by family. Raises OSError."""
        made: dict[int, list[Plain]] = {}
        try:
            for family, host in self.technique.hosts:
                socks = made[family] = []
                try:
                    self._make(protocol, family, (host, port), socks)
                except OSError as error:
                    if family == socket.AF_INET or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                        raise
                    del made[family]  # no IPv6 here
        except BaseException:
            for sock in (sock for socks in made.values() for sock in socks):
                sock.close()
            raise
        return made

    def close(self) -> None:
        """Close what connected placeholders were connected to."""
        let_go(self._keepers.values())
        self._keepers.clear()

    def _make(self, protocol: Protocol, family: int, address: tuple[str, int], socks: list[Plain]) -> None:
        if self.technique.reuse == "before":
            sock = Plain(family, KINDS[protocol])
            socks.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
        else:
            sock = bound(family, KINDS[protocol], address)
            socks.append(sock)
        if self.technique.reuse == "after":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if protocol in self.technique.connected:
            if protocol == "tcp":
                socks.append(self._connect(sock))
            else:
                sock.connect((address[0], DISCARD))
        keeping(*socks)

    def _connect(self, sock: Plain) -> Plain:
        """Connect a placeholder; returns the other end. Neither leaves a TIME_WAIT."""
        keeper = self._keepers.get(sock.family)
        if keeper is None:
            keeper = bound(sock.family, socket.SOCK_STREAM, (LOOPBACK[sock.family], 0))
            self._keepers[sock.family] = keeper
            keeper.listen()
            keeping(keeper)
        sock.connect(keeper.getsockname())
        while True:  # whoever else connected is turned away
            peer, address = keeper.accept()
            if address == sock.getsockname():
                break
            peer.close()
        for end in (sock, peer):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return peer
