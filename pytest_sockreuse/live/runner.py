"""The parent's side of the worker process: scenarios in, observations out; a dead worker costs one scenario."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import TracebackType

from ..platforms import current
from ..scenario import Observation, Scenario, StepOutcome
from .interrupts import held_back
from .ready import ready

TIMEOUT = 10.0  # seconds a scenario may take beside its waits
_GRACE = 5.0  # seconds beyond that until a worker that does not answer is killed
_START = 60.0  # seconds until a worker's first answer: under emulation Python alone takes many

# Nothing of the project under test is imported by the worker; psutil is, but not on Linux (see settle).
_FLAGS = ["-I", "-S"] if sys.platform == "linux" else ["-I"]
_MAIN = "import sys; sys.path.append(sys.argv[1]); from pytest_sockreuse.live.worker import main; main()"
_REMEDIES = {
    errno.EMFILE: "see ulimit -n",
    errno.ENFILE: "too many files are open on this machine",
    errno.EAGAIN: "see ulimit -u",
    errno.EPERM: "a sandbox forbids it: see its seccomp profile",
    errno.ENOMEM: "see ulimit -v, or the limit of the container",
}


_CAUSES = {
    "SIGKILL": " (by hand, or for want of memory: see dmesg)",
    "SIGSYS": " (a seccomp profile forbids a call of its)",
    "SIGXCPU": " (see ulimit -t)",
}


#: Most steps of most scenarios do the same.
_outcome = lru_cache(4096)(StepOutcome)


class Broken(Exception):
    """A scenario could not be performed though it should have been; the message is for a developer."""


class Runner:
    """Performs scenarios in a worker process, in order. A context manager; `close` ends the worker.

    Args:
        timeout: seconds that each scenario may take beside its waits.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._worker: subprocess.Popen[bytes] | None = None
        self._owner = 0  # the process that started it
        self._refused = ""  # why there is none, where it could not be started
        self._asked: deque[tuple[list[object], float]] = deque()  # requests, and the seconds that each may take
        self._unsent = self._unread = b""

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, scenario: Scenario) -> Observation:
        """Perform one scenario. Raises Broken."""
        self.ask(scenario)
        return self.answer()

    def ask(
        self,
        scenario: Scenario,
        seconds: float | None = None,
        polls: Iterable[str] = (),
        shared: bool = False,
        more: bool = False,
    ) -> None:
        """Hand a scenario to the worker, which begins at once; its answer is the next that was not yet fetched.

        `seconds` is its time instead of `timeout`. At the steps that `polls` names there is no waiting (see
        `Performance`). With `shared` it may be performed in a namespace that others have used (see `sharing`).
        With `more` it is handed over with the next one.
        """
        seconds = self.timeout if seconds is None else seconds
        request: list[object] = [scenario.bare, seconds, [*polls], shared]
        self._after_fork()
        self._asked.append((request, seconds + scenario.waits))
        if self._worker is None:
            self._start()
        else:
            self._send(request, more)

    def answer(self) -> Observation:
        """The observation of the oldest scenario asked. Raises Broken; the ones after it are not lost."""
        self._after_fork()
        started = self._worker is not None or self._start()
        _, seconds = self._asked.popleft()
        if not started:
            raise Broken(self._refused)
        line = self._line(seconds + _GRACE)
        if line is None:
            how = self._end(patience=0.5)  # its pipe may close a little before it has ended
            if self._asked:
                self._start()
            raise Broken(f"the worker process {how} in the middle of the scenario")
        steps, ports, not_run, error = json.loads(line)
        if error:
            raise Broken(f"the runner failed:\n{error}")
        return Observation(current().name, tuple(_outcome(*step) for step in steps), ports, not_run)

    def begin(self) -> None:
        """Start the worker, which takes a while, before anything is asked; where it cannot be, an answer says so."""
        self._after_fork()
        if self._worker is None:
            self._start()

    def isolation(self) -> str:
        """How the worker isolates scenarios (see `sandbox.isolation`); to be asked before scenarios. Raises Broken."""
        self._after_fork()
        if self._worker is None and not self._start():
            raise Broken(self._refused)
        self._send(None)
        line = self._line(_START)
        if line is None:
            how = self._end(patience=0.5)
            raise Broken(f"the worker process {how} before its first scenario: run it again")
        return str(json.loads(line))

    def close(self) -> None:
        """End the worker; its namespace and sockets go with it."""
        self._asked.clear()
        self._after_fork()
        if self._worker is not None:
            self._end()

    # --- the process ----------------------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        """The worker of a forked child's parent is not the child's: what was asked is asked again of one of its own."""
        if self._worker is None or self._owner == os.getpid():
            return
        worker, self._worker = self._worker, None
        assert worker.stdin is not None and worker.stdout is not None
        worker.returncode = 0  # nobody's to wait for here
        worker.stdin.close()
        worker.stdout.close()
        if self._asked:
            self._start()

    def _start(self) -> bool:
        """Start a worker and send it what was asked; false where it cannot be started, which may pass."""
        package = str(Path(__file__).parents[2])
        try:
            command = [sys.executable or "", *_FLAGS, "-c", _MAIN, package]
            with held_back():
                self._worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, f"sys.executable, {sys.executable!r}, is to be a Python")
            self._refused = f"the worker process cannot be started ({error.strerror}): {remedy}"
            return False
        self._unsent, self._unread, self._owner = b"", b"", os.getpid()
        assert self._worker.stdin is not None
        if sys.platform != "win32":
            os.set_blocking(self._worker.stdin.fileno(), False)
        for waiting, _ in self._asked:
            self._send(waiting)
        return True

    def _send(self, request: list[object] | None, more: bool = False) -> None:
        self._unsent += json.dumps(request).encode() + b"\n"
        if sys.platform != "win32" and not more:  # where pipes cannot be polled nothing is sent ahead
            self._pump(0)

    def _line(self, seconds: float) -> bytes | None:
        """The next line of the worker, or None if it ends or does not answer in time."""
        until = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = until - time.monotonic()
            if left < 0 or not self._pump(left):
                return None
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _pump(self, seconds: float) -> bool:
        """Move bytes both ways, as the pipes take them, waiting at most `seconds`; false when the worker has ended."""
        assert self._worker is not None and self._worker.stdin is not None and self._worker.stdout is not None
        requests, answers = self._worker.stdin, self._worker.stdout
        now = [answers, requests]
        if sys.platform != "win32":  # there the worker's own watchdog sees to it that it answers
            now = ready([answers], [requests] if self._unsent else [], seconds)
        try:
            if self._unsent and requests in now:
                self._unsent = self._unsent[requests.write(self._unsent) or 0 :]
        except OSError:  # it has ended, as reading will show
            self._unsent = b""
        if answers in now:
            chunk = answers.read(1 << 20)
            self._unread += chunk
            return bool(chunk)
        return True

    def _end(self, patience: float = 0) -> str:
        """Kill the worker if it still runs after `patience` seconds; say how it ended."""
        worker, self._worker = self._worker, None
        assert worker is not None and worker.stdin is not None and worker.stdout is not None
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            worker.wait(patience)
        status = worker.poll()
        with contextlib.suppress(OSError):
            worker.stdin.close()
        if status is None:
            with contextlib.suppress(OSError):  # a sandbox may refuse to; it ends with its input
                worker.kill()
        with contextlib.suppress(OSError):  # a sandbox may refuse to wait
            worker.wait()
        worker.stdout.close()
        return how_it_ended(status)


def how_it_ended(status: int | None) -> str:
    """How a process of ours ended, of which None is left: that it was killed since it did not answer."""
    if status is None:
        return "did not answer and was killed"
    if sys.platform == "win32" or status >= 0:
        return f"ended with status {status}"
    name = next((known.name for known in signal.Signals if known == -status), f"signal {-status}")
    return f"was ended by {name}{_CAUSES.get(name, '')}"
