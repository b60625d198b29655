"""The lease of a held port: what keeps others out and lets the application in, and what is told at its end."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from here import linux_only
from holding import line, opened, running

from pytest_sockreuse import platforms, ports
from pytest_sockreuse.live import holders
from pytest_sockreuse.live.placeholder import PROTOCOLS, STRICT, TECHNIQUES
from pytest_sockreuse.live.port_blocks import descriptors
from pytest_sockreuse.ports import PortError, Ports, PortWarning, leases

# --- a lease ----------------------------------------------------------------------------------------------------------


def test_nobody_else_has_the_port(give: Ports) -> None:
    lease = give.hold()
    for protocol in PROTOCOLS:
        for host in ("127.0.0.1", "::1"):
            with contextlib.suppress(OSError) if ":" in host else contextlib.nullcontext():
                if give.placeholders.technique.hosts[0][1] == "127.0.0.1":
                    with pytest.raises(OSError, match="in use"):
                        opened(lease, protocol=protocol, host=host)
    assert lease.address == ("127.0.0.1", lease.port)
    assert "tcp+udp held" in repr(lease)


@linux_only
@pytest.mark.parametrize("stack", ["linux", "freebsd", "gvisor"])
def test_an_application_binds_beside_the_placeholder(stack: str) -> None:
    technique = TECHNIQUES[stack]
    if stack == "freebsd":
        technique = replace(technique, reuse="after")  # which Linux needs of a connected one as well
    with Ports(technique) as give, give.hold() as lease:
        with opened(lease, "SO_REUSEADDR") as server, socket.create_connection(lease.address) as client:
            child, _ = server.accept()
            with child:
                client.sendall(b"x")
                assert child.recv(1) == b"x"
        with opened(lease, "SO_REUSEADDR", protocol="udp") as receiver, socket.socket(type=socket.SOCK_DGRAM) as sender:
            receiver.settimeout(5)
            sender.sendto(b"y", lease.address)
            assert receiver.recv(1) == b"y"
            receiver.sendto(b"z", lease.address)
            assert receiver.recv(1) == b"z"


def test_a_released_port_is_anybodys(give: Ports) -> None:
    lease = give.hold()
    assert lease.release() == lease.port
    with opened(lease), opened(lease, protocol="udp"):
        pass
    assert "handed over" in repr(lease)


def test_one_protocol_is_released(give: Ports) -> None:
    lease = give.hold()
    lease.release("udp")
    opened(lease, protocol="udp").close()
    assert "tcp held" in repr(lease)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("stack", [platforms.current().stack, "windows", "strict"])
def test_the_socket_itself(stack: str, protocol: ports.Protocol, family: int) -> None:
    if stack == "windows" and sys.platform not in ("linux", "win32"):
        pytest.skip("needs all of 127.0.0.0/8 to be local")

    class Socket(socket.socket):
        """A project's own."""

    with Ports(TECHNIQUES.get(stack, STRICT)) as give, give.hold() as lease:
        try:
            sock = lease.socket(protocol, family, Socket)
        except OSError:
            if family == socket.AF_INET:
                raise
            pytest.skip("no IPv6 here")
        with sock:
            assert isinstance(sock, Socket)
            assert sock.getsockname()[1] == lease.port
            if protocol == "tcp":
                sock.listen()
                with socket.create_connection(sock.getsockname()[:2]):
                    sock.accept()[0].close()
            else:
                with pytest.raises(OSError, match=r"in use|denied|permissions"):
                    opened(lease, "SO_REUSEADDR", protocol="udp", host=sock.getsockname()[0])


def test_ports_of_one_protocol(give: Ports) -> None:
    lease = give.hold("udp")
    opened(lease).close()
    with pytest.raises(PortError, match=r"is held for udp, not for 'tcp'"):
        lease.socket()
    with pytest.raises(PortError, match=r"is held for udp, not for 'tcp'"):
        lease.release("tcp")


def test_a_lease_ends_once(give: Ports) -> None:
    with give.hold() as lease:
        pass
    lease.close()
    with pytest.raises(PortError, match="has ended"):
        lease.release()


def test_nothing_is_left() -> None:
    before = descriptors()
    with Ports(replace(TECHNIQUES.get(platforms.current().stack, STRICT), connected=PROTOCOLS)) as give:
        give.hold_many(3)
        assert len(descriptors() - before) >= 6
    assert descriptors() == before


# --- what is told at the end ------------------------------------------------------------------------------------------


def test_a_port_left_open_is_told(give: Ports) -> None:
    lease = give.hold()
    with lease.socket() as server:
        server.listen()
        with pytest.warns(PortWarning, match=rf"held port {lease.port} was left open: TCP LISTEN at 127.0.0.1 by this"):
            lease.close()


def test_what_was_closed_is_not_told(give: Ports) -> None:
    lease = give.hold()
    with lease.socket() as server:
        server.listen()
        with socket.create_connection(lease.address) as client:
            child, _ = server.accept()
            child.close()  # first, so that TIME_WAIT stays here
            assert client.recv(1) == b""
    lease.close()


LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("listening", flush=True)
    sys.stdin.read()
"""


@linux_only
def test_who_left_it_open_is_told(give: Ports) -> None:
    lease = give.hold()
    child = running(LISTEN, str(lease.port))
    try:
        assert line(child) == "listening"
        with pytest.warns(PortWarning, match=rf"was left open: TCP LISTEN at 127.0.0.1 by .* \(pid {child.pid}\)$"):
            lease.close()
    finally:
        child.communicate(timeout=30)


ORPHAN = (
    """
import os, sys
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
"""
    + LISTEN
)


@linux_only
def test_a_thief_is_told(give: Ports) -> None:
    """A process that this one did not start (its parent is gone) and that sets SO_REUSEADDR, as any application may."""
    lease = give.hold()
    thief = running(ORPHAN, str(lease.port), start_new_session=True)
    pid = int(line(thief))
    try:
        assert line(thief) == "listening"
        told = rf"port {lease.port} was taken: TCP LISTEN at 127.0.0.1 by \S+ \(pid {pid}\), which this process did not"
        with pytest.warns(PortWarning, match=told):
            lease.release()
        with pytest.warns(PortWarning, match=told):
            lease.close()
    finally:
        thief.communicate(timeout=30)


@linux_only
def test_a_socket_whose_process_cannot_be_seen(monkeypatch: pytest.MonkeyPatch, give: Ports) -> None:
    monkeypatch.setattr(holders, "owners", lambda _: ({}, 1))
    lease = give.hold()
    child = running(LISTEN, str(lease.port))
    try:
        assert line(child) == "listening"
        told = r"was taken: TCP LISTEN at 127.0.0.1 by no process that can be seen, of user \d+, which"
        with pytest.warns(PortWarning, match=told):
            lease.close()
    finally:
        child.communicate(timeout=30)


@linux_only
@pytest.mark.parametrize("allowed", [True, False])
def test_psutil_tells_where_sock_diag_does_not(monkeypatch: pytest.MonkeyPatch, give: Ports, allowed: bool) -> None:
    import psutil

    def refuse(*arguments: Any) -> Any:
        raise OSError if arguments[0] != "tcp" else psutil.AccessDenied

    monkeypatch.setattr(holders, "on_port", refuse)
    if not allowed:
        monkeypatch.setattr(psutil, "net_connections", refuse)
    lease = give.hold()
    child = running(LISTEN, str(lease.port))
    try:
        assert line(child) == "listening"
        found = [(holder.state, holder.pid) for holder in holders.holders(lease.port) if holder.state == "LISTEN"]
        assert found == ([("LISTEN", child.pid)] if allowed else [])
    finally:
        child.communicate(timeout=30)


def test_a_program_may_close_all_that_it_inherited(give: Ports) -> None:
    lease = give.hold()
    for socks in lease._held.values():
        for sock in socks:
            os.close(sock.fileno())
    assert lease.release() == lease.port


# --- a number ---------------------------------------------------------------------------------------------------------


def test_a_held_port_is_a_number(give: Ports) -> None:
    lease, other = give.hold_many(2)
    assert lease == lease.port and type(lease.port) is type(int(lease)) is int
    assert f"{lease} {lease!s} {lease:>6}" == f"{lease.port} {lease.port} {lease.port:>6}"
    assert "%s:%d" % (lease, lease) == f"{lease.port}:{lease.port}"  # noqa: UP031
    assert json.dumps({"port": lease}) == json.dumps({"port": lease.port})
    assert (lease < other) == (lease.port < other.port) and lease != other
    assert {lease.port: 1}[lease] == 1 and lease in (lease.port,) and range(65536)[lease] == lease.port
    assert lease + 1 == lease.port + 1
    assert repr(lease) == f"<Lease of port {lease.port}, tcp+udp held>"


def test_a_held_port_stands_in_an_address(give: Ports) -> None:
    lease = give.hold()
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
    with server, socket.socket() as client:
        server.bind(("127.0.0.1", lease))
        server.listen()
        client.connect(("127.0.0.1", lease))
        server.accept()[0].close()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_of_a_held_port_is_the_number_alone(give: Ports, copied: Callable[[Any], Any]) -> None:
    lease = give.hold()
    assert type(copied(lease)) is int and copied([lease]) == [lease.port]


def test_leases_of_one_number_are_told_apart(few: Ports) -> None:
    lease = few.hold()
    lease.close()
    again = few.hold_many(7)
    assert lease in again and not lease.open and all(it.open for it in again)
    assert {*map(int, again)} <= {*map(int, leases())} and not any(it is lease for it in leases())
    lease.close()
    assert len(few.leases) == 7
