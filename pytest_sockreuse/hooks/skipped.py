"""On which platforms a test is skipped, by its marks and by the code of the test and its fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import pytest

from ..platforms import Platform, current, known
from ..recorder.events import LIBRARY, PROJECT, of_stdlib, whose


def skipped_on(item: pytest.Item, targets: list[Platform]) -> dict[Platform, bool | None]:
    """The targets, with whether the test would be skipped there; None: it may be."""
    from ..recorder.skips import Subject, skipped  # here: of few tests it is asked

    class_ = getattr(item, "cls", None)
    classes = tuple(one for one in getattr(class_, "__mro__", ()) if not of_stdlib(one.__module__))
    answers: dict[Platform, bool | None] = {}
    rules = [name for mark in item.iter_markers("sockreuse_requires") for name in mark.args]
    for platform, honoured in _honoured([*rules, *item.config.getini("sockreuse_require")], targets):
        if not honoured and answers.get(platform) is not True:
            answers[platform] = True if honoured is False else None
    marks = frozenset(mark.name for mark in item.iter_markers())
    above = [folder for folder in item.path.parents if folder.is_relative_to(item.config.rootpath)]
    files = (item.path, *(folder / "conftest.py" for folder in above))
    test = Subject(_functions(item), classes, marks, tuple(map(str, files)))
    for platform in targets:
        answer = skipped(test, current().stack, platform.stack)
        if answer is not False and answers.get(platform) is not True:
            answers[platform] = answer
    return answers


def asking_on(item: pytest.Item, targets: list[Platform], whole: bool) -> list[Platform]:
    """The targets on which what the test starts may not be started: by its helpers, and as a `whole` by itself."""
    from ..recorder.skips import asks

    return [p for p in targets if asks(_functions(item), current().stack, p.stack, whole)]


def _functions(item: pytest.Item) -> tuple[Callable[..., Any], ...]:
    """The test's own function, and those of its fixtures that are no plugin's."""
    info = getattr(item, "_fixtureinfo", None)
    fixtures = [found[-1].func for found in info.name2fixturedefs.values()] if info is not None else []
    named = [(function, getattr(getattr(function, "__code__", None), "co_filename", "")) for function in fixtures]
    functions = [getattr(item, "function", None), *(it for it, file in named if whose(file) in (LIBRARY, PROJECT))]
    return tuple(function for function in functions if function is not None)


@cache
def honoured(rule: str, stack: str) -> bool | None:
    """Whether all known versions of a stack honour a rule, or none does; else None."""
    answers = {honours for _, honours in _honoured([rule], [it for it in known() if it.stack == stack])}
    return answers.pop() if len(answers) == 1 else None


def _honoured(rules: list[str], targets: list[Platform]) -> Iterator[tuple[Platform, bool | None]]:
    """Whether the targets honour the rules that a test needs; those that are misspelled are not ours to tell."""
    if rules:
        from ..expected import honours
        from ..guard import GuardError, find

        for name in rules:
            with suppress(GuardError):
                yield from honours(find(name), targets).items()
