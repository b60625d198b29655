"""Linux: a private network namespace for each scenario, its settings, and other users inside of it.

The namespace is root's, or one that an unprivileged user owns by a user namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator

from ..platforms import current
from ..scenario import Scenario, Setting
from . import NotRun, netlink
from .errnos import name_of
from .plain import Plain

assert sys.platform == "linux"

_PR_SET_PDEATHSIG = 1
_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_UIDS = {"root": 0, "user1": 64001, "user2": 64002}
#: The number of the system call, where it is known.
_SETRESUID = {"x86_64": 117, "aarch64": 147}.get(os.uname().machine) if sys.maxsize > 1 << 32 else None
_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x1 | 0x40
#: The settings that each network namespace has for itself.
ISOLATED = "net.ipv4.…, net.ipv6.…, net.mptcp.…, net.sctp.…, net.core.somaxconn"
_RANGE, _START = "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"


_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel end this process, a child just forked, with the thread that forked it, by this signal."""
    _libc.prctl(_PR_SET_PDEATHSIG, number)


def own_user_namespace(as_root: bool = True) -> None:
    """Move to a user namespace of one's own, in which network namespaces may be made. Raises OSError.

    There one is root, or the user that one was: with every right until the next exec.
    """
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_NEWUSER)
    to_uid, to_gid = (0, 0) if as_root else (uid, gid)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{to_uid} {uid} 1"), ("gid_map", f"{to_gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def new() -> None:
    """Make a network namespace and move into it. Raises OSError."""
    _unshare(_NEWNET)
    Place.last = None
    with Plain(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP_AND_RUNNING))
        except OSError as error:
            if error.errno != errno.ENOTTY:  # gVisor, where it is up from the start
                raise


def isolation() -> str:
    """netns where this process can make a network namespace, userns where it needs a user namespace first, or none."""
    return "netns" if _can(new) else "userns" if _can(_owned) else "none"


def can_come_back() -> bool:
    """Whether this process can leave a namespace that it made."""
    return _can(_and_back)


def _owned() -> None:
    own_user_namespace()
    new()


def _and_back() -> None:
    here = Place()
    new()
    here.enter()


def _can(make: Callable[[], None]) -> bool:
    """Whether a child does this, since what is half-made cannot be left; not where no child can be made.

    It says so itself: where SIGCHLD is ignored nobody learns how it ended.
    """
    try:
        reader, writer = os.pipe()
        with open(reader, "rb") as answer:
            with open(writer, "wb", 0) as said:  # files close at once, where os.close() is gevent's and does not
                child = os.fork()
                if not child:
                    with contextlib.suppress(BaseException):
                        make()
                        said.write(b"yes")
                    os._exit(0)
            can = bool(answer.read())
    except OSError:
        return False
    with contextlib.suppress(OSError):
        os.waitpid(child, 0)
    return can


def enter(scenario: Scenario) -> None:
    """Make a new namespace with the scenario's environment, and move into it. Raises NotRun, OSError."""
    new()
    if any(step.verb == "connect" for step in scenario.steps):
        quickack()
    arrange(scenario.environment)


def arrange(environment: Iterable[Setting]) -> None:
    """Make the environment in this namespace. Raises NotRun."""
    for setting in environment:
        try:
            _apply(setting)
        except OSError as error:
            raise NotRun(f"'{setting}' is refused ({name_of(error)})") from None


def quickack() -> None:
    """Have loopback acknowledge at once in this namespace, where the kernel lets it."""
    with contextlib.suppress(OSError):
        netlink.acknowledge_at_once()


class Place:
    """The network namespace that this process is in now, to come back to; `last` is where it is, if that is known."""

    last: Place | None = None

    def __init__(self) -> None:
        self._handle = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        Place.last = self

    def enter(self) -> None:
        """Move there. Raises OSError."""
        if Place.last is self:
            return
        if _libc.setns(self._handle, _NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        Place.last = self

    def close(self) -> None:
        os.close(self._handle)


def _apply(setting: Setting) -> None:
    match setting.kind:
        case "sysctl":
            write(setting.name, setting.value)
        case "ephemeral":
            write(_RANGE, "{} {}".format(*setting.ports))
        case "address":
            host, _, device = setting.value.partition("%")
            netlink.add_address(host, device or "lo")
        case _:
            netlink.add_device(setting.value)


def is_isolated(name: str) -> bool:
    """Whether it is the name of a setting that each network namespace has for itself."""
    return re.fullmatch(r"net\.(ipv[46]|mptcp|sctp)(\.[A-Za-z0-9_]+){1,4}|net\.core\.somaxconn", name) is not None


def write(name: str, value: str) -> None:
    """Set a setting of this network namespace; no other is touched."""
    if current().stack == "gvisor":
        raise NotRun("the settings of gVisor are those of its whole sandbox, not of a network namespace")
    if not is_isolated(name):
        raise NotRun(f"{name} is no setting that a network namespace isolates ({ISOLATED})")
    try:
        with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="utf-8") as file:
            file.write(value)
    except FileNotFoundError:
        raise NotRun(f"this kernel has no setting {name}") from None


def _read(name: str) -> tuple[int, ...]:
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="utf-8") as file:
            return tuple(map(int, file.read().split()))
    except (OSError, ValueError):
        return ()


def ports_in_force() -> tuple[int, int, int]:
    """Low and high of the ephemeral range of this namespace, and the first port that needs no privilege."""
    low, high = _read(_RANGE) or (32768, 60999)
    return low, high, (_read(_START) or (1024,))[0]


@contextlib.contextmanager
def become(user: str) -> Iterator[None]:
    """Make the calls inside as `user`. Raises OSError where the user id cannot be taken."""
    _take_user(_UIDS[user])
    try:
        yield
    finally:
        _take_user(0)


def _take_user(uid: int) -> None:
    """Make it the effective user of this thread; the C library would stop all threads and change each, every time."""
    if _SETRESUID is None:
        os.seteuid(uid)
    elif _libc.syscall(_SETRESUID, -1, uid, -1):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
