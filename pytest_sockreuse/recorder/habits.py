"""Habits that are known to hurt: how each shows in a piece. Small predicates; what is said of them is in `misuse`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache

from ..dataclass import dataclass
from ..live.port_blocks import given
from ..model import ModelError, predict
from ..platforms import Platform
from ..scenario import Option
from .calls import Call, Piece, Traced
from .events import INNER, Trail, whose
from .locations import Place, places, source
from .reader import names_number, reading
from .syntax import remembered

_REUSE = ("SO_REUSEADDR", "SO_REUSEPORT", "SO_REUSEPORT_LB", "SO_EXCLUSIVEADDRUSE")

_BSD = {"macos", "freebsd", "dragonfly", "netbsd", "openbsd"}

#: A call, and the lines to blame: those of the call, or where its option was set.
Seen = tuple[Call, Trail]


@dataclass(frozen=True, slots=True)
class Around:
    """What else is known: the platforms that the code is to run on, this one first, and ports that were found free.

    `guesses` are those of earlier tests, or of before the first, with the lines that looked.
    """

    platforms: Sequence[Platform]
    guesses: Mapping[int, Trail] = field(default_factory=dict)

    @property
    def stacks(self) -> Collection[str]:
        return {platform.stack for platform in self.platforms}


def only_looked(sock: Traced) -> bool:
    """Whether a socket was there to be given a port by the OS, and for nothing else."""
    return sock.binding is not None and sock.binding.port == 0 and not sock.served and bool(sock.number)


def _made(piece: Piece) -> dict[Traced, Call]:
    """The call that made each socket."""
    return {call.sock: call for call in piece.calls if call.verb in ("socket", "accept")}


def was_set(sock: Traced, name: str) -> Trail | None:
    """Where this option was set on a new socket; None if it was not."""
    return next((trail for option, trail in sock.options if option.name == name and option.value != "0"), None)


def _all_have(name: str, *socks: Traced) -> bool:
    """Whether all of them have this option from the start."""
    return all(was_set(sock, name) is not None for sock in socks)


def after_bind(piece: Piece, around: Around) -> Iterator[Seen]:
    for at, call in enumerate(piece.calls):
        option = call.option
        if call.verb != "set" or call.outcome != "ok" or option is None or option.name not in _REUSE:
            continue
        bound = any(c.verb == "bind" and c.sock is call.sock and c.outcome == "ok" for c in piece.calls[:at])
        others = any(c.verb == "bind" and c.number == call.sock.number and c.outcome == "ok" for c in piece.calls[at:])
        if bound and not others and option.value != "0":
            yield call, call.trail


def on_windows(piece: Piece, around: Around) -> Iterator[Seen]:
    if "windows" not in around.stacks:
        return
    for sock, call in _made(piece).items():
        trail = was_set(sock, "SO_REUSEADDR")
        if trail is None or not sock.listening or not sock.named or sock.binding is None:
            continue
        if not _for_itself(sock, piece) and reading(places(trail), around.platforms[0].stack, "windows").made:
            yield call, trail


def _for_itself(listener: Traced, piece: Piece) -> bool:
    """Whether a function listens for what it connects to itself, and nobody else does."""
    binding = places(listener.binding.trail) if listener.binding is not None else ()
    mine = {(place.file, place.function) for place in binding[:1]}
    clients = {call.sock.peer for call in piece.calls if call.verb == "accept" and call.sock.parent is listener}
    connects = [call for call in piece.calls if call.verb == "connect" and call.sock in clients]
    return bool(connects) and all((p.file, p.function) in mine for call in connects for p in call.places[:1])


def port_zero(piece: Piece, around: Around) -> Iterator[Seen]:
    connects = {call.sock for call in piece.calls if call.verb == "connect"}
    for call in piece.calls:
        if call.verb != "bind" or call.outcome != "ok" or call.port != 0:
            continue
        trail, udp = was_set(call.sock, "SO_REUSEADDR"), call.sock.kind.startswith("udp")
        hurts = {"linux"} if udp else _BSD if call.sock in connects else ()
        if trail is not None and any(stack in around.stacks for stack in hurts):
            yield call, trail


def shared_port_zero(piece: Piece, around: Around) -> Iterator[Seen]:
    for call in piece.calls:
        if call.verb != "bind" or call.outcome != "ok" or call.port != 0 or not call.sock.kind.startswith("udp"):
            continue
        trail = was_set(call.sock, "SO_REUSEPORT")
        if trail is not None and "linux" in around.stacks and was_set(call.sock, "SO_REUSEADDR") is None:
            yield call, trail


def bind_before_connect(piece: Piece, around: Around) -> Iterator[Seen]:
    if "linux" not in around.stacks:
        return
    users = Counter(call.number for call in piece.calls if call.verb == "bind" and call.number)
    for call in piece.calls:
        sock = call.sock
        if call.verb != "connect" or call.outcome != "ok" or sock.binding is None or not sock.kind.startswith("tcp"):
            continue
        bound = sock.binding
        if bound.verb != "bind" or bound.port != 0 or sock.asked or sock.listening or users[sock.number] > 1:
            continue
        if not any(option.name in ("IP_BIND_ADDRESS_NO_PORT", "SO_REUSEADDR") for option, _ in sock.options):
            yield bound, bound.trail


def fixed(piece: Piece, around: Around) -> Iterator[Seen]:
    if piece.ephemeral is not None:  # in a namespace of the test's own
        return
    for call in piece.calls:
        sock = call.sock
        if call.verb != "bind" or call.outcome != "ok" or sock.stranger or not isinstance(call.port, int):
            continue
        if call.port < 1024 or call.port in given or call.port in around.guesses:
            continue
        if sock.kind.startswith("udp") and (was_set(sock, "SO_REUSEADDR") or was_set(sock, "SO_REUSEPORT")) is not None:
            continue  # it is to be shared, as a protocol's own port is
        if not (sock.listening or sock.kind.startswith("udp")):
            continue
        if _written(call.port, call.places) or names_number(call.places, call.port):
            yield call, call.trail


def _written(port: int, where: Sequence[Place]) -> bool:
    """Whether the number stands in the code that bound it."""
    return any(port in _numbers(file) for file in {place.file for place in where} if whose(file) != INNER)


@lru_cache(1024)
def _numbers(file: str) -> frozenset[int]:
    """The whole numbers in a file's code."""
    code = "\n".join(line.partition("#")[0] for line in source(file))
    return frozenset(map(int, re.findall(r"(?<![\w.])\d(?:_?\d){0,4}(?![\w.])", code, re.ASCII)))


remembered(_numbers.cache_clear)


def self_connect(piece: Piece, around: Around) -> Iterator[Seen]:
    refused: dict[tuple[str, int], list[Call]] = {}
    bound: Counter[int] = Counter()
    kept: set[int] = set()
    for call in piece.calls:
        if call.verb == "bind" and call.outcome == "ok" and call.number:
            bound[call.number] += 1
        elif call.verb == "accept":
            kept.add(call.number)  # in TIME_WAIT, maybe: the OS chooses no such port
        elif call.verb == "close" and call.sock.number:
            bound[call.sock.number] -= 1
        elif call.verb == "connect" and call.sock.kind.startswith("tcp") and call.sock.binding is None:
            low, high = piece.ephemeral or _RANGE
            if call.outcome == "ECONNREFUSED" and low <= call.number <= high and bound[call.number] <= 0:
                refused.setdefault((call.host, call.number), []).append(call)
    for calls in refused.values():
        if calls[0].number not in given | kept and len({call.places for call in calls}) < len(calls):
            yield calls[-1], calls[-1].trail


_RANGE = (32768, 60999)  # from which Linux chooses if nobody says otherwise; that of the others begins further up


def for_restart(piece: Piece, around: Around) -> Iterator[Seen]:
    if any(call.verb == "bind" and call.sock.stranger for call in piece.calls):
        return  # others share the port, perhaps
    servers: dict[int, list[Traced]] = {}
    open_: set[Traced] = set()
    shared: set[int] = set()
    for call in piece.calls:
        sock = call.sock
        if call.verb == "bind" and call.outcome == "ok" and sock.listening and _all_have("SO_REUSEPORT", sock):
            servers.setdefault(sock.number, []).append(sock)
            if any(other.number == sock.number for other in open_):
                shared.add(sock.number)
            open_.add(sock)
        elif call.verb == "close":
            open_.discard(sock)
    for number, socks in servers.items():
        if len(socks) > 1 and number not in shared:
            trail = was_set(socks[-1], "SO_REUSEPORT")
            yield _made(piece)[socks[-1]], trail or ()


def listener_first(piece: Piece, around: Around) -> Iterator[Seen]:
    if "linux" not in around.stacks:
        return
    listening: dict[Traced, int] = {}
    for at, call in enumerate(piece.calls):
        sock = call.sock
        if call.verb == "listen" and call.outcome == "ok" and not sock.stranger:
            listening[sock] = sock.number
        elif call.verb == "close":
            listening.pop(sock, None)
        elif call.verb == "bind" and not sock.listening and call.number and sock.kind.startswith("tcp"):
            goes_on = any(c.verb == "connect" and c.sock is sock for c in piece.calls[at:])
            first = next((other for other, number in listening.items() if number == call.number), None)
            if first is None or not goes_on or _all_have("SO_REUSEPORT", first, sock):
                continue
            if _all_have("SO_REUSEADDR", first, sock):
                yield call, call.trail


def dead_side(piece: Piece, around: Around) -> Iterator[Seen]:
    linux = next((platform for platform in around.platforms if platform.stack == "linux"), None)
    closed: set[Traced] = set()
    for at, call in enumerate(piece.calls):
        sock = call.sock
        if call.verb == "close" and sock.parent is None and sock.host:
            closed.add(sock)
        if call.verb != "bind" or linux is None or not call.number or not _all_have("SO_REUSEADDR", sock):
            continue
        dead = [other for other in closed if other.number == call.number and not _all_have("SO_REUSEADDR", other)]
        if dead and _refused(piece, at, linux, ()) and not _refused(piece, at, linux, dead):
            yield call, call.trail


def _refused(piece: Piece, at: int, platform: Platform, with_option: Collection[Traced]) -> bool:
    """Whether the bind at `at` is refused on `platform`, if these sockets had SO_REUSEADDR too."""
    more = {sock: (*piece.options[sock], Option("SO_REUSEADDR")) for sock in with_option}
    changed = replace(piece, calls=piece.calls[: at + 1], options={**piece.options, **more})
    try:
        return predict(changed.scenario, platform).steps[-1].outcomes == ("EADDRINUSE",)
    except ModelError:
        return False


def guessed(piece: Piece, around: Around) -> Iterator[Seen]:
    free: dict[Traced, Call] = {}  # bound to port 0 and closed again, and nothing else
    holders: dict[int, set[Traced]] = {}
    for call in piece.calls:
        sock = call.sock
        if call.verb == "bind" and call.outcome == "ok":
            looked = None
            if call.number in given:
                pass
            elif isinstance(call.port, Traced) and call.port in free and not holders.get(call.number):
                looked = free.pop(call.port).trail
            elif isinstance(call.port, int):
                looked = around.guesses.get(call.port)
            if looked is not None and not _again(looked, call.trail):
                yield call, looked
            holders.setdefault(call.number, set()).add(sock)
        elif call.verb == "close":
            for socks in holders.values():
                socks.discard(sock)
            if only_looked(sock) and sock.binding is not None:
                free[sock] = sock.binding


def _again(first: Trail, second: Trail) -> bool:
    """Whether the same code, called by a test, bound both times: a server that is started again."""
    one, two = ([(p.file, p.line) for p in places(trail) if whose(p.file) != INNER] for trail in (first, second))
    return (len(one) > 1 and one[:-1] == two[:-1]) or (len(one) > 2 and one[:2] == two[:2])
