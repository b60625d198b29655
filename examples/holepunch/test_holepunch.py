"""The hole is punched through two NATs, and a file goes through it."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import holepunch
import lab
import pytest

from pytest_sockreuse.cli import main
from pytest_sockreuse.hooks.recorder import Recording

HOLEPUNCH = [sys.executable, str(Path(__file__).with_name("holepunch.py"))]
SCENARIO = Path(__file__).with_name("peer.scenario")
SERVER = f"{lab.SERVER}:7000"
OUTSIDE = {"a": "198.51.100.2", "b": "198.51.100.6"}
PORT = 4001  # of both peers, in namespaces of their own
CONTENT = random.Random(2007).randbytes(300_000)
IMPOSTOR = """
import socket
with socket.create_connection(("198.51.100.6", 4001)) as sock:
    print("connected", flush=True)
    sock.sendall(b"let me in\\n")
    while sock.recv(100): pass
"""

# Where the system does not honour these, a test is skipped with the reason; the canary in pytest.ini is not as mild.
pytestmark = pytest.mark.sockreuse_requires("natcheck", "hole-punching")


class Punching:
    """Two peers in a lab, a file to send from one to the other."""

    def __init__(self, places: lab.Lab, files: Path) -> None:
        self.places, self.files = places, files
        (files / "sent").write_bytes(CONTENT)
        assert line(places.start("internet", *HOLEPUNCH, "rendezvous", SERVER)) == "ready"

    def peer(self, side: str, role: str) -> subprocess.Popen[str]:
        """Start the peer of a side; it listens when this returns."""
        file = self.files / {"send": "sent", "receive": "received"}[role]
        started = self.places.start(f"host-{side}", *HOLEPUNCH, role, SERVER, "documents", str(PORT), str(file))
        assert line(started) == f"listening on port {PORT}"
        return started

    def result(self, *peers: subprocess.Popen[str]) -> list[str]:
        """How each of the peers got its connection, after the file has arrived whole."""
        said = [peer.communicate(timeout=60)[0].strip() for peer in peers]
        assert [peer.returncode for peer in peers] == [0] * len(peers)
        assert (self.files / "received").read_bytes() == CONTENT
        return said


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def punching(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Punching]:
    """With the NATs that the test asks for: keywords of `lab.Lab`."""
    if why := lab.absent():
        pytest.skip(why)
    with lab.Lab(**getattr(request, "param", {})) as places:
        yield Punching(places, tmp_path)


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_the_syns_of_both_peers_make_one_connection(punching: Punching, first: str, second: str) -> None:
    """A simultaneous open: a SYN comes in, and no listener has a part in it, for a socket is just connecting there."""
    peers = punching.peer(first, "receive"), punching.peer(second, "send")
    assert punching.result(*peers) == [f"connected {OUTSIDE[side]} {PORT}" for side in (second, first)]
    assert punching.places.syns_let_in("a") + punching.places.syns_let_in("b") > 0


FORWARDED = pytest.mark.parametrize(
    "punching", [{"a": lab.DRAWS, "forward_to_b": PORT}], indirect=True, ids=["forwarded"]
)


@FORWARDED
def test_a_peer_that_comes_from_an_unforeseen_port_is_accepted(punching: Punching) -> None:
    """One NAT draws a port for each connection: only the other peer, to whom its NAT forwards, can be reached."""
    sender = punching.peer("a", "send")
    connected, accepted = punching.result(sender, punching.peer("b", "receive"))
    assert connected == f"connected {OUTSIDE['b']} {PORT}"
    assert accepted.startswith(f"accepted {OUTSIDE['a']} ")
    assert accepted != f"accepted {OUTSIDE['a']} {PORT}"


@FORWARDED
def test_a_stranger_on_the_open_port_is_sent_away(punching: Punching) -> None:
    receiver = punching.peer("b", "receive")
    stranger = punching.places.start("internet", sys.executable, "-c", IMPOSTOR)
    assert line(stranger) == "connected"
    punching.result(receiver, punching.peer("a", "send"))
    assert stranger.wait(60) == 0


async def meet_a_peer_that_waits() -> None:
    """One peer's calls; what it meets is played here: the server, and another peer that does not connect itself."""

    async def introduce(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"127.0.0.1 4002 yes really\n")
        writer.close()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"really\n")
        assert await reader.read() == b"yes\nthis\n"
        writer.close()

    async with (
        await asyncio.start_server(introduce, "127.0.0.1", 7000),
        await asyncio.start_server(wait, "127.0.0.1", 4002),
    ):
        _, writer = await holepunch.peer(("127.0.0.1", 7000), "documents", PORT, leads=True)
        writer.close()
        await writer.wait_closed()


@pytest.mark.sockreuse_netns
def test_the_scenario_has_the_calls_of_a_peer(socket_recording: Recording) -> None:
    asyncio.run(meet_a_peer_that_waits())
    lines = [line.partition("#")[0].strip() for line in str(socket_recording.scenario).splitlines()]
    ours = re.findall(r"^(\w+)\.bind\(0\.0\.0\.0:", "\n".join(lines), re.M)
    made = [line for line in lines if re.split(r"[ .]", line)[0] in ours and "connect(" not in line]
    wanted = calls(SCENARIO.read_text().splitlines()[1:])
    assert calls(made)[: len(wanted)] == wanted


def calls(lines: list[str]) -> list[str]:
    """The calls, whatever their sockets and ports are called."""
    return [re.sub(r"^\w+( = |\.)|(?<=:)\w+(?=\))", "", line) for line in lines]


def test_the_readme_shows_where_it_would_fail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])  # where the README's command is given
    shown = Path(__file__).with_name("README.md").read_text().split("$ sockreuse ")[1].split("```")[0]
    command, _, output = shown.partition("\n")
    assert main(command.split()) == 0
    assert capsys.readouterr().out == output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "TCP hole punching: two peers"),
        (["send", "127.0.0.1:1"], "TCP hole punching: two peers"),
        (["rendezvous", "127.0.0.1:high"], "holepunch: invalid literal for int()"),
        (["send", "127.0.0.1:1", "documents", "65536", "file"], "holepunch: bind(): port must be 0-65535"),
    ],
)
def test_a_mistake_is_said_without_a_traceback(arguments: list[str], says: str) -> None:
    done = subprocess.run([*HOLEPUNCH, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(says)
    assert "Traceback" not in done.stderr
