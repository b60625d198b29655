"""The recorder: every way to make a socket is seen, and told as the same trace."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import selectors
import socket
import socketserver
import ssl
import sys
import threading
import urllib.request
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from recording import LOCAL, plain, text, told, trace

from pytest_sockreuse.recorder.calls import Piece

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
    found = trace(act)
    (piece,) = found.pieces
    renamed = dict(zip(piece.names, ("listener", "client", "child"), strict=True))
    shown = str(Piece(piece.calls, renamed, piece.options).scenario)
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
