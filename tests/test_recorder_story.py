"""The recorder: what is told of the sockets that it saw, as a scenario."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import sys
from collections.abc import Callable, Iterator

import pytest
from recording import LOCAL, REUSEPORT, text, told, trace

from pytest_sockreuse.recorder.reconstruct import reconstruct

REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


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

    found = trace(act)
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
    assert str(reconstruct(events)[0].scenario) == text("""
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
    found, _ = reconstruct(events)
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
        ("bind", 3, (("255.255.255.255", 5353), None), 0, ()),
        ("connect", 3, (("127.0.0.1", 9), None), 0, ()),
        ("socket", 4, (2, 3, 1), 0, ()),
        ("bind", 4, (("127.0.0.1", 0), None), 0, ()),
    ]
    found, _ = reconstruct(events)
    assert not found.calls
    assert sum(found.left_out.values()) == 2


def test_a_connect_that_is_under_way() -> None:
    def act(ask: Callable[[socket.socket], object]) -> str:
        def connect() -> None:
            with socket.create_server(LOCAL) as server, socket.socket() as client:
                client.setblocking(False)
                client.connect_ex(server.getsockname())
                ask(client)

        (call,) = (call for call in trace(connect).calls if call.verb == "connect")
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

    assert [call.outcome for call in trace(refused).calls if call.verb == "connect"] == ["ECONNREFUSED"]


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

    assert [call.sock for call in trace(act).calls]
    names = {line.split(" =")[0] for line in told(act).splitlines() if " = " in line}
    assert names == {"rendezvous", "bound", "control"}


def test_a_call_knows_its_line() -> None:
    def act() -> None:
        listener = socket.create_server(LOCAL)
        listener.close()

    found = trace(act)
    (bind,) = (call for call in found.calls if call.verb == "bind")
    assert bind.places[0].function == "create_server"
    assert bind.places[1].source.strip() == "listener = socket.create_server(LOCAL)"
    assert str(bind.places[1]).endswith(f"test_recorder_story.py:{bind.places[1].line}")
    assert bind.places[-1].function == "test_a_call_knows_its_line"
