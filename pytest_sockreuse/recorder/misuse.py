"""Misuse that is known by name: each with a sentence, a remedy and how to find it. Data, and small predicates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace

from ..dataclass import dataclass
from ..live.port_blocks import given
from ..model import ModelError, predict
from ..platforms import Platform
from ..scenario import Option
from .calls import Call, Piece, Traced
from .compare import MOST
from .events import INNER, Trail, whose
from .locations import Place, places, source
from .reader import reading
from .reconstruct import Trace

_REUSE = ("SO_REUSEADDR", "SO_REUSEPORT", "SO_REUSEPORT_LB", "SO_EXCLUSIVEADDRUSE")

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


@dataclass(frozen=True, slots=True)
class Misuse:
    """A habit that is known to hurt: `find` says where a piece shows it."""

    id: str
    sentence: str
    remedy: str
    find: Callable[[Piece, Around], Iterator[Seen]]


@dataclass(frozen=True, slots=True)
class Found:
    """A misuse at a line of code."""

    misuse: Misuse
    piece: Piece
    step: str
    places: tuple[Place, ...]


def misuses(piece: Piece, platforms: Sequence[Platform], guesses: Mapping[int, Trail] | None = None) -> Iterator[Found]:
    """Every misuse that the piece shows, for code that is to run on `platforms`, of which the first is this one.

    `guesses` are ports that were found free before. Each line is named once; calls from before the test are not
    reported; pieces of more than `MOST` calls are skipped.
    """
    if len(piece.calls) > MOST:
        return
    around = Around(platforms, guesses or {})
    labels: dict[Call, str] = {}
    for misuse in MISUSES:
        seen = set()
        for call, trail in misuse.find(piece, around):
            if not labels:
                labels = dict(zip(piece.calls, (step.label for step in piece.scenario.steps), strict=True))
            where = places(trail)
            if not call.old and (not where or where[0] not in seen):
                seen.add(where[0] if where else None)
                yield Found(_as_it_is(misuse, call, piece), piece, labels[call], where)


def _as_it_is(misuse: Misuse, call: Call, piece: Piece) -> Misuse:
    """A misuse with the remedy that this piece needs."""
    if misuse.id != "reuseaddr-on-windows" or not _shares(call.sock, piece):
        return misuse
    return replace(
        misuse, remedy="two sockets share the port on purpose: look at who connects, since it may be anybody"
    )


def _shares(sock: Traced, piece: Piece) -> bool:
    """Whether another socket of the program has the port at the same time, and both have SO_REUSEADDR."""
    open_: set[Traced] = set()
    for call in piece.calls:
        if call.verb == "bind" and call.outcome == "ok" and call.number == sock.number and not call.sock.stranger:
            open_.add(call.sock)
        elif call.verb == "close":
            open_.discard(call.sock)
        if sock in open_ and any(other is not sock and _set(other, "SO_REUSEADDR") is not None for other in open_):
            return True
    return False


def guesses(trace: Trace) -> dict[int, Trail]:
    """The ports that were found free by binding and closing, with the lines that did it."""
    found = {}
    for call in trace.calls:
        sock = call.sock
        if call.verb == "close" and sock.binding is not None and _only_looked(sock):
            found[sock.number] = sock.binding.trail
    return found


def _only_looked(sock: Traced) -> bool:
    """Whether a socket was there to be given a port by the OS, and for nothing else."""
    return sock.binding is not None and sock.binding.port == 0 and not sock.served and bool(sock.number)


def _made(piece: Piece) -> dict[Traced, Call]:
    """The call that made each socket."""
    return {call.sock: call for call in piece.calls if call.verb in ("socket", "accept")}


def _set(sock: Traced, name: str) -> Trail | None:
    """Where this option was set on a new socket; None if it was not."""
    return next((trail for option, trail in sock.options if option.name == name and option.value != "0"), None)


def _all_have(name: str, *socks: Traced) -> bool:
    """Whether all of them have this option from the start."""
    return all(_set(sock, name) is not None for sock in socks)


def _after_bind(piece: Piece, around: Around) -> Iterator[Seen]:
    for at, call in enumerate(piece.calls):
        option = call.option
        if call.verb != "set" or call.outcome != "ok" or option is None or option.name not in _REUSE:
            continue
        bound = any(c.verb == "bind" and c.sock is call.sock and c.outcome == "ok" for c in piece.calls[:at])
        others = any(c.verb == "bind" and c.number == call.sock.number and c.outcome == "ok" for c in piece.calls[at:])
        if bound and not others and option.value != "0":
            yield call, call.trail


def _on_windows(piece: Piece, around: Around) -> Iterator[Seen]:
    if "windows" not in around.stacks:
        return
    for sock, call in _made(piece).items():
        trail = _set(sock, "SO_REUSEADDR")
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


def _port_zero(piece: Piece, around: Around) -> Iterator[Seen]:
    connects = {call.sock for call in piece.calls if call.verb == "connect"}
    for call in piece.calls:
        if call.verb != "bind" or call.outcome != "ok" or call.port != 0:
            continue
        trail = _set(call.sock, "SO_REUSEADDR")
        if trail is not None and (call.sock.kind.startswith("udp") or call.sock in connects):
            yield call, trail


def _shared_port_zero(piece: Piece, around: Around) -> Iterator[Seen]:
    for call in piece.calls:
        if call.verb != "bind" or call.outcome != "ok" or call.port != 0 or not call.sock.kind.startswith("udp"):
            continue
        trail = _set(call.sock, "SO_REUSEPORT")
        if trail is not None and "linux" in around.stacks and _set(call.sock, "SO_REUSEADDR") is None:
            yield call, trail


def _bind_before_connect(piece: Piece, around: Around) -> Iterator[Seen]:
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


def _fixed(piece: Piece, around: Around) -> Iterator[Seen]:
    if piece.ephemeral is not None:  # in a namespace of the test's own
        return
    for call in piece.calls:
        sock = call.sock
        if call.verb != "bind" or call.outcome != "ok" or sock.stranger or not isinstance(call.port, int):
            continue
        if call.port < 1024 or call.port in given or call.port in around.guesses:
            continue
        if sock.kind.startswith("udp") and (_set(sock, "SO_REUSEADDR") or _set(sock, "SO_REUSEPORT")) is not None:
            continue  # it is to be shared, as a protocol's own port is
        if (sock.listening or sock.kind.startswith("udp")) and _written(call.port, call.places):
            yield call, call.trail


def _written(port: int, where: Sequence[Place]) -> bool:
    """Whether the number stands in the code that bound it."""
    files = dict.fromkeys(place.file for place in where if whose(place.file) != INNER)
    number = re.compile(rf"(?<![\w.]){port}(?![\w.])")
    return any(number.search(line.partition("#")[0]) for file in files for line in source(file))


def _self_connect(piece: Piece, around: Around) -> Iterator[Seen]:
    refused: dict[int, list[Call]] = {}
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
                refused.setdefault(call.number, []).append(call)
    for calls in refused.values():
        if calls[0].number not in given | kept and len({call.places for call in calls}) < len(calls):
            yield calls[-1], calls[-1].trail


_RANGE = (32768, 60999)  # from which Linux chooses if nobody says otherwise; that of the others begins further up


def _for_restart(piece: Piece, around: Around) -> Iterator[Seen]:
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
            trail = _set(socks[-1], "SO_REUSEPORT")
            yield _made(piece)[socks[-1]], trail or ()


def _listener_first(piece: Piece, around: Around) -> Iterator[Seen]:
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


def _dead_side(piece: Piece, around: Around) -> Iterator[Seen]:
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


def _guessed(piece: Piece, around: Around) -> Iterator[Seen]:
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
            if _only_looked(sock) and sock.binding is not None:
                free[sock] = sock.binding


def _again(first: Trail, second: Trail) -> bool:
    """Whether the same code, called by a test, bound both times: a server that is started again."""
    one, two = ([(p.file, p.line) for p in places(trail) if whose(p.file) != INNER] for trail in (first, second))
    return (len(one) > 1 and one[:-1] == two[:-1]) or (len(one) > 2 and one[:2] == two[:2])


MISUSES = (
    Misuse(
        "option-after-bind",
        "the option is set after bind and has no effect on it; on Windows it does nothing any more, "
        "nor does SO_REUSEADDR on the BSDs and macOS",
        "set it before bind",
        _after_bind,
    ),
    Misuse(
        "reuseaddr-on-windows",
        "on Windows SO_REUSEADDR lets any process bind and listen on this port too, and take its connections",
        "do not set it on Windows, where a restart does not need it, and set SO_EXCLUSIVEADDRUSE",
        _on_windows,
    ),
    Misuse(
        "reuseaddr-with-port-zero",
        "with SO_REUSEADDR and port 0 the OS may choose a port that is in use: on Linux that of a UDP socket "
        "that has the option too, on the BSDs and macOS that of a connection, and then connect fails",
        "leave SO_REUSEADDR away where the OS chooses the port",
        _port_zero,
    ),
    Misuse(
        "reuseport-with-port-zero",
        "with SO_REUSEPORT and port 0 Linux may give a UDP socket the port of another that has the option too, "
        "and each then gets a part of the datagrams",
        "bind port 0 without SO_REUSEPORT, ask for the port, and share that number",
        _shared_port_zero,
    ),
    Misuse(
        "bind-before-connect",
        "bind to port 0 before connect takes a port from all destinations at once; without it, or with "
        "IP_BIND_ADDRESS_NO_PORT, Linux gives one port to connections to several",
        "set IP_BIND_ADDRESS_NO_PORT (24) before bind, or leave the bind away",
        _bind_before_connect,
    ),
    Misuse(
        "fixed-port",
        "the port is a number in the code: a second run, or another program that has it, makes this fail",
        "bind port 0 and ask for it, or take a port of `held_port`",
        _fixed,
    ),
    Misuse(
        "self-connect-by-retry",
        "connect is tried again and again at a port that nobody listens on and that the OS may choose for the client "
        "itself: the client is then connected to itself, and the server cannot have the port",
        "wait until the server says that it listens, or give it a port of `held_port`",
        _self_connect,
    ),
    Misuse(
        "reuseport-for-restart",
        "SO_REUSEPORT only serves to restart here; it also lets a second server start beside the first unnoticed",
        "SO_REUSEADDR is enough for a restart",
        _for_restart,
    ),
    Misuse(
        "listener-before-outgoing",
        "the listener listens already: on Linux SO_REUSEADDR lets an outgoing socket join its port only before that",
        "bind the outgoing socket before the listener listens, or set SO_REUSEPORT on both",
        _listener_first,
    ),
    Misuse(
        "restart-without-the-dead-side",
        "SO_REUSEADDR on the new socket alone: on Linux the one that left the port in TIME_WAIT must have had it too",
        "set SO_REUSEADDR on every socket that listens on this port, from the first start on",
        _dead_side,
    ),
    Misuse(
        "guessed-port",
        "this port was found free by binding and closing, and bound again later: in between it is anybody's",
        "take a port of `held_port`, keep the socket and hand it over, or bind port 0 where the port is used",
        _guessed,
    ),
)
