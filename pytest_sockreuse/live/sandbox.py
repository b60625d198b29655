"""Where a scenario runs: a private network namespace of its own, or, where there is none, loopback on held ports.

Nothing on the host is changed: a scenario that a namespace must contain is not run without one.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import sys
from collections.abc import Iterable, Sequence

from ..platforms import current
from ..scenario import KINDS, Scenario
from . import NotRun
from .errnos import name_of
from .perform import Observed
from .port_blocks import NO_LOOPBACK, HeldPorts, NoPort, has_loopback
from .settle import Settler
from .sharing import Sharing, sharing
from .symbols import Dealer

if sys.platform == "linux":
    from . import namespace, shared_namespace

#: The stacks on which all of 127.0.0.0/8 is local.
ALL_LOCAL = ("linux", "gvisor", "wsl1", "windows", "wine")
REMEDY = (
    "run as root, or allow unprivileged user namespaces: sysctl user.max_user_namespaces, on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0, in a container CAP_SYS_ADMIN or another seccomp profile"
    if sys.platform == "linux"
    else "this OS has none, and wildcard addresses, settings and other users are left alone on a host"
)


def isolation() -> str:
    """How this process can isolate a scenario: netns (as root), userns (a user namespace first), or none."""
    if sys.platform == "linux":
        return namespace.isolation()
    return "none"


def touches_the_host(scenario: Scenario) -> bool:
    """Whether it would reach beyond loopback and ports that are held: then it only runs in a namespace."""
    if any(step.user for step in scenario.steps):
        return True
    for setting in scenario.environment:
        if setting.kind != "address" or current().stack not in ALL_LOCAL or not _loopback(setting.value):
            return True
    bound: set[str] = set()
    for step in scenario.steps:
        if step.verb in ("listen", "sendto") and step.name not in bound:
            return True  # the OS binds it, to a wildcard address
        if step.verb in ("bind", "connect") and not step.survives:  # one that may fail leaves the socket unbound
            bound.add(step.name)
        elif step.verb == "disconnect":
            bound.discard(step.name)
        address = step.address
        if address is not None and (not _loopback(address.host) or (isinstance(address.port, int) and address.port)):
            return True
    return False


def _loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class Sandbox:
    """The environment of one worker process: entered anew for each scenario."""

    def __init__(self) -> None:
        self.isolation = isolation()
        if sys.platform == "linux" and self.isolation == "userns":
            namespace.own_user_namespace()
        self._ipv6: bool | None = None
        self._held: HeldPorts | None = None
        self._defaults: tuple[int, int, int] | None = None
        if sys.platform == "linux":
            self._namespaces = shared_namespace.SharedNamespaces()
        self._sharing = Sharing.NONE  # how the scenario under way shares its namespace
        #: Who is known to be there; a user namespace's root is nobody's root outside.
        self._users = {"", "root"} if self.isolation == "netns" else {""}
        self.settler: Settler | None = None  # that of the namespace, where others come after this scenario

    def enter(self, scenario: Scenario, shared: bool = False) -> dict[str, int]:
        """Make the scenario's environment and return the ports of its symbols. Raises NotRun.

        With `shared` it need not be in a namespace of its own (see `sharing`). Call `leave` after it.
        """
        self._sharing, self.settler = sharing(scenario) if shared and self.isolation != "none" else Sharing.NONE, None
        if self.isolation == "none":
            ports = self._on_the_host(scenario)
        else:
            ports = self._in_a_namespace(scenario)
        if self._ipv6 is None and not _disables_ipv6(scenario):
            self._ipv6 = _has_ipv6()
        if self._ipv6 is False and _uses_ipv6(scenario):
            raise NotRun("this system has no IPv6")
        return ports

    def enter_shared(self, symbols: Sequence[str]) -> dict[str, int]:
        """The same, in a namespace, for one of many scenarios that share by their ports, and have these symbols."""
        if sys.platform == "linux":
            return self._namespaces.enter_by_ports(symbols)
        raise AssertionError("only Linux has them")

    def become(self, user: str) -> contextlib.AbstractContextManager[None]:
        """Make the calls inside as `user`."""
        if sys.platform == "linux":
            return namespace.become(user)
        raise AssertionError("such a scenario is not run here")

    def leave(self, outcomes: Iterable[Observed]) -> None:
        """The scenario is over, and did this."""
        if sys.platform == "linux" and self._sharing is not Sharing.NONE:
            self._namespaces.leave(outcomes)

    def _in_a_namespace(self, scenario: Scenario) -> dict[str, int]:
        for user in {step.user for step in scenario.steps} - self._users:
            self._try_user(user)
        if sys.platform == "linux":
            if self._sharing is not Sharing.NONE:
                ports = self._namespaces.enter(scenario, self._sharing)
                self.settler = self._namespaces.settler
                return ports
            namespace.enter(scenario)
            if not scenario.environment and self._defaults is not None:
                return Dealer(*self._defaults).deal(scenario)
            found = namespace.ports_in_force()
            self._defaults = self._defaults if scenario.environment else found
            return Dealer(*found).deal(scenario)
        raise AssertionError("only Linux has them")

    def _try_user(self, user: str) -> None:
        if self.isolation != "netns":
            raise NotRun("needs other users (run as root: a user namespace of one's own holds one user)")
        try:
            with self.become(user):
                pass
        except OSError as error:
            raise NotRun(f"needs other users (whose ids cannot be taken here: {name_of(error)})") from None
        self._users.add(user)

    def _on_the_host(self, scenario: Scenario) -> dict[str, int]:
        if touches_the_host(scenario):
            raise NotRun(f"needs a network namespace ({REMEDY})")
        if not has_loopback():
            raise NotRun(NO_LOOPBACK)
        self._held = self._held or HeldPorts()
        try:
            return {symbol: self._held.take() for symbol in scenario.symbols}
        except NoPort as why:
            raise NotRun(
                f"{why} outside the ephemeral range: narrow that, or make namespaces possible: {REMEDY}"
            ) from None


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # where a scenario's settings leave no port to choose
    return True


def _disables_ipv6(scenario: Scenario) -> bool:
    return any(setting.name.endswith("disable_ipv6") for setting in scenario.environment)


def _uses_ipv6(scenario: Scenario) -> bool:
    made = (step.kind for step in scenario.steps if step.verb == "socket")
    return any(KINDS[kind][1] == 6 for kind in made) or any(address.family == 6 for address in scenario.addresses)
