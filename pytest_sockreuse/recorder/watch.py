"""Watching Python's sockets: every bind, listen, connect, …, what came of it, and which line of code it was.

While a `Tape` runs, some methods of `socket.socket` are wrapped; when the last one ends they are as they were. A
wrapper only notes numbers and code objects: what they mean is found out later, by `reconstruct`.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from .events import NO_CALL, NO_ERRNO, Known, Tape, trail

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})
_INET = frozenset({-1, int(socket.AF_INET), int(socket.AF_INET6)})
_PLAIN_HOSTS = frozenset({"127.0.0.1", "::1", "localhost", "", "0.0.0.0", "::"})  # those that no call is needed for

_Raw = _socket.socket
_fileno, _sockname = _Raw.fileno, _Raw.getsockname
_bind_, _listen_, _connect_, _connect_ex_ = _Raw.bind, _Raw.listen, _Raw.connect, _Raw.connect_ex
_setsockopt_, _getsockopt_, _shutdown_ = _Raw.setsockopt, _Raw.getsockopt, _Raw.shutdown
_finalize: Any = getattr(_Raw, "__del__", None)

_tape: Tape | None = None


def _number(error: OSError) -> int:
    if isinstance(error, socket.gaierror | socket.herror):
        return NO_CALL
    return getattr(error, "winerror", None) or error.errno or NO_ERRNO


# --- the wrappers -----------------------------------------------------------------------------------------------------
# They make no system call of their own but where it is rare: on a virtual machine one alone may take 2 µs.


def _init(self: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
    _before["__init__"](self, family, type, proto, fileno)
    tape = _tape
    if tape is None:
        return
    if fileno is not None:
        if sys._getframe(1).f_code not in _MAKERS:
            _adopt(tape, self, fileno)
    elif family in _INET and (where := trail(tape)):  # what our own fixtures do is not the program's
        fd = _fileno(self)
        tape.fds[fd] = Known()
        tape.note(("socket", fd, (family, type, proto), 0, where))


def _adopt(tape: Tape, sock: Any, fd: int) -> None:
    """A socket object for a descriptor from elsewhere: one that is known, or a copy of one, or a stranger."""
    if fd in tape.fds or sock.family not in _INET:
        return
    try:
        inode = os.fstat(fd).st_ino
        original = next((known for known in tape.fds if inode and os.fstat(known).st_ino == inode), None)
    except OSError:  # Windows; or a descriptor that was closed where nobody saw it
        original = None
    if original is not None:
        tape.fds[fd] = tape.fds[original]
        tape.note(("dup", original, fd, 0, ()))


def _bind(self: Any, address: Any, /) -> None:
    tape = _tape
    if tape is None or (known := tape.fds.get(fd := _fileno(self))) is None:
        _bind_(self, address)
        return
    try:
        _bind_(self, address)
    except OSError as error:
        if (number := _number(error)) != NO_CALL:
            tape.note(("bind", fd, (address, None), number, trail(tape)))
        raise
    known.named = address[1] != 0
    known.nameless = not known.named
    own = None if address[0] in _PLAIN_HOSTS else _sockname(self)
    tape.note(("bind", fd, (address, own), 0, trail(tape)))


def _getsockname(self: Any) -> Any:
    own = _sockname(self)
    tape = _tape
    if tape is not None and (known := tape.fds.get(fd := _fileno(self))) is not None and known.nameless and own[1]:
        known.nameless = False
        tape.note(("name", fd, own, 0, ()))
    return own


def _listen(self: Any, *backlog: Any) -> None:
    tape = _tape
    if tape is None or (known := tape.fds.get(fd := _fileno(self))) is None:
        _listen_(self, *backlog)
        return
    try:
        _listen_(self, *backlog)
    except OSError as error:
        tape.note(("listen", fd, None, _number(error), trail(tape)))
        raise
    known.nameless = not known.named
    tape.note(("listen", fd, None, 0, trail(tape)))


def _connect(self: Any, address: Any, /) -> None:
    tape = _tape
    if tape is None or (known := tape.fds.get(fd := _fileno(self))) is None:
        _connect_(self, address)
        return
    # Noted before it is done, since whoever accepts it may be noted before it returns.
    event = known.pending or ["connect", fd, (address, None), None, trail(tape)]
    if known.pending is None:
        tape.note(event)
    try:
        _connect_(self, address)
    except OSError as error:
        _end(tape, known, self, event, _number(error))
        raise
    _end(tape, known, self, event, 0)


def _connect_ex(self: Any, address: Any, /) -> int:
    tape = _tape
    if tape is None or (known := tape.fds.get(fd := _fileno(self))) is None:
        return _connect_ex_(self, address)
    event = known.pending or ["connect", fd, (address, None), None, trail(tape)]
    if known.pending is None:
        tape.note(event)
    number = _connect_ex_(self, address)
    _end(tape, known, self, event, number)
    return number


def _end(tape: Tape, known: Known, sock: Any, event: list[Any], number: int) -> None:
    """What came of a connect so far: maybe only that it is under way; asked by another connect, that it is done."""
    address = event[2][0]
    if address[0] not in _PLAIN_HOSTS:
        event[2] = (_peer(sock) or address, _sockname(sock))
    if number:
        if number in _UNDER_WAY:
            known.pending = event
            return
        if number == errno.EISCONN and known.pending is event:
            number = 0
    event[3], known.pending, known.connected = number, None, number == 0
    if tape.spool is not None:
        tape.amend(event)


def _accept(self: Any) -> Any:
    child, address = _before["accept"](self)
    tape = _tape
    if tape is not None and (known := tape.fds.get(fd := _fileno(self))) is not None:
        tape.fds[number := _fileno(child)] = accepted = Known()
        accepted.connected, accepted.named = True, known.named
        if len(tape.events) >= tape.limit:
            tape.full()
        tape.note(("accept", fd, (number, address), 0, ()))
    return child, address


def _dup(self: Any) -> Any:
    copy = _before["dup"](self)
    tape = _tape
    if tape is not None and (known := tape.fds.get(fd := _fileno(self))) is not None:
        tape.fds[_fileno(copy)] = known
        tape.note(("dup", fd, _fileno(copy), 0, ()))
    return copy


def _setsockopt(self: Any, level: int, number: int, value: Any, *length: Any) -> None:
    tape = _tape
    if tape is None or (level, number) not in watched_options or (fd := _fileno(self)) not in tape.fds:
        _setsockopt_(self, level, number, value, *length)
        return
    try:
        _setsockopt_(self, level, number, value, *length)
    except OSError as error:
        tape.note(("set", fd, (level, number, value), _number(error), trail(tape)))
        raise
    tape.note(("set", fd, (level, number, value), 0, trail(tape)))


def _getsockopt(self: Any, level: int, number: int, *size: Any) -> Any:
    value = _getsockopt_(self, level, number, *size)
    tape = _tape
    if number == socket.SO_ERROR and level == socket.SOL_SOCKET and tape is not None:
        known = tape.fds.get(_fileno(self))
        if known is not None and known.pending is not None and (value or _peer(self)):
            _end(tape, known, self, known.pending, value)
    return value


def _shutdown(self: Any, how: int, /) -> None:
    tape = _tape
    if tape is None or (fd := _fileno(self)) not in tape.fds:
        _shutdown_(self, how)
        return
    event = ["shutdown", fd, int(how), 0, ()]
    tape.note(event)
    try:
        _shutdown_(self, how)
    except OSError as error:
        event[3] = _number(error)
        tape.amend(event)
        raise


def _real_close(self: Any, *arguments: Any, **keywords: Any) -> None:
    if (tape := _tape) is not None and (fd := _fileno(self)) in tape.fds:
        _closing(tape, self, fd)
    _before["_real_close"](self, *arguments, **keywords)


def _del(self: Any) -> None:
    """A socket that nobody closed; Python does, and may warn."""
    if (tape := _tape) is not None and (fd := _fileno(self)) in tape.fds:
        _closing(tape, self, fd)
    _finalize(self)


def _closing(tape: Tape, sock: Any, fd: int) -> None:
    """Note that a socket is about to be closed: that frees its port, so others may be noted before it returns."""
    known = tape.fds.pop(fd)
    if known.pending is not None:
        _settle(tape, sock, known)
    look = known.connected and known.named  # its port may be wanted again, and what closing leaves behind then matters
    tape.note(("close", fd, (_unread(fd), _peer_is_gone(sock)) if look else (False, False), 0, ()))


def _settle(tape: Tape, sock: Any, known: Known) -> None:
    """The last chance to learn what came of a connect: nobody else asks for the socket's error any more."""
    number = 0 if _peer(sock) else _getsockopt_(sock, socket.SOL_SOCKET, socket.SO_ERROR)
    if known.pending is not None and (number or _peer(sock)):
        _end(tape, known, sock, known.pending, number)


def _peer(sock: Any) -> Any:
    """The address of the other end; None where there is none."""
    try:
        return _Raw.getpeername(sock)
    except OSError:
        return None


if sys.platform != "win32":
    import fcntl
    import termios

    def _unread(fd: int) -> bool:
        """Whether data was left unread: then closing resets the connection, and nobody is in TIME_WAIT."""
        try:
            return fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0") != b"\0\0\0\0"
        except OSError:
            return False
else:

    def _unread(fd: int) -> bool:
        return False


_ALIVE = (1, 4, 5)  # ESTABLISHED, FIN_WAIT1, FIN_WAIT2


def _peer_is_gone(sock: Any) -> bool:
    """Whether the other side has ended the connection already; of TCP, and where the OS says so."""
    if sys.platform != "linux":
        return False
    try:
        return _getsockopt_(sock, socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in _ALIVE
    except OSError:
        return False


# --- on and off -------------------------------------------------------------------------------------------------------

_WRAPPERS: dict[str, Callable[..., Any]] = {
    "__init__": _init, "_real_close": _real_close, "accept": _accept, "bind": _bind, "connect": _connect,
    "connect_ex": _connect_ex, "dup": _dup, "getsockname": _getsockname, "getsockopt": _getsockopt,
    "listen": _listen, "setsockopt": _setsockopt, "shutdown": _shutdown,
}  # fmt: skip
if _finalize is not None:  # CPython
    _WRAPPERS["__del__"] = _del
_before: dict[str, Any] = {}  # what they call
_MAKERS: set[CodeType] = set()  # methods that make a socket object of a descriptor, and are wrapped themselves
watched_options: frozenset[tuple[int, int]] = frozenset()  # level and number of those that bear on ports


def _watched() -> type[Any]:
    """The class of Python's sockets, also where something has put a subclass in its place."""
    return next(c for c in socket.socket.__mro__ if c.__module__ == "socket" and c.__name__ == "socket")


def _install() -> None:
    class_ = _watched()
    for name, wrapper in _WRAPPERS.items():
        _before[name] = vars(class_).get(name)
        setattr(class_, name, wrapper)
    _MAKERS.update(_before[name].__code__ for name in ("accept", "dup") if hasattr(_before[name], "__code__"))


def _remove() -> None:
    class_ = _watched()
    for name, wrapper in _WRAPPERS.items():
        if vars(class_).get(name) is not wrapper:  # someone has wrapped it since, and calls ours
            continue
        if _before[name] is None:
            delattr(class_, name)
        else:
            setattr(class_, name, _before[name])


@contextmanager
def recording(tape: Tape, options: frozenset[tuple[int, int]]) -> Iterator[Tape]:
    """Record on `tape`; a tape that was recorded on stands still meanwhile. `options` are those worth a note."""
    global _tape, watched_options
    outer, _tape, watched_options = _tape, tape, options
    if outer is None:
        _install()
    try:
        yield tape
    finally:
        _tape = outer
        if outer is None:
            _remove()


def _in_child() -> None:
    """After fork(), in the child: go on if somebody takes what it does, else stop."""
    global _tape
    if _tape is None:
        return
    spool = _tape.forked()
    if spool is not None:
        _tape.send_to(spool)
    else:
        _tape = None
        _remove()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
