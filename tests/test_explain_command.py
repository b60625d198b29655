"""`sockreuse explain`: questions, answers, what a program reads; other systems by fakes of what they tell."""

from __future__ import annotations

import json
import os
import socket
import string
import struct
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from here import LINUX, linux_only
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse import cli, platforms
from pytest_sockreuse.diagnosis import addresses, inquiry, sight
from pytest_sockreuse.live import census, holders, port_blocks, sockdiag
from pytest_sockreuse.ports import Ports
from pytest_sockreuse.report import explanations

Capture = pytest.CaptureFixture[str]
PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=200)


def asked(*arguments: str, capsys: Capture) -> tuple[int, str]:
    status = cli.main(["explain", *arguments])
    out, err = capsys.readouterr()
    assert not err
    return status, out


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("8080", ("", 8080)),
        (":8080", ("", 8080)),
        ("*:8080", ("", 8080)),
        ("8080/udp", ("", 8080)),
        ("[::]:8080", ("::", 8080)),
        (":::8080", ("::", 8080)),
        ("::1:8080", ("::1", 8080)),
        ("[fe80::1%eth0]:8080", ("fe80::1%eth0", 8080)),
        ("127.0.0.53%lo:53", ("127.0.0.53%lo", 53)),
        ("localhost.8080", ("localhost", 8080)),
        ("tcp:8080", ("", 8080)),
        ("udp/53", ("", 53)),
        ("ipv6:%5B::1%5D:50051", ("::1", 50051)),
        ("ipv4:127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::ffff:127.0.0.1]:8080", ("::ffff:127.0.0.1", 8080)),
        ("127.0.0.1.8080", ("127.0.0.1", 8080)),
        ("localhost:8080", ("localhost", 8080)),
        ("tcp://0.0.0.0:8080", ("0.0.0.0", 8080)),
        ("http://localhost:8080/path", ("localhost", 8080)),
        ("('127.0.0.1', 8080)", ("127.0.0.1", 8080)),
        ("('::1', 8080, 0, 0)", ("::1", 8080)),
        ("[Errno 98] error while attempting to bind on address ('::1', 80): address already in use", ("::1", 80)),
        ("Error: listen EADDRINUSE: address already in use :::8080", ("::", 8080)),
        ("listen tcp :8080: bind: address already in use", ("", 8080)),
        ("listen tcp 127.0.0.1:8080: bind: address already in use", ("127.0.0.1", 8080)),
        ("Bind for 0.0.0.0:8080 failed: port is already allocated", ("0.0.0.0", 8080)),
        ("nginx: [emerg] bind() to [::]:80 failed (98: Address already in use)", ("::", 80)),
        ("Web server failed to start. Port 8080 was already in use.", ("", 8080)),
        ("java.net.BindException: localhost/127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("bind [127.0.0.1]:8080: Address already in use", ("127.0.0.1", 8080)),
        ("error: Bind to port 22 on 0.0.0.0 failed: Address already in use.", ("0.0.0.0", 22)),
        ('Address already in use - bind(2) for "127.0.0.1" port 3000 (Errno::EADDRINUSE)', ("127.0.0.1", 3000)),
        ("connect EADDRNOTAVAIL 127.0.0.1:8080 - Local (0.0.0.0:0)", ("127.0.0.1", 8080)),
        ("main.go:12: listen tcp :8080: bind: address already in use", ("", 8080)),
        ("Port already in use: 9000", ("", 9000)),
        ("Something is already running on port 3000.", ("", 3000)),
    ],
)  # fmt: skip
def test_an_address_as_messages_print_it(text: str, place: addresses.Named) -> None:
    assert addresses.parsed(text) == place


@settings(PROPERTY)
@given(st.text(string.printable, max_size=60) | st.text(max_size=30))
def test_any_text_is_an_address_or_a_line_that_says_why_not(text: str) -> None:
    try:
        host, port = addresses.parsed(text)
    except addresses.AddressError as error:
        host, port = str(error), 0
    assert 0 <= port < 65536
    assert host.isprintable()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "explain needs an address"),
        (["70000"], "70000 is no port"),
        (["256.0.0.1:80"], "'256.0.0.1' is no address"),
        (["127.0.0.1:80 and 127.0.0.1:81"], "names several addresses"),
        (["there"], "names no port"),
        (["::1"], "'::1' names no port"),
        (["\u0436:80"], "'\u0436' is no address"),
        (["127.0.0.1:8080", "IPV6_V6ONLY"], "IPV6_V6ONLY is an option of IPv6"),
        (["8080", "SO_FOO"], "'SO_FOO' is no option"),
        (["8080", "SO_EXCLUSIVEADDRUSE"], "SO_EXCLUSIVEADDRUSE cannot be set here (ENOPROTOOPT)"),
        (["8080", "--as", "nobody-of-that-name"], "no user 'nobody-of-that-name' here"),
        (["8080", "--connect", "127.0.0.1:0"], "nobody can connect to port 0"),
        (["127.0.0.1:8080", "--connect", "[::1]:80"], "of two families"),
        (["--range", "8080"], "--range asks about all ports"),
        (["8080\x1b[2J"], "\\x1b"),
    ],
)
def test_a_wrong_question_is_one_line(arguments: list[str], why: str, capsys: Capture) -> None:
    assert cli.main(["explain", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert why in err
    assert err.count("\n") == 1


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_port_that_nobody_has(give: Ports, capsys: Capture) -> None:
    port = give.hold("tcp").release()
    status, out = asked(f"127.0.0.1:{port}", capsys=capsys)
    assert status == 0
    assert "bind ok, listen ok (tried here)" in out
    with socket.create_server(("127.0.0.1", port)):
        pass  # the trial has left nothing


@linux_only
def test_options_may_stand_anywhere(listener: socket.socket, capsys: Capture) -> None:
    port = listener.getsockname()[1]
    status, out = asked(f"127.0.0.1:{port}", "--udp", "SO_REUSEADDR", "--json", "SO_REUSEPORT", capsys=capsys)
    found = json.loads(out)
    assert (found["protocol"], found["options"]) == ("udp", ["SO_REUSEADDR", "SO_REUSEPORT"])
    assert status == 0


@linux_only
def test_what_a_program_reads(listener: socket.socket, capsys: Capture) -> None:
    port = listener.getsockname()[1]
    status, out = asked(f"localhost:{port}", "SO_REUSEADDR", "--json", capsys=capsys)
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    found = next(line for line in lines if line["local"] == f"127.0.0.1:{port}")
    assert (found["ok"], found["outcomes"], found["by"]) == (False, {"bind": "EADDRINUSE"}, "model")
    (sock,) = found["sockets"]
    assert (sock["state"], sock["in_the_way"], sock["options"]) == ("LISTEN", True, ["SO_REUSEADDR"])
    assert [process["pid"] for process in sock["processes"]] == [os.getpid()]
    assert found["clauses"][0]["name"] == "listener-excludes"
    assert found["fixes"]


@linux_only
@pytest.mark.parametrize("served", [True, False])
def test_a_destination_of_this_host(served: bool, listener: socket.socket, give: Ports, capsys: Capture) -> None:
    port = listener.getsockname()[1] if served else give.hold("tcp").release()
    status, out = asked("--connect", f"127.0.0.1:{port}", capsys=capsys)
    assert status == (not served)
    assert ("connect ok" if served else "connect ECONNREFUSED") in out


@linux_only
@pytest.mark.parametrize("old", [True, False])
def test_whether_the_dead_socket_shared_is_tried(
    old: bool, namespaces: str, sockreuse_netns: Any, capsys: Capture
) -> None:
    from pytest_sockreuse.endings import time_wait

    left = time_wait(old_reuse=old, port=8080)
    status, out = asked(f"127.0.0.1:{left.port}", "SO_REUSEADDR", capsys=capsys)
    assert status == (not old)
    assert ("bind ok, listen ok (tried here)" if old else "bind EADDRINUSE (tried here)") in out
    with socket.socket() as new:
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert (new.connect_ex(("127.0.0.1", 1)) != 0) and can_bind(new.family, left.port) == old


def can_bind(family: int, port: int) -> bool:
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@linux_only
def test_the_range(port_range: Callable[[int, int], None], capsys: Capture) -> None:
    port_range(40000, 40003)
    status, out = asked("--range", "--json", capsys=capsys)
    assert (status, json.loads(out)["taken"]) == (0, 0)
    kept = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    status, out = asked("--range", "--json", capsys=capsys)
    found = json.loads(out)
    assert status == 1
    assert (found["size"], found["taken"], found["states"]) == (4, 4, {"LISTEN": 4})
    assert found["processes"] == [{"process": f"this process (pid {os.getpid()})", "ports": 4}]
    status, out = asked("127.0.0.1:0", capsys=capsys)
    assert status == 1
    assert "bind EADDRINUSE (tried here)" in out
    for sock in kept:
        sock.close()


@linux_only
def test_a_system_without_ipv6(sockreuse_netns: Any, capsys: Capture) -> None:
    for name in ("all", "lo"):
        sockreuse_netns.set(f"net.ipv6.conf.{name}.disable_ipv6", 1)
    status, out = asked("8080", capsys=capsys)
    assert status == 0
    assert "[::]" not in out
    status, out = asked("[::1]:8080", capsys=capsys)
    assert status == 1
    assert "bind EADDRNOTAVAIL (tried here)" in out
    assert "(address-not-local)" in out
    assert "fix      this system has no IPv6" in out


@linux_only
def test_another_user(root_namespaces: str, sockreuse_netns: Any, capsys: Capture) -> None:
    status, out = asked("127.0.0.1:80", "--as", "65534", capsys=capsys)
    assert (status, "bind EACCES (tried here)" in out) == (1, True)
    status, out = asked("127.0.0.1:80", capsys=capsys)
    assert (status, "bind ok" in out) == (0, True)


# --- many sockets -----------------------------------------------------------------------------------------------------


def message(number: int) -> bytes:
    """A connection as sock_diag tells of it, struct inet_diag_msg."""
    local, foreign = socket.inet_aton("127.0.0.1").ljust(16, b"\0"), socket.inet_aton("127.0.0.2").ljust(16, b"\0")
    head = struct.pack("!BBBBHH", socket.AF_INET, 1, 0, 0, 8080 if number % 2 else number // 2 + 10000, 9)
    return head + local + foreign + struct.pack("=III", 0, number, 0) + struct.pack("=IIIII", 0, 0, 0, 1000, number + 1)


@linux_only
@pytest.mark.parametrize("arguments", [["127.0.0.1:8080"], ["--range"]])
def test_many_sockets(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    messages = [message(number) for number in range(60_000)]

    def dump(family: int, protocol: int, port: int, states: int) -> Iterator[bytes]:
        if family == socket.AF_INET and states & 2:
            yield from (it for it in messages if not port or int.from_bytes(it[4:6]) == port)

    monkeypatch.setattr(sockdiag, "_dump", dump)
    before = time.process_time()
    _, out = asked(*arguments, capsys=capsys)
    assert time.process_time() - before < 1
    assert ("29999 more such sockets" in " ".join(out.split())) if arguments[0] != "--range" else ("taken" in out)


# --- other systems ----------------------------------------------------------------------------------------------------


def connection(port: int, status: str, pid: int | None, foreign: int = 0) -> SimpleNamespace:
    """As psutil tells of a connection."""
    there = SimpleNamespace(ip="127.0.0.1", port=foreign) if foreign else ()
    here = SimpleNamespace(ip="127.0.0.1", port=port)
    return SimpleNamespace(family=socket.AF_INET, laddr=here, raddr=there, status=status, pid=pid)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Another system, with these connections; who is not `root` is shown its own only."""

    def make(name: str, *found: SimpleNamespace, root: bool = True) -> None:
        platform = platforms.named(name)
        for module in (inquiry, explanations):
            monkeypatch.setattr(module, "current", lambda: platform)

        def refuse(*_: Any) -> Any:
            raise OSError

        for module in (holders, census):
            for call in ("on_port", "listened", "in_range"):
                if hasattr(module, call):
                    monkeypatch.setattr(module, call, refuse)
        mine = [it for it in found if it.pid == os.getpid()]

        def connections(kind: str) -> list[SimpleNamespace]:
            if not root:
                raise psutil.AccessDenied
            return [*found] if kind == "tcp" else []

        monkeypatch.setattr(inquiry, "tried", lambda _: "EADDRINUSE")
        monkeypatch.setattr(psutil, "net_connections", connections)
        monkeypatch.setattr(psutil.Process, "net_connections", lambda _, kind: mine if kind == "tcp" else [])

    return make


@pytest.mark.skipif(not LINUX, reason="what is faked is what Linux has beside psutil")
@pytest.mark.parametrize("name", ["macos-15", "freebsd-14.0", "openbsd-7.7", "windows-11"])
def test_another_system(name: str, elsewhere: Callable[..., None], give: Ports, capsys: Capture) -> None:
    port = give.hold("tcp").release()
    elsewhere(name, connection(port, "LISTEN", os.getppid()), connection(port, "ESTABLISHED", os.getppid(), 9))
    status, out = asked(f"127.0.0.1:{port}", capsys=capsys)
    assert status == 1
    assert f"LISTEN at 127.0.0.1:{port}: " in out
    assert f"(pid {os.getppid()})" in out
    assert "clause   " in out
    assert "does not account" not in out
    assert ("fix      set SO_REUSEADDR" in out) <= (name != "windows-11")


@pytest.mark.skipif(not LINUX, reason="what is faked is what Linux has beside psutil")
def test_a_system_that_shows_only_our_own(elsewhere: Callable[..., None], give: Ports, capsys: Capture) -> None:
    port = give.hold("tcp").release()
    elsewhere("macos-15", connection(port, "LISTEN", os.getppid()), root=False)
    _, out = asked(f"127.0.0.1:{port}", capsys=capsys)
    assert "nobody that can be seen" in out


@pytest.mark.skipif(not LINUX, reason="what is faked is what Linux has beside psutil")
def test_the_range_of_another_system(elsewhere: Callable[..., None], capsys: Capture) -> None:
    low, _ = port_blocks.ephemeral()
    elsewhere("freebsd-14.0", *(connection(low + n, "TIME_WAIT", None, 80) for n in range(5)))
    _, out = asked("--range", "--json", capsys=capsys)
    assert json.loads(out)["states"] == {"TIME_WAIT": 5}


EXCLUDED = """
Protocol tcp Port Exclusion Ranges

Start Port    End Port
----------    --------
      5357        5357
     50000       50059     *

* - Administered port exclusions.
"""


def test_excluded_ranges_of_windows(
    elsewhere: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    ports = census.excluded(EXCLUDED)
    assert ports == {5357, *range(50000, 50060)}
    elsewhere("windows-11")
    monkeypatch.setattr(sight, "reserved_ports", lambda: ports)
    monkeypatch.setattr(inquiry, "tried", lambda _: "EACCES")
    status, out = asked("127.0.0.1:50007", capsys=capsys)
    assert status == 1
    assert "excluded range" in out
    assert "net stop winnat" in out
