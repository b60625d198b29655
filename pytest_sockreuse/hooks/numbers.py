"""Which numbers held ports have: the lines ``sockreuse_ports`` and ``sockreuse_ports_without`` of the ini file."""

from __future__ import annotations

import re

import pytest

from ..text import visible

_FORM = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)


def asked(config: pytest.Config) -> tuple[frozenset[int], frozenset[int]]:
    """The numbers to choose from, none where any will do, and those to leave out. Raises UsageError."""
    among, without = (_numbers(config, name) for name in ("sockreuse_ports", "sockreuse_ports_without"))
    if among and len(among - without) < 2:
        left = "no number" if among <= without else "one number"
        raise pytest.UsageError(
            f"sockreuse_ports: {left} is left to choose from; give two, at least: one of them keeps other runs off"
        )
    return among, without


def _numbers(config: pytest.Config, name: str) -> frozenset[int]:
    numbers: set[int] = set()
    words: list[str] = config.getini(name)
    for word in (part for given in words for part in given.split(",") if part):
        found = _FORM.fullmatch(word)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= low <= high <= 65535:
            raise pytest.UsageError(
                f"{name}: {visible(repr(word))} is neither a port nor a range of ports that goes up; "
                "write them as 20000-20999 30000, with numbers from 1 to 65535"
            )
        numbers.update(range(low, high + 1))
    return frozenset(numbers)
