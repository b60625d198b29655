"""Held ports: what keeps others out and lets the application in, by the models of every OS and on this one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pytest_sockreuse import platforms, ports
from pytest_sockreuse.live import hold as numbers
from pytest_sockreuse.live import holders
from pytest_sockreuse.live.hold import descriptors
from pytest_sockreuse.live.placeholder import PROTOCOLS, STRICT, TECHNIQUES, Technique
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import families, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.ports import Lease, PortError, Ports, PortWarning

LINUX = sys.platform == "linux" and platforms.current().stack == "linux"
linux_only = pytest.mark.skipif(not LINUX, reason="shown on Linux")
MODELLED = [p for p in platforms.known() if p.stack in TECHNIQUES and p.stack in families()]


@pytest.fixture
def give() -> Iterator[Ports]:
    with Ports() as ports:
        yield ports


def opened(lease: Lease, *options: str, protocol: str = "tcp", host: str = "127.0.0.1") -> socket.socket:
    """What an application opens at a lease's port."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    try:
        for name in options:
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
        sock.bind((host, lease.port))
        if protocol == "tcp":
            sock.listen()
    except OSError:
        sock.close()
        raise
    return sock


# --- what the techniques rest on --------------------------------------------------------------------------------------


def placeholder(technique: Technique, protocol: str, port: str) -> str:
    """A placeholder over IPv4 as a scenario."""
    host = technique.hosts[0][1]
    lines = [f"H = {protocol}4({'SO_REUSEADDR' if technique.reuse == 'before' else ''})", f"H.bind({host}:{port})"]
    if technique.reuse == "after":
        lines.append("H.set(SO_REUSEADDR)")
    if protocol in technique.connected and protocol == "tcp":
        lines = ["K = tcp4()", "K.bind(127.0.0.1:Q)", "K.listen()", *lines, "H.connect(127.0.0.1:Q)"]
    elif protocol in technique.connected:
        lines.append(f"H.connect({host}:9)")
    return "\n".join(lines) + "\n"


def application(technique: Technique, protocol: str, host: str) -> str:
    option = "SO_REUSEADDR" if technique.beside else ""
    use = "A.listen()" if protocol == "tcp" else "C = udp4()\nC.sendto(127.0.0.1:P)\nA.recv()"
    return f"A = {protocol}4({option})\nA.bind({host}:P)\n{use}\n"


def cases(technique: Technique, protocol: str) -> dict[str, tuple[str, dict[str, str]]]:
    """What must hold of a placeholder: the rest of a scenario, and the outcomes other than ok."""
    refused = {"B.bind": "EADDRINUSE"}
    return {
        "the application at its address": (application(technique, protocol, "127.0.0.1"), {}),
        "the application at every address": (application(technique, protocol, "0.0.0.0"), {}),
        "another without the option": (f"B = {protocol}4()\nB.bind({technique.hosts[0][1]}:P)\n", refused),
    }


QUESTIONS = [(protocol, name) for protocol in PROTOCOLS for name in cases(STRICT, "tcp")]


@pytest.mark.parametrize(("protocol", "name"), QUESTIONS)
@pytest.mark.parametrize("platform", MODELLED, ids=str)
def test_a_technique_holds_by_the_model(platform: platforms.Platform, protocol: str, name: str) -> None:
    technique = TECHNIQUES[platform.stack]
    text, outcomes = cases(technique, protocol)[name]
    prediction = predict(parse(placeholder(technique, protocol, "P") + text), platform)
    shown = {step.step: "|".join(step.outcomes) for step in prediction.steps if step.outcomes != ("ok",)}
    assert shown == outcomes, prediction


@linux_only
@pytest.mark.parametrize(("protocol", "name"), QUESTIONS)
def test_the_techniques_of_linux_hold_on_this_kernel(runner: Runner, namespaces: str, protocol: str, name: str) -> None:
    for technique in (TECHNIQUES["linux"], replace(TECHNIQUES["linux"], connected=PROTOCOLS)):
        text, outcomes = cases(technique, protocol)[name]
        seen = runner.run(parse(placeholder(technique, protocol, "P") + text))
        assert {step.step: step.outcome for step in seen.steps if step.outcome != "ok"} == outcomes


@pytest.mark.parametrize("platform", [None, *MODELLED], ids=lambda p: str(p or "this kernel"))
def test_the_os_chooses_around_a_placeholder(
    runner: Runner, isolation: str, platform: platforms.Platform | None
) -> None:
    """Of a range of two ports one is held: bind(0) and connect get the other, then nothing."""
    if platform is None and (not LINUX or isolation == "none"):
        pytest.skip("needs Linux and network namespaces")
    technique = TECHNIQUES[platform.stack if platform else "linux"]
    text = "ephemeral 40000-40001\n" + placeholder(technique, "tcp", "40001")
    text += "A = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\nB = tcp4()\nB.bind(127.0.0.1:0)\n"
    scenario = parse(text)
    if platform is None:
        seen = {step.step: step.value or step.outcome for step in runner.run(scenario).steps}
    else:
        steps = predict(scenario, platform).steps
        if any(step.unknown for step in steps):
            pytest.skip(f"the model does not say: {steps[-1].unknown}")
        seen = {step.step: "|".join(map(str, step.values or step.outcomes)) for step in steps}
    assert seen["A.name"] == "127.0.0.1:40000"
    assert seen["B.bind"] not in ("ok", "")


# --- a lease ----------------------------------------------------------------------------------------------------------


def test_nobody_else_has_the_port(give: Ports) -> None:
    lease = give.hold()
    for protocol in PROTOCOLS:
        for host in ("127.0.0.1", "::1"):
            with contextlib.suppress(OSError) if ":" in host else contextlib.nullcontext():
                if give.placeholders.technique.hosts[0][1] == "127.0.0.1":
                    with pytest.raises(OSError, match="in use"):
                        opened(lease, protocol=protocol, host=host)
    assert lease.address == ("127.0.0.1", lease.port)
    assert "tcp+udp held" in repr(lease)


@linux_only
@pytest.mark.parametrize("stack", ["linux", "freebsd", "gvisor"])
def test_an_application_binds_beside_the_placeholder(stack: str) -> None:
    technique = TECHNIQUES[stack]
    if stack == "freebsd":
        technique = replace(technique, reuse="after")  # which Linux needs of a connected one as well
    with Ports(technique) as give, give.hold() as lease:
        with opened(lease, "SO_REUSEADDR") as server, socket.create_connection(lease.address) as client:
            child, _ = server.accept()
            with child:
                client.sendall(b"x")
                assert child.recv(1) == b"x"
        with opened(lease, "SO_REUSEADDR", protocol="udp") as receiver, socket.socket(type=socket.SOCK_DGRAM) as sender:
            receiver.settimeout(5)
            sender.sendto(b"y", lease.address)
            assert receiver.recv(1) == b"y"
            receiver.sendto(b"z", lease.address)
            assert receiver.recv(1) == b"z"


def test_a_released_port_is_anybodys(give: Ports) -> None:
    lease = give.hold()
    assert lease.release() == lease.port
    with opened(lease), opened(lease, protocol="udp"):
        pass
    assert "handed over" in repr(lease)


def test_one_protocol_is_released(give: Ports) -> None:
    lease = give.hold()
    lease.release("udp")
    opened(lease, protocol="udp").close()
    assert "tcp held" in repr(lease)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("stack", [platforms.current().stack, "windows", "strict"])
def test_the_socket_itself(stack: str, protocol: ports.Protocol, family: int) -> None:
    if stack == "windows" and sys.platform not in ("linux", "win32"):
        pytest.skip("needs all of 127.0.0.0/8 to be local")

    class Socket(socket.socket):
        """A project's own."""

    with Ports(TECHNIQUES.get(stack, STRICT)) as give, give.hold() as lease:
        try:
            sock = lease.socket(protocol, family, Socket)
        except OSError:
            if family == socket.AF_INET:
                raise
            pytest.skip("no IPv6 here")
        with sock:
            assert isinstance(sock, Socket)
            assert sock.getsockname()[1] == lease.port
            if protocol == "tcp":
                sock.listen()
                with socket.create_connection(sock.getsockname()[:2]):
                    sock.accept()[0].close()
            else:
                with pytest.raises(OSError, match=r"in use|denied|permissions"):
                    opened(lease, "SO_REUSEADDR", protocol="udp", host=sock.getsockname()[0])


def test_ports_of_one_protocol(give: Ports) -> None:
    lease = give.hold("udp")
    opened(lease).close()
    with pytest.raises(PortError, match=r"is held for udp, not for 'tcp'"):
        lease.socket()
    with pytest.raises(PortError, match=r"is held for udp, not for 'tcp'"):
        lease.release("tcp")


def test_a_lease_ends_once(give: Ports) -> None:
    with give.hold() as lease:
        pass
    lease.close()
    with pytest.raises(PortError, match="has ended"):
        lease.release()


def test_nothing_is_left() -> None:
    before = descriptors()
    with Ports(replace(TECHNIQUES.get(platforms.current().stack, STRICT), connected=PROTOCOLS)) as give:
        give.hold_many(3)
        assert len(descriptors() - before) >= 6
    assert descriptors() == before


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_numbers_are_given_once(give: Ports) -> None:
    leases = give.hold_many(100)
    low, high = numbers.ephemeral()
    assert len({lease.port for lease in leases}) == 100
    if low > numbers._UNLIKELY + 200:
        assert not [lease.port for lease in leases if low <= lease.port <= high]


def test_consecutive_numbers(give: Ports) -> None:
    rows = [give.hold_many(count, consecutive=True) for count in (1, 2, 31)]
    for row in rows:
        assert [lease.port for lease in row] == [row[0].port + n for n in range(len(row))]


def test_a_number_is_given_again_only_when_it_is_free() -> None:
    pool = numbers.HeldPorts()
    try:
        port = pool.take()
        pool.give_back(port)
        sock = numbers.bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))
        assert pool.take() != port
        sock.close()
        assert pool.take() == port
    finally:
        pool.close()


def test_a_port_in_use_is_not_free() -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as sock:
            sock.bind(("127.0.0.1", 0))
            assert not numbers.is_free(sock.getsockname()[1])


@pytest.mark.parametrize(
    ("system", "told", "low", "numbers_given"),
    [
        ("freebsd14", ["10000", "65535"], 10000, range(5120, 10000)),
        ("darwin", ["49152", "65535"], 49152, range(10016, 49152)),
        ("openbsd7", ["1024", "65535"], 1024, range(0)),
        ("netbsd10", ["", ""], 49152, range(10016, 49152)),  # sysctl fails
        ("sunos5", [], 49152, range(10016, 49152)),
    ],
)
def test_numbers_of_other_systems(
    monkeypatch: pytest.MonkeyPatch, system: str, told: list[str], low: int, numbers_given: range
) -> None:
    answers = iter(told)

    def sysctl(command: list[str], **rest: Any) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["sysctl", "-n"]
        return subprocess.CompletedProcess(command, 0, next(answers) + "\n")

    monkeypatch.setattr(subprocess, "run", sysctl)
    monkeypatch.setattr(sys, "platform", system)
    found = numbers.ephemeral()
    monkeypatch.undo()
    assert found[0] == low
    monkeypatch.setattr(numbers, "ephemeral", lambda: found)
    pool = numbers.HeldPorts()
    try:
        if numbers_given:
            assert pool.take() in numbers_given
        else:
            with pytest.raises(numbers.NoPort):
                pool.take()
    finally:
        pool.close()


HOLD = """
import sys
from pytest_sockreuse.ports import hold_many
print(*[lease.port for lease in hold_many(int(sys.argv[1]))], flush=True)
sys.stdin.read()
"""


def running(code: str, *arguments: str, **how: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **how,
    )  # fmt: skip


def line(process: subprocess.Popen[str]) -> str:
    """The next line of a process's output."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_runs_at_once_are_given_different_numbers() -> None:
    runs = [running(HOLD, "60") for _ in range(3)]
    try:
        found = [int(port) for run in runs for port in line(run).split()]
        assert len(set(found)) == len(found) == 180
    finally:
        for run in runs:
            run.communicate(timeout=30)


@linux_only
def test_where_the_os_may_choose_every_port(namespaces: str) -> None:
    """The placeholders alone keep others out."""
    run = running(
        """
        import socket
        from pytest_sockreuse.live import namespace
        from pytest_sockreuse.ports import Ports, hold
        if namespace.isolation() == "userns":
            namespace.own_user_namespace()
        namespace.new()
        namespace.write("net.ipv4.ip_local_port_range", "1024 65535")
        with Ports() as ports:
            assert 1024 <= ports.hold().port
            row = [lease.port for lease in ports.hold_many(31, consecutive=True)]
            assert row == list(range(row[0], row[0] + 31))
        namespace.write("net.ipv4.ip_local_port_range", "40000 40040")
        with Ports() as ports:
            ports._numbers = lambda count: ((None, list(range(n, n + count))) for n in range(40000, 40041))
            held = {lease.port for lease in ports.hold_many(40)}
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(type=kind) as free, socket.socket(type=kind) as none:
                    free.bind(("127.0.0.1", 0))
                    assert free.getsockname()[1] == 40040
                    try:
                        none.bind(("127.0.0.1", 0))
                    except OSError:
                        print("kept out", flush=True)
        """
    )
    out, err = run.communicate(timeout=60)
    assert (out, err) == ("kept out\n" * 2, "")


# --- what is told at the end ------------------------------------------------------------------------------------------


def test_a_port_left_open_is_told(give: Ports) -> None:
    lease = give.hold()
    with lease.socket() as server:
        server.listen()
        with pytest.warns(PortWarning, match=rf"held port {lease.port} was left open: TCP LISTEN at 127.0.0.1 by this"):
            lease.close()


def test_what_was_closed_is_not_told(give: Ports) -> None:
    lease = give.hold()
    with lease.socket() as server:
        server.listen()
        with socket.create_connection(lease.address) as client:
            child, _ = server.accept()
            child.close()  # first, so that TIME_WAIT stays here
            assert client.recv(1) == b""
    lease.close()


LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("listening", flush=True)
    sys.stdin.read()
"""


@linux_only
def test_who_left_it_open_is_told(give: Ports) -> None:
    lease = give.hold()
    child = running(LISTEN, str(lease.port))
    try:
        assert line(child) == "listening"
        with pytest.warns(PortWarning, match=rf"was left open: TCP LISTEN at 127.0.0.1 by .* \(pid {child.pid}\)$"):
            lease.close()
    finally:
        child.communicate(timeout=30)


ORPHAN = (
    """
import os, sys
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
"""
    + LISTEN
)


@linux_only
def test_a_thief_is_told(give: Ports) -> None:
    """A process that this one did not start (its parent is gone) and that sets SO_REUSEADDR, as any application may."""
    lease = give.hold()
    thief = running(ORPHAN, str(lease.port), start_new_session=True)
    pid = int(line(thief))
    try:
        assert line(thief) == "listening"
        told = rf"port {lease.port} was taken: TCP LISTEN at 127.0.0.1 by \S+ \(pid {pid}\), which this process did not"
        with pytest.warns(PortWarning, match=told):
            lease.release()
        with pytest.warns(PortWarning, match=told):
            lease.close()
    finally:
        thief.communicate(timeout=30)


@linux_only
def test_a_socket_whose_process_cannot_be_seen(monkeypatch: pytest.MonkeyPatch, give: Ports) -> None:
    monkeypatch.setattr(holders, "_owners", lambda _: {})
    lease = give.hold()
    child = running(LISTEN, str(lease.port))
    try:
        assert line(child) == "listening"
        told = r"was taken: TCP LISTEN at 127.0.0.1 by no process that can be seen, of user \d+, which"
        with pytest.warns(PortWarning, match=told):
            lease.close()
    finally:
        child.communicate(timeout=30)


@linux_only
@pytest.mark.parametrize("allowed", [True, False])
def test_psutil_tells_where_sock_diag_does_not(monkeypatch: pytest.MonkeyPatch, give: Ports, allowed: bool) -> None:
    import psutil

    def refuse(*arguments: Any) -> Any:
        raise OSError if arguments[0] != "tcp" else psutil.AccessDenied

    monkeypatch.setattr(holders, "on_port", refuse)
    if not allowed:
        monkeypatch.setattr(psutil, "net_connections", refuse)
    lease = give.hold()
    child = running(LISTEN, str(lease.port))
    try:
        assert line(child) == "listening"
        found = [(holder.state, holder.pid) for holder in holders.holders(lease.port) if holder.state == "LISTEN"]
        assert found == ([("LISTEN", child.pid)] if allowed else [])
    finally:
        child.communicate(timeout=30)


# --- processes --------------------------------------------------------------------------------------------------------


def _wait(event: Any, done: Any) -> None:
    event.set()
    done.wait(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_holds_nothing(give: Ports) -> None:
    lease = give.hold()
    context: Any = multiprocessing.get_context("fork")
    started, done = context.Event(), context.Event()
    child = context.Process(target=_wait, args=(started, done))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child.start()
    try:
        assert started.wait(30)
        lease.release()
        opened(lease).close()
    finally:
        done.set()
        child.join(30)


def test_a_killed_process_lets_go(give: Ports) -> None:
    run = running(HOLD, "1")
    port = int(line(run))
    assert not numbers.is_free(port)
    run.kill()
    run.communicate(timeout=30)
    assert numbers.is_free(port)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "protocols", "consecutive", "told"),
    [
        (1, ["sctp"], False, "no protocol 'sctp': there are tcp and udp"),
        (0, [], False, "0 ports cannot be held: 1 to 10000 can"),
        (32, [], True, "32 ports cannot be held: 1 to 31 consecutive ones can"),
    ],
)
def test_what_cannot_be_held(give: Ports, count: int, protocols: list[Any], consecutive: bool, told: str) -> None:
    with pytest.raises(PortError) as refused:
        give.hold_many(count, *protocols, consecutive=consecutive)
    assert str(refused.value) == told


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_too_many_ports_for_the_descriptors() -> None:
    run = running(
        """
        import os, resource
        from pytest_sockreuse.ports import PortError, Ports
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        before = len(os.listdir("/dev/fd"))
        with Ports() as ports:
            for count in (40, 20):
                try:
                    ports.hold_many(count, consecutive=count == 20)
                except PortError as error:
                    print(error)
            ports.hold()
        assert len(os.listdir("/dev/fd")) == before
        """
    )
    out, err = run.communicate(timeout=60)
    assert err == ""
    assert [text.split(":")[0] for text in out.splitlines()] == [
        f"{count} ports need more descriptors than this process may open" for count in (40, 20)
    ]


def test_no_port_is_left(monkeypatch: pytest.MonkeyPatch, give: Ports) -> None:
    def refuse(*arguments: Any) -> Any:
        raise OSError(98, "in use")

    monkeypatch.setattr(give.placeholders, "make", refuse)
    with pytest.raises(PortError, match="1 free ports were not found on this host: widen"):
        give.hold()
