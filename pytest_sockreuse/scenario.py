"""The scenario language, version 1, as data: steps, options, addresses, outcomes. Imports nothing of ours.

`parser` makes a `Scenario` of a text; ``str()`` makes the text of a scenario. Lines such as
``S[1-8].bind(127.0.0.1:0)`` are kept as they were written (for printing) and expanded (for performing).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any, NamedTuple

from .dataclass import dataclass

#: Transport and address family of each socket kind.
KINDS = {
    f"{proto}{family}": (proto, family) for proto in ("tcp", "udp", "mptcp", "sctp", "udplite") for family in (4, 6)
}
USERS = ("user1", "user2", "root")


class Line(NamedTuple):
    """A kind of line: its verb, how it may be written, what it does, what it records. In Markdown, for people."""

    verb: str
    forms: tuple[str, ...]
    does: str
    records: str = ""


#: The lines that are steps.
CALLS = (
    Line(
        "socket",
        ("NAME = tcp4(OPTION, OPTION=VALUE, …)",),
        "`socket`, then `setsockopt` for each option, from left to right",
    ),
    Line("socket", ("NAME = tcp4(…) as USER",), "the same by another user, who then makes all calls on it"),
    Line("accept", ("NAME = LISTENER.accept()",), "`accept`"),
    Line(
        "dup", ("NAME = OTHER.dup()",), "`dup`: a second descriptor of the same socket, as a child process inherits it"
    ),
    Line("set", ("NAME.set(OPTION=VALUE)",), "`setsockopt`"),
    Line("get", ("NAME.get(OPTION)",), "`getsockopt`", "the value, as `set` takes it; of a flag 0 or 1"),
    Line("bind", ("NAME.bind(ADDRESS:PORT)",), "`bind`"),
    Line("listen", ("NAME.listen()", "NAME.listen(N)"), "`listen`, with a backlog of 8 or N"),
    Line("connect", ("NAME.connect(ADDRESS:PORT)",), "`connect`, on a blocking socket"),
    Line("disconnect", ("NAME.disconnect()",), "`connect` with the family `AF_UNSPEC`"),
    Line("shutdown", ("NAME.shutdown(HOW)",), "`shutdown`; HOW is `RD`, `WR` or `RDWR`"),
    Line("eof", ("NAME.eof()",), "`recv` until the peer has no more to send"),
    Line("send", ("NAME.send()",), "`send`, of one byte"),
    Line("sendto", ("NAME.sendto(ADDRESS:PORT)",), "`sendto`, of one byte"),
    Line(
        "recv",
        ("NAME.recv()",),
        "`recv`, of one message or one byte; `ok` also where it returns 0, as after `shutdown(RD)`",
    ),
    Line("name", ("NAME.name()",), "`getsockname`", "`ADDRESS:PORT`, or `[ADDRESS]:PORT`"),
    Line(
        "close",
        ("NAME.close()",),
        "`close`; it waits until no local TCP connection is in FIN_WAIT1, CLOSING or LAST_ACK, at most 0.5 s",
    ),
    Line("wait", ("wait SECONDS",), "time passes; decimals are allowed"),
)
#: The lines of the environment, which come before the first socket.
ENVIRONMENT = (
    Line("sysctl", ("sysctl NAME = VALUE",), "a setting of this system, by its own name"),
    Line(
        "ephemeral", ("ephemeral LOW-HIGH",), "the ports that the system chooses from, whatever it calls that setting"
    ),
    Line(
        "address",
        ("address ADDRESS",),
        "one more local address of `lo`, or as in `fe80::1%d1` of a device; on Linux, gVisor and Windows all of "
        "`127.0.0.0/8` is local",
    ),
    Line(
        "device",
        ("device NAME",),
        "one more interface, for `SO_BINDTODEVICE` and link-local addresses; `lo` is always there",
    ),
)


class ScenarioError(ValueError):
    """A text that is not a scenario: `line` and `column` count from 1, `expected` says what should stand there."""

    def __init__(self, line: int, column: int, expected: str) -> None:
        super().__init__(f"{line}:{column}: {expected}")
        self.line, self.column, self.expected = line, column, expected


@dataclass(frozen=True, slots=True)
class Option:
    """One socket option; `value` is the text after ``=``, or None where the name stands alone and means 1."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"

    @property
    def raw(self) -> bytes | None:
        """The bytes of a ``raw:HEX`` value, else None."""
        return bytes.fromhex(self.value[4:]) if self.value is not None and self.value.startswith("raw:") else None


@dataclass(frozen=True, slots=True)
class Address:
    """A local or foreign address: `host` is a literal without brackets, of IPv6 perhaps with a device, ``fe80::1%lo``;
    `port` is a number, a symbol or ``NAME.port``."""

    host: str
    port: int | str

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.family == 6 else f"{self.host}:{self.port}"

    @property
    def family(self) -> int:
        return 6 if ":" in self.host else 4

    @property
    def owner(self) -> str | None:
        """The socket whose port is meant, for ``NAME.port``."""
        return self.port[:-5] if isinstance(self.port, str) and self.port.endswith(".port") else None

    @property
    def symbol(self) -> str | None:
        """The port symbol, such as ``P``."""
        return self.port if isinstance(self.port, str) and "." not in self.port else None


@dataclass(frozen=True, slots=True)
class Setting:
    """An environment line: `kind` is sysctl, ephemeral, address or device; `name` is set for a sysctl only."""

    kind: str
    value: str
    name: str = ""

    def __str__(self) -> str:
        return f"sysctl {self.name} = {self.value}" if self.kind == "sysctl" else f"{self.kind} {self.value}"

    @property
    def ports(self) -> tuple[int, int]:
        """Low and high of an ``ephemeral`` line."""
        low, high = self.value.split("-")
        return int(low), int(high)


@dataclass(frozen=True, slots=True)
class Step:
    """One call. `verb` is one of `CALLS`; the other fields are set where the verb has them.

    `of` is the name on which accept and dup, which make `name`, are called.
    """

    verb: str
    name: str = ""
    label: str = ""
    line: int = 0
    kind: str = ""
    user: str = ""
    options: tuple[Option, ...] = ()
    address: Address | None = None
    of: str = ""
    backlog: int | None = None
    how: str = ""
    seconds: str = ""
    survives: bool = False

    def __str__(self) -> str:
        end = "?" if self.survives else ""
        opts = ", ".join(map(str, self.options))
        match self.verb:
            case "wait":
                return f"wait {self.seconds}"
            case "socket":
                return f"{self.name} = {self.kind}({opts})" + (f" as {self.user}" if self.user else "") + end
            case "accept" | "dup":
                return f"{self.name} = {self.of}.{self.verb}(){end}"
            case "set" | "get":
                argument = opts
            case "bind" | "connect" | "sendto":
                argument = str(self.address)
            case "listen":
                argument = "" if self.backlog is None else str(self.backlog)
            case _:
                argument = self.how
        return f"{self.name}.{self.verb}({argument}){end}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A parsed scenario.

    `lines` are its source lines in canonical spelling; `environment` and `steps` what they stand for, expanded.
    """

    lines: tuple[str, ...]
    environment: tuple[Setting, ...]
    steps: tuple[Step, ...]
    title: str | None = None

    def __str__(self) -> str:
        head = f"--- {self.title}\n" if self.title is not None else ""
        return head + "".join(line + "\n" for line in self.lines)

    @property
    def bare(self) -> str:
        """Its text without title and comments, which may be megabytes: what there is to perform."""
        lines = (
            [line.partition("#")[0] for line in self.lines] if any("#" in line for line in self.lines) else self.lines
        )
        return "\n".join(filter(None, lines))

    @property
    def addresses(self) -> Iterator[Address]:
        """Every address that a step names."""
        return (step.address for step in self.steps if step.address is not None)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The port symbols in order of their first use."""
        return tuple(dict.fromkeys(a.symbol for a in self.addresses if a.symbol is not None))

    @property
    def labels(self) -> frozenset[str]:
        """The labels that its outcomes carry."""
        return frozenset(step.label for step in self.steps if step.label)

    @property
    def waits(self) -> float:
        """Seconds of all ``wait`` lines."""
        return sum(float(step.seconds) for step in self.steps if step.verb == "wait")


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What one step did: `outcome` is ok, an errno name, timeout or unreached; `value` what name and get recorded."""

    step: str
    outcome: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """A scenario performed: what its steps did, the `ports` that its symbols stood for; or why it was `not_run`."""

    platform: str
    steps: tuple[StepOutcome, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    not_run: str | None = None

    def to_json(self, title: str | None = None) -> dict[str, Any]:
        """The object that ``sockreuse run --json`` prints."""
        head: dict[str, Any] = {"platform": self.platform}
        if title is not None:
            head["title"] = title
        if self.not_run is not None:
            return head | {"not_run": self.not_run}
        return head | {"steps": [{"step": s.step, "outcome": s.outcome, "value": s.value} for s in self.steps]}
