"""Where a scenario runs: a private network namespace of its own, or, where there is none, loopback on held ports.

The namespace is root's, or one that an unprivileged user owns by a user namespace. Nothing outside of it is changed: a
scenario that a namespace must contain is not run without one.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import re
import socket
import struct
import sys
from collections.abc import Iterator
from functools import cache

from ..platforms import current
from ..scenario import KINDS, Scenario, Setting
from . import netlink
from .errnos import name_of
from .hold import HeldPorts

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_UIDS = {"root": 0, "user1": 64001, "user2": 64002}
_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
_UNPRIVILEGED = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


class NotRun(Exception):
    """This machine cannot ask what the scenario asks; the message says why, and what would allow it."""


def _unshare(flags: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _own_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


@cache
def isolation() -> str:
    """How this process can isolate a scenario: netns (as root), userns (a user namespace first), or none.

    Tried in children, for a half-made namespace cannot be left again.
    """
    if sys.platform != "linux":
        return "none"
    for how in ("netns", "userns"):
        child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(BaseException):
                if how == "userns":
                    _own_user_namespace()
                _unshare(_NEWNET)
                _lo_up()
                status = 0
            os._exit(status)
        if not os.waitpid(child, 0)[1]:
            return how
    return "none"


def _lo_up() -> None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING


def why_namespace(scenario: Scenario) -> str | None:
    """What in `scenario` must not touch the host, if anything does."""
    if any(step.user for step in scenario.steps):
        return "another user"
    for setting in scenario.environment:
        if not (setting.kind == "address" and current().stack in ("linux", "gvisor", "windows") and _loopback(setting.value)):
            return f"'{setting}'"
    bound: set[str] = set()
    for step in scenario.steps:
        if step.verb == "listen" and step.name not in bound:
            return "a wildcard address (listen() on an unbound socket)"
        if step.verb == "sendto" and step.name not in bound:
            return "a wildcard address (sendto() on an unbound socket)"
        if step.verb in ("bind", "connect"):
            bound.add(step.name)
        if step.address is not None:
            if not _loopback(step.address.host):
                return f"the address {step.address.host}"
            if isinstance(step.address.port, int) and step.address.port:
                return f"port {step.address.port}"
    return None


def _loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class Sandbox:
    """The environment of one worker process: entered anew for each scenario."""

    def __init__(self) -> None:
        self.isolation = isolation()
        self.users = self.isolation == "netns"
        if self.isolation == "userns":
            _own_user_namespace()
        self._ipv6: bool | None = None
        self._held: HeldPorts | None = None
        self._default_range: tuple[int, int] | None = None

    def enter(self, scenario: Scenario) -> dict[str, int]:
        """Make the scenario's environment and return the ports of its symbols. Raises NotRun."""
        if self.isolation == "none":
            ports = self._on_the_host(scenario)
        else:
            ports = self._in_a_namespace(scenario)
        if self._ipv6 is None:
            self._ipv6 = _has_ipv6()
        if not self._ipv6 and _uses_ipv6(scenario):
            raise NotRun("this system has no IPv6")
        return ports

    @contextlib.contextmanager
    def become(self, user: str) -> Iterator[None]:
        """Make the calls inside as `user`."""
        os.seteuid(_UIDS[user])
        try:
            yield
        finally:
            os.seteuid(0)

    # --- with a namespace -----------------------------------------------------------------------------------------

    def _in_a_namespace(self, scenario: Scenario) -> dict[str, int]:
        if any(step.user not in ("", "root") for step in scenario.steps):
            self._need_users()
        _unshare(_NEWNET)
        _lo_up()
        if any(step.verb == "connect" for step in scenario.steps):
            with contextlib.suppress(OSError):
                netlink.acknowledge_at_once()
        for setting in scenario.environment:
            _apply(setting)
        if self._default_range is None or scenario.environment:
            low, high = _numbers(_RANGE) or (32768, 60999)
            start = (_numbers(_UNPRIVILEGED) or (1024,))[0]
            if not scenario.environment:
                self._default_range = (low, high)
        else:
            (low, high), start = self._default_range, 1024
        taken = {address.port for address in scenario.addresses}
        free = (p for p in range(max(1024, start), 65536) if not low <= p <= high and p not in taken)
        symbols = scenario.symbols
        ports = dict(zip(symbols, free, strict=False))
        if len(ports) < len(symbols):
            raise NotRun(f"no port outside the ephemeral range {low}-{high} is left for {symbols[len(ports)]}")
        return ports

    def _need_users(self) -> None:
        if not self.users:
            raise NotRun("needs two more users (run as root: a user namespace of one's own holds one user)")
        try:
            with self.become("user1"), contextlib.nullcontext():
                pass
        except OSError as error:
            self.users = False
            raise NotRun(f"needs two more users (setting the user id gives {name_of(error)})") from None

    # --- without one ----------------------------------------------------------------------------------------------

    def _on_the_host(self, scenario: Scenario) -> dict[str, int]:
        if why := why_namespace(scenario):
            how = (
                "run as root with CAP_SYS_ADMIN, or allow unprivileged user namespaces"
                if sys.platform == "linux"
                else "this OS has none"
            )
            raise NotRun(f"needs a network namespace, for {why} ({how})")
        self._held = self._held or HeldPorts()
        return {symbol: self._held.take() for symbol in scenario.symbols}


def _apply(setting: Setting) -> None:
    try:
        match setting.kind:
            case "sysctl":
                _sysctl(setting.name, setting.value)
            case "ephemeral":
                low, high = setting.ports
                _sysctl("net.ipv4.ip_local_port_range", f"{low} {high}")
            case "address":
                netlink.add_address(setting.value)
            case _:
                netlink.add_device(setting.value)
    except OSError as error:
        raise NotRun(f"'{setting}': {name_of(error)}") from None


def _sysctl(name: str, value: str) -> None:
    """Write a setting of this network namespace; no other is touched."""
    if not re.fullmatch(r"net\.ipv[46]\.[A-Za-z0-9_]+(\.[A-Za-z0-9_]+){0,3}", name):
        raise NotRun(f"the setting {name} is not one that a network namespace isolates (net.ipv4.…, net.ipv6.…)")
    try:
        with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
            file.write(value)
    except FileNotFoundError:
        raise NotRun(f"this kernel has no setting {name}") from None


def _numbers(path: str) -> tuple[int, ...] | None:
    try:
        with open(path) as file:
            return tuple(map(int, file.read().split()))
    except (OSError, ValueError):
        return None


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def _uses_ipv6(scenario: Scenario) -> bool:
    made = (step.kind for step in scenario.steps if step.verb == "socket")
    return any(KINDS[kind][1] == 6 for kind in made) or any(address.family == 6 for address in scenario.addresses)
