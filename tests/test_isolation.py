"""Performed scenarios leave the host alone, with namespaces and without; a worker's death costs one of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from here import linux_only
from performing import CONNECTED, in_namespaces, parsed, shown

from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.live.sandbox import touches_the_host

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


# --- isolation --------------------------------------------------------------------------------------------------------


def host_settings() -> dict[str, str]:
    found = {}
    for path in sorted(Path("/proc/sys/net").glob("ipv[46]/*")):
        with contextlib.suppress(OSError):
            found[path.name] = path.read_text()
    # what the kernel itself changes
    return {name: text for name, text in found.items() if "mem" not in name and "tfo" not in name}


CHANGES = """
sysctl net.ipv4.ip_nonlocal_bind = 1
sysctl net.ipv4.tcp_fin_timeout = 7
ephemeral 40000-40001
address 10.9.8.7
A = tcp4()
A.bind(0.0.0.0:P)
A.listen()
B = udp6()
B.bind([::]:0)
"""


@linux_only
@in_namespaces
def test_nothing_on_the_host_changes() -> None:
    before = host_settings()
    sockets = Path("/proc/self/ns/net").readlink()
    with Runner() as runner:
        assert shown(runner.run(parsed(CHANGES))) == {}
        assert host_settings() == before
        assert Path("/proc/self/ns/net").readlink() == sockets
        assert runner._worker is not None
        assert Path(f"/proc/{runner._worker.pid}/ns/net").readlink() != sockets


@linux_only
@in_namespaces
def test_each_scenario_begins_anew(runner: Runner) -> None:
    for _ in range(3):
        seen = runner.run(parsed("A = tcp4()\nA.bind(0.0.0.0:7777)\nA.listen()\nB = tcp4()\nB.bind(127.0.0.1:0)"))
        assert shown(seen) == {}
        assert shown(runner.run(parsed(CHANGES))) == {}
        found = shown(runner.run(parsed("A = tcp4()\nA.bind(10.9.8.7:P)")))
        assert found == {"A.bind": "EADDRNOTAVAIL"}


@linux_only
@in_namespaces
def test_ipv6_is_not_missed_where_the_first_scenario_leaves_no_port_to_choose() -> None:
    with Runner() as runner:
        runner.run(parsed("ephemeral 40000-40000\nsysctl net.ipv4.ip_local_reserved_ports = 40000\nA = tcp4()"))
        assert shown(runner.run(parsed("A = tcp6()\nA.bind([::1]:P)"))) == {}


@linux_only
@in_namespaces
def test_no_descriptor_process_or_namespace_is_left() -> None:
    def descriptors(pid: int) -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    runner = Runner()
    with runner:
        texts = [CONNECTED + "C.close()\nS.close()", CHANGES, "A = tcp4()\nA.bind(10.1.1.1:P)", "A = udp4()"]
        for text in texts:
            runner.run(parsed(text))
        assert runner._worker is not None
        pid = runner._worker.pid
        before = descriptors(pid)
        for text in texts:
            runner.run(parsed(text))
        assert descriptors(pid) == before
        namespace = Path(f"/proc/{pid}/ns/net").readlink()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert runner._worker is None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            assert (process / "ns" / "net").readlink() != namespace


# --- without namespaces -----------------------------------------------------------------------------------------------

FORBIDDEN = """
import json, sys
texts = json.loads(sys.argv[1])
sys.path[:0] = sys.argv[2:]
from pytest_sockreuse.live import namespace
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.parser import parse
try:
    namespace.own_user_namespace()
    # the host
    for kind in ("net", "user"):
        with open(f"/proc/sys/user/max_{kind}_namespaces", "w") as file:
            file.write("0")
except OSError:
    pass  # perhaps they are forbidden already
with Runner() as one, Runner() as other:
    if one.isolation() != "none":
        sys.exit("cannot forbid namespaces here")
    for runner in (one, other):
        for text in texts:
            runner.ask(parse(text))
    print(json.dumps([[[(o := r.answer()).to_json(), o.ports] for _ in texts] for r in (one, other)]))
"""


def forbidden(*texts: str, host: str = "") -> list[list[Any]]:
    """What two runners at once make of the texts where no namespace may be made: for each its objects and ports.

    `host` is what is done to their host, a namespace, before.
    """
    command = [sys.executable, "-c", FORBIDDEN.replace("# the host", host), json.dumps(texts), *sys.path]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "cannot forbid" in run.stderr:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stderr
    found: list[list[Any]] = json.loads(run.stdout)
    return found


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["outcome"] for step in answer["steps"] if step["outcome"] != "ok"}


@linux_only
def test_without_namespaces_what_can_run_does() -> None:
    taken = "A = tcp4()\nA.bind(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\nC = udp4()\nC.bind(127.0.0.1:Q)"
    one, other = forbidden(*[taken] * 20, CONNECTED + "C.close()\nS.close()")
    ports: list[set[int]] = []
    for runner in (one, other):
        for answer, _ in runner[:20]:
            assert outcomes(answer) == {"B.bind": "EADDRINUSE"}
        assert outcomes(runner[20][0]) == {}
        ports.append({port for _, found in runner for port in found.values()})
        assert len(ports[-1]) == 42
    assert not ports[0] & ports[1]


@linux_only
def test_without_namespaces_the_rest_says_why() -> None:
    texts = [
        "A = tcp4()\nA.bind(0.0.0.0:P)",
        "A = tcp6()\nA.bind([::]:P)",
        "A = tcp4()\nA.bind(10.0.0.1:P)",
        "A = tcp4()\nA.bind(127.0.0.1:80)",
        "A = tcp4()\nA.listen()",
        "A = udp4()\nA.sendto(127.0.0.1:P)",
        "A = tcp4() as user1",
        "sysctl net.ipv4.tcp_fin_timeout = 7\nA = tcp4()",
        "ephemeral 40000-40001\nA = tcp4()",
        "device d1\nA = tcp4()",
        "address 10.9.8.7\nA = tcp4()",
    ]
    before = host_settings()
    for answer, _ in forbidden(*texts)[0]:
        assert answer["not_run"].startswith("needs a network namespace (run as root, or allow")
    assert host_settings() == before


@linux_only
@in_namespaces
@pytest.mark.parametrize(
    ("host", "why"),
    [
        (
            "namespace._unshare(namespace._NEWNET)",
            "there is no way to 127.0.0.1 on this host: bring its loopback interface up",
        ),
        (
            "namespace.new(); namespace.write('net.ipv4.ip_local_port_range', '1024 65535')",
            "no block of ports is left on this host outside the ephemeral range: narrow that, or",
        ),
    ],
    ids=["lo is down", "all ports are ephemeral"],
)
def test_a_host_that_has_not_what_a_scenario_needs_is_told_of(host: str, why: str) -> None:
    texts = ["A = tcp4()\nA.bind(127.0.0.1:P)", "A = udp6()\nA.bind([::1]:P)"]
    for answer, _ in forbidden(*texts, host=host)[0]:
        assert answer["not_run"].startswith(why)


@pytest.mark.parametrize(
    ("text", "beyond"),
    [
        ("A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()", False),
        ("A = tcp4()\nA.listen()", True),
        ("A = tcp4()\nA.bind(127.0.0.1:P)?\nA.listen()", True),
        ("A = tcp4()\nA.connect(127.0.0.1:P)?\nA.listen()", True),
        ("A = udp4()\nA.connect(127.0.0.1:P)\nA.disconnect()\nA.sendto(127.0.0.1:P)", True),
        ("A = udp4()\nA.connect(127.0.0.1:P)\nA.sendto(127.0.0.1:P)", False),
    ],
)
def test_what_the_os_would_bind_to_a_wildcard_is_left_off_the_host(text: str, beyond: bool) -> None:
    assert touches_the_host(parsed(text)) is beyond


SHARED = """
import os, sys
sys.path[:0] = sys.argv[1:]
from pytest_sockreuse.live import namespace
from pytest_sockreuse.live.shared_namespace import SharedNamespaces
from pytest_sockreuse.live.sharing import sharing
from pytest_sockreuse.parser import parse
if namespace.isolation() == "userns":
    namespace.own_user_namespace()
namespace._libc.setns = lambda *_: -1
shared, seen = SharedNamespaces(), []
for text in ["A = tcp4()"] * 2 + ["ephemeral 40000-40001\\nA = tcp4()"] * 2 + ["A = tcp4()"]:
    scenario = parse(text)
    shared.enter(scenario, sharing(scenario))
    seen.append(os.readlink("/proc/thread-self/ns/net"))
    shared.leave([])
print(seen[0] == seen[1] != seen[2] == seen[3] != seen[4])
"""


@linux_only
@in_namespaces
def test_where_setns_is_refused_scenarios_share_a_namespace_until_others_need_one() -> None:
    command = [sys.executable, "-c", SHARED, *sys.path]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.stderr) == ("True\n", "")
