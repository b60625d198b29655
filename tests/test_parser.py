"""The scenario language: what parses, how it is printed, and what a mistake is told."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse import parser
from pytest_sockreuse.lines import MAX_STEPS
from pytest_sockreuse.options import options
from pytest_sockreuse.parser import MAX_LINE, MAX_TEXT, decode, parse, parse_file
from pytest_sockreuse.scenario import KINDS, USERS, ScenarioError

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=40)

EVERYTHING = """\
# Every construct, in canonical spelling.
sysctl net.ipv4.ip_autobind_reuse = 1
sysctl net.ipv4.ip_local_port_range = 40000 40007
ephemeral 40000-40007
address 127.0.0.2
address fd00::2
device d1
address fe80::1%d1

listener = tcp4(SO_REUSEADDR, SO_REUSEPORT=0)
listener.set(SO_LINGER=off)
listener.set(SO_LINGER=0)
listener.set(IP_LOCAL_PORT_RANGE=40000-40007)
listener.set(IP_LOCAL_PORT_RANGE=0-40007)
listener.set(SO_BINDTODEVICE=d1)
listener.set(IP_ADD_MEMBERSHIP=224.0.0.251)
listener.set(IP_ADD_MEMBERSHIP=224.0.0.251%d1)
listener.set(IPV6_JOIN_GROUP=ff02::fb%lo)
listener.set(IP_MULTICAST_IF=lo)
listener.set(TCP_LINGER2=-1)
listener.set(SO_REUSEADDR=raw:)
listener.set(SO_REUSEADDR=raw:01000000)
listener.get(SO_REUSEADDR)
listener.bind(127.0.0.1:P)
listener.listen()
B = tcp6(IPV6_V6ONLY=0) as user1  # by somebody else
B.bind([::ffff:127.0.0.1]:Q2)?
B.listen(1)
"""


def fails(text: str) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        parse_file(text)
    return caught.value


def test_every_construct_prints_back_identically() -> None:
    text = EVERYTHING + (
        "C = mptcp6() as root?\nC.connect(127.0.0.1:listener.port)?\nC.disconnect()\n"
        "child = listener.accept()\nother = listener.accept()?\nwait 0.25\nchild.shutdown(RD)\nchild.shutdown(WR)\n"
        "child.shutdown(RDWR)\nchild.eof()\nchild.send()\nchild.recv()\nchild.close()\nD = udp4()\n"
        "E = D.dup()\nD.sendto(0.0.0.0:9)\nD.sendto([::]:0)\nD.bind(127.0.0.1:child.port)\nD.name()\n"
        "F = udp6()\nF.bind([fe80::1%lo]:P)\nF.connect([::1%d-1.2]:F.port)\n"
        "S[1-8] = tcp4()\nS[1-8].bind(127.0.0.[1-8]:0)\nS[3-5].connect(127.0.0.1:S[1-3].port)\n"
    )
    assert str(parse(text)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_socket(kind: str) -> None:
    (step,) = parse(f"A = {kind}()").steps
    assert (step.verb, step.kind, step.label) == ("socket", kind, "A.socket")


@pytest.mark.parametrize("option", options())
def test_every_option(option: str) -> None:
    group = "=ff02::1%lo" if option.startswith("IPV6") else "=224.0.0.1"
    values = {"linger": "=0", "range": "=1-2", "text": "=lo", "group": group, "device": "=lo"}
    value = values.get(options()[option].form, "")
    text = f"A = tcp4({option}{value})\nA.get({option})\n"
    assert str(parse(text)) == text
    assert parse(f"A = tcp4({option}=raw:0aFF)").steps[0].options[0].raw == b"\x0a\xff"


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("  A=tcp4( SO_REUSEADDR,SO_REUSEPORT = 1 )as   user2", "A = tcp4(SO_REUSEADDR, SO_REUSEPORT=1) as user2"),
        ("A\t=\ttcp4 ( )   #  why ", "A = tcp4()  #  why"),
        ("ephemeral\t40000-40007", "ephemeral 40000-40007"),
        ("sysctl net.ipv4.tcp_rmem=1   2\t3", "sysctl net.ipv4.tcp_rmem = 1 2 3"),
        ("A[1-2]=tcp4( SO_LINGER = 0 )as user1 ?", "A[1-2] = tcp4(SO_LINGER=0) as user1?"),
    ],
)
def test_white_space_means_nothing(written: str, printed: str) -> None:
    assert str(parse(written)) == printed + "\n"


def test_line_ends_and_byte_order_mark() -> None:
    assert parse(decode(b"\xef\xbb\xbfA = tcp4()\r\nA.listen()\r\n")) == parse("A = tcp4()\nA.listen()\n")
    assert str(parse("\n# note\n\nA = tcp4()\n\n\n")) == "\n# note\n\nA = tcp4()\n"


def test_indices_run_in_step() -> None:
    scenario = parse("L[1-3] = tcp4()\nC[7-9] = tcp4()\nC[7-9].connect(127.0.0.[2-4]:L[1-3].port)")
    assert [str(step) for step in scenario.steps[6:]] == [
        "C7.connect(127.0.0.2:L1.port)",
        "C8.connect(127.0.0.3:L2.port)",
        "C9.connect(127.0.0.4:L3.port)",
    ]
    assert {step.line for step in scenario.steps[6:]} == {3}
    assert len(parse("S[1-1] = tcp4()").steps) == 1


def test_labels_number_what_recurs() -> None:
    text = "B = udp4()\nB.connect(127.0.0.1:D)?\nwait 1\nB.connect(127.0.0.1:E)\nB.name()\nB.connect(127.0.0.1:D)"
    scenario = parse(text)
    assert [step.label for step in scenario.steps] == [
        "B.socket", "B.connect", "", "B.connect#2", "B.name", "B.connect#3",
    ]  # fmt: skip
    assert [step.survives for step in scenario.steps] == [False, True, False, False, False, False]
    assert scenario.symbols == ("D", "E")
    assert scenario.waits == 1


def test_several_scenarios_in_one_text() -> None:
    text = "--- first\nA = tcp4()\n--- second one\nA = tcp4()\nA.listen()\n--- third\n"
    found = parse_file(text)
    assert [scenario.title for scenario in found] == ["first", "second one", "third"]
    assert [len(scenario.steps) for scenario in found] == [1, 2, 0]
    assert "".join(map(str, found)) == text
    assert fails("--- a\nA = tcp4()\n--- b\nA = tcp5()").line == 4


BAD = [
    ("A = tcp5()", 1, 5, "tcp4"),
    ("A = tcp4(SO_REUSADDR)", 1, 10, "SO_REUSEADDR"),
    ("A = tcp4(so_reuseaddr)", 1, 10, "SO_REUSEADDR"),
    ("A = tcp4(SO_REUSEADDR SO_REUSEPORT)", 1, 23, "','"),
    ("A = tcp4(SO_REUSEADDR", 1, 22, "')'"),
    ("A = tcp4(SO_REUSEADDR=yes)", 1, 23, "whole number"),
    ("A = tcp4(SO_REUSEADDR=2147483648)", 1, 23, "32 bits"),
    ("A = tcp4(SO_LINGER)", 1, 19, "off"),
    ("A = tcp4(SO_LINGER=on)", 1, 20, "off"),
    ("A = tcp4(IP_LOCAL_PORT_RANGE=1)", 1, 30, "LOW-HIGH"),
    ("A = tcp4(IP_LOCAL_PORT_RANGE=1-65536)", 1, 30, "65535"),
    ("A = tcp4(SO_REUSEADDR=raw:0)", 1, 28, "even"),
    ("A = tcp4(SO_REUSEADDR=raw:0g)", 1, 27, "hexadecimal"),
    ("A = tcp4() as root2", 1, 19, "end of the line"),
    ("A = tcp4() as nobody", 1, 15, "user1"),
    ("A = tcp4() B", 1, 12, "end of the line"),
    ("A", 1, 2, "'='"),
    ("1A = tcp4()", 1, 1, "name"),
    ("A = tcp4()\nA.open()", 2, 3, "bind"),
    ("A = tcp4()\nA.accept()", 2, 3, "NAME = LISTENER.accept()"),
    ("A = tcp4()\nA.bind(127.0.0.1)", 2, 17, "port"),
    ("A = tcp4()\nA.bind(127.0.0.256:P)", 2, 8, "IPv4"),
    ("A = tcp4()\nA.bind([::g]:P)", 2, 11, "']'"),
    ("A = tcp4()\nA.bind([:::]:P)", 2, 9, "IPv6"),
    ("A = tcp4()\nA.bind(127.0.0.1:p)", 2, 18, "port"),
    ("A = tcp4()\nA.bind(127.0.0.1:65536)", 2, 18, "65535"),
    ("A = tcp4()\nA.bind(127.0.0.1:B.port)", 2, 18, "B is not"),
    ("A = tcp4()\nA.bind(localhost:80)", 2, 8, "address"),
    ("A = tcp4()\n\n  A.listen(x)", 3, 12, "')'"),
    ("A = tcp4()\nA.shutdown()", 2, 12, "RDWR"),
    ("A = tcp4()\nA.close(1)", 2, 9, "')'"),
    ("A = tcp4()\nA = tcp4()", 2, 1, "bound already"),
    ("A = tcp4()\nA.close()\nA = tcp4()", 3, 1, "bound already"),
    ("A = tcp4()\nA.close()\nA.listen()", 3, 1, "closed"),
    ("A.listen()", 1, 1, "made above"),
    ("A = tcp4()\nB = C.accept()", 2, 5, "made above"),
    ("A = tcp4()\nB = A.listen()", 2, 7, "accept() or dup()"),
    ("A = udp4()\nA.set(IP_ADD_MEMBERSHIP)", 2, 24, "'=' and a group's address, such as 224.0.0.251%lo"),
    ("A = udp4()\nA.set(IP_ADD_MEMBERSHIP=ff02::1)", 2, 25, "an address, such as"),
    ("A = udp4()\nA.set(IPV6_JOIN_GROUP=224.0.0.1)", 2, 23, "an IPv6 address"),
    ("A = udp4()\nA.set(IP_MULTICAST_IF=1)", 2, 23, "an interface name"),
    ("address fd00::2%lo", 1, 16, "a device of a link-local address only"),
    ("address 169.254.1.1%lo", 1, 20, "a device of a link-local address only"),
    ("address fe80::2%d1", 1, 17, "lo or a device made above, d1 is not"),
    ("A = tcp6()\nA.bind([fe80::1%]:P)", 2, 17, "an interface name"),
    ("A = tcp6()\nA.bind([fe80::1%lo.port)", 2, 24, "']'"),
    ("A = tcp4()\nA.bind(127.0.0.1%lo:P)", 2, 17, "':' and a port"),
    ("A = tcp4()\nA.dup()", 2, 3, "NAME = OTHER.dup()"),
    ("A = tcp4()\nA = A.dup()", 2, 1, "a new name"),
    ("A = tcp4()\nA.close()\nB = A.dup()", 3, 5, "made above"),
    ("A = tcp4()\nB = A.dup(1)", 2, 10, "'()'"),
    ("A = tcp4()\nephemeral 1-2", 2, 1, "before the first socket"),
    ("ephemeral 5-4", 1, 11, "LOW <= HIGH"),
    ("ephemeral 0-4", 1, 11, "LOW <= HIGH"),
    ("address localhost", 1, 9, "address"),
    ("sysctl tcp_tw_reuse = 1", 1, 8, "setting"),
    ("sysctl net.ipv4.tcp_tw_reuse 1", 1, 30, "'='"),
    ("device a-very-long-device-name", 1, 8, "interface"),
    ("wait", 1, 5, "'='"),
    ("wait soon", 1, 6, "seconds"),
    ("wait 3601", 1, 1, "at most"),
    ("A[1-3] = tcp4()\nA[1-3].bind(127.0.0.[1-4]:P)", 2, 21, "3 numbers"),
    ("A[3-1] = tcp4()", 1, 2, "low to high"),
    ("A[1-3] = tcp4()\nA[1-4].listen()", 2, 1, "A4 is not"),
    ("A[1-3] = tcp4()\nA[1-3].bind(127.0.0.[254-256]:P)", 2, 13, "IPv4"),
    ("A[1-3] = tcp4()\nA[1-3].bind(127.0.0.[1-3]:p)", 2, 27, "port"),
    ("---", 1, 4, "title"),
    ("A = tcp4()\n--- late", 2, 1, "above the first step"),
]


@pytest.mark.parametrize(("text", "line", "column", "expected"), BAD, ids=[text for text, *_ in BAD])
def test_a_mistake_is_named_with_line_and_column(text: str, line: int, column: int, expected: str) -> None:
    error = fails(text)
    assert (error.line, error.column) == (line, column), error
    assert expected in error.expected
    assert error.expected.startswith("expected ")
    assert "\n" not in str(error)
    assert len(str(error)) < 500


def test_one_scenario_is_wanted() -> None:
    with pytest.raises(ScenarioError, match="one scenario, not 2"):
        parse("--- a\n--- b\n")


NEST = "(" * 900 + ")" * 900
HOSTILE = {
    "long line": b"A" * 10_000_000,
    "long comment": b"#" * 10_000_000,
    "huge range": b"S[1-1000000000] = tcp4()",
    "large range": b"S[1-999999999] = tcp4()",
    "many ranges": b"S[1-9999] = tcp4()\n" * 3,
    "range of ranges": b"A" + b"[1-2][1-3]" * 190 + b" = tcp4()",
    "nul": b"A = tcp4()\0",
    "only nul": b"\0" * 1_000_000,
    "binary": bytes(range(256)) * 64,
    "not utf-8": b"A = tcp4()\n\xff\xfe",
    "utf-16": "A = tcp4()\n".encode("utf-16"),
    "parentheses": f"A = tcp4{NEST}".encode(),
    "nested": b"(" * 10_000,
    "brackets": b"A.bind(" + b"[" * 1000,
    "duplicates": b"A = tcp4()\n" * 10_000,
    "options": b"A = tcp4(" + b"SO_REUSEADDR," * 140 + b")",
    "unknown option": b"A = tcp4(SO_" + b"X" * 1_900 + b")",
    "bell": b"A = tcp4() # \x07",
    "line separator": "A = tcp4() # \u2028A.bind(127.0.0.1:1)".encode(),
    "foreign digits": "A = tcp4()\nA.bind(127.0.0.1:\u0663)".encode(),
    "foreign letters": "\u0410 = tcp4()".encode(),
    "many digits": b"wait " + b"9" * 1_900,
    "titles": b"---\n" * 1000,
}  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_is_one_short_error_and_soon(data: bytes) -> None:
    began = time.process_time()
    with pytest.raises(ScenarioError) as caught:
        parse_file(decode(data))
    assert time.process_time() - began < 5
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2 * MAX_LINE + 200


def test_not_utf8_is_named_by_its_place() -> None:
    with pytest.raises(ScenarioError, match=r"^2:3: expected UTF-8"):
        decode(b"A = tcp4()\n\xc3\xa9#\xff")
    with pytest.raises(ScenarioError, match=r"^2:2: expected printable"):
        decode(b"A = tcp4()\n\xc3\xa9\0")
    with pytest.raises(ScenarioError, match=r"^1:2: expected UTF-8"):
        decode(b"\xef\xbb\xbfA\xff")  # a byte order mark takes no column


def test_white_space_is_blanks_and_tabs() -> None:
    assert str(parse("\t A = tcp4() \t")) == "A = tcp4()\n"
    assert (fails("\u00a0A = tcp4()").column, fails("A = tcp4()\u3000").column) == (1, 11)
    assert parse("sysctl a.b = x\u00a0 \ty").environment[0].value == "x\u00a0 y"
    assert parse_file("--- a\u00a0")[0].title == "a\u00a0"


def test_the_number_of_steps_is_limited() -> None:
    assert len(parse(f"S[1-{MAX_STEPS}] = tcp4()").steps) == MAX_STEPS
    assert fails(f"S[1-{MAX_STEPS}] = tcp4()\nA = tcp4()").line == 2


def test_what_is_performed_has_no_comments() -> None:
    """A stranger's megabytes of them are not sent to the worker, which would not answer in time."""
    scenario = parse("# one\n\nA = tcp4()  # two\n  A[1-2] = udp4()\n#\nA.bind(127.0.0.1:P)# three\n")
    assert scenario.bare == "A = tcp4()  \nA[1-2] = udp4()\nA.bind(127.0.0.1:P)  "
    assert [str(step) for step in parse(scenario.bare).steps] == [str(step) for step in scenario.steps]


def test_the_lines_and_steps_of_a_file_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a file of 11 kB would make a million steps, and one of line ends as many lines."""
    most = 3 * MAX_STEPS
    monkeypatch.setattr(parser, "MAX_LINES", most)
    error = fails(f"--- t\n{'S' * 1800}[1-{MAX_STEPS}] = tcp4()\nA = tcp4()")
    assert (error.line, error.expected) == (3, f"expected at most {MAX_TEXT} characters in all steps of a file")
    error = fails(f"--- t\nS[1-{MAX_STEPS}] = tcp4()\n" * 4)
    assert (error.line, error.column) == (2 * 3 + 1, 1)
    assert error.expected == f"expected at most {most} lines and steps in a file"
    assert fails("\n" * most).line == most + 1
    assert len(parse_file("--- t\n" * (most - 1))) == most - 1


def test_foreign_digits_are_no_numbers() -> None:
    for text in ("wait \u0663", "A = tcp4(SO_REUSEADDR=\u0661)", "A[\u0661-\u0662] = tcp4()", "A\u0661 = tcp4()"):
        fails(text)


# --- properties -------------------------------------------------------------------------------------------------------

HOSTS = st.sampled_from(
    ["127.0.0.1", "0.0.0.0", "[fe80::1%lo]", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[fd00::2]", "127.255.0.7"]
)
VALUES = {
    "flag": st.integers(-(2**31), 2**31 - 1).map(str),
    "int": st.integers(-(2**31), 2**31 - 1).map(str),
    "linger": st.one_of(st.just("off"), st.integers(0, 99999).map(str)),
    "range": st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    "group": st.sampled_from(["raw:"]),
    "device": st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,9}", fullmatch=True),
    "text": st.from_regex(r"[A-Za-z0-9_.\-]{1,15}", fullmatch=True).filter(lambda text: not text.startswith("raw:")),
}
COMMENTS = st.one_of(st.just(""), st.text("abc #()=[]-é", min_size=1).map(lambda text: f"  # {text}x"))


@st.composite
def option_texts(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(sorted(options())))
    form = options()[name].form
    if form in ("flag", "int") and draw(st.booleans()):
        return name
    if form == "group" and draw(st.booleans()):
        return f"{name}={'ff02::fb' if name.startswith('IPV6') else '224.0.0.251'}{draw(st.sampled_from(['', '%lo']))}"
    return f"{name}={draw(st.one_of(VALUES[form], st.binary(max_size=20).map(lambda data: 'raw:' + data.hex())))}"


@st.composite
def scenario_texts(draw: st.DrawFn) -> str:
    """A scenario in canonical spelling, that obeys the rules on names."""
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 3))):
        low, more = draw(st.integers(1, 60000)), draw(st.integers(0, 5000))
        host = draw(HOSTS).strip("[]")
        lines.append(
            draw(
                st.sampled_from(
                    [
                        f"sysctl net.ipv4.x_{low} = {more}",
                        f"ephemeral {low}-{low + more}",
                        f"address {host}",
                        "device d1",
                    ]
                )
            )
        )
    made: list[str] = []
    alive: list[str] = []
    fresh = iter(f"{letter}{number}" for number in range(100) for letter in ("a", "Srv_", "P"))
    for _ in range(draw(st.integers(0, 12))):
        verb = draw(
            st.sampled_from(
                "socket bind connect sendto set get listen shutdown accept dup close eof recv send name disconnect "
                "wait blank range".split()
            )
        )
        end = draw(st.sampled_from(["", "?"])) + draw(COMMENTS)
        given = draw(st.lists(option_texts(), max_size=3))
        if verb == "wait":
            lines.append(f"wait {draw(st.sampled_from(['1', '0.25', '10.000001']))}{draw(COMMENTS)}")
        elif verb == "blank":
            lines.append(draw(COMMENTS).strip())
        elif verb == "range":
            name, first, size = f"R{len(lines)}_", draw(st.integers(0, 50)), draw(st.integers(1, 4))
            lines.append(f"{name}[{first}-{first + size - 1}] = tcp4({', '.join(given)}){end}")
            lines.append(f"{name}[{first}-{first + size - 1}].bind(127.0.0.[9-{9 + size - 1}]:P){end}")
        elif verb == "socket" or not alive:
            user = draw(st.sampled_from(["", *(f" as {user}" for user in USERS)]))
            made.append(next(fresh))
            alive.append(made[-1])
            lines.append(f"{made[-1]} = {draw(st.sampled_from(sorted(KINDS)))}({', '.join(given)}){user}{end}")
        elif verb in ("accept", "dup"):
            other = draw(st.sampled_from(alive))
            made.append(next(fresh))
            alive.append(made[-1])
            lines.append(f"{made[-1]} = {other}.{verb}(){end}")
        else:
            name = draw(st.sampled_from(alive))
            port = draw(
                st.one_of(
                    st.integers(0, 65535).map(str),
                    st.sampled_from(["P", "Q2", "PORT"]),
                    st.sampled_from(made).map(lambda owner: f"{owner}.port"),
                )
            )
            argument = {
                "set": draw(option_texts()),
                "get": draw(st.sampled_from(sorted(options()))),
                "listen": draw(st.sampled_from(["", "0", "-1", "128"])),
                "shutdown": draw(st.sampled_from(["RD", "WR", "RDWR"])),
                **dict.fromkeys(("bind", "connect", "sendto"), f"{draw(HOSTS)}:{port}"),
            }.get(verb, "")
            lines.append(f"{name}.{verb}({argument}){end}")
            if verb == "close":
                alive.remove(name)
    while lines and not lines[-1]:
        lines.pop()
    return "".join(f"{line}\n" for line in lines)


@PROPERTY
@given(scenario_texts())
def test_canonical_text_prints_back_identically(text: str) -> None:
    scenario = parse(text)
    assert str(scenario) == text
    assert parse(str(scenario)) == scenario


@PROPERTY
@given(scenario_texts())
def test_expansion_stands_for_the_same(text: str) -> None:
    scenario = parse(text)
    plain = parse("\n".join([*map(str, scenario.environment), *map(str, scenario.steps)]))
    assert [step.label for step in plain.steps] == [step.label for step in scenario.steps]
    assert [str(step) for step in plain.steps] == [str(step) for step in scenario.steps]
    assert plain.environment == scenario.environment
    assert len(scenario.labels) == sum(step.verb != "wait" for step in scenario.steps)


@PROPERTY
@given(scenario_texts(), st.sampled_from([" ", "\t", "  \t "]))
def test_padding_changes_nothing(text: str, space: str) -> None:
    padded = []
    for line in text.splitlines():
        body, hash_, comment = line.partition("#")
        if not body.startswith(("sysctl", "ephemeral", "address", "device", "wait")):
            for mark in "(),=?":
                body = body.replace(mark, f"{space}{mark}{space}")
        padded.append(f"{space}{body}{hash_}{comment}{space}")
    assert str(parse("\n".join(padded))) == str(parse(text))


@PROPERTY
@given(st.binary(max_size=300))
def test_random_bytes_give_a_scenario_or_a_scenario_error(data: bytes) -> None:
    try:
        parse_file(decode(data))
    except ScenarioError as caught:
        error: ScenarioError | None = caught
    else:
        error = None
    assert error is None or min(error.line, error.column) >= 1


@settings(PROPERTY, max_examples=150)
@given(scenario_texts(), st.integers(0, 10_000), st.text(max_size=3), st.integers(0, 3))
def test_a_spoiled_scenario_gives_a_scenario_or_a_scenario_error(text: str, at: int, put: str, drop: int) -> None:
    at %= len(text) + 1
    spoiled = text[:at] + put + text[at + drop :]
    lines = spoiled.split("\n")
    try:
        again = "".join(map(str, parse_file(spoiled)))
    except ScenarioError as error:
        line, column, again = error.line, error.column, ""
    else:
        line, column = 1, 1
    assert 1 <= line <= len(lines)
    assert 1 <= column <= len(lines[line - 1]) + 1
    assert "".join(map(str, parse_file(again))) == again


def test_a_python_without_ipv6_reads_ipv6_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("socket.inet_pton")
    text = "A = tcp6()\nA.bind([fe80::6:7]:P)\n"
    assert str(parse(text)) == text
    with pytest.raises(ScenarioError, match="IPv4 address"):
        parse("A = tcp4()\nA.bind(127.6.7:P)")
