"""What is seen at a port, and what helps beside other options, in the words of whoever reads it."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..dataclass import dataclass
from ..live.holders import Holder
from ..live.processes import Process, is_contained, is_ours, program
from ..live.users import user_name
from ..platforms import Platform
from .question import Asked, shown

Row = tuple[str, str]
_MOST_SIDES = 3  # other sides of connections that are named
_MOST_KINDS = 8  # of sockets in the way, of which it is said what helps
_STATES = {
    "TIME_WAIT": "a connection that this side closed first",
    "FIN_WAIT1": "this side has closed, the other has not acknowledged it",
    "FIN_WAIT2": "this side has closed, the other has not",
    "CLOSING": "both sides have closed, the other has not acknowledged it",
    "LAST_ACK": "the other side closed first, and has not acknowledged that this one closed too",
    "CLOSE_WAIT": "the other side has closed, this one has not",
    "SYN_SENT": "a connect under way",
    "SYN_RECV": "a connection that is not complete yet",
}
#: Processes that have a port for somebody else: how their name begins, for whom, and how to find that.
_PROXIES = {
    "docker-proxy": ("a container", "docker ps --filter publish={port}"),
    "com.docker.backend": ("a container", "docker ps --filter publish={port}"),
    "rootlessport": ("a container", "podman ps --filter publish={port}"),
    "rootlesskit": ("a container", "docker ps --filter publish={port}"),
    "conmon": ("a container", "podman ps"),
    "slirp4netns": ("a container", "podman ps"),
    "pasta": ("a container", "podman ps"),
    "gvproxy": ("a container", "podman ps"),
    "limactl": ("a virtual machine", "limactl list"),
    "wslrelay": ("a program inside WSL", "wsl ss -ltnp"),
    "systemd": ("a socket unit", "systemctl list-sockets --all"),
    "launchd": ("a launchd job", "launchctl list"),
    "sockreuse": ("the command that it runs (`hold --release` lets go of it)", "ps -o args= -p {pid}"),
    "kubectl": ("a port-forward to a cluster", "ps -o args= -p {pid}"),
    "ssh": ("a tunnel", "ps -o args= -p {pid}"),
    "socat": ("whatever it relays to", "ps -o args= -p {pid}"),
    "svchost.exe": ("a service, or a port proxy", "netsh interface portproxy show all"),
}


_ITSELF = (
    "this connection's two ends are one socket, since nobody listened at the port when the OS chose that very port for "
    "the connection"
)
_KEPT = "no process has this side's socket any more, the kernel keeps it until then"
_NOT_INHERITED = {
    "exec": "leave it close-on-exec, as Python does (not set_inheritable, not close_fds=False with it)",
    "fork": "close it in the child after the fork, or start the child with exec",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known beside the sockets: the range that the OS chooses ports from, descriptors of placeholders, who
    made a socket (by inode), how a port is had that nobody else has, and how to ask again with more rights."""

    platform: Platform
    ephemeral: tuple[int, int]
    placeholders: frozenset[int] = frozenset()
    made: Mapping[int, str] | None = None
    another: str = "use another port (fixture held_port)"
    ask: str = ""

    def chosen(self, port: int) -> bool:
        """Whether the OS may have chosen a port."""
        return self.ephemeral[0] <= port <= self.ephemeral[1]


def text(rows: Iterable[Row], width: int = 110) -> str:
    """Rows one below the other, folded."""
    return "\n".join(
        textwrap.fill(
            row, width, initial_indent=f"{name:<9}", subsequent_indent=" " * 9, break_on_hyphens=False,
            break_long_words=False,
        )
        for name, row in rows
    )  # fmt: skip


# --- sockets ----------------------------------------------------------------------------------------------------------


def sockets(holders: Sequence[Holder], scene: Scene, most: int = 8) -> list[str]:
    """Each socket in words; of many alike one, with their number."""
    alike: dict[object, list[Holder]] = {}
    for it in holders:
        pids = tuple(process.pid for process in it.processes)
        kind = (it.local, it.state, pids, it.options, it.device, it.uid, it.fd if it.keeps else None)
        alike.setdefault(kind, []).append(it)
    groups = [[it] for it in holders] if len(holders) <= most else list(alike.values())
    said = [socket_words(group[0], scene) + _and_more(group) for group in groups[:most]]
    return said + ([f"and {len(groups) - most} more kinds of sockets"] if len(groups) > most else [])


def _and_more(group: Sequence[Holder]) -> str:
    more = sum(1 + it.more for it in group) - 1
    return f"; and {more} more such sockets" if more else ""


def socket_words(holder: Holder, scene: Scene) -> str:
    """State, addresses, options, processes; and whatever else is known of it."""
    if holder.fd in scene.placeholders and holder.fd is not None:
        return f"a held port's placeholder at {shown(holder.local)} in this process"
    said = f"{holder.state} at {shown(holder.local)}"
    if holder.device:
        said += f" on {holder.device}"
    if is_self_connected(holder):
        said += f" with itself: {_ITSELF}"
        made = (scene.made or {}).get(holder.inode)
        return f"{said}: {_owner(holder, scene)}" + (f", made {made}" if made else "")
    if holder.foreign:
        said += f" with {shown(holder.foreign)}"
        if holder.peers:
            said += f" ({_listed(holder.peers)})"
    if holder.options is not None:
        said += f", {' and '.join(holder.options) or 'no sharing option'}"
    elif holder.known:
        said += f", {' and '.join(holder.known)}"
    notes = []
    if what := _STATES.get(holder.state):
        notes.append(what)
    if _waits(holder):
        notes.append("a connection that the listener has not accepted yet")
    if holder.how == "connect" and holder.foreign and not holder.ended:
        notes.append(f"the OS chose the port for a connection to {shown(holder.foreign)}")
    if not _waits(holder) and holder.state != "TIME_WAIT":
        notes.append(_owner(holder, scene))
    if holder.seconds is not None:
        notes.append(f"it ends in {max(1, round(holder.seconds))} s")
    if made := (scene.made or {}).get(holder.inode):
        notes.append(f"made {made}")
    return f"{said}: {', '.join(notes)}"


def is_self_connected(holder: Holder) -> bool:
    """Whether the two ends of a connection are one socket."""
    return holder.foreign is not None and holder.foreign == holder.local


def _perhaps_inherited(holder: Holder, scene: Scene) -> bool:
    """Whether a listener may have come to its only process by exec; who watches its own sockets knows."""
    one = len(holder.processes) == 1 and holder.state == "LISTEN" and scene.made is None
    return one and holder.processes[0].passes_on is True


def _listed(processes: Sequence[Process]) -> str:
    return ", ".join(map(str, processes[:3]))


def _waits(holder: Holder) -> bool:
    """Whether it is in a listener's queue."""
    return holder.state == "ESTABLISHED" and not holder.inode and holder.fd is None and holder.uid is not None


def _outside(holder: Holder) -> bool:
    """Whether it is a process's, of a PID namespace that is not seen from this one."""
    return bool(holder.inode) and not holder.processes and not holder.hidden and is_contained()


def _owner(holder: Holder, scene: Scene) -> str:
    """Who has it: all processes, and how each came by it; or nobody, and why."""
    user = f" of user {user_name(holder.uid)}" if holder.uid is not None else ""
    if holder.ended:
        return "no process has it any more"
    if not holder.processes:
        if holder.hidden:
            return f"a process{user} that cannot be seen"
        if _outside(holder):
            return f"a process{user} outside of this container, in another or on the host"
        return f"no process that can be seen,{user}" if user else "no process that can be seen"
    parts = []
    for process in holder.processes[:6]:
        words = str(process)
        if process.is_this and holder.fd is not None:
            words += f", descriptor {holder.fd}"
        if process.origin:
            whom = "this process" if process.parent == os.getpid() else f"pid {process.parent}"
            words += f", a child of {whom} that inherited the socket by {process.origin}"
        elif not process.is_this and is_ours(process.pid):
            words += ", a child of this process"
        elif _perhaps_inherited(holder, scene):
            words += f", whose descriptor {process.fd} is not close-on-exec: it may have inherited the socket"
        parts.append(words)
    if len(holder.processes) > 6:
        parts.append(f"{len(holder.processes) - 6} more")
    shared = f"shared by {len(holder.processes)} processes: " if len(holder.processes) > 1 else ""
    stranger = holder.uid is not None and not any(process.is_this for process in holder.processes)
    return shared + "; ".join(parts) + (f", user {user_name(holder.uid)}" if stranger else "")


# --- what helps -------------------------------------------------------------------------------------------------------


def fixes(asked: Asked, blocking: Sequence[Holder], scene: Scene) -> Iterator[str]:
    """What helps beside other options, by what each socket in the way is."""
    for holder in blocking:
        if holder.fd is not None and holder.fd in scene.placeholders:
            yield "the port is held: call release() of its lease right before this, or take its socket()"
            return
    for holder in _kinds(blocking):
        yield from _fix(holder, blocking, scene)
        if scene.chosen(holder.local[1]) and (holder.how == "connect" or is_self_connected(holder)):
            low, high = scene.ephemeral
            reserve = (
                "or add it to net.ipv4.ip_local_reserved_ports" if scene.platform.stack == "linux" else "for a server"
            )
            yield f"use a port outside of {low}-{high}, from which the OS chooses for others, {reserve}"


def _kinds(blocking: Sequence[Holder]) -> Iterator[Holder]:
    """One of each kind; a connection goes with its listener, where that has not accepted it or one process has both."""
    listens = [it for it in blocking if it.state == "LISTEN"]
    listening = {process.pid for it in listens for process in it.processes}
    done: set[object] = set()
    for it in blocking:
        pids = tuple(process.pid for process in it.processes)
        if (it.how == "accept" and pids and listening.issuperset(pids)) or (listens and _waits(it)):
            continue
        if (kind := (it.state, pids, it.fd, it.ended, it.hidden, it.how)) not in done and len(done) < _MOST_KINDS:
            done.add(kind)
            yield it


def _fix(holder: Holder, blocking: Sequence[Holder], scene: Scene) -> Iterator[str]:
    names = ", ".join(str(process) for process in holder.processes if not process.is_this)
    if holder.ended:
        yield from _ended(holder, blocking, scene)
    elif _waits(holder):
        yield "close the listener: connections that it has not accepted end with it"
    elif holder.inherited:
        yield f"do not let {names} inherit the socket: {_NOT_INHERITED[holder.processes[0].origin]}"
        last = "it has ended" if len(holder.processes) == 1 else "the last of them has ended"
        yield f"end {names}: the port is free when {last}"
    elif len(holder.processes) > 1:
        yield f"end all of {', '.join(map(str, holder.processes))}: the port is free when the last of them has ended, \
or has closed it"
    elif holder.fd is not None:
        yield f"close descriptor {holder.fd} first"
    elif proxy := _proxy(holder):
        yield proxy
    elif not holder.processes:
        where = " as root" if holder.hidden else ", as root, outside of this container" if _outside(holder) else ""
        yield f"ask who has it{where}: {scene.ask}" if where and scene.ask else scene.another
    else:
        if _perhaps_inherited(holder, scene):
            yield f"if {names} only inherited the socket, end it, and have who starts it leave the socket close-on-exec"
        end = f"have {names} close the connection, or end it" if holder.foreign else f"end {names}, which has the port"
        yield f"{end}, or {scene.another}"


def _ended(holder: Holder, blocking: Sequence[Holder], scene: Scene) -> Iterator[str]:
    """What helps against what the kernel keeps; it is over when the last of those alike is."""
    alike = [it for it in blocking if it.ended and it.state == holder.state]
    seconds = [it.seconds for it in alike if it.seconds is not None]
    wait = f"wait {max(1, round(max(seconds)))} s" if seconds else "wait"
    if holder.state == "TIME_WAIT":
        yield f"{scene.another}, or have the other side close its connections first"
        if seconds:
            yield f"{wait}: TIME_WAIT is then over"
        return
    limit = " (tcp_fin_timeout)" if holder.state == "FIN_WAIT2" and scene.platform.stack == "linux" else ""
    sides = [_side(it) for it in alike[:_MOST_SIDES]]
    more = sum(1 + it.more for it in alike) - len(sides)
    who = "; ".join([*sides, *([f"and {more} more"] if more else [])])
    do = "close its connection" if holder.state == "FIN_WAIT2" else "read what it was sent, or end it"
    yield f"have the other side {'of each ' * (len(alike) > 1)}{do} ({who}), or {wait}{limit}: {_KEPT}"


def _side(holder: Holder) -> str:
    there = shown(holder.foreign or holder.local)
    return f"{_listed(holder.peers)}, at {there}" if holder.peers else there


def _proxy(holder: Holder) -> str:
    for process in holder.processes:
        for name, (whom, how) in _PROXIES.items():
            if process.name == name or (name.endswith(("proxy", "port")) and process.name.startswith(name[:14])):
                command = how.format(port=holder.local[1], pid=process.pid)
                return f"{process} has the port for {whom}: `{command}` tells which"
    return ""


def heir(process: Process) -> Process:
    """A process that has a socket which this one made, and no longer has: it can only have inherited it."""
    if process.is_this or process.origin:
        return process
    how = "fork" if program(process.pid) == program(os.getpid()) else "exec"
    return replace(process, origin=how, parent=os.getpid())
