"""Watching Python's sockets: every bind, listen, connect, …, what came of it, and which line of code it was.

While a `Tape` runs, some methods of `socket.socket` are wrapped; when the last one ends they are as they were. A
wrapper only notes numbers and code objects: what they mean is found out later, by `reconstruct`.
"""

from __future__ import annotations

import _socket
import errno
import inspect
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from ..live.port_blocks import given, keeps
from .events import NO_CALL, NO_ERRNO, Known, Tape, trail
from .method import in_place_of, is_displaced

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})
_ENDED = frozenset({errno.EPIPE, errno.ECONNRESET})  # it was connected, and what was sent came to nobody
_INET = frozenset({-1, int(socket.AF_INET), int(socket.AF_INET6)})
_PLAIN_HOSTS = frozenset({"127.0.0.1", "::1", "localhost", "", "0.0.0.0", "::"})  # those that no call is needed for

_Raw = _socket.socket
_fileno, _sockname = _Raw.fileno, _Raw.getsockname
_getsockopt_ = _Raw.getsockopt

_tape: Tape | None = None


def _number(error: OSError) -> int:
    if isinstance(error, socket.gaierror | socket.herror):
        return NO_CALL
    return getattr(error, "winerror", None) or error.errno or NO_ERRNO


# --- the wrappers -----------------------------------------------------------------------------------------------------
# They make no system call of their own but where it is rare: on a virtual machine one alone may take 2 µs. Arguments go
# on as they came, to what stood there before.


class Unwatchable(Exception):
    """Python's sockets cannot be watched; the message says why and what to do."""


def _seen(sock: Any) -> tuple[Tape, int, Known] | None:
    """The tape that runs, and what it knows of a socket; None if nothing."""
    if (tape := _tape) is None:
        return None
    try:
        known = tape.fds.get(fd := _fileno(sock))
    except TypeError:  # no socket
        return None
    return None if known is None else (tape, fd, known)


def _address(*arguments: Any) -> Any:
    """The address that a call was given; None where it is written as nobody does: its objects are not ours to ask."""
    match arguments:
        case [(str(), port, *_) as address] if type(port) is int:
            return address
        case [(str() as host, int() as port, *rest)]:  # a held port is a number of a kind of its own
            return (host, int.__int__(port), *rest)
        case [(bytes() | bytearray() as host, port, *rest)] if type(port) is int:
            return (host.decode("ascii", "replace"), port, *rest)
    return None


def _made(family: Any = -1, type: Any = -1, proto: Any = -1, fileno: Any = None) -> tuple[Any, Any, Any, Any]:
    return family, type, proto, fileno


def _init(self: Any, *arguments: Any, **keywords: Any) -> None:
    __tracebackhide__ = True
    _call["__init__"](self, *arguments, **keywords)
    tape = _tape
    if tape is None:
        return
    family, type, proto, fileno = _made(*arguments, **keywords)
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
        fds = list(tape.fds)  # at once: other threads make sockets meanwhile
        original = next((known for known in fds if inode and os.fstat(known).st_ino == inode), None)
    except OSError:  # Windows; or a descriptor that was closed where nobody saw it
        original = None
    if original is not None:
        tape.fds[fd] = tape.fds.get(original) or Known()
        tape.note(("dup", original, fd, 0, ()))


def narrowed(ports: str) -> None:
    """Note that a fixture of ours has the OS choose from these ports only: ``40000 40007``, low and high."""
    if (tape := _tape) is not None:
        low, high = map(int, ports.split())
        tape.note(("range", -1, (low, high), 0, ()))


def _bind(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    if (seen := _seen(self)) is None:
        return _call["bind"](self, *arguments, **keywords)
    tape, fd, known = seen
    try:
        result = _call["bind"](self, *arguments, **keywords)
    except OSError as error:
        if (number := _number(error)) != NO_CALL and (address := _address(*arguments)) is not None:
            kept = number == errno.EADDRINUSE and address[1] in given and keeps(address[1], self.type)
            tape.note(("kept" if kept else "bind", fd, (address, None), number, trail(tape)))
        raise
    address = _address(*arguments) or _sockname(self)
    known.named = address[1] != 0
    known.nameless = not known.named
    own = None if address[0] in _PLAIN_HOSTS else _sockname(self)
    tape.note(("bind", fd, (address, own), 0, trail(tape)))
    return result


def _getsockname(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    own = _call["getsockname"](self, *arguments, **keywords)
    if (seen := _seen(self)) is not None:
        tape, fd, known = seen
        if known.nameless and (address := _address(own)) is not None and address[1]:
            known.nameless = False
            tape.note(("name", fd, own, 0, ()))
    return own


def _listen(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    if (seen := _seen(self)) is None:
        return _call["listen"](self, *arguments, **keywords)
    tape, fd, known = seen
    try:
        result = _call["listen"](self, *arguments, **keywords)
    except OSError as error:
        tape.note(("listen", fd, None, _number(error), trail(tape)))
        raise
    known.nameless = not known.named
    tape.note(("listen", fd, None, 0, trail(tape)))
    return result


def _connect(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    if (seen := _seen(self)) is None:
        return _call["connect"](self, *arguments, **keywords)
    tape, fd, known = seen
    # Noted before it is done, since whoever accepts it may be noted before it returns.
    event = known.pending or known.asked or ["connect", fd, (_address(*arguments), None), None, trail(tape)]
    if known.pending is None and known.asked is None:
        tape.note(event)
    try:
        result = _call["connect"](self, *arguments, **keywords)
    except OSError as error:
        _end(tape, known, self, event, _number(error))
        raise
    except BaseException:  # arguments that are none: the system was not asked
        _end(tape, known, self, event, NO_CALL)
        raise
    _end(tape, known, self, event, 0)
    return result


def _connect_ex(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    if (seen := _seen(self)) is None:
        return _call["connect_ex"](self, *arguments, **keywords)
    tape, fd, known = seen
    event = known.pending or known.asked or ["connect", fd, (_address(*arguments), None), None, trail(tape)]
    if known.pending is None and known.asked is None:
        tape.note(event)
    number = NO_CALL
    try:
        number = _call["connect_ex"](self, *arguments, **keywords)
    finally:
        _end(tape, known, self, event, number if isinstance(number, int) else NO_CALL)
    return number


def _end(tape: Tape, known: Known, sock: Any, event: list[Any], number: int) -> None:
    """What came of a connect so far: maybe only that it is under way; asked by another connect, that it is done."""
    if known.asked is event:  # it was known already what came of it
        known.asked = None
        return
    address = event[2][0]
    if address is None and number and number not in _UNDER_WAY:
        number = NO_CALL
    if number == NO_CALL:
        if known.pending is not event:
            event[3] = number
            tape.amend(event)
        return
    if address is None or address[0] not in _PLAIN_HOSTS:
        event[2] = (_peer(sock) or address or _sockname(sock), _sockname(sock))
    if number:
        if number in _UNDER_WAY:
            known.pending = event
            return
        if number == errno.EISCONN and known.pending is event:
            number = 0
    event[3], known.pending, known.connected = number, None, number == 0
    if tape.spool is not None:
        tape.amend(event)


def _accept(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    accepted = _call["accept"](self, *arguments, **keywords)
    if (seen := _seen(self)) is not None:
        tape, fd, known = seen
        child, address = accepted
        tape.fds[number := _fileno(child)] = new = Known()
        new.connected, new.named = True, known.named
        if len(tape.events) >= tape.limit:
            tape.full()
        tape.note(("accept", fd, (number, address), 0, ()))
    return accepted


def _dup(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    copy = _call["dup"](self, *arguments, **keywords)
    if (seen := _seen(self)) is not None:
        tape, fd, known = seen
        tape.fds[_fileno(copy)] = known
        tape.note(("dup", fd, _fileno(copy), 0, ()))
    return copy


def _setsockopt(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    if (seen := _seen(self)) is None or not _worth_a_note(*arguments):
        return _call["setsockopt"](self, *arguments, **keywords)
    tape, fd, _ = seen
    level, number, value, *_ = arguments
    value = value if isinstance(value, int) else bytes(value)  # it may be written to later
    try:
        result = _call["setsockopt"](self, *arguments, **keywords)
    except OSError as error:
        tape.note(("set", fd, (level, number, value), _number(error), trail(tape)))
        raise
    tape.note(("set", fd, (level, number, value), 0, trail(tape)))
    return result


def _worth_a_note(level: Any = None, number: Any = None, value: Any = None, *length: Any) -> bool:
    kinds = isinstance(level, int) and isinstance(number, int) and isinstance(value, int | bytes | bytearray)
    return kinds and (level, number) in watched_options


def _getsockopt(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    value = _call["getsockopt"](self, *arguments, **keywords)
    if arguments == (socket.SOL_SOCKET, socket.SO_ERROR) and (seen := _seen(self)) is not None:
        tape, _, known = seen
        if (event := known.pending) is not None and (value or _peer(self)):
            _end(tape, known, self, event, value)
            known.asked = event if not value else None  # some ask by another connect as well
    return value


def _sendto(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    sent = _call["sendto"](self, *arguments, **keywords)
    if (seen := _seen(self)) is not None and (address := _address(*arguments[-1:])) is not None:
        tape, fd, known = seen
        if address[1] not in known.sent:
            known.sent = known.sent | {address[1]}
            tape.note(("sent", fd, address, 0, ()))
    return sent


def _shutdown(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    if (seen := _seen(self)) is None or not (arguments and isinstance(arguments[0], int)):
        return _call["shutdown"](self, *arguments, **keywords)
    tape, fd, _ = seen
    event = ["shutdown", fd, int(arguments[0]), 0, ()]
    tape.note(event)
    try:
        return _call["shutdown"](self, *arguments, **keywords)
    except OSError as error:
        event[3] = _number(error)
        tape.amend(event)
        raise


def _real_close(self: Any, *arguments: Any, **keywords: Any) -> None:
    __tracebackhide__ = True
    if (tape := _tape) is not None and (fd := _fileno(self)) in tape.fds:
        _closing(tape, self, fd)
    _call["_real_close"](self, *arguments, **keywords)


def _del(self: Any) -> None:
    """A socket that nobody closed; Python does, and may warn."""
    if (tape := _tape) is not None and (fd := _fileno(self)) in tape.fds:
        _closing(tape, self, fd)
    _call["__del__"](self)


def _closing(tape: Tape, sock: Any, fd: int) -> None:
    """Note that a socket is about to be closed: that frees its port, so others may be noted before it returns."""
    known = tape.fds.pop(fd, None)
    if known is None:  # another thread closes it too
        return
    if known.pending is not None:
        _settle(tape, sock, known)
    look = known.connected and known.named  # its port may be wanted again, and what closing leaves behind then matters
    tape.note(("close", fd, (_unread(fd), _peer_is_gone(sock)) if look else (False, False), 0, ()))


def _settle(tape: Tape, sock: Any, known: Known) -> None:
    """The last chance to learn what came of a connect: nobody else asks for the socket's error any more."""
    number = 0 if _peer(sock) else _getsockopt_(sock, socket.SOL_SOCKET, socket.SO_ERROR)
    if number in _ENDED:
        number = 0
    elif not number and not _peer(sock):
        return
    if known.pending is not None:
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
    "listen": _listen, "sendto": _sendto, "setsockopt": _setsockopt, "shutdown": _shutdown,
}  # fmt: skip
if hasattr(_Raw, "__del__"):  # CPython
    _WRAPPERS["__del__"] = _del
_class: type[Any] = socket.socket  # whose they are, while they are there
_ours: dict[str, Any] = {}  # what we have put there
_before: dict[str, Any] = {}  # what stood in the class
_call: dict[str, Any] = {}  # what they call: that, or what was inherited
_under: set[str] = set()  # those that somebody else has wrapped and still calls
_MAKERS: set[CodeType] = set()  # methods that make a socket object of a descriptor, and are wrapped themselves
watched_options: frozenset[tuple[int, int]] = frozenset()  # level and number of those that bear on ports


def watched_class() -> type[Any]:
    """The class of Python's sockets, also where something has put a subclass in its place. Raises Unwatchable."""
    class_: type[Any]
    for class_ in getattr(socket.socket, "__mro__", ()):
        if (class_.__module__, class_.__name__) == ("socket", "socket") and issubclass(class_, _Raw):
            return class_
    whose = socket.socket.__module__.partition(".")[0]
    raise Unwatchable(f"the sockets of {whose} cannot be watched; run these tests without its patch of socket.socket")


def _install() -> None:
    global _class
    _class = watched_class()
    for name in _WRAPPERS:
        stands = vars(_class).get(name)
        if (stands and stands is _ours.get(name)) or (name in _under and stands is not _before[name]):
            continue  # it is there still, and calls what it did
        _put(name, stands)
    _under.clear()
    for call in (inspect.unwrap(_call[name]) for name in ("accept", "dup")):  # below what others have wrapped around it
        _MAKERS.update([call.__code__] if hasattr(call, "__code__") else [])


def _put(name: str, stands: Any) -> None:
    _before[name], _call[name] = stands, getattr(_class, name)
    _ours[name] = in_place_of(_call[name], _WRAPPERS[name])
    setattr(_class, name, _ours[name])


def look_again() -> None:
    """While somebody records: put back what another plugin has displaced."""
    for name in _ours if _tape is not None else ():
        if is_displaced(_ours[name], stands := vars(_class).get(name), name):
            _put(name, stands)


def _remove() -> None:
    for name in _WRAPPERS:
        stands = vars(_class).get(name)
        if is_displaced(_ours[name], stands, name):
            continue
        if stands is not _ours[name]:  # someone has wrapped it since, and calls ours
            _under.add(name)
        elif _before[name] is None:
            delattr(_class, name)
        else:
            setattr(_class, name, _before[name])


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
