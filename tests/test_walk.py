"""The walk over states shows what the tree of all executions shows, and is small where the tree is not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pytest_sockreuse.explorer.draw import texts
from pytest_sockreuse.model import StepPrediction, families, predict, states
from pytest_sockreuse.model import walk as walking
from pytest_sockreuse.model.clause import Unknown
from pytest_sockreuse.model.course import Course
from pytest_sockreuse.model.machine import Machine
from pytest_sockreuse.model.ports import Contradiction, Value
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, known, named
from pytest_sockreuse.scenario import Observation, Scenario, StepOutcome

MOST = 60  # executions of the tree
EACH = 15  # scenarios of each kind
PLATFORMS = [
    named("linux-5.10"),
    *{platform.stack: platform for platform in known() if platform.stack in families()}.values(),
]


def tree(scenario: Scenario, platform: Platform) -> list[tuple[set[str], set[Value]]] | None:
    """What each labelled step shows in all executions, one after another; None where they are too many, or unknown."""
    module = families()[platform.stack]
    on = module.BOOK.on(platform)
    course = Course()
    labels = [step.label for step in scenario.steps if step.label]
    found: list[tuple[set[str], set[Value]]] = [(set(), set()) for _ in labels]
    for _ in range(MOST):
        machine = Machine(scenario, platform.stack, module.family(platform, on), on, course.choose, None)
        shown: list[StepPrediction] = []
        try:
            machine.run(len(scenario.steps), shown)
            shown += [shown[-1]._replace(outcomes=("unreached",), values=None)] * (len(labels) - len(shown))
        except Contradiction:
            pass
        except Unknown:
            return None
        for (outcomes, values), step in zip(found, shown, strict=False):
            if step.unknown:
                return None
            outcomes.update(step.outcomes)
            values.update(step.values or ())
        if not course.trail or not course.next():
            return found
    return None


def told(values: Iterable[Value]) -> dict[str, int]:
    """The ports of each host, and all other values, however they are divided into values."""
    found: dict[str, int] = {}
    for value in values:
        host, _, port = value.text.rpartition(":")
        if value.ports:
            found[value.text] = found.get(value.text, 0) | value.ports
        elif not value.symbol and port.isdigit():
            found[host] = found.get(host, 0) | 1 << int(port)
        else:
            found[str(value)] = 0
    return found


def crowded(seed: int) -> Iterator[str]:
    """Scenarios in which few ports are chosen again and again, and names come up late."""
    dice = random.Random(seed)
    while True:
        size = dice.choice((2, 3, 4, 5))
        lines = [f"ephemeral 40000-{39999 + size}"]
        kind = dice.choice(("udp4", "tcp4", "udp4", "tcp6"))
        host = "[::1]" if kind == "tcp6" else "127.0.0.1"
        others = [host, "[::]" if kind == "tcp6" else "0.0.0.0", *(() if kind == "tcp6" else ("127.0.0.2",))]
        listening = kind.startswith("tcp") and dice.random() < 0.5
        if listening:
            for name, port in zip("LM", "PQ", strict=True):
                lines += [f"{name} = {kind}()", f"{name}.bind({host}:{port})", f"{name}.listen(20)"]
        names = [f"S{n}" for n in range(dice.randrange(3, 7))]
        option = dice.choice(("", "SO_REUSEADDR", "SO_REUSEPORT", "SO_REUSEADDR, SO_REUSEPORT"))
        for name in names:
            lines.append(f"{name} = {kind}({option if dice.random() < 0.8 else ''})")
            if listening and dice.random() < 0.6:
                lines.append(f"{name}.connect({host}:{dice.choice('PQ')})?")
            else:
                lines.append(f"{name}.bind({dice.choice(others)}:{dice.choice(('0', '0', '0', '40001'))})?")
        open_ = list(names)
        for _ in range(dice.randrange(4)):
            name, verb = dice.choice(open_), dice.choice(("close", "name", "connect"))
            lines.append(
                f"{name}.{verb}({host}:{dice.choice(names)}.port)?" if verb == "connect" else f"{name}.{verb}()"
            )
            if verb == "close" and len(open_) > 1:
                open_.remove(name)
            elif verb == "close":
                break
        else:
            names = open_
        if listening and dice.random() < 0.5:
            lines += ["c = L.accept()?", "c.close()"]
        for name in ("Y", "Z"):
            lines += [f"{name} = {kind}({dice.choice((option, ''))})", f"{name}.bind({dice.choice(others)}:0)?"]
        lines += [f"{name}.{dice.choice(('name', 'close'))}()" for name in names if f"{name}.close()" not in lines]
        yield "\n".join(dict.fromkeys(lines)) + "\n"


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_the_walk_shows_what_the_tree_of_all_executions_shows(platform: Platform) -> None:
    compared = 0
    for source in (crowded(7), spread(7), shared(7), mixed(7), texts(7, True)):
        for scenario in map(parse, itertools.islice(source, EACH)):
            wanted = tree(scenario, platform)
            found = None if wanted is None else predict(scenario, platform)
            if wanted is None or found is None or found.not_run:
                continue
            assert not found.unknown, scenario
            assert [(set(step.outcomes), told(step.values or ())) for step in found.steps] == [
                (outcomes, told(values)) for outcomes, values in wanted
            ], scenario
            compared += 1
    assert compared > 12


def spread(seed: int) -> Iterator[str]:
    """Scenarios in which connections and datagrams spread over a group, and wait there."""
    dice = random.Random(seed)
    while True:
        kind = dice.choice(("tcp4", "tcp4", "tcp6", "udp4"))
        host = "[::1]" if kind == "tcp6" else "127.0.0.1"
        lines = []
        for name in "ABC"[: dice.choice((2, 2, 3))]:
            lines += [f"{name} = {kind}(SO_REUSEPORT)", f"{name}.bind({host}:P)?"]
            lines += [f"{name}.listen({dice.choice((2, 3, 9))})?"] if kind.startswith("tcp") else []
        names = [f"S{n}" for n in range(dice.randrange(3, 6))]
        for name in names:
            lines += [f"{name} = {kind}()", f"{name}.{'connect' if kind.startswith('tcp') else 'sendto'}({host}:P)?"]
        for n in range(dice.randrange(5)):
            who = dice.choice("AAB")
            if kind == "udp4":
                lines.append(f"{who}.recv()?")
            else:
                lines.append(dice.choice((f"T{n} = {who}.accept()?", f"{dice.choice('AB')}.shutdown(RD)?")))
        lines += [f"{name}.{dice.choice(('name', 'close'))}()" for name in dice.sample(names, 2)]
        lines += [f"Y = {kind}({dice.choice(('', 'SO_REUSEPORT'))})", f"Y.bind({host}:P)?", "A.close()"]
        lines += [f"Z = {kind}()", f"Z.bind({host}:P)?"]
        yield "\n".join(lines) + "\n"


def mixed(seed: int) -> Iterator[str]:
    """Scenarios in which sockets of two protocols at several addresses have ports of one range, and use them."""
    dice = random.Random(seed)
    while True:
        family = dice.choice("4446")
        hosts = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "0.0.0.0"] if family == "4" else ["[::1]", "[::1]", "[::]"]
        last = dice.choice((40001, 40002, 40003, 40003, 0))
        lines = [f"ephemeral 40000-{last}"] if last else []
        for name, port in zip("LM", "PQ", strict=True):
            lines += [f"{name} = tcp{family}()", f"{name}.bind({hosts[0]}:{port})", f"{name}.listen(20)"]
        usual = dice.choice(("", "", "SO_REUSEADDR", "SO_REUSEPORT"))
        kinds = dice.choice((("tcp",), ("tcp",), ("udp",), ("tcp", "udp")))
        names = [f"S{n}" for n in range(dice.randrange(2, 6))]
        for name in names:
            kind = dice.choice(kinds)
            lines.append(f"{name} = {kind}{family}({usual if dice.random() < 0.8 else 'SO_REUSEADDR'})")
            for _ in range(dice.choice((1, 1, 2))):
                call = dice.choice(("bind", "connect", "connect")) if kind == "tcp" else "bind"
                port = dice.choice(("0", "0", "0", "0", "40001") if call == "bind" else ("P", "P", "Q"))
                lines.append(f"{name}.{call}({dice.choice(hosts) if call == 'bind' else hosts[0]}:{port})?")
        calls = [
            "send()",
            "close()",
            "listen()",
            "disconnect()",
            "name()",
            "connect({0}:P)",
            "connect({0}:Q)",
            "bind({0}:0)",
        ]
        calls += ["connect({0}:{1}.port)", "bind({0}:{1}.port)"]
        owners = list(names)
        for _ in range(dice.randrange(6)):
            who, call = dice.choice(names), dice.choice(calls).format(hosts[0], dice.choice(owners))
            lines.append(f"{who}.{call}?")
            if call == "close()":
                names.remove(who)
            if not names:
                break
        lines += [f"Z = {dice.choice(kinds)}{family}({usual})", f"Z.bind({dice.choice(hosts)}:0)?", "Z.name()"]
        lines += [f"Y = tcp{family}({usual})", f"Y.connect({hosts[0]}:P)?"]
        yield "\n".join(lines).replace("close()?", "close()") + "\n"


def shared(seed: int) -> Iterator[str]:
    """Scenarios in which UDP sockets may share the ports that they get, and it matters, or not, who shares."""
    dice = random.Random(seed)
    while True:
        family = dice.choice("4446")
        hosts = ["127.0.0.1", "127.0.0.2", "0.0.0.0"] if family == "4" else ["[::1]", "[::]"]
        lines = [f"ephemeral 40000-{dice.choice((40001, 40002, 40003))}"]
        lines += [f"R = udp{family}()", f"R.bind({hosts[0]}:P)"] if dice.random() < 0.7 else ["R = udp4()"]
        names = [f"S{n}" for n in range(dice.randrange(2, 5))]
        usual = dice.choice(("SO_REUSEADDR", "SO_REUSEADDR", "SO_REUSEADDR, SO_REUSEPORT", "SO_REUSEPORT"))
        for name in names:
            lines.append(
                f"{name} = udp{family}({usual if dice.random() < 0.85 else dice.choice(('SO_REUSEADDR', ''))})"
            )
            lines.append(
                f"{name}.bind({dice.choice((hosts[0], *hosts))}:{dice.choice(('0', '0', '0', '0', '40001'))})?"
            )
        for _ in range(dice.randrange(1, 7)):
            who, to = dice.choice(names), dice.choice(("P", "P", "40001", f"{dice.choice(names)}.port"))
            lines.append(
                dice.choice(
                    (
                        f"{who}.sendto({hosts[0]}:{to})?",
                        f"{who}.connect({hosts[0]}:{to})?",
                        f"{who}.send()?",
                        f"{who}.recv()?",
                        f"R.connect({hosts[0]}:{to})?",
                        "R.send()?",
                        f"{who}.set(SO_REUSEADDR={dice.choice('01')})?",
                        f"{who}.disconnect()?",
                        f"{who}.close()",
                    )
                )
            )
            if lines[-1].endswith("close()"):
                names.remove(who)
            if not names:
                break
        lines += [f"Z = udp{family}({dice.choice((usual, ''))})", f"Z.bind({dice.choice(hosts)}:0)?", "Z.send()?"]
        lines += [f"{name}.{dice.choice(('name', 'recv', 'close'))}()?" for name in ("R", "Z", *names)]
        yield "\n".join(lines).replace("close()?", "close()") + "\n"


CROWDS = {
    "sixty that share": (
        "ephemeral 40000-40007\nS[1-60] = udp4(SO_REUSEADDR)\nS[1-60].bind(127.0.0.1:0)\n"
        "X = udp4()\nX.bind(127.0.0.1:0)\n",
        {"ok", "EADDRINUSE"},
    ),
    "thirty that are asked and closed": (
        "ephemeral 40000-40007\nS[1-30] = udp4(SO_REUSEADDR)\nS[1-30].bind(127.0.0.1:0)\n"
        "S[1-30].name()\nS[1-30].close()\n",
        {"ok"},
    ),
    "sixty that send and are closed before one that shares nothing": (
        "ephemeral 40000-40007\nR = udp4()\nR.bind(127.0.0.1:P)\nS[1-60] = udp4(SO_REUSEADDR)\n"
        "S[1-60].bind(127.0.0.1:0)\nS[1-60].sendto(127.0.0.1:P)\nS[1-60].close()\nX = udp4()\nX.bind(127.0.0.1:0)\n",
        {"ok"},
    ),
    "sixty that connect and are asked": (
        "ephemeral 40000-40007\nR = udp4()\nR.bind(127.0.0.1:P)\nS[1-60] = udp4(SO_REUSEADDR)\n"
        "S[1-60].bind(0.0.0.0:0)\nS[1-60].connect(127.0.0.1:P)\nS[1-60].send()\nS[1-60].name()\n",
        {"ok"},
    ),
    "two hundred in a hundred": (
        "ephemeral 40000-40099\nS[1-200] = tcp4()\nS[1-200].bind(127.0.0.1:0)\n",
        {"EADDRINUSE"},
    ),
    "two listeners whose connections are used": (
        "ephemeral 40000-40003\nL = tcp4()\nL.bind(127.0.0.1:P)\nL.listen(99)\nM = tcp4()\nM.bind(127.0.0.1:Q)\n"
        "M.listen(99)\nD[1-5] = tcp4()\nD[1-5].connect(127.0.0.1:P)?\nE[1-5] = tcp4()\nE[1-5].connect(127.0.0.1:Q)?\n"
        "D[1-4].send()\nE[1-4].send()\nD[1-5].close()\nE[1-4].close()\nE5.connect(127.0.0.1:Q)\n",
        {"EADDRNOTAVAIL"},
    ),
    "TCP and UDP": (
        "ephemeral 40000-40007\nS[1-20] = tcp4()\nT[1-20] = udp4()\nS[1-20].bind(127.0.0.1:0)?\n"
        "T[1-20].bind(127.0.0.1:0)?\nS[1-8].listen()\nT[1-8].connect(127.0.0.1:P)\nS[1-20].name()\nT[1-20].name()\n"
        "S[1-20].close()\nX = udp4()\nX.bind(127.0.0.1:0)\n",
        {"EADDRINUSE"},
    ),
    "UDP at several addresses": (
        "ephemeral 40000-40007\nS[1-20] = udp4()\nT[1-20] = udp4()\nS[1-20].bind(127.0.0.1:0)?\n"
        "T[1-20].bind(127.0.0.2:0)?\nS[1-8].connect(127.0.0.1:P)\nT[1-8].connect(127.0.0.1:P)\nX = udp4()\n"
        "X.bind(0.0.0.0:0)\n",
        {"EADDRINUSE"},
    ),
    "two listeners": (
        "ephemeral 40000-40007\nL = tcp4()\nL.bind(127.0.0.1:P)\nL.listen(99)\nM = tcp4()\nM.bind(127.0.0.1:Q)\n"
        "M.listen(99)\nD[1-8] = tcp4()\nD[1-8].connect(127.0.0.1:P)\nE[1-9] = tcp4()\nE[1-9].connect(127.0.0.1:Q)\n",
        {"EADDRNOTAVAIL"},
    ),
}


@pytest.mark.parametrize("name", CROWDS)
def test_a_crowd_of_sockets_in_few_ports_is_few_states(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, last = CROWDS[name]
    monkeypatch.setattr(walking, "MAX_COPIES", 5_000)
    prediction = predict(parse(text), named("linux-6.18"))
    assert not prediction.unknown
    assert set(prediction.steps[-1].outcomes) == last


def test_what_is_copied_has_a_bound_also_where_each_step_has_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = 0

    def fork(machine: Machine[Any], choose: Callable[[int], int]) -> Machine[Any]:
        nonlocal copied
        new = states.fork(machine, choose)
        copied += 1 + len(new.called) + len(new.tuples)
        return new

    monkeypatch.setattr(walking, "fork", fork)
    monkeypatch.setattr(walking, "MAX_COPIES", 1_000)
    text = CROWDS["two listeners whose connections are used"][0].replace("40003", "40004")
    assert predict(parse(text), named("linux-6.18")).unknown == walking.TOO_MANY
    assert copied < 1_100


def test_a_step_that_was_observed_is_no_other_that_looks_alike() -> None:
    text = (
        "A = udp6()\nA.recv()?\nD = tcp6()\nE = tcp6()\nE.bind([::1]:R)\nE.listen()\nF = tcp6(TCP_DEFER_ACCEPT=1)\n"
        "F.connect([::1]:R)\nE.close()\nF.send()?\nF.send()?\nD.connect([::]:F.port)\n"
    )
    scenario, other = parse(text), {"A.recv": "timeout", "F.send#2": "ECONNRESET", "D.connect": "ECONNREFUSED"}
    labels = [step.label for step in scenario.steps]
    seen = tuple([StepOutcome(label, other.get(label, "ok")) for label in labels])
    prediction = predict(scenario, named("linux-6.18"), Observation("linux-6.18", seen, {"R": 10000}))
    assert [step.outcomes for step in prediction.steps] == [(step.outcome,) for step in seen]


def test_a_socket_without_a_name_stays_where_a_closed_one_still_tells_its_port() -> None:
    text = (
        "A = udp4()\nA.connect(127.0.0.1:P)\nE = tcp4()\nE.bind(0.0.0.0:0)\nG = udp4()\nG.bind(0.0.0.0:E.port)\n"
        "E.close()\nG.get(SO_KEEPALIVE)\nH = udp4()\nH.bind(0.0.0.0:E.port)\n"
    )
    assert predict(parse(text), named("linux-6.18")).steps[-1].outcomes == ("EADDRINUSE",)
