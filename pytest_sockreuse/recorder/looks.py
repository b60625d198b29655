"""What the wrappers of Python's sockets ask without being seen: of a socket, of an error, of a call's arguments."""

from __future__ import annotations

import _socket
import socket
import sys
from typing import Any

from .devices import zoned
from .events import NO_CALL, NO_ERRNO

raw = _socket.socket
#: Hosts that no call is needed for.
PLAIN_HOSTS = frozenset({"127.0.0.1", "::1", "localhost", "", "0.0.0.0", "::"})
fd_of, sockname, option = raw.fileno, raw.getsockname, raw.getsockopt


def errno_of(error: OSError) -> int:
    """The errno of a failure; NO_CALL where a name was not found, NO_ERRNO where there is none."""
    if isinstance(error, socket.gaierror | socket.herror):
        return NO_CALL
    return getattr(error, "winerror", None) or error.errno or NO_ERRNO


def address_in(*arguments: Any) -> Any:
    """The address that a call was given; None where it is written as nobody does: its objects are not ours to ask."""
    match arguments:
        case [(str(), port, *_) as address] if type(port) is int:
            return zoned(address) if len(address) > 3 or "%" in address[0] else address
        case [(str() as host, int() as port, *rest)]:  # a held port is a number of a kind of its own
            return zoned((host, int.__int__(port), *rest))
        case [(bytes() | bytearray() as host, port, *rest)] if type(port) is int:
            return zoned((host.decode("ascii", "replace"), port, *rest))
    return None


def own_of(sock: Any) -> Any:
    """The address that it has, with its device."""
    return zoned(sockname(sock))


def peer_of(sock: Any) -> Any:
    """The address of the other end; None where there is none."""
    try:
        return zoned(raw.getpeername(sock))
    except OSError:
        return None


if sys.platform != "win32":
    import fcntl
    import termios

    def unread(fd: int) -> bool:
        """Whether data was left unread: then closing resets the connection, and nobody is in TIME_WAIT."""
        try:
            return fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0") != b"\0\0\0\0"
        except OSError:
            return False
else:

    def unread(fd: int) -> bool:
        return False


_ALIVE = (1, 4, 5)  # ESTABLISHED, FIN_WAIT1, FIN_WAIT2


def peer_is_gone(sock: Any) -> bool:
    """Whether the other side has ended the connection already; of TCP, and where the OS says so."""
    if sys.platform != "linux":
        return False
    try:
        return option(sock, socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in _ALIVE
    except OSError:
        return False
