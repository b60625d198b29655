"""A kernel that lies, for projects of tests."""

from __future__ import annotations


def lying_kernel(outcome: str, where: str) -> str:
    """A conftest under which the outcome of a performed `step` is another one where an expression is true of it."""
    return f"""
from dataclasses import replace
from pytest_sockreuse.live.runner import Runner
real = Runner.answer

def answer(self):
    seen = real(self)
    steps = (replace(step, outcome={outcome!r}) if {where} else step for step in seen.steps)
    return replace(seen, steps=tuple(steps))

Runner.answer = answer
"""
