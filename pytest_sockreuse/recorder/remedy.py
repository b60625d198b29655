"""What would work on all platforms: small changes to the calls, tried on the models until one does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..model import ModelError, predict
from ..platforms import Platform
from ..scenario import Option
from .calls import Call, Piece, Traced

MOST = 160  # changes that are tried
_OPTIONS = ("SO_REUSEADDR", "SO_REUSEPORT")

#: A change: what to say to the reader, and what it makes of a piece.
Change = tuple[str, "Edit"]


class Edit:
    """One small change. Calls and sockets are the same objects in every platform's piece."""

    def __call__(self, piece: Piece) -> Piece | None:
        """The piece changed; None where there is nothing to change."""
        raise NotImplementedError


class _Options(Edit):
    def __init__(self, add: Option | None, drop: str, socks: Sequence[Traced]) -> None:
        self.add, self.drop, self.socks = add, drop, socks

    def __call__(self, piece: Piece) -> Piece | None:
        options = dict(piece.options)
        for sock in self.socks:
            kept = tuple(o for o in options[sock] if o.name not in (self.add and self.add.name, self.drop))
            options[sock] = (*kept, self.add) if self.add is not None else kept
        return replace(piece, options=options)


class _Later(Edit):
    """The calls of `sock` from its first `verb` on come after `other`."""

    def __init__(self, sock: Traced, verb: str, other: Call) -> None:
        self.sock, self.verb, self.other = sock, verb, other

    def __call__(self, piece: Piece) -> Piece | None:
        calls = list(piece.calls)
        first = next((n for n, call in enumerate(calls) if call.sock is self.sock and call.verb == self.verb), None)
        if first is None or self.other not in calls or (to := calls.index(self.other)) < first:
            return None
        moved = [call for call in calls[first:to] if call.sock is self.sock]
        rest = [call for call in calls[first : to + 1] if call.sock is not self.sock]
        return replace(piece, calls=(*calls[:first], *rest, *moved, *calls[to + 1 :]))


def remedy(failing: Sequence[Call], piece: Piece, pieces: Mapping[Platform, Piece]) -> str:
    """A change after which every call that worked here works on every platform, for the reader; empty if none is found.

    `failing` are the calls of `piece` that fail somewhere; `pieces` the calls as each platform's code makes them.
    """
    numbers = {number for call in failing for number in (call.number, call.sock.number)} - {0}
    rivals = {call.sock for call in piece.calls if call.verb == "bind" and call.number in numbers}
    rivals |= {call.sock for call in failing}
    socks = [sock for sock in piece.options if sock in rivals and not sock.stranger]
    # The contested ports are named by the program, so that whoever comes first can name them.
    symbolic = {
        call: replace(call, port=call.number)
        for call in piece.calls
        if call.number in numbers and call.verb in ("bind", "connect") and call.number >= 1024
    }
    plain = {platform: _replaced(other, symbolic) for platform, other in pieces.items()}
    single = list(_changes(_replaced(piece, symbolic), socks))
    pairs = ((f"{a}, and {b}", (x, y)) for (a, x), (b, y) in itertools.combinations(single, 2))
    tried = itertools.chain(((text, (edit,)) for text, edit in single), pairs)
    for text, edits in itertools.islice(tried, MOST):
        if all(_works(platform, other, edits) for platform, other in plain.items()):
            return text
    return ""


def _replaced(piece: Piece, calls: Mapping[Call, Call]) -> Piece:
    return replace(piece, calls=tuple(calls.get(call, call) for call in piece.calls))


def _changes(piece: Piece, socks: Sequence[Traced]) -> Iterator[Change]:
    def names(some: Sequence[Traced]) -> str:
        return " and ".join(piece.names[sock] for sock in some)

    dual = [sock for sock in socks if sock.kind[-1] == "6" and sock.host == "::"]
    if dual:
        yield f"set IPV6_V6ONLY to 0 on {names(dual)}", _Options(Option("IPV6_V6ONLY", "0"), "", dual)
    for sock, other in itertools.permutations(socks, 2):
        for call in piece.calls:
            if call.sock is other and call.verb in ("bind", "connect", "listen"):
                where = f"{piece.names[other]}.{call.verb}"
                for verb in ("bind", "listen"):
                    yield f"call {piece.names[sock]}.{verb} after {where}", _Later(sock, verb, call)
    groups = [socks[:n] for n in (len(socks),)] + ([[sock] for sock in socks] if len(socks) > 1 else [])
    for group in groups:
        for option in _OPTIONS:
            has = [sock for sock in group if any(o.name == option for o in piece.options[sock])]
            other_name = next(name for name in _OPTIONS if name != option)
            if len(has) < len(group):
                yield f"set {option} on {names(group)}", _Options(Option(option), "", group)
            if has:
                yield f"leave {option} away from {names(has)}", _Options(None, option, has)
                yield (
                    f"set {other_name} on {names(group)} instead of {option}",
                    _Options(Option(other_name), option, group),
                )


def _works(platform: Platform, piece: Piece, edits: Sequence[Edit]) -> bool:
    """Whether all that worked here is sure to work there after the changes."""
    changed: Piece | None = piece
    for edit in edits:
        changed = edit(changed) if changed is not None else None
    if changed is None:
        return False
    try:
        prediction = predict(changed.scenario, platform)
    except ModelError:
        return False
    return all(
        not step.unknown and (call.outcome != "ok" or step.outcomes == ("ok",))
        for call, step in zip(changed.calls, prediction.steps, strict=True)
    )
