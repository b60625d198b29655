"""Misuse that is known by name: each with a sentence, a remedy and how to find it. Data, and small predicates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from ..model import ModelError, predict
from ..platforms import Platform
from ..scenario import Option
from .calls import Call, Piece, Traced
from .compare import MOST
from .conditions import made_on
from .events import Trail
from .locations import Place, places

_REUSE = ("SO_REUSEADDR", "SO_REUSEPORT", "SO_REUSEPORT_LB", "SO_EXCLUSIVEADDRUSE")

#: A call, and the lines to blame: those of the call, or where its option was set.
Seen = tuple[Call, Trail]


@dataclass(frozen=True, slots=True)
class Misuse:
    """A habit that is known to hurt: `find` says where a piece shows it, for code that is to run on `platforms`."""

    id: str
    sentence: str
    remedy: str
    find: Callable[[Piece, Sequence[Platform]], Iterator[Seen]]


@dataclass(frozen=True, slots=True)
class Found:
    """A misuse at a line of code."""

    misuse: Misuse
    piece: Piece
    step: str
    places: tuple[Place, ...]


def misuses(piece: Piece, platforms: Sequence[Platform]) -> Iterator[Found]:
    """Every misuse that the piece shows, for code that is to run on `platforms`, of which the first is this one.

    Calls from before the test are not reported; pieces of more than `MOST` calls are skipped.
    """
    if len(piece.calls) > MOST:
        return
    labels: dict[Call, str] = {}
    for misuse in MISUSES:
        for call, trail in misuse.find(piece, platforms):
            if not labels:
                labels = dict(zip(piece.calls, (step.label for step in piece.scenario.steps), strict=True))
            if not call.old:
                yield Found(misuse, piece, labels[call], places(trail))


def _made(piece: Piece) -> dict[Traced, Call]:
    """The call that made each socket."""
    return {call.sock: call for call in piece.calls if call.verb in ("socket", "accept")}


def _set(sock: Traced, name: str) -> Trail | None:
    """Where this option was set on a new socket; None if it was not."""
    return next((trail for option, trail in sock.options if option.name == name and option.value != "0"), None)


def _all_have(name: str, *socks: Traced) -> bool:
    """Whether all of them have this option from the start."""
    return all(_set(sock, name) is not None for sock in socks)


def _stacks(platforms: Sequence[Platform]) -> Collection[str]:
    return {platform.stack for platform in platforms}


def _after_bind(piece: Piece, platforms: Sequence[Platform]) -> Iterator[Seen]:
    for at, call in enumerate(piece.calls):
        option = call.option
        if call.verb != "set" or call.outcome != "ok" or option is None or option.name not in _REUSE:
            continue
        bound = any(c.verb == "bind" and c.sock is call.sock and c.outcome == "ok" for c in piece.calls[:at])
        others = any(c.verb == "bind" and c.number == call.sock.number and c.outcome == "ok" for c in piece.calls[at:])
        if bound and not others and option.value != "0":
            yield call, call.trail


def _on_windows(piece: Piece, platforms: Sequence[Platform]) -> Iterator[Seen]:
    if "windows" not in _stacks(platforms):
        return
    for sock, call in _made(piece).items():
        trail = _set(sock, "SO_REUSEADDR")
        if trail is None or not sock.listening or not sock.named or sock.binding is None:
            continue
        if _serves(sock, piece) and all(made_on(place, platforms[0].stack, "windows") for place in places(trail)):
            yield call, trail


def _serves(listener: Traced, piece: Piece) -> bool:
    """Whether someone else's connection was accepted; a function may listen for what it connects to itself."""
    binding = places(listener.binding.trail) if listener.binding is not None else ()
    mine = {(place.file, place.function) for place in binding[:1]}
    clients = {call.sock.peer for call in piece.calls if call.verb == "accept" and call.sock.parent is listener}
    connects = (call for call in piece.calls if call.verb == "connect" and call.sock in clients)
    return any(mine.isdisjoint((place.file, place.function) for place in call.places[:1]) for call in connects)


def _port_zero(piece: Piece, platforms: Sequence[Platform]) -> Iterator[Seen]:
    connects = {call.sock for call in piece.calls if call.verb == "connect"}
    for call in piece.calls:
        if call.verb != "bind" or call.outcome != "ok" or call.port != 0:
            continue
        trail = _set(call.sock, "SO_REUSEADDR")
        if trail is not None and (call.sock.kind.startswith("udp") or call.sock in connects):
            yield call, trail


def _for_restart(piece: Piece, platforms: Sequence[Platform]) -> Iterator[Seen]:
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


def _listener_first(piece: Piece, platforms: Sequence[Platform]) -> Iterator[Seen]:
    if "linux" not in _stacks(platforms):
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


def _dead_side(piece: Piece, platforms: Sequence[Platform]) -> Iterator[Seen]:
    linux = next((platform for platform in platforms if platform.stack == "linux"), None)
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
    changed = Piece(piece.calls[: at + 1], piece.names, {**piece.options, **more})
    try:
        return predict(changed.scenario, platform).steps[-1].outcomes == ("EADDRINUSE",)
    except ModelError:
        return False


def _guessed(piece: Piece, platforms: Sequence[Platform]) -> Iterator[Seen]:
    used = {call.sock for call in piece.calls if call.verb in ("listen", "connect", "accept")}
    free: dict[Traced, Call] = {}  # bound to port 0 and closed again, and nothing else
    holders: dict[int, set[Traced]] = {}
    for call in piece.calls:
        sock = call.sock
        if call.verb == "bind" and call.outcome == "ok":
            if isinstance(call.port, Traced) and call.port in free and not holders.get(call.number):
                yield free[call.port], free.pop(call.port).trail
            holders.setdefault(call.number, set()).add(sock)
        elif call.verb == "close":
            for socks in holders.values():
                socks.discard(sock)
            if sock.binding is not None and sock.binding.port == 0 and sock not in used and sock.number:
                free[sock] = sock.binding


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
        "keep the socket and hand it over, or bind port 0 where the port is used and ask for it then",
        _guessed,
    ),
)
