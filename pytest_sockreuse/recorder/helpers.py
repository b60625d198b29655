"""What stands between a test and a task that an event loop runs: no trail has it, as the loop calls the task.

So the code is gone through from the test on, to whatever starts a task. Where that asks for the system, nobody knows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from . import lookup
from .asker import Asker
from .loaded import is_stdlib
from .syntax import Code, Def, Definition, Scope

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
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        starts = any(getattr(call.func, "attr", getattr(call.func, "id", "")) in _STARTS for call in calls)
        asks = False
        for helper in self._helpers(calls, Scope(code, function)):
            assert isinstance(helper.value, Def)
            leads, further = self._leads(helper.value, helper.scope.code, deep + 1)
            starts |= leads
            asks |= leads and (further or self.asker.asks(helper.value, helper.scope.code))
        self.known[function] = starts, asks
        return starts, asks

    def _helpers(self, calls: list[ast.Call], scope: Scope) -> Iterator[Definition]:
        """The functions that are called, or handed on to be called."""
        for call in calls:
            for func in (call.func, *call.args, *(keyword.value for keyword in call.keywords)):
                found = lookup.definition(func, scope)
                if found is None and func is call.func and isinstance(func, ast.Attribute):
                    methods = (it for it in scope.code.attributes(func.attr) if isinstance(it.value, Def))
                    found = next(methods, None)
                if found is not None and not is_stdlib(found.scope.code.file):
                    yield found
