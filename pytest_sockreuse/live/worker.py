"""The worker process: reads scenarios from standard input, performs each, answers on standard output; ends with its input.

One JSON array a line each way: ``[text, seconds]``, and back ``[steps, ports, not_run, error]``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..parser import parse
from ..scenario import Scenario
from .perform import Performance, TimeUp
from .sandbox import NotRun, Sandbox


@contextlib.contextmanager
def _alarm(seconds: float, late: Any) -> Iterator[None]:
    """Interrupt the body after `seconds`; where the OS has no alarm, call `late` from a thread, which ends the process."""
    if not hasattr(signal, "setitimer"):
        timer = threading.Timer(seconds, late)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _up(*_: object) -> None:
    raise TimeUp


def _perform(sandbox: Sandbox, scenario: Scenario, seconds: float, answer: Any) -> list[Any]:
    try:
        ports = sandbox.enter(scenario)
    except NotRun as why:
        return [[], {}, str(why), None]
    performance = Performance(scenario, ports, sandbox.become)

    def result(outcomes: Any) -> list[Any]:
        return [[(o.step, o.outcome, o.value) for o in outcomes], ports, None, None]

    def late() -> None:
        answer(result(performance.time_up()))
        os._exit(0)

    try:
        with _alarm(seconds + scenario.waits, late):
            outcomes = performance.run()
    except TimeUp:  # the alarm went between the last step and its end
        outcomes = performance.outcomes
    return result(outcomes)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer every request until the input ends."""

    def answer(reply: list[Any]) -> None:
        answers.write(json.dumps(reply).encode() + b"\n")
        answers.flush()

    sandbox: Sandbox | None = None
    for line in requests:
        try:
            text, seconds = json.loads(line)
            sandbox = sandbox or Sandbox()
            reply = _perform(sandbox, parse(text), seconds, answer)
        except Exception:
            reply = [[], {}, None, traceback.format_exc()]
        answer(reply)


def main() -> None:
    """Serve on this process's standard streams; an interrupt is the parent's business, which closes our input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _up)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(BrokenPipeError):
        serve(requests, answers)


if __name__ == "__main__":
    sys.exit(main())
