"""Which files are ready: asked by poll, or by select where a sandbox refuses poll or a library has taken it away."""

from __future__ import annotations

import select
import selectors
import sys
from collections.abc import Iterable
from functools import cache
from typing import Protocol, TypeVar


class _File(Protocol):
    def fileno(self) -> int: ...


_T = TypeVar("_T", bound=_File)


@cache
def _selector() -> type[selectors.BaseSelector]:
    poll: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
    try:
        with poll() as trial:
            trial.select(0)
    except OSError:
        return selectors.SelectSelector
    return poll


def ready(reading: Iterable[_T], writing: Iterable[_T] = (), seconds: float | None = None) -> list[_T]:
    """Those that can be read, or written, or have ended, after at most so many seconds. Raises OSError."""
    with _selector()() as selector:
        for files, event in ((reading, selectors.EVENT_READ), (writing, selectors.EVENT_WRITE)):
            for file in files:
                selector.register(file, event)
        return [key.fileobj for key, _ in selector.select(seconds)]  # type: ignore[misc]


@cache
def polls() -> bool:
    """Whether this process may call poll."""
    return _selector() is not selectors.SelectSelector


def readable(file: _File, seconds: float) -> bool:
    """Whether a socket or pipe can be read, or has ended, after at most so many seconds. Raises OSError."""
    if sys.platform != "win32" and polls():  # the short way: it is asked at every accept
        poll = select.poll()
        poll.register(file, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    return bool(select.select([file], [], [], seconds)[0])
