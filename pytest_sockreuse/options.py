"""The socket options of the scenario language, from `conformance/options.toml`: form, level, and who has them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from .data import DataError, line_of, read, records
from .dataclass import dataclass
from .platforms import CONFORMANCE

FORMS = ("flag", "int", "linger", "range", "text", "group", "device")
LEVELS = ("SOL_SOCKET", "IPPROTO_IP", "IPPROTO_IPV6", "IPPROTO_TCP")


@dataclass(frozen=True, slots=True)
class KnownOption:
    """What is known of one option: the form of its values, its `level`, its number on each system that has it.

    `ports` says whether it bears on which call may have which port.
    """

    form: str
    level: str
    number: Mapping[str, int]
    ports: bool = False


@cache
def options() -> dict[str, KnownOption]:
    """Every option of the language by its name. Raises DataError."""
    path = CONFORMANCE / "options.toml"
    data = records(path, {"form": FORMS, "level": LEVELS, "number": {"": int}}, {"ports": bool})
    found = {name: KnownOption(**entry) for name, entry in data.items()}
    systems = found["SO_REUSEADDR"].number if "SO_REUSEADDR" in found else {}
    for name, option in found.items():
        if unknown := [system for system in option.number if system not in systems]:
            at = f"{path.name}:{line_of(name, read(path)[1])}"
            raise DataError(f"{at}: no system {unknown[0]!r}; that are {', '.join(systems)}, which have SO_REUSEADDR")
    return found
