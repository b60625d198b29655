"""Properties of every recording: any sequence of calls, and any value of an option, can be told and judged."""

from __future__ import annotations

import contextlib
import socket
import sys

from hypothesis import example, given, settings
from hypothesis import strategies as st
from recording import LOCAL, REUSEPORT, recorded

from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current, named
from pytest_sockreuse.recorder.compare import Comparer
from pytest_sockreuse.recorder.reconstruct import reconstruct
from pytest_sockreuse.recorder.translate import bearing

TARGETS = [named(name) for name in ("linux-7.3.4", "macos-26", "windows-11", "freebsd-15.0")]
CALLS = st.sampled_from(
    """tcp tcp tcp tcp6 udp bind bind bind listen listen connect connect connect accept accept close shutdown set dup
    detach""".split()
)
BYTES = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))


class Player:
    """Performs random calls with plain sockets, on loopback addresses, and on ports that such a socket holds.

    A port that a TCP socket over IPv4 was given may be anybody's over IPv6, or of UDP.
    """

    def __init__(self) -> None:
        self.socks: list[socket.socket] = []

    def play(self, call: str, which: int, port: int, more: int) -> None:
        kinds = {"tcp": (2, 1), "tcp6": (int(socket.AF_INET6), 1), "udp": (2, 2)}
        with contextlib.suppress(OSError):
            if call in kinds:
                sock = socket.socket(*kinds[call])
                self.socks.append(sock)
                for bit, option in ((1, socket.SO_REUSEADDR), (2, REUSEPORT)):
                    if more & bit:
                        sock.setsockopt(socket.SOL_SOCKET, option, 1)
            elif self.socks:
                self.use(call, self.socks[which % len(self.socks)], port, more)

    def use(self, call: str, sock: socket.socket, port: int, more: int) -> None:
        alike = [other for other in self.socks if (other.family, other.type) == (sock.family, sock.type)]
        number = alike[port % len(alike)].getsockname()[1] if port % 3 else 0
        host = "127.0.0.1" if sock.family == socket.AF_INET else "::1"
        match call:
            case "bind":
                sock.bind((host, number))
            case "connect" if number:
                sock.connect((host, number))
            case "accept":
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    self.socks.append(sock.accept()[0])
                sock.setblocking(True)
            case "set":
                option = socket.SO_REUSEADDR if more & 1 else REUSEPORT
                sock.setsockopt(socket.SOL_SOCKET, option, more >> 1 & 1)
            case "dup":
                self.socks.append(sock.dup())
            case "detach":
                self.socks.remove(sock)
                self.socks.append(socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach()))
            case "close":
                self.socks.remove(sock)
                sock.close()
            case "shutdown":
                sock.shutdown(more % 3)
            case "listen":
                sock.listen()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CALLS, BYTES), max_size=25))
def test_what_is_told_is_what_the_model_of_this_platform_says(calls: list[tuple[str, tuple[int, int, int]]]) -> None:
    player = Player()
    with recorded() as tape:
        for call, numbers in calls:
            player.play(call, *numbers)
        for sock in player.socks:
            sock.close()
    found, rest = reconstruct(tape.events)
    assert not rest
    assert not tape.fds
    assert parse(str(found.scenario)).steps == found.scenario.steps
    comparer = Comparer(current(), TARGETS)
    for piece in found.pieces:
        assert parse(str(piece.scenario)).steps == piece.scenario.steps
        comparison = comparer.compare(piece)
        ours = [why for why in comparison.unknown.values() if f"not what the model of {current()} says" in why]
        assert not ours, f"{ours[0]}\n{piece.scenario}"


@example(b"-", (socket.SOL_SOCKET, 25))  # SO_BINDTODEVICE
@given(st.binary(max_size=16), st.sampled_from(sorted(bearing())))
def test_any_value_of_an_option_is_written_as_the_language_has_it(value: bytes, where: tuple[int, int]) -> None:
    for given_ in (value, int.from_bytes(value[:4], sys.byteorder, signed=True)):
        found, _ = reconstruct([("socket", 3, (2, 1, 0), 0, ()), ("set", 3, (*where, given_), 0, ()),
                         ("bind", 3, (LOCAL, None), 0, ())])  # fmt: skip
        assert parse(str(found.scenario)).steps == found.scenario.steps
