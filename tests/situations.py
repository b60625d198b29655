"""Situations in which people ask who has a port: each is made by a process of its own, in a private namespace."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator

# Each ends with `ready()`: then it holds until its input ends.
_BEGIN = """
import os, socket, subprocess, sys

def server(host="127.0.0.1", port=8080, reuse=True, family=socket.AF_INET, listen=True):
    sock = socket.socket(family)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    if listen:
        sock.listen()
    return sock

def pair(listener, client=None):
    client = client or socket.socket()
    client.connect(listener.getsockname())
    return client, listener.accept()[0]

def ready():
    print("ready", flush=True)
    sys.stdin.read()
"""

SITUATIONS = {
    "A server is there already": """
        it = server("0.0.0.0")
        ready()
    """,
    "A restart within the minute": """
        it = server(reuse=False)
        client, child = pair(it)
        it.close()
        child.close()
        client.recv(1)
        client.close()
        ready()
    """,
    "The server was killed, its client is still there": """
        it = server(reuse=False)
        client, child = pair(it)
        it.close()
        child.close()
        ready()
    """,
    "Connections that nobody closed": """
        it = server(reuse=False)
        client, child = pair(it)
        it.close()
        client.close()
        child.recv(1)
        ready()
    """,
    "A child has the listener": """
        it = server("0.0.0.0")
        it.set_inheritable(True)
        helper = subprocess.Popen(["sleep", "60"], close_fds=False, stdin=subprocess.DEVNULL)
        it.close()
        try:
            ready()
        finally:
            helper.kill()
            helper.wait()
    """,
    "Workers share the listener": """
        it = server("0.0.0.0")
        ours, its = os.pipe()
        for _ in range(2):
            if not os.fork():
                os.close(its)
                os.read(ours, 1)
                os._exit(0)
        ready()
    """,
    "IPv6's wildcard has IPv4's port": """
        it = server("::", family=socket.AF_INET6)
        ready()
    """,
    "Another user has it": """
        os.setgid(65534)
        os.setuid(65534)
        it = socket.socket()
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        it.bind(("0.0.0.0", 8080))
        it.listen()
        ready()
    """,
    "A low port": """
        ready()
    """,
    "An outgoing connection was given the port": """
        upstream = server(port=9000)
        client, child = pair(upstream)
        assert client.getsockname()[1] == 8080
        ready()
    """,
    "Ports run out": """
        upstream = server(port=9000)
        for _ in range(8):
            client, child = pair(upstream)
            client.close()
            child.recv(1)
            child.close()
        ready()
    """,
    "The address is not of this host": """
        ready()
    """,
}


@contextlib.contextmanager
def made(code: str) -> Iterator[subprocess.Popen[str]]:
    """The process that makes a situation, once it has."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BEGIN + textwrap.dedent(code)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.communicate(timeout=30)
