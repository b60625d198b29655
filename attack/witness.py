"""What a command binds on this host, and whether it reaches into another process: the kernel asks beforehand.

That is seccomp's user notification. Nothing is seen where calls have other numbers than on x86-64, or where somebody
else is asked already.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import re
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

if sys.platform == "win32":
    raise SystemExit("attacks are made on POSIX")

import confined

_SENDTO, _BIND, _LISTEN, _OPEN_PROCESS, _GET_DESCRIPTOR = 44, 49, 50, 434, 438
_TRACE, _READ, _WRITE = 101, 310, 311  # ptrace(), process_vm_readv(), process_vm_writev()
ANOTHERS = "another process's memory"
_NEW_LISTENER = 1 << 3
_ASKED: list[confined.Line] = [  # all bind() and listen(), sendto() to an address, and those to another's memory
    (0x20, 0, 0, 0),  # the number of the call
    (0x15, 7, 0, _BIND),
    (0x15, 6, 0, _LISTEN),
    (0x15, 5, 0, _TRACE),
    (0x15, 4, 0, _READ),
    (0x15, 3, 0, _WRITE),
    (0x15, 0, 3, _SENDTO),
    (0x20, 0, 0, 16 + 4 * 8),  # the fifth argument
    (0x15, 1, 0, 0),
    (0x06, 0, 0, 0x7FC00000),  # ask
    (0x06, 0, 0, 0x7FFF0000),  # allow
]
_NOTE, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_RECEIVE, _SEND, _GO_ON = 0xC0502100, 0xC0182101, 1


@contextlib.contextmanager
def witnessed() -> Iterator[tuple[Callable[[], None], list[str]]]:
    """What a process has to call before it becomes the command, and what it reaches on this host beyond loopback.

    The list is whole when the context ends, which waits for all processes of the command.
    """
    ours, theirs = socket.socketpair()
    found: list[str] = []
    watcher = threading.Thread(target=_watch, args=(ours, found))
    watcher.start()
    try:
        yield lambda: _ask(theirs), found
    finally:
        theirs.close()
        watcher.join()
        ours.close()


def _ask(theirs: socket.socket) -> None:
    with contextlib.suppress(OSError):
        if confined.calls_are_known():
            listener = confined.install(_ASKED, _NEW_LISTENER)
            socket.send_fds(theirs, [b"x"], [listener])
            os.close(listener)


def _watch(ours: socket.socket, found: list[str]) -> None:
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    for listener in descriptors:
        here, events = os.stat("/proc/self/ns/net").st_ino, select.poll()
        events.register(listener, select.POLLIN)
        while not events.poll()[0][1] & select.POLLHUP:  # which comes with the end of the last process
            note = bytearray(_NOTE.size)
            with contextlib.suppress(OSError):  # a process that was killed meanwhile
                fcntl.ioctl(listener, _RECEIVE, note)
                id_, pid, _, number, _, _, *arguments = _NOTE.unpack(note)
                try:
                    if os.stat(f"/proc/{pid}/ns/net").st_ino == here:
                        found += _bound(pid, number, *arguments)
                finally:
                    fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(id_, 0, 0, _GO_ON)))
        os.close(listener)


def _bound(pid: int, number: int, fd: int, second: int, third: int, _: int, fifth: int, sixth: int) -> Iterator[str]:
    """What a call reaches beyond loopback, in words."""
    if number in (_TRACE, _READ, _WRITE):
        yield ANOTHERS
    elif number == _BIND:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(second)
            yield from _foreign(memory.read(min(third, 28)))
    elif not _has_port(pid, fd):  # so that the system binds it
        yield "a wildcard address, by listen()" if number == _LISTEN else "a wildcard address, by sendto()"


def _foreign(address: bytes) -> Iterator[str]:
    family = int.from_bytes(address[:2], sys.byteorder)
    host = {socket.AF_INET: address[4:8], socket.AF_INET6: address[8:24]}.get(socket.AddressFamily(family), b"")
    if len(host) in (4, 16):
        found = ipaddress.ip_address(host)
        if not (getattr(found, "ipv4_mapped", None) or found).is_loopback:
            yield str(found)


def _has_port(pid: int, fd: int) -> bool:
    """Whether a socket is bound already; also where it is not of the internet."""
    status = Path(f"/proc/{pid}/status").read_bytes()  # which begins with a name that may be anything
    process = confined.call(_OPEN_PROCESS, int(re.findall(rb"^Tgid:\s+(\d+)", status, re.M)[0]), 0)
    try:
        copy = confined.call(_GET_DESCRIPTOR, process, fd, 0)
    finally:
        os.close(process)
    with socket.socket(fileno=copy) as sock:
        return sock.family not in (socket.AF_INET, socket.AF_INET6) or bool(sock.getsockname()[1])
