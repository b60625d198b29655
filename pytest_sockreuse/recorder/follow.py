"""A log of strace made into the recorder's events: one trace of all its processes, whatever language they are in."""

from __future__ import annotations

import bisect
import errno
import re
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from ..dataclass import dataclass
from ..text import visible
from .descriptors import Descriptors, descriptor, parents
from .events import NO_ERRNO, Event, Trail
from .locations import Place
from .strace import End, Syscall
from .written import address_in, device_value, names_device, place_of, value_in

#: What strace is asked for; `-y` names the sockets that a process was given.
STRACE = (
    "strace", "-f", "-q", "-y", "-s", "64",
    "--trace=network,read,readv,write,writev,close,close_range,dup,dup2,dup3,fcntl,clone,clone3,fork,vfork,execve,"
    "unshare,setns",
)  # fmt: skip
LIMIT = 5_000  # events of a trace

_TYPES = {"SOCK_STREAM": socket.SOCK_STREAM, "SOCK_DGRAM": socket.SOCK_DGRAM, "SOCK_RAW": socket.SOCK_RAW}
_PROTOCOLS = {"IPPROTO_IP": 0, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17, "IPPROTO_SCTP": 132, "IPPROTO_UDPLITE": 136}
_PROTOCOLS |= {"IPPROTO_MPTCP": 262}
_HOW = {"SHUT_RD": socket.SHUT_RD, "SHUT_WR": socket.SHUT_WR, "SHUT_RDWR": socket.SHUT_RDWR}
_UNDER_WAY = ("EINPROGRESS", "EALREADY", "EINTR")
_READ = frozenset({"read", "readv", "recv", "recvfrom", "recvmsg"})
_WRITE = frozenset({"write", "writev", "send", "sendto", "sendmsg", "sendmmsg"})


class Process(Place):
    """Where a call was made: `file` is the program, `start` the process, `line` that of the log `function`."""

    __slots__ = ()

    def __str__(self) -> str:
        line = f" ({visible(self.function, 300)}:{self.line})" if self.function else ""
        return f"{self.file.strip('<>')}[{self.start}]{line}"


@dataclass(slots=True)
class _Socket:
    """What is known of a socket: a connect under way, whether it listens, whether the other end has closed."""

    pending: list[Any] | None = None
    listens: bool = False
    gone: bool = False


@dataclass(slots=True)
class Followed:
    """The events of all processes in their order, and what was left out, with the number of times."""

    events: list[Event] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def relevant(event: Syscall | End) -> bool:
    """Whether an event bears on sockets; reading and writing files does not, nor a call that never ended."""
    if isinstance(event, End):
        return True
    if event.result is None:
        return event.name == "execve"
    if event.name in _READ or event.name in _WRITE or event.name in ("close", "fcntl"):
        return bool(event.args) and ("<" not in event.args[0] or ":[" in event.args[0])
    return True


def follow(events: Sequence[Syscall | End], log: str = "") -> Followed:
    """What the recorder would have taken down of these processes; `log` is the file that a reader can look into."""
    follower = _Follower(events, log)
    for event in _in_order(events):
        follower.take(event)
    return _without_refused(follower.found)


def _in_order(events: Sequence[Syscall | End]) -> list[Syscall | End]:
    """The events as they took effect: of two calls at a time a log does not say which came first.

    What gives a port or takes it away does so when it begins; so does a connect, but not before the listen that it
    needs. What returns a thing that is needed later has its place where it returned.
    """
    listens = [e.begun for e in events if isinstance(e, Syscall) and e.name == "listen" and e.result == 0]
    listens.sort()

    def place(event: Syscall | End) -> float:
        if isinstance(event, End) or event.name not in ("bind", "listen", "close", "connect"):
            return event.line
        if (
            event.name == "connect"
            and (at := bisect.bisect_left(listens, event.line))
            and listens[at - 1] > event.begun
        ):
            return listens[at - 1] + 0.5
        return event.begun

    return sorted(events, key=place)


def _without_refused(found: Followed) -> Followed:
    """Without clients that were refused and did nothing else: so programs wait for a server, a hundred times over."""
    did: dict[int, list[Event]] = {}
    for event in found.events:
        did.setdefault(event[1], []).append(event)
    refused = {
        number
        for number, events in did.items()
        if any(event[0] == "connect" and event[3] == errno.ECONNREFUSED for event in events)
        and all(event[0] in ("socket", "set", "connect", "left", "close") for event in events)
        and not any(event[0] == "connect" and event[3] != errno.ECONNREFUSED for event in events)
    }
    if refused:
        found.left_out["clients that were refused, and did nothing else"] += len(refused)
    kept = [event for event in found.events if event[1] not in refused]
    if len(kept) > LIMIT:
        found.left_out[f"calls beyond the first {LIMIT}"] += len(kept) - LIMIT
    return Followed(kept[:LIMIT], found.left_out)


class _Follower:
    """The sockets as the calls so far left them."""

    def __init__(self, events: Sequence[Syscall | End], log: str) -> None:
        self.found = Followed()
        self.log = log
        self.descriptors = Descriptors(parents(events))
        self.sockets: dict[int, _Socket] = {}
        self.programs: dict[int, str] = {}
        self.elsewhere: set[int] = set()  # processes in a network namespace of their own
        self.parents = parents(events)
        self.handlers: dict[str, Callable[[Syscall, int], None]] = {
            "socket": self.socket, "setsockopt": self.set, "bind": self.bind, "listen": self.listen,
            "connect": self.connect, "accept": self.accept, "accept4": self.accept, "shutdown": self.shutdown,
            "getsockname": self.name, "getpeername": self.peer, "getsockopt": self.get, "close": self.close,
            "close_range": self.close, "dup": self.dup, "dup2": self.dup, "dup3": self.dup, "fcntl": self.fcntl,
            "execve": self.execute, "unshare": self.leave, "setns": self.leave,
            **dict.fromkeys(("clone", "clone3", "fork", "vfork"), self.born),
            **dict.fromkeys(_READ, self.read), **dict.fromkeys(_WRITE, self.write),
        }  # fmt: skip

    def take(self, event: Syscall | End) -> None:
        if isinstance(event, End):
            self.gone(self.descriptors.end(event.pid))
        elif event.result is not None and (handler := self.handlers.get(event.name)) and event.args:
            handler(event, event.result)
        elif event.name in ("fork", "vfork") and event.result is not None:
            self.born(event, event.result)

    def note(
        self, verb: str, number: int, what: object, code: int | None = 0, call: Syscall | None = None
    ) -> list[Any]:
        event = [verb, number, what, code, self.trail(call) if call is not None else ()]
        self.found.events.append(event)
        return event

    def trail(self, call: Syscall) -> Trail:
        program = self.programs.get(call.pid) or self.programs.get(self.parents.get(call.pid, (0, False))[0], "process")
        return (Process(f"<{program}>", call.line, self.log, call.pid),)

    def known(self, call: Syscall) -> tuple[int, _Socket] | None:
        """The socket that a call is made on; what is none, or was made before the log began, is passed over."""
        number = self.descriptors.known(call.pid, call.args[0])
        if number in self.sockets:
            return number, self.sockets[number]
        if number is None and ":[" in call.args[0] and call.name in ("bind", "listen", "connect", "accept", "accept4"):
            self.found.left_out[
                "calls on a socket that was made before the log began, or in a way it does not show"
            ] += 1
        return None

    # --- sockets ----------------------------------------------------------------------------------------------------

    def socket(self, call: Syscall, fd: int) -> None:
        if fd < 0 or len(call.args) < 3:
            return
        family = {"AF_INET": socket.AF_INET, "AF_INET6": socket.AF_INET6}.get(call.args[0])
        words = call.args[1].split("|")
        number, gone = self.descriptors.new(call.pid, fd, call.target, "SOCK_CLOEXEC" in words)
        self.gone(gone)
        if family is None:
            return
        if call.pid in self.elsewhere:
            self.found.left_out["a socket in another network namespace"] += 1
            return
        self.sockets[number] = _Socket()
        protocol = _PROTOCOLS.get(call.args[2].partition(" ")[0])
        protocol = int(call.args[2]) if protocol is None and re.fullmatch(r"\d{1,9}", call.args[2]) else protocol
        what = (int(family), int(_TYPES.get(words[0], -2)), -2 if protocol is None else protocol)
        self.note("socket", number, what, 0, call)

    def set(self, call: Syscall, result: int) -> None:
        known = self.known(call)
        if known is None or len(call.args) < 4:
            return
        where = place_of(call.args[1], call.args[2])
        if where is not None and names_device(where):
            value = device_value(where, call.args[3], call.args[-1], call.errno)
            self.note("set", known[0], (*where, value), _code(call), call)
        elif where is not None and (number := value_in(call.args[3])) is not None:
            self.note("set", known[0], (*where, number), _code(call), call)
        elif call.args[2].startswith("MCAST_") or "_SOURCE_MEMBERSHIP" in call.args[2]:
            self.found.left_out["a membership of a group by an option that the language does not have"] += 1

    def bind(self, call: Syscall, result: int) -> None:
        if (known := self.known(call)) is not None and (address := address_in(call.args[1:], bool(call.errno))):
            self.note("bind", known[0], (address, None), _code(call), call)

    def listen(self, call: Syscall, result: int) -> None:
        if (known := self.known(call)) is not None:
            known[1].listens |= result == 0
            self.note("listen", known[0], None, _code(call), call)

    def connect(self, call: Syscall, result: int) -> None:
        known, address = self.known(call), address_in(call.args[1:], bool(call.errno))
        if known is None or address is None:
            return
        number, sock = known
        event = sock.pending or self.note("connect", number, (address, None), None, call)
        if call.errno in _UNDER_WAY:
            sock.pending = event
        elif call.errno == "EISCONN" and sock.pending is event:
            self.connected(sock, 0)
        else:
            sock.pending = event
            self.connected(sock, _code(call))

    def connected(self, sock: _Socket, code: int) -> None:
        """It is known now what came of a connect."""
        if sock.pending is not None:
            sock.pending[3], sock.pending = code, None

    def accept(self, call: Syscall, fd: int) -> None:
        known = self.known(call)
        if known is None or fd < 0:
            return
        closes = len(call.args) > 3 and "SOCK_CLOEXEC" in call.args[3]
        child, gone = self.descriptors.new(call.pid, fd, call.target, closes)
        self.gone(gone)
        if not known[1].listens:
            self.found.left_out["a connection of a socket of which no listen was seen"] += 1
            return
        self.sockets[child] = _Socket()
        self.note("accept", known[0], (child, address_in(call.args[1:]) or ("", 0)), 0, call)

    def shutdown(self, call: Syscall, result: int) -> None:
        if (known := self.known(call)) is not None and len(call.args) > 1 and call.args[1] in _HOW:
            self.note("shutdown", known[0], int(_HOW[call.args[1]]), _code(call), call)

    def name(self, call: Syscall, result: int) -> None:
        if (known := self.known(call)) is not None and result == 0 and (address := address_in(call.args[1:])):
            self.note("name", known[0], address)

    def peer(self, call: Syscall, result: int) -> None:
        if (known := self.known(call)) is not None and result == 0:
            self.connected(known[1], 0)

    def get(self, call: Syscall, result: int) -> None:
        if (
            len(call.args) > 3
            and call.args[2] == "SO_ERROR"
            and result == 0
            and (known := self.known(call)) is not None
        ):
            name = call.args[3].strip("[]")
            number = int(name) if re.fullmatch(r"\d{1,6}", name) else getattr(errno, name.partition(" ")[0], None)
            if number is not None:
                self.connected(known[1], int(number))

    def read(self, call: Syscall, result: int) -> None:
        if (known := self.known(call)) is not None and result >= 0:
            self.connected(known[1], 0)
            known[1].gone |= result == 0 and call.args[-1] != "0"

    def write(self, call: Syscall, result: int) -> None:
        if (known := self.known(call)) is not None and result >= 0:
            self.connected(known[1], 0)

    # --- descriptors ------------------------------------------------------------------------------------------------

    def gone(self, numbers: Sequence[int]) -> None:
        """Nobody refers to these any more: those that are sockets are closed. Others who made them have closed."""
        for number in numbers:
            if (sock := self.sockets.pop(number, None)) is not None:
                self.note("close", number, (False, sock.gone))
        for number in self.descriptors.left():
            if number in self.sockets:
                self.note("left", number, None)

    def close(self, call: Syscall, result: int) -> None:
        ends = [descriptor(text) for text in call.args[:2]]
        if call.name == "close" and ends[0] is not None:
            self.gone(self.descriptors.close(call.pid, ends[0]))
        elif result == 0 and len(ends) > 1 and ends[0] is not None and ends[1] is not None:
            if "CLOSE_RANGE_CLOEXEC" in call.args[-1]:
                self.descriptors.on_exec(call.pid, ends[0], ends[1], True)
            else:
                last = 2**31 if ends[1] < 0 else ends[1]
                self.gone(self.descriptors.close(call.pid, ends[0], last))

    def dup(self, call: Syscall, new: int) -> None:
        self.known(call)
        if new >= 0 and (old := descriptor(call.args[0])) is not None:
            self.gone(self.descriptors.copy(call.pid, old, new, "O_CLOEXEC" in call.args[-1]))

    def fcntl(self, call: Syscall, result: int) -> None:
        if result >= 0 and len(call.args) > 1 and (fd := descriptor(call.args[0])) is not None:
            if call.args[1].startswith("F_DUPFD"):
                self.known(call)
                self.gone(self.descriptors.copy(call.pid, fd, result, "CLOEXEC" in call.args[1]))
            elif call.args[1] == "F_SETFD" and len(call.args) > 2:
                self.descriptors.on_exec(call.pid, fd, fd, "FD_CLOEXEC" in call.args[2])

    def execute(self, call: Syscall, result: int) -> None:
        if result == 0:
            program = call.args[0].strip('".').rpartition("/")[2]
            self.programs[call.pid] = visible(program, 40) or "process"
            self.gone(self.descriptors.execute(call.pid))

    def born(self, call: Syscall, child: int) -> None:
        if child > 0:
            flags = " ".join(call.args)
            self.descriptors.born(child, call.pid, "CLONE_FILES" in flags)
            self.programs.setdefault(child, self.programs.get(call.pid, "process"))
            if call.pid in self.elsewhere or "CLONE_NEWNET" in flags:
                self.elsewhere.add(child)

    def leave(self, call: Syscall, result: int) -> None:
        if result == 0 and "CLONE_NEWNET" in " ".join(call.args):
            self.elsewhere.add(call.pid)


def _code(call: Syscall) -> int:
    """The errno of a call: 0 if it succeeded, NO_ERRNO where this OS does not know the error's name."""
    return 0 if not call.errno else int(getattr(errno, call.errno, NO_ERRNO))
