"""Which scenarios may be performed one after another in one network namespace, and why they do not meet there.

What a scenario can leave in a namespace is its environment, and what the kernel keeps of its sockets when they are
closed: a connection that has yet to end or is in TIME_WAIT, and the port that this connection holds. The environment
of a namespace is made once, with it, and no call of a scenario changes it. A port that is held bears on nothing but
calls that name this port, or let the system choose one. So two ways are safe:

`PORTS`
    The scenario has no environment, and every port that it binds or names is a symbol's. Each symbol stands for a
    number that no scenario had before in this namespace, so whatever is left is of other ports. What the system
    chooses, for a connect() or sendto() of a socket without a port, is chosen apart from what is in use and never
    named, and the other end is a symbol's.
`EMPTY`
    All scenarios of the namespace have the same environment, and before each the kernel was asked: there is no socket
    in the namespace, nor a connection in TIME_WAIT. Then port numbers, and what the system chooses, are as in a new
    one. A connect() that did not return may have left a request which the kernel does not count: after it a new
    namespace is made.
`NONE`
    SCTP's associations outlive their sockets and are not counted there.

What is not left out: the kernel also remembers round-trip times of a pair of hosts, which no outcome shows. That this
argument holds is tried by a test, which performs every variant both ways, in several orders; and a variant that does
not do as expected is performed again in a namespace of its own before it is reported.
"""

from __future__ import annotations

import enum

from ..scenario import Scenario


class Sharing(enum.Enum):
    """How a scenario may share a namespace."""

    NONE = enum.auto()
    EMPTY = enum.auto()
    PORTS = enum.auto()


def sharing(scenario: Scenario) -> Sharing:
    """How a scenario may share a namespace with others that have the same answer."""
    if any(step.kind.startswith("sctp") for step in scenario.steps):
        return Sharing.NONE
    return Sharing.PORTS if not scenario.environment and _symbols_only(scenario) else Sharing.EMPTY


def _symbols_only(scenario: Scenario) -> bool:
    """Whether every port that it binds or names is a symbol's."""
    symbols: set[str] = set()  # sockets whose port is a symbol's
    for step in scenario.steps:
        if any(option.name == "IP_LOCAL_PORT_RANGE" for option in step.options):
            return False
        if step.of in symbols:  # accept() and dup() give it to another
            symbols.add(step.name)
        address = step.address
        if address is None:
            continue
        if address.symbol is None and address.owner not in symbols:
            return False
        if step.verb == "bind" and not step.survives:  # one that may fail leaves the choice to the system
            symbols.add(step.name)
    return True
