"""What an expression is on two systems, as far as it asks for the system: nothing of the project is run.

An answer is a pair (here, there); SAME where it has nothing to do with the system, so that it is there as it was here;
OPEN where it has, in a way that is not followed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field

from ..dataclass import dataclass
from .frames import Frame, calls, default, given_to, keyword, outer, parameters
from .loaded import is_plain, runs_coroutines
from .lookup import beside, dotted, framed, function, locals_of, members, passed, table_of
from .questions import Systems
from .returns import does_otherwise, given_back
from .syntax import Code, Condition, Def, Definition, Scope, imported, remembered
from .systems import HAS, said_by
from .values import (
    COMPARED,
    OPEN,
    SAME,
    Answer,
    Open,
    Vague,
    compare,
    crossed,
    differs,
    either_or_all,
    together,
    values_of,
)

_DEEP = 20  # names and functions that are followed, one from another
_METHODS = {"startswith", "endswith", "lower", "upper", "casefold", "strip", "capitalize", "title"}
_BUILTINS: dict[str, Callable[..., object]] = {"bool": bool, "any": any, "all": all, "len": len, "str": str}
_Key = tuple[ast.expr, Def | None, int, int]
_Memory = dict[_Key, tuple[Answer, int, bool]]
#: Answers that no argument of a call has a part in, by the two systems.
_remembered: dict[tuple[str, str], _Memory] = {}
_MOST = 100_000
remembered(_remembered.clear)


@dataclass(eq=False, slots=True)
class Asker(Systems):
    """Asks what code would do on the stack `there` that ran on the stack `here`; `frames` are the innermost first."""

    frames: Sequence[Frame]
    used: set[ast.expr] = field(default_factory=set)  # arguments that a condition further in was followed to
    reach: int = 0  # the outermost frame that had a part in the answers
    _under: list[object] = field(default_factory=list)
    _cut: bool = False  # something is too far from the first question to be followed: this answer is for it alone
    _for_it: list[tuple[_Memory, _Key]] = field(default_factory=list)
    _remembered: _Memory = field(default_factory=dict)

    # --- conditions ---------------------------------------------------------------------------------------------------

    def holds(self, test: ast.expr, held: bool | None, scope: Scope) -> bool | None:
        """Whether a condition holds there; None where it asks for nothing that differs, and so is as it was here.

        `held` is whether it held here, None if that is not known. Raises Open.
        """
        found = self.ask(test, scope)
        match test if isinstance(found, Vague) else None:
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                answer = self.holds(inner, None if held is None else not held, scope)
                return None if answer is None else not answer
            case ast.BoolOp(op=op, values=values):
                decides = isinstance(op, ast.Or)  # one of these decides alone
                known = None if held == decides else held
                return together([self._one(value, known, scope) for value in values], decides, known)
        if found is SAME:
            return None
        if found is OPEN:
            raise Open
        here, there = found
        if bool(here) == bool(there):
            return None
        if held is not None and bool(here) != held:  # it was not what it seems
            raise Open
        return bool(there)

    def _one(self, test: ast.expr, held: bool | None, scope: Scope) -> bool | Vague | None:
        try:
            return self.holds(test, held, scope)
        except Open:
            return OPEN

    def hold(self, conditions: Sequence[Condition]) -> bool | None:
        """Whether all conditions hold there; None where they are as they were here. Raises Open."""
        answers = []
        for condition in conditions:
            found = self.holds(condition.test, None, condition.scope)
            if found is not None:
                answers.append(found == condition.held)
        return None if not answers else all(answers)

    # --- expressions --------------------------------------------------------------------------------------------------

    def ask(self, node: ast.expr, scope: Scope) -> Answer:
        """What an expression is."""
        remembered = self._remembered if scope.at >= 0 else _remembered.setdefault((self.here, self.there), {})
        key = node, scope.function, scope.at, scope.line
        if (known := remembered.get(key)) is not None:
            self.reach = max(self.reach, known[1])
            self._cut |= known[2]
            return known[0]
        if any(node is other for other in self._under) or len(self._under) > _DEEP:
            self._cut |= len(self._under) > _DEEP
            return SAME
        self._under.append(node)
        before, self.reach = self.reach, 0
        cut, self._cut = self._cut, False
        try:
            found = self._asked(node, scope)
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError):
            found = OPEN
        finally:
            self._under.pop()
        if len(remembered) > _MOST:
            remembered.clear()
        remembered[key] = found, self.reach, self._cut
        if self._cut:
            self._for_it.append((remembered, key))
        self._cut |= cut
        if not self._under:
            for memory, one in self._for_it:
                memory.pop(one, None)
            self._for_it, self._cut = [], False
        self.reach = max(before, self.reach)
        return found

    def _asked(self, node: ast.expr, scope: Scope) -> Answer:
        match node:
            case ast.Constant(value=value):
                return value, value
            case ast.Name(id=name):
                return self.question(node, scope) or self._name(name, scope)
            case ast.Attribute(value=value, attr=attr):
                return self.question(node, scope) or self._attribute(value, attr, scope)
            case ast.Call():
                return self.question(node, scope) or self._call(node, scope)
            case ast.Subscript(value=value, slice=key):
                return self.question(node, scope) or self._item(value, key, scope)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                found = self.ask(operand, scope)
                return found if isinstance(found, Vague) else (not found[0], not found[1])
            case ast.BoolOp(op=op, values=values):
                return either_or_all(isinstance(op, ast.Or), [self.ask(value, scope) for value in values])
            case ast.IfExp(test=test, body=body, orelse=other):
                return self._choice(self.ask(test, scope), body, other, scope)
            case ast.Compare(left=left, ops=ops, comparators=right) if all(type(op) in COMPARED for op in ops):
                return compare([self.ask(part, scope) for part in (left, *right)], ops)
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                answers = [self.ask(element, scope) for element in elements]
                if (pairs := values_of(answers)) is None:
                    return OPEN if any(map(differs, answers)) else SAME
                return tuple(here for here, _ in pairs), tuple(there for _, there in pairs)
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.ask(value, scope)
            case ast.Lambda(body=body):
                return OPEN if differs(self.ask(body, scope)) else SAME
        return self._of_parts(ast.iter_child_nodes(node), scope)

    def _of_parts(self, nodes: Iterator[ast.AST], scope: Scope) -> Answer:
        for node in nodes:
            if isinstance(node, ast.expr) and differs(self.ask(node, scope)):
                return OPEN
            if (
                isinstance(node, ast.keyword | ast.comprehension)
                and self._of_parts(ast.iter_child_nodes(node), scope) is OPEN
            ):
                return OPEN
        return SAME

    def _choice(self, test: Answer, body: ast.expr, other: ast.expr, scope: Scope) -> Answer:
        one, two = self.ask(body, scope), self.ask(other, scope)
        if test is OPEN:
            return OPEN
        if test is SAME:
            return OPEN if differs(one) or differs(two) else SAME
        here, there = (one if test[side] else two for side in (0, 1))
        if bool(test[0]) == bool(test[1]):
            return here
        return crossed(here, there)

    def _item(self, value: ast.expr, key: ast.expr, scope: Scope) -> Answer:
        found = self.ask(key, scope)
        value, scope = table_of(value, scope)
        if isinstance(value, ast.Dict) and not isinstance(found, Vague):
            pairs = zip(value.keys, value.values, strict=True)
            table: dict[object, ast.expr] = {k.value: v for k, v in pairs if isinstance(k, ast.Constant)}
            here, there = (self.ask(table[found[side]], scope) for side in (0, 1))
            return crossed(here, there)
        return OPEN if differs(found) or differs(self.ask(value, scope)) else SAME

    # --- names --------------------------------------------------------------------------------------------------------

    def _name(self, name: str, scope: Scope) -> Answer:
        function = scope.function
        found: Answer | None = None
        if function is not None:
            if name in parameters(function):
                found = self._argument(name, scope)
            line = self.frames[scope.at].place.line if 0 <= scope.at < len(self.frames) else 1 << 30
            assigned = [it for it in locals_of(name, scope) if it.is_over(line) and it.line < scope.line]
            if assigned:
                found = self._last(assigned, found, scope)
            if found is None and (around := outer(scope)) is not None:
                return self._name(name, around)
        if found is None:
            found = self._global(name, scope.code)
        return self.flag(name) if found is None else found

    def _last(self, assigned: Sequence[Definition], before: Answer | None, scope: Scope) -> Answer | None:
        """What a name is after these assignments."""
        found = before
        for it in assigned:
            then = Scope(scope.code, scope.function, scope.at, it.line)
            try:
                made = self.hold([framed(condition, then) for condition in it.conditions])
            except Open:
                return OPEN
            value = self._defined(it, then)
            if made is None:
                taken = self._taken(it, then)
                if taken or not it.conditions or (taken is None and differs(value)):
                    found = value
                elif found is None:
                    found = SAME
            else:  # on one of the two systems only
                old: Answer = SAME if found is None else found
                found = crossed(old, value) if made else crossed(value, old)
        return found

    def _taken(self, it: Definition, scope: Scope) -> bool | None:
        """Whether an assignment was made on both systems, by conditions whose answer is known."""
        for condition in it.conditions:
            found = self.ask(condition.test, framed(condition, scope).scope)
            if isinstance(found, Vague):
                return None
            if bool(found[0]) != condition.held:
                return False
        return True

    def _defined(self, it: Definition, scope: Scope | None = None) -> Answer:
        where = scope if scope is not None and it.scope.function is scope.function else it.scope
        match it.value:
            case ast.expr() as value:
                return self.ask(value, where)
            case (module, name):
                if f"{module}.{name}" in HAS or is_plain(module, name):
                    return SAME
                code = imported(module)
                found = self._global(name, code) if code is not None and name else None
                return self.flag(name) if found is None and name else SAME if found is None else found
        return SAME

    def _global(self, name: str, code: Code) -> Answer | None:
        """A name of a module; None where nothing says what it is."""
        definitions = code.globals.get(name)
        if not definitions:
            whole = (imported(it.value[0]) for it in code.globals.get("*", ()) if isinstance(it.value, tuple))
            return next((self._global(name, it) for it in whole if it is not None and name in it.globals), None)
        if any(it is other for it in definitions for other in self._under) or len(self._under) > _DEEP:
            return SAME
        self._under.append(definitions[0])
        try:
            found = self._last(definitions, None, Scope(code))
        finally:
            self._under.pop()
        if found is SAME or found is None:
            live = self.live(name, code)
            return live if live is not None else (self.flag(name) if said_by(name) else SAME)
        return found

    def _attribute(self, value: ast.expr, attr: str, scope: Scope) -> Answer:
        module = dotted(value, scope)
        if module and (f"{module}.{attr}" in HAS or is_plain(module, attr)):
            return SAME
        if attr == "param" and isinstance(value, ast.Name) and value.id == "request":
            return self._param(scope)
        if module and (code := imported(module) or beside(value, scope)) is not None:
            found = self._global(attr, code)
            return self.flag(attr) if found is None else found
        if (code := beside(value, scope)) is not None and (found := self._global(attr, code)) is not None:
            return found
        answers = [self._member(it, scope) for it in members(value, attr, scope, self.frames)]
        for answer in answers:
            if differs(answer):
                return answer if len(answers) == 1 else OPEN
        flag = self.flag(attr)
        inner = self.ask(value, scope)
        return flag if flag is not SAME or not differs(inner) else OPEN

    def _param(self, scope: Scope) -> Answer:
        """What a fixture was given: its parameters stand in its decorator, else anywhere."""
        for decorator in scope.function.decorator_list if scope.function is not None else ():
            if isinstance(decorator, ast.Call) and (given := keyword(decorator, "params")) is not None:
                return OPEN if differs(self.ask(given, Scope(scope.code))) else SAME
        return OPEN

    def _member(self, it: Definition, scope: Scope) -> Answer:
        try:
            if self.hold(it.conditions) is not None:
                return OPEN
        except Open:
            return OPEN
        if isinstance(it.value, Def):
            return self.returned(it.value, it.scope.code)
        given = passed(it, self.frames) if scope.at >= 0 else ()
        return OPEN if any(differs(self.ask(one, where)) for one, where in given) else self._defined(it)

    # --- functions ----------------------------------------------------------------------------------------------------

    def _argument(self, name: str, scope: Scope) -> Answer | None:
        """What a parameter was given by the calls further out, else by default."""
        function = scope.function
        assert function is not None
        for frame in self.frames[scope.at + 1 :] if scope.at >= 0 else ():
            nearest = frame is self.frames[scope.at + 1]
            self.reach = max(self.reach, frame.scope.at)
            for call in frame.calls:
                given = given_to(call, function, name) if nearest else keyword(call, name)
                if given is not None:
                    answer = self.ask(given, frame.scope)
                    self.used.add(given)
                    return answer
            passed_on = any(given.arg is None for call in frame.calls for given in call.keywords)
            if not passed_on and not runs_coroutines(frame.place):
                break
        otherwise = default(function, name)
        answer = self.ask(otherwise, outer(scope) or Scope(scope.code)) if otherwise is not None else SAME
        callers = self.frames[scope.at + 1 : scope.at + 2] if scope.at >= 0 else ()
        seen = all(any(calls(call, function) for call in frame.calls) for frame in callers)
        return answer if seen or differs(answer) else SAME  # a task, or a thread: who called it gave what it wanted

    def _call(self, node: ast.Call, scope: Scope) -> Answer:
        match node:
            case ast.Call(func=ast.Name(id="hasattr"), args=[module, name]):
                return self.there_is(module, self.ask(name, scope), scope)
            case ast.Call(func=ast.Name(id="getattr"), args=[module, name, default]):
                named = self.ask(name, scope)
                answer = self.there_is(module, named, scope)
                if isinstance(answer, Vague):
                    return answer
                other = self.ask(default, scope)
                if answer == (True, True):
                    return SAME
                here, there = (named if has else other for has in answer)
                return crossed(here, there)
            case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args) if attr in _METHODS:
                asked = [self.ask(part, scope) for part in (value, *args)]
                parts = [part for part in asked if not isinstance(part, Vague) and isinstance(part[0], str | tuple)]
                if len(parts) == len(asked):
                    one, two = ([part[side] for part in parts] for side in (0, 1))
                    return getattr(one[0], attr)(*one[1:]), getattr(two[0], attr)(*two[1:])
            case ast.Call(func=ast.Name(id=name), args=[argument]) if name in _BUILTINS:
                found = self.ask(argument, scope)
                if not isinstance(found, Vague):
                    return _BUILTINS[name](found[0]), _BUILTINS[name](found[1])
        if self.is_required(node, scope):
            return self.required(node)
        if self.arguments(node, scope):
            return OPEN
        return self._result(node.func, scope)

    def arguments(self, call: ast.Call, scope: Scope) -> list[ast.expr]:
        """The arguments of a call that differ."""
        given = [*call.args, *(one.value for one in call.keywords)]
        return [argument for argument in given if differs(self.ask(argument, scope))]

    def _result(self, func: ast.expr, scope: Scope) -> Answer:
        """What a function gives back, by its name, and by what it says."""
        found = function(func, scope)
        if found is not None:
            return self.returned(found[0], found[1].code)
        if isinstance(func, ast.Attribute):
            return self.ask(func, scope)
        return self.flag(func.id) if isinstance(func, ast.Name) else SAME

    def returned(self, function: Def, code: Code) -> Answer:
        """What a function returns; OPEN where it asks for the system in more ways than are followed."""
        if any(function is other for other in self._under) or len(self._under) > _DEEP:
            return SAME
        self._under.append(function)
        try:
            return given_back(self.ask, function, Scope(code, function))
        finally:
            self._under.pop()

    def asks(self, function: Def, code: Code) -> bool:
        """Whether a function asks for the system, and does another thing there."""
        return does_otherwise(self.ask, function, Scope(code, function))
