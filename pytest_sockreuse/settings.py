"""What is known of settings, from `conformance/settings.toml`: who has them, and the values that models follow."""

from __future__ import annotations

import re
from functools import cache

from .data import DataError, line_of, read, records
from .dataclass import dataclass
from .platforms import CONFORMANCE, Platform, Span, registry
from .scenario import Scenario, Setting

_LISTS = {"ports": r"(\d{1,5}(-\d{1,5})?(,|$))*", "range": r"\d{1,5}[ \t]+\d{1,5}"}


@dataclass(frozen=True, slots=True)
class KnownSetting:
    """A setting: the systems and versions where a scenario can change it, the `values` whose effect is known."""

    on: tuple[str, ...]
    values: str = ""
    span: Span = Span()

    def takes(self, value: str) -> bool:
        """Whether it is known what this value does."""
        if pattern := _LISTS.get(self.values):
            return re.fullmatch(pattern, value) is not None and all(int(n) < 65536 for n in re.findall(r"\d+", value))
        if not self.values:
            return False
        low, high = map(int, self.values.split("-"))
        return re.fullmatch(r"0|[1-9]\d{0,8}", value) is not None and low <= int(value) <= high


@cache
def settings() -> dict[str, KnownSetting]:
    """Every setting that is known, by its name. Raises DataError."""
    path = CONFORMANCE / "settings.toml"
    data = records(path, {"on": [str]}, {"values": str, "since": [str], "until": [str]})
    found = {}
    for name, entry in data.items():
        where = f"{path.name}:{line_of(name, read(path)[1])}: {name}"
        values = entry.get("values", "")
        if values and values not in _LISTS and not re.fullmatch(r"\d{1,9}-\d{1,9}", values):
            raise DataError(f"{where}: 'values' should be LOW-HIGH or one of {', '.join(_LISTS)}")
        if unknown := [stack for stack in entry["on"] if stack not in registry()]:
            raise DataError(f"{where}: no platform {unknown[0]!r} in platforms.toml ({', '.join(registry())})")
        span = Span(tuple(entry.pop("since", ())), tuple(entry.pop("until", ())))
        found[name] = KnownSetting(tuple(entry["on"]), values, span)
    return found


def missing(scenario: Scenario, platform: Platform) -> str:
    """Why a scenario cannot be run on a platform, which lacks a setting; empty where it has all of them."""
    system = registry()[platform.stack]
    for setting in _named(scenario):
        known = settings().get(setting.name)
        if known is not None and (platform.stack in known.on or not known.on):
            has = platform.stack in known.on and platform.version in known.span
        else:
            has = setting.name.startswith(tuple(system.get("settings", ())))
        if not has:
            return f"{system['title']} {platform.label} has no setting {setting.name} that a scenario can change"
    return ""


def uncovered(scenario: Scenario, platform: Platform) -> str:
    """The first setting of a scenario whose effect on a platform that has it is not known, in words; or empty."""
    for setting in _named(scenario):
        known = settings().get(setting.name)
        if known is None or platform.stack not in known.on or not known.values:
            return f"what {setting.name} does to ports is not modelled"
        if not known.takes(setting.value):
            return f"what {setting.name} does with the value {setting.value} is not modelled"
    return ""


def _named(scenario: Scenario) -> list[Setting]:
    return [setting for setting in scenario.environment if setting.kind == "sysctl"]
