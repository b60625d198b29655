"""The small scope: every sequence of calls on two sockets, one port, the reuse options, two addresses of one family.

Up to renaming: the first to act is A, and a socket is made, with any of the four sets of reuse options, when it first
acts. Making is not counted as a call. Options that are set one after another commute, so they come in one order.
One socket may get a second descriptor, which is used once the first is closed: until then its calls are the first's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from ..dataclass import dataclass

_OPTIONS = ("SO_REUSEADDR", "SO_REUSEPORT")
_SETS = ((False, False), (True, False), (False, True), (True, True))
_HOSTS = {4: ("127.0.0.1", "0.0.0.0"), 6: ("[::1]", "[::]")}
_CALLS = {"tcp": ("bind", "listen", "connect", "accept"), "udp": ("bind", "connect", "disconnect")}


@dataclass(frozen=True, slots=True)
class Scope:
    """What is varied; `str` names it."""

    protocol: str = "tcp"
    family: int = 4

    def __str__(self) -> str:
        return f"{self.protocol}{self.family}"


@dataclass(frozen=True, slots=True)
class _Socket:
    """What an open socket's next calls depend on."""

    name: str
    options: tuple[bool, bool] = (False, False)
    child: bool = False
    failed: bool = False
    copy: str = ""  # its second descriptor


class Call(NamedTuple):
    """One call more, with the making of its socket where it is the first; the boards that it leads to."""

    lines: tuple[str, ...]
    succeeded: Board
    failed: Board


@dataclass(frozen=True, slots=True)
class Board:
    """What the next calls depend on: the open sockets, how many were made and accepted, the last option set."""

    scope: Scope
    sockets: tuple[_Socket, ...] = ()
    made: int = 0
    accepted: int = 0
    copied: bool = False
    last: tuple[str, int] = ("", -1)

    def calls(self) -> Iterator[Call]:
        """Each call that may come next."""
        for sock in self.sockets:
            if not (sock.child or sock.failed):
                yield from self._verbs(sock)
            if not sock.child:
                yield from self._sets(sock)
            yield from self._descriptors(sock)
        if self.made < 2:
            for options in _SETS:
                sock = _Socket("AB"[self.made], options)
                text = ", ".join(option for option, on in zip(_OPTIONS, options, strict=True) if on)
                board = replace(self, sockets=(*self.sockets, sock), made=self.made + 1)
                yield from board._verbs(sock, f"{sock.name} = {self.scope}({text})")

    def _descriptors(self, sock: _Socket) -> Iterator[Call]:
        at = self.sockets.index(sock)

        def board(*instead: _Socket, copied: bool = self.copied) -> Board:
            sockets = (*self.sockets[:at], *instead, *self.sockets[at + 1 :])
            return replace(self, sockets=sockets, copied=copied, last=("", -1))

        closed = board(replace(sock, name=sock.copy, copy="", failed=False)) if sock.copy else board()
        yield Call((f"{sock.name}.close()",), closed, closed)
        if sock.copy:
            one = board(replace(sock, copy=""))
            yield Call((f"{sock.copy}.close()",), one, one)
        elif not (self.copied or sock.failed):
            two = board(replace(sock, copy="D"), copied=True)
            yield Call((f"D = {sock.name}.dup()",), two, two)

    def _sets(self, sock: _Socket) -> Iterator[Call]:
        for at, option in enumerate(_OPTIONS):
            if (sock.name, at) > self.last:
                on = tuple(value != (at == n) for n, value in enumerate(sock.options))
                changed = replace(self._with(replace(sock, options=(on[0], on[1]))), last=(sock.name, at))
                yield Call((f"{sock.name}.set({option}={int(on[at])})",), changed, changed)

    def _verbs(self, sock: _Socket, *making: str) -> Iterator[Call]:
        name, board = sock.name, replace(self, last=("", -1))
        failed = board._with(replace(sock, failed=True))
        exact, wildcard = (f"{host}:P" for host in _HOSTS[self.scope.family])
        for verb in _CALLS[self.scope.protocol]:
            if verb == "accept":
                child = _Socket(f"c{self.accepted + 1}", child=True)
                nothing = replace(board, accepted=self.accepted + 1)
                accepted = replace(nothing, sockets=(*self.sockets, child))
                yield Call((*making, f"{child.name} = {name}.accept()"), accepted, nothing)
            else:
                for address in {"bind": (exact, wildcard), "connect": (exact,)}.get(verb, ("",)):
                    yield Call((*making, f"{name}.{verb}({address})"), board, failed)

    def _with(self, changed: _Socket) -> Board:
        sockets = tuple(changed if sock.name == changed.name else sock for sock in self.sockets)
        return replace(self, sockets=sockets)
