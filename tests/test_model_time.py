"""What time alone ends: TIME_WAIT and FIN_WAIT2, and when a model is sure of it."""

from __future__ import annotations

import pytest

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named

LEFT_BEHIND = """old = tcp4({option})
old.bind(127.0.0.1:P)
old.listen()
client = tcp4({option})
client.connect(127.0.0.1:P)
child = old.accept()
{ends}
old.close()
wait {seconds:g}
late = tcp4()
late.bind(127.0.0.1:P)
"""
TIME_WAIT, FIN_WAIT2 = "child.close()\nclient.close()", "child.close()"
GONE, THERE, EITHER = ("ok",), ("EADDRINUSE",), ("EADDRINUSE", "ok")


def late(platform: str, ends: str, seconds: float, option: str = "", env: str = "") -> tuple[str, ...]:
    scenario = parse(env + LEFT_BEHIND.format(option=option, ends=ends, seconds=seconds))
    return predict(scenario, named(platform)).steps[-1].outcomes


@pytest.mark.parametrize("platform", ["linux-5.7", "linux-6.18", "gvisor-20240729"])
@pytest.mark.parametrize("ends", [TIME_WAIT, FIN_WAIT2])
def test_what_a_connection_leaves_is_gone_after_the_minute(platform: str, ends: str) -> None:
    assert late(platform, ends, 50) == THERE
    assert late(platform, ends, 59.9) == EITHER
    assert late(platform, ends, 75) == GONE


@pytest.mark.parametrize(
    ("option", "env", "seconds"),
    [
        ("TCP_LINGER2=1", "", 1),
        ("TCP_LINGER2=1", "sysctl net.ipv4.tcp_fin_timeout = 30\n", 1),
        ("", "sysctl net.ipv4.tcp_fin_timeout = 30\n", 30),
        ("", "sysctl net.ipv4.tcp_fin_timeout = 60\n", 60),
        ("", "sysctl net.ipv4.tcp_fin_timeout = 61\n", 2),
        ("TCP_LINGER2=90", "", 60),
        ("TCP_LINGER2=3000", "", 120),
    ],
)
def test_fin_wait2_of_linux_lasts_as_long_as_it_was_told(option: str, env: str, seconds: float) -> None:
    assert late("linux-6.18", FIN_WAIT2, seconds / 3, option, env) == THERE
    assert late("linux-6.18", FIN_WAIT2, seconds * 1.05, option, env) == EITHER
    assert late("linux-6.18", FIN_WAIT2, seconds * 1.2 + 1, option, env) == GONE


def test_fin_wait2_with_a_descriptor_does_not_end() -> None:
    assert late("linux-6.18", "child.shutdown(WR)\n", 600) == THERE


def test_the_peers_end_makes_a_whole_time_wait_of_fin_wait2() -> None:
    ends = "child.close()\nwait 40\nclient.close()"
    assert late("linux-6.18", ends, 50) == THERE
    assert late("linux-6.18", ends, 75) == GONE


def test_those_that_may_have_ended_end_one_after_the_other() -> None:
    text = "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nC[1-30] = tcp4()\n"
    text += "C[1-30].bind(127.0.0.[1-30]:Q)\nC[1-30].connect(127.0.0.1:P)\nC[1-30].close()\nL.close()\nwait 60\n"
    prediction = predict(parse(text + "B[1-2] = tcp4()\nB[1-2].bind(127.0.0.[1-2]:Q)\n"), named("linux-6.18"))
    assert not prediction.unknown


DEFERRED = """l = tcp4(TCP_DEFER_ACCEPT={seconds})
l.bind(127.0.0.1:P)
l.listen()
c = tcp4()
c.connect(127.0.0.1:P)
{wait}a = l.accept()
"""


@pytest.mark.parametrize(
    ("seconds", "wait", "outcomes"),
    [
        (1, 0, ("timeout",)),
        (1, 1.3, ("ok", "timeout")),
        (1, 1.8, ("ok",)),
        (2, 1.8, ("timeout",)),
        (3, 5, ("ok",)),
        (4, 5, ("timeout",)),
        (7, 9, ("ok",)),
        (0, 0, ("ok",)),
        (-1, 0, ("ok",)),
    ],
)
def test_a_connection_that_waits_for_data_is_ready_after_1_3_7_seconds(
    seconds: int, wait: float, outcomes: tuple[str, ...]
) -> None:
    text = DEFERRED.format(seconds=seconds, wait=f"wait {wait:g}\n" if wait else "")
    assert predict(parse(text), named("linux-6.18")).steps[-1].outcomes == outcomes
