"""A handler of an error, read for one error: what it raises, and what it answers to those who ask which error it is."""

from __future__ import annotations

import ast
import errno
import re
from collections.abc import Sequence

from .frames import Frame
from .syntax import Def, Scope, pattern_as_test

#: What Python's own names for OSError are, beside the class of the error.
_OS_ERROR = {"OSError", "error", "EnvironmentError", "IOError", "WindowsError"}
_ALL = {"Exception", "BaseException"}
ENDS = {"fail", "exit", "_exit", "abort", "skip", "xfail", "skipTest"}
_ASSERTS: dict[str, ast.cmpop] = {
    **dict.fromkeys(("assertEqual", "assertEquals", "assertIs"), ast.Eq()),
    "assertIn": ast.In(),
    "assertNotEqual": ast.NotEq(),
    "assertNotIn": ast.NotIn(),
}


def kinds_of(error: str) -> set[str]:
    """The names of the classes that an error is an instance of."""
    if error[:1] == "E" and error.isupper():
        number = getattr(errno, error, None)
        names = {kind.__name__ for kind in (type(OSError(number, "")) if number else OSError).__mro__}
        return names | _OS_ERROR | ({"timeout"} if "TimeoutError" in names else set())
    if error == "timeout":
        return {"TimeoutError", "timeout", *_OS_ERROR, *_ALL}
    return {error, *_ALL} | (_OS_ERROR if error in _OS_ERROR else set())


def names_of(type_: ast.expr, scope: Scope, deep: int = 0) -> set[str]:
    """The names of the exceptions that an expression stands for."""
    match type_:
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return set().union(*(names_of(element, scope, deep) for element in elements)) if elements else set()
        case ast.Attribute(attr=name):
            return {name}
        case ast.Name(id=name):
            for it in scope.code.globals.get(name, ()):
                if isinstance(it.value, ast.Tuple | ast.Name | ast.Attribute) and deep < 4:
                    return {name} | names_of(it.value, it.scope, deep + 1)
            return {name}
        case ast.Starred(value=value) | ast.BinOp(left=value):
            return names_of(value, scope, deep)
    return set()


class Handler:
    """A handler that is read for one error; `names` are what it calls it."""

    def __init__(self, names: tuple[str, ...], frame: Frame, error: str) -> None:
        self.names, self.frame, self.error = names, frame, error
        self.asked: list[bool | None] = []  # what is answered to those who ask which error it is
        self.codes: set[str] = set()  # names that the error's number was given
        self.told = False  # to whoever waits for a future
        self.perhaps = False  # it is raised in some condition that is not known

    def run(self, block: Sequence[ast.stmt]) -> str | None:
        """What the block raises: "" for the error as it was; None where it goes on, or that is not known."""
        for node in block:
            match node:
                case ast.Raise(exc=None):
                    return ""
                case ast.Raise(exc=ast.expr() as raised):
                    return self.raised(raised)
                case ast.Return() | ast.Continue() | ast.Break():
                    return None
                case ast.If(test=test, body=body, orelse=other):
                    holds = self.holds(test)
                    taken = [body] if holds else [other] if holds is False else [body, other]
                    ends = [self.run(one) for one in taken]
                    if all(end is not None for end in ends):
                        return ends[0]
                    self.perhaps |= holds is None and any(end is not None for end in ends)
                    if holds is not None and (
                        taken[0] and isinstance(taken[0][-1], ast.Return | ast.Continue | ast.Break)
                    ):
                        return None
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if self.is_code(value):
                    self.codes.add(name)
                case ast.Expr(value=ast.Call(func=func, args=args)):
                    called = getattr(func, "attr", getattr(func, "id", ""))
                    if called == "set_exception" and any(ast.unparse(argument) in self.names for argument in args):
                        self.told = True
                        return ""
                    if called in ENDS:
                        return called
                case ast.Match(subject=subject, cases=cases) if self.is_code(subject):
                    at = next((case for case in cases if self.is_met(subject, case)), None)
                    if at is not None and (end := self.run(at.body)) is not None:
                        return end
            if self.asserted([node]) is not None:
                return "AssertionError"
        return None

    def is_met(self, subject: ast.expr, case: ast.match_case) -> bool:
        pattern = case.pattern
        return (isinstance(pattern, ast.MatchAs) and pattern.pattern is None) or bool(
            self.holds(pattern_as_test(subject, pattern))
        )

    def asserted(self, block: Sequence[ast.AST]) -> str | None:
        """What a block raises that asserts something of the error."""
        for node in block:
            match node:
                case ast.Assert(test=test):
                    pass
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=[left, right, *_])) if (
                    name in _ASSERTS
                ):
                    test = ast.Compare(left, [_ASSERTS[name]], [right])
                case _:
                    continue
            if self.holds(test) is False:
                return "AssertionError"
        return None

    def raised(self, raised: ast.expr) -> str:
        text = ast.unparse(raised)
        if text in self.names:
            return ""
        name = getattr(raised.func, "attr", getattr(raised.func, "id", "")) if isinstance(raised, ast.Call) else text
        return "" if name in _OS_ERROR and any(own in text for own in self.names) else name or "Exception"

    def is_code(self, node: ast.expr) -> bool:
        """Whether an expression is the error's number."""
        match node:
            case ast.Attribute(value=value, attr="errno" | "winerror"):
                return ast.unparse(value) in self.names
            case ast.Subscript(value=value):
                return ast.unparse(value) in (*self.names, *(f"{name}.args" for name in self.names))
            case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id=name), ast.Constant(value="errno"), *_]):
                return name in self.names
            case ast.Name(id=name):
                return name in self.codes
        return False

    def holds(self, test: ast.expr) -> bool | None:
        """Whether a condition on the error holds; None where that is not known."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                found = self.holds(operand)
                return None if found is None else not found
            case ast.BoolOp(op=op, values=values):
                answers = [self.holds(value) for value in values]
                decides = isinstance(op, ast.Or)
                return decides if decides in answers else None if None in answers else not decides
        answer = self._answer(test)
        if answer is not None or any(re.search(rf"\b{re.escape(name)}\b", ast.unparse(test)) for name in self.names):
            self.asked.append(answer)
        return answer

    def _answer(self, test: ast.expr) -> bool | None:
        match test:
            case ast.Call(func=ast.Name(id="isinstance"), args=[value, kinds]) if ast.unparse(value) in self.names:
                return bool(kinds_of(self.error) & names_of(kinds, self.frame.scope))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                code, other = (left, right) if self.is_code(left) else (right, left)
                names = self.numbers(other) if self.is_code(code) else None
                if names is not None and isinstance(op, ast.Eq | ast.In | ast.NotEq | ast.NotIn):
                    return (self.error in names) == isinstance(op, ast.Eq | ast.In)
        return None

    def numbers(self, node: ast.expr, deep: int = 0) -> set[str] | None:
        """The errno names that an expression stands for; None where that is not known."""
        match node:
            case ast.Attribute(attr=name) if name.isupper():
                return {name, name.removeprefix("WSA")}
            case ast.Constant(value=int(number)):
                return {errno.errorcode[number]} if number in errno.errorcode else set()
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                parts = [self.numbers(element, deep) for element in elements]
                return None if None in parts else set().union(*(part for part in parts if part is not None))
            case ast.Call(func=ast.Name(id="frozenset" | "set" | "tuple"), args=[inner]):
                return self.numbers(inner, deep)
            case ast.Name(id=name) if self.frame.scope.function is not None and name in _rest(
                self.frame.scope.function
            ):
                return self.numbers(ast.Tuple(self.frame.calls[0].args)) if self.frame.calls else None
            case ast.Name(id=name):
                for it in self.frame.scope.code.globals.get(name, ()):
                    if isinstance(it.value, tuple) and it.value[0] == "errno":
                        return {it.value[1]}
                    if isinstance(it.value, ast.expr) and deep < 4:
                        return self.numbers(it.value, deep + 1)
        return None


def _rest(function: Def | None) -> list[str]:
    """The name that takes all further arguments."""
    return [function.args.vararg.arg] if function is not None and function.args.vararg is not None else []
