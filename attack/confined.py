"""What a process may not: limits, system calls that are refused, file systems that are full or absent, another clock.

Each is a function that is called in a process right before its command, and bears on that command alone. Calls are
refused on x86-64, whose numbers these are; mounts and clocks are Linux', and root's.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import resource
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

if sys.platform == "win32":
    raise SystemExit("attacks are made on POSIX")

_libc = ctypes.CDLL(None, use_errno=True)

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF
_NUMBER, _ARGUMENT = 0, 16  # where they stand in struct seccomp_data
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 317, 1
_NEWNS, _NEWNET, _NEWTIME, _NEWUSER = 0x20000, 0x40000000, 0x80, 0x10000000
_SIOCSIFFLAGS = 0x8914
_BIND, _READ_ONLY, _REMOUNT, _RECURSIVE, _PRIVATE, _DETACH = 0x1000, 0x1, 0x20, 0x4000, 0x40000, 2

Before = Callable[[], object]
Line = tuple[int, int, int, int]  # of a program for BPF
_When = tuple[int, int, int]  # compared how, with what, and whether it is refused where that does not hold
_ALWAYS: _When = (0, 0, 0)


def limit(name: str, most: int) -> Before:
    """Set a limit of the `resource` module."""
    return lambda: resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


#: The calls by name: their numbers, and which of them. What is no thread is a process.
CALLS: dict[str, dict[int, _When]] = {
    "poll": {7: _ALWAYS},
    "fork": {56: (_ANY_BIT, 0x10000, 1), 57: _ALWAYS, 58: _ALWAYS, 435: _ALWAYS},
    "threads": {56: (_ANY_BIT, 0x10000, 0), 435: _ALWAYS},
    "setns": {308: _ALWAYS},
    "unshare": {272: _ALWAYS},
    "limits": {302: _ALWAYS, 97: _ALWAYS, 160: _ALWAYS},
    "epoll": {213: _ALWAYS, 291: _ALWAYS},
    "netlink": {41: (_EQUAL, 16, 0)},
    "sockets": {41: _ALWAYS},
    "timers": {38: _ALWAYS},
    "users": {117: _ALWAYS, 119: _ALWAYS},
    "options": {54: _ALWAYS},
    "names": {51: _ALWAYS},
    "bind": {49: _ALWAYS},
    "ioctl": {16: _ALWAYS},
    "waiting": {61: _ALWAYS},
    "killing": {62: _ALWAYS},
    "prctl": {157: _ALWAYS},
}


def calls_are_known() -> bool:
    """Whether this machine's calls have the numbers above."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def refused(name: str, error: int = errno.EPERM) -> Before:
    """Refuse a call by an error, 0 to end the process that makes it."""
    verdict = _ERRNO | error if error else _KILL
    programs = [_program(number, when, verdict) for number, when in CALLS[name].items()]
    return lambda: [*map(install, programs)]


def _program(number: int, when: _When, verdict: int) -> list[Line]:
    how, value, otherwise = when
    if number == 435:  # clone3, whose arguments cannot be seen: the C library then takes clone
        verdict = _ERRNO | errno.ENOSYS
    test = [(_LOAD, 0, 0, _ARGUMENT), (how, otherwise, 1 - otherwise, value)] if how else []
    return [
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, len(test) + 1, number),
        *test,
        (_RETURN, 0, 0, verdict),
        (_RETURN, 0, 0, _ALLOW),
    ]


def install(program: Sequence[Line], flags: int = 0) -> int:
    """Have a program judge the calls of this process and its children, besides those that do. Raises OSError."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    _checked(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    return call(_SECCOMP, _FILTER, flags, filter_)


def call(number: int, *arguments: Any) -> int:
    """Make a system call by its number. Raises OSError."""
    return _checked(_libc.syscall(number, *arguments))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


# --- file systems and clocks, of a namespace ------------------------------------------------------------------------


def _mounting(*todo: Before) -> Before:
    def before() -> None:
        _checked(_libc.unshare(_NEWNS))
        _checked(_libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None))
        for each in todo:
            each()

    return before


def _mount(what: str, where: str, kind: str, flags: int, options: str = "") -> None:
    _checked(_libc.mount(what.encode(), where.encode(), kind.encode(), flags, options.encode()))


def _fill(where: str) -> None:
    _mount("none", where, "tmpfs", 0, "size=4k,mode=1777")
    with contextlib.suppress(OSError), open(os.path.join(where, "fill"), "wb", 0) as file:
        file.write(bytes(8192))


def _read_only_here() -> None:
    here = os.getcwd()
    _mount(here, here, "", _BIND)
    _mount("none", here, "", _BIND | _REMOUNT | _READ_ONLY)
    os.chdir(here)


def without_namespaces() -> None:
    """Let no namespace be made any more, in a user namespace whose bounds say so. Raises OSError."""
    _as(0)
    for kind in ("net", "user"):
        _write(f"/proc/sys/user/max_{kind}_namespaces", "0")


def ordinary() -> None:
    """Be a user without rights, who reads what we read. Raises OSError."""
    _as(64005)


def _as(user: int) -> None:
    """Move to a user namespace, as this user of it: as root, with the rights of root in it."""
    uid, gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(_NEWUSER))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {uid} 1"), ("gid_map", f"{user} {gid} 1")):
        _write(f"/proc/self/{name}", text)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _another_time() -> None:
    """Let the clock that only goes up have gone up for years."""
    _checked(_libc.unshare(_NEWTIME))
    _write("/proc/self/timens_offsets", f"monotonic {10**9} 0\nboottime {10**9} 0\n")


def _alone(*states: int) -> None:
    """Be on a host without namespaces whose loopback interface was in these states (flags), and is in the last."""
    _checked(_libc.unshare(_NEWNET))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for flags in states:
            fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))
    without_namespaces()


#: By what is wrong. The directory of the attack's temporary files stands beside that in which it runs.
PLACES: dict[str, Before] = {
    "read-only here": _mounting(_read_only_here),
    "full temporary": _mounting(partial(_fill, "../temporary")),
    "no proc": _mounting(lambda: _checked(_libc.umount2(b"/proc", _DETACH))),
    "read-only settings": _mounting(
        partial(_mount, "/proc/sys", "/proc/sys", "", _BIND),
        partial(_mount, "none", "/proc/sys", "", _BIND | _REMOUNT | _READ_ONLY),
    ),
    "no dev": _mounting(partial(_mount, "none", "/dev", "tmpfs", _READ_ONLY)),
    "another time": _another_time,
    "loopback never up": _alone,
    "loopback down again": partial(_alone, 1, 0),
}


def full(directory: str) -> Before:
    """Let a directory have no room."""
    return _mounting(partial(_fill, directory))
