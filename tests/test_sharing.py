"""Scenarios that share a network namespace: which may, and that they see nothing of each other there."""

from __future__ import annotations

import os
import random
import sys

import pytest
from here import linux_only
from performing import CONNECTED, in_namespaces, parsed, shown

from pytest_sockreuse.expected import expected as expectation
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.live.sharing import Sharing, sharing
from pytest_sockreuse.loader import load, rule_ids
from pytest_sockreuse.platforms import current
from pytest_sockreuse.report.results import Result
from pytest_sockreuse.scenario import Observation
from pytest_sockreuse.suite import Variant
from pytest_sockreuse.verdict import judge

#: Every one where many rounds are asked for.
STEP = 1 if int(os.environ.get("SOCKREUSE_REPEATS", "2")) >= 10 else 25


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()", Sharing.PORTS),
        (CONNECTED + "C.close()\nS.name()", Sharing.PORTS),
        ("A = udp4()\nA.sendto(127.0.0.1:P)", Sharing.PORTS),
        ("A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()\nB = tcp4()\nB.connect(127.0.0.1:A.port)", Sharing.PORTS),
        ("A = udp4()\nA.bind(127.0.0.1:P)\nB = A.dup()\nC = udp4()\nC.connect(127.0.0.1:B.port)", Sharing.PORTS),
        ("A = tcp4()\nA.bind(127.0.0.1:P)?\nA.listen()\nB = tcp4()\nB.connect(127.0.0.1:A.port)", Sharing.EMPTY),
        ("A = tcp4()\nA.connect(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:A.port)", Sharing.EMPTY),
        ("A = tcp4()\nA.bind(127.0.0.1:0)", Sharing.EMPTY),
        ("A = tcp4()\nA.bind(127.0.0.1:7777)", Sharing.EMPTY),
        ("A = tcp4(IP_LOCAL_PORT_RANGE=40000-40001)\nA.connect(127.0.0.1:P)", Sharing.EMPTY),
        ("ephemeral 40000-40001\nA = tcp4()\nA.bind(127.0.0.1:P)", Sharing.EMPTY),
        ("A = sctp4()\nA.bind(127.0.0.1:P)", Sharing.NONE),
    ],
)
def test_a_scenario_shares_by_its_ports_or_where_nothing_is_left(text: str, how: Sharing) -> None:
    assert sharing(parsed(text)) is how


def in_turn(runner: Runner, *texts: str) -> list[dict[str, str]]:
    for text in texts:
        runner.ask(parsed(text), shared=True)
    return [shown(runner.answer()) for _ in texts]


@linux_only
@in_namespaces
def test_what_a_connection_left_is_in_no_later_scenarios_way(runner: Runner) -> None:
    few = "ephemeral 40000-40000\n"
    left = few + "L = tcp4()\nL.bind(127.0.0.1:7777)\nL.listen()\nC = tcp4()\nC.connect(127.0.0.1:7777)\nC.close()"
    waiting = left + "\nS = L.accept()\nS.close()"
    taken = few + "A = tcp4()\nA.bind(127.0.0.1:7777)\nA.listen()\nB = tcp4()\nB.bind(127.0.0.1:0)\nB.name()"
    found = in_turn(runner, taken, waiting, taken, left, taken, taken)
    chosen = {"B.name": "127.0.0.1:40000"}
    assert found == [chosen, {}, chosen, {}, chosen, chosen]


@linux_only
@in_namespaces
def test_an_environment_is_no_other_scenarios(runner: Runner) -> None:
    address = "A = tcp4()\nA.bind(10.9.8.7:P)"
    found = in_turn(runner, f"address 10.9.8.7\n{address}", address, f"address 10.9.8.7\n{address}")
    assert found == [{}, {"A.bind": "EADDRNOTAVAIL"}, {}]


@linux_only
@in_namespaces
def test_more_environments_than_namespaces_are_kept(runner: Runner) -> None:
    texts = [f"ephemeral {port}-{port}\nA = udp4()\nA.bind(127.0.0.1:0)\nA.name()" for port in range(40000, 40040)]
    found = in_turn(runner, *texts, *texts)
    assert found == [{"A.name": f"127.0.0.1:{port}"} for port in range(40000, 40040)] * 2


def test_a_process_that_is_not_told_its_limits_keeps_one_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("there are no namespaces")
    from pytest_sockreuse.live import shared_namespace

    def refused(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("resource.getrlimit", refused)
    assert shared_namespace._kept() == 1


@linux_only
@in_namespaces
def test_ports_for_symbols_do_not_run_out(runner: Runner) -> None:
    text = "".join(f"A{n} = udp4()\nA{n}.bind(127.0.0.1:P{n})\n" for n in range(3000))
    assert in_turn(runner, *[text] * 20) == [{}] * 20
    roomy = "ephemeral 1030-65535\nA = udp4()\nA.bind(127.0.0.1:P)\nA.name()"
    assert in_turn(runner, *[roomy] * 20) == [{"A.name": "127.0.0.1:P"}] * 20


def result(variant: Variant, seen: Observation) -> Result:
    expected = expectation(variant, current(), seen)
    return Result.of(variant, seen, judge(expected.outcome if expected else None, seen), expected, {})


def results(runner: Runner, variants: list[Variant], shared: bool) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for start in range(0, len(variants), 200):
        some = variants[start : start + 200]
        for variant in some:
            runner.ask(variant.scenario, shared=shared)
        found |= {variant.id: result(variant, runner.answer()) for variant in some}
    return found


@linux_only
@in_namespaces
def test_every_variant_does_the_same_in_a_namespace_of_its_own_and_in_a_shared_one_in_any_order() -> None:
    """Without the help of what performs a variant again when it departs from the expectation."""
    variants = [
        v for rule in rule_ids() for v in load(rules=[rule], check=False).variants[::STEP] if not v.scenario.waits
    ]
    with Runner() as runner:
        alone = results(runner, variants, shared=False)
        for seed in range(3):
            random.Random(seed).shuffle(variants)
            with Runner() as sharing_one:
                found = results(sharing_one, variants, shared=True)
            for variant in variants:
                seen = found[variant.id]
                if seen != alone[variant.id]:  # where the kernel chooses, it does so in a namespace of its own too
                    assert any(result(variant, runner.run(variant.scenario)) == seen for _ in range(50)), seen
