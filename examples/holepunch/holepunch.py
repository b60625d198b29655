"""TCP hole punching: two peers, each behind a NAT, open one connection between them and send a file through it.

    holepunch.py rendezvous HOST:PORT                   on a machine that both can reach
    holepunch.py receive HOST:PORT SESSION PORT FILE    on one peer; HOST and PORT are the machine's
    holepunch.py send HOST:PORT SESSION PORT FILE       on the other; the second PORT is each peer's own

A NAT lets a packet in if it looks like the answer to one that went out. So both peers connect, each to the address at
which the rendezvous server saw the other: the first SYN to go out opens its own NAT and is lost at the other's, the
next one gets through. To TCP the SYNs have crossed, a simultaneous open, and both calls of connect() end with the same
connection. All this works only if everything happens on the *one* local port that the NAT has a mapping for: the
connection to the server, the connection to the peer, and a listener, for a peer whose NAT shows it at another port.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import sys
from pathlib import Path

import pytest_sockreuse as sockreuse

Endpoint = tuple[str, int]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

LINE = 1024  # bytes that a line of the protocol may have
CROWD = 1000  # peers that may wait at the server
PATIENCE = 20.0  # seconds for the other peer to come, and again for the connection to it

# --- the rendezvous server: tells each of two peers where the other was seen ------------------------------------------


class Rendezvous:
    """Introduces two peers that name the same session; `waiting` has those that came first."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.StreamWriter] = {}

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One peer's visit: it names its session, and hears where the other is and how the two know each other."""
        session = b""
        with contextlib.suppress(ValueError, ConnectionError, TimeoutError):
            session = await asyncio.wait_for(reader.readline(), PATIENCE)
            if other := self.waiting.pop(session, None):
                words = secrets.token_hex(16), secrets.token_hex(16)
                for guest, host, (say, expect) in ((writer, other, words), (other, writer, words[::-1])):
                    address, port = host.get_extra_info("peername")
                    guest.write(f"{address} {port} {say} {expect}\n".encode())
            elif session.endswith(b"\n") and len(self.waiting) < CROWD:
                self.waiting[session] = writer
                await asyncio.wait_for(reader.read(1), PATIENCE)  # until it leaves
        if self.waiting.get(session) is writer:
            del self.waiting[session]
        writer.close()


async def rendezvous(at: Endpoint) -> None:
    """Serve for ever."""
    server = await asyncio.start_server(Rendezvous().meet, *at, limit=LINE)
    print("ready", flush=True)
    await server.serve_forever()


# --- a peer: three sockets on one port --------------------------------------------------------------------------------


def bound(port: int) -> socket.socket:
    """A socket that shares the port with the others of this peer."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", port))
    sock.setblocking(False)
    return sock


async def peer(server: Endpoint, session: str, port: int, leads: bool) -> Streams:
    """A connection to the other peer of the session. The order of these calls is what everything stands on."""
    visitor, outgoing, listener = bound(port), bound(port), bound(port)
    listener.listen()  # last of all: on Linux no socket joins a port any more that has a listener
    print(f"listening on port {port}", flush=True)
    with contextlib.closing(listener):
        where, say, expect = await asyncio.wait_for(introduced(visitor, server, session), PATIENCE)
        return await asyncio.wait_for(punched(outgoing, listener, where, (say, expect), leads), PATIENCE)


async def introduced(visitor: socket.socket, server: Endpoint, session: str) -> tuple[Endpoint, bytes, bytes]:
    """Go to the server, from our port: where the other peer is, what to say to it, and what to expect."""
    await asyncio.get_running_loop().sock_connect(visitor, server)
    reader, writer = await asyncio.open_connection(sock=visitor, limit=LINE)
    writer.write(session.encode() + b"\n")
    address, port, say, expect = (await reader.readline()).decode().split()
    writer.close()
    return (str(ipaddress.IPv4Address(address)), int(port)), say.encode() + b"\n", expect.encode() + b"\n"


async def punched(
    outgoing: socket.socket, listener: socket.socket, where: Endpoint, words: tuple[bytes, bytes], leads: bool
) -> Streams:
    """The connection to our peer, ours to it or its to us; if it should have two, the leader chooses."""
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[tuple[str, Streams]] = asyncio.Queue()

    async def connect() -> None:
        try:
            await loop.sock_connect(outgoing, where)
        except (OSError, asyncio.CancelledError):  # EADDRNOTAVAIL: the listener has this very connection already
            outgoing.close()
        else:
            await offer("connected", outgoing)

    async def accept() -> None:
        while True:
            sock, _ = await loop.sock_accept(listener)
            tasks.append(asyncio.create_task(offer("accepted", sock)))

    async def offer(how: str, sock: socket.socket) -> None:
        if streams := await recognised(sock, *words, leads):
            await found.put((how, streams))

    tasks = [asyncio.create_task(connect()), asyncio.create_task(accept())]
    try:
        how, streams = await found.get()
    finally:
        for task in tasks:
            task.cancel()
    if leads:
        streams[1].write(b"this\n")
    print(how, *streams[1].get_extra_info("peername"), flush=True)
    return streams


async def recognised(sock: socket.socket, say: bytes, expect: bytes, leads: bool) -> Streams | None:
    """Whether it is our peer that is at the other end, for anyone may find an open port, and means this connection."""
    reader, writer = await asyncio.open_connection(sock=sock, limit=LINE)
    with contextlib.suppress(ValueError, ConnectionError, asyncio.CancelledError):
        writer.write(say)
        known = secrets.compare_digest(await reader.readline(), expect)
        if known and (leads or await reader.readline() == b"this\n"):
            return reader, writer
    writer.close()
    return None


async def transfer(role: str, server: Endpoint, session: str, port: int, file: Path) -> None:
    """Send or receive a file; its end is the connection's."""
    reader, writer = await peer(server, session, port, leads=role == "send")
    if role == "send":
        writer.write(file.read_bytes())
        writer.write_eof()
        await reader.read()  # until the receiver has it all
    else:
        with open(file, "wb") as out:
            while chunk := await reader.read(1 << 16):
                out.write(chunk)
    writer.close()
    await writer.wait_closed()


def main(role: str = "", server: str = "", *rest: str) -> None:
    """Do what the command line says; see the head of this file."""
    if len(rest) != {"rendezvous": 0, "send": 3, "receive": 3}.get(role):
        sys.exit(__doc__)
    try:
        host, _, number = server.rpartition(":")
        if role == "rendezvous":
            asyncio.run(rendezvous((host, int(number))))
        else:
            sockreuse.require("natcheck")  # or say at once why it cannot work here, and what would
            session, port, file = rest
            asyncio.run(transfer(role, (host, int(number)), session, int(port), Path(file)))
    except TimeoutError:
        sys.exit(f"holepunch: no connection to the other peer within {PATIENCE:.0f} seconds")
    except (OSError, ValueError, OverflowError, sockreuse.GuardError) as error:
        sys.exit(f"holepunch: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
