"""What stands between a test and a task that an event loop runs: no trail has it, as the loop calls the task.

So the code is gone through from the test on, to whatever starts a task. Where that asks for the system, nobody knows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from . import lookup
from .asker import Asker
from .loaded import is_stdlib
from .syntax import Code, Def, Definition, Scope, remembered

_DEEP = 6  # helpers that are followed, one from another
_STARTS = {
    "call_at", "call_later", "call_soon", "call_soon_threadsafe", "create_server", "create_task", "ensure_future",
    "gather", "run_coroutine_threadsafe", "run_in_executor", "start", "start_server", "start_soon", "submit",
    "to_thread",
}  # fmt: skip


class Helpers:
    """Looks for helpers that ask for the system, and lead to a task."""

    def __init__(self, here: str, there: str) -> None:
        self.asker = Asker(here, there, ())
        self.known: dict[Def, tuple[bool, bool]] = {}

    def ask(self, function: Def, code: Code) -> bool:
        """Whether one that the function calls does."""
        return self._leads(function, code, 0)[1]

    def _leads(self, function: Def, code: Code, deep: int) -> tuple[bool, bool]:
        """Whether a function leads to a task, and whether a helper on the way asks for the system."""
        if function in self.known or deep > _DEEP:
            return self.known.get(function, (False, False))
        self.known[function] = False, False  # as far as it calls itself
        starts, helpers = _called(function, code)
        asks = False
        for helper in helpers:
            assert isinstance(helper.value, Def)
            leads, further = self._leads(helper.value, helper.scope.code, deep + 1)
            starts |= leads
            asks |= leads and (further or self.asker.asks(helper.value, helper.scope.code))
        self.known[function] = starts, asks
        return starts, asks


@lru_cache(8192)
def _called(function: Def, code: Code) -> tuple[bool, tuple[Definition, ...]]:
    """Whether a function starts a task itself, and the functions that it calls, or hands on to be called."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    starts = any(getattr(call.func, "attr", getattr(call.func, "id", "")) in _STARTS for call in calls)
    return starts, tuple(dict.fromkeys(_helpers(calls, Scope(code, function))))


remembered(_called.cache_clear)


def _helpers(calls: list[ast.Call], scope: Scope) -> Iterator[Definition]:
    for call in calls:
        for func in (call.func, *call.args, *(keyword.value for keyword in call.keywords)):
            found = lookup.definition(func, scope)
            if found is None and func is call.func and isinstance(func, ast.Attribute):
                methods = (it for it in scope.code.attributes(func.attr) if isinstance(it.value, Def))
                found = next(methods, None)
            if found is not None and not is_stdlib(found.scope.code.file):
                yield found
