"""What tests of the models share: two sockets at one port as a text, and what is predicted of a text."""

from __future__ import annotations

from typing import Any

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform

#: L listens with the options given, and C is connected to S.
CONNECTION = "L = tcp4({0})\nL.bind(127.0.0.1:P)\nL.listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\nS = L.accept()\n"


def outcomes(text: str, platform: Platform, **more: Any) -> dict[str, str]:
    """What is not plainly ok or unreached, as an expectation spells it; more is as `predict` has it."""
    steps = predict(parse(text), platform, **more).steps
    return {s.step: s.unknown or "|".join(s.outcomes) for s in steps if s.outcomes not in (("ok",), ("unreached",))}


def bound(first: str, second: str, kind: str = "tcp", early: str = "", users: tuple[str, str] = ("", "")) -> str:
    """A and B, each as OPTIONS@ADDRESS, bound to one port; `early` is done in between."""
    text = ""
    for name, what, user in (("A", first, users[0]), ("B", second, users[1])):
        options, _, address = what.partition("@")
        text += f"{name} = {kind}{6 if '[' in address else 4}({options}){user and f' as {user}'}\n"
        text += f"{name}.bind({address}:P)\n" + (early if name == "A" else "")
    return text
