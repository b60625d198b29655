"""Whether somebody serves a port yet: waited for, beside the process that is to do so.

No OS announces that a port is served, so it is asked again and again; that a process has ended is heard at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from typing import Any

from ..text import visible
from .holders import served
from .ready import readable

_OFTEN = 0.005  # seconds between two questions; the pauses grow to the second
_SELDOM = 0.05
_PATIENCE = 0.1  # seconds for what a process has written to arrive
_MOST = 2.0  # seconds for one that goes on writing
_LINES, _WIDTH = 40, 300  # of its output, at the most


def not_served(port: int, protocol: str, seconds: float, process: subprocess.Popen[Any] | None, held: bool) -> str:
    """Wait; then why nobody serves the port: empty when somebody does. `held` says that a placeholder has it too."""
    deadline, pause = time.monotonic() + seconds, _OFTEN
    with _Ending(process) as ending:
        while not _serves(port, protocol):
            left = deadline - time.monotonic()
            if ending.came(max(0.0, min(pause, left))) and not _serves(port, protocol):
                return _told(port, f"the process ended {_how(process)}", process, held)
            if left <= 0:
                running = f", and process {process.pid} runs" if process else ""
                return _told(port, f"{seconds:g} s have passed{running}", process, held)
            pause = min(2 * pause, _SELDOM)
    return ""


def _serves(port: int, protocol: str) -> bool:
    if sys.platform == "linux" or protocol == "udp":  # whose placeholder is connected
        return bool(served(port, protocol))
    for host in ("127.0.0.1", "::1"):  # not every system tells a user of another process's listener
        with contextlib.suppress(OSError), socket.create_connection((host, port), _SELDOM):
            return True
    return False


class _Ending:
    """The end of a process, or of none."""

    def __init__(self, process: subprocess.Popen[Any] | None) -> None:
        self._process, self._file = process, -1

    def __enter__(self) -> _Ending:
        if self._process is not None and self._process.returncode is None and sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._file = os.pidfd_open(self._process.pid)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)

    def came(self, seconds: float) -> bool:
        """Whether it has ended, at once when it does, or after so many seconds."""
        if self._process is None or (self._file < 0 and self._process.poll() is None):
            time.sleep(seconds)
        elif self._file >= 0:
            select.select([self._file], [], [], seconds)
        return self._process is not None and self._process.poll() is not None


def _how(process: subprocess.Popen[Any] | None) -> str:
    code = process.returncode if process is not None else 0
    return f"by signal {-code}" if code < 0 else f"with status {code}"


def _told(port: int, why: str, process: subprocess.Popen[Any] | None, held: bool) -> str:
    told = f"nobody serves port {port}: {why}"
    if process is None:
        return told
    if process.stdout is None and process.stderr is None:
        return f"{told}; start it with stdout=subprocess.PIPE, stderr=subprocess.STDOUT to read here what it says"
    lines = _output(process).splitlines()
    if held and any("ddress already in use" in line or "EADDRINUSE" in line for line in lines):
        told += "; a server that does not set SO_REUSEADDR needs release() before it is started"
    said = [f"    {visible(line, _WIDTH)}" for line in lines[-_LINES:]]
    return "\n".join([f"{told}; it said:", *said] if said else [f"{told}; it said nothing"])


def _output(process: subprocess.Popen[Any]) -> str:
    """What it has written to its pipes and nobody has read."""
    found, end = b"", time.monotonic() + _MOST
    for pipe in filter(None, (process.stdout, process.stderr)):
        with contextlib.suppress(OSError, ValueError):  # closed, or read by somebody else
            if sys.platform == "win32" and process.returncode is None:
                continue  # where a read may wait
            while time.monotonic() < end and (sys.platform == "win32" or readable(pipe, _PATIENCE)):
                if not (data := os.read(pipe.fileno(), 65536)):
                    break
                found += data
    return found.decode(errors="replace")
