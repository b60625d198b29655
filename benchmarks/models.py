"""Predictions, against the same steps looked up in dictionaries, and against reading the texts that are predicted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pytest_sockreuse.expected import disagreements
from pytest_sockreuse.loader import load
from pytest_sockreuse.model import predict, predictions
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import known, named
from pytest_sockreuse.scenario import Scenario

from .ratio import Ratio, did, least

HERE = Path(__file__).parent
ORDER, CONNECTION = ((HERE / f"{name}.scenario").read_text() for name in ("order", "connection"))


def bind() -> Ratio:
    """a prediction of six steps: sockets, options, bind and listen; to their look-up in dictionaries"""
    return _six(parse("\n".join(ORDER.splitlines()[:-1])))


def connection() -> Ratio:
    """a prediction of six steps with a connection, to their look-up in dictionaries"""
    return _six(parse(CONNECTION))


def _six(scenario: Scenario) -> Ratio:
    assert len(scenario.steps) == 6
    platform = named("linux-6.18")
    taken = least(20, lambda: did(lambda: predict(scenario, platform), 500), lambda: did(lambda: looked(scenario), 500))
    return Ratio(taken.ours, taken.reference, "prediction")


def looked(scenario: Scenario) -> list[tuple[str, str]]:
    """The reference: sockets by name and ports by address in dictionaries, and no rule asked."""
    sockets: dict[str, dict[str, object]] = {}
    ports: dict[object, list[object]] = {}
    shown = []
    for step in scenario.steps:
        sk = sockets.setdefault(step.name, {})
        for option in step.options:
            sk[option.name] = option.value
        if step.address is not None:
            ports.setdefault((step.address.host, step.address.port), []).append(sk)
        sk["state"] = step.verb
        shown.append((step.label, "ok"))
    return shown


def platforms() -> Ratio:
    """the suite predicted for all known platforms, to its texts read"""

    def all_of_them() -> None:
        for scenario in scenarios:
            for _ in predictions(scenario, known()):
                pass

    scenarios = [variant.scenario for variant in load(check=False).variants]
    return Ratio(did(all_of_them), _reading())


def audit() -> Ratio:
    """`sockreuse audit` of everything, to the suite's texts read"""
    suite = load()
    return Ratio(did(lambda: list(disagreements(suite, known()))), _reading())


@cache
def _reading() -> float:
    texts = [variant.text for variant in load(check=False).variants]
    return min(did(lambda: [parse(text) for text in texts]) for _ in range(2))
