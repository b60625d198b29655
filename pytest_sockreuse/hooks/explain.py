"""``--sockreuse-explain``: a test that fails since it could not have a port tells who has it, why, and what helps.

The calls of Python's sockets are watched, and what is there is noted in the moment of the failure: when the test's
report is made, the other socket may be gone. Of every socket it is noted which line made it.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ..diagnosis import Asked
from ..diagnosis.question import changed_settings, is_local, is_scoped, too_low
from ..diagnosis.sight import Sight, here, look
from ..diagnosis.words import text
from ..live import placeholder, port_blocks
from ..live.errnos import name_of
from ..live.holders import device, flags, own_range
from ..live.port_blocks import descriptors
from ..live.users import this_user
from ..platforms import current
from ..recorder.method import in_place_of, is_displaced
from . import children

_NUMBERS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EAGAIN, errno.ENOBUFS)
_SENDS = ("sendto", "sendmsg")
_VERBS = ("bind", "listen", "connect", "connect_ex", "accept", *_SENDS)
_MOST = 50  # failures of one test that are looked into: it may be trying one port after the other
_TOLD = 3  # calls that failed without failing the test
_REMEMBERED = 20_000  # sockets of which it is known who made them
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY)
_LIBRARY = sysconfig.get_paths()["stdlib"]
_OURS = (port_blocks.__file__, placeholder.__file__)  # which try ports and go on
_PACKAGES = (sysconfig.get_paths()["purelib"], str(Path(__file__).parents[1]))


class Seen:
    """A failure: where, and what there was; `sight` is None of one too many to be looked into."""

    def __init__(self, where: str, call: str, sight: Sight | None) -> None:
        self.where, self.call, self.sight = where, call, sight

    def __str__(self) -> str:
        rows = [("call", f"{self.call} ({self.where})")]
        if self.sight is None:
            rows.append(("held by", f"not looked into: more than {_MOST} calls of this test failed so"))
        else:
            rows += self.sight.explanation().rows()
        return text(rows)


class Explainer:
    """Watches, and adds a section to the report of a test that failed so."""

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        self._seen: list[tuple[int, Seen]] = []  # with the errno, of the test under way
        self._count = 0
        self._test = ""
        self._made: dict[int, str] = {}  # by inode: where, and in which test
        self._how: dict[int, str] = {}  # by inode: bind, accept or connect
        self._class: Any = socket.socket
        self._wrapped: dict[str, tuple[Any, Any]] = {}  # what is there now, and what was before
        verbs = [verb for verb in _VERBS if verb not in _SENDS or hasattr(socket.SocketType, verb)]  # Windows lacks one
        self._unwatched = [verb for verb in verbs if not hasattr(self._class, verb)]  # as eventlet's class has it
        for verb in verbs:
            if verb not in self._unwatched:
                self._watch(verb)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._unwatched:
            whose = self._class.__module__.partition(".")[0]
            terminalreporter.write_line(
                f"sockreuse: not explained: {', '.join(self._unwatched)} of the sockets of {whose} cannot be watched; "
                "run these tests without its patch of socket.socket"
            )

    @pytest.hookimpl(trylast=True)  # the recorder came later, and goes first
    def pytest_unconfigure(self) -> None:
        for verb, (wrapper, before) in self._wrapped.items():
            if vars(self._class).get(verb) is not wrapper:
                continue  # somebody has wrapped it since, and calls it
            if before is None:
                delattr(self._class, verb)
            else:
                setattr(self._class, verb, before)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        self._seen.clear()
        self._count = 0
        self._test = item.name
        result = yield
        self._look_again()
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self) -> None:
        self._look_again()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: Any = yield
        if report.failed and call.excinfo is not None:
            with contextlib.suppress(Exception):  # whatever happens here, the test's own report stays
                report.sections += self._sections(call.excinfo.value, report)
        return report  # type: ignore[no-any-return]

    def _sections(self, error: BaseException, report: pytest.TestReport) -> list[tuple[str, str]]:
        cause = _cause(error)
        if cause is not None:
            return [(f"sockreuse: why {name_of(cause)}", self._section(cause))]
        noted = {seen.where: (number, seen) for number, seen in self._seen}
        told = [
            (f"sockreuse: a call got {name_of(OSError(number, ''))}, and the code went on", str(seen))
            for number, seen in list(noted.values())[-_TOLD:]
        ]
        return told or [
            ("sockreuse: an address in use, by the words of another process", words)
            for words in children.explained(
                report.longreprtext, [section for _, section in report.sections], self._made, self._how
            )
        ]

    def _section(self, error: OSError) -> str:
        seen: Seen | None = getattr(error, "_sockreuse_seen", None)
        if seen is not None:
            return str(seen)
        latest = next((seen for number, seen in reversed(self._seen) if number == error.errno), None)
        said = f"{error}: not raised by a call of Python's socket; "
        if latest is None:
            return said + "an extension or another process made it"
        return f"{said}the last one of this test that failed so:\n{latest}"

    # --- watching -------------------------------------------------------------------------------------------------

    def _look_again(self) -> None:
        """Put back what another plugin has displaced, before the recorder does so: its wrappers are around these."""
        for verb, (wrapper, _) in self._wrapped.items():
            if is_displaced(wrapper, vars(self._class).get(verb), verb):
                self._watch(verb)

    def _watch(self, verb: str) -> None:
        call = getattr(self._class, verb)
        if verb == "connect_ex":

            def watched(sock: socket.socket, *arguments: Any, **keywords: Any) -> Any:
                number = call(sock, *arguments, **keywords)
                if number in _NUMBERS:
                    self._note(OSError(number, ""), sock, "connect", arguments)
                if not number or number in _UNDER_WAY:
                    self._remember(sock, "connect")
                return number
        elif verb in _SENDS:

            def watched(sock: socket.socket, *arguments: Any, **keywords: Any) -> Any:
                __tracebackhide__ = True
                try:
                    return call(sock, *arguments, **keywords)
                except BlockingIOError as error:
                    self._note(error, sock, "send", arguments[-1:])
                    raise
        else:

            def watched(sock: socket.socket, *arguments: Any, **keywords: Any) -> Any:
                __tracebackhide__ = True
                try:
                    result = call(sock, *arguments, **keywords)
                except OSError as error:
                    if error.errno in _NUMBERS:
                        self._note(error, sock, verb, arguments)
                    if error.errno in _UNDER_WAY and verb == "connect":
                        self._remember(sock, verb)
                    raise
                self._remember(result[0] if verb == "accept" else sock, verb)
                return result

        ours = in_place_of(call, watched)
        self._wrapped[verb] = ours, vars(self._class).get(verb)
        setattr(self._class, verb, ours)

    def _remember(self, sock: socket.socket, verb: str) -> None:
        """Note who made a socket that has a port now, if nobody has so far."""
        with contextlib.suppress(Exception):
            inode = os.fstat(sock.fileno()).st_ino
            if not inode or inode in self._made or sock.family not in (socket.AF_INET, socket.AF_INET6):
                return
            if _is_ours(sys._getframe(2)) or not (port := sock.getsockname()[1]):
                return
            if len(self._made) > _REMEMBERED:
                self._made.clear()
                self._how.clear()
            self._made[inode] = f"at {self._place(sys._getframe(2))} in {self._test}"
            self._how[inode] = self._how[-port] = verb  # TIME_WAIT has a port only

    def _note(self, error: OSError, sock: socket.socket, verb: str, arguments: tuple[Any, ...]) -> None:
        with contextlib.suppress(Exception):  # a test must not fail otherwise than without this
            if sock.family not in (socket.AF_INET, socket.AF_INET6) or _is_ours(sys._getframe(2)):
                return
            asked = _asked(error, sock, verb, arguments[0] if arguments else None)
            if asked is None:
                return
            self._count += 1
            where, call = self._place(sys._getframe(2)), str(asked)
            alike = (it.sight for _, it in reversed(self._seen) if (it.where, it.call) == (where, call))
            sight = self._look(asked, sock) if self._count <= _MOST else next(alike, None)
            seen = Seen(where, call, sight)
            error._sockreuse_seen = seen  # type: ignore[attr-defined]
            self._seen.append((error.errno or 0, seen))

    def _look(self, asked: Asked, sock: socket.socket) -> Sight:
        scene = here(current(), self._made, frozenset(descriptors()))
        return look(asked, scene, self._how, lambda fd: _same(fd, sock))

    def _place(self, frame: FrameType | None) -> str:
        """The line that called, of neither the standard library nor an installed package if there is one."""
        places = []
        while frame is not None:
            places.append((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        mine = (p for p in places if not p[0].startswith((*_PACKAGES, "<")) and not p[0].startswith(_LIBRARY))
        name, line = next(mine, places[0])
        with contextlib.suppress(ValueError):
            name = str(Path(name).relative_to(self._root))
        return f"{name}:{line}"


def _is_ours(caller: FrameType) -> bool:
    """Whether a call is one of our own search for ports; the recorder's wrapper may be between."""
    return any(frame and frame.f_code.co_filename in _OURS for frame in (caller, caller.f_back))


def _asked(error: OSError, sock: socket.socket, verb: str, address: Any) -> Asked | None:
    """The call that failed; None where such an error says nothing about ports."""
    protocol = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
    local = sock.getsockname()[:2]
    if error.errno == errno.EAGAIN and not (protocol == "udp" and verb in ("connect", "send") and not local[1]):
        return None
    if (error.errno == errno.EACCES and verb != "bind") or (error.errno == errno.ENOBUFS and sys.platform != "win32"):
        return None
    foreign = None
    if verb == "bind":
        local = (_literal(address[0], sock), address[1])
    elif verb in ("connect", "send"):
        foreign = (_literal(address[0], sock), address[1])
    interface = device(sock) or (_zone(address) if verb != "listen" and is_scoped((foreign or local)[0]) else "")
    platform = current()
    low = error.errno == errno.EACCES and too_low(local[1], None, platform)
    elsewhere = verb == "bind" and error.errno == errno.EADDRNOTAVAIL and not is_local(local[0], interface)
    options = (*flags(sock), *own_range(sock))
    return Asked(
        verb, name_of(error), protocol, sock.family, options, local, foreign, this_user(), interface, low,
        elsewhere, changed_settings(platform),
    )  # fmt: skip


def _same(fd: int | None, sock: socket.socket) -> bool:
    """Whether a descriptor is of this socket, which may have several."""
    return fd is not None and (fd == sock.fileno() or os.path.sameopenfile(fd, sock.fileno()))


def _zone(address: Any) -> str:
    """The interface that an address names: as its fourth part, or after a ``%``."""
    with contextlib.suppress(OSError):
        return (
            socket.if_indextoname(address[3])
            if len(address) > 3 and address[3]
            else os.fsdecode(address[0]).partition("%")[2]
        )
    return ""


def _literal(host: str | bytes, sock: socket.socket) -> str:
    """The address that a name, or ``''``, stands for."""
    host = os.fsdecode(host)
    if not host:
        return "::" if sock.family == socket.AF_INET6 else "0.0.0.0"
    host = host.partition("%")[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host = str(socket.getaddrinfo(host, None, sock.family)[0][4][0])
    return host


def _cause(error: BaseException) -> OSError | None:
    """The first such error of an exception, its causes, contexts and groups; one that was noted before all others."""
    todo, found = [error], []
    seen: set[int] = set()
    while todo and len(seen) < 1000:
        it = todo.pop(0)
        if id(it) in seen:
            continue
        seen.add(id(it))
        noted = hasattr(it, "_sockreuse_seen")
        if isinstance(it, OSError) and (noted or it.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)):
            found.append(it)
        todo += [e for e in (it.__cause__, it.__context__) if e is not None]
        todo += it.exceptions if isinstance(it, BaseExceptionGroup) else ()
    return next((it for it in found if hasattr(it, "_sockreuse_seen")), found[0] if found else None)
