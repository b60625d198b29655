"""More kinds of things in the way: calls and addresses that are met less often, and what other programs print."""

from __future__ import annotations

from conflicts import Kind

MORE = {
    "send-exhausted": Kind(
        """
        def test_it(port_range):
            port_range(40000, 40001)
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
            for sock in sockets:
                sock.sendto(b"?", ("127.0.0.1", 53))
        """,
        ("why: EAGAIN", "call: send to 127.0.0.1:53", "clause: (udp-ports-exhausted)", "fix: send from one socket"),
    ),
    "listen-exhausted": Kind(
        """
        def test_it(port_range):
            port_range(40000, 40001)
            sockets = [socket.socket() for _ in range(3)]
            for sock in sockets:
                sock.listen()
        """,
        ("taken: LISTEN 2", "clause: (ports-exhausted)", "fix: wider range"),
        ("clause: does not account",),
    ),
    "given-to-a-udp-socket": Kind(
        """
        def test_it():
            client, server = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            client.connect(("127.0.0.1", 53))
            server.bind(client.getsockname())
        """,
        (
            "held by: the OS chose the port for a connection to 127.0.0.1:53",
            "clause: (udp-conflict)",
            "fix: on the other before it connects",
        ),
        ("clause: does not account",),
    ),
    "exhausted-by-fin-wait2": Kind(
        """
        def test_it(port_range):
            port_range(40000, 40001)
            listener, kept = server("127.0.0.1", 5000), []
            for _ in range(3):
                client = socket.create_connection(listener.getsockname())
                kept.append(listener.accept()[0])
                client.close()
                gone(kept[-1])
        """,
        ("taken: FIN_WAIT2 2 (100 %)", "fix: have the other side close too"),
    ),
    "exhausted-in-its-own-range": Kind(
        """
        def test_it(sockreuse_netns):
            kept = []
            for _ in range(3):
                kept.append(socket.socket())
                kept[-1].setsockopt(socket.IPPROTO_IP, 51, (40001 << 16 | 40000).to_bytes(4, sys.byteorder))
                kept[-1].bind(("127.0.0.1", 0))
        """,
        ("call: IP_LOCAL_PORT_RANGE=40000-40001", "range: 40000-40001, 2 ports", "taken: 2 of 2"),
    ),
    "bytes-as-address": Kind(
        """
        def test_it():
            other = server()
            socket.socket().bind((b"127.0.0.1", other.getsockname()[1]))
        """,
        ("held by: LISTEN at 127.0.0.1", "clause: (bind-conflict)"),
    ),
    "link-local": Kind(
        """
        def test_it(sockreuse_netns):
            netlink.add_device("blue")
            netlink.add_address("fe80::7", "blue")
            there = ("fe80::7", 8080, 0, socket.if_nametoindex("blue"))
            first, second = (socket.socket(socket.AF_INET6) for _ in range(2))
            first.bind(there)
            first.listen()
            second.bind(there)
        """,
        ("call: SO_BINDTODEVICE=blue", "held by: LISTEN at [fe80::7]:8080 on blue", "clause: (bind-conflict)"),
        ("clause: does not account",),
        root=True,
    ),
    "scope-of-another-address": Kind(
        """
        def test_it():
            other = server("::1", family=socket.AF_INET6)
            socket.socket(socket.AF_INET6).bind(("::1", other.getsockname()[1], 0, 1))
        """,
        ("held by: LISTEN at [::1]:", "clause: (bind-conflict)"),
        ("call: SO_BINDTODEVICE",),
    ),
    "connect-without-ipv6": Kind(
        """
        def test_it(sockreuse_netns):
            for name in ("all", "lo"):
                sockreuse_netns.set(f"net.ipv6.conf.{name}.disable_ipv6", 1)
            socket.create_connection(("::1", 80))
        """,
        ("why: EADDRNOTAVAIL", "clause: (ipv6-disabled)", "fix: this system has no IPv6"),
        ("clause: does not account",),
    ),
    "words-that-name-a-port-twice": Kind(
        """
        def test_it():
            port = server().getsockname()[1]
            print(f"Error: listen EADDRINUSE: address already in use 127.0.0.1:{port}")
            print(f"  code: 'EADDRINUSE',\\n  address: '127.0.0.1',\\n  port: {port}")
            assert False
        """,
        ("said: Error: listen EADDRINUSE", "held by: nobody any more at 127.0.0.1:"),
    ),
    "words-beside-a-line-of-code": Kind(
        """
        def test_it():
            other = server()
            print(f"main.go:12: listen tcp 127.0.0.1:{other.getsockname()[1]}: bind: address already in use")
            assert False
        """,
        ("held by: LISTEN at 127.0.0.1:", "held by: made at test_words_beside_a_line_of_code.py:"),
    ),
    "words-without-a-port": Kind(
        """
        def test_it():
            other = server()
            command = [sys.executable, "-m", "http.server", str(other.getsockname()[1]), "--bind", "127.0.0.1"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert not done.returncode, done.stderr
        """,
        ("said: OSError: [Errno 98]", "held by: LISTEN at 127.0.0.1:", "held by: made at test_"),
    ),
}
