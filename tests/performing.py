"""What tests of performed scenarios share: how one is written and shown, and where it can run."""

from __future__ import annotations

import re
import textwrap

import pytest

from pytest_sockreuse.parser import parse
from pytest_sockreuse.scenario import Observation, Scenario

in_namespaces = pytest.mark.usefixtures("namespaces")


def parsed(text: str) -> Scenario:
    return parse(textwrap.dedent(text))


def shown(observation: Observation) -> dict[str, str]:
    """The steps that were not just ok, and the values, with symbols for ports."""
    assert observation.not_run is None, observation.not_run
    names = {str(port): symbol for symbol, port in observation.ports.items()}
    found = {}
    for step in observation.steps:
        if step.outcome != "ok":
            found[step.step] = step.outcome
        elif step.value is not None:
            found[step.step] = re.sub(r"(?<=:)\d+$", lambda port: names.get(port[0], port[0]), step.value)
    return found


CONNECTED = """
L = tcp4(SO_REUSEADDR)
L.bind(127.0.0.1:P)
L.listen()
C = tcp4(SO_REUSEADDR)
C.bind(127.0.0.1:Q)
C.connect(127.0.0.1:P)
S = L.accept()
"""
