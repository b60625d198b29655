"""What is asked: a call at a port, and what was there when it was made."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys

from ..dataclass import dataclass
from ..live.options import numbers
from ..live.users import this_user
from ..platforms import Platform, knobs
from ..settings import settings

if sys.platform == "linux":
    import fcntl

Address = tuple[str, int]
SHARING = ("SO_REUSEADDR", "SO_REUSEPORT")
#: The settings that bear on a port, with the values that nobody has set.
_DEFAULTS = {
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.ipv4.ip_nonlocal_bind": "0",
    "net.ipv4.ip_autobind_reuse": "0",
    "net.ipv4.tcp_tw_reuse": "2",
    "net.ipv4.tcp_timestamps": "1",
}
NO_IPV6 = ("net.ipv6.conf.all.disable_ipv6", "1")
_BIND_SERVICE = 1 << 10  # CAP_NET_BIND_SERVICE
_NS_GET_USERNS = 0xB701  # ioctl: the user namespace that owns a namespace


@dataclass(frozen=True, slots=True)
class Asked:
    """A call: `verb` bind, listen, connect or send; the socket's protocol, family and options; its `local` address
    (port 0: to be chosen), and the `foreign` one that it was to connect or send to. `errno` is what it failed with,
    empty where that is the question.

    `uid` is the user's, None where it does not matter; `device` the interface that the socket is bound to; `low` says
    that this user may not bind so low a port; `elsewhere` that no interface has the local address.
    """

    verb: str
    errno: str
    protocol: str
    family: int
    options: tuple[str, ...]
    local: Address
    foreign: Address | None = None
    uid: int | None = None
    device: str = ""
    low: bool = False
    elsewhere: bool = False
    settings: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        names = [name for name in self.options if name in SHARING]
        options = " and ".join(names) or "no sharing option"
        options += "".join(f", {name}" for name in self.options if name not in SHARING)
        if self.device:
            options += f", SO_BINDTODEVICE={self.device}"
        there = f" to {shown(self.foreign)}" if self.foreign else ""
        word = {"bind": "to", "listen": "at"}.get(self.verb, "from")
        told = self.local[1] or not self.foreign or not ipaddress.ip_address(self.local[0]).is_unspecified
        here = f" {word} {shown(self.local)}" if told else ""
        return f"{self.verb}{there}{here}, {self.protocol.upper()}, {options}"


def shown(address: Address) -> str:
    """An address as the scenario language has it."""
    return at(address[0], str(address[1]))


def at(host: str, port: str) -> str:
    """The same with a port symbol."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def wild(host: str) -> str:
    """Every address, of a host's family."""
    return "::" if ":" in host else "0.0.0.0"


def family_of(host: str) -> int:
    """The family of an address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def changed_settings(platform: Platform) -> tuple[tuple[str, str], ...]:
    """The settings of this host that bear on ports, where they are not the defaults and the model follows them."""
    found = knobs(platform.stack)
    no_ipv6 = (NO_IPV6,) if platform.stack == "linux" and not is_local("::1") else ()
    return no_ipv6 + tuple(
        (name, found[name])
        for name, default in _DEFAULTS.items()
        if found.get(name, default) != default and name in settings() and settings()[name].takes(found[name])
    )


def too_low(port: int, uid: int | None, platform: Platform) -> bool:
    """Whether a user (None: this process) may not bind a port because it is low."""
    if platform.stack not in ("linux", "gvisor") or not port:
        return False
    start = knobs(platform.stack).get("net.ipv4.ip_unprivileged_port_start", "1024")
    return port < int(start) and not (_may_bind_low() if uid in (None, this_user()) else uid == 0)


def _may_bind_low() -> bool:
    if not _rules_here():
        return False
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & _BIND_SERVICE)
    return this_user() == 0


def _rules_here() -> bool:
    """Whether the capabilities of this process count in its network namespace: not where a user namespace further out
    owns that, as under a rootless container with the host's network."""
    if sys.platform == "linux":
        try:
            with open("/proc/thread-self/ns/net", "rb") as file:
                os.close(fcntl.ioctl(file, _NS_GET_USERNS))
        except PermissionError:
            return False
        except OSError:  # no /proc, or another kernel
            pass
    return True


def is_local(host: str, device: str = "") -> bool:
    """Whether an interface of this host has an address, and its family; of a link-local one, this interface. Takes no
    port, so it tells also when none is left."""
    family = family_of(host)
    if sys.platform == "linux":
        try:
            sock = socket.SocketType(family, socket.SOCK_STREAM)  # the class that nobody watches
        except OSError:
            return False
        with contextlib.closing(sock), contextlib.suppress(OSError):
            sock.setsockopt(*numbers()["IP_BIND_ADDRESS_NO_PORT"], 1)
            sock.bind((host, 0, 0, socket.if_nametoindex(device)) if device and is_scoped(host) else (host, 0))
            return True
        return False
    import psutil

    addresses = {found.address.partition("%")[0] for card in psutil.net_if_addrs().values() for found in card}
    return host in addresses or host in ("0.0.0.0", "::") or host.startswith("127.")


def is_scoped(host: str) -> bool:
    """Whether an address is one of an interface: link-local, of IPv6."""
    address = ipaddress.ip_address(host)
    return address.version == 6 and (address.is_link_local or host.startswith(("ff01:", "ff02:")))
