"""``--sockreuse-explain``: a test that fails with EADDRINUSE or EADDRNOTAVAIL tells who has the port, and what helps.

The calls of Python's sockets are watched for these two errors only, and what is there is noted in the moment of the
failure: when the test's report is made, the other socket may be gone.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ..diagnosis import Asked, diagnose, shown
from ..live import placeholder, port_blocks
from ..live.errnos import name_of
from ..live.holders import Holder, flags, holders
from ..live.port_blocks import bound, descriptors, ephemeral
from ..platforms import current

_NUMBERS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
_VERBS = ("bind", "listen", "connect", "connect_ex")
_MOST = 50  # failures of one test that are looked into: it may be trying one port after the other
_LIBRARY = sysconfig.get_paths()["stdlib"]
_OURS = (port_blocks.__file__, placeholder.__file__)  # which try ports and go on
_PACKAGES = (sysconfig.get_paths()["purelib"], str(Path(__file__).parents[1]))


@dataclass(frozen=True, slots=True)
class Seen:
    """A failure: what was asked, from where, who had the port in that moment, and in words."""

    asked: Asked
    where: str
    there: tuple[Holder, ...]
    words: tuple[str, ...]
    held: bool  # by a placeholder of a held port


class Explainer:
    """Watches, and adds a section to the report of a test that failed so."""

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        self._latest: dict[int, Seen] = {}  # by errno, of the test under way
        self._count = 0
        self._class: Any = socket.socket
        self._wrapped: dict[str, tuple[Callable[..., Any], Any]] = {}  # what is there now, and what was before
        for verb in _VERBS:
            self._watch(verb)

    @pytest.hookimpl(trylast=True)  # the recorder came later, and goes first
    def pytest_unconfigure(self) -> None:
        for verb, (wrapper, before) in self._wrapped.items():
            if vars(self._class).get(verb) is not wrapper:
                continue  # somebody has wrapped it since, and calls it
            if before is None:
                delattr(self._class, verb)
            else:
                setattr(self._class, verb, before)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._latest.clear()
        self._count = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: Any = yield
        if report.failed and call.excinfo is not None:
            with contextlib.suppress(Exception):  # whatever happens here, the test's own report stays
                error = _cause(call.excinfo.value)
                if error is not None:
                    report.sections.append((f"sockreuse: why {name_of(error)}", self._section(error)))
        return report  # type: ignore[no-any-return]

    def _section(self, error: OSError) -> str:
        seen: Seen | None = getattr(error, "_sockreuse_seen", None)
        if seen is not None:
            return explain(seen)
        latest = self._latest.get(error.errno or 0)
        said = f"{error}: not raised by a call of Python's socket; "
        if latest is None:
            return said + "an extension or another process made it"
        return f"{said}the last one of this test that failed so:\n{explain(latest)}"

    # --- watching -------------------------------------------------------------------------------------------------

    def _watch(self, verb: str) -> None:
        call = getattr(self._class, verb)
        if verb == "connect_ex":

            def watched(sock: socket.socket, *arguments: Any, **keywords: Any) -> Any:
                number = call(sock, *arguments, **keywords)
                if number in _NUMBERS:
                    self._note(OSError(number, ""), sock, "connect", arguments)
                return number
        else:

            def watched(sock: socket.socket, *arguments: Any, **keywords: Any) -> Any:
                __tracebackhide__ = True
                try:
                    return call(sock, *arguments, **keywords)
                except OSError as error:
                    if error.errno in _NUMBERS:
                        self._note(error, sock, verb, arguments)
                    raise

        self._wrapped[verb] = watched, vars(self._class).get(verb)
        setattr(self._class, verb, watched)

    def _note(self, error: OSError, sock: socket.socket, verb: str, arguments: tuple[Any, ...]) -> None:
        with contextlib.suppress(Exception):  # a test must not fail otherwise than without this
            caller = sys._getframe(2)
            near = (caller, caller.f_back)  # the recorder's wrapper may be between
            if sock.family not in (socket.AF_INET, socket.AF_INET6) or any(
                f and f.f_code.co_filename in _OURS for f in near
            ):
                return
            self._count += 1
            seen = self._look(error, sock, verb, arguments[0] if arguments else None)
            error._sockreuse_seen = seen  # type: ignore[attr-defined]
            self._latest[error.errno or 0] = seen

    def _look(self, error: OSError, sock: socket.socket, verb: str, address: Any) -> Seen:
        protocol = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
        local = sock.getsockname()[:2]
        foreign = None
        if verb == "bind":
            local = (_literal(address[0], sock), address[1])
        elif verb == "connect":
            foreign = (_literal(address[0], sock), address[1])
        asked = Asked(verb, name_of(error), protocol, sock.family, flags(sock), local, foreign)
        if self._count > _MOST:
            return Seen(
                asked, self._place(), (), (f"not looked into: more than {_MOST} calls of this test failed so",), False
            )
        there = [it for it in holders(local[1], protocol) if not _same(it.fd, sock)] if local[1] else []
        held = descriptors()
        words = tuple(_words(it, it.fd in held) for it in there[:5])
        return Seen(asked, self._place(), tuple(there), words, any(it.fd in held for it in there))

    def _place(self) -> str:
        """The line that called, of neither the standard library nor an installed package if there is one."""
        frame: FrameType | None = sys._getframe(4)
        places = []
        while frame is not None:
            places.append((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        mine = (p for p in places if not p[0].startswith((*_PACKAGES, "<")) and not p[0].startswith(_LIBRARY))
        name, line = next(mine, places[0])
        with contextlib.suppress(ValueError):
            name = str(Path(name).relative_to(self._root))
        return f"{name}:{line}"


def _same(fd: int | None, sock: socket.socket) -> bool:
    """Whether a descriptor is of this socket, which may have several."""
    return fd is not None and (fd == sock.fileno() or os.path.sameopenfile(fd, sock.fileno()))


def _literal(host: str, sock: socket.socket) -> str:
    """The address that a name, or ``''``, stands for."""
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
        if isinstance(it, OSError) and it.errno in _NUMBERS:
            found.append(it)
        todo += [e for e in (it.__cause__, it.__context__) if e is not None]
        todo += it.exceptions if isinstance(it, BaseExceptionGroup) else ()
    return next((it for it in found if hasattr(it, "_sockreuse_seen")), found[0] if found else None)


# --- the section ------------------------------------------------------------------------------------------------------


def explain(seen: Seen) -> str:
    """Who has the port, which clause decided, what would help."""
    rows = [("call", f"{seen.asked} ({seen.where})")]
    rows += [("held by", words) for words in seen.words] or [_nobody(seen.asked)]
    found = diagnose(seen.asked, sorted(seen.there, key=lambda it: not it.keeps), current())
    rows += [("clause", f"{clause.sentence} ({clause.name})") for clause in found.clauses]
    if not found.clauses:
        rows.append(("clause", f"the model of {current()} does not account for this by what can be seen"))
    rows += [("fix", text) for text in dict.fromkeys([*found.changes, *_other_fixes(seen)])]
    return "\n".join(
        textwrap.fill(text, 110, initial_indent=f"{name:<9}", subsequent_indent=" " * 9) for name, text in rows
    )


def _other_fixes(seen: Seen) -> Iterator[str]:
    """What helps beside other options."""
    asked = seen.asked
    if seen.held:
        yield "the port is held: call release() of its lease right before this, or take its socket()"
        return
    for holder in seen.there:
        if holder.state == "TIME_WAIT":
            yield "use another port (fixture held_port), or have the other side close its connections first"
        elif holder.fd is not None:
            yield f"close descriptor {holder.fd} first"
        else:
            yield "end the process that has the port, or use another port (fixture held_port)"
    if seen.there:
        return
    if ":" in (asked.foreign or asked.local)[0] and not _has_ipv6():
        yield "this system has no IPv6: use 127.0.0.1"
    elif asked.verb == "bind" and not _is_local(asked.local[0]):
        yield f"no interface here has {asked.local[0]}: bind an address of this machine, or 127.0.0.1"
    elif not asked.local[1]:
        yield "have fewer sockets open at once, or give the OS a wider range of ports to choose from"


def _has_ipv6() -> bool:
    try:
        bound(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)).close()
    except OSError:
        return False
    return True


def _is_local(host: str) -> bool:
    import psutil

    addresses = {found.address.partition("%")[0] for card in psutil.net_if_addrs().values() for found in card}
    return host in addresses or ipaddress.ip_address(host).is_unspecified or ipaddress.ip_address(host).is_loopback


def _words(holder: Holder, held: bool) -> str:
    options = ""
    if holder.options is not None:
        options = f", {' and '.join(name for name in holder.options if name.startswith('SO_')) or 'no sharing option'}"
    peer = f" with {shown(holder.foreign)}" if holder.foreign else ""
    if held:
        return f"a held port's placeholder at {shown(holder.local)} in this process"
    if holder.state == "TIME_WAIT":
        return f"TIME_WAIT at {shown(holder.local)}{peer}: a connection that this side closed first"
    fd = f", descriptor {holder.fd}" if holder.fd is not None else ""
    return f"{holder.state} at {shown(holder.local)}{peer}{options}: {holder.owner}{fd}"


def _nobody(asked: Asked) -> tuple[str, str]:
    if asked.local[1]:
        return "held by", "nobody that can be seen"
    low, high = ephemeral()
    return "port", f"to be chosen by the OS from {low}-{high}"
