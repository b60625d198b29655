"""What live kernels taught the model of Linux: scenarios, each with what they did where that is not ok."""

from __future__ import annotations

from functools import partial

import modelling
import pytest
from modelling import CONNECTION

from pytest_sockreuse.platforms import named

outcomes = partial(modelling.outcomes, platform=named("linux-6.18.44"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # sk_add_node_rcu puts IPv6 sockets with SO_REUSEPORT last
        (
            "A = udp6(SO_REUSEPORT)\nB = udp6()\nB.bind([::ffff:127.0.0.2]:P)\nA.bind([::1]:P)\n"
            "C = udp6(SO_REUSEPORT)\nC.bind([::]:P)\n",
            {"C.bind": "EADDRINUSE"},
        ),
        # the port of an IPv6 destination is looked at before its route, that of a mapped one after
        ("A = udp6(IPV6_V6ONLY)\nA.sendto([::ffff:127.0.0.1]:0)\n", {"A.sendto": "ENETUNREACH"}),
        ("A = udp6()\nA.bind([::ffff:127.0.0.1]:P)\nA.sendto([::1]:0)\n", {"A.sendto": "EINVAL"}),
        ("A = udp6()\nA.connect([::ffff:127.0.0.1]:0)\nA.send()\n", {"A.send": "EINVAL"}),
        # connect() of an IPv6 datagram socket takes an IPv4 address
        ("A = udp6()\nA.connect(127.0.0.1:P)\n", {}),
        ("A = udp6(IPV6_V6ONLY)\nA.connect(127.0.0.1:P)\n", {"A.connect": "EAFNOSUPPORT"}),
        # the error of a disconnected connection stays pending over a second disconnect
        (CONNECTION.format("") + "C.disconnect()\nC.disconnect()\nC.send()\n", {"C.send": "ECONNRESET"}),
        # shutdown() without a connection fails, and shows once there is one
        (
            "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nC = tcp4()\nC.shutdown(WR)?\n"
            "C.connect(127.0.0.1:P)\nC.send()\n",
            {"C.shutdown": "ENOTCONN", "C.send": "EPIPE"},
        ),
        # "port unreachable" goes to the socket that the 4-tuple leads to, which need not be the sender
        (
            "A[1-2] = udp4(SO_REUSEADDR)\nA[1-2].bind(0.0.0.0:P)\nA[1-2].connect(127.0.0.2:P)\n"
            "A1.send()\nA[1-2].recv()\n",
            {"A1.recv": "timeout", "A2.recv": "ECONNREFUSED"},
        ),
        # a connection over IPv4 gives an IPv6 socket a source of IPv4 beside the one that it has
        (
            "B = udp6()\nB.connect([::]:P)\nB.connect([::ffff:224.0.0.1]:P)?\nB.connect([::ffff:0.0.0.0]:P)\n"
            "B.connect([::ffff:224.0.0.1]:P)\nB.disconnect()\nB.connect([::ffff:224.0.0.1]:P)\n",
            {"B.connect#2": "ENETUNREACH", "B.connect#5": "ENETUNREACH"},
        ),
        # a SYN to what is left of a connection is sent again at once, not after a second
        (
            "ephemeral 40001-40002\nsysctl net.ipv4.tcp_max_tw_buckets = 1\n"
            "A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()\nB = tcp4()\nB.connect(127.0.0.1:P)\nC = A.accept()\n"
            "B.close()\nC.close()\nD = tcp4()\nD.connect(127.0.0.1:P)\nD.close()\n"
            "F = tcp4()\nF.connect(127.0.0.1:P)\nG = tcp4()\nG.connect(127.0.0.1:P)\n",
            {"G.connect": "EADDRNOTAVAIL"},
        ),
        # after a connect() that failed the second datagram goes to the address of that
        (
            "A = udp4()\nA.connect(127.0.0.1:P)\nA.connect(192.0.2.1:P)?\nA.send()\n",
            {"A.connect#2": "ENETUNREACH", "A.send": "send() of a connected UDP socket whose next connect() failed"},
        ),
        # MPTCP that is connected to itself hears nothing; once its peer has reset it, it answers as TCP
        (
            "A = mptcp4()\nA.bind(127.0.0.1:P)\nA.connect(127.0.0.1:P)\nA.send()\nA.recv()\n",
            {"A.recv": "what MPTCP gets from itself"},
        ),
        (
            "E = mptcp4()\nE.bind(127.0.0.1:P)\nE.listen()\nF = mptcp4()\nF.connect(127.0.0.1:P)\nG = E.accept()\n"
            "G.disconnect()\nF.get(IP_MULTICAST_LOOP)\n",
            {"F.get": "options of MPTCP after a reset"},
        ),
        # a group is bound, but not sent from
        (
            "A = udp6()\nA.bind([::ffff:0.0.0.0]:0)\nA.disconnect()\nA.bind([ff05::1]:P)\n",
            {"A.bind#2": "bind() to a group of a socket that keeps an address"},
        ),
        # a mapped group is an address of the socket as any other
        (
            "sysctl net.ipv6.conf.lo.disable_ipv6 = 1\nC = udp6()\nC.bind([::ffff:224.0.0.1]:P)\nC.sendto([::1]:Q)\n",
            {"C.sendto": "ENETUNREACH"},
        ),
        # with tcp_migrate_req who stopped listening stays a member of its group, and what the port remembers is no use
        (
            "sysctl net.ipv4.tcp_migrate_req = 1\nA = tcp4(SO_REUSEPORT)\nA.bind(127.0.0.1:P)\nA.listen()\nC = tcp4()\n"
            "C.connect(127.0.0.1:P)\nD = A.accept()\nD.set(SO_REUSEPORT=0)\nA.disconnect()\nA.listen()\n",
            {"A.listen#2": "EADDRINUSE"},
        ),
        # an IPv4 source does not lead to a group of IPv6, whatever the device
        (
            "device d1\nB = udp6()\nB.bind([::ffff:0.0.0.0]:P)\nB.sendto([ff05::1]:Q)?\nB.connect([ff02::1%d1]:Q)\n",
            {"B.sendto": "EAFNOSUPPORT", "B.connect": "EAFNOSUPPORT"},
        ),
        # shutdown() before listen() is remembered by TCP: a connection ends at once, and a reset finds it half closed
        (
            "A = tcp4()\nA.shutdown(RDWR)?\nA.listen()\nB = tcp4()\nB.connect(127.0.0.1:A.port)\nA.close()\nB.send()\n",
            {"A.shutdown": "ENOTCONN", "B.send": "EPIPE"},
        ),
        # of MPTCP it is the connection's, not its subflow's
        (
            "A = mptcp4()\nA.shutdown(RDWR)?\nA.listen()\nB = tcp4()\nB.connect(127.0.0.1:A.port)\n"
            "C = A.accept()\nC.send()\nD = mptcp4()\nD.connect(127.0.0.1:A.port)\nE = A.accept()\nE.send()\n",
            {"A.shutdown": "ENOTCONN", "E.send": "EPIPE"},
        ),
        # MPTCP has no option of groups at any time; what a socket is connected with cannot be set any more
        (
            "A = mptcp6()\nA.bind([::1]:P)\nA.set(IPV6_JOIN_GROUP=ff05::1%lo)?\nA.listen()\nB = mptcp6()\n"
            "B.connect([::1]:P)\nB.set(IP_MULTICAST_ALL=0)?\nB.set(IPV6_V6ONLY)?\nB.set(SO_KEEPALIVE)\n"
            "B.set(TCP_LINGER2=-1)?\nB.set(SO_BINDTODEVICE=lo)\n",
            {
                "A.set": "ENOPROTOOPT",
                "B.set": "ENOPROTOOPT",
                "B.set#2": "EINVAL",
                "B.set#4": "ENOPROTOOPT",
                "B.set#5": "EINVAL",
            },
        ),
        # an AF_INET6 socket that was accepted over IPv4 goes on with it
        (
            "A = tcp6()\nA.bind([::]:P)\nA.listen()\nB = tcp4()\nB.connect(127.0.0.1:P)\nC = A.accept()\n"
            "C.disconnect()\nC.connect([::1]:Q)\n",
            {"C.connect": "timeout"},
        ),
        # what comes from the broadcast address of lo is answered there
        (
            "A = tcp6(IP_TRANSPARENT)\nA.bind([::ffff:127.255.255.255]:P)\nA.connect([::ffff:127.0.0.1]:Q)\n",
            {"A.connect": "ECONNREFUSED"},
        ),
        # by a device also a foreign source leads to a group; to 0.0.0.0 it leads to itself
        (
            "A = udp4(IP_TRANSPARENT, SO_BINDTODEVICE=lo)\nA.bind(192.0.2.1:P)\nA.connect(224.0.0.1:Q)\n"
            "A.connect(0.0.0.0:Q)\nB = udp4(IP_TRANSPARENT)\nB.bind(192.0.2.1:R)\nB.connect(224.0.0.1:Q)?\n"
            "B.connect(0.0.0.0:Q)?\n",
            {"B.connect": "ENETUNREACH", "B.connect#2": "ENETUNREACH"},
        ),
        # binding a UDP socket to a device takes it out of its group, and to where connect() should have put it
        (
            "A = udp4(SO_REUSEPORT)\nA.bind(127.0.0.1:R)\nB = udp4(SO_REUSEPORT)\nB.bind(127.0.0.1:R)\n"
            "A.set(SO_BINDTODEVICE=lo)\nC = udp4()\nC.sendto(127.0.0.1:R)\nB.recv()?\n",
            {},
        ),
        (
            "A = udp4(SO_REUSEADDR)\nA.bind(127.0.0.1:R)\nA.connect(127.0.0.1:P)\nB = udp4(SO_REUSEADDR)\n"
            "B.bind(127.0.0.1:R)\nB.connect(127.0.0.1:Q)\nB.connect(127.0.0.1:P)\nB.set(SO_BINDTODEVICE=lo)\n"
            "C = udp4()\nC.bind(127.0.0.1:P)\nC.sendto(127.0.0.1:R)\nA.recv()?\n",
            {"A.recv": "timeout"},
        ),
        # where the device that a connected socket was bound to since does not lead to its peer, send() says so
        (
            "device d1\nA = udp6()\nA.connect([::1]:P)\nA.set(SO_BINDTODEVICE=d1)\nA.send()\n"
            "B = udp4()\nB.connect(127.0.0.1:P)\nB.set(SO_BINDTODEVICE=d1)\nB.send()\n"
            "C = udp4(SO_BINDTODEVICE=d1)\nC.connect(127.0.0.1:P)\nC.send()\n",
            {"A.send": "ENETUNREACH", "B.send": "EINVAL"},
        ),
        # a source that cannot be is told before a device that is not there
        (
            "A = tcp6()\nA.bind([::ffff:255.255.255.255]:P)\nA.connect([fe80::1%nope]:P)?\nA.connect([::]:P)\n",
            {"A.connect": "ENETUNREACH", "A.connect#2": "EINVAL"},
        ),
        # bound to another device a socket may have an IPv6 address of lo, but for ::1
        (
            "device d1\naddress fd00::1\nA = udp6(SO_BINDTODEVICE=d1)\nA.bind([::1]:P)?\nA.bind([fd00::1]:P)\n",
            {"A.bind": "EADDRNOTAVAIL"},
        ),
        # what a listener that sent a SYN over IPv4 accepts over IPv6 sends nothing there
        (
            "A = tcp6()\nA.connect([::ffff:127.0.0.1]:P)?\nA.listen()\nB = tcp6()\nB.connect([::1]:A.port)\n",
            {"A.connect": "ECONNREFUSED", "B.connect": "a connection over IPv6 to a listener that tried IPv4"},
        ),
        # connected to TCP it has what TCP has
        (
            "A = tcp4()\nA.bind(127.0.0.1:P)\nA.listen()\nB = mptcp4()\nB.connect(127.0.0.1:P)\nB.set(IP_TTL=3)\n"
            "B.get(IPV6_V6ONLY)?\nB.get(TCP_LINGER2)\nB.set(TCP_FASTOPEN)?\n",
            {"B.get": "EOPNOTSUPP", "B.set#2": "EINVAL"},
        ),
        # a group that was none is looked for by a route: that of loopback leads to lo, where it was not joined
        (
            "A = udp4()\nA.set(IP_DROP_MEMBERSHIP=127.0.0.1)?\nA.set(IP_DROP_MEMBERSHIP=192.0.2.1)?\n",
            {"A.set": "EADDRNOTAVAIL", "A.set#2": "ENODEV"},
        ),
        # by a device alone IPv4 sends from an address that lo was given, and not from one of loopback
        (
            "device d1\naddress 127.0.0.2\nA = udp4(SO_BINDTODEVICE=d1)\nA.connect(127.0.0.1:P)\n",
            {"A.connect": "EINVAL"},
        ),
        # TIME_WAIT that answers a SYN is not ended by the reset that follows
        (
            "sysctl net.ipv4.tcp_rfc1337 = 1\nA = tcp4(SO_REUSEADDR)\nA.bind(127.0.0.1:P)\nA.listen()\n"
            "B = tcp4(SO_REUSEADDR)\nB.bind(127.0.0.1:Q)\nB.connect(127.0.0.1:P)\nC = A.accept()\nA.close()\n"
            "C.close()\nB.close()\nD = tcp4(SO_REUSEADDR)\nD.bind(127.0.0.1:Q)\nD.connect(127.0.0.1:P)\n",
            {"D.connect": "a SYN that TIME_WAIT answers, with tcp_rfc1337"},
        ),
        # MPTCP lets its subflow go a moment after that is in TIME_WAIT, and until then it counts as its user's
        (
            "D = tcp4()\nD.bind(127.0.0.1:P)\nD.listen()\nE = mptcp4(SO_REUSEPORT)\nE.bind(127.0.0.1:Q)\n"
            "E.connect(127.0.0.1:P)\nF = D.accept()\nE.close()\nF.close()\nG = tcp4(SO_REUSEPORT) as user1\n"
            "G.bind(0.0.0.0:Q)\n",
            {"G.bind": "EADDRINUSE|ok"},
        ),
    ],
)
def test_what_live_kernels_taught(text: str, expected: dict[str, str]) -> None:
    assert outcomes(text) == expected
