"""A program under strace: the listening sockets that it makes, told by its log as they come."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_sockreuse.options import options
from pytest_sockreuse.recorder.strace import Log, Syscall

TRACED = "socket,setsockopt,bind,listen,accept,accept4,recvfrom,recvmsg,recvmmsg"
PATIENCE = 60.0  # seconds until a program has done what is waited for; under load an interpreter takes its time

_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_HOST = re.compile(r'(?:inet_addr\(|AF_INET6, )"([0-9a-f.:]+)"')


@dataclass
class Socket:
    """A socket as the program made it: kind, options, the address it bound, its backlog; the errors it met by call."""

    kind: str
    options: list[str] = field(default_factory=list)
    host: str = ""
    port: int = -1
    backlog: int | None = None
    error: str = ""


class Watched:
    """A program that runs until the end of a `with` block; `sockets` are those that ask for `port`."""

    def __init__(self, command: Sequence[str], port: int, work: Path) -> None:
        reader, writer = os.pipe()
        self.port, self._reader, self._rest, self._log, self._lines = port, reader, b"", Log(), 0
        self._all: list[Socket] = []
        self._by_fd: dict[int, Socket] = {}
        self.got = 0  # connections accepted, and messages received
        self._output = open(work / "output", "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            ["strace", "-f", "-qq", f"--trace={TRACED}", "--signal=none", "-o", f"/dev/fd/{writer}", *command],
            pass_fds=[writer], process_group=0, cwd=work,
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
        )  # fmt: skip
        os.close(writer)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self._reader)
        self._output.close()

    def kill(self) -> None:
        """End strace and all that it traces, which are a process group; what they did until then is still read."""
        if sys.platform != "win32" and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.wait(lambda: False)

    @property
    def sockets(self) -> list[Socket]:
        return [sock for sock in self._all if sock.port == self.port]

    @property
    def failed(self) -> Socket | None:
        return next((sock for sock in self.sockets if sock.error), None)

    def wait(self, until: Callable[[], bool]) -> bool:
        """Follow the log until something is so; False if the program has ended before."""
        end = time.monotonic() + PATIENCE
        while not until():
            left = end - time.monotonic()
            if left < 0 or not select.select([self._reader], [], [], left)[0]:
                raise TimeoutError(f"{PATIENCE} s are over; sockets: {self.sockets}")
            if not self._read():
                return False
        return True

    def catch_up(self) -> None:
        """Read what the log has by now."""
        while select.select([self._reader], [], [], 0)[0] and self._read():
            pass

    def _read(self) -> bool:
        """Read on; False at the end of the log."""
        data = os.read(self._reader, 65536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._lines += 1
            event = self._log.event(line.decode("ascii", "replace") + "\n", self._lines)
            if isinstance(event, Syscall) and event.result is not None:
                self._note(event, event.result)
        return bool(data)

    def _note(self, call: Syscall, result: int) -> None:
        if call.name == "socket":
            if call.args[0] in ("AF_INET", "AF_INET6") and result >= 0:
                self._by_fd[result] = Socket(_kind(call.args))
                self._all.append(self._by_fd[result])
            return
        fd = call.args[0]
        sock = self._by_fd.get(int(fd)) if fd.isdigit() else None
        if sock is None:
            return
        if call.name == "setsockopt" and result == 0 and sock.port < 0:
            name = call.args[2]
            if name in options() and options()[name].ports:
                value = call.args[3].strip("[]")
                sock.options.append(name if value == "1" and name != "IPV6_V6ONLY" else f"{name}={value}")
        elif call.name == "bind":
            port, host = _PORT.search(call.args[1]), _HOST.search(call.args[1])
            if port and host:
                sock.port, sock.host = int(port[1]), host[1]
            if result < 0:
                sock.error = f"bind {call.errno}"
        elif call.name == "listen":
            if result < 0:
                sock.error = f"listen {call.errno}"
            elif sock.backlog is None:
                sock.backlog = int(call.args[1])
        elif sock.port == self.port and call.name.startswith("accept") and result >= 0:
            self.got += 1
            self._by_fd[result] = Socket(sock.kind, port=sock.port)
        elif sock.port == self.port and call.name.startswith("recv") and result > 0:
            self.got += 1


def _kind(args: Sequence[str]) -> str:
    stream = "SOCK_STREAM" in args[1]
    base = "mptcp" if "MPTCP" in args[2] else "tcp" if stream else "udp"
    return f"{base}{6 if args[0] == 'AF_INET6' else 4}"
