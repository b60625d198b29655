"""What code requires of the system by our own ``require("ordering-quirk")``: by statement and model, per stack."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence

MODULE = "pytest_sockreuse.requirement"  # loaded where somebody asks for it
CALLED = ("pytest_sockreuse.require", f"{MODULE}.require")
REFUSES = {"GuardError", "RuleNotHonoured", "RuleNotTried"}
_ALL = {*REFUSES, "Exception", "BaseException"}


def required(call: ast.Call) -> list[str] | None:
    """The rules that a call of it names; None where they are not written there."""
    rules = [rule.value for rule in call.args if isinstance(rule, ast.Constant) and isinstance(rule.value, str)]
    return rules if len(rules) == len(call.args) else None


def calls(node: ast.AST, whole: bool) -> Iterator[ast.Call]:
    """The calls of a statement, those in its blocks only as a `whole`; but none of which the refusal is caught."""
    caught: Sequence[ast.AST] = node.body if isinstance(node, ast.Try) and catches(node) else ()
    for child in ast.iter_child_nodes(node):
        block = isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
        if child not in caught and (whole or not block):
            yield from calls(child, whole)
    if isinstance(node, ast.Call):
        yield node


def catches(node: ast.Try) -> bool:
    """Whether a statement catches the refusal of a rule."""
    caught = [handler.type for handler in node.handlers]
    return any(type_ is None or _ALL & set(re.findall(r"\w+", ast.unparse(type_))) for type_ in caught)


#: Who knows whether a stack honours a rule: it takes the whole suite to say so, which a recording puts in here.
oracle: list[Callable[[str, str], bool | None]] = []


def honoured(rule: str, stack: str) -> bool | None:
    """Whether a stack honours a rule; None where its versions differ, or that is not known."""
    return oracle[0](rule, stack) if oracle else None
