"""Commands that draw scenarios of their own."""

from __future__ import annotations

import argparse
import random
import sys
import time
from math import inf
from typing import TYPE_CHECKING

from ..arguments import UsageError
from ..platforms import Platform, current
from .shared import modelled, with_model

if TYPE_CHECKING:
    from ..explorer.fuzz import Tally


def explore(arguments: argparse.Namespace) -> int:
    from ..explorer.fuzz import explore
    from ..live.runner import Broken

    platform = with_model(arguments.on or current())
    if arguments.exhaustive is not None:
        return _explore_all(arguments, platform)
    seed = random.randrange(2**31) if arguments.seed is None else arguments.seed
    count = arguments.count if arguments.seconds is not None or arguments.count is not None else 1000
    print(f"random scenarios against the model of {platform}, seed {seed}", flush=True)
    show = _Progress(count) if sys.stderr is not None and sys.stderr.isatty() else None
    try:
        return 0 if explore(platform, seed, count, arguments.seconds, _say, show) else 1
    except Broken as error:
        raise UsageError(str(error)) from None


class _Progress:
    """A line on the terminal of standard error that says how far an exploration is; it is written over each second."""

    def __init__(self, count: int | None) -> None:
        self.of, self.said = f" of {count}" if count is not None else "", -inf

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self.said >= 1:
            self.said = now
            text = f"{tally.performed}{self.of} scenarios performed, {tally.disagreements} disagreements"
            print(f"{text}\r", end="", file=sys.stderr, flush=True)


def _explore_all(arguments: argparse.Namespace, platform: Platform) -> int:
    from ..explorer.exhaustive import Unable, explore_all
    from ..explorer.scope import Scope

    scope = Scope(arguments.protocol, arguments.family)
    try:
        agreed = explore_all(platform, scope, arguments.exhaustive, arguments.processes, arguments.resume, _say)
    except Unable as error:
        raise UsageError(str(error)) from None
    return 0 if agreed else 1


def _say(text: str) -> None:
    print(text, flush=True)


def distinguish(arguments: argparse.Namespace) -> int:
    from ..explorer.distinguish import distinguish

    if len(arguments.platform) < 2:
        raise UsageError("distinguish needs two platforms at least")
    distinguish(arguments.platform, print)
    return 0


def resemble(arguments: argparse.Namespace) -> int:
    from ..explorer.distinguish import resemble, show, to_json
    from ..live.runner import Broken

    newest = {platform.stack: platform for platform in modelled()}
    try:
        found = resemble(arguments.on or list(newest.values()))
    except Broken as error:
        raise UsageError(str(error)) from None
    print(to_json(found) if arguments.json else show(found))
    return 0
