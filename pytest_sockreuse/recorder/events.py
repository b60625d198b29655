"""What is taken down of a process's sockets, and of the code that called."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol
from weakref import WeakKeyDictionary

#: An event: the verb, the descriptor, what it was called with, its errno (0: ok, None: not known yet), its trail.
#: A tuple, or a list where what came of it is entered later.
Event = Any
#: The calling code, innermost first: a code object and an offset in it, of each frame up to the test.
Trail = tuple[Any, ...]

INET = frozenset({-1, int(socket.AF_INET), int(socket.AF_INET6)})  # families; -1 is Python's default
NO_ERRNO, NO_CALL = -1, -2  # an exception without one, a time-out; a name that was not found, so nothing was called

INNER, LIBRARY, PROJECT, RUNNER, OURS = 1, 2, 3, 4, 5  # whose code a file is
_DEPTH = 60  # frames: further out nobody looks for the caller


class Spool(Protocol):
    """Where the events of a forked child go, since its memory ends with it."""

    def write(self, at: int, event: Event) -> None: ...


class Known:
    """What the wrappers need to know of a socket; all its descriptors share it."""

    nameless = False  # its port was chosen by the OS, and the program has not asked for it yet
    named = False  # its port was the program's choice
    connected = False
    sent: frozenset[int] = frozenset()  # ports that datagrams went to
    pending: list[Any] | None = None  # the event of a connect that is under way
    asked: list[Any] | None = None  # that of one which SO_ERROR has told of, and another connect may ask for again


class Tape:
    """What this process did with its sockets: `events` in order, at about `limit` no more; how many more were `cut`.

    `fds` are the descriptors that are known; those of sockets made before the tape began are not. `note` takes an event
    down.
    """

    def __init__(self, limit: int) -> None:
        self.fds: dict[int, Known] = {}
        self.limit = limit
        self.spool: Spool | None = None
        self.forked: Callable[[], Spool | None] = lambda: None  # called in a forked child
        self.go_on([])

    def go_on(self, events: list[Event]) -> None:
        """Begin anew after these events."""
        self.events, self.cut = events, 0
        self.note: Callable[[Event], None] = events.append

    def full(self) -> None:
        """Take no more events down, only count them."""
        self.note = self._cut

    def _cut(self, event: Event) -> None:
        self.cut += 1

    def adopt(self, sock: Any, fd: int) -> None:
        """A socket object for a descriptor from elsewhere: one that is known, or a copy of one, or a stranger."""
        if fd in self.fds or sock.family not in INET:
            return
        try:
            inode = os.fstat(fd).st_ino
            fds = list(self.fds)  # at once: other threads make sockets meanwhile
            original = next((known for known in fds if inode and os.fstat(known).st_ino == inode), None)
        except OSError:  # Windows; or a descriptor that was closed where nobody saw it
            original = None
        if original is not None:
            self.fds[fd] = self.fds.get(original) or Known()
            self.note(("dup", original, fd, 0, ()))

    def send_to(self, spool: Spool) -> None:
        """Write the events to `spool` too, those so far and those to come."""
        for at, event in enumerate(self.events):
            spool.write(at, event)
        self.spool = spool
        self.note = self._send

    def _send(self, event: Event) -> None:
        self.events.append(event)
        assert self.spool is not None
        self.spool.write(len(self.events) - 1, event)

    def amend(self, event: list[Any]) -> None:
        """What was entered in `event` since it was noted is known now."""
        if self.spool is not None:
            for at, noted in enumerate(self.events):
                if noted is event:
                    self.spool.write(at, event)


def trail(tape: Tape) -> Trail:
    """The trail of whoever called the function that asks, for an event on `tape`; empty for our own code."""
    if len(tape.events) >= tape.limit:
        tape.full()
    return _trail(_frame(2))


def _trail(frame: Any) -> Trail:
    code = frame.f_code
    of = nearest = _whose.get(code.co_filename) or whose(code.co_filename)
    if of == OURS:
        return ()
    found: list[Any] = []
    for _ in range(_DEPTH):
        found += (code, frame.f_lasti)
        frame = frame.f_back
        if frame is None:
            if code is _BOOTSTRAP:
                found += _starts.get(threading.current_thread(), ())
            break
        code = frame.f_code
        of = _whose.get(code.co_filename) or whose(code.co_filename)
        if of >= RUNNER:
            if of == OURS and nearest == INNER:
                return ()
            break
        if of > nearest:
            nearest = of
    return tuple(found)


@contextmanager
def threads() -> Iterator[None]:
    """Note who starts a thread in here: what it does is their doing."""
    before, name = threading.Thread.start, "start"

    @wraps(before)
    def start(self: threading.Thread) -> None:
        __tracebackhide__ = True
        _starts[self] = _trail(_frame(1))
        before(self)

    setattr(threading.Thread, name, start)
    try:
        yield
    finally:
        if threading.Thread.start is start:
            setattr(threading.Thread, name, before)


def forget_threads() -> None:
    """From now on what a thread that runs already does is nobody's."""
    _starts.clear()


_starts: WeakKeyDictionary[threading.Thread, Trail] = WeakKeyDictionary()
_BOOTSTRAP: Any = getattr(getattr(threading.Thread, "_bootstrap", None), "__code__", None)  # the outermost in a thread
_frame = sys._getframe
_whose: dict[str, int] = {}
_PACKAGES = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
_RUNNERS = tuple(f"{place}{name}{os.sep}" for place in _PACKAGES for name in ("_pytest", "pluggy", "pytest"))
_STDLIB = os.path.join(os.path.dirname(os.__file__), "")
_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
#: What our fixtures leave behind, and the sockets that they give a test, are part of what happens.
_STAGED = (os.path.join(_OURS, "endings.py"), os.path.join(_OURS, "hooks", "fixtures.py"))


def staged(trail: Trail) -> bool:
    """Whether a call was made for a test by a fixture of ours, on purpose."""
    return bool(trail) and getattr(trail[0], "co_filename", getattr(trail[0], "file", "")) in _STAGED


def whose(file: str) -> int:
    """Whose code `file` is: the standard library's, an installed package's, the project's, pytest's, or ours."""
    of = _whose.get(file)
    if of is None:
        of = _whose[file] = _found(file)
    return of


def _found(file: str) -> int:
    if file in _STAGED:
        return LIBRARY
    if file.startswith(_OURS):
        return OURS
    if any(name in file for name in _RUNNERS):
        return RUNNER
    if any(name in file for name in _PACKAGES):
        return LIBRARY
    return INNER if file.startswith(("<", _STDLIB)) else PROJECT


def of_stdlib(module: str) -> bool:
    """Whether a module of this name comes with Python."""
    return module in sys.modules and whose(getattr(sys.modules[module], "__file__", None) or "<") == INNER
