"""A wrapper in the place of one of the methods of Python's sockets."""

from __future__ import annotations

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
