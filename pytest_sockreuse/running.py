"""A command that is run for whoever asks: it gets the signals that we get, and does not outlive us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any

if sys.platform == "linux":
    from .live.namespace import end_with_parent

    _BEFORE: Callable[[], None] | None = partial(end_with_parent, signal.SIGTERM)
else:
    _BEFORE = None

#: What is passed on to the command. The terminal sends the first two to the command as well.
_BY_TERMINAL = ("SIGINT", "SIGQUIT")
_SIGNALS = (*_BY_TERMINAL, "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")


@contextlib.contextmanager
def passed_on() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """What starts a command, with the keywords of Popen.

    Signals are passed on to it, if the terminal has not sent them to it already. On Linux it gets SIGTERM where we are
    killed.
    """
    running: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # what came before the command was known

    def pass_on(number: int, frame: FrameType | None) -> None:
        if signal.Signals(number).name in _BY_TERMINAL and _in_foreground():
            return
        early.extend([number] * (not running))
        for process in running:
            with contextlib.suppress(OSError):
                process.send_signal(number)

    def start(words: Sequence[str], **keywords: Any) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(words, preexec_fn=_BEFORE, **keywords))
        for number in early:
            running[0].send_signal(number)
        return running[0]

    before = {}
    for name in _SIGNALS:
        if (number := getattr(signal, name, None)) is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, pass_on)
    try:
        yield start
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to this process, and so to the command."""
    if sys.platform == "win32":
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def waited(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a command that has ended."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # Windows: the console sent it to the command too
            return process.wait()
