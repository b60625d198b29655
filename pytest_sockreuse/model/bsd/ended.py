"""The BSDs: what a TCP socket can do whose connection was refused, was reset or has ended."""

from __future__ import annotations

from ..clause import Book, Declared, Errno, Unknown
from .table import Machine, Pcb

BOOK = Book()

ENDED = BOOK(
    "connection-over",
    "bind() and listen() of a TCP socket whose connection was refused, was reset or has ended is EINVAL; so is "
    "connect(), but on FreeBSD.",
    "sys/netinet/tcp_usrreq.c tcp_usr_bind, tcp_usr_listen (INP_DROPPED); NetBSD: tcp_getpcb",
)

# What only some of the systems have: their books say which, and where it is written.
REFUSED_AGAIN = Declared("connection-over-refused", "connect() of a TCP socket that had a connection is ECONNREFUSED.")
NAMELESS = Declared("connection-over-nameless", "getsockname() of a TCP socket whose connection is over is EINVAL.")
KEEPS_NAME = Declared("connection-over-named", "A TCP socket whose connection is over has its name still.")
OPTIONS = Declared(
    "connection-over-options",
    "An option of IP, IPv6 or TCP of a TCP socket whose connection is over is ECONNRESET, for setsockopt() on NetBSD "
    "any option.",
)
TELLS_ERROR = Declared("connection-over-tells", "The first call finds the error of a connection that was reset.")


def check(m: Machine, sk: Pcb, clause: Declared) -> None:
    """Refuse by `clause` what a socket cannot do any more. Raises Errno, or Unknown."""
    if not sk.gone:
        return
    if sk.error and TELLS_ERROR in m.on:
        error, sk.error = sk.error, ""
        raise Errno(error, TELLS_ERROR)
    if clause is ENDED or clause in m.on:
        raise Errno("ECONNRESET" if clause is OPTIONS else "EINVAL", clause)
    if KEEPS_NAME not in m.on:
        raise Unknown("the name of a socket whose connection is over")
