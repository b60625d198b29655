"""Misuse by name: what shows it, and what looks like it and is none."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

import pytest

from pytest_sockreuse.platforms import current, named
from pytest_sockreuse.recorder.events import Event, Trail
from pytest_sockreuse.recorder.misuse import MISUSES, misuses
from pytest_sockreuse.recorder.reconstruct import reconstruct

PLATFORMS = [named(name) for name in ("linux-6.18.44", "macos-15", "windows-11", "freebsd-15.0")]
PORT = ("127.0.0.1", 40_000)
ANY = ("127.0.0.1", 0)
OTHER = ("127.0.0.1", 40_001)
REUSEADDR, REUSEPORT = (1, 2), (1, 15)

pytestmark = pytest.mark.skipif(current().stack not in ("linux", "gvisor"), reason="events with the numbers of Linux")


def line(number: int, function: str = "Server.start", file: str = "/nowhere/server.py") -> Trail:
    return ((file, number, function, 1),)


TEST = line(7, "test_it", "/nowhere/test_it.py")


class Tape:
    """Events, each at a line of its own."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, verb: str, fd: int, what: object, code: int = 0, trail: Trail | None = None) -> Tape:
        self.events.append((verb, fd, what, code, line(len(self.events) + 1) if trail is None else trail))
        return self

    def made(self, fd: int, *options: tuple[int, int], kind: tuple[int, int, int] = (2, 1, 0)) -> Tape:
        self.add("socket", fd, kind)
        for option in options:
            self.set(fd, option)
        return self

    def set(self, fd: int, option: tuple[int, int], value: int = 1) -> Tape:
        return self.add("set", fd, (*option, value))

    def bind(self, fd: int, address: tuple[str, int] = PORT, code: int = 0, port: int = 0) -> Tape:
        self.add("bind", fd, (address, None), code)
        return self.add("name", fd, ("127.0.0.1", port)) if port else self

    def listen(self, fd: int) -> Tape:
        return self.add("listen", fd, None)

    def connect(self, fd: int, address: tuple[str, int] = OTHER, code: int = 0, trail: Trail | None = None) -> Tape:
        return self.add("connect", fd, (address, None), code, trail)

    def accept(self, fd: int, child: int) -> Tape:
        return self.add("accept", fd, (child, ("127.0.0.1", 50_000)))

    def close(self, *fds: int) -> Tape:
        for fd in fds:
            self.add("close", fd, (False, False))
        return self

    def served(self, fd: int, trail: Trail | None = TEST) -> Tape:
        """A connection to the listener, which the listener's side ends."""
        address = next(event[2][0] for event in self.events if event[0] == "bind" and event[1] == fd)
        return self.made(fd + 50).connect(fd + 50, address, trail=trail).accept(fd, fd + 60).close(fd + 60, fd + 50)


def found(tape: Tape, stacks: Sequence[str] = ("linux", "macos", "windows", "freebsd")) -> list[str]:
    """The misuse that a tape shows, each with the line that is blamed; the first of `stacks` is this one."""
    on = [platform for platform in PLATFORMS if platform.stack in stacks]
    pieces = reconstruct(tape.events)[0].pieces
    return [f"{m.misuse.id}:{m.places[0].line}" for piece in pieces for m in misuses(piece, on)]


def test_every_misuse_has_a_name_a_sentence_and_a_remedy() -> None:
    assert len({misuse.id for misuse in MISUSES}) == len(MISUSES) == 7
    for misuse in MISUSES:
        assert misuse.sentence[0].islower() or misuse.sentence.startswith("SO_")
        assert misuse.remedy
        assert not misuse.sentence.endswith(".") and not misuse.remedy.endswith(".")


def test_ordinary_calls_show_none() -> None:
    server = Tape().made(3, REUSEADDR).bind(3, ANY, port=41_000).listen(3)
    server.made(4).connect(4, ("127.0.0.1", 41_000)).accept(3, 5).close(4, 5, 3)
    assert found(server) == []
    restart = Tape().made(3, REUSEADDR).bind(3).listen(3).served(3).close(3)
    restart.made(4, REUSEADDR).bind(4).listen(4).served(4).close(4)
    assert found(restart, ("linux", "macos", "freebsd")) == []


# --- an option after bind ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [REUSEADDR, REUSEPORT])
def test_an_option_that_comes_after_bind(option: tuple[int, int]) -> None:
    assert found(Tape().made(3).bind(3).set(3, option).listen(3)) == ["option-after-bind:3"]


def test_an_option_after_bind_that_has_a_part_in_something() -> None:
    assert not found(Tape().made(3).bind(3).set(3, REUSEADDR).made(4, REUSEADDR).bind(4))
    assert not found(Tape().made(3).bind(3).set(3, REUSEADDR, 0).listen(3))
    retried = Tape().made(3).bind(3).made(4).bind(4, code=errno.EADDRINUSE).set(4, REUSEADDR).bind(4, OTHER)
    assert not found(retried)


# --- SO_REUSEADDR on Windows ------------------------------------------------------------------------------------------


def test_a_server_that_can_be_hijacked_on_windows() -> None:
    server = Tape().made(3, REUSEADDR).bind(3).listen(3).served(3)
    assert found(server) == ["reuseaddr-on-windows:2"]
    assert not found(server, ("linux", "macos"))


def test_listeners_that_nobody_hijacks() -> None:
    assert not found(Tape().made(3).bind(3).listen(3).served(3)), "without the option"
    assert not found(Tape().made(3, REUSEADDR).bind(3).listen(3)), "serves nobody"
    assert not found(Tape().made(3, REUSEADDR).bind(3).listen(3).served(3, line(9))), "its own function is the client"


def test_an_option_that_is_not_set_on_windows(tmp_path: object) -> None:
    code = f"{tmp_path}/server.py"
    with open(code, "w") as file:
        file.write("def start():\n    if os.name != 'nt':\n        sock.setsockopt()\n")
    tape = Tape().made(3)
    tape.add("set", 3, (*REUSEADDR, 1), trail=line(3, "start", code))
    assert not found(tape.bind(3).listen(3).served(3))


# --- SO_REUSEADDR with port 0 -----------------------------------------------------------------------------------------


def test_port_zero_with_reuseaddr() -> None:
    assert found(Tape().made(3, REUSEADDR, kind=(2, 2, 0)).bind(3, ANY)) == ["reuseaddr-with-port-zero:2"]
    assert found(Tape().made(3, REUSEADDR).bind(3, ANY).connect(3)) == ["reuseaddr-with-port-zero:2"]


def test_port_zero_where_it_does_no_harm() -> None:
    assert not found(Tape().made(3, REUSEADDR).bind(3, ANY).listen(3)), "as every asyncio server does"
    assert not found(Tape().made(3).bind(3, ANY).connect(3))
    assert not found(Tape().made(3, REUSEADDR).bind(3).connect(3)), "the port is named"


# --- SO_REUSEPORT for a restart ---------------------------------------------------------------------------------------


def test_reuseport_where_only_a_restart_is_wanted() -> None:
    tape = Tape().made(3, REUSEPORT).bind(3).listen(3).close(3).made(4, REUSEPORT).bind(4).listen(4).close(4)
    assert found(tape) == ["reuseport-for-restart:7"]


def test_reuseport_that_is_shared() -> None:
    shared = Tape().made(3, REUSEPORT).bind(3).listen(3).made(4, REUSEPORT).bind(4).listen(4)
    assert not found(shared.close(3).made(5, REUSEPORT).bind(5).listen(5)), "a worker is replaced"
    assert not found(Tape().made(3, REUSEPORT).bind(3).listen(3).close(3)), "others may share it"


# --- the listener before the outgoing socket --------------------------------------------------------------------------


def test_the_outgoing_socket_comes_too_late() -> None:
    tape = Tape().made(3, REUSEADDR).bind(3).listen(3).made(4, REUSEADDR).bind(4, code=errno.EADDRINUSE)
    assert not found(tape), "a second server that is refused"
    assert found(tape.connect(4)) == ["listener-before-outgoing:7"]
    assert not found(tape, ("macos",))


def test_outgoing_sockets_that_come_in_time() -> None:
    first = Tape().made(4, REUSEADDR).bind(4).made(3, REUSEADDR).bind(3).listen(3).connect(4)
    assert not found(first)
    both = Tape().made(3, REUSEADDR, REUSEPORT).bind(3).listen(3).made(4, REUSEADDR, REUSEPORT).bind(4).connect(4)
    assert not found(both)
    closed = Tape().made(3, REUSEADDR).bind(3).listen(3).close(3).made(4, REUSEADDR).bind(4).connect(4)
    assert not found(closed)


# --- a restart without the dead side ----------------------------------------------------------------------------------


def test_a_restart_whose_dead_side_had_no_option() -> None:
    tape = Tape().made(3).bind(3).listen(3).served(3).close(3)
    tape.made(4, REUSEADDR).bind(4, code=errno.EADDRINUSE)
    assert found(tape, ("linux",)) == [f"restart-without-the-dead-side:{len(tape.events)}"]


def test_restarts_that_stand_alone() -> None:
    nobody = Tape().made(3).bind(3).listen(3).close(3).made(4, REUSEADDR).bind(4).listen(4)
    assert not found(nobody), "no connection was left"
    plain = Tape().made(3).bind(3).listen(3).served(3).close(3).made(4).bind(4, code=errno.EADDRINUSE)
    assert not found(plain), "it does not rely on the option"


# --- a guessed port ---------------------------------------------------------------------------------------------------


def test_a_port_that_was_free_a_moment_ago() -> None:
    guess = Tape().made(3).bind(3, ANY, port=41_000).close(3)
    assert not found(guess)
    again = ("127.0.0.1", 41_000)
    assert found(guess.made(4).bind(4, again).listen(4)) == ["guessed-port:2"]


def test_a_port_that_was_guessed_for_another_process() -> None:
    guess = Tape().made(3).bind(3, ANY, port=41_000).close(3)
    assert found(guess.made(4).connect(4, ("127.0.0.1", 41_000))) == ["guessed-port:2"]


def test_ports_that_are_not_guessed() -> None:
    again = ("127.0.0.1", 41_000)
    guess = Tape().made(3).bind(3, ANY, port=41_000).close(3)
    assert not found(guess.made(4).connect(4, again, code=errno.ECONNREFUSED)), "a port where nobody listens was wanted"
    restart = Tape().made(3).bind(3, ANY, port=41_000).listen(3).close(3).made(4).bind(4, again).listen(4)
    assert not found(restart)
    held = Tape().made(3, REUSEADDR).bind(3, ANY, port=41_000).made(4, REUSEADDR).bind(4, again).close(3)
    assert not found(held.made(5, REUSEADDR).bind(5, again).listen(5)), "somebody held it all the time"
    reserved = Tape().made(3, REUSEADDR).bind(3, ANY, port=41_000).listen(3)
    reserved.made(4).connect(4, again).accept(3, 5).close(5, 4, 3)  # TIME_WAIT keeps it
    assert not found(reserved.made(6, REUSEADDR).bind(6, again).listen(6), ("linux",))


def test_what_was_done_before_the_test_is_not_blamed_on_it() -> None:
    tape = Tape().made(3).bind(3).set(3, REUSEADDR)
    old = len(tape.events)
    tape.listen(3)
    (piece,) = reconstruct(tape.events, old)[0].pieces
    assert not list(misuses(piece, PLATFORMS))


def test_numbers_of_this_system() -> None:
    assert (socket.SOL_SOCKET, socket.SO_REUSEADDR) == REUSEADDR
