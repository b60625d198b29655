"""The fixtures that tests with sockets use. `plugin` names them and imports this module when a test asks for one."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest

from .. import endings
from ..endings import Ending, Side
from ..live import NotRun, options
from ..live.holders import Holder, holders, own
from ..live.port_blocks import NO_LOOPBACK, descriptors, has_loopback
from ..parser import parse
from ..ports import Lease, PortError, Ports, Protocol
from ..scenario import ScenarioError
from .netns import Netns, private
from .numbers import asked

if sys.platform == "linux":
    from ..live.holders import listening

_FAMILIES = {int(socket.AF_INET): 4, int(socket.AF_INET6): 6}

# --- held ports -------------------------------------------------------------------------------------------------------


def held_port_factory(request: pytest.FixtureRequest) -> Iterator[Ports]:
    among, without = asked(request.config)
    with Ports(among=among, without=without) as ports:
        yield ports


def held_ports(request: pytest.FixtureRequest) -> Iterator[Callable[..., list[Lease]]]:
    ports: Ports = request.getfixturevalue("held_port_factory")
    leases = contextlib.ExitStack()

    def hold(count: int, *protocols: Protocol, consecutive: bool = False) -> list[Lease]:
        """Leases of so many ports, which end with the test."""
        __tracebackhide__ = True
        try:
            more = ports.hold_many(count, *protocols, consecutive=consecutive)
        except PortError as error:
            raise PortError(str(error)) from None
        for lease in more:
            leases.enter_context(lease)
        return more

    with leases:
        yield hold
        _close_sockets(request)


def held_port(request: pytest.FixtureRequest) -> Iterator[Lease]:
    ports: Ports = request.getfixturevalue("held_port_factory")
    with ports.hold() as lease:
        yield lease
        _close_sockets(request)


def held_tcp_port(request: pytest.FixtureRequest) -> Iterator[int]:
    ports: Ports = request.getfixturevalue("held_port_factory")
    with ports.hold("tcp") as lease:
        yield lease.port
        _close_sockets(request)


# --- sockets ----------------------------------------------------------------------------------------------------------


def socket_class(request: pytest.FixtureRequest) -> Iterator[type[socket.socket]]:
    yield socket.socket


class Sockets:
    """Makes sockets of one protocol and closes them at the end of the test. `listened` are port and inode of those that
    did until then."""

    def __init__(self, protocol: Protocol, made_by: type[socket.socket]) -> None:
        self.protocol, self._made_by = protocol, made_by
        self._made: list[socket.socket] = []
        self.listened: set[tuple[int, int]] = set()

    def __call__(self, *asked: str, family: int = socket.AF_INET) -> socket.socket:
        """A new socket with options set by name: ``tcp("SO_REUSEADDR", "SO_LINGER=0")``. Raises ValueError, OSError."""
        __tracebackhide__ = True
        if family not in _FAMILIES:
            raise ValueError(f"family {family!r}: there are AF_INET and AF_INET6")
        try:
            (step,) = parse(f"S = {self.protocol}{_FAMILIES[family]}({', '.join(asked)})").steps
        except ScenarioError as error:
            raise ValueError(f"{', '.join(asked)}: {error.expected}") from None
        sock = self._made_by(family, socket.SOCK_STREAM if self.protocol == "tcp" else socket.SOCK_DGRAM)
        self._made.append(sock)
        for option in step.options:
            options.apply(sock, option)
        return sock

    def close(self) -> None:
        while self._made:
            with self._made.pop() as sock:
                if _listens(sock):
                    self.listened.add((sock.getsockname()[1], _inode(sock)))


_SOCKETS = pytest.StashKey[list[Sockets]]()


def _close_sockets(request: pytest.FixtureRequest) -> None:
    """Close what the factories of a test made, before something that they used ends."""
    for sockets in request.node.stash.get(_SOCKETS, []):
        sockets.close()


def _sockets(protocol: Protocol, request: pytest.FixtureRequest) -> Sockets:
    sockets = Sockets(protocol, request.getfixturevalue("socket_class"))
    request.node.stash.setdefault(_SOCKETS, []).append(sockets)
    return sockets


class _Outcomes:
    """Notes which tests failed."""

    failed = pytest.StashKey[bool]()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None:
            item.stash[self.failed] = True


def tcp(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    manager = request.config.pluginmanager
    if not manager.has_plugin("sockreuse-outcomes"):
        manager.register(_Outcomes(), "sockreuse-outcomes")
    sockets = _sockets("tcp", request)
    before = _listeners()
    yield sockets
    sockets.close()
    if _Outcomes.failed in request.node.stash:  # its traceback keeps what the test had
        return
    leaked = _left_open(before, sockets.listened)
    if leaked:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of whoever left others before
            gc.collect()  # nobody has these any more
        leaked = _left_open(before, sockets.listened)
    if leaked:
        pytest.fail(f"this test leaked a listening socket: {', '.join(leaked)}; close it", pytrace=False)


def udp(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    sockets = _sockets("udp", request)
    yield sockets
    sockets.close()


Place = tuple[int | None, tuple[str, int]]  # descriptor and address


def _listeners() -> dict[Place, Holder]:
    ours = descriptors()
    return {(it.fd, it.local): it for it in own() if it.state == "LISTEN" and it.fd not in ours}


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino if sys.platform == "linux" else 0


def _left_open(before: dict[Place, Holder], listened: set[tuple[int, int]]) -> list[str]:
    """What listens and should not: in this process, or in another that has a copy of a socket that `listened`."""
    found = [it for place, it in _listeners().items() if place not in before]
    if sys.platform == "linux":
        for port, inode in listened:
            if inode in listening(port):
                found += [it for it in holders(port) if it.state == "LISTEN" and it.fd is None]
    return sorted(f"{it.local[0]}:{it.local[1]} by {it.owner}" for it in found)


def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    sock = request.getfixturevalue("tcp")()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    yield sock


def connected_pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    made_by = request.getfixturevalue("socket_class")
    if not has_loopback():
        pytest.skip(NO_LOOPBACK)
    with made_by(socket.AF_INET, socket.SOCK_STREAM) as listener, made_by(socket.AF_INET, socket.SOCK_STREAM) as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        listener.close()
        with server:
            yield client, server


# --- what a connection leaves -----------------------------------------------------------------------------------------


def _ending(make: Callable[..., Ending]) -> Iterator[Callable[..., Ending]]:
    made: list[Ending] = []

    def leave(side: Side = "server", old_reuse: bool = True, host: str = "127.0.0.1", port: int = 0) -> Ending:
        """A port in that state, as `pytest_sockreuse.endings` says."""
        __tracebackhide__ = True
        try:
            made.append(make(side, old_reuse, host, port))
        except NotRun as why:
            pytest.skip(str(why))
        except ValueError as error:
            raise ValueError(str(error)) from None
        return made[-1]

    yield leave
    for ending in made:
        ending.close()


def time_wait(request: pytest.FixtureRequest) -> Iterator[Callable[..., Ending]]:
    yield from _ending(endings.time_wait)


def fin_wait2(request: pytest.FixtureRequest) -> Iterator[Callable[..., Ending]]:
    yield from _ending(endings.fin_wait2)


# --- a namespace ------------------------------------------------------------------------------------------------------


def sockreuse_netns(request: pytest.FixtureRequest) -> Iterator[Netns]:
    yield from private(request)
