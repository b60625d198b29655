"""Held ports while another process takes ports as fast as it can: a thousand a round, spread over workers.

`SOCKREUSE_REPEATS` asks for so many rounds, by eight workers; without it there is one, by two.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPEATS = int(os.environ.get("SOCKREUSE_REPEATS", "2"))
ROUNDS, WORKERS = (REPEATS, 8) if REPEATS >= 10 else (1, 2)

FLOOD = """
import collections, select, socket, struct, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
places = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0") if sys.argv[1:] else (socket.AF_INET, "127.0.0.1")]
if socket.has_ipv6:
    places.append((socket.AF_INET6, "::1"))
taken, count = collections.deque(), 0
print(flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for family, host in places:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            sock = socket.socket(family, kind)
            try:
                sock.bind((host, 0))
            except OSError:  # no IPv6, or no port is left
                sock.close()
            else:
                taken.append(sock)
                count += 1
    client = socket.create_connection(listener.getsockname())
    child, _ = listener.accept()
    for sock in (client, child):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        taken.append(sock)
    while len(taken) > 400:
        taken.popleft().close()
print(count)
"""

SUITE = """
import socket, struct
import pytest

RESET = struct.pack("ii", 1, 0)

@pytest.fixture(params=range(100))
def number(request):
    return request.param

def serve(family, address):
    with socket.create_server(address, family=family) as server, socket.create_connection(address) as client:
        child, _ = server.accept()
        with child:
            for end in (client, child):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

def receive(family, address, beside):
    with socket.socket(family, socket.SOCK_DGRAM) as receiver, socket.socket(family, socket.SOCK_DGRAM) as sender:
        if beside:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.bind(address)
        receiver.settimeout(10)
        sender.sendto(b"x", address)
        assert receiver.recv(1) == b"x"

def test_ports(number, held_ports):
    for lease in held_ports(10):
        serve(socket.AF_INET, lease.address)
        receive(socket.AF_INET, lease.address, beside=True)
        with lease.socket("udp"), lease.socket("tcp") as server:
            server.listen()
        if not INSIDE:
            lease.release()
            receive(socket.AF_INET, lease.address, beside=False)
            with socket.socket() as server:
                server.bind(lease.address)
                server.listen()
"""

#: The OS chooses from few ports, and ours are among them: what keeps others out is the placeholders alone.
INSIDE = """
from pytest_sockreuse.live.port_blocks import HeldPorts, NoPort

def take(self):
    raise NoPort

HeldPorts.take = take
"""
ENTER = """
import os, sys
from pytest_sockreuse.live import namespace
if namespace.isolation() == "userns":
    namespace.own_user_namespace(as_root=False)
namespace.new()
namespace.write("net.ipv4.ip_local_port_range", "40000 42999")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the flood looks at its standard input with select")
@pytest.mark.parametrize("inside", [False, True], ids=["outside-the-range", "inside-the-range"])
def test_no_collision(tmp_path: Path, installed: bool, isolation: str, inside: bool) -> None:
    if not importlib.util.find_spec("xdist"):
        pytest.skip("needs pytest-xdist")
    if inside and (isolation == "none" or not sys.platform.startswith("linux")):
        pytest.skip("needs network namespaces")
    (tmp_path / "test_it.py").write_text(SUITE + f"\nINSIDE = {inside}\n")
    (tmp_path / "conftest.py").write_text(INSIDE * inside)
    (tmp_path / "flood.py").write_text(FLOOD)
    (tmp_path / "rounds.py").write_text(ROUNDS_OF)
    plugin = [] if installed else ["-p", "pytest_sockreuse.plugin"]
    suite = [*plugin, "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q", f"-n{WORKERS}", "-W", "error"]
    command = [sys.executable, *["-c", ENTER] * inside, "rounds.py", str(ROUNDS), *suite]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTEST_ADDOPTS": ""}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120 * ROUNDS + 60, check=False
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    rounds = [line for line in run.stdout.splitlines() if line.startswith("100 passed in ")]
    assert len(rounds) == ROUNDS
    assert int(run.stdout.split()[-1]) > 1000 * ROUNDS  # ports that the flood took meanwhile


#: The flood and the rounds, in one network namespace.
ROUNDS_OF = """
import subprocess, sys
flood = subprocess.Popen([sys.executable, "flood.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
flood.stdout.readline()
try:
    for _ in range(int(sys.argv[1])):
        subprocess.run([sys.executable, "-m", "pytest", *sys.argv[2:]], check=True)
finally:
    taken, _ = flood.communicate("")
print(taken, flush=True)
"""
