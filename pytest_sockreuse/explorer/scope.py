"""The small scope: every sequence of calls on two sockets, one port, the reuse options, two addresses of one family.

Up to renaming: the first to act is A, and a socket is made, with any of the four sets of reuse options, when it first
acts. Making is not counted as a call. Options that are set one after another commute, so they come in one order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from ..parser import parse
from ..scenario import Scenario, Step

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

    @property
    def root(self) -> Path:
        return Path(self, (), (), {})


@dataclass(frozen=True, slots=True)
class _Socket:
    """What an open socket's next calls depend on."""

    options: tuple[bool, bool] = (False, False)
    child: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """A scenario of the scope, as far as it has got. `depth` counts its calls, `sockets` are the open ones."""

    scope: Scope
    lines: tuple[str, ...]
    steps: tuple[Step, ...]
    sockets: dict[str, _Socket]
    depth: int = 0
    made: int = 0
    last: tuple[str, int] = ("", -1)  # the option that the last call set

    @property
    def scenario(self) -> Scenario:
        return Scenario(self.lines, (), self.steps)

    def settled(self, succeeded: bool) -> Path:
        """The same with what became of the last call: a socket that failed is not tried again."""
        step = self.steps[-1]
        sockets = dict(self.sockets)
        if step.verb == "accept" and succeeded:
            sockets[step.name] = _Socket(child=True)
        elif step.verb not in ("accept", "close", "set") and not succeeded:
            sockets[step.name] = replace(sockets[step.name], failed=True)
        return replace(self, sockets=sockets)

    def longer(self) -> Iterator[Path]:
        """Each scenario with one call more."""
        for name in self.sockets:
            yield from self._calls(name)
        if self.made < 2:
            name = "AB"[self.made]
            for options in _SETS:
                text = ", ".join(option for option, on in zip(_OPTIONS, options, strict=True) if on)
                made = self._with(f"{name} = {self.scope}({text})", _Socket(options), name)
                made = replace(made, made=self.made + 1, last=("", -1))
                yield from made._verbs(name)

    def _calls(self, name: str) -> Iterator[Path]:
        sock = self.sockets[name]
        if not (sock.child or sock.failed):
            yield from self._verbs(name)
        if not sock.child:
            yield from self._sets(name, sock)
        yield replace(self._with(f"{name}.close()", None, name), depth=self.depth + 1, last=("", -1))

    def _sets(self, name: str, sock: _Socket) -> Iterator[Path]:
        for at, option in enumerate(_OPTIONS):
            if (name, at) > self.last:
                on = tuple(value != (at == n) for n, value in enumerate(sock.options))
                text = f"{name}.set({option}={int(on[at])})"
                changed = replace(sock, options=(on[0], on[1]))
                yield replace(self._with(text, changed, name), depth=self.depth + 1, last=(name, at))

    def _verbs(self, name: str) -> Iterator[Path]:
        sock = self.sockets[name]
        exact, wildcard = (f"{host}:P" for host in _HOSTS[self.scope.family])
        for verb in _CALLS[self.scope.protocol]:
            if verb == "accept":
                children = sum(step.verb == "accept" for step in self.steps)
                texts = [f"c{children + 1} = {name}.accept()"]
            elif verb in ("bind", "connect"):
                texts = [f"{name}.{verb}({address})" for address in (exact, wildcard)[: 2 if verb == "bind" else 1]]
            else:
                texts = [f"{name}.{verb}()"]
            for text in texts:
                yield replace(self._with(text, sock, name), depth=self.depth + 1, last=("", -1))

    def _with(self, text: str, sock: _Socket | None, name: str) -> Path:
        step = _step(text)
        count = sum(other.name == step.name and other.verb == step.verb for other in self.steps)
        if count:
            step = _again(step, count + 1)
        sockets = {other: kept for other, kept in self.sockets.items() if other != name or sock is not None}
        if sock is not None:
            sockets[name] = sock
        return replace(self, lines=(*self.lines, text), steps=(*self.steps, step), sockets=sockets)


@lru_cache(4096)
def _step(text: str) -> Step:
    """The step of one line, which is read behind lines that make the sockets it names."""
    made = "" if " = tcp" in text or " = udp" in text else "A = tcp4()\nB = tcp4()\n"
    if text.startswith("c") and "accept" not in text:
        made += f"{text.partition('.')[0]} = A.accept()\n"
    return parse(made + text + "\n").steps[-1]


@lru_cache(4096)
def _again(step: Step, count: int) -> Step:
    return replace(step, label=f"{step.label}#{count}")
