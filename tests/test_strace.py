"""The lines of strace: calls put together from their parts, and what is no line of it named by its number."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse.recorder import strace
from pytest_sockreuse.recorder.strace import End, Log, LogError, Syscall

BIND = 'bind(3<socket:[7]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16)'


def events(text: str) -> list[Syscall | End]:
    return list(Log().events(text.splitlines(keepends=True)))


def call(text: str) -> Syscall:
    (event,) = events(text)
    assert isinstance(event, Syscall)
    return event


@pytest.mark.parametrize("head", ["", "12  ", "[pid 12] ", "12 17:00:00 ", "12 17:00:00.123456 ", "12 1796000000.1 "])
def test_a_call_whatever_stands_before_it(head: str) -> None:
    found = call(f"{head}{BIND} = -1 EADDRINUSE (Address already in use)\n")
    assert (found.pid, found.name, found.result, found.errno) == (12 if "12" in head else 0, "bind", -1, "EADDRINUSE")
    assert found.args[0] == "3<socket:[7]>"
    assert found.args[1].startswith("{sa_family=AF_INET") and found.args[1].endswith("}")
    assert found.args[2] == "16"


def test_what_a_call_returns_is_named() -> None:
    found = call("socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3<socket:[4711]> <0.000012>\n")
    assert (found.result, found.target) == (3, "socket:[4711]")
    assert call("exit_group(0) = ?\n").result is None
    assert call("read(3, 0x7ffd, 16) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)\n").result is None
    assert call("brk(NULL) = 0x55d0c0de\n").result == 0x55D0C0DE


def test_text_that_looks_like_the_end_of_a_call_is_text() -> None:
    found = call(r'write(1<pipe:[9]>, "a\") = 7, (", 9) = 9' + "\n")
    assert found.args == ("1<pipe:[9]>", r'"a\") = 7, ("', "9")


def test_a_call_that_is_interrupted_is_one_call() -> None:
    text = f"12 accept4(3, <unfinished ...>\n13 {BIND} = 0\n12 <... accept4 resumed>NULL, NULL, SOCK_CLOEXEC) = 5\n"
    first, second = events(text)
    assert isinstance(first, Syscall)
    assert isinstance(second, Syscall)
    assert (first.name, second.name, second.args, second.result) == (
        "bind",
        "accept4",
        ("3", "NULL", "NULL", "SOCK_CLOEXEC"),
        5,
    )
    assert second.line == 3


def test_signals_and_what_strace_says_itself_are_passed_over() -> None:
    chatter = "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---\nstrace: Process 9 attached\n\n"
    assert events(f"{chatter}9 +++ exited with 0 +++\n") == [End(9, 4)]
    assert events("9 +++ killed by SIGSEGV (core dumped) +++\n") == [End(9, 1)]


def test_a_log_that_ends_in_the_middle_says_so() -> None:
    log = Log()
    assert len(list(log.events([f"{BIND} = 0\n", "12 setsockopt(3, SOL_SOC"]))) == 1
    assert log.cut


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hello\n", "1: is no line of strace: 'hello'"),
        (f"{BIND} = 0\n\x1b[2J\n", r"2: is no line of strace: '\x1b[2J'"),
        ("bind(3, {sa_family\n", "1: is no line of strace"),
        ("12 <... bind resumed>) = 0\n", "1: 'bind' resumes, which process 12 had not begun"),
        ("12 accept(3 <unfinished ...>\n12 <... bind resumed>) = 0\n", "2: 'bind' resumes"),
        (f"a({'x' * strace.MAX_LINE}) = 0\n", "1: is longer than"),
        ("".join(f"{n} read(0 <unfinished ...>\n" for n in range(strace.MAX_PROCESSES + 1)), "are in a call"),
    ],
)
def test_what_is_no_log_is_named_by_its_line(text: str, says: str) -> None:
    with pytest.raises(LogError) as caught:
        events(text)
    assert says in str(caught.value)


PARTS = st.sampled_from(
    [
        "12 ",
        "bind(",
        ")",
        " = 0",
        " = -1 E",
        "<unfinished ...>",
        "<... bind resumed>",
        '"',
        "\\",
        "{",
        "[",
        "<",
        ">",
        ",",
        "3",
        "\n",
        "+++ exited with 0 +++",
        "é\x00",
    ]
)


@settings(derandomize=True, deadline=None, database=None, max_examples=400)
@given(st.lists(PARTS, max_size=30).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    lines = text.count("\n") + 1
    try:
        found = [event.line for event in events(text)]
    except LogError as error:
        found = [error.line]
    assert all(1 <= line <= lines for line in found)
