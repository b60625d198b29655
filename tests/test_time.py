"""The time that scenarios take on this kernel: calls that hang, waits, states that outlive a socket."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from here import linux_only
from performing import CONNECTED, in_namespaces, parsed, shown

from pytest_sockreuse.live.runner import Runner

HANGS = """
L = tcp4()
L.bind(127.0.0.1:P)
L.listen(0)
C[1-3] = tcp4()
C[1-3].connect(127.0.0.1:P)
C3.close()
D = tcp4()
"""


@linux_only
@in_namespaces
def test_a_call_that_hangs_costs_the_scenarios_time_and_no_more() -> None:
    with Runner(timeout=0.3) as runner:
        began = time.monotonic()
        seen = runner.run(parsed(HANGS))
        assert time.monotonic() - began < 5
        found = shown(seen)
        hung = [label for label, outcome in found.items() if outcome == "timeout"]
        assert len(hung) == 1
        assert hung[0] in ("C2.connect", "C3.connect")
        labels = [step.step for step in seen.steps]
        assert labels == [step.label for step in parsed(HANGS).steps]
        after = labels[labels.index(hung[0]) + 1 :]
        assert {found[label] for label in after} == {"unreached"}
        assert shown(runner.run(parsed("A = tcp4()\nA.bind(127.0.0.1:P)"))) == {}


@linux_only
@in_namespaces
def test_waits_are_beside_the_scenarios_time() -> None:
    with Runner(timeout=0.2) as runner:
        assert shown(runner.run(parsed("A = tcp4()\nwait 0.3\nA.bind(127.0.0.1:P)"))) == {}


def states(pid: int, port: int) -> set[str]:
    """The TCP states of the sockets on a local port, in the namespace of a process; as in include/net/tcp_states.h."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {row[3] for row in rows if int(row[1].rpartition(":")[2], 16) == port}


FIN_WAIT2, TIME_WAIT = "05", "06"


@linux_only
@in_namespaces
@pytest.mark.parametrize(
    ("after", "state"), [("S.eof()", FIN_WAIT2), ("S.eof()\nS.close()", TIME_WAIT), ("S.close()", TIME_WAIT)]
)
def test_dead_states_are_there_when_the_step_returns(after: str, state: str) -> None:
    text = CONNECTED.replace(":Q", ":9999") + f"C.close()\n{after}\nwait 30"
    with Runner() as runner:
        runner.ask(parsed(text))
        assert runner._worker is not None
        until = time.monotonic() + 20
        seen: set[str] = set()
        while state not in seen and time.monotonic() < until:
            with contextlib.suppress(OSError):
                seen = states(runner._worker.pid, 9999)
            time.sleep(0.001)
        # Read once more: what is read while the state changes may have both.
        assert states(runner._worker.pid, 9999) == {state}
