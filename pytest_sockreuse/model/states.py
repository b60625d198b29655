"""The state of a machine between two steps: copied where the next step may lead further than one way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

from .clause import PLAIN
from .machine import Machine
from .outlook import spoken
from .sock import CLOSE, Sock

ATOMS = frozenset({int, str, float, bool, type(None), frozenset})  # types whose values are never changed
_PLAIN = tuple(name for name in Sock.__slots__ if name not in ("options", "queue", "peer", "group"))
_NEW = 0  # in a memo of copies, by id: the machine that is made
_SHARED = frozenset({"scenario", "family", "on", "env", "observed", "devices", "addresses", "work", "clause"})


@cache
def slots(kind: Any) -> tuple[str, ...]:
    return tuple(name for base in kind.__mro__ for name in _own_slots(base))


@cache
def values(kind: Any) -> Callable[[object], tuple[Any, ...]]:
    """What gives all that the slots of such an object hold."""
    names = slots(kind)
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda it: (get(it),)


@cache
def _copier(kind: Any) -> Callable[[Any, dict[int, Any]], Any]:
    """What copies such an object: a function made for its slots; to set them by name takes longer."""
    lines = ["def copier(it, memo):", " made = memo[id(it)] = new(kind)"]
    plain = _PLAIN if issubclass(kind, Sock) else ()
    if plain:
        lines += [f" {', '.join(f'made.{name}' for name in plain)} = plain(it)"]
    rest = [name for name in slots(kind) if name not in plain]
    lines += [f" made.{name} = p if type(p := it.{name}) in ATOMS else copy(p, memo)" for name in rest]
    known = {"new": object.__new__, "kind": kind, "ATOMS": ATOMS, "copy": _copy, "plain": attrgetter(*_PLAIN)}
    made: dict[str, Callable[[Any, dict[int, Any]], Any]] = {}
    exec("\n".join([*lines, " return made"]), known, made)
    return made["copier"]


def _own_slots(base: type) -> tuple[str, ...]:
    found = base.__dict__.get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


@cache
def frozen(kind: Any) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def _copy(it: Any, memo: dict[int, Any]) -> Any:
    kind: Any = type(it)
    made: Any
    if kind in ATOMS:
        return it
    known = memo.get(id(it))
    if known is not None:
        return known
    if kind is list:
        made = memo[id(it)] = []
        made += [part if type(part) in ATOMS else _copy(part, memo) for part in it]
    elif kind is dict:
        made = memo[id(it)] = dict(it)
        for key, part in it.items():
            if type(part) not in ATOMS:
                made[key] = _copy(part, memo)
    elif kind is tuple:
        made = it if ATOMS.issuperset(map(type, it)) else tuple([_copy(part, memo) for part in it])
    elif kind is set:
        made = memo[id(it)] = set(it)
    elif kind is Machine:  # of which a family's tables know: it may be one that this state was taken over from
        made = memo[_NEW]
    elif frozen(kind) or callable(it):
        made = it
    else:
        made = _copier(kind)(it, memo)
    return made


def fork(m: Machine[Any], choose: Callable[[int], int]) -> Machine[Any]:
    """A machine in the same state, before its step `m.at`, that chooses by `choose`.

    What that step cannot touch is shared: sockets without port that it does not name.
    """
    new: Machine[Any] = Machine.__new__(Machine)
    memo: dict[int, Any] = {_NEW: new}
    for name in slots(Machine):
        part = getattr(m, name)
        if name in _SHARED or type(part) in ATOMS:
            setattr(new, name, part)
    new.choose = choose
    new.space = m.space.fork(choose)
    memo[id(m.space)] = new.space
    new.ports = dict(m.ports)
    new.state = _copy(m.state, memo)
    new.tuples = _copy(m.tuples, memo)
    new.listeners = _copy(m.listeners, memo)
    here = spoken(m.scenario.steps[m.at])
    new.names, new.touched = {}, {*m.touched, *here}
    for name in here:  # the sockets that it names, before the names that share them
        _copy(m.names.get(name), memo)
    for name, held in m.names.items():
        sk = held.sock
        if name in here or (sk is not None and (not _loose(sk) or id(sk) in memo)):
            held = _copy(held, memo)
            new.touched.add(name)
        new.names[name] = held
    new.called = {memo.get(id(sk), sk): name for sk, name in m.called.items()}
    new.clause, new.against, new.other = PLAIN, PLAIN, None
    return new


def alike(m: Machine[Any]) -> Machine[Any]:
    """A machine in the very state of `m`, which neither of the two may change."""
    new: Machine[Any] = Machine.__new__(Machine)
    for name in slots(Machine):
        setattr(new, name, getattr(m, name))
    return new


def _loose(sk: Sock) -> bool:
    return not sk.port and sk.state == CLOSE and sk.peer is None and not sk.queue
