"""Guards in an application: ``import pytest_sockreuse as sockreuse; sockreuse.require("ordering-quirk")``."""

from __future__ import annotations

from .guard import GuardError, tried
from .report.guards import refusal


class RuleNotHonoured(GuardError):
    """This OS does otherwise."""


class RuleNotTried(GuardError):
    """This machine cannot ask: no namespace, no IPv6, no process of our own."""


def require(*rules: str) -> None:
    """Raise unless this OS honours every one of `rules`, by id or alias (see ``sockreuse rules``).

    A rule is tried once, in milliseconds, but in a process of our own, whose start takes some tenths of a second.
    Raises UnknownRule, RuleNotHonoured, or RuleNotTried where this machine cannot ask.
    """
    for trial in tried(rules):
        if not trial.honoured:
            raise (RuleNotTried if trial.honoured is None else RuleNotHonoured)(refusal(trial))
