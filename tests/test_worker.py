"""The process that performs: one that ends, hangs or may do less than others costs what it must, and is told of."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from here import linux_only
from performing import in_namespaces, parsed, shown

from pytest_sockreuse.live.perform import TimeUp
from pytest_sockreuse.live.runner import Broken, Runner
from pytest_sockreuse.live.sandbox import isolation as possible
from pytest_sockreuse.live.worker import Alarm, heed_alarms, serve
from pytest_sockreuse.scenario import Scenario

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


@linux_only
@in_namespaces
def test_a_killed_worker_costs_one_scenario() -> None:
    with Runner() as runner:
        runner.ask(parsed("A = tcp4()\nwait 60"))
        runner.ask(parsed("B = tcp4()\nB.name()"))
        runner.ask(parsed("C = tcp4()\nC.name()"))
        assert runner._worker is not None
        os.kill(runner._worker.pid, KILL)
        with pytest.raises(Broken, match=r"was ended by SIGKILL \(by hand, .* in the middle of the scenario$"):
            runner.answer()
        assert shown(runner.answer()) == {"B.name": "0.0.0.0:0"}
        assert shown(runner.answer()) == {"C.name": "0.0.0.0:0"}
        os.kill(runner._worker.pid, KILL)  # while it has nothing to do
        with contextlib.suppress(Broken):
            runner.run(parsed("D = tcp4()"))
        assert shown(runner.run(parsed("D = tcp4()\nD.name()"))) == {"D.name": "0.0.0.0:0"}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_a_worker_killed_at_its_start_is_told_of_as_that() -> None:
    with Runner() as runner:
        assert runner._start()
        assert runner._worker is not None
        os.kill(runner._worker.pid, KILL)
        with pytest.raises(
            Broken,
            match=r"the worker process was ended by SIGKILL \(by hand, .* before its first scenario: run it again$",
        ):
            runner.isolation()


def test_what_goes_wrong_in_the_worker_is_told_and_the_next_runs(runner: Runner) -> None:
    good = parsed("A = tcp4()")
    runner.ask(Scenario(("no scenario",), (), ()))
    runner.ask(good)
    with pytest.raises(Broken, match="ScenarioError"):
        runner.answer()
    assert shown(runner.answer()) == {}


def test_closing_twice_and_using_it_again() -> None:
    runner = Runner()
    runner.close()
    assert shown(runner.run(parsed("A = tcp4()"))) == {}
    runner.close()
    runner.close()
    runner.ask(parsed("A = tcp4()\nwait 60"))
    runner.close()  # in the middle


PARENT = """
import sys, time
sys.path[:0] = sys.argv[1:]
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.parser import parse
runner = Runner(100)
runner.run(parse("A = tcp4()"))
runner.ask(parse({text!r}))
print(runner._worker.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def parent() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process that has a runner, and has asked it a scenario."""
    started = []

    def start(text: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PARENT.format(text=text), *sys.path]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


BUSY = ["wait 600\nA = tcp4()", "A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()\nB = A.accept()"]


@pytest.mark.skipif(sys.platform == "win32", reason="its worker ends when its scenario's time is up")
@pytest.mark.parametrize("text", ["A = tcp4()", *BUSY], ids=["idle", "waiting", "in a call"])
def test_a_worker_ends_with_its_parent(parent: Callable[[str], subprocess.Popen[bytes]], text: str) -> None:
    process = parent(text)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    os.kill(worker, 0)
    process.kill()
    _, errors = process.communicate(timeout=20)  # at the end of its standard error the worker, who shares it, has ended
    assert b"Traceback" not in errors


def test_an_alarm_of_somebody_else_costs_nothing() -> None:
    if sys.platform == "win32":
        pytest.skip("there are no alarms")
    scenario = parsed("A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()\nB = A.accept()?\nA.name()")
    with Runner() as runner:
        expected = {"B.accept": "timeout", "A.name": "127.0.0.1:P"}
        assert shown(runner.run(scenario)) == expected
        assert runner._worker is not None
        for _ in range(3):
            runner.ask(scenario)
            os.kill(runner._worker.pid, signal.SIGALRM)
            assert shown(runner.answer()) == expected


def test_a_time_is_up_when_it_is_whatever_alarm_came_before() -> None:
    if sys.platform == "win32":
        pytest.skip("there are no alarms")
    before = signal.getsignal(signal.SIGALRM)

    def wait() -> None:
        with Alarm(0.05, sys.exit):
            os.kill(os.getpid(), signal.SIGALRM)
            threading.Event().wait(60)

    heed_alarms()
    try:
        os.kill(os.getpid(), signal.SIGALRM)
        with pytest.raises(TimeUp):
            wait()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_answer_that_came_too_late_is_not_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with Runner() as worker:
        monkeypatch.setattr("pytest_sockreuse.live.runner._START", 0.0)
        with pytest.raises(Broken, match="was killed before its first scenario"):
            worker.isolation()
        assert worker.run(parsed("A = tcp4()")).steps[0].outcome == "ok"


def test_a_forked_child_asks_a_worker_of_its_own() -> None:
    """Its parent gets its own answers, and the child those of what was asked before the fork too."""
    if sys.platform == "win32":
        pytest.skip("there is no fork")
    texts = [f"A = {kind}()\nA.bind(127.0.0.1:P)\nB = {kind}()\nB.{verb}(127.0.0.1:P)" for kind in ("tcp4", "udp4")
             for verb in ("bind", "connect")]  # fmt: skip
    with Runner() as runner:
        expected = [runner.run(parsed(text)).steps for text in texts]
        for text in texts[:2]:
            runner.ask(parsed(text))
        if not (pid := os.fork()):
            status = 1
            try:
                for text in texts[2:]:
                    runner.ask(parsed(text))
                status = int([runner.answer().steps for _ in texts] != expected)
                runner.close()
            finally:
                os._exit(status)
        for text in texts[2:]:
            runner.ask(parsed(text))
        assert [runner.answer().steps for _ in texts] == expected
        assert os.waitpid(pid, 0)[1] == 0


# --- processes that may do less ---------------------------------------------------------------------------------------


@pytest.fixture
def ignored() -> Iterator[None]:
    """The ends of children are ignored, as by some supervisors, and reported to nobody."""
    if sys.platform == "win32":
        pytest.skip("there is no SIGCHLD")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("ignored")
def test_nobody_need_be_told_that_children_ended(isolation: str) -> None:
    assert possible() == isolation
    with Runner() as runner:
        assert runner.isolation() == isolation
        assert runner.run(parsed("A = tcp4()")).steps[0].outcome == "ok"


@linux_only
def test_a_descriptor_need_not_be_closed_at_once(isolation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "close", lambda _: None)  # as gevent's, which waits for its loop
    assert possible() == isolation


@pytest.mark.parametrize("python", [None, "", "/nonexistent", os.devnull, os.path.abspath(os.curdir)])
def test_a_worker_that_cannot_be_started_is_one_line_and_the_next_may_be(
    python: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Runner() as runner:
        with monkeypatch.context() as here:
            here.setattr(sys, "executable", python)
            with pytest.raises(Broken, match=r"^the worker process cannot be started \(.*, is to be a Python$"):
                runner.isolation()
            for name in "AB":
                runner.ask(parsed(f"{name} = tcp4()\n{name}.name()"))
            with pytest.raises(Broken, match=r"^the worker process cannot be started"):
                runner.answer()
        assert shown(runner.answer()) == {"B.name": "0.0.0.0:0"}


@linux_only
def test_a_process_that_may_open_no_more_files_is_told_so() -> None:
    if sys.platform == "win32":
        pytest.skip("there are no such limits")
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with (
            Runner() as runner,
            pytest.raises(Broken, match=r"cannot be started \(Too many open files\): see ulimit -n"),
        ):
            runner.run(parsed("A = tcp4()"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no alarms")
def test_where_alarms_are_refused_a_thread_keeps_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "setitimer", refuse)
    late = threading.Event()
    with Alarm(0.001, late.set):
        assert late.wait(30)


def test_where_no_thread_can_be_started_a_worker_performs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr("pytest_sockreuse.live.sandbox.isolation", lambda: "none")
    answers = io.BytesIO()
    serve(io.BytesIO(json.dumps(["A = tcp4()\nA.bind(127.0.0.1:0)", 10, [], False]).encode()), answers)
    assert json.loads(answers.getvalue())[2:] == [None, None]
