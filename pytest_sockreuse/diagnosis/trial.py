"""What a call comes to, in fact: a bind is tried; of a connect it is asked where it would lead."""

from __future__ import annotations

import os
import socket
import sys

from ..live.errnos import name_of
from ..live.holders import served
from ..live.options import apply
from ..live.plain import Plain
from ..parser import parse
from ..text import visible
from .question import Asked, is_local

_UNREACHABLE = ("ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT")


class QuestionError(ValueError):
    """A question that is none; the message is one line."""


def tried(asked: Asked) -> str:
    """What bind comes to: the socket is closed again at once, and never listens."""
    try:
        with made(asked) as sock:
            sock.bind(asked.local)
    except OSError as error:
        return name_of(error)
    return "ok"


def made(asked: Asked) -> Plain:
    """A socket as it is asked about, not bound yet. Raises QuestionError where an option cannot be set here."""
    sock = Plain(asked.family, socket.SOCK_DGRAM if asked.protocol == "udp" else socket.SOCK_STREAM)
    text = ""
    try:
        for text in (*asked.options, *([f"SO_BINDTODEVICE={asked.device}"] if asked.device else [])):
            apply(sock, parse(f"new = tcp4({text})").steps[0].options[0])
    except OSError as error:
        sock.close()
        raise QuestionError(f"{visible(text)} cannot be set here ({name_of(error)})") from None
    return sock


def tried_as(asked: Asked) -> str:
    """The same by another user, in a child; empty where this one may not become that."""
    if sys.platform == "win32" or os.geteuid() != 0 or asked.uid is None:
        return ""
    ours, its = os.pipe()
    with open(its, "wb", 0) as said:  # a file closes at once, where os.close() is gevent's and does not
        child = os.fork()
        if not child:
            try:
                os.setgroups([])
                os.setuid(asked.uid)
                said.write(tried(asked).encode())
            finally:
                os._exit(0)
    with open(ours, "rb") as answer:
        told = answer.read(100).decode()
    os.waitpid(child, 0)
    return told


def route(asked: Asked) -> tuple[str, str]:
    """The errno where no route leads to the destination, and the source address: UDP's connect tells, and sends
    nothing."""
    assert asked.foreign is not None
    try:
        with Plain(asked.family, socket.SOCK_DGRAM) as sock:
            sock.connect(asked.foreign)
            return "", str(sock.getsockname()[0])
    except OSError as error:
        return name_of(error) if name_of(error) in _UNREACHABLE else "", ""


def nobody_listens(asked: Asked) -> bool:
    """Whether the destination is on this host, and nobody serves it."""
    if asked.protocol != "tcp" or asked.foreign is None or not is_local(asked.foreign[0]):
        return False
    host, port = asked.foreign
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # where a connect to a wildcard leads
    return not served(port) & {"0.0.0.0", "::", host, f"::ffff:{host}"}
