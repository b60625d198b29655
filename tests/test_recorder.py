"""The recorder: Python's sockets watched, and what they did told as a scenario."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import http.server
import os
import selectors
import signal
import socket
import socketserver
import ssl
import sys
import textwrap
import threading
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current, named
from pytest_sockreuse.recorder import watch
from pytest_sockreuse.recorder.calls import Part
from pytest_sockreuse.recorder.children import Children
from pytest_sockreuse.recorder.judge import Judge
from pytest_sockreuse.recorder.story import Story, tell
from pytest_sockreuse.recorder.tape import Tape
from pytest_sockreuse.recorder.words import NUMBERS

LOCAL = ("127.0.0.1", 0)
REUSEPORT: int = getattr(socket, "SO_REUSEPORT", 15)
REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
TARGETS = [named(name) for name in ("linux-7.3.4", "macos-26", "windows-11", "freebsd-15.0")]


@contextlib.contextmanager
def recorded(limit: int = 5000) -> Iterator[Tape]:
    with watch.recording(Tape(limit), frozenset(NUMBERS)) as tape:
        yield tape


def story(act: Callable[[], object]) -> Story:
    with recorded() as tape:
        act()
        gc.collect()
    return tell(tape.events)[0]


def told(act: Callable[[], object]) -> str:
    return str(story(act).scenario)


def text(lines: str) -> str:
    return textwrap.dedent(lines).lstrip("\n")


# --- every way to make a socket ---------------------------------------------------------------------------------------


def plain() -> None:
    listener = socket.socket()
    listener.bind(LOCAL)
    listener.listen()
    client = socket.socket()
    client.connect(listener.getsockname())
    child, _ = listener.accept()
    for sock in (child, client, listener):
        sock.close()


PLAIN = """
listener = tcp4()
listener.bind(127.0.0.1:0)
listener.listen()
client = tcp4()
client.connect(127.0.0.1:listener.port)
child = listener.accept()
child.close()
client.close()
listener.close()
"""


def helpers() -> None:
    with socket.create_server(LOCAL) as server, socket.create_connection(server.getsockname()), server.accept()[0]:
        pass


def asynchronous() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(serve, *LOCAL)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def in_threads() -> None:
    def serve() -> None:
        child, _ = listener.accept()
        child.close()
        done.set()

    done = threading.Event()
    listener = socket.socket()
    listener.bind(LOCAL)
    listener.listen()
    thread = threading.Thread(target=serve)
    thread.start()
    client = socket.create_connection(listener.getsockname())
    done.wait()
    client.close()
    thread.join()
    listener.close()


def with_ssl() -> None:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare = socket.socket()
    bare.bind(LOCAL)
    bare.listen()
    with server_side.wrap_socket(bare, server_side=True, do_handshake_on_connect=False) as listener:
        client = client_side.wrap_socket(socket.socket(), do_handshake_on_connect=False, server_hostname="here")
        client.connect(listener.getsockname())
        child, _ = listener.accept()
        child.close()
        client.close()


def with_socketserver() -> None:
    closed = threading.Event()

    class Server(socketserver.ThreadingTCPServer):
        def shutdown_request(self, request: Any) -> None:
            self.close_request(request)
            closed.set()

    class Handler(socketserver.BaseRequestHandler):
        pass

    with Server(LOCAL, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        client = socket.create_connection(server.server_address)  # type: ignore[arg-type]
        closed.wait()
        client.close()
        server.shutdown()
        thread.join()


def with_http_server() -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.HTTPServer(LOCAL, Handler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/").close()
    thread.join()
    server.server_close()


def with_selectors() -> None:
    with selectors.DefaultSelector() as selector:
        listener = socket.socket()
        listener.bind(LOCAL)
        listener.listen()
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            listener.accept()
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        selector.register(client, selectors.EVENT_WRITE)
        selector.select()
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        child, _ = listener.accept()
        for sock in (child, client, listener):
            sock.close()


def by_another_object() -> None:
    made = socket.socket()
    made.bind(LOCAL)
    listener = made.dup()
    made.close()
    listener.listen()
    again = socket.socket(fileno=listener.detach())
    copy = socket.fromfd(again.fileno(), again.family, again.type)
    again.close()
    client = socket.create_connection(copy.getsockname())
    child, _ = copy.accept()
    stream = child.makefile("rb")
    child.close()
    stream.close()  # the last to refer to it
    client.close()
    copy.close()


def left_to_the_collector() -> None:
    listener = socket.socket()
    listener.bind(LOCAL)
    listener.listen()
    client = socket.create_connection(listener.getsockname())
    child, _ = listener.accept()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del child
        del client
        del listener


@pytest.mark.parametrize(
    "act",
    [
        plain, helpers, asynchronous, in_threads, with_ssl, with_socketserver, with_http_server, with_selectors,
        by_another_object, left_to_the_collector,
    ],
)  # fmt: skip
def test_each_way_to_make_a_connection_is_the_same_story(act: Callable[[], None]) -> None:
    found = story(act)
    (part,) = found.parts
    renamed = dict(zip(part.names, ("listener", "client", "child"), strict=True))
    shown = str(Part(part.calls, renamed, part.options).scenario)
    steps = [line.replace("tcp4(SO_REUSEADDR)", "tcp4()") for line in shown.splitlines() if "shutdown" not in line]
    wanted = PLAIN.split("\n")[1:-1]
    ends = ["child.close()", "client.close()", "listener.close()"]
    assert [step for step in steps if step not in ends] == [step for step in wanted if step not in ends]
    assert sorted(step for step in steps if step in ends) == sorted(ends)
    assert not found.left_out


def test_pairs_and_other_families_are_no_part_of_it() -> None:
    def act() -> None:
        for sock in socket.socketpair():
            sock.close()
        if sys.platform != "win32":
            with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
                sock.bind("/nowhere/at/all")

    assert told(act) == ""


def test_datagrams() -> None:
    def act() -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            here, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=LOCAL)
            address = here.get_extra_info("sockname")
            there, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
            there.close()
            here.close()

        asyncio.run(main())

    assert told(act) == text("""
        udp = udp4()
        udp.bind(127.0.0.1:0)
        udp2 = udp4()
        udp2.connect(127.0.0.1:udp.port)
        udp2.close()
        udp.close()
    """)


# --- what is told -----------------------------------------------------------------------------------------------------


def test_options_are_those_that_bear_on_ports() -> None:
    def act() -> None:
        with socket.socket() as late:
            late.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            late.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\2\0\0\0")
            late.bind(LOCAL)
            late.setsockopt(socket.SOL_SOCKET, REUSEPORT, b"\1\0\0\0")
            with pytest.raises(OSError, match="rotocol"):
                late.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)

    assert told(act) == text("""
        late = tcp4(SO_LINGER=2)
        late.bind(127.0.0.1:0)
        late.set(SO_REUSEPORT)
        late.set(IPV6_V6ONLY)?
        late.close()
    """)


def test_failures_are_told_and_reach_the_program() -> None:
    def act() -> None:
        first = socket.socket()
        with first, socket.socket() as second, socket.socket() as third:
            first.bind(LOCAL)
            with pytest.raises(OSError, match="in use") as caught:
                second.bind(first.getsockname())
            assert caught.value.errno == errno.EADDRINUSE
            with pytest.raises(ConnectionRefusedError):
                third.connect(first.getsockname())

    found = story(act)
    assert str(found.scenario) == text("""
        first = tcp4()
        bound = tcp4()
        client = tcp4()
        first.bind(127.0.0.1:0)
        bound.bind(127.0.0.1:first.port)?
        client.connect(127.0.0.1:first.port)?
        client.close()
        bound.close()
        first.close()
    """)
    assert [call.outcome for call in found.calls if call.outcome != "ok"] == ["EADDRINUSE", "ECONNREFUSED"]


def test_a_name_that_is_not_found_is_no_call() -> None:
    def act() -> None:
        with socket.socket(socket.AF_INET6) as sock:
            with pytest.raises(socket.gaierror):
                sock.bind(LOCAL)
            with pytest.raises(socket.gaierror):
                sock.connect(LOCAL)

    assert told(act) == ""


def test_ports_named_by_number_are_symbols() -> None:
    events = [
        ("socket", 3, (2, 1, 0), 0, ()),
        ("bind", 3, (("", 40_000), None), 0, ()),
        ("listen", 3, None, 0, ()),
        ("socket", 4, (10, 2, 0), 0, ()),
        ("bind", 4, (("::1", 40_000, 0, 0), None), 0, ()),
        ("socket", 5, (2, 1, 0), 0, ()),
        ("bind", 5, (("localhost", 40_001), None), 0, ()),
        ("connect", 5, (("127.0.0.1", 40_000), None), 0, ()),
        ("socket", 6, (2, 1, 0), 0, ()),
        ("bind", 6, (("127.0.0.1", 80), None), errno.EACCES, ()),
    ]
    assert str(tell(events)[0].scenario) == text("""
        listener = tcp4()
        listener.bind(0.0.0.0:P)
        listener.listen()
        udp = udp6()
        udp.bind([::1]:P)
        outgoing = tcp4()
        outgoing.bind(127.0.0.1:Q)
        outgoing.connect(127.0.0.1:P)
        bound = tcp4()
        bound.bind(127.0.0.1:80)?
    """)


def test_the_other_end_in_another_process_has_a_stand_in() -> None:
    with socket.create_server(LOCAL) as unseen:

        def act() -> None:
            with socket.socket() as outgoing:
                outgoing.bind(LOCAL)
                outgoing.connect(unseen.getsockname())

        assert told(act) == text("""
            outgoing = tcp4()
            outgoing.bind(127.0.0.1:0)
            elsewhere = tcp4()
            elsewhere.bind(127.0.0.1:P)
            elsewhere.listen()
            outgoing.connect(127.0.0.1:P)
            peer = elsewhere.accept()
            outgoing.close()
            peer.close()
        """)
    unseen_client = socket.socket()

    def serve() -> None:
        with socket.create_server(LOCAL) as listener:
            unseen_client.connect(listener.getsockname())
            listener.accept()[0].close()

    assert told(serve) == text("""
        listener = tcp4(SO_REUSEADDR)
        listener.bind(127.0.0.1:0)
        listener.listen()
        visitor = tcp4()
        visitor.connect(127.0.0.1:listener.port)
        child = listener.accept()
        child.close()
        visitor.close()
        listener.close()
    """)
    unseen_client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="a port that two sockets have, and TCP_INFO")
def test_who_ended_first_and_what_was_left_unread() -> None:
    """Where the program chose the port: another may want it, and then TIME_WAIT and its side matter."""
    with socket.create_server(LOCAL) as unseen:

        def act(first: str) -> str:
            def connect() -> None:
                with socket.socket() as sock:
                    sock.setsockopt(*REUSE)
                    sock.bind(("127.0.0.1", port))
                    sock.connect(unseen.getsockname())
                    peer, _ = unseen.accept()
                    if first == "unread":
                        peer.sendall(b"x")
                    if first == "peer":
                        peer.close()
                    if first != "we":
                        select_readable(sock)
                    sock.close()
                    peer.close()

            return told(connect)

        for first, end in (
            ("we", "sock.close()\npeer.close()\n"),
            ("peer", "peer.close()\nsock.close()\n"),
            ("unread", "peer.send()\nsock.close()\npeer.close()\n"),
        ):
            with held_port() as port:
                shown = act(first).replace("outgoing", "sock")
            assert shown.endswith(end), shown


def select_readable(sock: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        selector.select()


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port that is bound with SO_REUSEADDR, so that only who sets that too can have it."""
    with socket.socket() as holder:
        holder.setsockopt(*REUSE)
        holder.bind(LOCAL)
        yield holder.getsockname()[1]


def test_other_machines_are_told_of_by_stand_ins() -> None:
    where = ("10.1.2.3", 40_000)
    events = [
        ("socket", 3, (2, 1, 0), 0, ()),
        ("bind", 3, (("0.0.0.0", 40_000), None), 0, ()),
        ("connect", 3, (("203.0.113.5", 7000), where), 0, ()),
        ("socket", 4, (2, 1, 0), 0, ()),
        ("bind", 4, (("10.1.2.3", 40_000), ("10.1.2.3", 40_000)), errno.EADDRINUSE, ()),
        ("connect", 4, (("203.0.113.9", 7000), ("10.1.2.3", 50_000)), errno.ECONNREFUSED, ()),
        ("socket", 5, (2, 1, 0), 0, ()),
        ("connect", 5, (("203.0.113.9", 7000), ("10.1.2.3", 50_001)), errno.ENETUNREACH, ()),
        ("socket", 6, (2, 1, 0), 0, ()),
        ("bind", 6, (("198.18.0.1", 0), None), errno.EADDRNOTAVAIL, ()),
        ("close", 3, (False, True), 0, ()),
    ]
    found, _ = tell(events)
    assert str(found.scenario) == text("""
        address 192.0.2.1
        outgoing = tcp4()
        outgoing.bind(0.0.0.0:P)
        elsewhere = tcp4()
        elsewhere.bind(192.0.2.1:Q)
        elsewhere.listen()
        outgoing.connect(192.0.2.1:Q)
        peer = elsewhere.accept()
        client = tcp4()
        client.bind(192.0.2.1:P)?
        client.connect(192.0.2.1:R)?
        bound = tcp4()
        bound.bind(198.51.100.1:0)?
        peer.close()
        outgoing.close()
    """)
    assert found.left_out == {"a socket that could not reach another machine": 1}


def test_a_host_by_name_is_where_it_led() -> None:
    name = socket.gethostname()
    if socket.gethostbyname(name) not in ("127.0.0.1", "127.0.1.1"):
        pytest.skip("this host's name is no loopback address, so nothing is bound there")

    def act() -> None:
        with socket.socket() as listener:
            listener.bind((name, 0))
            listener.listen()
            with socket.create_connection((name, listener.getsockname()[1])), listener.accept()[0]:
                pass

    assert "elsewhere" not in told(act)
    assert "visitor" not in told(act)


def test_addresses_without_a_word_leave_their_socket_out() -> None:
    events = [
        ("socket", 3, (2, 2, 0), 0, ()),
        ("bind", 3, (("224.0.0.251", 5353), None), 0, ()),
        ("connect", 3, (("127.0.0.1", 9), None), 0, ()),
        ("socket", 4, (2, 3, 1), 0, ()),
        ("bind", 4, (("127.0.0.1", 0), None), 0, ()),
    ]
    found, _ = tell(events)
    assert not found.calls
    assert sum(found.left_out.values()) == 2


def test_a_connect_that_is_under_way() -> None:
    def act(ask: Callable[[socket.socket], object]) -> str:
        def connect() -> None:
            with socket.create_server(LOCAL) as server, socket.socket() as client:
                client.setblocking(False)
                client.connect_ex(server.getsockname())
                ask(client)

        (call,) = (call for call in story(connect).calls if call.verb == "connect")
        return call.outcome

    def again(client: socket.socket) -> None:
        assert client.connect_ex(client.getpeername()) in (0, errno.EISCONN)

    assert act(lambda client: client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) == "ok"
    assert act(again) == "ok"
    assert act(socket.socket.fileno) == "ok", "closing asks at the last moment"

    def refused() -> None:
        with held_port() as port, socket.socket() as client:
            client.settimeout(5)
            with pytest.raises(ConnectionRefusedError):
                client.connect(("127.0.0.1", port))

    assert [call.outcome for call in story(refused).calls if call.verb == "connect"] == ["ECONNREFUSED"]


def test_names_tell_what_the_code_calls_them() -> None:
    class Peer:
        def __init__(self) -> None:
            self._control = socket.create_server(LOCAL)

    def act() -> None:
        with socket.socket() as rendezvous:
            rendezvous.bind(LOCAL)
        s = socket.socket()
        s.bind(LOCAL)
        s.close()
        Peer()._control.close()

    assert [call.sock for call in story(act).calls]
    names = {line.split(" =")[0] for line in told(act).splitlines() if " = " in line}
    assert names == {"rendezvous", "bound", "control"}


def test_a_call_knows_its_line() -> None:
    def act() -> None:
        listener = socket.create_server(LOCAL)
        listener.close()

    found = story(act)
    (bind,) = (call for call in found.calls if call.verb == "bind")
    assert bind.places[0].function == "create_server"
    assert bind.places[-1].source.strip() == "listener = socket.create_server(LOCAL)"
    assert str(bind.places[-1]).endswith(f"test_recorder.py:{bind.places[-1].line}")


# --- bounds, and leaving no trace -------------------------------------------------------------------------------------


def test_too_many_calls_are_counted_not_kept() -> None:
    with recorded(limit=10) as tape:
        for _ in range(10):
            plain()
    assert len(tape.events) == 10
    assert tape.cut > 50


def test_sockets_that_live_on_are_part_of_the_next_story() -> None:
    with recorded() as tape:
        with socket.create_server(LOCAL) as server:
            plain()
            _, rest = tell(tape.events)
            assert [event[0] for event in rest] == ["socket", "set", "bind", "listen"]
            before = len(rest)
            tape.go_on(rest)
            with socket.create_connection(server.getsockname()), server.accept()[0]:
                pass
        found, rest = tell(tape.events, before)
    assert not rest
    assert [call.verb for call in found.calls if call.old] == ["socket", "bind", "listen"]
    assert "visitor" not in str(found.scenario)
    assert [call.verb for call in found.calls if not call.old] == [
        "socket", "connect", "accept", "close", "close", "close",
    ]  # fmt: skip


def test_the_class_is_as_it_was() -> None:
    before = dict(vars(socket.socket))
    with contextlib.suppress(ZeroDivisionError), recorded() as outer:
        assert vars(socket.socket)["bind"] is not before.get("bind")
        with recorded() as inner:
            plain()
        assert inner.events
        assert not outer.events
        plain()
        raise ZeroDivisionError
    assert outer.events
    assert dict(vars(socket.socket)) == before
    assert list(vars(socket.socket)) == list(before)


def test_a_wrapper_of_the_programs_own_stays() -> None:
    real = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        real_bind(self, address)

    try:
        with recorded():
            real_bind = socket.socket.bind
            socket.socket.bind = bind  # type: ignore[method-assign, assignment]
        assert socket.socket.bind is bind
        with socket.socket() as sock:
            sock.bind(LOCAL)
    finally:
        del socket.socket.bind
    assert socket.socket.bind is real


def test_an_unclosed_socket_is_warned_of_once() -> None:
    def leak() -> list[warnings.WarningMessage]:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            sock = socket.socket()
            del sock
            gc.collect()
        return seen

    with recorded() as tape:
        assert len(leak()) == 1
    assert [event[0] for event in tape.events] == ["socket", "close"]
    assert len(leak()) == 1


# --- children ---------------------------------------------------------------------------------------------------------

if sys.platform != "win32":

    @pytest.mark.parametrize("ending", ["exit", "kill"])
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_forked_child_has_a_story_of_its_own(ending: str) -> None:
        with recorded() as tape:
            children = Children(tape)
            try:
                with socket.create_server(LOCAL) as listener:
                    reader, writer = os.pipe()
                    child = os.fork()
                    if not child:
                        try:
                            listener.setsockopt(socket.SOL_SOCKET, REUSEPORT, b"\1\0\0\0")
                            client = socket.create_connection(listener.getsockname())
                            os.write(writer, b"x")
                            if ending == "kill":
                                signal.pause()
                        finally:
                            os._exit(client.fileno() < 0)
                    os.read(reader, 1)
                    if ending == "kill":
                        os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    os.close(reader)
                    os.close(writer)
                ((events, old),) = children.collect(last=True)
                assert not list(children.collect(last=True))
            finally:
                children.close()
        assert not children.directory.exists()
        found, _ = tell(events, old)
        assert str(found.scenario) == text("""
            listener = tcp4(SO_REUSEADDR)
            listener.bind(127.0.0.1:0)
            listener.listen()
            listener.set(SO_REUSEPORT)
            client = tcp4()
            client.connect(127.0.0.1:listener.port)
        """)
        assert [call.old for call in found.calls] == [True, True, True, False, False, False]
        assert str(tell(tape.events)[0].scenario) == text("""
            listener = tcp4(SO_REUSEADDR)
            listener.bind(127.0.0.1:0)
            listener.listen()
            listener.close()
        """)

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_child_that_nobody_asks_is_not_watched() -> None:
        with recorded():
            child = os.fork()
            if not child:
                os._exit("bind" in vars(socket.socket))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- any sequence of calls --------------------------------------------------------------------------------------------

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
    found, rest = tell(tape.events)
    assert not rest
    assert not tape.fds
    assert parse(str(found.scenario)).steps == found.scenario.steps
    judge = Judge(current(), TARGETS)
    for part in found.parts:
        assert parse(str(part.scenario)).steps == part.scenario.steps
        judgement = judge.judge(part)
        ours = [why for why in judgement.unknown.values() if f"not what the model of {current()} says" in why]
        assert not ours, f"{ours[0]}\n{part.scenario}"


@given(st.binary(max_size=16), st.sampled_from(sorted(NUMBERS)))
def test_any_value_of_an_option_is_written_as_the_language_has_it(value: bytes, where: tuple[int, int]) -> None:
    for given_ in (value, int.from_bytes(value[:4], sys.byteorder, signed=True)):
        found, _ = tell([("socket", 3, (2, 1, 0), 0, ()), ("set", 3, (*where, given_), 0, ()),
                         ("bind", 3, (LOCAL, None), 0, ())])  # fmt: skip
        assert parse(str(found.scenario)).steps == found.scenario.steps
