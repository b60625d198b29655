"""A scenario as a Python program: it is run in a namespace of its own, and comes to what `sockreuse run` does."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from performing import in_namespaces
from shipped import shipped

from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current
from pytest_sockreuse.report.python import program
from pytest_sockreuse.scenario import Observation, Scenario

if sys.platform == "linux":
    from pytest_sockreuse.live import namespace

EXAMPLE = Path(__file__).parents[1] / "examples" / "restart.scenario"
EVERY_CALL = """
listener = tcp4(SO_REUSEADDR)  # sets an option
listener.set(SO_LINGER=off)
listener.get(SO_LINGER)
listener.get(SO_REUSEADDR)
listener.get(IP_LOCAL_PORT_RANGE)
listener.bind(127.0.0.1:0)
listener.listen(3)
early = listener.accept()
client = tcp4(IP_LOCAL_PORT_RANGE=40000-40003, SO_LINGER=2, SO_BINDTODEVICE=lo)
client.get(IP_LOCAL_PORT_RANGE)
client.get(SO_LINGER)
client.get(SO_BINDTODEVICE)
client.get(SO_REUSEPORT_LB)
client.connect(127.0.0.1:listener.port)
class = listener.accept()
second = class.dup()
client.send()
class.recv()
class.recv()
client.shutdown(WR)
second.eof()
client.connect(127.0.0.1:listener.port)?
class.close()
client.name()
client.disconnect()
client.connect(127.0.0.1:9)
client.listen()
socket = udp4()
socket.sendto(127.0.0.1:listener.port)
socket.disconnect()
socket.bind([::1]:P)
P = udp6(IPV6_V6ONLY=raw:01000000)
P.bind([::1]:P)
P.name()
P.recv()
S[1-2] = tcp4()
S[1-2].bind(127.0.0.[1-2]:P)
S[1-2].listen(-1)
group = udp6(IPV6_JOIN_GROUP=ff02::fb%lo, IP_ADD_MEMBERSHIP=224.0.0.251%lo, IPV6_MULTICAST_IF=lo)
group.get(IPV6_MULTICAST_IF)
group.set(IP_MULTICAST_IF=nosuch)?
group.get(IP_MULTICAST_IF)
group.bind([fe80::1%nosuch]:0)?
group.bind([::1%nosuch]:Q)
lost = sctp6(SO_REUSEADDR)
lost.bind([::1]:lost.port)
"""


def performed(code: str, scenario: Scenario) -> str:
    """What a program prints in a namespace with the environment of the scenario."""
    reader, writer = os.pipe()
    with open(reader, "rb") as said:
        if not (child := os.fork()):  # type: ignore[attr-defined,unused-ignore]
            try:
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    _enter(scenario)
                    exec(compile(code, "program", "exec"), {"__name__": "__main__"})
                os.write(writer, out.getvalue().encode())
            except BaseException as error:
                os.write(writer, f"broken: {error!r}".encode())
            finally:
                os._exit(0)
        os.close(writer)
        text = said.read().decode()
    os.waitpid(child, 0)
    return text


def _enter(scenario: Scenario) -> None:
    if sys.platform == "linux":
        if namespace.isolation() == "userns":
            namespace.own_user_namespace()
        namespace.enter(scenario)


def lines(observation: Observation) -> list[str]:
    assert observation.not_run is None
    return [" ".join(filter(None, (one.step, one.outcome, one.value))) for one in observation.steps]


def alike(found: Iterable[str]) -> list[str]:
    """With numbers in place of the ports of addresses, in their order: no two runs have the same."""
    numbers = itertools.count()
    ports: dict[str, int] = {}

    def number(port: re.Match[str]) -> str:
        return f":{ports.setdefault(port[1], next(numbers)) if port[1] != '0' else 0}"

    return [re.sub(r":(\d+)$", number, " ".join(line.split())) for line in found]


def test_the_program_is_plain_python_with_the_calls_first() -> None:
    text = program(parse(EXAMPLE.read_text(encoding="utf-8")))
    body = text.partition("def calls():\n")[2]
    assert body.splitlines()[1] == (
        '    old = Socket("old", socket.AF_INET, socket.SOCK_STREAM)  # the old server did not set the option'
    )
    assert '    new.bind(("127.0.0.1", P))\n' in body
    assert "recv(self, size" not in text  # what it does not need is not there
    assert "import ctypes" not in text


@in_namespaces
def test_every_call_of_the_language_comes_to_what_it_does_in_a_scenario() -> None:
    scenario = parse(EVERY_CALL)
    with Runner() as runner:
        wanted = lines(runner.run(scenario))
    assert alike(performed(program(scenario), scenario).splitlines()) == alike(wanted)


def variants(every: int) -> list[Scenario]:
    """One variant each of some cases: those that come to one thing only. The end of MPTCP takes a time of its own."""
    cases = [case for rule in shipped().rules.values() for case in rule.cases]
    found = [case.variants[len(case.variants) // 2].scenario for case in cases[::every]]
    return [
        one
        for one in found
        if one.waits < 1
        and not any(step.user or step.kind.startswith("mptcp") for step in one.steps)
        and not any("|" in text for text in predict(one, current()).texts)
    ]


@in_namespaces
def test_scenarios_of_the_suite_come_to_the_same_as_programs() -> None:
    wrong = []
    with Runner() as runner:
        for scenario in variants(int(os.environ.get("SOCKREUSE_EVERY", "8"))):
            observation = runner.run(scenario)
            if observation.not_run is not None:
                continue
            found = alike(performed(program(scenario), scenario).splitlines())
            if found != alike(lines(observation)):
                wrong.append((str(scenario), found, alike(lines(observation))))
    assert not wrong


def test_the_environment_is_a_comment_with_the_commands_that_make_it() -> None:
    text = program(
        parse("sysctl net.ipv4.tcp_tw_reuse = 1\nephemeral 40000-40001\naddress fd00::1\ndevice d1\nA = tcp4()\n")
    )
    assert "#     sysctl -w net.ipv4.tcp_tw_reuse=1\n" in text
    assert "#     sysctl -w net.ipv4.ip_local_port_range='40000 40001'\n" in text
    assert "#     ip address add fd00::1 dev lo\n" in text
    assert "#     ip link add d1 type dummy && ip link set d1 up\n" in text


@pytest.mark.parametrize("name", ["import", "Socket", "calls", "print", "P", "SO_REUSEADDR", "free_port", "None"])
def test_names_that_mean_something_to_python_are_other_variables(name: str) -> None:
    scenario = parse(f"{name} = tcp4(SO_REUSEADDR)\n{name}.bind(127.0.0.1:P)\n{name}.close()\n")
    done = subprocess.run([sys.executable, "-c", program(scenario)], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{name}.socket  ok\n{name}.bind  ok\n{name}.close  ok\n", done.stderr


def test_comments_stay_comments() -> None:
    scenario = parse('# """ print(1)\nA = tcp4()  # \\\n#\tof tabs\n\nA.close()  #\n# end\n')
    done = subprocess.run([sys.executable, "-c", program(scenario)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "A.socket  ok\nA.close  ok\n", done.stderr
    assert '    # """ print(1)\n' in program(scenario)
    assert program(scenario).count("# end") == 1


def test_nothing_is_a_program_too() -> None:
    assert subprocess.run([sys.executable, "-c", program(parse(""))], check=True, capture_output=True).stdout == b""
