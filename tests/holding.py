"""What tests of held ports share: what an application opens at one, and other processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from typing import Any

from pytest_sockreuse.ports import Lease


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
