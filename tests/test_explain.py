"""``--sockreuse-explain``: what is told of a failed call, in a project and by the model, and that it helps."""

from __future__ import annotations

import importlib.util
import itertools
import socket
from collections.abc import Callable, Sequence

import pytest
from here import linux_only
from hypothesis import given, settings
from hypothesis import strategies as st
from telling import told

from pytest_sockreuse import diagnosis, platforms
from pytest_sockreuse.diagnosis import Asked, changes, diagnose, story
from pytest_sockreuse.hooks import explain, fixtures
from pytest_sockreuse.live.holders import FLAGS, Holder
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import families
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current, named

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=100)
Run = Callable[..., pytest.RunResult]
_IMPORTED = explain, fixtures  # before a run in this process imports them, and drops them again


@pytest.fixture
def run(project: pytest.Pytester) -> Run:
    def run(code: str, *arguments: str) -> pytest.RunResult:
        project.makepyfile(test_it=code)
        if {"-n1", "-q"} & {*arguments}:
            return project.runpytest_subprocess("--tb=short", *arguments, timeout=60)
        return project.runpytest_inprocess("--tb=short", *arguments or ["--sockreuse-explain"])

    return run


# --- in a project -----------------------------------------------------------------------------------------------------

PROJECT = """
import asyncio, http.server, socket, subprocess, sys
import pytest

def test_listener():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(server.getsockname()):
        pass

def test_time_wait(time_wait):
    with socket.create_server(time_wait(old_reuse=False).local):
        pass

def test_asyncio():
    async def main():
        server = await asyncio.start_server(print, "127.0.0.1", 0)
        async with server:
            await asyncio.start_server(print, "127.0.0.1", server.sockets[0].getsockname()[1])
    asyncio.run(main())

def test_other_process():
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    other = subprocess.Popen(
        [sys.executable, "-c", code + "; sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        http.server.HTTPServer(("127.0.0.1", int(other.stdout.readline())), None)
    finally:
        other.communicate()

def test_not_local(tcp):
    tcp().bind(("10.254.1.1", 0))

def test_held(held_port, tcp):
    tcp().bind(held_port.address)

def test_tuple(listener, tcp):
    first, second = tcp("SO_REUSEADDR"), tcp("SO_REUSEADDR")
    first.bind(("127.0.0.1", 0))
    second.bind(first.getsockname())
    first.connect(listener.getsockname())
    try:
        second.connect(listener.getsockname())
    except OSError as error:
        raise RuntimeError("in a chain") from error

def test_listen(tcp):
    first, second = tcp("SO_REUSEADDR"), tcp("SO_REUSEADDR")
    first.bind(("127.0.0.1", 0))
    second.bind(first.getsockname())
    first.listen()
    with pytest.raises(ExceptionGroup) as group:
        try:
            second.listen()
        except OSError as error:
            raise ExceptionGroup("several", [ValueError(), error])
    raise group.value

def test_connect_ex(listener, tcp):
    first, second = tcp("SO_REUSEADDR"), tcp("SO_REUSEADDR")
    first.bind(("127.0.0.1", 0))
    second.bind(first.getsockname())
    first.connect(listener.getsockname())
    number = second.connect_ex(listener.getsockname())
    raise OSError(number, "by number")

def test_not_ours():
    raise OSError(98, "from elsewhere")

def test_another_error():
    raise OSError(13, "no")

def test_that_passes():
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(OSError):
        socket.create_server(server.getsockname())
"""


@linux_only
@pytest.mark.parametrize("spread", [False, True])
def test_what_is_told(run: Run, spread: bool) -> None:
    if spread and not importlib.util.find_spec("xdist"):
        pytest.skip("needs pytest-xdist")
    result = run(PROJECT, "--sockreuse-explain", *["-n1"] * spread)
    result.assert_outcomes(failed=11, passed=1)
    sections = told(result.outlines)
    listener, left, loop, other, absent, held, busy, listen, number, elsewhere = sections
    excluded = ["SO_REUSEADDR does not share with a socket that listens. (listener-excludes)"]
    for section, line in ((listener, 5), (loop, 16)):
        assert section["call"][0].startswith("bind to 127.0.0.1:")
        assert section["call"][0].endswith(f", TCP, SO_REUSEADDR (test_it.py:{line})")
        assert "this process" in section["held by"][0]
        assert section["clause"] == excluded
        assert section["fix"][0].startswith("set SO_REUSEPORT on both")
        assert section["fix"][-1].endswith("(to connect out; it cannot listen)")
    assert left["held by"][0].startswith("TIME_WAIT at 127.0.0.1:")
    assert left["clause"][0].endswith("(time-wait-keeps-port)")
    assert left["fix"][0] == "set SO_REUSEADDR on both sockets before they bind"
    assert other["held by"][0].startswith("LISTEN at 127.0.0.1:")
    assert "python" in other["held by"][0]
    assert other["clause"] == excluded  # the options of our own child can be read
    assert other["call"][0].endswith("(test_it.py:25)")
    assert absent["why"] == ["sockreuse: why EADDRNOTAVAIL"]
    assert absent["fix"] == ["no interface here has 10.254.1.1: bind an address of this machine, or 127.0.0.1"]
    assert held["held by"][0].startswith("a held port's placeholder at 127.0.0.1:")
    assert held["fix"][0] == "set SO_REUSEADDR on this socket before it binds"
    assert "release() of its lease" in held["fix"][1]
    assert busy["call"][0].startswith("connect to 127.0.0.1:")
    assert busy["clause"][0].endswith("(tuple-busy)")
    assert busy["fix"][0].startswith("do not bind before connect")
    assert listen["call"][0].startswith("listen at 127.0.0.1:")
    assert listen["clause"] == excluded
    assert number["clause"] == busy["clause"]
    text = str(result.stdout)
    assert "by number: not raised by a call of Python's socket; the last one of this test that failed so:" in text
    assert "from elsewhere: not raised by a call of Python's socket; an extension or another process made it" in text
    assert elsewhere.keys() == {"why", "[Errno 98"}


@linux_only
def test_ports_that_ran_out(run: Run, namespaces: str) -> None:
    result = run(
        """
        import socket

        def test_bind(port_range, tcp):
            port_range(40000, 40001)
            for _ in range(3):
                tcp().bind(("127.0.0.1", 0))

        def test_connect(port_range, tcp):
            port_range(40000, 40001)
            tcp().bind(("127.0.0.1", 0))
            tcp().bind(("127.0.0.1", 0))
            server = tcp()
            server.bind(("127.0.0.1", 8080))
            server.listen()
            tcp().connect(("127.0.0.1", 8080))
        """
    )
    result.assert_outcomes(failed=2)
    for section in told(result.outlines):
        assert section["range"] == ["40000-40001, 2 ports that the OS chooses from"]
        assert section["taken"][0].startswith("2 of 2 (100 %): BOUND ")
        assert section["clause"][0].endswith("(ports-exhausted)")
        assert section["fix"] == [
            "give the OS a wider range to choose from",
            "close sockets that are not needed: have fewer open at once",
        ]


def test_a_thread_without_further_frames(run: Run) -> None:
    result = run(
        """
        import _thread, socket
        from functools import partial

        def test_it(listener):
            sock, ended = socket.socket(), _thread.allocate_lock()
            failures = []
            ended.acquire()
            def bind():
                try:
                    sock.bind(listener.getsockname())
                except OSError as error:
                    failures.append(error)
                ended.release()
            _thread.start_new_thread(bind, ())
            with ended, sock:
                raise failures[0]
        """
    )
    (section,) = told(result.outlines)
    assert section["why"] == ["sockreuse: why EADDRINUSE"]
    assert section["call"][0].endswith("(test_it.py:10)")


def test_only_so_many_failures_are_looked_into(run: Run) -> None:
    """Of one too many it is told what was found of a call like it."""
    result = run(
        """
        import socket

        def tried(address):
            with socket.socket() as sock:
                try:
                    sock.bind(address)
                except OSError as error:
                    return error

        def test_one_address(listener):
            raise [tried(listener.getsockname()) for _ in range(51)][-1]

        def test_another_address():
            with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
                last = [tried(first.getsockname()) for _ in range(50)]
                raise tried(second.getsockname())
        """
    )
    same, other = told(result.outlines)
    assert same["held by"][0].startswith("LISTEN at 127.0.0.1:")
    assert other["held by"] == ["not looked into: more than 50 calls of this test failed so"]


def test_a_call_that_no_socket_here_has_is_not_missed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "_SENDS", ("sendnothing",))
    monkeypatch.setattr(explain, "_VERBS", ("bind", "sendnothing"))
    assert "cannot be watched" not in str(run("def test_it(): pass").stdout)


def test_nothing_is_wrapped_unless_it_is_asked_for(run: Run) -> None:
    code = """
        import socket, sys

        def test_it():
            assert ("bind" in socket.socket.__dict__) == explained
            assert explained or "pytest_sockreuse.hooks.explain" not in sys.modules

        explained = {}
    """
    run(code.format(False), "-q").assert_outcomes(passed=1)
    run(code.format(True)).assert_outcomes(passed=1)
    assert not {"bind", "listen", "connect", "connect_ex"} & socket.socket.__dict__.keys()


# --- by the model -----------------------------------------------------------------------------------------------------

RA, RP = ("SO_REUSEADDR",), ("SO_REUSEPORT",)


def holder(
    state: str, options: tuple[str, ...] | None = None, host: str = "127.0.0.1", protocol: str = "tcp"
) -> Holder:
    foreign = ("127.0.0.1", 9) if state not in ("LISTEN", "BOUND") else None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Holder(protocol, family, (host, 8080), foreign, state, options=options)


def asked(verb: str = "bind", options: tuple[str, ...] = (), host: str = "127.0.0.1", protocol: str = "tcp") -> Asked:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if verb == "connect":
        return Asked(verb, "EADDRNOTAVAIL", protocol, family, options, (host, 8080), ("127.0.0.1", 9))
    return Asked(verb, "EADDRINUSE", protocol, family, options, (host, 8080))


def test_a_change_must_help_whatever_the_other_process_has_set() -> None:
    linux = named("linux-6.18")
    for options in (None, (), RA):
        found = diagnose(asked(options=RA), [holder("TIME_WAIT", options)], linux)
        assert bool(found.clauses) == (options != RA)  # with the option on both sides there is no conflict to explain
        assert found.changes == ("set SO_REUSEADDR on both sockets before they bind",) * (options != RA)


def test_no_option_is_recommended_where_it_takes_the_port_away() -> None:
    found = diagnose(asked(), [holder("LISTEN")], named("windows-11"))
    assert found.clauses
    assert not found.changes


def test_what_nobody_accounts_for() -> None:
    assert diagnose(asked(), [], named("linux-6.18")) == diagnosis.Diagnosis()


STATES = ("LISTEN", "BOUND", "ESTABLISHED", "TIME_WAIT", "FIN_WAIT2", "CLOSE_WAIT")
HOSTS = ("127.0.0.1", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "192.168.7.7")
OPTIONS = st.sets(st.sampled_from(FLAGS)).map(lambda names: tuple(sorted(names)))
HOLDERS = st.builds(holder, st.sampled_from(STATES), st.none() | OPTIONS, st.sampled_from(HOSTS))
ASKED = st.builds(asked, st.sampled_from(["bind", "listen", "connect"]), OPTIONS, st.sampled_from(HOSTS))
MODELLED = [platform for platform in platforms.known() if platform.stack in families()]


@settings(PROPERTY)
@given(ASKED, st.lists(HOLDERS, max_size=4), st.sampled_from(MODELLED))
def test_any_failure_can_be_asked_about(call: Asked, others: Sequence[Holder], platform: platforms.Platform) -> None:
    found = diagnose(call, others, platform)
    assert bool(found.clauses) >= bool(found.changes)


@linux_only
def test_what_is_recommended_helps_on_this_kernel(runner: Runner, namespaces: str) -> None:
    """The failure, and each change of it, performed."""
    options = ((), RA, RP, RA + RP)
    done = 0
    for verb, state, mine, theirs in itertools.product(("bind", "listen", "connect"), STATES[:5], options, options):
        call, others = asked(verb, mine), [holder(state, theirs)]
        found = diagnose(call, others, current())
        if not found.clauses:
            continue
        order = "first" if verb == "listen" else ""
        assert outcome(runner, story.lines(call, others, order), verb) == call.errno
        for change in changes.CHANGES:
            if any(text.startswith(change.sentence) for text in found.changes):
                order = "first" if change.first else ""
                lines = story.lines(*change.made(call, others), order)
                assert outcome(runner, lines, verb) == "ok", (call, others, change)
                done += 1
    assert done > 50


def outcome(runner: Runner, lines: Sequence[str] | object, verb: str) -> str:
    text = "\n".join(lines)  # type: ignore[arg-type]
    seen = runner.run(parse(text))
    return next(step.outcome for step in seen.steps if step.step == f"new.{verb}")
