"""Misuse that is known by name: each with a sentence, a remedy and the habit that shows it. Data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..dataclass import dataclass
from ..platforms import Platform
from . import habits
from .calls import Call, Piece, Traced
from .compare import MOST
from .events import Trail
from .habits import Around, Seen, only_looked, was_set
from .locations import Place, places
from .reconstruct import Trace


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
        if sock in open_ and any(other is not sock and was_set(other, "SO_REUSEADDR") is not None for other in open_):
            return True
    return False


def guesses(trace: Trace) -> dict[int, Trail]:
    """The ports that were found free by binding and closing, with the lines that did it."""
    found = {}
    for call in trace.calls:
        sock = call.sock
        if call.verb == "close" and sock.binding is not None and only_looked(sock):
            found[sock.number] = sock.binding.trail
    return found


MISUSES = (
    Misuse(
        "option-after-bind",
        "the option is set after bind and has no effect on it; on Windows it does nothing any more, "
        "nor does SO_REUSEADDR on the BSDs and macOS",
        "set it before bind",
        habits.after_bind,
    ),
    Misuse(
        "reuseaddr-on-windows",
        "on Windows SO_REUSEADDR lets any process bind and listen on this port too, and take its connections",
        "do not set it on Windows, where a restart does not need it, and set SO_EXCLUSIVEADDRUSE",
        habits.on_windows,
    ),
    Misuse(
        "reuseaddr-with-port-zero",
        "with SO_REUSEADDR and port 0 the OS may choose a port that is in use: on Linux that of a UDP socket "
        "that has the option too, on the BSDs and macOS that of a connection, and then connect fails",
        "leave SO_REUSEADDR away where the OS chooses the port",
        habits.port_zero,
    ),
    Misuse(
        "reuseport-with-port-zero",
        "with SO_REUSEPORT and port 0 Linux may give a UDP socket the port of another that has the option too, "
        "and each then gets a part of the datagrams",
        "bind port 0 without SO_REUSEPORT, ask for the port, and share that number",
        habits.shared_port_zero,
    ),
    Misuse(
        "bind-before-connect",
        "bind to port 0 before connect takes a port from all destinations at once; without it, or with "
        "IP_BIND_ADDRESS_NO_PORT, Linux gives one port to connections to several",
        "set IP_BIND_ADDRESS_NO_PORT (24) before bind, or leave the bind away",
        habits.bind_before_connect,
    ),
    Misuse(
        "fixed-port",
        "the port is a number in the code: a second run, or another program that has it, makes this fail",
        "bind port 0 and ask for it, or take a port of `held_port`",
        habits.fixed,
    ),
    Misuse(
        "self-connect-by-retry",
        "connect is tried again and again at a port that nobody listens on and that the OS may choose for the client "
        "itself: the client is then connected to itself, and the server cannot have the port",
        "wait until the server says that it listens, or give it a port of `held_port`",
        habits.self_connect,
    ),
    Misuse(
        "reuseport-for-restart",
        "SO_REUSEPORT only serves to restart here; it also lets a second server start beside the first unnoticed",
        "SO_REUSEADDR is enough for a restart",
        habits.for_restart,
    ),
    Misuse(
        "listener-before-outgoing",
        "the listener listens already: on Linux SO_REUSEADDR lets an outgoing socket join its port only before that",
        "bind the outgoing socket before the listener listens, or set SO_REUSEPORT on both",
        habits.listener_first,
    ),
    Misuse(
        "restart-without-the-dead-side",
        "SO_REUSEADDR on the new socket alone: on Linux the one that left the port in TIME_WAIT must have had it too",
        "set SO_REUSEADDR on every socket that listens on this port, from the first start on",
        habits.dead_side,
    ),
    Misuse(
        "guessed-port",
        "this port was found free by binding and closing, and bound again later: in between it is anybody's",
        "take a port of `held_port`, keep the socket and hand it over, or bind port 0 where the port is used",
        habits.guessed,
    ),
)
