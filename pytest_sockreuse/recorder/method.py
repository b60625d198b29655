"""A wrapper in the place of one of the methods of Python's sockets."""

from __future__ import annotations

import _socket
import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any


def in_place_of(method: Callable[..., Any], wrapper: Callable[..., Any]) -> Any:
    """The wrapper, a function only where `method` is one.

    `mock.patch(…, autospec=True)` hands `self` on to the mock of a function, and not to that of a method written in C.
    A cache of no size is such a method: it keeps nothing, and binds and calls as fast.
    """
    functools.update_wrapper(wrapper, method)
    return wrapper if isinstance(method, FunctionType) else functools.lru_cache(maxsize=0)(wrapper)


def is_displaced(ours: Any, stands: Any, name: str) -> bool:
    """Whether what stands where `ours` was put surely does not call it: Python's own method, or pytest-socket's guard.

    That plugin puts back after each test what it found when it was imported, and its guard calls just that.
    """
    while stands is not None and stands is not ours:
        below = getattr(stands, "__wrapped__", None)
        if below is None:
            return stands is getattr(_socket.socket, name, None) or stands.__module__ == "pytest_socket"
        stands = below
    return stands is None
