"""The processes that have a socket: all of them, and how each came by it, as far as this OS shows them to this user."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..dataclass import dataclass
from ..text import visible

_PIDFD_GETFD = 438  # a system call since Linux 5.6, of the same number everywhere but on Alpha
_MOST_PARENTS = 64
_FIRST_PIDS = 0xEFFFFFFC  # the inode of the PID namespace in which a Linux begins


@dataclass(frozen=True, slots=True)
class Process:
    """A process that has a socket, as its descriptor `fd`; `called` is its name, as long as it is known.

    `passes_on` says whether that stays open in what the process executes (it is not close-on-exec); `origin` how it
    came by the socket where that shows: by ``fork`` or by ``exec``, of the process `parent`.
    """

    pid: int
    fd: int | None = None
    passes_on: bool | None = None
    origin: str = ""
    parent: int = 0
    called: str = ""

    @property
    def is_this(self) -> bool:
        """Whether it is the process that asks."""
        return self.pid == os.getpid()

    @property
    def name(self) -> str:
        """What psutil calls it, or did; ``a process`` where it may not be seen."""
        import psutil

        if not self.called:
            with contextlib.suppress(psutil.Error):
                return psutil.Process(self.pid).name() or "a process"
        return self.called or "a process"

    def __str__(self) -> str:
        return f"this process (pid {self.pid})" if self.is_this else f"{visible(self.name)} (pid {self.pid})"


def is_ours(pid: int | None) -> bool:
    """Whether it is this process or was started, however indirectly, by it."""
    if pid is None or pid == os.getpid():
        return pid is not None
    return os.getpid() in parents(pid)


def is_contained() -> bool:
    """Whether processes outside of this PID namespace of Linux may have sockets that are seen in it."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino != _FIRST_PIDS
    except OSError:
        return False


def can_be_looked_for() -> bool:
    """Whether this OS shows processes here: Linux does in /proc, if that is mounted."""
    return sys.platform != "linux" or os.path.exists("/proc/self")


def parents(pid: int) -> list[int]:
    """The processes above one, its parent first; empty where it may not be seen."""
    import psutil

    found: list[int] = []
    with contextlib.suppress(psutil.Error):
        process: psutil.Process | None = psutil.Process(pid)
        while process is not None and len(found) < _MOST_PARENTS and (process := process.parent()) is not None:
            found.append(process.pid)
    return found


def program(pid: int) -> str:
    """What tells a process's program from another's: its file, or else its command line."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe")
    with contextlib.suppress(OSError):
        return _text(f"/proc/{pid}/cmdline")
    return ""


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(65536)


def related(found: list[Process]) -> tuple[Process, ...]:
    """The processes of one socket, those it came from before those they gave it to."""
    if len(found) < 2:
        return tuple(found)
    having = {process.pid for process in found}
    above = {pid: [parent for parent in parents(pid) if parent in having] for pid in having}
    told = []
    for process in sorted(found, key=lambda it: (len(above[it.pid]), it.pid)):
        if above[process.pid]:
            parent = above[process.pid][0]
            how = "fork" if program(parent) == program(process.pid) else "exec"
            process = replace(process, origin=how, parent=parent)
        told.append(process)
    return tuple(told)


if sys.platform == "linux":

    def owners(inodes: set[int]) -> tuple[dict[int, list[Process]], int]:
        """The processes of each socket, and how many processes this user may not look into."""
        found: dict[int, list[Process]] = {}
        wanted = {f"socket:[{inode}]": inode for inode in inodes}
        pids = [*filter(str.isdigit, os.listdir("/proc"))]
        hidden = int("1" not in pids)  # mounted with hidepid, or not at all
        for pid in pids if wanted else ():
            try:
                place = os.open(f"/proc/{pid}/fd", os.O_RDONLY)
            except PermissionError:
                hidden += 1
                continue
            except OSError:  # it has ended
                continue
            try:
                for name, inode in _sockets(place, wanted):
                    mine = found.setdefault(inode, [])
                    if not mine or mine[-1].pid != int(pid):  # of copies the first descriptor
                        mine.append(Process(int(pid), int(name)))
            except PermissionError:  # one's own user's, from a user namespace that may not look into it
                hidden += 1
            finally:
                os.close(place)
        return found, hidden

    def _sockets(place: int, wanted: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """The descriptors in a directory of /proc that are wanted sockets, and inodes. Raises PermissionError."""
        names: list[str] = []
        with contextlib.suppress(OSError):  # it has ended
            names = os.listdir(place)
        for name in names:
            try:
                inode = wanted.get(os.readlink(name, dir_fd=place))
            except PermissionError:
                raise
            except OSError:
                continue
            if inode is not None:
                yield name, inode

    def passes_on(process: Process) -> bool | None:
        """Whether a process's descriptor stays open in what it executes; None where that cannot be seen."""
        with contextlib.suppress(OSError, ValueError):
            for line in _text(f"/proc/{process.pid}/fdinfo/{process.fd}").splitlines():
                if line.startswith("flags:"):
                    return not int(line.split()[1], 8) & os.O_CLOEXEC
        return None

    @contextlib.contextmanager
    def borrowed(process: Process) -> Iterator[int]:
        """A copy of a process's descriptor, for a moment, to ask the socket for its options. Raises OSError.

        The kernel allows it to root, and to whoever may trace that process.
        """
        assert process.fd is not None
        owner = os.pidfd_open(process.pid)
        try:
            fd = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, owner, process.fd, 0)
            if fd < 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(owner)
        try:
            yield fd
        finally:
            os.close(fd)
