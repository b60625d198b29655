"""What the recorder says of other platforms: findings, remedies, conditions in the code; and the plugin around it."""

from __future__ import annotations

import ast
import json
import socket
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_sockreuse.hooks import recorder
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, current, named, newest
from pytest_sockreuse.recorder import conditions
from pytest_sockreuse.recorder.asker import Asker
from pytest_sockreuse.recorder.compare import Comparer, Comparison
from pytest_sockreuse.recorder.events import Event
from pytest_sockreuse.recorder.failures import fate
from pytest_sockreuse.recorder.locations import Place
from pytest_sockreuse.recorder.reconstruct import reconstruct
from pytest_sockreuse.recorder.report import Record, record, report, summarize
from pytest_sockreuse.recorder.syntax import Scope, parsed
from pytest_sockreuse.recorder.values import OPEN, SAME, Vague
from pytest_sockreuse.report.results import read

LINUX = named("linux-6.18.44")
TARGETS = [named(name) for name in ("linux-7.3.4", "macos-15", "windows-11", "freebsd-15.0")]
HERE = ("127.0.0.1", 40_000)
THERE = ("127.0.0.1", 40_001)
REUSEADDR, REUSEPORT = (1, 2), (1, 15)

#: Linux' numbers; on another system they may mean another option.
pytestmark = pytest.mark.skipif(current().stack not in ("linux", "gvisor"), reason="events with the numbers of Linux")


def made(fd: int, *options: tuple[int, int]) -> list[Event]:
    """The events of a new TCP socket with options."""
    return [("socket", fd, (2, 1, 0), 0, ()), *(("set", fd, (*option, 1), 0, ()) for option in options)]


def bind(fd: int, address: tuple[str, int] = HERE, code: int = 0) -> Event:
    return ("bind", fd, (address, None), code, ())


def connect(fd: int, address: tuple[str, int] = THERE, code: int = 0) -> Event:
    return ("connect", fd, (address, None), code, ())


def listen(fd: int) -> Event:
    return ("listen", fd, None, 0, ())


def close(fd: int) -> Event:
    return ("close", fd, (False, False), 0, ())


def compared(events: Sequence[Event], here: Platform = LINUX) -> Comparison:
    (piece,) = reconstruct(events)[0].pieces
    return Comparer(here, TARGETS).compare(piece)


def said(comparison: Comparison) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(" ".join(map(str, f.platforms)), f.step, f.here, f.outcomes) for f in comparison.findings]


HOLE_PUNCH = [*made(3, REUSEADDR), bind(3), *made(4, REUSEADDR), bind(4), listen(4), connect(3), close(3), close(4)]


def test_the_first_call_that_fails_elsewhere() -> None:
    comparison = compared(HOLE_PUNCH)
    assert said(comparison) == [("macos-15 freebsd-15.0", "listener.bind", "ok", ("EADDRINUSE",))]
    assert comparison.findings[0].clause.name == "bind-conflict"
    assert comparison.findings[0].clause.sentence
    assert comparison.remedy == "call listener.bind after outgoing.connect"
    assert not comparison.unknown


def test_a_remedy_of_two_changes_works_where_one_does_not() -> None:
    events = [
        *made(3, REUSEADDR, REUSEPORT), bind(3), listen(3), *made(4, REUSEADDR, REUSEPORT), bind(4), connect(4),
    ]  # fmt: skip
    comparison = compared(events)
    assert said(comparison) == [("windows-11", "listener.socket", "ok", ("ENOPROTOOPT",))]
    assert comparison.findings[0].option == "SO_REUSEPORT"
    assert comparison.remedy == (
        "call listener.bind after outgoing.connect, and leave SO_REUSEPORT away from listener and outgoing"
    )


def test_no_remedy_is_made_up() -> None:
    comparison = compared([*made(3, REUSEADDR), bind(3), *made(4, REUSEADDR), bind(4)])
    assert said(comparison) == [("macos-15 freebsd-15.0", "bound2.bind", "ok", ("EADDRINUSE",))]
    assert comparison.remedy == ""


def test_what_fails_here_too_is_no_finding() -> None:
    assert not compared([*made(3), bind(3), *made(4), bind(4, code=98)]).findings


def test_what_fails_here_and_works_there_is_told() -> None:
    comparison = compared([*made(3, REUSEADDR), bind(3), listen(3), *made(4, REUSEADDR), bind(4, code=98)])
    assert said(comparison) == [("windows-11", "bound.bind", "EADDRINUSE", ("ok",))]
    assert comparison.remedy == ""
    text = report(record([], [comparison], []))
    assert text == "on Windows 11 `bound.bind` would succeed (here it fails with EADDRINUSE)"


def test_what_this_platforms_model_does_not_foresee_is_not_judged() -> None:
    comparison = compared([*made(3), bind(3), *made(4), bind(4)])  # on no Linux; somebody else had a hand in it
    assert not comparison.findings
    assert set(comparison.unknown.values()) == {"what bound2.bind did here is not what the model of linux-6.18.44 says"}


def test_the_models_unknown_is_no_finding() -> None:
    sctp = (2, 1, 132)
    events = [("socket", 3, sctp, 0, ()), bind(3), listen(3), ("socket", 4, sctp, 0, ()), connect(4, HERE)]
    comparison = compared(events)
    assert not comparison.findings
    assert set(comparison.unknown) == {str(platform) for platform in TARGETS if platform.stack != "linux"}


def test_too_much_for_one_judgement_is_not_judged() -> None:
    events = [event for fd in range(3, 300) for event in (*made(fd, REUSEADDR), bind(fd))]
    (why,) = set(compared(events).unknown.values())
    assert why == "more than 400 calls in one piece"


def test_many_connections_are_judged_as_one() -> None:
    few, many = ([*made(3), bind(3), listen(3)] for _ in range(2))
    for events, count in ((few, 1), (many, 200)):
        for fd in range(4, 4 + count):
            events += [*made(fd), connect(fd, HERE), ("accept", 3, (fd + 1000, ("127.0.0.1", 50_000)), 0, ())]
            events += [close(fd), close(fd + 1000)]
    assert compared(many).piece.scenario == compared(few).piece.scenario
    assert not compared(many).unknown


def test_connections_that_nobody_accepts_take_no_listener_away() -> None:
    events = [*made(3), bind(3), listen(3)]
    for _ in range(3):
        events += [*made(4), connect(4, HERE), close(4)]
    comparison = compared([*events, close(3)])
    assert [call.verb for call in comparison.piece.calls] == [
        "socket", "bind", "listen", "socket", "connect", "close", "close",
    ]  # fmt: skip
    assert not comparison.unknown


def test_a_judgement_is_made_once() -> None:
    comparer, known = Comparer(LINUX, TARGETS), set()
    for port in (40_000, 41_000, 42_000):
        (piece,) = reconstruct([*made(3, REUSEADDR), bind(3, ("127.0.0.1", port))])[0].pieces
        comparer.compare(piece)
        known.add(len(comparer.remembered))
    assert len(known) == 1


# --- conditions in the code -------------------------------------------------------------------------------------------

SNIPPETS = [
    ("if os.name != 'nt':\n    CALL", {"windows": False, "macos": True}),
    ("if os.name == 'nt':\n    pass\nelse:\n    CALL", {"windows": False, "macos": True}),
    ("if sys.platform.startswith('linux'):\n    CALL", {"windows": False, "gvisor": True}),
    (
        "if sys.platform in ('linux', 'darwin') and wanted:\n    CALL",
        {"windows": False, "macos": True, "freebsd": False},
    ),
    ("if not (IS_WINDOWS or ephemeral):\n    CALL", {"windows": False, "macos": True}),
    ("if on_windows():\n    pass\nelif wanted:\n    CALL", {"windows": False}),
    ("if hasattr(socket, 'SO_REUSEPORT'):\n    CALL", {"windows": False, "freebsd": True}),
    ("if hasattr(socket, 'SO_REUSEPORT_LB'):\n    pass\nelif wanted:\n    CALL", {"freebsd": False, "macos": True}),
    ("if sys.platform == 'win32' and wanted:\n    pass\nelse:\n    CALL", {"windows": None, "macos": True}),
    ("if sys.platform == guess():\n    CALL", {"windows": None}),
    ("if wanted and other or third:\n    CALL", {"windows": True}),
    ("reuse = os.name == 'posix' and sys.platform != 'cygwin'\nif reuse:\n    CALL", {"windows": False, "macos": True}),
    ("with thing:\n    for one in many:\n        if platform.system() == 'Linux':\n            CALL", {"macos": False}),
    ("match wanted:\n    case 1 if True:\n        CALL", {"windows": True}),
    ("try:\n    CALL\nexcept OSError:\n    pass", {"windows": True}),
]


@pytest.mark.parametrize(("code", "answers"), SNIPPETS)
def test_which_systems_a_condition_lets_through(code: str, answers: dict[str, bool | None], tmp_path: Path) -> None:
    place = at(code, tmp_path)
    assert {stack: conditions.reading((place,), "linux", stack).made for stack in answers} == answers
    assert conditions.reading((place,), "linux", "linux").made is True


def test_on_a_platform_without_a_model_nothing_is_held_back(tmp_path: Path) -> None:
    here = Platform("wsl1", (4, 4, 0), "4.4.0")
    assert said(compared(HOLE_PUNCH, here))
    place = at("if os.name != 'nt':\n    CALL", tmp_path)
    assert conditions.reading((place,), "wsl1", "macos").made is None


def at(code: str, directory: Path, name: str = "code.py") -> Place:
    """The line of CALL in a method with this code."""
    body = textwrap.indent(code, "        ")
    file = directory / name
    file.write_text(f"import os\nclass Server:\n\n    def start(self):\n{body}\n\n    def stop(self): pass\n")
    line = 1 + next(n for n, text in enumerate(file.read_text().splitlines()) if "CALL" in text)
    return Place(str(file), line, "Server.start", 4)


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("CALL", False),
        ("try:\n    CALL\nexcept OSError:\n    pass", True),
        ("try:\n    CALL\nexcept:\n    pass", True),
        ("try:\n    CALL\nexcept (ValueError, socket.error) as error:\n    print(error)", True),
        ("try:\n    CALL\nexcept ValueError:\n    pass", False),
        ("try:\n    CALL\nexcept OSError:\n    close()\n    raise", False),
        ("try:\n    pass\nexcept OSError:\n    CALL", False),
    ],
)
def test_whether_the_code_goes_on(code: str, caught: bool, tmp_path: Path) -> None:
    assert (fate((at(code, tmp_path),), "EADDRINUSE").handler is not None) is caught


def test_code_that_cannot_be_read_has_no_conditions(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def start(:\n    CALL\n")
    for place in (Place(str(tmp_path / "broken.py"), 2, "start", 1), Place("<string>", 7, "start", 3)):
        assert conditions.reading((place,), "linux", "windows").made is True
        assert fate((place,), "EADDRINUSE").handler is None


def test_an_option_that_the_code_sets_on_some_systems_only(tmp_path: Path) -> None:
    place = at("if os.name != 'nt':\n    CALL", tmp_path)
    unclear = at("if sys.platform == guess():\n    CALL", tmp_path, "unclear.py")

    def options(where: Place) -> Comparison:
        return compared([("socket", 3, (2, 1, 0), 0, ()), ("set", 3, (*REUSEPORT, 1), 0, (where,)), bind(3), listen(3)])

    assert said(compared([*made(3, REUSEPORT), bind(3), listen(3)]))
    assert not options(place).findings
    assert not options(place).unknown
    assert not options(unclear).findings
    assert options(unclear).unknown == {"windows-11": "the code asks for the system itself"}, "to the others it is one"


def test_what_names_of_the_standard_library_stand_for_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("import socket\nsocket.getaddrinfo('', socket.SOCK_STREAM)\n")
    code = parsed(str(file))
    assert code is not None
    call = code.tree.body[1]
    assert isinstance(call, ast.Expr)
    before = parsed.cache_info().misses
    assert Asker("linux", "windows", ()).ask(call.value, Scope(code)) is SAME
    assert parsed.cache_info().misses == before


@pytest.mark.parametrize(
    ("decorator", "answer"),
    [
        ("fixture(params=['asyncio', 'trio'])", SAME),
        ("fixture(params=['a'] if sys.platform == guess() else ['b'])", OPEN),
        ("fixture", OPEN),  # parametrized from elsewhere
    ],
)
def test_what_a_fixture_was_given_stands_in_its_decorator(decorator: str, answer: Vague, tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text(f"import sys\n@{decorator}\ndef backend(request):\n    request.param\n")
    code = parsed(str(file))
    assert code is not None
    function = code.tree.body[1]
    assert isinstance(function, ast.FunctionDef)
    asked = function.body[0]
    assert isinstance(asked, ast.Expr)
    assert Asker("linux", "windows", ()).ask(asked.value, Scope(code, function)) is answer


# --- the report -------------------------------------------------------------------------------------------------------


class Lines:
    """A terminal that keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def section(self, title: str) -> None:
        self.text += f"= {title} =\n"

    def write_line(self, line: str) -> None:
        self.text += f"{line}\n"


def test_the_summary_tells_each_thing_once() -> None:
    trace = reconstruct(HOLE_PUNCH)[0]
    entry: Record = record([trace], [compared(HOLE_PUNCH)], [])
    assert json.loads(json.dumps(entry)) == entry
    assert parse(entry["findings"][0]["piece"]).steps
    other: Record = {"unknown": {"macos-15": "why"}, "left_out": {"a thing": 2}}
    lines = Lines()
    summarize(lines, {f"test_{n}": entry for n in range(5)} | {"test_5": other}, ["macos-15", "freebsd-15.0"])
    clause = compared(HOLE_PUNCH).findings[0].clause
    assert lines.text == (
        "= sockreuse: the recorder =\n"
        "tests with sockets: 6, compared with macOS 15 and FreeBSD 15.0\n"
        "test_0, test_1, test_2 and 2 more\n"
        "  on macOS 15 and FreeBSD 15.0 `listener.bind` would fail with EADDRINUSE\n"
        f"    because {clause.sentence.rstrip('.')} ({clause.name})\n"
        "    what would work on all targets: call listener.bind after outgoing.connect\n"
        "not known: 1 test on macOS 15: why\n"
        "left out: 2  a thing\n"
    )


def test_a_stack_alone_is_its_newest() -> None:
    assert newest("windows") == named("windows-11")
    assert newest("macos") == named("macos-26")


# --- the plugin -------------------------------------------------------------------------------------------------------

PUNCH = """
import socket

REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def test_plain():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()), server.accept()[0]:
            pass


def test_punch():
    outgoing, listener = socket.socket(), socket.socket()
    for sock in (outgoing, listener):
        sock.setsockopt(*REUSE)
    listener.bind(("127.0.0.1", 0))
    outgoing.bind(listener.getsockname())
    listener.listen()
    outgoing.close()
    listener.close()


def test_nothing():
    pass
"""
FINDING = [
    "tests with sockets: 2, compared with *",
    "test_punch.py::test_punch",
    "  on * `outgoing.bind(listener.getsockname())` (bind to",
    "    127.0.0.1:PORT) at test_punch.py:17 would fail with EADDRINUSE",
    "*(bind-conflict)",
]


@pytest.fixture
def project(project: pytest.Pytester) -> pytest.Pytester:
    project.makepyfile(test_punch=PUNCH)
    return project


def test_nothing_is_wrapped_unless_asked(project: pytest.Pytester) -> None:
    project.makepyfile(test_look="import socket\ndef test_look():\n    assert 'bind' not in vars(socket.socket)")
    project.runpytest_inprocess("test_look.py").assert_outcomes(passed=1)
    project.runpytest_inprocess("test_look.py", "--sockreuse-record").assert_outcomes(failed=1)
    assert "bind" not in vars(socket.socket)


def test_the_summary(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("--sockreuse-record")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(FINDING)
    assert "macOS 26 and FreeBSD 15.1" in str(result.stdout)


def test_the_platforms_that_are_asked_for(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("--sockreuse-record=windows-11,gvisor")
    result.stdout.fnmatch_lines(["tests with sockets: 2, compared with Windows 11 and gVisor *"])
    result.stdout.no_fnmatch_line("*would*")
    project.makeini("[pytest]\nsockreuse_targets = openbsd")
    project.runpytest_inprocess("--sockreuse-record", "test_punch.py").stdout.fnmatch_lines(
        ["tests with sockets: 2, compared with OpenBSD 7.9", "*on OpenBSD 7.9 `outgoing.bind(*"]
    )
    project.runpytest_inprocess("--sockreuse-record=macos-15").stdout.fnmatch_lines(["*compared with macOS 15"])


def test_a_finding_fails_the_test_if_it_shall(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("--sockreuse-record-fail")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["* `outgoing.bind(*)` * would fail *", "*bound.bind(127.0.0.1:listener.port)"])
    assert "Traceback" not in str(result.stdout)


def test_a_finding_in_teardown_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_late=f"{PUNCH.replace('def test_', 'def do_')}\n\nimport pytest\n\n@pytest.fixture\ndef late():\n"
        "    yield\n    do_punch()\n\ndef test_late(late): pass"
    )
    project.runpytest_inprocess("--sockreuse-record-fail", "test_late.py").assert_outcomes(passed=1, errors=1)


def test_a_test_that_fails_anyway_fails_for_its_own_reason(project: pytest.Pytester) -> None:
    own = PUNCH.replace("    listener.close()", "    listener.close()\n    assert 0, 'its own'")
    assert own != PUNCH
    project.makepyfile(test_own=own)
    result = project.runpytest_inprocess("--sockreuse-record-fail", "test_own.py", "-k", "test_punch")
    result.assert_outcomes(failed=1, errors=1, deselected=2)
    result.stdout.fnmatch_lines(["*AssertionError: its own"])


def test_from_workers_and_in_other_reports(project: pytest.Pytester, conformance: Callable[..., Path]) -> None:
    pytest.importorskip("xdist")
    result = project.runpytest_subprocess("--sockreuse-record", "-n", "1", "--junitxml=out.xml", timeout=120)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(FINDING)
    properties = {
        case.get("name"): json.loads(found.get("value", ""))
        for case in ElementTree.parse(project.path / "out.xml").iter("testcase")
        for found in case.iter("property")
        if found.get("name") == "sockreuse_record"
    }
    assert sorted(map(str, properties)) == ["test_plain", "test_punch"]
    assert properties["test_plain"] == {}
    assert properties["test_punch"]["findings"][0]["outcomes"] == ["EADDRINUSE"]


def test_beside_the_suite_it_is_in_the_results(project: pytest.Pytester, conformance: Callable[..., Path]) -> None:
    suite = ("--sockreuse", "-o", f"sockreuse_conformance={conformance()}")
    project.runpytest_subprocess(
        *suite, "--sockreuse-record", "--sockreuse-report", "out.jsonl", timeout=120
    ).assert_outcomes(passed=4)
    (results,) = read(project.path / "out.jsonl")
    assert results.about["recorder"]["test_punch.py::test_punch"]["findings"]
    assert list(results.results) == ["sharing/taken[ip4]"]


@pytest.mark.parametrize("option", [(), ("--sockreuse-record",)])
def test_the_fixture(project: pytest.Pytester, option: tuple[str, ...]) -> None:
    project.makepyfile(
        test_fixture=PUNCH
        + textwrap.dedent("""
            def test_it(socket_recording):
                assert str(socket_recording.scenario) == socket_recording.report == ""
                test_punch()
                assert "listener.bind(127.0.0.1:0)\\n" in str(socket_recording.scenario)
                (found,) = socket_recording.findings
                assert found.step == "bound.bind"
                assert not socket_recording.misuse
                assert "would fail with EADDRINUSE" in socket_recording.report
        """)
    )
    project.runpytest_inprocess(*option, "test_fixture.py", "-k", "test_it").assert_outcomes(passed=1, deselected=3)


@pytest.mark.parametrize(
    ("arguments", "ini", "message"),
    [
        (["--sockreuse-record=macos-99"], "", "ERROR: --sockreuse-record: no platform 'macos-99': perhaps *macos-1*"),
        (["--sockreuse-record"], "beos", "ERROR: sockreuse_targets: no platform 'beos': *"),
    ],
)
def test_a_wrong_platform_is_one_clear_line(
    project: pytest.Pytester, arguments: list[str], ini: str, message: str
) -> None:
    project.makeini(f"[pytest]\nsockreuse_targets = {ini}")
    result = project.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in str(result.stderr) + str(result.stdout)


def test_what_is_cut_is_said(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "LIMIT", 6)
    result = project.runpytest_inprocess("--sockreuse-record")
    result.stdout.fnmatch_lines(["left out: *  calls beyond the first 6 of a test"])


def test_processes_that_are_not_seen_are_counted(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_child="import subprocess, sys\ndef test_child(): subprocess.run([sys.executable, '-c', ''], check=True)"
    )
    project.runpytest_inprocess("--sockreuse-record", "test_child.py", "test_punch.py").stdout.fnmatch_lines(
        ["tests with sockets: 2, *", "not seen: the other processes that 1 test started"]
    )


def test_a_mistake_of_the_recorder_fails_no_test(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(recorder, "reconstruct", mistaken)
    result = project.runpytest_inprocess("--sockreuse-record", "--sockreuse-record-fail")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["left out: 2 *could not follow*", "*ZeroDivisionError*"])


def test_the_explainer_beside_it_is_right(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_taken="""
        import socket

        def test_taken():
            with socket.create_server(("127.0.0.1", 0)) as first, socket.socket() as second:
                second.bind(first.getsockname())
        """
    )
    result = project.runpytest_inprocess("--sockreuse-record", "--sockreuse-explain", "test_taken.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["call *bind*(test_taken.py:5)", "held by *LISTEN*"])


PATCHES = {
    # as gevent has it: methods that pass on to a socket within
    "gevent": "def bind(self, address): return self._sock.bind(address)\n    def listen(self): self._sock.listen()\n"
    "    def close(self): self._sock.close()",
    # as eventlet has it: they are looked up there
    "eventlet": "def __getattr__(self, name): return getattr(self._sock, name)",
}


@pytest.mark.parametrize("whose", PATCHES)
def test_sockets_that_cannot_be_watched_are_said_and_fail_nothing(project: pytest.Pytester, whose: str) -> None:
    project.makeconftest(
        f"import _socket, socket\nclass Green:\n    __module__ = '{whose}.sockets'\n"
        f"    def __init__(self): self._sock = _socket.socket()\n    {PATCHES[whose]}\nsocket.socket = Green"
    )
    project.makepyfile(
        test_served="import socket\ndef test_server():\n    sock = socket.socket()\n    sock.bind(('127.0.0.1', 0))\n"
        "    sock.listen()\n    sock.close()"
    )
    recorded = project.runpytest_subprocess("test_served.py", "--sockreuse-record")
    recorded.assert_outcomes(passed=1)
    recorded.stdout.fnmatch_lines([f"sockreuse: nothing is recorded: the sockets of {whose} cannot be watched; run *"])
    explained = project.runpytest_subprocess("test_served.py", "--sockreuse-explain")
    explained.assert_outcomes(passed=1)
    explained.stdout.fnmatch_lines([f"sockreuse: not explained: *accept*of the sockets of {whose} cannot be watched*"])
    judged = project.runpytest_subprocess("test_served.py", "--sockreuse-record", "--sockreuse-record-fail")
    assert judged.ret == pytest.ExitCode.USAGE_ERROR
    judged.stderr.fnmatch_lines(
        [f"*--sockreuse-record-fail: the sockets of {whose} cannot be watched; run these tests *"]
    )
    assert "Traceback" not in str(judged.stderr) + str(judged.stdout)
