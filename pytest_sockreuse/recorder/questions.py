"""What is asked of the system itself: its name, a name that Python has there, a rule of ours. Answered by tables."""

from __future__ import annotations

import ast
import os
import platform
import sys
from collections.abc import Iterator

from ..dataclass import dataclass
from .loaded import value_of
from .lookup import dotted
from .required import CALLED, honoured
from .required import required as named
from .syntax import Code, Scope
from .systems import ASKS, BY_NT, HAS, MODULES, NT, QUESTIONS, SYSTEMS, UNREAD, said_by
from .values import OPEN, SAME, Answer, Vague, differs

_ASKED = ("socket", "os", "select", "sys", "signal")
_NAMES_HERE = {os.name: 0, sys.platform: 1, platform.system(): 2}


@dataclass(eq=False, slots=True)
class Systems:
    """Two systems: code ran on the stack `here`, and may on the stack `there`."""

    here: str
    there: str

    def question(self, node: ast.expr, scope: Scope) -> Answer | None:
        """The answer to a plain question for the system; None if it is none."""
        name = dotted(node, scope)
        if (at := QUESTIONS.get(name)) is not None:
            return SYSTEMS[self.here][at], SYSTEMS[self.there][at]
        if name in BY_NT:
            return BY_NT[name][self.here in NT], BY_NT[name][self.there in NT]
        match node:
            case ast.Call(func=func, args=[ast.Constant(value="OS"), *_]):
                if dotted(func, scope) in ("os.environ.get", "os.getenv"):
                    here, there = ("Windows_NT" if stack in NT else None for stack in (self.here, self.there))
                    return here, there
        return OPEN if name in UNREAD else None

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

    def there_is(self, module: ast.expr, named: Answer, scope: Scope) -> Answer:
        """Whether a module has what is named: one name, or the names that a loop goes through."""
        whose = dotted(module, scope)
        names = named if isinstance(named, Vague) or named[0] != named[1] else named[0]
        if isinstance(names, str):
            return self._has(whose, names)
        if isinstance(names, tuple) and names and isinstance(names[0], str | tuple):
            found = [self._has(whose, name) for name in _texts(names)]
            return found[0] if found and found == found[:1] * len(found) else OPEN if any(map(differs, found)) else SAME
        return OPEN if whose in _ASKED else SAME

    def _has(self, whose: str, name: str) -> Answer:
        if whose == "sys.modules" and name in MODULES:
            return self.here in MODULES[name], self.there in MODULES[name]
        whose = whose.removeprefix("_") if whose == "_socket" else whose
        stacks = HAS.get(f"{whose}.{name}")
        if stacks is not None:
            return self.here in stacks, self.there in stacks
        return OPEN if whose in _ASKED else SAME

    def is_required(self, call: ast.Call, scope: Scope) -> bool:
        """Whether a call is of our own ``require``."""
        return dotted(call.func, scope) in CALLED

    def required(self, call: ast.Call) -> Answer:
        """Whether what it requires is honoured; here it was."""
        rules = named(call)
        answers = [None] if rules is None else [honoured(rule, self.there) for rule in rules]
        return (True, False) if False in answers else OPEN if None in answers else (True, True)


def _texts(names: object) -> Iterator[str]:
    """The texts of a tuple, also of one of tuples."""
    for name in names if isinstance(names, tuple) else ():
        yield from (name,) if isinstance(name, str) else _texts(name)
