"""Commands that ask the host, and those that run a command for somebody: explain, hold, trace."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

if sys.platform == "win32":
    raise SystemExit("attacks are made on POSIX")

from confined import limit
from given import WORDS
from promises import Attack

NAME = "\x1b[31m\n\u202e\x9b2J"

# --- explain ----------------------------------------------------------------------------------------------------------

_WILD = frozenset({"0.0.0.0", "::"})  # what is asked about where no address is named
_ASKING = ("explain {}", "explain 8000 {}", "explain 8000 --udp --as {}", "explain 127.0.0.1:8000 --connect {} --json")
_ADDRESSES = ("8000", "[::]:8000", "127.0.0.1:0", "127.0.0.1:65536", "192.0.2.1:80", "255.255.255.255:9", "[::1",
              "224.0.0.1:9", "[fe80::1%lo]:80", "[::ffff:127.0.0.1]:80", "::1:80", ":", "127.1:80")  # fmt: skip
_NAMED = f"""
import ctypes, os, shutil, socket, subprocess, sys
program = shutil.copy("/bin/sh", {"./" + NAME!r})
with socket.create_server(("127.0.0.1", 0)) as server:
    port = str(server.getsockname()[1])
    os.set_inheritable(server.fileno(), True)
    holder = [{NAME!r}, "-c", "read x", {NAME!r}]
    child = subprocess.Popen(holder, executable=program, stdin=subprocess.PIPE, close_fds=False)
    ctypes.CDLL(None).prctl(15, {NAME.encode()!r}, 0, 0, 0)
    for question in ([port], [port, "--json"], ["--range"]):
        subprocess.run([sys.executable, "-m", "pytest_sockreuse.cli", "explain", *question])
    child.communicate(b"x")
os.unlink(program)
"""
_CROWD = """
import resource, socket, subprocess, sys
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
sockets = [socket.socket() for _ in range(min(3000, most - 50))]
for sock in sockets:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", sockets[0].getsockname()[1]))
    sock.listen()
asked = "127.0.0.1:" + str(sockets[0].getsockname()[1])
sys.exit(subprocess.call([sys.executable, "-m", "pytest_sockreuse.cli", "explain", asked]))
"""


def explains() -> Iterator[Attack]:
    """Questions that mean nothing, odd addresses, a holder with a stranger's name, and very many of them."""
    for command in _ASKING:
        for word in WORDS:
            words = ["sockreuse", *(part.format(word) for part in command.split())]
            yield Attack(f"{command} {word[:30]!a}", words, binds=_WILD)
    for address in _ADDRESSES:
        for kind in ([], ["--udp"], ["SO_REUSEADDR"]):
            asked = _WILD | {address.rpartition(":")[0].strip("[]").partition("%")[0]}
            yield Attack(f"explain {address} {kind}", ["sockreuse", "explain", address, *kind], binds=asked)
    yield Attack("explain nothing", ["sockreuse", "explain"])
    yield Attack("explain --range and a port", ["sockreuse", "explain", "--range", "8000"])
    yield Attack("explain a stranger's name", ["python", "-c", _NAMED], {}, (0,), binds=_WILD, says="held by")
    yield Attack("explain a crowd", ["python", "-c", _CROWD], status=(1,), says="held by")


# --- hold and trace ---------------------------------------------------------------------------------------------------

_COUNTS = ("0", "-1", "99999", "9" * 5000, "nan", "\u0661", "\x1b[31m", "")
_COMMANDS: list[list[str]] = [
    [], ["--"], ["."], ["/nonexistent"], ["./given"], [NAME], ["\udcff"], ["true", NAME], ["true", "{}" * 3000],
    ["sh", "-c", "exit 200", "{}"], ["sh", "-c", "kill -9 $$"],
]  # fmt: skip


def holds() -> Iterator[Attack]:
    """Counts and commands that are none, and too few descriptors; the status may be that of any command."""
    for count in _COUNTS:
        yield Attack(f"hold --count {count[:30]!a}", ["sockreuse", "hold", "--count", count, "--", "true", "{}"])
    for command in _COMMANDS:
        for kind in ([], ["--release"]):
            words = ["sockreuse", "hold", *kind, "--", *command]
            yield Attack(f"hold {kind} {ascii(command)[:50]}", words, {"given": b"no program"}, status=range(256))
    many = ["sockreuse", "hold", "--count", "200", "--", "true"]
    yield Attack("hold with few descriptors", many, before=limit("NOFILE", 30))


def traces() -> Iterator[Attack]:
    """Commands that are none, with a stranger's name, that start many, or are killed."""
    if shutil.which("strace") is None:
        return
    renamed = "import ctypes, socket\nctypes.CDLL(None).prctl(15, b'%s', 0, 0, 0)\n"
    serving = renamed + "socket.create_server(('127.0.0.1', 0))"
    loop = "for x in 1 2 3 4 5 6 7 8 9"
    commands = {
        "a stranger's name": [sys.executable, "-c", serving % r"\x1b[31m\n\x9b2J"],
        "a stranger's program": ["bash", "-c", f"exec -a '{NAME}' {sys.executable} -c \"$0\"", serving % "x"],
        "many processes": ["sh", "-c", f"{loop}; do {loop}; do true & done; done; wait"],
        "deep": [sys.executable, "-c", "import os\nfor _ in range(60):\n    if os.fork(): os.wait(); break"],
        "itself": [sys.executable, "-m", "pytest_sockreuse.cli", "trace", "--", "true"],
    }
    for name, command in commands.items():
        for kind in ([], ["--json"]):
            yield Attack(f"trace {name} {kind}", ["sockreuse", "trace", *kind, "--", *command])
    for command in _COMMANDS:
        yield Attack(f"trace {ascii(command)[:50]}", ["sockreuse", "trace", "--", *command], {"given": b"no program"})
    for word in WORDS:
        yield Attack(f"trace --on {word[:30]!a}", ["sockreuse", "trace", "--on", word, "--", "true"])
