"""The first call of a piece that a platform cannot do as it was done here."""

from __future__ import annotations

from dataclasses import replace

from ..dataclass import dataclass
from ..model import predict
from ..platforms import Platform
from ..scenario import Option
from .calls import Piece
from .translate import of_groups

COMPARED = frozenset({"socket", "set", "bind", "listen", "connect", "accept"})


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step at which a platform cannot do what was seen here."""

    at: int
    step: str
    outcomes: tuple[str, ...]
    clause: str
    option: int = -1  # of a new socket the one that is to blame
    listener: int = -1  # the bind of a listener that does not take IPv4 there, which is to blame


def first_difference(piece: Piece, platform: Platform) -> Difference | str | None:
    """The first call that cannot do there what it did here; or why that is not known.

    Who is in a group bears on no port: where only that is not known, the rest may be.
    """
    found = _difference(piece, platform)
    rest = without_groups(piece)
    if not isinstance(found, str) or rest is piece:
        return found
    other = _difference(rest, platform)
    if not isinstance(other, Difference):
        return found
    at, listener = (piece.calls.index(rest.calls[n]) if n >= 0 else n for n in (other.at, other.listener))
    return replace(other, at=at, listener=listener, step=piece.scenario.steps[at].label)


def without_groups(piece: Piece) -> Piece:
    """The piece without what it does about multicast groups, which a model may not know."""
    options = {sock: tuple(o for o in given if not of_groups(o.name)) for sock, given in piece.options.items()}
    calls = tuple(call for call in piece.calls if call.option is None or not of_groups(call.option.name))
    return piece if (calls, options) == (piece.calls, piece.options) else replace(piece, calls=calls, options=options)


def _difference(piece: Piece, platform: Platform) -> Difference | str | None:
    """The first call that cannot do there what it did here; or why that is not known."""
    prediction = predict(piece.scenario, platform)
    for at, (call, step) in enumerate(zip(piece.calls, prediction.steps, strict=True)):
        if step.unknown:
            return step.unknown
        if call.outcome in ("", *step.outcomes) or call.verb not in COMPARED:
            continue
        if call.sock.stranger:
            return "what another process or machine would do there is not known"
        outcomes = tuple(outcome for outcome in step.outcomes if outcome != "unreached")
        listener = _dual(piece, at, platform) if call.verb in ("connect", "bind") else -1
        return Difference(at, step.step, outcomes, step.clause, _option(piece, at, platform), listener)
    return None


def _dual(piece: Piece, at: int, platform: Platform) -> int:
    """The bind of a listener that would take the connection if it had IPV6_V6ONLY off, as it is here; -1 if none."""
    for n, call in enumerate(piece.calls[:at]):
        sock = call.sock
        if call.verb != "bind" or call.host != "::" or call.old or sock.stranger or sock.kind[-1] != "6":
            continue
        if any(option.name == "IPV6_V6ONLY" for option in piece.options[sock]):
            continue
        off = {**piece.options, sock: (*piece.options[sock], Option("IPV6_V6ONLY", "0"))}
        changed = replace(piece, calls=piece.calls[: at + 1], options=off)
        if piece.calls[at].outcome in predict(changed.scenario, platform).steps[-1].outcomes:
            return n
    return -1


def _option(piece: Piece, at: int, platform: Platform) -> int:
    """Which option of the socket made at `at` is to blame that it cannot be made so; -1 where none is."""
    sock = piece.calls[at].sock
    options = piece.options[sock] if piece.calls[at].verb == "socket" else ()
    for n, option in enumerate(options):
        fewer = replace(piece, calls=piece.calls[: at + 1], options={**piece.options, sock: options[: n + 1]})
        if predict(fewer.scenario, platform).steps[-1].outcomes != ("ok",):
            return [entry for entry, _ in sock.options].index(option)
    return -1
