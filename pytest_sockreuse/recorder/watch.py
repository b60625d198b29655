"""Watching Python's sockets: every bind, listen, connect, …, what came of it, and which line of code it was.

While a `Tape` runs, some methods of `socket.socket` are wrapped; when the last one ends they are as they were. A
wrapper only notes numbers and code objects: what they mean is found out later, by `reconstruct`.
"""

from __future__ import annotations

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
from .connects import ended, settle
from .devices import said
from .events import INET, NO_CALL, Known, Tape, trail
from .looks import PLAIN_HOSTS, address_in, errno_of, fd_of, own_of, peer_is_gone, peer_of, raw, unread
from .method import in_place_of, is_displaced

_tape: Tape | None = None


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
        known = tape.fds.get(fd := fd_of(sock))
    except TypeError:  # no socket
        return None
    return None if known is None else (tape, fd, known)


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
            tape.adopt(self, fileno)
    elif family in INET and (where := trail(tape)):  # what our own fixtures do is not the program's
        fd = fd_of(self)
        tape.fds[fd] = Known()
        tape.note(("socket", fd, (family, type, proto), 0, where))


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
        if (number := errno_of(error)) != NO_CALL and (address := address_in(*arguments)) is not None:
            kept = number == errno.EADDRINUSE and address[1] in given and keeps(address[1], self.type)
            tape.note(("kept" if kept else "bind", fd, (address, None), number, trail(tape)))
        raise
    address = address_in(*arguments) or own_of(self)
    known.named = address[1] != 0
    known.nameless = not known.named
    own = None if address[0] in PLAIN_HOSTS else own_of(self)
    tape.note(("bind", fd, (address, own), 0, trail(tape)))
    return result


def _getsockname(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    own = _call["getsockname"](self, *arguments, **keywords)
    if (seen := _seen(self)) is not None:
        tape, fd, known = seen
        if known.nameless and (address := address_in(own)) is not None and address[1]:
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
        tape.note(("listen", fd, None, errno_of(error), trail(tape)))
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
    event = known.pending or known.asked or ["connect", fd, (address_in(*arguments), None), None, trail(tape)]
    if known.pending is None and known.asked is None:
        tape.note(event)
    try:
        result = _call["connect"](self, *arguments, **keywords)
    except OSError as error:
        ended(tape, known, self, event, errno_of(error))
        raise
    except BaseException:  # arguments that are none: the system was not asked
        ended(tape, known, self, event, NO_CALL)
        raise
    ended(tape, known, self, event, 0)
    return result


def _connect_ex(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    if (seen := _seen(self)) is None:
        return _call["connect_ex"](self, *arguments, **keywords)
    tape, fd, known = seen
    event = known.pending or known.asked or ["connect", fd, (address_in(*arguments), None), None, trail(tape)]
    if known.pending is None and known.asked is None:
        tape.note(event)
    number = NO_CALL
    try:
        number = _call["connect_ex"](self, *arguments, **keywords)
    finally:
        ended(tape, known, self, event, number if isinstance(number, int) else NO_CALL)
    return number


def _accept(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    accepted = _call["accept"](self, *arguments, **keywords)
    if (seen := _seen(self)) is not None:
        tape, fd, known = seen
        child, address = accepted
        tape.fds[number := fd_of(child)] = new = Known()
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
        tape.fds[fd_of(copy)] = known
        tape.note(("dup", fd, fd_of(copy), 0, ()))
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
        tape.note(("set", fd, (level, number, said(level, number, value)), errno_of(error), trail(tape)))
        raise
    tape.note(("set", fd, (level, number, said(level, number, value)), 0, trail(tape)))
    return result


def _worth_a_note(level: Any = None, number: Any = None, value: Any = None, *length: Any) -> bool:
    kinds = isinstance(level, int) and isinstance(number, int) and isinstance(value, int | bytes | bytearray)
    return kinds and (level, number) in watched_options


def _getsockopt(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    value = _call["getsockopt"](self, *arguments, **keywords)
    if arguments == (socket.SOL_SOCKET, socket.SO_ERROR) and (seen := _seen(self)) is not None:
        tape, _, known = seen
        if (event := known.pending) is not None and (value or peer_of(self)):
            ended(tape, known, self, event, value)
            known.asked = event if not value else None  # some ask by another connect as well
    return value


def _sendto(self: Any, *arguments: Any, **keywords: Any) -> Any:
    __tracebackhide__ = True
    sent = _call["sendto"](self, *arguments, **keywords)
    if (seen := _seen(self)) is not None and (address := address_in(*arguments[-1:])) is not None:
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
        event[3] = errno_of(error)
        tape.amend(event)
        raise


def _real_close(self: Any, *arguments: Any, **keywords: Any) -> None:
    __tracebackhide__ = True
    if (tape := _tape) is not None and (fd := fd_of(self)) in tape.fds:
        _closing(tape, self, fd)
    _call["_real_close"](self, *arguments, **keywords)


def _del(self: Any) -> None:
    """A socket that nobody closed; Python does, and may warn."""
    if (tape := _tape) is not None and (fd := fd_of(self)) in tape.fds:
        _closing(tape, self, fd)
    _call["__del__"](self)


def _closing(tape: Tape, sock: Any, fd: int) -> None:
    """Note that a socket is about to be closed: that frees its port, so others may be noted before it returns."""
    known = tape.fds.pop(fd, None)
    if known is None:  # another thread closes it too
        return
    if known.pending is not None:
        settle(tape, sock, known)
    look = known.connected and known.named  # its port may be wanted again, and what closing leaves behind then matters
    tape.note(("close", fd, (unread(fd), peer_is_gone(sock)) if look else (False, False), 0, ()))


# --- on and off -------------------------------------------------------------------------------------------------------

_WRAPPERS: dict[str, Callable[..., Any]] = {
    "__init__": _init, "_real_close": _real_close, "accept": _accept, "bind": _bind, "connect": _connect,
    "connect_ex": _connect_ex, "dup": _dup, "getsockname": _getsockname, "getsockopt": _getsockopt,
    "listen": _listen, "sendto": _sendto, "setsockopt": _setsockopt, "shutdown": _shutdown,
}  # fmt: skip
if hasattr(raw, "__del__"):  # CPython
    _WRAPPERS["__del__"] = _del
_class: type[Any] = socket.socket  # whose they are, while they are there
_ours: dict[str, Any] = {}  # what we have put there
_before: dict[str, Any] = {}  # what stood in the class
_call: dict[str, Any] = {}  # what they call: that, or what was inherited
_under: set[str] = set()  # those that somebody else has wrapped and still calls
_MAKERS: set[CodeType] = set()  # methods that make a socket object of a descriptor, and are wrapped themselves
watched_options: frozenset[tuple[int, int]] = frozenset()  # level and number of those worth a note


def watched_class() -> type[Any]:
    """The class of Python's sockets, also where something has put a subclass in its place. Raises Unwatchable."""
    class_: type[Any]
    for class_ in getattr(socket.socket, "__mro__", ()):
        if (class_.__module__, class_.__name__) == ("socket", "socket") and issubclass(class_, raw):
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
