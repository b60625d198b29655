"""MODE PORT COMMAND…: a server and its clients, for `sockreuse trace`: started twice, again, or told to reload."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys

mode, number, *command = sys.argv[1:]
port = int(number)


def start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(command)


def ask(server: subprocess.Popen[bytes]) -> None:
    """A request, which is tried until the server listens; the server closes first."""
    while True:
        try:
            client = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            if server.poll() is not None:
                raise SystemExit(f"it ended with {server.returncode}") from None
    with client, contextlib.suppress(ConnectionResetError):
        client.sendall(b"QUIT\r\n\r\n" if "redis" in command[0] else b"GET / HTTP/1.0\r\n\r\n")
        while client.recv(4096):
            pass


def stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    server.wait()


first = start()
ask(first)
if mode == "twice":
    start().wait()
elif mode == "restart":
    stop(first)
    first = start()
    ask(first)
elif sys.platform != "win32":
    first.send_signal(signal.SIGHUP)
    ask(first)
stop(first)
