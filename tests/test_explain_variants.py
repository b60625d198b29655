"""`sockreuse explain` where what is met is not the usual: each is made here, or told as the kernel would tell it."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from here import linux_only
from test_explain_command import Capture
from test_explain_command import asked as printed

from pytest_sockreuse.diagnosis import exhaustion, inquiry, words
from pytest_sockreuse.diagnosis.question import Asked
from pytest_sockreuse.endings import time_wait
from pytest_sockreuse.live import netlink
from pytest_sockreuse.live.census import Census, Seat
from pytest_sockreuse.live.holders import Holder
from pytest_sockreuse.live.processes import Process
from pytest_sockreuse.platforms import current
from pytest_sockreuse.ports import Ports

_LEFT = (("ESTABLISHED", 5), ("TIME_WAIT", 0))
HERE = ("127.0.0.1", 8080)


def asked(*arguments: str, capsys: Capture) -> tuple[int, str]:
    """The status, and what is said, wherever its lines end: addresses and ids have more digits here and there."""
    status, out = printed(*arguments, capsys=capsys)
    return status, " ".join(out.split())


def server(host: str = "127.0.0.1", port: int = 8080) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def held(state: str, foreign: int, seconds: float | None = None, **more: Any) -> Holder:
    return Holder("tcp", socket.AF_INET, HERE, ("127.0.0.1", foreign), state, seconds=seconds, **more)


def fixes(*blocking: Holder) -> str:
    call = Asked("bind", "EADDRINUSE", "tcp", socket.AF_INET, (), HERE)
    return "\n".join(words.fixes(call, blocking, words.Scene(current(), (32768, 60999))))


# --- what the kernel keeps --------------------------------------------------------------------------------------------


def test_the_last_of_several_ends_the_wait() -> None:
    assert "wait 59 s" in fixes(held("TIME_WAIT", 50001, 20.0), held("TIME_WAIT", 50002, 59.0))


def test_each_other_side_has_to_close() -> None:
    said = fixes(*(held("FIN_WAIT2", 50000 + number, 60.0) for number in range(5)))
    assert "127.0.0.1:50000; 127.0.0.1:50001; 127.0.0.1:50002; and 2 more" in said
    assert "the other side of each close its connection" in said


@pytest.mark.parametrize("state", ["FIN_WAIT1", "CLOSING", "LAST_ACK"])
def test_a_side_that_has_closed_is_not_asked_to(state: str) -> None:
    said = fixes(held(state, 50001))
    assert "read what it was sent, or end it" in said
    assert "close its connection" not in said


def test_a_port_that_is_held_for_a_command_is_told_as_that() -> None:
    placeholder = Holder("tcp", socket.AF_INET, HERE, None, "BOUND", (Process(7, called="sockreuse"),))
    assert "sockreuse (pid 7) has the port for the command that it runs (`hold --release` lets go" in fixes(placeholder)


@linux_only
def test_a_connection_in_the_queue_goes_with_its_listener(give: Ports, capsys: Capture) -> None:
    port = give.hold("tcp").release()
    with server(port=port) as listener, socket.create_connection(("127.0.0.1", port)):
        select.select([listener], [], [])  # it is in the queue
        _, out = asked(f"127.0.0.1:{port}", capsys=capsys)
    assert "has not accepted yet" in out
    assert "close the listener" not in out


# --- who may ----------------------------------------------------------------------------------------------------------


@linux_only
def test_a_low_port_that_is_taken_too(root_namespaces: str, sockreuse_netns: Any, capsys: Capture) -> None:
    with server(port=80):
        status, out = asked("127.0.0.1:80", "--as", "65534", capsys=capsys)
    assert status == 1
    assert "bind EACCES" in out and "80 is taken too" in out
    assert "(low-port-privileged)" in out and "(bind-conflict)" in out
    assert "CAP_NET_BIND_SERVICE" in out and "close descriptor" in out


@linux_only
def test_low_is_what_the_setting_says(root_namespaces: str, sockreuse_netns: Any, capsys: Capture) -> None:
    sockreuse_netns.set("net.ipv4.ip_unprivileged_port_start", 9000)
    _, out = asked("127.0.0.1:8080", "--as", "65534", capsys=capsys)
    assert "use a port from 9000 on" in out


@linux_only
def test_who_asks_as_root_asks_the_same() -> None:
    hidden = Holder("udp", socket.AF_INET, HERE, None, "BOUND", uid=0, inode=9, hidden=True)
    call = Asked("bind", "", "udp", socket.AF_INET, (), HERE, uid=1000)
    said = inquiry.answer(call, [hidden]).explanation.fixes
    assert "ask who has it as root: sudo sockreuse explain 8080 --udp" in said


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture
def blue(root_namespaces: str, sockreuse_netns: Any) -> str:
    """An interface with a link-local address, fe80::7."""
    if sys.platform == "linux":
        netlink.add_device("blue")
        netlink.add_address("fe80::7", "blue")
    return "blue"


@linux_only
def test_a_link_local_address_needs_its_interface(blue: str, capsys: Capture) -> None:
    status, out = asked("[fe80::7]:8080", capsys=capsys)
    assert (status, "bind EINVAL" in out) == (1, True)
    assert "fix name the interface, as in [fe80::7%eth0]:8080" in out
    assert "no interface here has" not in out
    status, out = asked("[fe80::7%blue]:8080", capsys=capsys)
    assert (status, "bind ok, listen ok" in out) == (0, True)


@linux_only
def test_a_server_at_a_link_local_address_is_understood(blue: str, capsys: Capture) -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("fe80::7", 8080, 0, socket.if_nametoindex(blue)))
        sock.listen()
        status, out = asked("[fe80::7%blue]:8080", capsys=capsys)
        _, wild = asked("[::]:8080", capsys=capsys)
        _, bare = asked("[fe80::7]:8080", capsys=capsys)
    assert status == 1
    assert "(bind-conflict)" in out and "(bind-conflict)" in wild
    assert "held by" not in bare and "it is not in the way" in " ".join(bare.split())


@linux_only
def test_an_option_of_ipv6_asks_of_its_addresses_only(give: Ports, capsys: Capture) -> None:
    status, out = asked(str(give.hold("tcp").release()), "IPV6_V6ONLY", capsys=capsys)
    assert status == 0
    assert "[::]:" in out and "0.0.0.0" not in out


# --- connecting out ---------------------------------------------------------------------------------------------------


@pytest.fixture
def four(port_range: Callable[[int, int], None]) -> Iterator[list[socket.socket]]:
    """Four connections to 127.0.0.1:9000 have the whole range."""
    port_range(40000, 40003)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(server(port=9000))
        yield [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(4)]


@linux_only
def test_what_binds_first_fails_first(port_range: Callable[[int, int], None], capsys: Capture) -> None:
    port_range(40000, 40003)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(server(port=0))
        status, out = asked("127.0.0.1:0", "--connect", "127.0.0.1:40000", capsys=capsys)
    assert status == 1
    assert "bind EADDRINUSE (tried here)" in out and "(ports-exhausted)" in out


@linux_only
def test_another_source_address_is_not_said_to_fail(four: list[socket.socket], capsys: Capture) -> None:
    _, out = asked("127.0.0.2:0", "IP_BIND_ADDRESS_NO_PORT", "--connect", "127.0.0.1:9000", capsys=capsys)
    assert "connect EADDRNOTAVAIL|ok" in out
    _, out = asked("--connect", "127.0.0.1:9000", capsys=capsys)
    assert "connect EADDRNOTAVAIL (" in out


@linux_only
@pytest.mark.parametrize("words", [["SO_REUSEADDR", "--connect", "127.0.0.1:9"], ["SO_REUSEADDR", "127.0.0.1:0"]])
def test_an_option_is_no_address(words: list[str], capsys: Capture) -> None:
    _, out = asked(*words, "--json", capsys=capsys)
    assert json.loads(out)["options"] == ["SO_REUSEADDR"]


@linux_only
def test_who_connects_need_not_bind(sockreuse_netns: Any, capsys: Capture) -> None:
    left = time_wait(side="client", old_reuse=False)
    with server(port=9000):
        _, out = asked(f"127.0.0.1:{left.port}", "--connect", "127.0.0.1:9000", capsys=capsys)
    assert "bind EADDRINUSE" in out
    assert "do not bind before connect" in out
    assert "if both are to serve the port" not in out


@linux_only
def test_where_no_route_leads(sockreuse_netns: Any, capsys: Capture) -> None:
    status, out = asked("--connect", "192.0.2.9:80", capsys=capsys)
    assert (status, "connect ENETUNREACH (by the routes of this system)" in out) == (1, True)
    for name in ("all", "lo"):
        sockreuse_netns.set(f"net.ipv6.conf.{name}.disable_ipv6", 1)
    status, out = asked("--connect", "[::1]:80", capsys=capsys)
    assert status == 1
    assert "connect EADDRNOTAVAIL" in out and "this system has no IPv6" in out


# --- the range --------------------------------------------------------------------------------------------------------


@linux_only
def test_nothing_taken_is_nothing_to_relieve(port_range: Callable[[int, int], None], capsys: Capture) -> None:
    port_range(40000, 40003)
    status, out = asked("--range", capsys=capsys)
    assert status == 0
    assert "a port is left" in out and "relief" not in out


def test_processes_that_are_not_seen_are_said_to_be_so() -> None:
    here = ("127.0.0.1", 40000)
    seats = [Seat(socket.AF_INET, here, ("127.0.0.1", 9), state, inode, ()) for state, inode in _LEFT]
    found = Census(40000, 40009, frozenset(), seats)
    assert exhaustion.processes(found) == {
        "processes that cannot be seen": 1,
        "no process, or none that can be seen": 1,
    }
    assert exhaustion.unseen(found) == ["the processes of 1 port: ask as root"]


def test_processes_with_equally_many_ports_are_all_named() -> None:
    seats = [
        Seat(socket.AF_INET, ("127.0.0.1", 40000 + n), ("", 0), "BOUND", n + 1, (2_000_000 + n,)) for n in range(9)
    ]
    rows = dict(exhaustion.rows(Census(40000, 40009, frozenset(), seats)))
    assert rows["by"].startswith("a process (pid 2000000): 1 port; a process (pid 2000001): 1 port; ")
