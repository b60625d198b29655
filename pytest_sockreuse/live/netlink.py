"""What is asked of Linux by netlink: a further interface or address, loopback that acknowledges at once, the state of a
TCP socket."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import struct
import sys

from .plain import Plain

assert sys.platform == "linux"

_REQUEST, _ACK, _REPLACE, _EXCL, _CREATE, _DUMP = 1, 4, 0x100, 0x200, 0x400, 0x300
_NEWLINK, _NEWADDR, _NEWROUTE, _DELROUTE, _DIAG = 16, 20, 24, 25, 20
_UP = 1
#: The TCP states by number, of include/net/tcp_states.h; what they call closed is bound at the least.
STATES = """? ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT BOUND CLOSE_WAIT LAST_ACK LISTEN CLOSING
    SYN_RECV BOUND""".split()
_sequence = itertools.count(1)


def _ask(protocol: int, kind: int, flags: int, body: bytes) -> bytes:
    """Send one request and return the body of its answer. Raises OSError."""
    with Plain(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
        return _exchange(link, kind, flags, body)


def _exchange(link: Plain, kind: int, flags: int, body: bytes) -> bytes:
    link.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, next(_sequence), 0) + body)
    answer = link.recv(8192)
    if struct.unpack_from("=H", answer, 4)[0] == 2:  # NLMSG_ERROR, which is also the acknowledgement
        code = -struct.unpack_from("=i", answer, 16)[0]
        if code:
            raise OSError(code, os.strerror(code))
    return answer[16:]


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def add_device(name: str) -> None:
    """Make an interface and set it up, of the first type that this kernel has. Raises OSError."""
    for kind in (b"dummy", b"bridge", b"veth"):
        body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, _UP, _UP)
        body += _attribute(3, name.encode() + b"\0") + _attribute(18, _attribute(1, kind))
        try:
            _ask(socket.NETLINK_ROUTE, _NEWLINK, _ACK | _CREATE | _EXCL, body)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP or kind == b"veth":
                raise
        else:
            return


def add_address(host: str, device: str = "lo") -> None:
    """Make `host` a local address of `device`. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    no_duplicate_check = 0x02 if family == socket.AF_INET6 else 0
    body = struct.pack("=BBBBI", family, len(packed) * 8, no_duplicate_check, 0, socket.if_nametoindex(device))
    body += _attribute(1, packed) + _attribute(2, packed)
    try:
        _ask(socket.NETLINK_ROUTE, _NEWADDR, _ACK | _CREATE | _EXCL, body)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    if family == socket.AF_INET6:  # whose route the kernel enters later, from a work queue
        route = _local_route(family, 128, host, socket.if_nametoindex(device))
        with contextlib.suppress(FileExistsError):
            _ask(socket.NETLINK_ROUTE, _NEWROUTE, _ACK | _CREATE, route)  # beside that of another device


def _local_route(family: int, bits: int, host: str, device: int = 1) -> bytes:
    """A route of table local to `host`/`bits` by a device, lo unless another is given."""
    table, kernel, scope, kind = 255, 2, 0 if family == socket.AF_INET6 else 254, 2  # RTPROT_KERNEL, host, RTN_LOCAL
    route = struct.pack("=BBBBBBBBI", family, bits, 0, 0, table, kernel, scope, kind, 0)
    return route + _attribute(1, socket.inet_pton(family, host)) + _attribute(4, struct.pack("=I", device))


def acknowledge_at_once() -> None:
    """Set the quickack metric on the loopback routes of this namespace, with which no FIN waits for a delayed
    acknowledgement (up to 40 ms each). Raises OSError."""
    with Plain(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        for host, bits in (("127.0.0.0", 8), ("127.0.0.1", 32), ("::1", 128)):
            v6 = ":" in host
            family = socket.AF_INET6 if v6 else socket.AF_INET
            local = _local_route(family, bits, host)
            metrics = _attribute(8, _attribute(15, struct.pack("=I", 1)))
            source = b"" if v6 else _attribute(7, socket.inet_pton(family, "127.0.0.1"))
            _exchange(link, _NEWROUTE, _ACK | _CREATE | _REPLACE, local + source + metrics)
            if v6:  # the kernel's own route has a better metric, which cannot be asked for
                _exchange(link, _DELROUTE, _ACK, local)


class Diag:
    """Tells the state of single TCP sockets in the namespace where it was made. Raises OSError without inet_diag."""

    def __init__(self) -> None:
        self._link = Plain(socket.AF_NETLINK, socket.SOCK_RAW, 4)  # NETLINK_SOCK_DIAG

    def close(self) -> None:
        self._link.close()

    def state(self, local: tuple[str, int], foreign: tuple[str, int]) -> int | None:
        """The state of the connection between two (host, port), as in include/net/tcp_states.h, else None."""
        family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        source, target = (socket.inet_pton(family, host).ljust(16, b"\0") for host in (local[0], foreign[0]))
        identity = (
            struct.pack("!HH", local[1], foreign[1]) + source + target + struct.pack("=III", 0, 2**32 - 1, 2**32 - 1)
        )
        request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 2**32 - 1) + identity
        try:
            answer = _exchange(self._link, _DIAG, 0, request)
        except FileNotFoundError:
            return None
        return answer[1] if answer[4:8] == identity[:4] else None
