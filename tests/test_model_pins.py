"""Clauses that random scenarios seldom reach: taking each away changes what the model says of a small scenario."""

from __future__ import annotations

import pytest

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, version

LISTENER = "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\n"
TW = (
    "ephemeral 40000-40000\n{0}"
    + LISTENER
    + "C = tcp4()\nC.connect(127.0.0.1:P)\nA = L.accept()\nC.close()\nA.close()\n"
)

PINS = {
    "address-not-local": "A = tcp4()\nA.bind(192.0.2.1:P)\n",
    "autobind-reuse": """ephemeral 40000-40000
sysctl net.ipv4.ip_autobind_reuse = 1
A[1-2] = tcp4(SO_REUSEADDR)
A[1-2].bind(127.0.0.1:0)
""",
    "device-keeps-apart": """device d1
A = tcp4(SO_BINDTODEVICE=d1)
B = tcp4(SO_BINDTODEVICE=lo)
A.bind(0.0.0.0:P)
B.bind(0.0.0.0:P)
""",
    "device-unknown": "A = tcp4(SO_BINDTODEVICE=nowhere)\n",
    "local-range-checked": "A = tcp4(IP_LOCAL_PORT_RANGE=40001-40000)\n",
    "low-port-privileged": "A = udp6() as user1\nA.bind([::1]:80)\n",
    "no-route": "A = tcp4()\nA.connect(192.0.2.1:P)\n",
    "option-privileged": "A = tcp4(IP_TRANSPARENT) as user1\n",
    "option-too-short": "A = tcp4(SO_REUSEADDR=raw:01)\n",
    "shutdown-ends-listening": LISTENER + "L.shutdown(RD)\nC = tcp4()\nC.connect(127.0.0.1:P)\n",
    "time-wait-reuse-delay": TW.format("sysctl net.ipv4.tcp_tw_reuse_delay = 100\n")
    + "wait 0.6\nB = tcp4()\nB.connect(127.0.0.1:P)\n",
    "udp-newest-gets-it": """A = udp4(SO_REUSEADDR)
A.bind(127.0.0.1:P)
B = udp4(SO_REUSEADDR)
B.bind(127.0.0.1:P)
C = udp4()
C.sendto(127.0.0.1:P)
A.recv()
B.recv()
""",
    "udp-reuseport-group": """A[1-2] = udp4(SO_REUSEPORT)
A[1-2].bind(127.0.0.1:P)
C = udp4()
C.sendto(127.0.0.1:P)
A[1-2].recv()
""",
    "mapped-sticks": "A = tcp6()\nA.connect([::ffff:127.0.0.1]:P)?\nA.connect([::1]:P)\n",
    "v4-wildcard-sees-connected-v6": "A = tcp6()\nA.bind([::]:P)\nA.connect([::1]:P)\nB = tcp4()\nB.bind(0.0.0.0:P)\n",
    "mptcp-port-options": "A = mptcp4(IP_BIND_ADDRESS_NO_PORT)\n",
    "backlog-full": "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen(0)\nC[1-2] = tcp4()\nC[1-2].connect(127.0.0.1:P)\n",
    "fin-wait2-not-reused": "ephemeral 40000-40000\nsysctl net.ipv4.tcp_tw_reuse = 1\n"
    + LISTENER
    + "C = tcp4()\nC.connect(127.0.0.1:P)\nC.close()\nwait 1.5\nB = tcp4()\nB.connect(127.0.0.1:P)\n",
    "connected-wildcard-hides": """ephemeral 40000-40000
L = tcp4()
L.bind(127.0.0.1:P)
L.listen()
C = tcp4(SO_REUSEADDR)
C.connect(127.0.0.1:P)
C.close()
A = L.accept()
A.close()
B = tcp4(SO_REUSEADDR)
B.bind(0.0.0.0:40000)
B.connect(127.0.0.1:P)
D = tcp4()
D.connect(127.0.0.2:Q)
""",
    "orphan-is-root": """L = tcp4(SO_REUSEPORT) as user1
L.bind(127.0.0.1:P)
L.listen()
C = tcp4()
C.connect(127.0.0.1:P)
X = tcp4() as user1
X.bind(127.0.0.2:P)
B = tcp4(SO_REUSEPORT) as user1
B.bind(127.0.0.1:P)
""",
    "udp-wildcard-misses-many": "S[1-11] = udp4()\nS[1-11].bind(127.0.0.[1-11]:P)\nB = udp4()\nB.bind(0.0.0.0:P)\n",
    "v6only-hides-wildcard": """A = tcp4()
A.bind(0.0.0.0:P)
C = tcp6(IPV6_V6ONLY)
C.bind([::]:P)
B = tcp4()
B.bind(127.0.0.1:P)
""",
    "bound-port-sticks": """ephemeral 40000-40000
L = tcp4()
L.bind(0.0.0.0:P)
L.listen()
A = tcp4()
A.connect(127.0.0.1:P)
B = tcp4()
B.bind(127.0.0.2:40000)
B.close()
C = tcp4()
C.connect(127.0.0.2:P)
""",
    "failed-connect-keeps-address": TW.format("sysctl net.ipv4.tcp_tw_reuse = 0\n")
    + "B = tcp4()\nB.connect(127.0.0.1:P)?\nB.name()\n",
}
OLDER = {"orphan-is-root": "6.1.176", "udp-wildcard-misses-many": "6.1.150", "v6only-hides-wildcard": "6.1.20"} | {
    "bound-port-sticks": "6.12.107",
    "failed-connect-keeps-address": "5.7.19",
}


@pytest.mark.parametrize("clause", PINS)
def test_without_the_clause_something_else_is_said(clause: str) -> None:
    label = OLDER.get(clause, "6.18.44")
    platform = Platform("linux", version(label), label)
    scenario = parse(PINS[clause])
    said, else_ = predict(scenario, platform), predict(scenario, platform, inverted={clause})
    assert not said.unknown
    assert [(s.outcomes, s.values) for s in said.steps] != [(s.outcomes, s.values) for s in else_.steps]
