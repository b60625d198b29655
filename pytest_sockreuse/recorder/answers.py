"""What an expression is on two systems, as far as it asks for the system: nothing of the project is run.

An answer is a pair (here, there); SAME where it has nothing to do with the system, so that it is there as it was here;
OPEN where it has, in a way that is not followed.
"""

from __future__ import annotations

import ast
import enum
import operator
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from .events import INNER, LIBRARY, PROJECT, whose
from .locations import Place, source
from .syntax import Code, Condition, Def, Definition, Scope, call_at, imported, innermost, parsed
from .systems import ASKS, FLAGS, HAS, MODULES, QUESTIONS, SYSTEMS


class Vague(enum.Enum):
    """The answers that are no values."""

    SAME = "same"
    OPEN = "open"


SAME: Final = Vague.SAME
OPEN: Final = Vague.OPEN
Answer = tuple[object, object] | Vague

_DEEP = 12  # names and functions that are followed, one from another
_METHODS = {"startswith", "endswith", "lower", "upper", "casefold", "strip", "capitalize", "title"}
_BUILTINS: dict[str, Callable[..., object]] = {"bool": bool, "any": any, "all": all, "len": len, "str": str}
_COMPARED: dict[type[ast.cmpop], Callable[[object, object], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, of: item in of,  # type: ignore[operator]
    ast.NotIn: lambda item, of: item not in of,  # type: ignore[operator]
}
_NAMES_HERE = {os.name: 0, sys.platform: 1, platform.system(): 2}


_Key = tuple[ast.expr, Def | None, int]
#: Answers that no argument of a call has a part in, by the two systems.
_remembered: dict[tuple[str, str], dict[_Key, Answer]] = {}
_MOST = 100_000


class Open(Exception):
    """A condition that asks for the system in a way that is not followed."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A function that was running: where, in which code, and the call that it was making."""

    place: Place
    scope: Scope
    call: ast.expr | None

    @property
    def calls(self) -> Iterator[ast.Call]:
        """That call, and what is around it in the same expression: ``await f()``."""
        return (node for node in ast.walk(self.call) if isinstance(node, ast.Call)) if self.call else iter(())


def differs(answer: Answer) -> bool:
    """Whether it is, or may be, another on the other system."""
    if isinstance(answer, Vague):
        return answer is OPEN
    here, there = answer
    return type(here) is not type(there) or here != there


@dataclass(eq=False, slots=True)
class Asker:
    """Asks what code would do on the stack `there` that ran on the stack `here`; `frames` are the innermost first."""

    here: str
    there: str
    frames: Sequence[Frame]
    used: set[ast.expr] = field(default_factory=set)  # arguments that a condition further in was followed to
    _under: list[object] = field(default_factory=list)
    _remembered: dict[_Key, Answer] = field(default_factory=dict)

    # --- conditions ---------------------------------------------------------------------------------------------------

    def holds(self, test: ast.expr, held: bool | None, scope: Scope) -> bool | None:
        """Whether a condition holds there; None where it asks for nothing that differs, and so is as it was here.

        `held` is whether it held here, None if that is not known. Raises Open.
        """
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                answer = self.holds(inner, None if held is None else not held, scope)
                return None if answer is None else not answer
            case ast.BoolOp(op=op, values=values):
                decides = isinstance(op, ast.Or)  # one of these decides alone
                known = None if held == decides else held
                return self._together([self._one(value, known, scope) for value in values], decides, known)
        found = self.ask(test, scope)
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

    def _together(self, answers: Sequence[bool | Vague | None], decides: bool, known: bool | None) -> bool | None:
        if decides in answers:
            return decides
        if OPEN in answers:
            raise Open
        if not any(answer is not None for answer in answers):
            return None
        if None in answers and known is None:
            raise Open
        return not decides

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
        key = node, scope.function, scope.at
        if (found := remembered.get(key)) is not None:
            return found
        if any(node is other for other in self._under) or len(self._under) > _DEEP:
            return SAME
        self._under.append(node)
        try:
            found = self._asked(node, scope)
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError):
            found = OPEN
        finally:
            self._under.pop()
        if len(remembered) > _MOST:
            remembered.clear()
        remembered[key] = found
        return found

    def _asked(self, node: ast.expr, scope: Scope) -> Answer:
        match node:
            case ast.Constant(value=value):
                return value, value
            case ast.Name(id=name):
                return self._question(node, scope) or self._name(name, scope)
            case ast.Attribute(value=value, attr=attr):
                return self._question(node, scope) or self._attribute(value, attr, scope)
            case ast.Call():
                return self._question(node, scope) or self._call(node, scope)
            case ast.Subscript(value=value, slice=key):
                return self._question(node, scope) or self._item(value, key, scope)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                found = self.ask(operand, scope)
                return found if isinstance(found, Vague) else (not found[0], not found[1])
            case ast.BoolOp(op=op, values=values):
                return self._bool(isinstance(op, ast.Or), [self.ask(value, scope) for value in values])
            case ast.IfExp(test=test, body=body, orelse=other):
                return self._choice(self.ask(test, scope), body, other, scope)
            case ast.Compare(left=left, ops=ops, comparators=right) if all(type(op) in _COMPARED for op in ops):
                return self._compare([self.ask(part, scope) for part in (left, *right)], ops)
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                found_all = [self.ask(element, scope) for element in elements]
                if any(isinstance(found, Vague) for found in found_all):
                    return OPEN if any(map(differs, found_all)) else SAME
                return tuple(f[0] for f in found_all), tuple(f[1] for f in found_all)  # type: ignore[index]
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.ask(value, scope)
            case ast.Lambda():
                return SAME
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

    def _question(self, node: ast.expr, scope: Scope) -> Answer | None:
        """The answer to a plain question for the system; None if it is none."""
        at = QUESTIONS.get(self.dotted(node, scope))
        return None if at is None else (SYSTEMS[self.here][at], SYSTEMS[self.there][at])

    def dotted(self, node: ast.expr, scope: Scope) -> str:
        """The name of what is asked for, as the standard library has it: ``sys.platform``; empty if it has none."""
        match node:
            case ast.Name(id=name):
                for found in (*scope.code.globals.get(name, ()), *self._locals(name, scope)):
                    if isinstance(found.value, tuple):
                        module, what = found.value
                        return f"{module}.{what}".strip(".") if not os.path.isabs(module) else ""
                return name if name in ("os", "sys", "platform", "socket") else ""
            case ast.Attribute(value=value, attr=attr):
                inner = self.dotted(value, scope)
                return f"{inner}.{attr}".replace("_socket.", "socket.", 1) if inner else ""
            case ast.Call(func=func, args=[], keywords=[]):
                inner = self.dotted(func, scope)
                return f"{inner}()" if inner else ""
            case ast.Subscript(value=value, slice=ast.Constant(value=int(key))):
                inner = self.dotted(value, scope)
                return f"{inner}[{key}]" if inner else ""
        return ""

    def _compare(self, parts: list[Answer], ops: Sequence[ast.cmpop]) -> Answer:
        if any(isinstance(part, Vague) for part in parts):
            return OPEN if any(map(differs, parts)) else SAME
        sides = []
        for side in (0, 1):
            values = [part[side] for part in parts]  # type: ignore[index]
            sides.append(all(_COMPARED[type(op)](a, b) for op, a, b in zip(ops, values, values[1:], strict=False)))
        return sides[0], sides[1]

    def _bool(self, is_or: bool, parts: list[Answer]) -> Answer:
        sides: list[object] = []
        for side in (0, 1):
            value: object = not is_or
            for part in parts:
                if isinstance(part, Vague):
                    value = part
                    continue
                if bool(part[side]) == is_or:
                    value = part[side]
                    break
                if not isinstance(value, Vague):
                    value = part[side]
            sides.append(value)
        if OPEN in sides or (SAME in sides and sides != [SAME, SAME]):
            return OPEN
        return SAME if SAME in sides else (sides[0], sides[1])

    def _choice(self, test: Answer, body: ast.expr, other: ast.expr, scope: Scope) -> Answer:
        one, two = self.ask(body, scope), self.ask(other, scope)
        if test is OPEN:
            return OPEN
        if test is SAME:
            return OPEN if differs(one) or differs(two) else SAME
        here, there = (one if test[side] else two for side in (0, 1))
        if bool(test[0]) == bool(test[1]):
            return here
        return OPEN if isinstance(here, Vague) or isinstance(there, Vague) else (here[0], there[1])

    def _item(self, value: ast.expr, key: ast.expr, scope: Scope) -> Answer:
        found = self.ask(key, scope)
        if isinstance(value, ast.Dict) and not isinstance(found, Vague):
            pairs = zip(value.keys, value.values, strict=True)
            table: dict[object, ast.expr] = {k.value: v for k, v in pairs if isinstance(k, ast.Constant)}
            here, there = (self.ask(table[found[side]], scope) for side in (0, 1))
            return OPEN if isinstance(here, Vague) or isinstance(there, Vague) else (here[0], there[1])
        return OPEN if differs(found) or differs(self.ask(value, scope)) else SAME

    # --- names --------------------------------------------------------------------------------------------------------

    def _locals(self, name: str, scope: Scope) -> Sequence[Definition]:
        return scope.code.locals(scope.function).get(name, ()) if scope.function is not None else ()

    def _name(self, name: str, scope: Scope) -> Answer:
        function = scope.function
        found: Answer | None = None
        if function is not None:
            if name in _parameters(function):
                found = self._argument(name, scope)
            line = self.frames[scope.at].place.line if 0 <= scope.at < len(self.frames) else 1 << 30
            assigned = [it for it in self._locals(name, scope) if it.line <= line]
            if assigned:
                found = self._last(assigned, found, scope)
            if found is None and (outer := _outer(scope)) is not None:
                return self._name(name, outer)
        if found is None:
            found = self._global(name, scope.code)
        return self._flag(name) if found is None else found

    def _last(self, assigned: Sequence[Definition], before: Answer | None, scope: Scope) -> Answer | None:
        """What a name is after these assignments."""
        found = before
        for it in assigned:
            try:
                made = self.hold([_framed(condition, scope) for condition in it.conditions])
            except Open:
                return OPEN
            value = self._defined(it, scope)
            if made is None:
                taken = self._taken(it, scope)
                if taken or not it.conditions or (taken is None and differs(value)):
                    found = value
                elif found is None:
                    found = SAME
            else:  # on one of the two systems only
                old: Answer = SAME if found is None else found
                mine, other = (old, value) if made else (value, old)
                known = not isinstance(mine, Vague) and not isinstance(other, Vague)
                found = (mine[0], other[1]) if known else OPEN  # type: ignore[index]
        return found

    def _taken(self, it: Definition, scope: Scope) -> bool | None:
        """Whether an assignment was made on both systems, by conditions whose answer is known."""
        for condition in it.conditions:
            found = self.ask(condition.test, _framed(condition, scope).scope)
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
                if f"{module}.{name}" in HAS:
                    return SAME
                code = imported(module)
                found = self._global(name, code) if code is not None and name else None
                return self._flag(name) if found is None and name else SAME if found is None else found
        return SAME

    def _global(self, name: str, code: Code) -> Answer | None:
        """A name of a module; None where nothing says what it is."""
        definitions = code.globals.get(name)
        if not definitions:
            return None
        if any(it is other for it in definitions for other in self._under) or len(self._under) > _DEEP:
            return SAME
        self._under.append(definitions[0])
        try:
            found = self._last(definitions, None, Scope(code))
        finally:
            self._under.pop()
        if found is SAME or found is None:
            live = self._live(name, code)
            return live if live is not None else (self._flag(name) if _says_system(name) else SAME)
        return found

    def _live(self, name: str, code: Code) -> Answer | None:
        """A name that stands for this very system, by what the module that is loaded has for it."""
        value = _value(code.file, name)
        if isinstance(value, str) and value in _NAMES_HERE:
            at = _NAMES_HERE[value]
            return SYSTEMS[self.here][at], SYSTEMS[self.there][at]
        return None

    def _flag(self, name: str) -> Answer:
        """A name by what it says."""
        for pattern, stacks in FLAGS.items():
            if pattern.fullmatch(name):
                return self.here in stacks, self.there in stacks
        return OPEN if ASKS.search(name) else SAME

    def _attribute(self, value: ast.expr, attr: str, scope: Scope) -> Answer:
        module = self.dotted(value, scope)
        if module and f"{module}.{attr}" in HAS:
            return SAME
        if module and (code := imported(module) or self._beside(value, scope)) is not None:
            found = self._global(attr, code)
            return self._flag(attr) if found is None else found
        if (code := self._beside(value, scope)) is not None and (found := self._global(attr, code)) is not None:
            return found
        answers = [self._member(it) for it in self._members(attr, scope)]
        for answer in answers:
            if differs(answer):
                return answer if len(answers) == 1 else OPEN
        flag = self._flag(attr) if _says_system(attr) or ASKS.search(attr) else SAME
        inner = self.ask(value, scope)
        return flag if flag is not SAME or not differs(inner) else OPEN

    def _beside(self, value: ast.expr, scope: Scope) -> Code | None:
        """The code of a module that was imported relatively."""
        if isinstance(value, ast.Name):
            for found in scope.code.globals.get(value.id, ()):
                if isinstance(found.value, tuple) and (code := imported(_joined(*found.value))) is not None:
                    return code
        return None

    def _members(self, attr: str, scope: Scope) -> Iterator[Definition]:
        """What an attribute stands for, in the files of the trail; else in all that this process has loaded."""
        near = [frame.scope.code for frame in self.frames] if scope.at >= 0 else []
        codes = [c for c in {id(c): c for c in (scope.code, *near)}.values() if not _is_stdlib(c.file)]
        found = [it for code in codes for it in code.attributes(attr)]
        yield from found
        if not any(isinstance(it.value, ast.expr) for it in found):
            for code in elsewhere(attr):
                if code not in codes:
                    yield from code.attributes(attr)

    def _member(self, it: Definition) -> Answer:
        try:
            if self.hold(it.conditions) is not None:
                return OPEN
        except Open:
            return OPEN
        if isinstance(it.value, Def):
            return self._returned(it.value, it.scope.code)
        return self._defined(it)

    # --- functions ----------------------------------------------------------------------------------------------------

    def _argument(self, name: str, scope: Scope) -> Answer | None:
        """What a parameter was given by the calls further out, else by default."""
        function = scope.function
        assert function is not None
        for frame in self.frames[scope.at + 1 :] if scope.at >= 0 else ():
            nearest = frame is self.frames[scope.at + 1]
            for call in frame.calls:
                given = _given(call, function, name) if nearest else _keyword(call, name)
                if given is not None:
                    answer = self.ask(given, frame.scope)
                    self.used.add(given)
                    return answer
            if not any(keyword.arg is None for call in frame.calls for keyword in call.keywords):
                break  # nothing is passed on
        default = _default(function, name)
        return self.ask(default, _outer(scope) or Scope(scope.code)) if default is not None else SAME

    def _call(self, node: ast.Call, scope: Scope) -> Answer:
        match node:
            case ast.Call(func=ast.Name(id="hasattr"), args=[module, ast.Constant(value=str(name))]):
                return self._there_is(module, name, scope)
            case ast.Call(func=ast.Name(id="getattr"), args=[module, ast.Constant(value=str(name)), default]):
                answer = self._there_is(module, name, scope)
                if isinstance(answer, Vague):
                    return answer
                other = self.ask(default, scope)
                if answer == (True, True):
                    return SAME
                here, there = ((name, name) if has else other for has in answer)
                return OPEN if isinstance(here, Vague) or isinstance(there, Vague) else (here[0], there[1])
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
        if self.arguments(node, scope):
            return OPEN
        return self._result(node.func, scope)

    def arguments(self, call: ast.Call, scope: Scope) -> list[ast.expr]:
        """The arguments of a call that differ."""
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        return [argument for argument in given if differs(self.ask(argument, scope))]

    def _result(self, func: ast.expr, scope: Scope) -> Answer:
        """What a function gives back, by its name, and by what it says."""
        name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
        found = self.function(func, scope)
        if found is not None:
            answer = self._returned(found[0], found[1].code)
            if answer is not SAME:
                return answer
        if not name or found is not None:
            return SAME if found is not None or not name else self.ask(func, scope)
        return self.ask(func, scope) if isinstance(func, ast.Attribute) else self._flag(name)

    def function(self, func: ast.expr, scope: Scope) -> tuple[Def, Scope] | None:
        """The function that a name stands for, as far as it is found."""
        name, code = "", None
        if isinstance(func, ast.Name):
            for it in (*self._locals(func.id, scope), *scope.code.globals.get(func.id, ())):
                if isinstance(it.value, Def):
                    return it.value, it.scope
                if isinstance(it.value, tuple):
                    code, name = imported(it.value[0]), it.value[1]
        elif isinstance(func, ast.Attribute):
            code, name = imported(self.dotted(func.value, scope)) or self._beside(func.value, scope), func.attr
        for it in code.globals.get(name, ()) if code is not None and not _is_stdlib(code.file) else ():
            if isinstance(it.value, Def):
                return it.value, it.scope
        return None

    def _returned(self, function: Def, code: Code) -> Answer:
        """What a function returns; OPEN where it asks for the system in more ways than are followed."""
        if any(function is other for other in self._under) or len(self._under) > _DEEP:
            return SAME
        self._under.append(function)
        try:
            sides = [self._run(function.body, Scope(code, function), side) for side in (0, 1)]
            return sides[0], sides[1]
        except Open:
            return OPEN if self._asks(function, code) else SAME
        finally:
            self._under.pop()

    def _run(self, block: Sequence[ast.stmt], scope: Scope, side: int) -> object:
        for node in block:
            match node:
                case ast.Return(value=ast.expr() as value):
                    found = self.ask(value, scope)
                    if isinstance(found, Vague):
                        raise Open
                    return found[side]
                case ast.If(test=test, body=body, orelse=other):
                    found = self.ask(test, scope)
                    if isinstance(found, Vague):
                        raise Open
                    try:
                        return self._run(body if found[side] else other, scope, side)
                    except LookupError:
                        continue
                case ast.Expr(value=ast.Constant()) | ast.Assign() | ast.AnnAssign() | ast.Import() | ast.ImportFrom():
                    continue
                case _:
                    raise Open
        raise LookupError if scope.function is None or block is not scope.function.body else Open

    def _asks(self, function: Def, code: Code) -> bool:
        """Whether a function asks for the system, so that it may give back another thing there."""
        scope = Scope(code, function)
        for node in ast.walk(function):
            if isinstance(node, ast.If | ast.IfExp) and differs(self.ask(node.test, scope)):
                return True
            if isinstance(node, ast.Return) and node.value is not None and differs(self.ask(node.value, scope)):
                return True
        return False

    def _there_is(self, module: ast.expr, name: str, scope: Scope) -> Answer:
        whose = self.dotted(module, scope)
        if whose == "sys.modules" and name in MODULES:
            return self.here in MODULES[name], self.there in MODULES[name]
        stacks = HAS.get(f"{whose}.{name}")
        if stacks is not None:
            return self.here in stacks, self.there in stacks
        return OPEN if whose in ("socket", "os", "select", "sys", "signal") else SAME


def _says_system(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in FLAGS)


def _joined(module: str, name: str) -> str:
    return os.path.join(module, name) if os.path.isabs(module) and name else module if not name else f"{module}.{name}"


def _framed(condition: Condition, scope: Scope) -> Condition:
    """A condition whose names are looked up in the frame that its function has."""
    return Condition(condition.test, condition.held, scope) if condition.scope.function is scope.function else condition


def _parameters(function: Def) -> set[str]:
    given = function.args
    return {arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def _default(function: Def, name: str) -> ast.expr | None:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    for arg, default in zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True):
        if arg.arg == name:
            return default
    return next((d for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if a.arg == name), None)


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _given(call: ast.Call, function: Def, name: str) -> ast.expr | None:
    """The argument that a call gives to a parameter of a function."""
    if (found := _keyword(call, name)) is not None:
        return found
    names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    if names[:1] in (["self"], ["cls"]):
        del names[0]
    if name not in names or any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    at = names.index(name)
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    fits = called == function.name or function.name == "__init__"
    return call.args[at] if fits and at < len(call.args) else None


def _outer(scope: Scope) -> Scope | None:
    """The function around a function; None where that is the module."""
    if scope.function is None:
        return None
    outer = None
    for step in scope.code.steps(scope.function.lineno):
        if step.node is scope.function:
            break
        if isinstance(step.node, Def):
            outer = step.node
    return Scope(scope.code, outer) if outer is not None else None


def _is_stdlib(file: str) -> bool:
    return whose(file) == INNER


def _value(file: str, name: str) -> object:
    """What a module that is loaded has under a name."""
    module = _loaded().get(file)
    return vars(module).get(name) if module is not None else None


_by_file: tuple[int, dict[str, object]] = (0, {})


def _loaded() -> dict[str, object]:
    """The modules of this process by their files."""
    global _by_file
    if _by_file[0] != len(sys.modules):
        modules = list(sys.modules.values())
        _by_file = len(modules), {str(vars(m).get("__file__")): m for m in modules if hasattr(m, "__dict__")}
    return _by_file[1]


_ASSIGNED = re.compile(
    r"^[ \t]+(?:\w+\.)?(\w+)[ \t]*(?::[^=\n]+)?=(?!=)[^\n]*(?:platform|os\.name|hasattr|win|posix|linux)", re.I | re.M
)
_looked: set[str] = set()  # files
_elsewhere: dict[str, list[str]] = {}
_MANY = 3_000  # files


def elsewhere(attr: str) -> list[Code]:
    """The code of projects and packages in which something like ``attr = …`` asks for the system."""
    for file in _loaded().keys() - _looked if len(_looked) < _MANY else ():
        _looked.add(file)
        if file.endswith(".py") and whose(file) in (LIBRARY, PROJECT):
            for name in set(_ASSIGNED.findall("".join(source(file)))):
                _elsewhere.setdefault(name, []).append(file)
    return [code for file in _elsewhere.get(attr, ()) if (code := parsed(file)) is not None]


def frames(trail: Sequence[Place]) -> list[Frame]:
    """The frames of a trail, innermost first; those whose code cannot be read are left out."""
    found: list[Frame] = []
    for place in trail:
        inner = innermost(place)
        if inner is not None and inner[1]:
            code, steps, function = inner
            calls = call_at(steps[-1].node, place)
            found.append(Frame(place, Scope(code, function, len(found)), calls[-1] if calls else None))
    return found
