"""What the processes of a log did, as one trace: descriptors that are copied, inherited, passed on and closed."""

from __future__ import annotations

import re

import pytest

from pytest_sockreuse.parser import parse_file
from pytest_sockreuse.recorder.follow import LIMIT
from pytest_sockreuse.recorder.strace import Log
from pytest_sockreuse.trace import Heard, TraceError, understand

V4 = '{{sa_family=AF_INET, sin_port=htons({0}), sin_addr=inet_addr("127.0.0.1")}}'
LISTENS = f"""
1 execve("/usr/bin/server", ["server"], 0x7ff /* 9 vars */) = 0
1 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3<socket:[30]>
1 setsockopt(3<socket:[30]>, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
1 bind(3<socket:[30]>, {V4.format(8000)}, 16) = 0
1 listen(3<socket:[30]>, 128) = 0
"""
LISTENER = """
listener = tcp4(SO_REUSEADDR)
listener.bind(127.0.0.1:P)
listener.listen()
"""
AGAIN = LISTENS.replace("socket:[30]", "socket:[31]").replace("1 execve", "8 execve").replace("\n1 ", "\n8 ")


def traced(text: str) -> tuple[str, dict[str, int]]:
    """The scenario of a log, and what is left out."""
    log = Log()
    heard = Heard(list(log.events(text.strip().splitlines(keepends=True))), cut=log.cut)
    trace = understand(heard)
    return str(trace.scenario).strip(), dict(trace.left_out)


def scenario(text: str) -> str:
    return traced(text)[0]


def closed(text: str) -> bool:
    """Whether the listener of a log is closed at its end, also what others have of it."""
    found = scenario(LISTENS + text)
    return found.endswith("heir.close()" if "heir" in found else "listener.close()")


def test_a_listener() -> None:
    assert scenario(LISTENS) == LISTENER.strip()
    assert closed("1 close(3<socket:[30]>) = 0\n")


@pytest.mark.parametrize(
    "copies",
    [
        "1 dup(3<socket:[30]>) = 9<socket:[30]>\n",
        "1 dup2(3<socket:[30]>, 9) = 9<socket:[30]>\n",
        "1 dup3(3<socket:[30]>, 9, O_CLOEXEC) = 9<socket:[30]>\n",
        "1 fcntl(3<socket:[30]>, F_DUPFD_CLOEXEC, 9) = 9<socket:[30]>\n",
    ],
)
def test_a_copy_of_a_descriptor_keeps_the_socket_open(copies: str) -> None:
    assert not closed(f"{copies}1 close(3<socket:[30]>) = 0\n")
    assert closed(f"{copies}1 close(3<socket:[30]>) = 0\n1 close(9<socket:[30]>) = 0\n")
    assert closed(f"{copies}1 close(3<socket:[30]>) = 0\n1 close_range(3, 4294967295, 0) = 0\n")
    assert closed(f"{copies}1 close(3<socket:[30]>) = 0\n1 +++ exited with 0 +++\n")


FORK = "1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD) = 2\n"
THREAD = "1 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD}, 88) = 2\n"


def test_a_child_holds_what_its_parent_closes() -> None:
    for end in ("1 close(3<socket:[30]>) = 0\n", "1 +++ killed by SIGKILL +++\n"):
        assert not closed(FORK + end)
        assert closed(FORK + end + "2 +++ exited with 0 +++\n")
        assert closed(FORK + end + "2 close(3<socket:[30]>) = 0\n")
        assert closed(
            FORK.replace("clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD)", "vfork()")
            + end
            + "2 +++ exited with 0 +++\n"
        )


def test_a_listener_that_the_parent_closes_goes_on_as_the_child_s() -> None:
    bound = "1 setsockopt(3<socket:[30]>, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0\n"
    found = scenario(
        LISTENS
        + FORK
        + "1 close(3<socket:[30]>) = 0\n"
        + "2 accept4(3<socket:[30]>, NULL, NULL, 0) = 4<socket:[40]>\n"
        + "2 close(4<socket:[40]>) = 0\n"
        + "2 +++ exited with 0 +++\n"
    )
    assert found.splitlines()[3:] == [
        "heir = listener.dup()",
        "listener.close()",
        "visitor = tcp4()",
        "visitor.connect(127.0.0.1:P)",
        "child = heir.accept()",
        "child.close()",
        "visitor.close()",
        "heir.close()",
    ]
    assert "dup" not in scenario(LISTENS + FORK + "2 close(3<socket:[30]>) = 0\n" + bound)  # the child's own affair


def test_a_thread_has_its_process_s_descriptors() -> None:
    assert closed(THREAD + "2 close(3<socket:[30]>) = 0\n")
    assert not closed(THREAD + "1 +++ exited with 0 +++\n")
    assert closed(THREAD + "2 +++ exited with 0 +++\n1 +++ exited with 0 +++\n")


def test_a_child_may_show_itself_before_the_call_that_made_it_returns() -> None:
    begun, returned = "1 clone(flags=SIGCHLD <unfinished ...>\n", "1 <... clone resumed>) = 2\n"
    assert not closed(
        begun + "2 close(5) = -1 EBADF (Bad file descriptor)\n" + returned + "1 close(3<socket:[30]>) = 0\n"
    )
    assert closed(begun + "2 +++ exited with 0 +++\n" + returned + "1 close(3<socket:[30]>) = 0\n")
    assert closed(begun + "2 close(3<socket:[30]>) = 0\n" + returned + "1 close(3<socket:[30]>) = 0\n")


def test_exec_closes_what_is_marked() -> None:
    program = '2 execve("/bin/sh", ["sh"], 0x7ff) = 0\n'
    parent = "1 close(3<socket:[30]>) = 0\n"
    assert closed(FORK + program + parent)
    assert not closed(FORK + "2 fcntl(3<socket:[30]>, F_SETFD, 0) = 0\n" + program + parent)
    assert not closed(
        FORK
        + "2 dup2(3<socket:[30]>, 3) = 3<socket:[30]>\n2 fcntl(3<socket:[30]>, F_SETFD, 0) = 0\n"
        + program
        + parent
    )
    assert not closed(FORK + program.replace("= 0\n", "= -1 ENOENT (No such file or directory)\n") + parent)
    failed = FORK + "2 close_range(3, 9, CLOSE_RANGE_CLOEXEC) = 0\n" + program + parent
    assert closed(failed)


def test_a_socket_that_came_by_a_message_is_known_by_its_inode() -> None:
    other = "7 accept4(11<socket:[30]>, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = 5<socket:[40]>\n"
    assert "child = listener.accept()" in scenario(LISTENS + other)


def test_a_socket_that_was_there_before_is_left_out_by_name() -> None:
    text, left_out = traced("1 accept4(3<socket:[5]>, NULL, NULL, 0) = 4<socket:[6]>\n1 listen(3<socket:[5]>, 9) = 0\n")
    assert text == ""
    assert left_out == {"calls on a socket that was made before the log began, or in a way it does not show": 2}


def client(end: str) -> str:
    begin = "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 4<socket:[50]>"
    under_way = f"connect(4<socket:[50]>, {V4.format(8000)}, 16) = -1 EINPROGRESS (Operation now in progress)"
    return LISTENS + f"1 {begin}\n1 {under_way}\n1 {end}\n"


@pytest.mark.parametrize(
    "end",
    [
        "getsockopt(4<socket:[50]>, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
        "getpeername(4<socket:[50]>, 0x7ff, [128 => 16]) = 0",
        'sendto(4<socket:[50]>, "x", 1, MSG_NOSIGNAL, NULL, 0) = 1',
        'read(4<socket:[50]>, "x", 1) = 1',
        f"connect(4<socket:[50]>, {V4.format(8000)}, 16) = 0",
        f"connect(4<socket:[50]>, {V4.format(8000)}, 16) = -1 EISCONN (Transport endpoint is already connected)",
    ],
)
def test_a_connect_under_way_is_settled_by_what_follows(end: str) -> None:
    assert scenario(client(end)).splitlines()[-1] == "client.connect(127.0.0.1:P)"


def test_calls_of_two_processes_at_a_time_are_put_in_the_order_of_their_effects() -> None:
    """A listen, the connect that it allows and the accept of that, each returning before the one it needs."""
    begins = LISTENS.replace("1 listen(3<socket:[30]>, 128) = 0\n", "")
    text = begins + (
        "2 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4<socket:[50]>\n"
        f"2 connect(4<socket:[50]>, {V4.format(8000)}, 16 <unfinished ...>\n"
        "1 listen(3<socket:[30]>, 128 <unfinished ...>\n"
        "1 <... listen resumed>) = 0\n"
        f"1 accept4(3<socket:[30]>, {V4.format(4000)}, [16], 0) = 5<socket:[60]>\n"
        "2 <... connect resumed>) = 0\n"
    )
    client = ["client = tcp4()", "client.connect(127.0.0.1:P)", "child = listener.accept()"]
    assert sorted(scenario(text).splitlines()) == sorted([*LISTENER.strip().splitlines(), *client])
    assert scenario(text).splitlines()[-1] == client[-1]
    waits = text.replace("1 <... listen resumed>) = 0\n", "").replace("2 <... connect resumed>) = 0\n", "")
    late = waits.replace("1 accept4", "2 <... connect resumed>) = 0\n1 <... listen resumed>) = 0\n1 accept4")
    assert scenario(late).splitlines()[-2:] == client[-2:]


def test_a_connect_that_failed_later_failed() -> None:
    failed = client("getsockopt(4<socket:[50]>, SOL_SOCKET, SO_ERROR, [ETIMEDOUT], [4]) = 0")
    assert scenario(failed).splitlines()[-1] == "client.connect(127.0.0.1:P)?"


def test_who_closes_first_is_seen() -> None:
    accepted = f"1 accept4(3<socket:[30]>, {V4.format(4000)}, [16], SOCK_CLOEXEC) = 5<socket:[60]>\n"
    own, other = "child.close()", "visitor.close()"
    first = scenario(LISTENS + accepted + "1 close(5<socket:[60]>) = 0\n").splitlines()
    assert first.index(own) < first.index(other)
    second = scenario(
        LISTENS + accepted + '1 read(5<socket:[60]>, "", 9) = 0\n1 close(5<socket:[60]>) = 0\n'
    ).splitlines()
    assert second.index(other) < second.index(own)


def test_two_programs_at_one_port_are_one_scenario() -> None:
    refused = AGAIN.replace("16) = 0", "16) = -1 EADDRINUSE (Address already in use)")
    assert scenario(LISTENS + "\n".join(refused.split("\n")[:-2]) + "\n").splitlines()[-2:] == [
        "bound = tcp4(SO_REUSEADDR)",
        "bound.bind(127.0.0.1:P)?",
    ]


def test_clients_that_wait_for_a_server_are_counted() -> None:
    refused = f"connect(4<socket:[50]>, {V4.format(8000)}, 16) = -1 ECONNREFUSED (Connection refused)"
    wait = f"1 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4<socket:[50]>\n1 {refused}\n1 close(4<socket:[50]>) = 0\n"
    text, left_out = traced(wait * 2000 + LISTENS)
    assert text == LISTENER.strip()
    assert left_out == {"clients that were refused, and did nothing else": 2000}


def test_another_network_namespace_is_another_world() -> None:
    text, left_out = traced("1 unshare(CLONE_NEWNET) = 0\n" + LISTENS)
    assert text == ""
    assert left_out["a socket in another network namespace"] == 1


def test_options_by_name_number_and_form() -> None:
    more = [
        "setsockopt(3<socket:[30]>, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=5}, 8) = 0",
        'setsockopt(3<socket:[30]>, SOL_SOCKET, SO_BINDTODEVICE, "lo\\0", 3) = 0',
        "setsockopt(3<socket:[30]>, SOL_IP, 0x33 /* IP_??? */, [2621480000], 4) = 0",
        "setsockopt(3<socket:[30]>, SOL_SOCKET, SO_REUSEPORT, [1], 4) = -1 ENOPROTOOPT (Protocol not available)",
    ]
    text = LISTENS.replace("1 bind", "".join(f"1 {line}\n" for line in more) + "1 bind")
    found = scenario(text)
    assert "SO_LINGER=5" in found
    assert "SO_BINDTODEVICE=lo" in found
    assert "IP_LOCAL_PORT_RANGE=" in found
    assert "SO_REUSEPORT" not in found.splitlines()[0]


def test_a_trace_is_bounded() -> None:
    many = "".join(f"1 listen(3<socket:[30]>, {n}) = 0\n" for n in range(LIMIT))
    _, left_out = traced(LISTENS + many)
    assert left_out == {f"calls beyond the first {LIMIT}": 4}


def test_a_place_is_a_program_and_a_process() -> None:
    trace = understand(Heard(list(Log().events(LISTENS.strip().splitlines(keepends=True)))), "server.log")
    (piece,) = trace.pieces
    assert re.fullmatch(r"server\[1\] \(server\.log:\d\)", str(piece.calls[0].places[0]))


def test_inheritance_without_end_is_refused() -> None:
    sockets = "".join(f"1 socket(AF_INET, SOCK_STREAM, 0) = {n}\n" for n in range(3, 2000))
    forks = "".join(f"1 fork() = {n}\n" for n in range(10, 600))
    with pytest.raises(TraceError, match="processes have inherited more than 1000000 descriptors"):
        traced(sockets + forks)


SCOPED = '{{sa_family=AF_INET6, sin6_port=htons(8000), inet_pton(AF_INET6, "{}", &sin6_addr), sin6_scope_id={}}}'
UDP6 = "1 socket(AF_INET6, SOCK_DGRAM, IPPROTO_IP) = 3<socket:[30]>\n"
ADD = "1 setsockopt(3<socket:[30]>, SOL_IP, IP_ADD_MEMBERSHIP, {}) = {}\n"
MREQ = '{{imr_multiaddr=inet_addr("{}"), imr_interface=inet_addr("{}")}}'


@pytest.mark.parametrize(
    ("host", "scope", "result", "is_"),
    [
        ("fe80::9", 'if_nametoindex("eth0")', "0", "[fe80::1%eth0]"),
        ("fe80::9", "0", "-1 EINVAL (Invalid argument)", "[fe80::1]"),
        ("fe80::9", "77", "-1 ENODEV (No such device)", "[fe80::1%nosuch]"),
        ("fe80::9", 'if_nametoindex("eth0")', "-1 EADDRNOTAVAIL (…)", "[fe80:0:0:1::1%eth0]"),
        ("ff02::fb", 'if_nametoindex("lo")', "0", "[ff02::fb%lo]"),
        ("ff05::fb", "77", "0", "[ff05::fb]"),
        ("fe80::9", "77", "0", ""),  # strace did not find it any more
        ("fe:::9", "77", "0", ""),
    ],
)
def test_the_device_of_an_address(host: str, scope: str, result: str, is_: str) -> None:
    said, left_out = traced(UDP6 + f"1 bind(3<socket:[30]>, {SCOPED.format(host, scope)}, 28) = {result}\n")
    assert f"udp.bind({is_}:P)" in said if is_ else "bind" not in said and sum(left_out.values()) == 1
    assert ("device eth0" in said) == ("eth0" in is_)
    assert ("address fe80::1%eth0" in said) == (is_ == "[fe80::1%eth0]")


@pytest.mark.parametrize(
    ("value", "result", "is_"),
    [
        (MREQ.format("224.0.0.251", "127.0.0.1") + ", 8", "0", "224.0.0.251%lo"),
        (MREQ.format("224.0.0.251", "0.0.0.0") + ", 8", "0", "224.0.0.251%routed"),
        (MREQ.format("224.0.0.251", "0.0.0.0") + ", 8", "-1 ENODEV (…)", "224.0.0.251"),
        ('{imr_multiaddr=inet_addr("224.0.0.251"), imr_address=inet_addr("0.0.0.0"), imr_ifindex=1}, 12', "0",
         "224.0.0.251%lo"),
        (MREQ.format("224.0.0.251", "0.0.0.0") + ", 12", "0", ""),
        (MREQ.format("224.0.0.251", "10.0.0.1") + ", 8", "0", ""),
        (MREQ.format("224.0.0.999", "0.0.0.0") + ", 8", "0", ""),
        ('"\\340\\0\\0\\373\\0\\0\\0\\0\\1\\0\\0\\0", 12', "0", "224.0.0.251%lo"),
        ('"\\340\\0\\0\\373\\0\\0\\0\\0\\2\\0\\0\\0", 12', "0", ""),
        ('"\\777", 1', "0", ""),
        ("[99999999999], 4", "0", "raw:ffe77648"),
        ("0x7ffe, 4", "-1 EINVAL (…)", ""),
    ],
)  # fmt: skip
def test_the_device_of_a_membership(value: str, result: str, is_: str) -> None:
    udp = UDP6.replace("INET6", "INET") + f"1 bind(3<socket:[30]>, {V4.format(8000)}, 16) = 0\n"
    said, left_out = traced(udp + ADD.format(value, result))
    found = re.findall("IP_ADD_MEMBERSHIP=(.*)\\)", said)
    assert (found, sum(left_out.values())) == (([is_], 0) if is_ else ([], 1))
    assert len(parse_file(said)) == 1


def test_a_membership_by_an_option_that_the_language_has_not_is_counted() -> None:
    group = '{gr_interface=if_nametoindex("lo"), gr_group={sa_family=AF_INET, sin_port=htons(0), sin_addr=…}}, 136'
    _, left_out = traced(UDP6 + ADD.replace("IP_ADD_MEMBERSHIP", "MCAST_JOIN_GROUP").format(group, "0"))
    assert list(left_out.values()) == [1]
