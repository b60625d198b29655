"""Performing the steps of one scenario with real sockets, in the environment that this thread is in.

Every call blocks for real: a Python time-out would make the socket non-blocking, which changes answers. What limits a
call is the scenario's time, kept by an alarm (`alarm`), and for accept and recv a look at the descriptor first.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
import time
from collections.abc import Callable, Container, Mapping
from functools import cache
from typing import TypeVar

from ..scenario import KINDS, Address, Scenario, Step
from . import PATIENCE, options
from .devices import index_of
from .devices import name_of as name_of_device
from .errnos import name_of
from .ready import readable
from .settle import Settler, pair

_PROTOCOLS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "mptcp": (socket.SOCK_STREAM, 262),
    "sctp": (socket.SOCK_STREAM, 132),
    "udplite": (socket.SOCK_DGRAM, 136),
}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_RESET = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)
_HOW = {"RD": socket.SHUT_RD, "WR": socket.SHUT_WR, "RDWR": socket.SHUT_RDWR}

Become = Callable[[str], contextlib.AbstractContextManager[None]]
Observed = tuple[str, str, str | None]  # what a `StepOutcome` is made of: of tens of thousands a second none is kept
T = TypeVar("T")
_Target = tuple[str, int] | tuple[str, int, int, int]
_Aimed = Callable[[socket.socket, _Target], object]


class TimeUp(BaseException):
    """The scenario's time ran out. Not an Exception, so that no handler on the way swallows it."""


class _NoPort(Exception):
    """``NAME.port`` of a socket that was never made or has no port."""


class _Nothing(Exception):
    """accept or recv had nothing to return."""


class _Socket:
    """A name of the scenario: its socket of this kind, who calls, whether it failed or may have had a connection, the
    last port it reported."""

    __slots__ = ("sock", "proto", "family", "user", "failed", "met", "port")

    def __init__(self, sock: socket.socket | None, proto: str, family: int, user: str, met: bool = False) -> None:
        self.sock, self.proto, self.family, self.user = sock, proto, family, user
        self.failed, self.met, self.port = False, met, 0

    @property
    def stream(self) -> bool:
        return _PROTOCOLS[self.proto][0] == socket.SOCK_STREAM


class Performance:
    """One scenario under way; `outcomes` grows as its steps are done.

    At the steps labelled in `polls` accept and recv look once instead of waiting: on loopback what was sent is there
    when the call that sent it returns, so whoever expects nothing there need not pay for `PATIENCE`. A `settler` of
    the namespace's saves making one.
    """

    def __init__(
        self,
        scenario: Scenario,
        ports: Mapping[str, int],
        become: Become,
        polls: Container[str] = (),
        settler: Settler | None = None,
    ) -> None:
        self.scenario, self.ports, self.become, self.polls = scenario, ports, become, polls
        self.names: dict[str, _Socket] = {}
        self.outcomes: list[Observed] = []
        self.settler = settler or Settler()
        self._settler_is_ours = settler is None

    def run(self) -> list[Observed]:
        """Do every step; when the time is up the step under way is `timeout` and all after it `unreached`."""
        steps = iter(self.scenario.steps)
        try:
            with contextlib.suppress(TimeUp):
                for step in steps:
                    self._step(step)
            for step in steps:
                if step.label:
                    self.outcomes.append((step.label, "unreached", None))
        finally:
            self.close()
        return self.outcomes

    def time_up(self) -> list[Observed]:
        """The outcomes if the time ran out now, for a watchdog that cannot interrupt the call under way."""
        done = len(self.outcomes)
        labels = [step.label for step in self.scenario.steps if step.label]
        rest = [(label, "unreached" if n else "timeout", None) for n, label in enumerate(labels[done:])]
        return [*self.outcomes[:done], *rest]

    def close(self) -> None:
        """Close whatever is open, by reset: an orphan would keep the namespace, or the port, for a while."""
        for held in self.names.values():
            if held.sock is not None:
                if held.met and held.stream:
                    with contextlib.suppress(OSError):
                        held.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                held.sock.close()
        if self._settler_is_ours:
            self.settler.close()

    def _step(self, step: Step) -> None:
        if step.verb == "wait":
            time.sleep(float(step.seconds))
            return
        outcome, value = "unreached", None
        try:
            if step.verb == "socket":
                outcome = self._create(step)
            else:
                held = self.names.get(step.of or step.name)
                if held is not None and held.sock is not None and (not held.failed or step.verb in _ALWAYS):
                    outcome, value = self._call(step, held, held.sock)
        except TimeUp:
            self.outcomes.append((step.label, "timeout", None))
            raise
        self.outcomes.append((step.label, outcome, value))

    def _create(self, step: Step) -> str:
        proto, family = KINDS[step.kind]
        held = self.names[step.name] = _Socket(None, proto, family, step.user)
        try:
            if not step.user:
                self._make(step, held)
            else:
                with self.become(step.user):
                    self._make(step, held)
        except OSError as error:
            held.failed = not step.survives
            return name_of(error)
        return "ok"

    @staticmethod
    def _make(step: Step, held: _Socket) -> None:
        kind, number = _PROTOCOLS[held.proto]
        held.sock = sock = socket.socket(_FAMILIES[held.family], kind, number)
        for option in step.options:
            options.apply(sock, option)

    def _call(self, step: Step, held: _Socket, sock: socket.socket) -> tuple[str, str | None]:
        try:
            if not held.user:
                return "ok", _CALLS[step.verb](self, step, held, sock)
            with self.become(held.user):
                return "ok", _CALLS[step.verb](self, step, held, sock)
        except OSError as error:
            outcome = name_of(error)
        except _NoPort:
            return "unreached", None
        except _Nothing:
            outcome = "timeout"
        if not step.of and not step.survives:
            held.failed = True
        return outcome, None

    # --- the calls ------------------------------------------------------------------------------------------------

    def _port(self, address: Address) -> int:
        if isinstance(address.port, int):
            return address.port
        if address.port in self.ports:
            return self.ports[address.port]
        held = self.names.get(address.owner or "")
        if held is None:
            raise _NoPort
        self._note_port(held)
        if not held.port:
            raise _NoPort
        return held.port

    @staticmethod
    def _note_port(held: _Socket) -> None:
        if held.sock is not None:
            try:
                held.port = held.sock.getsockname()[1]
            except OSError:  # Windows: not bound
                held.port = 0

    def _to(self, step: Step, held: _Socket, sock: socket.socket, call: _Aimed) -> None:
        """A call with the step's address, on a view of the socket for which Python passes the literal's family."""
        address = step.address
        assert address is not None
        target: _Target = (address.host, self._port(address))
        if "%" in address.host:
            host, _, device = address.host.partition("%")
            target = host, target[1], 0, index_of(device)
        if address.family == held.family:
            call(sock, target)
            return
        view = socket.socket(_FAMILIES[address.family], sock.type, sock.proto, fileno=sock.fileno())
        try:
            call(view, target)
        finally:
            view.detach()

    def _set(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        options.apply(sock, step.options[0])

    def _get(self, step: Step, held: _Socket, sock: socket.socket) -> str:
        return options.read(sock, step.options[0])

    def _bind(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        self._to(step, held, sock, socket.socket.bind)

    def _listen(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        backlog = 8 if step.backlog is None else step.backlog
        if backlog < 0:  # which Python would make 0
            _call("listen", sock, backlog)
        else:
            sock.listen(backlog)

    def _connect(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        held.met = True
        self._to(step, held, sock, socket.socket.connect)

    def _disconnect(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        _call("connect", sock, bytes(28), 28)  # to an address of AF_UNSPEC

    def _accept(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        child, _ = self._patient(step, sock, sock.accept)
        child.setblocking(True)
        self.names[step.name] = _Socket(child, held.proto, held.family, held.user, met=True)

    def _dup(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        self.names[step.name] = _Socket(sock.dup(), held.proto, held.family, held.user, met=True)

    def _patient(self, step: Step, sock: socket.socket, call: Callable[[], T]) -> T:
        """A call that may have nothing to return, then looked for once more at the end of `PATIENCE`.

        A look does not block, tells EINVAL from nothing, and cannot hang on a connection that went.
        """
        sock.setblocking(False)
        try:
            try:
                return call()
            except BlockingIOError:
                if step.label in self.polls:
                    raise
            readable(sock, PATIENCE)
            return call()
        except BlockingIOError:
            raise _Nothing from None
        finally:
            sock.setblocking(True)

    def _shutdown(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        connection = pair(sock)
        sock.shutdown(_HOW[step.how])
        if step.how != "RD":
            self.settler.ended(connection)

    def _eof(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        while sock.recv(65536):
            pass

    def _sendto(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        self._to(step, held, sock, lambda view, target: view.sendto(b"x", target))

    def _send(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        sock.send(b"x")

    def _recv(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        try:
            self._patient(step, sock, lambda: sock.recv(1 if held.stream else 65536))
        except _Nothing:  # after shutdown(RD) of UDP, Linux tells only a call that may wait that there is no need to
            if held.stream or not readable(sock, 0):
                raise
            sock.recv(65536)

    def _close(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        self._note_port(held)
        if held.stream:
            self.settler.ended(pair(sock))
        held.sock = None
        sock.close()
        self.settler.wait(self._streams)

    def _name(self, step: Step, held: _Socket, sock: socket.socket) -> str:
        host, port, *more = sock.getsockname()
        host = host.partition("%")[0]
        device = f"%{name_of_device(more[1])}" if len(more) > 1 and more[1] else ""
        return f"[{host}{device}]:{port}" if ":" in host else f"{host}:{port}"

    def _streams(self) -> list[socket.socket]:
        return [held.sock for held in self.names.values() if held.sock is not None and held.proto == "tcp"]


#: Tried also on a socket that failed.
_ALWAYS = frozenset({"close", "name", "get", "set"})
_CALLS: dict[str, Callable[[Performance, Step, _Socket, socket.socket], str | None]] = {
    "set": Performance._set,
    "get": Performance._get,
    "bind": Performance._bind,
    "listen": Performance._listen,
    "connect": Performance._connect,
    "disconnect": Performance._disconnect,
    "accept": Performance._accept,
    "dup": Performance._dup,
    "shutdown": Performance._shutdown,
    "eof": Performance._eof,
    "sendto": Performance._sendto,
    "send": Performance._send,
    "recv": Performance._recv,
    "close": Performance._close,
    "name": Performance._name,
}


def _call(name: str, sock: socket.socket, *arguments: bytes | int) -> None:
    """A call of the C library on the socket, with arguments that Python cannot spell. Raises OSError."""
    if getattr(_library(), name)(sock.fileno(), *arguments):
        if sys.platform == "win32":
            raise OSError(None, name, None, _library().WSAGetLastError())
        raise OSError(ctypes.get_errno(), name)


@cache
def _library() -> ctypes.CDLL:
    if sys.platform == "win32":
        return ctypes.WinDLL("ws2_32")
    return ctypes.CDLL(None, use_errno=True)
