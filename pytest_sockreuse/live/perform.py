"""Performing the steps of one scenario with real sockets, in the environment that this thread is in.

Every call blocks for real: a Python time-out would make the socket non-blocking, which changes answers. What limits a
call is the scenario's time, kept by an alarm (`alarm`), and for accept and recv a look at the descriptor first.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Container, Iterator, Mapping

from ..scenario import KINDS, Address, Scenario, Step, StepOutcome
from . import options
from .errnos import name_of
from .settle import Settler, pair

PATIENCE = 0.2  # seconds that accept and recv wait for something to return

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

_AS_IS = contextlib.nullcontext()

Become = Callable[[str], contextlib.AbstractContextManager[None]]


class TimeUp(BaseException):
    """The scenario's time ran out. Not an Exception, so that no handler on the way swallows it."""


class _NoPort(Exception):
    """``NAME.port`` of a socket that was never made or has no port."""


class _Nothing(Exception):
    """accept or recv had nothing to return."""


class _Socket:
    """A name of the scenario: its socket, who calls, whether it failed, the last port it reported."""

    __slots__ = ("sock", "user", "failed", "port")

    def __init__(self, sock: socket.socket | None, user: str, failed: bool = False) -> None:
        self.sock, self.user, self.failed, self.port = sock, user, failed, 0


class Performance:
    """One scenario under way; `outcomes` grows as its steps are done.

    At the steps labelled in `glance` accept and recv look once instead of waiting: on loopback what was sent is there
    when the call that sent it returns, so whoever expects nothing there need not pay for `PATIENCE`.
    """

    def __init__(
        self, scenario: Scenario, ports: Mapping[str, int], become: Become, glance: Container[str] = ()
    ) -> None:
        self.scenario, self.ports, self.become, self.glance = scenario, ports, become, glance
        self.names: dict[str, _Socket] = {}
        self.outcomes: list[StepOutcome] = []
        self.settler = Settler()

    def run(self) -> list[StepOutcome]:
        """Do every step; when the time is up the step under way is `timeout` and all after it `unreached`."""
        steps = iter(self.scenario.steps)
        try:
            with contextlib.suppress(TimeUp):
                for step in steps:
                    self._step(step)
            for step in steps:
                if step.label:
                    self.outcomes.append(StepOutcome(step.label, "unreached"))
        finally:
            self.close()
        return self.outcomes

    def time_up(self) -> list[StepOutcome]:
        """The outcomes if the time ran out now, for a watchdog that cannot interrupt the call under way."""
        done = len(self.outcomes)
        labels = [step.label for step in self.scenario.steps if step.label]
        rest = [StepOutcome(label, "unreached" if n else "timeout") for n, label in enumerate(labels[done:])]
        return self.outcomes[:done] + rest

    def close(self) -> None:
        """Close whatever is open, by reset: an orphan would keep the namespace, or the port, for a while."""
        for held in self.names.values():
            if held.sock is not None:
                with contextlib.suppress(OSError):
                    held.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                held.sock.close()
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
                held = self.names.get(step.listener or step.name)
                if held is not None and held.sock is not None and (not held.failed or step.verb in _ALWAYS):
                    outcome, value = self._call(step, held, held.sock)
        except TimeUp:
            self.outcomes.append(StepOutcome(step.label, "timeout"))
            raise
        self.outcomes.append(StepOutcome(step.label, outcome, value))

    def _create(self, step: Step) -> str:
        proto, family = KINDS[step.kind]
        kind, number = _PROTOCOLS[proto]
        held = self.names[step.name] = _Socket(None, step.user)
        try:
            with self.become(step.user) if step.user else _AS_IS:
                held.sock = socket.socket(_FAMILIES[family], kind, number)
                for option in step.options:
                    options.apply(held.sock, option)
        except OSError as error:
            held.failed = not step.survives
            return name_of(error)
        return "ok"

    def _call(self, step: Step, held: _Socket, sock: socket.socket) -> tuple[str, str | None]:
        try:
            with self.become(held.user) if held.user else _AS_IS:
                return "ok", _CALLS[step.verb](self, step, held, sock)
        except OSError as error:
            outcome = name_of(error)
        except _NoPort:
            return "unreached", None
        except _Nothing:
            outcome = "timeout"
        if step.verb != "accept" and not step.survives:
            held.failed = True
        return outcome, None

    # --- the calls ------------------------------------------------------------------------------------------------

    def _port(self, address: Address) -> int:
        if isinstance(address.port, int):
            return address.port
        if address.symbol is not None:
            return self.ports[address.symbol]
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

    @contextlib.contextmanager
    def _to(self, sock: socket.socket, address: Address) -> Iterator[tuple[socket.socket, tuple[str, int]]]:
        """The socket as one of the literal's family, so that Python passes an address of that family."""
        target = (address.host, self._port(address))
        if sock.family == _FAMILIES[address.family]:
            yield sock, target
            return
        view = socket.socket(_FAMILIES[address.family], sock.type, sock.proto, fileno=sock.fileno())
        try:
            yield view, target
        finally:
            view.detach()

    def _set(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        options.apply(sock, step.options[0])

    def _get(self, step: Step, held: _Socket, sock: socket.socket) -> str:
        return options.read(sock, step.options[0])

    def _bind(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        assert step.address is not None
        with self._to(sock, step.address) as (view, target):
            view.bind(target)

    def _listen(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        backlog = 8 if step.backlog is None else step.backlog
        if backlog < 0:  # which Python would make 0
            _call("listen", sock, backlog)
        else:
            sock.listen(backlog)

    def _connect(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        assert step.address is not None
        with self._to(sock, step.address) as (view, target):
            view.connect(target)

    def _disconnect(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        _call("connect", sock, bytes(28), 28)  # to an address of AF_UNSPEC

    def _accept(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        _await_readable(sock, 0 if step.label in self.glance else PATIENCE)
        sock.setblocking(False)  # the last look: tells EINVAL from nothing, and cannot block on a connection that went
        try:
            child, _ = sock.accept()
        except BlockingIOError:
            raise _Nothing from None
        finally:
            sock.setblocking(True)
        child.setblocking(True)
        self.names[step.name] = _Socket(child, held.user)

    def _shutdown(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        connection = pair(sock)
        sock.shutdown(_HOW[step.how])
        if step.how != "RD":
            self.settler.ended(connection)

    def _eof(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        while sock.recv(65536):
            pass

    def _sendto(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        assert step.address is not None
        with self._to(sock, step.address) as (view, target):
            view.sendto(b"x", target)

    def _send(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        sock.send(b"x")

    def _recv(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        _await_readable(sock, 0 if step.label in self.glance else PATIENCE)
        sock.setblocking(False)
        try:
            sock.recv(65536 if sock.type == socket.SOCK_DGRAM else 1)
        except BlockingIOError:
            raise _Nothing from None
        finally:
            sock.setblocking(True)

    def _close(self, step: Step, held: _Socket, sock: socket.socket) -> None:
        self._note_port(held)
        if sock.type == socket.SOCK_STREAM:
            self.settler.ended(pair(sock))
        held.sock = None
        sock.close()
        self.settler.wait(self._streams)

    def _name(self, step: Step, held: _Socket, sock: socket.socket) -> str:
        host, port = sock.getsockname()[:2]
        host = host.partition("%")[0]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _streams(self) -> list[socket.socket]:
        socks = (held.sock for held in self.names.values())
        return [sock for sock in socks if sock is not None and sock.type == socket.SOCK_STREAM and sock.proto in (0, 6)]


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
    "shutdown": Performance._shutdown,
    "eof": Performance._eof,
    "sendto": Performance._sendto,
    "send": Performance._send,
    "recv": Performance._recv,
    "close": Performance._close,
    "name": Performance._name,
}


def _await_readable(sock: socket.socket, seconds: float) -> None:
    """Wait until the socket has something to return, for `seconds` at the most."""
    if sys.platform != "win32":
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        poll.poll(seconds * 1000)
    else:
        select.select([sock], [], [], seconds)


def _call(name: str, sock: socket.socket, *arguments: bytes | int) -> None:
    """A call of the C library on the socket, with arguments that Python cannot spell. Raises OSError."""
    if sys.platform == "win32":
        library = ctypes.WinDLL("ws2_32")
        if getattr(library, name)(sock.fileno(), *arguments):
            raise OSError(None, name, None, library.WSAGetLastError())
    elif getattr(ctypes.CDLL(None, use_errno=True), name)(sock.fileno(), *arguments):
        raise OSError(ctypes.get_errno(), name)
