"""What exploring found the model wrong about: each scenario as it was printed, with what the kernel did."""

from __future__ import annotations

import pytest

from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import named

# What an AF_INET socket's SO_REUSEPORT left behind at 0.0.0.0 is taken to hold for :: too, whoever else is there.
REMEMBERED = """
A = tcp6()
A.bind([::1]:P)
B = tcp4(SO_REUSEPORT)
B.bind(0.0.0.0:P)
C = tcp6(SO_REUSEPORT)
C.bind([::]:P)
"""

# Connected by IPv6 and then by IPv4, the socket is still found at its IPv6 address only: no error comes back to it.
RECONNECTED = """
A = udp6()
A.connect([::]:P)
A.connect([::ffff:127.0.0.1]:P)
A.send()
A.recv()
"""

# Connecting took it out of its group, and the group that B made does not know that A is connected: B gets the error.
GROUPED = """
A = udp4(SO_REUSEPORT)
A.connect(127.0.0.1:0)
B = udp4(SO_REUSEPORT)
B.bind(127.0.0.1:A.port)
A.sendto(127.0.0.1:P)
A.sendto(127.0.0.1:P)
"""

# It was in the table of connected sockets already when it connected again, and stayed in its group, which counts it.
COUNTED = """
A = udp4(SO_REUSEPORT)
A.bind(127.0.0.1:R)
A.connect(127.0.0.1:Q)
A.disconnect()
B = udp4(SO_REUSEPORT)
B.bind(127.0.0.1:R)
A.connect(127.0.0.1:0)
B.close()
C = udp4(SO_REUSEPORT)
C.bind(127.0.0.1:R)
A.sendto(127.0.0.1:P)
A.sendto(127.0.0.1:P)
"""

# At a group's address it sends from where the route says, and goes on to once it was connected.
SETTLED = """
A = udp4()
A.bind(224.0.0.251:0)
A.connect(127.0.0.1:P)
A.connect(224.0.0.251:40001)
"""

# What the peer left ended by time, so nobody takes the late end of the connection.
LATE = """
A = tcp4()
A.bind(127.0.0.1:R)
A.listen()
B = tcp4(TCP_LINGER2=1)
B.connect(127.0.0.1:R)
C = A.accept()
B.close()
wait 1.8
C.shutdown(WR)
C.send()
"""

# The ends of an MPTCP connection take some milliseconds, in which its 4-tuple is no TIME_WAIT's yet.
ENDING = """
L = mptcp4(SO_REUSEADDR)
L.bind(127.0.0.1:P)
L.listen()
C = mptcp4(SO_REUSEADDR)
C.bind(127.0.0.1:Q)
C.connect(127.0.0.1:P)
S = L.accept()
C.close()
S.close()
N = tcp4(SO_REUSEADDR)
N.bind(127.0.0.1:Q)
N.connect(127.0.0.1:P)?
"""

# After shutdown(RDWR) an MPTCP socket takes data all the same, and resets when it is closed with it.
UNREAD = """
A = mptcp6()
A.listen()
B = mptcp6()
B.connect([::1]:A.port)
C = A.accept()
C.shutdown(RDWR)
B.send()
C.close()
B.send()
"""


# There is no room for its TIME_WAIT, and it keeps its port for a while: how long is not known.
NO_ROOM = """
sysctl net.ipv4.tcp_max_tw_buckets = 0
A = tcp4()
A.listen()
B = mptcp4()
B.bind(127.0.0.1:P)
B.connect(127.0.0.1:A.port)
C = A.accept()
B.close()
C.close()
D = tcp4()
D.bind(127.0.0.1:B.port)
"""

# So many are at the port that those at 127.0.0.1 are looked at alone: that K shares does not let L past C.
MANY = """
C = udp4(SO_REUSEADDR)
C.bind(0.0.0.0:R)
M[1-11] = udp4(SO_REUSEADDR)
M[1-11].bind(127.0.0.[1-11]:R)
K = udp4(SO_REUSEADDR, SO_REUSEPORT)
K.bind(127.0.0.1:R)
L = udp4(SO_REUSEPORT)
L.bind(127.0.0.1:R)
"""

# It gets it on 6.18, whoever sends, and did not on 5.10.
NARROWED = """
A = udp6()
A.bind([::]:P)
A.connect([::]:0)
C = udp4()
C.connect(127.0.0.6:P)
C.send()
C.recv()
"""

# A device counts as much as a peer address, and E, which has SO_REUSEPORT and IPv6, is the last at its address.
BY_DEVICE = """
B = udp6(SO_REUSEADDR, SO_BINDTODEVICE=lo)
B.bind([::1]:R)
E = udp6(SO_REUSEADDR, SO_REUSEPORT)
E.bind([::1]:R)
E.connect([::1]:0)
F = udp6()
F.sendto([::1]:R)
E.recv()
"""

# It arrives by the device that it was sent by, which is not that of its addresses.
OTHER_DEVICE = """
device d1
A = udp4(SO_BINDTODEVICE=d1)
B = udp4(SO_BINDTODEVICE=d1)
B.bind(0.0.0.0:P)
A.sendto(0.0.0.0:B.port)
B.recv()
"""

# The second connect() sent no SYN, and put IPv6 back in its place.
NOT_SENT = """
B = tcp6()
B.connect([::ffff:127.0.0.1]:P)?
B.connect([::ffff:224.0.0.1]:0)?
B.connect([::1]:P)
"""

# B, whose IPv6 peer is remembered, got a datagram: on that processor it is preferred to J.
WARM = """
B = udp6(SO_REUSEADDR)
B.bind([::]:R)
B.connect([::1]:0)
B.disconnect()
E = udp6()
E.sendto([::1]:R)
J = udp6(SO_REUSEADDR)
J.bind([::ffff:0.0.0.0]:R)
L = udp6()
L.sendto([::ffff:127.0.0.1]:R)
J.recv()
"""

# That the device is not there is said first.
NO_DEVICE = "A = udp6(SO_BINDTODEVICE=lo)\nA.set(IPV6_MULTICAST_IF=nosuch)"

# EADDRNOTAVAIL while d1 makes sure that its address is nobody else's, then ok.
OF_A_LINK = """
device d1
A = udp6()
A.sendto([fe80::1]:P)?
"""

# ENETUNREACH where d1 has an address, as it does on some kernels.
NO_LOOPBACK = """
sysctl net.ipv6.conf.lo.disable_ipv6 = 1
device d1
D = udp6()
D.connect([::1]:P)
"""


@pytest.mark.parametrize(
    ("text", "step", "outcome"),
    [
        (REMEMBERED, "C.bind", "ok"),
        (RECONNECTED, "A.recv", "timeout"),
        (GROUPED, "A.sendto#2", "ok"),
        (COUNTED, "A.sendto#2", "ECONNREFUSED"),
        (SETTLED, "A.connect#2", "ok"),
        (LATE, "C.send", "ECONNRESET"),
        (ENDING, "N.connect", "EADDRNOTAVAIL ok"),
        (UNREAD, "B.send#2", ""),
        (NO_ROOM, "D.bind", ""),
        (MANY, "L.bind", "EADDRINUSE"),
        (NARROWED, "C.recv", ""),
        (BY_DEVICE, "E.recv", "timeout"),
        (OTHER_DEVICE, "B.recv", ""),
        (OF_A_LINK, "A.sendto", ""),
        (WARM, "J.recv", "ok timeout"),
        (NO_DEVICE, "A.set", "ENODEV"),
        (NOT_SENT, "B.connect#3", "ECONNREFUSED"),
        (NO_LOOPBACK, "D.connect", ""),
    ],
)
def test_the_model_says_what_the_kernel_did(text: str, step: str, outcome: str) -> None:
    steps = {said.step: said.outcomes for said in predict(parse(text), named("linux-6.18.44")).steps}
    assert set(steps[step]) == set(outcome.split())


def test_a_port_that_was_lost_is_still_told_when_others_choose_after_it() -> None:
    text = """ephemeral 40001-40004
A = tcp6()
A.connect([::1]:P)?
C = tcp4()
C.connect(127.0.0.1:P)
A.name()
"""
    told = predict(parse(text), named("linux-6.18.44")).steps[-1].values
    assert told is not None
    assert {text for value in told for text in str(value).split("|")} == {"[::]:40001", "[::]:40003"}
