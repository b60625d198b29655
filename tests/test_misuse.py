"""Misuse by name: what shows it, and what looks like it and is none."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_sockreuse.platforms import current, named
from pytest_sockreuse.ports import Lease
from pytest_sockreuse.recorder.events import Event, Trail
from pytest_sockreuse.recorder.locations import Place
from pytest_sockreuse.recorder.misuse import MISUSES, guesses, misuses
from pytest_sockreuse.recorder.reconstruct import reconstruct

PLATFORMS = [named(name) for name in ("linux-6.18.44", "macos-15", "windows-11", "freebsd-15.0")]
PORT = ("127.0.0.1", 40_000)
ANY = ("127.0.0.1", 0)
OTHER = ("127.0.0.1", 40_001)
REUSEADDR, REUSEPORT = (1, 2), (1, 15)

pytestmark = pytest.mark.skipif(current().stack not in ("linux", "gvisor"), reason="events with the numbers of Linux")


def line(number: int, function: str = "Server.start", file: str = "/nowhere/server.py") -> Trail:
    return (Place(file, number, function, 1),)


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
    assert len({misuse.id for misuse in MISUSES}) == len(MISUSES) == 11
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
    assert not found(Tape().made(3, REUSEADDR).bind(3)), "does not listen"
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
    assert not found(Tape().made(3).bind(3, ANY).connect(3), ("macos",))
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
    assert not found(tape, ("linux",)), "a second server that is refused"
    assert found(tape.connect(4), ("linux",)) == ["listener-before-outgoing:7"]
    assert not found(tape, ("macos",))


def test_outgoing_sockets_that_come_in_time() -> None:
    first = Tape().made(4, REUSEADDR).bind(4).made(3, REUSEADDR).bind(3).listen(3).connect(4)
    assert not found(first, ("linux",))
    both = Tape().made(3, REUSEADDR, REUSEPORT).bind(3).listen(3).made(4, REUSEADDR, REUSEPORT).bind(4).connect(4)
    assert not found(both, ("linux",))
    closed = Tape().made(3, REUSEADDR).bind(3).listen(3).close(3).made(4, REUSEADDR).bind(4).connect(4)
    assert not found(closed, ("linux",))


# --- a restart without the dead side ----------------------------------------------------------------------------------


def test_a_restart_whose_dead_side_had_no_option() -> None:
    tape = Tape().made(3).bind(3).listen(3).served(3).close(3)
    tape.made(4, REUSEADDR).bind(4, code=errno.EADDRINUSE)
    assert found(tape, ("linux",)) == [f"restart-without-the-dead-side:{len(tape.events)}"]


def test_restarts_that_stand_alone() -> None:
    nobody = Tape().made(3).bind(3).listen(3).close(3).made(4, REUSEADDR).bind(4).listen(4)
    assert not found(nobody, ("linux",)), "no connection was left"
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
    restart = Tape().made(3).bind(3, ANY, port=41_000).listen(3).made(4).connect(4, again).accept(3, 5).close(5, 4, 3)
    assert not found(restart.made(6).bind(6, again).listen(6)), "it served"
    held = Tape().made(3, REUSEADDR).bind(3, ANY, port=41_000).made(4, REUSEADDR).bind(4, again).close(3)
    assert not found(held.made(5, REUSEADDR).bind(5, again).listen(5), ("linux",)), "somebody held it all the time"
    reserved = Tape().made(3, REUSEADDR).bind(3, ANY, port=41_000).listen(3)
    reserved.made(4).connect(4, again).accept(3, 5).close(5, 4, 3)  # TIME_WAIT keeps it
    assert not found(reserved.made(6, REUSEADDR).bind(6, again).listen(6), ("linux",))


def test_a_server_that_is_started_again_by_the_same_code_is_no_guess() -> None:
    again = ("127.0.0.1", 41_000)
    tape = Tape()
    for at, (fd, address) in enumerate(((3, ANY), (4, again))):
        where = (*line(3, "serve"), *line(20 + at, "test_it", "/nowhere/test_it.py"))
        tape.made(fd, kind=(2, 2, 0)).add("bind", fd, (address, None), trail=where)
        tape.add("name", fd, again).close(fd)
    assert not found(tape)


def test_a_port_that_datagrams_went_to_was_no_guess() -> None:
    again = ("127.0.0.1", 41_000)
    tape = Tape().made(3, kind=(2, 2, 0)).bind(3, ANY, port=41_000).made(4, kind=(2, 2, 0)).add("sent", 4, again)
    assert not found(tape.close(3).made(5, kind=(2, 2, 0)).bind(5, again))


def test_a_port_that_was_found_free_in_an_earlier_test() -> None:
    events = Tape().made(3).bind(3, ANY, port=41_000).close(3).events
    before = guesses(reconstruct(events)[0])
    (piece,) = reconstruct(Tape().made(4).bind(4, ("127.0.0.1", 41_000)).listen(4).events)[0].pieces
    (guessed,) = misuses(piece, PLATFORMS[:2], before)
    assert (guessed.misuse.id, guessed.places[0].line) == ("guessed-port", 2)


def test_a_port_of_a_fixture_of_ours_is_no_guess(held_port: Lease) -> None:
    address = ("127.0.0.1", held_port.port)
    assert not found(Tape().made(3).bind(3, ANY, port=held_port.port).close(3).made(4).bind(4, address), ("linux",))


# --- ports that are taken from others ---------------------------------------------------------------------------------


def test_udp_servers_that_share_by_chance() -> None:
    tape = Tape().made(3, REUSEPORT, kind=(2, 2, 0)).bind(3, ANY)
    assert found(tape) == ["reuseport-with-port-zero:2"]
    assert not found(tape, ("macos",))
    assert not found(Tape().made(3, REUSEPORT, kind=(2, 2, 0)).bind(3)), "the port is named"
    assert not found(Tape().made(3, REUSEPORT).bind(3, ANY).listen(3)), "Linux gives TCP another"


def test_a_port_that_is_bound_only_to_connect() -> None:
    assert found(Tape().made(3).bind(3, ANY).connect(3)) == ["bind-before-connect:2"]
    assert not found(Tape().made(3).set(3, (0, 24)).bind(3, ANY).connect(3)), "IP_BIND_ADDRESS_NO_PORT"
    assert not found(Tape().made(3).bind(3, ANY, port=41_000).connect(3)), "the program wants to know it"
    assert not found(Tape().made(3).bind(3).connect(3)), "the port is named"


@pytest.mark.parametrize("number", ["40000", "40_000"])
def test_a_port_that_stands_in_the_code(number: str, tmp_path: Path) -> None:
    code = tmp_path / "server.py"
    code.write_text(f"def start():\n    sock.bind(('127.0.0.1', {number}))\n    # 40001\n")
    for address, shown in ((PORT, ["fixed-port:2"]), (OTHER, [])):
        tape = Tape().made(3)
        tape.add("bind", 3, (address, None), trail=line(2, "start", str(code)))
        assert found(tape.listen(3), ("linux",)) == shown
    shared = Tape().made(3, REUSEPORT, kind=(2, 2, 0))
    shared.add("bind", 3, (PORT, None), trail=line(2, "start", str(code)))
    assert not found(shared, ("linux",)), "a protocol's own, which is shared"


def test_a_client_that_may_reach_itself() -> None:
    def tries(count: int, bound: bool = False, others: int = 1) -> list[str]:
        tape = Tape()
        if bound:
            tape.made(3).bind(3, PORT)
        for fd in range(4, 4 + count):
            address = (f"127.0.0.{1 + fd % others}", PORT[1])
            tape.made(fd).connect(fd, address, code=errno.ECONNREFUSED, trail=line(5)).close(fd)
        return found(tape, ("linux",))

    assert tries(3) == ["self-connect-by-retry:5"]
    assert not tries(1)
    assert not tries(3, bound=True), "the OS chooses no port that is bound"
    assert not tries(2, others=2), "each address of a name is tried once"


def test_a_client_of_a_port_in_time_wait_cannot_reach_itself() -> None:
    tape = Tape().made(3, REUSEADDR).bind(3).listen(3).served(3).close(3)
    for fd in (4, 5, 6):
        tape.made(fd).connect(fd, PORT, code=errno.ECONNREFUSED, trail=line(5)).close(fd)
    assert "self-connect-by-retry:5" not in found(tape, ("linux",))


def test_what_was_done_before_the_test_is_not_blamed_on_it() -> None:
    tape = Tape().made(3).bind(3).set(3, REUSEADDR)
    old = len(tape.events)
    tape.listen(3)
    (piece,) = reconstruct(tape.events, old)[0].pieces
    assert not list(misuses(piece, PLATFORMS))


def test_numbers_of_this_system() -> None:
    assert (socket.SOL_SOCKET, socket.SO_REUSEADDR) == REUSEADDR
