"""The worker process: reads scenarios from standard input, performs each, answers; ends with its input.

One JSON array a line each way, ``[text, seconds, polls, shared]``, and back ``[steps, ports, not_run, error]``;
to ``null`` how it isolates.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from ..parser import parse
from ..scenario import Scenario
from . import NotRun, interrupts
from .errnos import name_of
from .perform import Performance, TimeUp
from .ready import polls
from .sandbox import Sandbox, isolation


class Alarm:
    """Interrupts the body after `seconds`; without alarms calls `late` from a thread, which ends the process.

    Windows has none, and a sandbox may refuse them. `until` is when the one that is set goes off.
    """

    until = math.inf

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        self.seconds, self.late = seconds, late
        self.timer: threading.Timer | None = None

    def __enter__(self) -> None:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                Alarm.until = time.monotonic() + self.seconds
                signal.setitimer(signal.ITIMER_REAL, self.seconds)
                return
        self.timer = threading.Timer(self.seconds, self.late)
        self.timer.daemon = True
        self.timer.start()

    def __exit__(self, *_: object) -> None:
        if self.timer is not None:
            self.timer.cancel()
        elif sys.platform != "win32":
            Alarm.until = math.inf
            signal.setitimer(signal.ITIMER_REAL, 0)


def _up(*_: object) -> None:
    """An alarm went off; one that somebody else sent does nothing."""
    left = Alarm.until - time.monotonic()
    if left <= 0:
        raise TimeUp
    if sys.platform != "win32" and left < math.inf:
        signal.setitimer(signal.ITIMER_REAL, left)


def heed_alarms() -> None:
    """Have an alarm raise TimeUp in this process, where there are alarms."""
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, _up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})  # as our parent may have blocked them


def _perform(
    sandbox: Sandbox, scenario: Scenario, seconds: float, polls: list[str], shared: bool, answer: Callable[[Any], None]
) -> list[Any]:
    try:
        ports = sandbox.enter(scenario, shared)
    except NotRun as why:
        return [[], {}, str(why), None]
    except OSError as error:
        return [[], {}, f"its environment cannot be made here ({name_of(error)})", None]
    performance = Performance(scenario, ports, sandbox.become, polls, sandbox.settler)

    def result(outcomes: Any) -> list[Any]:
        return [outcomes, ports, None, None]

    def late() -> None:
        answer(result(performance.time_up()))
        os._exit(0)

    try:
        with Alarm(seconds + scenario.waits, late):
            outcomes = performance.run()
    except TimeUp:  # the alarm went between the last step and its end
        outcomes = performance.outcomes
    sandbox.leave(outcomes)
    return result(outcomes)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer every request until the input ends."""

    def answer(reply: Any) -> None:
        answers.write(json.dumps(reply).encode() + b"\n")
        answers.flush()

    sandbox: Sandbox | None = None
    for line in requests:
        request = json.loads(line)
        if request is None:
            answer(isolation())
            continue
        try:
            text, seconds, polls, shared = request
            if sandbox is None:
                sandbox = Sandbox()  # before there are threads: they would bar it from a user namespace
                with contextlib.suppress(RuntimeError):  # without it, it ends when its scenario's time is up
                    threading.Thread(target=_end_with, args=(requests,), daemon=True).start()
            reply = _perform(sandbox, parse(text), seconds, polls, shared, answer)
        except Exception:
            reply = [[], {}, None, traceback.format_exc()]
        answer(reply)


def _end_with(requests: BinaryIO) -> None:
    """End this process when nobody can ask any more, whatever call it is in: its parent may have been killed."""
    if sys.platform == "win32" or not polls():  # pipes cannot be polled there
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # which is to interrupt the call
    poll = select.poll()
    poll.register(requests, select.POLLHUP)
    while not any(events & select.POLLHUP for _, events in poll.poll()):
        pass
    os._exit(0)


def main() -> None:
    """Serve on this process's standard streams; an interrupt is the parent's business, which closes our input."""
    interrupts.ignore()
    heed_alarms()
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(BrokenPipeError):
        serve(requests, answers)
