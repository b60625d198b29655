"""The platforms that a run compares with, and the ids under which anything can be found there."""

from __future__ import annotations

from functools import cache

import pytest

from ..model import clauses
from ..platforms import Platform, PlatformError, asked_for, newest, registry
from ..recorder.compare import DEFAULT
from ..recorder.misuse import MISUSES


def wanted(config: pytest.Config, names: list[str]) -> list[Platform]:
    """The platforms to compare with: those named by the option, else those of the ini file, else the default."""
    if names:
        return called(names, "--sockreuse-record")
    return called(config.getini("sockreuse_targets"), "sockreuse_targets")


def called(names: list[str], whose: str) -> list[Platform]:
    """The platforms called so; a stack alone is the newest known of it. Raises pytest.UsageError."""
    found = []
    for name in names or DEFAULT:
        try:
            found.append(newest(name) if name in registry() else asked_for(name))
        except PlatformError as error:
            raise pytest.UsageError(f"{whose}: {error}") from None
    return found


@cache
def known_ids(targets: tuple[Platform, ...]) -> tuple[str, ...]:
    """The ids under which anything can be found."""
    found = (clause.name for platform in targets for clause in clauses(platform))
    return tuple(dict.fromkeys((*(misuse.id for misuse in MISUSES), "missing-name", "dual-stack-default", *found)))
