"""What commands share: the scenarios of a file, the platforms that are modelled, the suite."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .. import intake
from ..arguments import UsageError
from ..parser import MAX_LINE, MAX_TEXT, decode, parse_file
from ..platforms import Platform, known
from ..scenario import Scenario, ScenarioError
from ..text import visible

if TYPE_CHECKING:
    from ..suite import Suite


def scenarios_of(path: str) -> list[Scenario]:
    """The scenarios of a FILE; ``-`` is standard input."""
    name = "<stdin>" if path == "-" else visible(path)
    try:
        data = sys.stdin.buffer.read(MAX_TEXT + 1) if path == "-" else intake.read(path, MAX_TEXT)
        return parse_file(decode(data))
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except ScenarioError as error:
        raise UsageError(f"{name}:{error.line}:{error.column}: {error.expected}") from None


def headline(title: str) -> str:
    return f"--- {visible(title, MAX_LINE)}\n"


def modelled() -> list[Platform]:
    from ..model import families

    return [platform for platform in known() if platform.stack in families()]


def with_model(platform: Platform) -> Platform:
    from ..model import not_modelled

    if why := not_modelled(platform):
        raise UsageError(f"{platform}: {why}")
    return platform


def whole_suite() -> Suite:
    from ..loader import load

    return load()
