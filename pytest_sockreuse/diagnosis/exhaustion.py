"""Why no port is left to choose: who has the range, and what would relieve it, each change asked of the model."""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..dataclass import dataclass
from ..live.census import Census, census
from ..live.holders import OWN_RANGE
from ..live.processes import Process
from ..model import Clause, ModelError, StepPrediction, clauses, predict
from ..parser import parse
from ..platforms import Platform
from ..scenario import ScenarioError
from .question import Address, Asked, at, family_of, shown, wild

_DEAD = ("TIME_WAIT", "FIN_WAIT2")
_NO_PORT = "IP_BIND_ADDRESS_NO_PORT"
_RANK = {"TIME_WAIT": 0, "FIN_WAIT2": 1, "BOUND": 3, "LISTEN": 4}  # of connections 2
_TOP = 3  # destinations and processes that are named
_HIDDEN = -1  # as a process
_NAMED = 20  # of each, in JSON
_SHARE = 0.1  # of the range: what has less is not what to relieve it of


# --- who has it -------------------------------------------------------------------------------------------------------


def reach(asked: Asked) -> Census:
    """Who has which of the ports that this socket may be given."""
    found = census(asked.protocol).of_family(asked.family)
    own = next((option for option in asked.options if option.startswith(OWN_RANGE)), "")
    return found.within(*map(int, own.removeprefix(OWN_RANGE).split("-"))) if own else found


def rows(found: Census) -> Iterator[tuple[str, str]]:
    """The range and who has it, in words."""
    reserved = f", {len(found.reserved)} of them reserved" if found.reserved else ""
    yield "range", f"{found.low}-{found.high}, {_ports(found.high - found.low + 1)} that the OS chooses from{reserved}"
    taken = found.ports()
    states = Counter(states_of(found).values())
    yield "taken", f"{len(taken)} of {found.size}{_percent(len(taken), found.size)}" + _listed(states, len(taken))
    if to := destinations(found):
        more = f"; other destinations: {len(to) - _TOP}" if len(to) > _TOP else ""
        yield "to", "; ".join(f"{shown(place)}: {_ports(n)}" for place, n in _most(to)) + more
    if by := processes(found):
        more = f"; other processes: {len(by) - _TOP}" if len(by) > _TOP else ""
        yield "by", "; ".join(f"{name}: {_ports(n)}" for name, n in by.most_common(_TOP)) + more


def states_of(found: Census) -> dict[int, str]:
    """The state of each port: of several sockets that which keeps it longest."""
    best: dict[int, str] = {}
    for seat in found.seats:
        port, state = seat.local[1], seat.state
        if port not in best or _RANK.get(state, 2) > _RANK.get(best[port], 2):
            best[port] = state
    return {port: state for port, state in best.items() if port not in found.reserved}


def destinations(found: Census) -> Counter[Address]:
    """How many ports have a connection to each foreign address that they went out to."""
    served = {seat.local[1] for seat in found.seats if seat.state == "LISTEN"} | found.reserved
    pairs = {(seat.foreign, seat.local[1]) for seat in found.seats if seat.foreign[1]}
    return Counter(foreign for foreign, port in pairs if port not in served)


def processes(found: Census) -> Counter[str]:
    """How many ports each process has."""
    owned = {(pid, seat.local[1]) for seat in found.seats for pid in (seat.pids or (_HIDDEN if seat.inode else 0,))}
    counts = sorted(Counter(pid for pid, _ in owned).items(), key=lambda it: (-it[1], it[0]))
    names = {pid: str(Process(pid)) for pid, _ in counts[:_NAMED] if pid > 0}
    names |= {0: "no process, or none that can be seen", _HIDDEN: "processes that cannot be seen"}
    return Counter({names.get(pid, f"pid {pid}"): n for pid, n in counts})


def unseen(found: Census) -> list[str]:
    """What this user cannot see."""
    ports = {seat.local[1] for seat in found.seats if seat.inode and not seat.pids}
    return [f"the processes of {_ports(len(ports))}: ask as root"] if ports else []


def _most(counts: Counter[Any]) -> list[tuple[Any, int]]:
    """The first of a count, those with equal numbers in the order of their names."""
    return sorted(counts.items(), key=lambda it: (-it[1], it[0]))[:_TOP]


def _ports(count: int) -> str:
    return f"{count} port{'s' * (count != 1)}"


def _percent(count: int, of: int) -> str:
    return f" ({100 * count // of} %)" if of else ""


def _listed(states: Counter[str], of: int) -> str:
    parts = [f"{state} {n}{_percent(n, of)}" for state, n in states.most_common()]
    return f": {', '.join(parts)}" if parts else ""


def to_json(found: Census) -> dict[str, Any]:
    """The same for programs."""
    return {
        "low": found.low,
        "high": found.high,
        "reserved": len(found.reserved),
        "size": found.size,
        "taken": len(found.ports()),
        "states": dict(Counter(states_of(found).values()).most_common()),
        "destinations": [{"address": shown(it), "ports": n} for it, n in destinations(found).most_common(_NAMED)],
        "processes": [{"process": it, "ports": n} for it, n in processes(found).most_common(_NAMED)],
    }


# --- what would relieve it --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scene:
    """A range of one port, which an old socket has, and a new one that wants a port too."""

    protocol: str = "tcp"
    six: bool = False
    remote: bool = False  # the server is on another host
    bound: bool = False  # the old one was bound before it connected
    listens: bool = False  # the old one is a server
    state: str = "ESTABLISHED"  # the old one's
    new_bound: bool = False
    connects: bool = True  # the new one
    new_listens: bool = False  # and neither binds nor connects
    no_port: bool = False
    same: bool = True  # the destination
    source: bool = False  # another source address for the new one
    peer_first: bool = False
    settings: Mapping[str, str] | None = None
    wait: int = 0
    ports: str = "40000-40000"

    def lines(self) -> Iterator[str]:
        """The scenario."""
        kind = f"{self.protocol}{6 if self.six else 4}"
        server, mine, second = self._hosts()
        yield from (f"sysctl {name} = {value}" for name, value in (self.settings or {}).items())
        yield f"ephemeral {self.ports}"
        if self.remote:
            yield from (f"address {host}" for host in dict.fromkeys((server, mine, second)))
        elif self.six:
            yield f"address {second}"
        for name, port in (("server", "D"), ("another", "E")):
            yield from (f"{name} = {kind}()", f"{name}.bind({at(server, port)})")
            if self.protocol == "tcp":
                yield f"{name}.listen()"
        option = _NO_PORT if self.no_port else ""
        yield f"old = {kind}({option if self.bound else ''})"
        if self.bound or self.listens:
            yield f"old.bind({at(mine, '0')})"
        if self.listens:
            yield from ["old.listen()"] if self.protocol == "tcp" else []
        else:
            yield f"old.connect({at(server, 'D')})"
            yield from self._ended() if self.protocol == "tcp" else ()
        if self.wait:
            yield f"wait {self.wait}"
        no_port = self.source or (self.no_port and self.new_bound)
        yield f"new = {kind}({_NO_PORT if no_port and self.protocol == 'tcp' else ''})"
        if self.source or self.new_bound:
            yield f"new.bind({at(second if self.source else mine, '0')})"
        if self.connects:
            yield f"new.connect({at(server, 'D' if self.same else 'E')})"
        elif self.new_listens:
            yield "new.listen()"

    def _hosts(self) -> tuple[str, str, str]:
        """The server's address, that of the sockets, and another of this host."""
        if self.remote:
            net = "2001:db8::" if self.six else "192.0.2."
            return f"{net}1", f"{net}2", f"{net}3"
        return ("::1", "::1", "2001:db8::9") if self.six else ("127.0.0.1", "127.0.0.1", "127.0.0.9")

    def _ended(self) -> Iterator[str]:
        yield "child = server.accept()"
        first, then = ("child", "old") if self.peer_first else ("old", "child")
        if self.state in _DEAD:
            yield f"{first}.close()"
        if self.state == "TIME_WAIT":
            yield from (f"{then}.eof()", f"{then}.close()")


@dataclass(frozen=True, slots=True)
class _Relief:
    """A change: what it makes of the scene, and of what it is one."""

    sentence: str
    edit: Callable[[_Scene], _Scene]
    where: Callable[[_Scene], bool] = lambda _: True


_NO_BIND = "do not bind before connect: one port then serves connections to several destinations"
_RELIEFS = (
    _Relief(
        f"set {_NO_PORT} before bind(address, 0), on all of them: connect then chooses the port, and one port serves \
connections to several destinations",
        lambda it: replace(it, no_port=True, connects=True, same=False),
        lambda it: it.protocol == "tcp" and (it.bound or it.new_bound) and not it.listens,
    ),
    _Relief(
        _NO_BIND,
        lambda it: replace(it, bound=False, new_bound=False, connects=True, same=False),
        lambda it: it.protocol == "tcp" and (it.bound or it.new_bound) and not it.listens,
    ),
    _Relief(
        "have the other side close first: it then keeps TIME_WAIT, at its own port",
        lambda it: replace(it, peer_first=True),
        lambda it: it.state == "TIME_WAIT",
    ),
    _Relief(
        "set net.ipv4.tcp_tw_reuse=1 (with TCP timestamps): a port in TIME_WAIT is used again after a second",
        lambda it: replace(it, settings={**(it.settings or {}), "net.ipv4.tcp_tw_reuse": "1"}, wait=2),
        lambda it: it.state == "TIME_WAIT",
    ),
    _Relief(
        "connect from another source address too (bind it with port 0 and IP_BIND_ADDRESS_NO_PORT): each has the "
        "whole range",
        lambda it: replace(it, source=True, connects=True),
        lambda it: it.connects and it.protocol == "tcp",
    ),
    _Relief(
        "use another source address too (bind it with port 0): each has the whole range",
        lambda it: replace(it, source=True),
        lambda it: it.protocol == "udp",
    ),
    _Relief(
        "connect to another address or port of the server too: each destination has the whole range",
        lambda it: replace(it, same=False),
        lambda it: it.connects and it.same,
    ),
    _Relief("give the OS a wider range to choose from", lambda it: replace(it, ports="40000-40003")),
)


def relieved(
    asked: Asked, found: Census, platform: Platform, how: Mapping[int, str] | None = None
) -> tuple[tuple[Clause, ...], list[str]]:
    """The clauses by which no port is left, and what would help. `how` says of sockets how they came to their port.

    Nothing where the model does not account for the answer.
    """
    known = {clause.name: clause for clause in clauses(platform)}
    deciding: dict[str, Clause] = {}
    scenes = []
    for scene in _scenes(asked, found, how or {}):
        answer = _failed(scene, platform)
        if answer is not None and asked.errno in answer.outcomes:
            scenes.append(scene)
            deciding.setdefault(answer.clause, known[answer.clause])
    helps = []
    for relief in _RELIEFS:
        where = [scene for scene in scenes if relief.where(scene)]
        good = [scene for scene in where if _failed(relief.edit(scene), platform) is None]
        if good:
            helps.append(relief.sentence + _condition(good, where, scenes))
    return tuple(deciding.values()), [*helps, *_plain(asked, found)]


def _condition(good: Sequence[_Scene], where: Sequence[_Scene], scenes: Sequence[_Scene]) -> str:
    """In which of several stories a change helps; nothing if in all of them."""
    if len(good) == len(where):
        return " (where they are bound before they connect)" if len(where) < len(scenes) else ""
    if not any(scene.bound for scene in good) and all(scene in good for scene in where if not scene.bound):
        return " (if connect chose the ports that are taken, and not a bind before it)"
    return " (perhaps: it depends on how the ports were taken)"


def _plain(asked: Asked, found: Census) -> Iterator[str]:
    """What needs no model."""
    states = Counter(states_of(found).values())
    dead = sum(states[state] for state in _DEAD)
    if dead * 2 > sum(states.values()):
        if states["FIN_WAIT2"]:
            yield "have the other side close too: FIN_WAIT2 keeps a port until it has, or tcp_fin_timeout has passed"
        yield "keep connections open, and use them again"
    else:
        yield "close sockets that are not needed: have fewer open at once"
        if asked.protocol == "udp":
            yield "send from one socket by sendto, rather than from one for each destination"
    if len(found.reserved) > _SHARE * (found.high - found.low + 1):
        yield f"{len(found.reserved)} ports of the range are reserved (net.ipv4.ip_local_reserved_ports): reserve fewer"


def _scenes(asked: Asked, found: Census, how: Mapping[int, str]) -> Iterator[_Scene]:
    """What may have happened: the state that most ports are in, and whether their sockets were bound."""
    states = Counter(states_of(found).values())
    to = destinations(found)
    foreign = asked.foreign or next(iter(to), None)
    base = _Scene(
        asked.protocol,
        six=asked.family == socket.AF_INET6 and ":" in asked.local[0] and "." not in asked.local[0],
        remote=foreign is not None and not _loopback(foreign[0]),
        new_bound=asked.verb == "bind" or not ipaddress.ip_address(asked.local[0]).is_unspecified,
        connects=asked.verb in ("connect", "send"),
        new_listens=asked.verb == "listen",
        settings=dict(asked.settings),
        no_port=_NO_PORT in asked.options,
    )
    most = states.most_common(1)[0][0] if states else "BOUND"
    keys = [seat.inode or -seat.local[1] for seat in found.seats if seat.state == most or most not in _DEAD]
    ways = {how[key] for key in keys if key in how}
    if most in ("LISTEN", "BOUND") and asked.protocol == "tcp":
        yield replace(base, listens=True)
        return
    bounds = sorted({way == "bind" for way in ways}) or [False, True]
    same = [True] if len(to) < 2 else [True, False]
    for bound, one in itertools.product(bounds, same):
        yield replace(base, bound=bound, same=one, state=most if most in _DEAD else "ESTABLISHED")


def _loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_unspecified


def _failed(scene: _Scene, platform: Platform) -> StepPrediction | None:
    """The call of the new socket that fails, or another step that does not go as it should; None if all is well."""
    try:
        steps = predict(parse("\n".join(scene.lines())), platform).steps
    except (ScenarioError, ModelError):
        return StepPrediction("", unknown="not asked")
    return next((step for step in steps if step.outcomes != ("ok",)), None)


def of_range(found: Census, protocol: str, platform: Platform, settings: Mapping[str, str]) -> tuple[list[str], bool]:
    """What would relieve the range of whom it serves most, and whether a port is left."""
    if not found.ports():
        return [], True
    to = destinations(found)
    errno = none_left(protocol, platform)
    place, count = to.most_common(1)[0] if to else (("127.0.0.1", 0), 0)
    asked = Asked("connect", errno, protocol, family_of(place[0]), (), (wild(place[0]), 0), place if count else None)
    asked = replace(asked, settings=tuple(settings.items()))
    _, helps = relieved(asked, found, platform)
    return helps, len(found.ports()) < found.size


def none_left(protocol: str, platform: Platform) -> str:
    """What connect() fails with where no port is left to choose."""
    if platform.stack == "windows":
        return "ENOBUFS"
    return "EAGAIN" if protocol == "udp" and platform.stack in ("linux", "gvisor") else "EADDRNOTAVAIL"
