"""A hash of everything that objects refer to, by which equal states of a machine are recognised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def digest(roots: Iterable[object], known: object) -> bytes:
    """Equal only where all that is reachable from `roots` is equal, and shared alike; `known` is not looked into."""
    parts: list[object] = []
    met = {id(known): 0}
    for root in roots:
        _walk(root, parts, met)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def _walk(item: object, parts: list[object], met: dict[int, int]) -> None:
    if item is None or isinstance(item, (str, float)):
        parts.append(item)
    elif isinstance(item, int):
        parts.append(item if item.bit_length() < 64 else hex(item))
    elif callable(item):
        parts.append("call")
    elif id(item) in met:
        parts.append(("met", met[id(item)]))
    else:
        if not isinstance(item, (tuple, frozenset)):  # which of two equal ones does not matter
            met[id(item)] = len(met)
        parts.append(type(item).__name__)
        for part in _parts(item):
            _walk(part, parts, met)
        parts.append("end")


def _parts(item: object) -> Iterable[object]:
    if isinstance(item, dict):
        return (part for pair in item.items() for part in pair)
    if isinstance(item, (set, frozenset)):
        return sorted(item)
    if isinstance(item, (list, tuple)):
        return item
    names = [name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ())]
    assert names, f"{type(item).__name__} has no slots to look into"
    return (getattr(item, name) for name in names)
