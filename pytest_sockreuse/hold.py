"""``sockreuse hold``: a command with ports that are held for it; its exit status is the command's."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from .ports import PortError, Ports
from .text import visible

#: What is passed on to the command. The terminal sends the first two to the command as well.
_BY_TERMINAL = ("SIGINT", "SIGQUIT")
_SIGNALS = (*_BY_TERMINAL, "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
_NOT_FOUND, _NOT_EXECUTABLE, _SIGNALLED = 127, 126, 128


class HoldError(Exception):
    """A wrong question; the message is one line."""


def hold(command: Sequence[str], count: int = 1, release: bool = False) -> int:
    """Run `command` with `count` ports, each ``{}`` of its arguments the next of them; the exit status.

    They are held until it has ended, for whoever binds beside a placeholder; with `release` until it starts. Raises
    HoldError.
    """
    places = sum(word.count("{}") for word in command)
    if 0 < places < count:
        raise HoldError(f"the command has {places} of the {count} places {{}} that it needs: one for each port")
    if not places:
        print("sockreuse: the command has no {}, so nothing tells it the port", file=sys.stderr)
    with Ports() as ports:
        try:
            leases = ports.hold_many(count)
        except PortError as error:
            raise HoldError(str(error)) from None
        numbers = itertools.cycle(lease.port for lease in leases)
        words = [_filled(word, numbers) for word in command]
        if release:
            for lease in leases:
                lease.release()
        with _passed_on() as start:
            try:
                process = start(words)
            except FileNotFoundError:
                return _cannot(words[0], "no such command", _NOT_FOUND)
            except OSError as error:
                return _cannot(words[0], error.strerror or "cannot be run", _NOT_EXECUTABLE)
            status = _waited(process)
    return status if status >= 0 else _SIGNALLED - status


def _filled(word: str, numbers: Iterator[int]) -> str:
    first, *rest = word.split("{}")
    return first + "".join(f"{next(numbers)}{part}" for part in rest)


def _cannot(word: str, why: str, status: int) -> int:
    print(f"sockreuse: {visible(word)}: {why}", file=sys.stderr)
    return status


def _waited(process: subprocess.Popen[bytes]) -> int:
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # Windows: the console sent it to the command too
            return process.wait()


@contextlib.contextmanager
def _passed_on() -> Iterator[Callable[[list[str]], subprocess.Popen[bytes]]]:
    """What starts a command; signals are passed on to it, if the terminal has not sent them to it already."""
    running: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # what came before the command was known

    def pass_on(number: int, frame: FrameType | None) -> None:
        if signal.Signals(number).name in _BY_TERMINAL and _in_foreground():
            return
        early.extend([number] * (not running))
        for process in running:
            with contextlib.suppress(OSError):
                process.send_signal(number)

    def start(words: list[str]) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(words))
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
