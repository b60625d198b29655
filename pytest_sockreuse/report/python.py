"""A scenario as a Python program that makes the same calls and prints what each came to: to be pasted, and changed.

The program needs nothing but Python, and makes its calls on the host on which it runs. Where a scenario has lines of
environment, the commands that make it on Linux stand above.
"""

from __future__ import annotations

import builtins
import keyword
import re
import shlex
from collections.abc import Collection, Iterator

from ..options import options
from ..scenario import KINDS, Address, Option, Scenario, Setting, Step
from .harness import TEMPLATE, harness

_KINDS = {
    "tcp": "socket.SOCK_STREAM",
    "udp": "socket.SOCK_DGRAM",
    "mptcp": "socket.SOCK_STREAM, 262",
    "sctp": "socket.SOCK_STREAM, 132",
    "udplite": "socket.SOCK_DGRAM, 136",
}
#: Options that Python's socket has on every system.
_EVERYWHERE = frozenset(
    "SO_REUSEADDR SO_LINGER SO_BROADCAST SO_DONTROUTE SO_KEEPALIVE SO_RCVBUF SO_SNDBUF IP_TOS IP_TTL TCP_NODELAY "
    "IPV6_V6ONLY".split()
)
#: Systems by what `sys.platform` begins with, where that is another word; gVisor and Wine show what they imitate.
_SYSTEMS = {"macos": "darwin", "illumos": "sunos", "windows": "win", "gvisor": "linux", "wine": "win"}

_MODULES = "contextlib ctypes errno os random select signal socket struct sys time".split()
_VERBS = {
    "bind": "to",
    "connect": "to blocks",
    "sendto": "to",
    "eof": "blocks",
    "send": "blocks",
    "accept": "",
    "dup": "",
}
_GLOBAL = frozenset({*_MODULES, *re.findall(r"^(?:class|def) (\w+)", TEMPLATE, re.M), "calls", "SYSTEM", "LINGER"})


def program(scenario: Scenario) -> str:
    """A program that makes the calls of a scenario, and prints a line for each, as ``sockreuse run`` does."""
    return _Program(scenario).text()


class _Program:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.options = list(dict.fromkeys(option.name for step in scenario.steps for option in step.options))
        self.devices = {"lo", *(setting.value for setting in scenario.environment if setting.kind == "device")}
        self.names = self._names()
        self.needs = set(self._needed())

    def _names(self) -> dict[str, str]:
        """A variable for each name of the scenario, and for each symbol of a port, which is called as it is after a
        colon."""
        taken = {*_GLOBAL, *self.options, *keyword.kwlist, *dir(builtins)}
        found: dict[str, str] = {}
        names = (step.name for step in self.scenario.steps if step.name)
        for name in (*(f":{symbol}" for symbol in self.scenario.symbols), *names):
            if name not in found:
                variable = name.lstrip(":")
                while variable in taken:
                    variable += "_"
                taken.add(variable)
                found[name] = variable
        return found

    def _needed(self) -> Iterator[str]:
        """The words of the template that this scenario is about."""
        for step in self.scenario.steps:
            yield step.verb
            yield from _VERBS.get(step.verb, "").split()
            if step.user:
                yield "as"
            if step.backlog is not None and step.backlog < 0:
                yield "negative"
        for address in self.scenario.addresses:
            if address.symbol:
                yield "symbol"
            if address.owner:
                yield "port"
            if address.family == 6:
                yield "ipv6"

    def text(self) -> str:
        calls = "".join(f"    {line}\n" if line else "\n" for line in self._calls()) or "    pass\n"
        made = harness(self.needs)
        body = f"\n\ndef calls():\n{calls}\n\n{made}\n\n\n{''.join(self._start())}calls()\n"
        constants = "".join(f"{line}\n" for line in self._constants())
        used = set(re.findall(r"\b([a-z]+)\.", constants + body))
        imports = "".join(f"import {name}\n" for name in _MODULES if name in used)
        about = '"""Makes socket calls and prints what each comes to. Made from a scenario by pytest-sockreuse."""\n'
        return f"{about}{''.join(self._environment())}\n{imports}{constants and chr(10)}{constants}{body}"

    def _environment(self) -> Iterator[str]:
        """Commands of Linux that make what the scenario asks for, as a comment."""
        if self.scenario.environment:
            yield "\n# First, in a network namespace of its own, such as unshare --net --map-root-user sh gives:\n"
            yield "#     ip link set lo up\n"
            yield from (f"#     {_command(setting)}\n" for setting in self.scenario.environment)

    def _start(self) -> Iterator[str]:
        if "blocks" in self.needs:
            yield 'if hasattr(signal, "alarm"):  # no call waits for ever\n'
            yield f"    signal.signal(signal.SIGALRM, time_up)\n    signal.alarm({10 + int(self.scenario.waits)})\n"

    def _constants(self) -> Iterator[str]:
        if not set(self.options) <= _EVERYWHERE:
            yield 'SYSTEM = sys.platform.rstrip("0123456789")'
        for name in self.options:
            known = options()[name]
            number = f"socket.{name}"
            if name not in _EVERYWHERE:
                numbers = {_SYSTEMS.get(system, system): number for system, number in known.number.items()}
                number = f'getattr(socket, "{name}", {numbers}.get(SYSTEM, -1))'.replace("'", '"')
            yield f"{name} = socket.{known.level}, {number}"
        if any(options()[name].form == "linger" for name in self.options):
            yield 'LINGER = "HH" if sys.platform == "win32" else "ii"'

    def _calls(self) -> Iterator[str]:
        """The lines of the calls, each with the comments that stand at or above its line in the scenario."""
        for symbol in self.scenario.symbols:
            yield f"{self.names[f':{symbol}']} = free_port()"
        said = 0
        for step in self.scenario.steps:
            yield from (f"# {note}" for note in self._notes(said, step.line - 1))
            trailing = (
                "".join(f"  # {note}" for note in self._notes(step.line - 1, step.line)) if said < step.line else ""
            )
            said = step.line
            yield f"{self._call(step)}{trailing}"
        yield from (f"# {note}" for note in self._notes(said, len(self.scenario.lines)))

    def _notes(self, first: int, last: int) -> Iterator[str]:
        for line in self.scenario.lines[first:last]:
            _, hash_, note = line.partition("#")
            if hash_ and note.strip():
                yield note.strip()

    def _call(self, step: Step) -> str:
        if step.verb == "wait":
            return f"time.sleep({step.seconds})"
        name = self.names[step.name]
        more = ["goes_on=True"] if step.survives else []
        match step.verb:
            case "socket":
                return f"{name} = Socket({', '.join([*self._made(step), *more])})"
            case "accept" | "dup":
                arguments = ", ".join([f'"{step.name}"', *more])
                return f"{name} = {self.names[step.of]}.{step.verb}({arguments})"
            case verb:
                arguments = ", ".join([*self._arguments(step), *more])
                return f"{name}.{_METHODS.get(verb, verb)}({arguments})"

    def _made(self, step: Step) -> Iterator[str]:
        proto, family = KINDS[step.kind]
        yield f'"{step.name}"'
        yield "socket.AF_INET6" if family == 6 else "socket.AF_INET"
        yield _KINDS[proto]
        if step.options:
            pairs = [f"({option.name}, {_value(option, self.devices)})" for option in step.options]
            yield f"options=[{', '.join(pairs)}]"
        if step.user:
            yield f'user="{step.user}"'

    def _arguments(self, step: Step) -> Iterator[str]:
        match step.verb:
            case "set":
                yield from (step.options[0].name, _value(step.options[0], self.devices))
            case "get":
                yield from (step.options[0].name, *_read(step.options[0].name))
            case "bind" | "connect":
                yield self._address(step.address)
            case "sendto":
                yield from ('b"x"', self._address(step.address))
            case "send":
                yield 'b"x"'
            case "recv":
                yield "65536" if self._datagrams(step.name) else "1"
            case "shutdown":
                yield f"socket.SHUT_{step.how}"
            case "listen" if step.backlog is not None:
                yield str(step.backlog)

    def _datagrams(self, name: str) -> bool:
        """Whether a name is of a socket whose messages are read as a whole."""
        made = next(step for step in self.scenario.steps if step.name == name)
        return self._datagrams(made.of) if made.of else KINDS[made.kind][0].startswith("udp")

    def _address(self, address: Address | None) -> str:
        assert address is not None
        port = str(address.port)
        if address.owner:
            port = f"{self.names[address.owner]}.port"
        elif address.symbol:
            port = self.names[f":{address.symbol}"]
        host, _, device = address.host.partition("%")
        return f'("{host}", {port}, 0, {_index(device, self.devices)})' if device else f'("{host}", {port})'


_METHODS = {"set": "setsockopt", "get": "getsockopt", "name": "getsockname"}
#: How what getsockopt gives is read: the size that is asked for, 0 for a number, and a function.
_READ = {
    "flag": ("0", "lambda value: str(int(value != 0))"),
    "int": ("0", "str"),
    "linger": ("struct.calcsize(LINGER)", 'lambda value: str(struct.unpack(LINGER, value)[1]) if value[0] else "off"'),
    "range": ("4", 'lambda value: "{1}-{0}".format(*divmod(struct.unpack("@I", value)[0], 65536))'),
    "text": ("64", 'lambda value: value.rstrip(b"\\0").decode()'),
    "group": ("0", "str"),
    "device": ("0", 'lambda value: socket.if_indextoname(value) if value else "0"'),
}


def _read(name: str) -> tuple[str, str]:
    """How a value is read; the device of IPv4 is told by its address."""
    return ("4", "socket.inet_ntoa") if name == "IP_MULTICAST_IF" else _READ[options()[name].form]


def _value(option: Option, devices: Collection[str]) -> str:
    """The value of an option as setsockopt takes it; a device that is none of these has a number that none has."""
    form, value = options()[option.name].form, option.value or "1"
    if option.raw is not None:
        return repr(option.raw)
    match form:
        case "linger":
            return "struct.pack(LINGER, 0, 0)" if value == "off" else f"struct.pack(LINGER, 1, {int(value)})"
        case "range":
            low, high = map(int, value.split("-"))
            return f'struct.pack("@I", {high} << 16 | {low})'
        case "text":
            return repr(value.encode() + b"\0")
        case "group" | "device":
            host, _, device = value.partition("%") if form == "group" else ("", "", value)
            return _membership(host, _index(device, devices), option.name)
        case _:
            return str(int(value))


def _index(device: str, devices: Collection[str]) -> str:
    return f'socket.if_nametoindex("{device}")' if device in devices else "0" if not device else "2**31 - 1"


def _membership(host: str, index: str, name: str) -> str:
    """A group and the number of a device, or that alone, as Linux takes them; the others take those of IPv6 so."""
    if not name.startswith("IPV6_"):
        return f'socket.inet_aton("{host or "0.0.0.0"}") + bytes(4) + struct.pack("@i", {index})'
    return f'socket.inet_pton(socket.AF_INET6, "{host}") + struct.pack("@I", {index})' if host else index


def _command(setting: Setting) -> str:
    match setting.kind:
        case "sysctl":
            return f"sysctl -w {setting.name}={shlex.quote(setting.value)}"
        case "ephemeral":
            return "sysctl -w net.ipv4.ip_local_port_range='{} {}'".format(*setting.ports)
        case "address":
            host, _, device = setting.value.partition("%")
            return f"ip address add {host} dev {device or 'lo'}"
        case _:
            return f"ip link add {setting.value} type dummy && ip link set {setting.value} up"
