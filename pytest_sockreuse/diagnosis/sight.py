"""What is seen in the moment of a question or a failure, and the explanation of it: rows for a reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from ..dataclass import dataclass
from ..live.census import Census, reserved_ports
from ..live.holders import Holder, holders
from ..live.port_blocks import ephemeral
from ..platforms import Platform
from . import Diagnosis, diagnose, exhaustion, words
from .changes import NO_SERVER
from .question import Asked, is_local, is_scoped
from .words import Row, Scene

_EXHAUSTED = ("EADDRINUSE", "EADDRNOTAVAIL", "EAGAIN", "ENOBUFS")
_RESERVED = {
    "linux": "the OS never chooses it by itself",
    "windows": "it is in an excluded range, of which nobody may bind a port but who asked for the range",
}
_EXCLUDED = (
    "use a port outside of the ranges that `netsh interface ipv4 show excludedportrange tcp` prints",
    "stop who asked for the range (Hyper-V, WSL, Docker: `net stop winnat`), start your program, `net start winnat`",
)


@dataclass(frozen=True, slots=True)
class Sight:
    """A call that failed, or that is asked about: the sockets at its port, each in words; or, where the OS was to
    choose the port, who has the range. `how` says by inode and by port how sockets came to their ports."""

    asked: Asked
    there: tuple[Holder, ...]
    scene: Scene
    said: Mapping[Holder, str] = field(default_factory=dict)
    taken: Census | None = None
    how: Mapping[int, str] = field(default_factory=dict)

    def explanation(self) -> Explanation:
        """The clause that decides and what helps, asked of the model."""
        if self.taken is not None:
            deciding, helps = exhaustion.relieved(self.asked, self.taken, self.scene.platform, self.how)
            return Explanation(self, Diagnosis(deciding, ()), tuple(helps))
        ranked = sorted(self.there, key=lambda it: not it.keeps)
        found = diagnose(self.asked, ranked, self.scene.platform)
        if self.asked.low and ranked:  # is it taken as well?
            allowed = replace(self, asked=replace(self.asked, low=False, errno="EADDRINUSE"))
            then = diagnose(allowed.asked, ranked, self.scene.platform)
            if then.clauses:
                both = Diagnosis((*found.clauses, *then.clauses), (), then.blocking)
                return Explanation(self, both, (*_privilege(self.asked), *allowed.explanation().fixes))
        blocks = {id(it) for it in found.blocking}
        blocking = [it for it in self.there if id(it) in blocks]
        partly = [change for change in found.changes if change.endswith(NO_SERVER)]  # no server's first choice
        clean = [change for change in found.changes if change not in partly]
        return Explanation(self, found, (*dict.fromkeys((*clean, *_others(self, blocking), *partly)),))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What decided, and what helps."""

    sight: Sight
    found: Diagnosis
    fixes: tuple[str, ...]

    def rows(self) -> Iterator[Row]:
        """Who has the port, the clause, what helps."""
        sight = self.sight
        if sight.taken is not None:
            yield from exhaustion.rows(sight.taken)
        elif sight.there:
            blocks = {id(it) for it in self.found.blocking}
            blocking = [it for it in sight.there if id(it) in blocks]
            beside = [it for it in sight.there if id(it) not in blocks]
            yield from (("held by", text) for text in _said(blocking, sight))
            yield from (("beside", f"{text}; it is not in the way") for text in _said(beside, sight))
        elif sight.asked.local[1] and not sight.asked.low:
            yield "held by", "nobody that can be seen"
        port = sight.asked.local[1]
        if port and port in reserved_ports():
            yield "port", f"{port} is reserved: {_RESERVED.get(sight.scene.platform.stack, 'nobody may have it')}"
        elif port and sight.scene.chosen(port) and (sight.scene.ask or any(it.how == "connect" for it in sight.there)):
            low, high = sight.scene.ephemeral
            yield "port", f"{port} is one of {low}-{high}, from which the OS chooses ports for others"
        if sight.asked.low and self.found.blocking:
            yield "port", f"{port} is taken too: who may bind so low a port would get EADDRINUSE"
        yield from (("clause", f"{clause.sentence} ({clause.name})") for clause in self.found.clauses)
        if not self.found.clauses and sight.asked.errno:
            yield "clause", f"the model of {sight.scene.platform} does not account for this by what can be seen"
        yield from (("fix", fix) for fix in self.fixes)


def look(
    asked: Asked,
    scene: Scene,
    how: Mapping[int, str],
    is_asker: Callable[[int | None], bool] = lambda _: False,
    there: Sequence[Holder] | None = None,
) -> Sight:
    """What there is now, or was when `there` was taken. `is_asker` tells the descriptors of the socket that asks."""
    if asked.local[1]:
        there = holders(asked.local[1], asked.protocol) if there is None else there
        found = [_with_origin(it, how, scene) for it in there if not is_asker(it.fd)]
        said = {it: words.sockets([it], scene)[0] for it in found[:40]}
        return Sight(asked, tuple(found), scene, said, None, how)
    if asked.errno in _EXHAUSTED and not _elsewhere(asked):
        taken = exhaustion.reach(asked)
        return Sight(asked, (), scene, {}, taken, how)
    return Sight(asked, (), scene, {}, None, how)


def nothing_to_find(asked: Asked) -> str:
    """The cause where it is no other socket: the address, or the privilege."""
    host = (asked.foreign or asked.local)[0]
    if ":" in host and not is_local("::1"):
        return "this system has no IPv6: use 127.0.0.1"
    if asked.errno == "EINVAL" and is_scoped(host) and not asked.device:
        return f"name the interface, as in [{host}%eth0]:{(asked.foreign or asked.local)[1]}, or set SO_BINDTODEVICE"
    if asked.verb == "bind" and not is_local(asked.local[0], asked.device):
        return f"no interface here has {asked.local[0]}: bind an address of this machine, or 127.0.0.1"
    return ""


def _elsewhere(asked: Asked) -> bool:
    return bool(nothing_to_find(asked)) or asked.errno == "EACCES"


def _others(sight: Sight, blocking: Sequence[Holder]) -> Iterator[str]:
    asked = sight.asked
    if asked.errno == "EACCES" and sight.scene.platform.stack == "windows" and asked.local[1] in reserved_ports():
        yield from _EXCLUDED
    elif asked.low:
        yield from _privilege(asked)
    elif cause := "" if blocking else nothing_to_find(asked):
        yield cause
    else:
        yield from words.fixes(asked, blocking, sight.scene)


def _privilege(asked: Asked) -> Iterator[str]:
    port = asked.local[1]
    start = dict(asked.settings).get("net.ipv4.ip_unprivileged_port_start", "1024")
    yield f"use a port from {start} on, and forward {port} to it"
    yield f"set net.ipv4.ip_unprivileged_port_start={port} or lower, so that every user may bind it"
    if asked.uid == 0:
        yield "bind as root of the host, or in a network that this container owns: its root has no rights over this one"
        return
    yield "give the program CAP_NET_BIND_SERVICE (setcap, or AmbientCapabilities= in its systemd unit)"
    yield "bind as root, or have a socket unit pass the socket, before the user is changed"


def _said(some: Sequence[Holder], sight: Sight) -> list[str]:
    if len(some) <= 8 and all(it in sight.said for it in some):
        return [sight.said[it] for it in some]
    return words.sockets(some, sight.scene)


def _with_origin(holder: Holder, how: Mapping[int, str], scene: Scene) -> Holder:
    """With how it came to its port, and how processes came by it, as far as we know or can infer."""
    way = how.get(holder.inode or -holder.local[1], holder.how)
    if holder.inode in (scene.made or {}) and holder.fd is None:
        return replace(holder, how=way, processes=tuple(words.heir(process) for process in holder.processes))
    return replace(holder, how=way) if way != holder.how else holder


def here(
    platform: Platform, made: Mapping[int, str] | None = None, placeholders: frozenset[int] = frozenset()
) -> Scene:
    """The scene as it is now."""
    return Scene(platform, ephemeral(), placeholders, made)
