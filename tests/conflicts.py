"""Each kind of thing that can be in the way of a port: a test that fails, what its explanation must say, what not."""

from __future__ import annotations

from dataclasses import dataclass

BEGIN = """
import errno, os, select, signal, socket, subprocess, sys, threading
import pytest
from pytest_sockreuse.live import netlink

def server(host="127.0.0.1", port=0, *options, family=socket.AF_INET, device=""):
    sock = bound(host, port, *options, family=family, device=device)
    sock.listen()
    return sock

def bound(host="127.0.0.1", port=0, *options, family=socket.AF_INET, device=""):
    sock = socket.socket(family)
    for option in options:
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sock.bind((host, port))
    return sock

def gone(sock):
    "Wait until the other side has closed."
    select.select([sock], [], [], 10)

def child(code, *arguments):
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdin=-1, stdout=-1, text=True)
    assert process.stdout.readline()
    return process
"""


@dataclass(frozen=True)
class Kind:
    """A test that fails, what its explanation says, and what it does not: words of a row, as in ``fix: wait``."""

    code: str
    shows: tuple[str, ...]
    hides: tuple[str, ...] = ()
    root: bool = False


KINDS = {
    "two-users": Kind(
        """
        CODE = '''
        import os, socket, sys
        os.setuid(65534)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(("127.0.0.1", int(sys.argv[1])))
        s.listen()
        print("up", flush=True)
        sys.stdin.read()
        '''
        def test_it(sockreuse_netns):
            other = child(CODE.replace("\\n        ", "\\n"), 8080)
            try:
                bound("127.0.0.1", 8080, "SO_REUSEPORT")
            finally:
                other.communicate()
        """,
        ("held by: (65534)", "clause: (reuseport-same-user)", "fix: run both as one user"),
        ("fix: set SO_REUSEPORT on both",),
        root=True,
    ),
    "fin-wait2-of-a-dead-process": Kind(
        """
        CODE = '''
        import socket, sys
        s = socket.socket()
        s.bind(("127.0.0.1", 8080))
        s.listen()
        print("up", flush=True)
        c, _ = s.accept()
        sys.stdin.read()
        '''
        def test_it(sockreuse_netns):
            other = child(CODE.replace("\\n        ", "\\n"))
            client = socket.create_connection(("127.0.0.1", 8080))
            other.communicate()
            gone(client)
            bound("127.0.0.1", 8080)
        """,
        (
            "held by: FIN_WAIT2 at",
            "held by: no process has it any more",
            "held by: it ends in",
            "fix: have the other side close its connection (this process",
            "fix: (tcp_fin_timeout)",
            "clause: or FIN_WAIT2",
        ),
        ("fix: end ", "fix: which has the port"),
    ),
    "own-close-wait": Kind(
        """
        def test_it():
            listener = server()
            client = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
            listener.close()
            client.close()
            gone(accepted)
            bound(*accepted.getsockname())
        """,
        ("held by: CLOSE_WAIT at", "held by: this process", "clause: (bind-conflict)", "fix: close descriptor"),
        ("fix: end ", "clause: does not account", "held by: ESTABLISHED"),
    ),
    "own-fin-wait2": Kind(
        """
        def test_it():
            listener = server()
            client = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
            listener.close()
            accepted.shutdown(socket.SHUT_WR)
            gone(client)
            bound(*accepted.getsockname())
        """,
        ("held by: FIN_WAIT", "held by: descriptor", "fix: close descriptor"),
        ("fix: end ", "held by: no process", "clause: does not account"),
    ),
    "own-syn-sent": Kind(
        """
        def test_it(sockreuse_netns):
            full = server("127.0.0.1", 9000)
            full.listen(0)
            filling = [socket.socket() for _ in range(3)]
            for sock in filling:
                sock.setblocking(False)
                sock.connect_ex(full.getsockname())
            pending = next(s for s in filling if not select.select([], [s], [], 0.2)[1])
            bound(*pending.getsockname())
        """,
        ("held by: SYN_SENT at", "held by: a connect under way", "fix: close descriptor"),
        ("fix: end ", "clause: does not account"),
        root=True,
    ),
    "exhausted-over-ipv6": Kind(
        """
        def test_it(port_range):
            port_range(40000, 40003)
            listener = server("::1", 6086, family=socket.AF_INET6)
            clients = [socket.create_connection(listener.getsockname()[:2]) for _ in range(5)]
        """,
        ("taken: 4 of 4", "clause: (ports-exhausted)", "fix: connect from another source address"),
        ("fix: no IPv6",),
    ),
    "shared-by-processes": Kind(
        """
        def test_it():
            listener = server()
            ours, its = os.pipe()
            workers = []
            for _ in range(3):
                workers.append(os.fork())
                if not workers[-1]:
                    os.close(its)
                    os.read(ours, 1)
                    os._exit(0)
            address = listener.getsockname()
            listener.close()
            try:
                bound(*address)
            finally:
                os.close(its)
                for pid in workers:
                    os.waitpid(pid, 0)
        """,
        (
            "held by: shared by 3 processes",
            "held by: inherited the socket by fork",
            "fix: when the last of them has ended",
        ),
        ("fix: which has the port", "fix: set SO_REUSEPORT"),
    ),
    "another-device": Kind(
        """
        def test_it(sockreuse_netns):
            netlink.add_device("blue")
            far = server("0.0.0.0", 179, device="blue")
            near = bound("0.0.0.0", 179, "SO_REUSEADDR", device="lo")
            bound("0.0.0.0", 179, device="lo")
        """,
        (
            "held by: BOUND at 0.0.0.0:179 on lo",
            "beside: on blue",
            "call: SO_BINDTODEVICE=lo",
            "clause: (bind-conflict)",
            "fix: SO_BINDTODEVICE",
        ),
        ("held by: blue", "clause: does not account"),
        root=True,
    ),
    "inherited": Kind(
        """
        def test_it():
            listener = server("127.0.0.1", 0, "SO_REUSEADDR")
            listener.set_inheritable(True)
            helper = subprocess.Popen(["sleep", "60"], close_fds=False)
            address = listener.getsockname()
            listener.close()
            try:
                bound(*address, "SO_REUSEADDR")
            finally:
                helper.kill()
                helper.wait()
        """,
        (
            "held by: sleep (pid",
            "held by: a child of this process that inherited the socket by exec",
            "fix: close-on-exec",
            "held by: made at test_",
        ),
        ("fix: set SO_REUSEPORT",),
    ),
    "exhausted-by-bind": Kind(
        """
        def test_it(port_range):
            port_range(40000, 40003)
            clients = []
            for number in range(5):
                client = bound()
                clients += [client, server("127.0.0.1", 5000 + number)]
                client.connect(clients[-1].getsockname())
        """,
        (
            "taken: 4 of 4",
            "taken: ESTABLISHED 4",
            "by: this process",
            "to: 127.0.0.1:5000: 1 port",
            "fix: set IP_BIND_ADDRESS_NO_PORT",
            "fix: do not bind before connect",
        ),
    ),
    "exhausted-by-time-wait": Kind(
        """
        def test_it(port_range, sockreuse_netns):
            port_range(40000, 40003)
            sockreuse_netns.set("net.ipv4.tcp_tw_reuse", 0)
            listener = server("127.0.0.1", 7777)
            for _ in range(5):
                client = socket.create_connection(listener.getsockname())
                accepted, _ = listener.accept()
                client.close()
                gone(accepted)
                accepted.close()
        """,
        (
            "taken: TIME_WAIT 4 (100 %)",
            "to: 127.0.0.1:7777: 4 ports",
            "fix: keep connections open",
            "fix: other side close first",
            "fix: tcp_tw_reuse=1",
            "fix: another source address",
            "fix: another address or port of the server",
        ),
        ("fix: fewer open",),
    ),
    "given-to-a-connection": Kind(
        """
        def test_it():
            listener = server()
            client = socket.create_connection(listener.getsockname())
            bound(*client.getsockname(), "SO_REUSEADDR")
        """,
        (
            "port: from which the OS chooses",
            "held by: the OS chose the port for a connection to 127.0.0.1:",
            "fix: ip_local_reserved_ports",
            "fix: on the other before it connects",
        ),
        ("fix: before they bind",),
    ),
    "self-connected": Kind(
        """
        def test_it(port_range):
            port_range(40001, 40001)
            client = socket.create_connection(("127.0.0.1", 40001))
            bound("127.0.0.1", 40001, "SO_REUSEADDR")
        """,
        ("held by: two ends are one socket, since nobody listened", "fix: use a port outside of 40001-40001"),
    ),
    "v6only-here": Kind(
        """
        def test_it(sockreuse_netns):
            four = server("0.0.0.0", 7000)
            bound("::", 7000, family=socket.AF_INET6)
        """,
        ("fix: set IPV6_V6ONLY on this socket before it binds",),
    ),
    "v6only-there": Kind(
        """
        def test_it(sockreuse_netns):
            six = server("::", 7000, "SO_REUSEADDR", family=socket.AF_INET6)
            bound("0.0.0.0", 7000, "SO_REUSEADDR")
        """,
        ("fix: set IPV6_V6ONLY on the other socket", "held by: LISTEN at [::]:7000"),
    ),
    "udp-exhausted": Kind(
        """
        def test_it(port_range):
            port_range(40000, 40001)
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
            for sock in sockets:
                sock.connect(("127.0.0.1", 53))
        """,
        ("why: EAGAIN", "clause: (udp-ports-exhausted)", "fix: sendto"),
    ),
    "low-port": Kind(
        """
        def test_it(sockreuse_netns):
            before = os.geteuid()
            if not before:
                os.seteuid(65534)
            try:
                bound("127.0.0.1", 53)
            finally:
                os.seteuid(before)
        """,
        (
            "why: EACCES",
            "clause: (low-port-privileged)",
            "fix: ip_unprivileged_port_start",
            "fix: CAP_NET_BIND_SERVICE",
            "fix: use a port from 1024 on",
        ),
        ("held by: nobody",),
        root=True,  # whom a user namespace makes has every right in it
    ),
    "swallowed": Kind(
        """
        def test_it():
            other = server()
            up = []
            def serve():
                try:
                    up.append(bound(*other.getsockname()))
                except OSError as error:
                    print("could not start:", error)
            thread = threading.Thread(target=serve)
            thread.start()
            thread.join()
            assert up
        """,
        ("why: a call got EADDRINUSE, and the code went on", "held by: LISTEN at", "held by: made at test_"),
    ),
    "swallowed-by-connect-ex": Kind(
        """
        def test_it(listener):
            first, second = bound("127.0.0.1", 0, "SO_REUSEADDR"), None
            second = bound(*first.getsockname(), "SO_REUSEADDR")
            first.connect(listener.getsockname())
            second.connect_ex(listener.getsockname())
            assert False
        """,
        ("why: a call got EADDRNOTAVAIL", "clause: (tuple-busy)"),
    ),
    "a-child-names-the-port": Kind(
        """
        def test_it():
            other = server()
            code = "import socket, sys; socket.create_server(('127.0.0.1', int(sys.argv[1])))"
            port = str(other.getsockname()[1])
            done = subprocess.run([sys.executable, "-c", code, port], capture_output=True, text=True)
            assert not done.returncode, done.stderr
        """,
        (
            "why: by the words of another process",
            "said: Address already in use",
            "held by: LISTEN at 127.0.0.1:",
            "held by: this process",
        ),
    ),
    "a-child-meets-a-lease": Kind(
        """
        def test_it(held_port):
            code = "import socket, sys; socket.socket().bind(('127.0.0.1', int(sys.argv[1])))"
            port = str(held_port.port)
            done = subprocess.run([sys.executable, "-c", code, port], capture_output=True, text=True)
            sys.stderr.write(done.stderr.splitlines()[-1])
            assert not done.returncode
        """,
        ("said: Address already in use", "held by: a held port's placeholder", "fix: set SO_REUSEADDR on"),
    ),
    "no-server-first": Kind(
        """
        def test_it():
            other = server("127.0.0.1", 0, "SO_REUSEADDR")
            bound(*other.getsockname(), "SO_REUSEADDR")
        """,
        ("first fix: set SO_REUSEPORT", "last fix: it cannot listen"),
    ),
}
