"""What is asked of the system itself: its name, a name that Python has there, a rule of ours. Answered by tables."""

from __future__ import annotations

import ast
import os
import platform
import sys

from ..dataclass import dataclass
from .loaded import value_of
from .lookup import dotted
from .required import CALLED, honoured
from .required import required as named
from .syntax import Code, Scope
from .systems import ASKS, HAS, MODULES, QUESTIONS, SYSTEMS, said_by
from .values import OPEN, SAME, Answer

_NAMES_HERE = {os.name: 0, sys.platform: 1, platform.system(): 2}


@dataclass(eq=False, slots=True)
class Systems:
    """Two systems: code ran on the stack `here`, and may on the stack `there`."""

    here: str
    there: str

    def question(self, node: ast.expr, scope: Scope) -> Answer | None:
        """The answer to a plain question for the system; None if it is none."""
        at = QUESTIONS.get(dotted(node, scope))
        return None if at is None else (SYSTEMS[self.here][at], SYSTEMS[self.there][at])

    def flag(self, name: str) -> Answer:
        """A name by what it says."""
        if (stacks := said_by(name)) is not None:
            return self.here in stacks, self.there in stacks
        return OPEN if ASKS.search(name) else SAME

    def live(self, name: str, code: Code) -> Answer | None:
        """A name that stands for this very system, by what the module that is loaded has for it."""
        value = value_of(code.file, name)
        if isinstance(value, str) and value in _NAMES_HERE:
            at = _NAMES_HERE[value]
            return SYSTEMS[self.here][at], SYSTEMS[self.there][at]
        return None

    def there_is(self, module: ast.expr, name: str, scope: Scope) -> Answer:
        whose = dotted(module, scope)
        if whose == "sys.modules" and name in MODULES:
            return self.here in MODULES[name], self.there in MODULES[name]
        stacks = HAS.get(f"{whose}.{name}")
        if stacks is not None:
            return self.here in stacks, self.there in stacks
        return OPEN if whose in ("socket", "os", "select", "sys", "signal") else SAME

    def is_required(self, call: ast.Call, scope: Scope) -> bool:
        """Whether a call is of our own ``require``."""
        return dotted(call.func, scope) in CALLED

    def required(self, call: ast.Call) -> Answer:
        """Whether what it requires is honoured; here it was."""
        rules = named(call)
        answers = [None] if rules is None else [honoured(rule, self.there) for rule in rules]
        return (True, False) if False in answers else OPEN if None in answers else (True, True)
