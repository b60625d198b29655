"""The descriptors of many processes, by a log of their calls: which socket each is, and when the last one is closed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import field

from ..dataclass import dataclass
from .strace import End, LogError, Syscall

_FD = re.compile(r"(-?\d{1,10})(?:<(.*)>)?", re.DOTALL)
_INODE = re.compile(r"(?:socket|TCP|TCPv6|UDP|UDPv6|UDPLITE|UDPLITEv6|SCTP|SCTPv6):\[(\d{1,20})\]")
_MADE = ("clone", "clone3", "fork", "vfork")

MAX_COPIES = 1_000_000  # descriptors that processes inherit, all of them together


def descriptor(text: str) -> int | None:
    """The number of a descriptor as strace writes it, with or without what it refers to."""
    found = _FD.fullmatch(text)
    return int(found[1]) if found else None


def inode(text: str) -> str:
    """What names a socket beyond all processes, if strace was asked for it; else empty."""
    found = _INODE.search(text)
    return found[1] if found else ""


def parents(events: Iterable[Syscall | End]) -> dict[int, tuple[int, bool]]:
    """Who made each process, and whether it shares its descriptors, as a thread does."""
    found: dict[int, tuple[int, bool]] = {}
    for event in events:
        if isinstance(event, Syscall) and event.name in _MADE and event.result is not None and event.result > 0:
            shares = any("CLONE_FILES" in text for text in event.args)
            found.setdefault(event.result, (event.pid, shares))
    return found


@dataclass(eq=False, slots=True)
class Table:
    """The descriptors of a process and its threads, of which there are `users`: what each number refers to."""

    fds: dict[int, int] = field(default_factory=dict)
    on_exec: set[int] = field(default_factory=set)  # those that execve closes
    users: int = 1


class Descriptors:
    """The tables of all processes. What a descriptor refers to has a number of its own, which no other ever has.

    Raises LogError where there are more descriptors than any program has.
    """

    def __init__(self, made: dict[int, tuple[int, bool]]) -> None:
        self._made = made
        self._tables: dict[int, Table] = {}
        self._shown: set[int] = set()  # processes of which the call that made them has returned
        self._early: set[int] = set()  # those that ended before it did
        self._references: Counter[int] = Counter()
        self._inodes: dict[str, int] = {}
        self._makers: dict[int, Table] = {}  # who made a thing, and has it still
        self._left: list[int] = []
        self._next, self._copies = 1, 0

    def known(self, pid: int, text: str) -> int | None:
        """What a descriptor of a process refers to; None where nothing is known of it."""
        fd = descriptor(text)
        if fd is None:
            return None
        number = self.table(pid).fds.get(fd)
        if number is None and (number := self._inodes.get(inode(text))) is not None:  # it came by a message
            self._refer(pid, fd, number)
        return number

    def new(self, pid: int, fd: int, target: str, closes: bool) -> tuple[int, list[int]]:
        """A new thing at a descriptor: its number, and what had been there and is closed."""
        gone = self.close(pid, fd)
        number, self._next = self._next, self._next + 1
        if name := inode(target):
            self._inodes[name] = number
        self._refer(pid, fd, number, closes)
        self._makers[number] = self.table(pid)
        return number, gone

    def left(self) -> list[int]:
        """What those who made it have closed since this was asked last, while other processes have it still."""
        left, self._left = self._left, []
        return [number for number in left if number in self._references]

    def copy(self, pid: int, old: int, new: int, closes: bool = False) -> list[int]:
        """Another descriptor of the same thing; what was closed thereby."""
        number = self.table(pid).fds.get(old)
        if old == new:
            return []
        gone = self.close(pid, new)
        if number is not None:
            self._refer(pid, new, number, closes)
        return gone

    def close(self, pid: int, first: int, last: int | None = None) -> list[int]:
        """Close a descriptor, or a range of them; what nobody refers to any more."""
        table = self.table(pid)
        chosen = [first] if last is None else [fd for fd in table.fds if first <= fd <= last]
        return self._forget(table, chosen)

    def on_exec(self, pid: int, first: int, last: int, closes: bool) -> None:
        """Whether execve closes the descriptors of a range."""
        table = self.table(pid)
        for fd in [first] if first == last else [fd for fd in table.fds if first <= fd <= last]:
            (table.on_exec.add if closes else table.on_exec.discard)(fd)

    def execute(self, pid: int) -> list[int]:
        """The process has another program now, and descriptors of its own."""
        table = self.table(pid)
        if table.users > 1:
            table.users -= 1
            table = self._tables[pid] = self._copied(table)
        return self._forget(table, sorted(table.on_exec))

    def end(self, pid: int) -> list[int]:
        """The process has ended; with the last one that has its table all of that is closed."""
        if self._made.pop(pid, None) is not None and pid not in self._shown:
            self._early.add(pid)
        self._shown.discard(pid)
        table = self._tables.pop(pid, None)
        if table is None:
            return []
        table.users -= 1
        return [] if table.users else self._forget(table, list(table.fds))

    def born(self, pid: int, parent: int, shares: bool) -> None:
        """The call that made a process has returned, which may have shown itself before, or be gone again."""
        if pid in self._early:
            self._early.discard(pid)
            return
        self._shown.add(pid)
        self._adopt(pid, parent, shares)

    def table(self, pid: int) -> Table:
        """The descriptors of a process; one that is seen for the first time has its parent's."""
        if pid not in self._tables:
            chain = list(self._ancestry(pid))
            self._tables.setdefault(chain[-1], Table())
            for child in reversed(chain[:-1]):
                self._adopt(child, *self._made[child])
        return self._tables[pid]

    def _adopt(self, pid: int, parent: int, shares: bool) -> None:
        if pid not in self._tables:
            table = self.table(parent)
            table.users += shares
            self._tables[pid] = table if shares else self._copied(table)

    def _ancestry(self, pid: int) -> Iterator[int]:
        """A process, its parent and so on, up to one that has a table, or whose parent is not known."""
        seen: set[int] = set()
        while pid not in seen:
            seen.add(pid)
            yield pid
            if pid in self._tables or pid not in self._made:
                return
            pid = self._made[pid][0]

    def _copied(self, table: Table) -> Table:
        self._copies += len(table.fds)
        if self._copies > MAX_COPIES:
            raise LogError(0, f"processes have inherited more than {MAX_COPIES} descriptors")
        self._references.update(table.fds.values())
        return Table(dict(table.fds), set(table.on_exec))

    def _refer(self, pid: int, fd: int, number: int, closes: bool = False) -> None:
        table = self.table(pid)
        table.fds[fd] = number
        self._references[number] += 1
        (table.on_exec.add if closes else table.on_exec.discard)(fd)

    def _forget(self, table: Table, fds: Iterable[int]) -> list[int]:
        """Take descriptors away; what they referred to, where that was the last one."""
        gone = []
        for fd in fds:
            table.on_exec.discard(fd)
            if (number := table.fds.pop(fd, None)) is not None:
                self._references[number] -= 1
                if not self._references[number]:
                    del self._references[number]
                    self._makers.pop(number, None)
                    gone.append(number)
                elif self._makers.get(number) is table and number not in table.fds.values():
                    del self._makers[number]
                    self._left.append(number)
        return gone
