"""The runner in C against the one in Python: the same texts, outcomes and words; and it withstands any input."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest
from here import linux_only
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import shipped

from pytest_sockreuse import loader
from pytest_sockreuse.expected import expected
from pytest_sockreuse.explorer.draw import texts as random_texts
from pytest_sockreuse.lines import MAX_STEPS
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.options import options
from pytest_sockreuse.parser import MAX_LINE, MAX_LINES, decode, parse, parse_file
from pytest_sockreuse.platforms import current, registry
from pytest_sockreuse.report.exchange import answer, export, of_scenario
from pytest_sockreuse.report.results import Result, read
from pytest_sockreuse.scenario import Observation, ScenarioError
from pytest_sockreuse.suite import Variant
from pytest_sockreuse.verdict import Verdict, judge

SOURCE = Path(__file__).parent.parent / "conformance" / "lab" / "runner.c"
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
LIMIT = 120  # seconds until a program that does not end is killed
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it is built and run on POSIX here")

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")

    def make(*flags: str) -> Path:
        program = tmp_path_factory.mktemp("runner") / "runner"
        done = subprocess.run([compiler, *FLAGS, *flags, "-o", program, SOURCE], capture_output=True, text=True)
        if done.returncode and re.search(r"cannot find|unrecognized|unsupported", done.stderr):
            pytest.skip(f"the compiler has no {' '.join(flags)}")
        assert not done.returncode, done.stderr
        program.parent.chmod(0o755)
        return program

    return make


@pytest.fixture(scope="session")
def program(build: Build) -> Path:
    return build("-O2")


@pytest.fixture(scope="session")
def checked(build: Build) -> Path:
    """The program, which ends with an error where it reads or computes what it must not."""
    return build("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def performed(program: Path, text: str | bytes, *arguments: str) -> list[str]:
    """The lines that the program prints; nothing goes wrong."""
    data = text.encode() if isinstance(text, str) else text
    done = subprocess.run([program, *arguments], input=data, capture_output=True, timeout=LIMIT, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def refused(program: Path, data: bytes) -> str:
    """The one line that the program says of a text that it does not perform."""
    done = subprocess.run([program], input=data, capture_output=True, timeout=LIMIT, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    return line


def python_refuses(data: bytes) -> str | None:
    """What the Python parser says of it, as the command does."""
    try:
        parse_file(decode(data))
    except ScenarioError as error:
        return f"<stdin>:{error.line}:{error.column}: {error.expected}"
    return None


# --- the same outcomes ------------------------------------------------------------------------------------------------


def told(variant: Variant, observation: Observation) -> tuple[object, ...]:
    """What was seen, ports by their symbols."""
    return observation.not_run, Result.of(variant, observation, Verdict("unknown"), None, {}).outcome


def alike(variant: Variant, one: Observation, other: Observation) -> bool:
    """Whether two observations are the same; where the OS chooses, whether both are as expected or differ in ports."""
    if told(variant, one) == told(variant, other):
        return True
    states = set()
    for observation in (one, other):
        expectation = expected(variant, current(), observation)
        states.add(judge(expectation.outcome if expectation else None, observation).state)
    masked = [re.sub(r":\d+'", ":'", str(told(variant, observation))) for observation in (one, other)]
    return states == {"match"} or (states == {"unknown"} and masked[0] == masked[1])


def by_python(variants: Sequence[Variant]) -> Iterator[Observation]:
    asked = iter(variants)
    with Runner() as runner:
        for number, _ in enumerate(variants):
            for variant in islice(asked, 1 if number else 16):
                runner.ask(variant.scenario)
            yield runner.answer()


@pytest.fixture(scope="module")
def recorded() -> dict[str, Result]:
    """What the runner in Python has shown on this very platform, in a run that is kept."""
    results = Path(__file__).parents[1] / "conformance" / "results"
    suite, here = shipped(), current().name
    runs = [run for path in results.glob("*.jsonl") if here in path.read_text() for run in read(path, suite)]
    return {id_: r for run in runs if run.about["platform"] == here for id_, r in run.results.items()}


@pytest.mark.parametrize("rule", loader.rule_ids())
def test_every_scenario_of_the_suite_ends_alike(rule: str, program: Path, recorded: dict[str, Result]) -> None:
    """As by the runner in Python: performed anew where the recorded run does not show it, and in each tenth case."""
    suite = loader.load(rules=[rule], check=False)
    lines = performed(program, "".join(export(suite)))
    answers = [answer(line, f"line {number}") for number, line in enumerate(lines, 1)]
    assert [title for title, _ in answers] == [variant.id for variant in suite.variants]
    seen = (of_scenario(one, v.scenario, v.id) for (_, one), v in zip(answers, suite.variants, strict=True))
    found = list(zip(suite.variants, seen, strict=True))
    open_ = [
        (variant, observation)
        for number, (variant, observation) in enumerate(found)
        if number % 10 == 0 or not _shown(recorded.get(variant.id), variant, observation)
    ]
    python = by_python([variant for variant, _ in open_])
    apart = [(v.id, one, other) for (v, one), other in zip(open_, python, strict=True) if not alike(v, one, other)]
    assert not apart, f"{len(apart)} of {len(found)} scenarios, such as {apart[:3]}"


def _shown(result: Result | None, variant: Variant, observation: Observation) -> bool:
    if result is None or result.content != variant.content:
        return False
    return told(variant, observation) == (result.reason or None, result.outcome)


def some_value(name: str) -> str:
    """A value that an option's form has."""
    group = "ff02::fb%lo" if name.startswith("IPV6_") else "224.0.0.251%lo"
    return {"text": "lo", "range": "1-2", "group": group, "device": "lo"}.get(options()[name].form, "3")


TOLD = {
    "labels": """A[1-2] = tcp4(); A1.bind(127.0.0.1:P); A[1-2].bind(127.0.0.1:P)?; wait 0.001; A[1-2].name();
        A1.name()""",
    "values": """A = tcp6(SO_LINGER=7, IP_LOCAL_PORT_RANGE=40000-0, SO_BINDTODEVICE=lo); A.get(SO_LINGER);
        A.set(SO_LINGER=off); A.get(SO_LINGER); A.get(IP_LOCAL_PORT_RANGE); A.get(SO_BINDTODEVICE);
        A.get(SO_REUSEADDR); A.get(IP_TTL); A.name()""",
    "failures": """A = tcp4(SO_EXCLUSIVEADDRUSE); A.bind(127.0.0.1:0); A.close(); B = tcp4(SO_REUSEPORT_LB)?;
        B.listen(); C = tcp4(); C.recv(); C.name(); C.shutdown(RDWR); D = C.accept(); D.get(IP_TTL); E = udp4();
        E.connect(127.0.0.1:D.port); E.bind(127.0.0.1:P)""",
    "raw": """A = tcp4(); A.set(SO_REUSEADDR=raw:)?; A.set(SO_REUSEADDR=raw:01000000); A.get(SO_REUSEADDR);
        A.set(IP_LOCAL_PORT_RANGE=raw:409c419c)?; A.get(IP_LOCAL_PORT_RANGE)""",
    "a connection": """L = tcp4(); L.bind(127.0.0.1:P); L.listen(0); C = tcp4(); C.connect([::ffff:127.0.0.1]:L.port)?;
        C.connect(127.0.0.1:L.port); S = L.accept(); S.name(); C.send(); S.recv(); C.shutdown(WR); S.eof();
        T = L.accept(); S.close(); C.close(); L.close(); D = tcp4(SO_LINGER=0); D.bind(127.0.0.1:L.port)?;
        D.disconnect(); D.name()""",
    "datagrams": """A = udp4(); A.bind(127.0.0.1:P); B = udp4(); B.bind(127.0.0.1:Q); B.sendto(127.0.0.1:A.port);
        A.recv(); B.connect(127.0.0.1:P); B.send(); A.recv(); A.recv()?; A.shutdown(RD)?; A.recv(); A.close();
        B.disconnect(); B.name()""",
    "kinds": """A[4-4] = mptcp4(); B = udplite6(); C = sctp6(); A4.bind(127.0.0.1:P); B.bind([::1]:P); B.name();
        C.close()""",
    "every option": "; ".join(
        f"S{n} = tcp4(); S{n}.set({name}={some_value(name)}); S{n}.get({name})" for n, name in enumerate(options())
    ),
    "no such setting": "sysctl net.ipv4.no_such_setting = 1; A = tcp4()",
    "a setting of the host": "sysctl  kernel/hostname  =  a  b ; A = tcp4()",
    "a setting beside IP": "sysctl net.core.somaxconn = 1; A = tcp4()",
    "a value that is refused": "sysctl net.ipv4.tcp_tw_reuse = 77; A = tcp4()",
    "a range that is refused": "ephemeral 1-2; A = tcp4()",
    "no port": """sysctl net.ipv4.ip_unprivileged_port_start = 60998; ephemeral 60998-65535; A = tcp4();
        A.bind(127.0.0.1:P)""",
    "a settled environment": """ephemeral 40000-40000; address fd00::2; address 10.0.0.2; device d1;
        A = tcp4(SO_BINDTODEVICE=d1); A.bind(10.0.0.2:0); A.name(); B = udp6(); B.bind([fd00::2]:0); B.name();
        B.get(SO_REUSEPORT)""",
    "an address twice": "address 10.0.0.2; address 10.0.0.2; device lo; A = tcp4()",
    "users": """A = udp4(SO_REUSEPORT) as user1; A.bind(127.0.0.1:P); B = udp4(SO_REUSEPORT) as user2;
        B.bind(127.0.0.1:P); C = tcp4() as root; C.bind(127.0.0.1:7)""",
    "nothing": "# nothing at all",
    'titles, "quoted"\\, \N{SNOWMAN}\N{GRINNING FACE}\ttab': "A = tcp4()",
}


@pytest.mark.skipif(current().stack not in ("linux", "gvisor"), reason="settings and values of Linux")
def test_it_prints_what_the_command_prints(program: Path, runner: Runner) -> None:
    texts = {title: text.replace(";", "\n") for title, text in TOLD.items()}
    scenarios = parse_file("".join(f"--- {title}\n{text}\n" for title, text in texts.items()))
    ours = performed(program, "".join(map(str, scenarios)))
    theirs = [json.dumps(runner.run(scenario).to_json(scenario.title)) for scenario in scenarios]
    for one, other in zip(ours, theirs, strict=True):
        assert one == other
    assert performed(program, "A = tcp4()") == [json.dumps(runner.run(parse("A = tcp4()")).to_json())]


ALONE = """
import os, subprocess, sys
from pytest_sockreuse.live import namespace
try:
    namespace.own_user_namespace()
    for kind in ("net", "user"):
        with open(f"/proc/sys/user/max_{kind}_namespaces", "w") as file:
            file.write("0")
except OSError:
    pass  # perhaps they are forbidden already
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(current().stack != "linux", reason="where there are namespaces to forbid")
def test_without_namespaces_it_stays_off_the_host(program: Path) -> None:
    texts = [
        "A = tcp4()\nA.bind(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\nC = udp6()\nC.bind([::1]:Q)",
        "A = tcp4()\nA.bind(0.0.0.0:P)",
        "A = tcp4()\nA.bind(127.0.0.1:P)?\nA.listen()",
        "A = tcp4() as user1",
        "ephemeral 40000-40001\nA = tcp4()",
        "address 127.0.0.2\nA = udp4()\nA.bind(127.0.0.2:P)",
        "A = tcp6()\nA.bind([::ffff:127.0.0.1]:80)",
    ]
    text = "".join(f"--- {number}\n{text}\n" for number, text in enumerate(texts))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    commands = [[str(program)], [sys.executable, "-P", "-m", "pytest_sockreuse.cli", "run", "--json", "-"]]
    ours, theirs = (
        subprocess.run(
            [sys.executable, "-P", "-c", ALONE, *command],
            input=text, env=environment, capture_output=True, text=True, timeout=LIMIT, check=True,
        ).stdout
        for command in commands
    )  # fmt: skip
    if "needs a network namespace" not in theirs:
        pytest.skip("cannot forbid namespaces here")
    assert ours == theirs


HANGS = "L = tcp4()\nL.bind(127.0.0.1:P)\nL.listen()\nC = tcp4()\nC.connect(127.0.0.1:P)\n"


@pytest.mark.skipif(current().stack != "linux", reason="where there are namespaces to forbid")
def test_on_a_machine_for_this_alone_wildcard_addresses_need_no_namespace(program: Path) -> None:
    texts = [
        "A = tcp4()\nA.bind(0.0.0.0:P)\nA.listen()\nB = udp6()\nB.bind([::]:P)",
        "A = tcp4()\nA.bind(127.0.0.1:7000)\nB = tcp4()\nB.bind(0.0.0.0:7000)",
        "address 127.0.0.2\nA = tcp4()\nA.listen()\nB = udp4()\nB.bind(127.0.0.2:0)",
        "ephemeral 40000-40001\nA = tcp4()",  # refused at once, though the next leaves a connection in TIME_WAIT,
        "A = tcp4() as user1",
        f"{HANGS}S = L.accept()\nS.close()\nC.eof()\nC.close()",
        "ephemeral 40000-40001\nA = tcp4()\nA.bind(127.0.0.1:7000)",
        "A = tcp4()\nA.bind(127.0.0.1:7000)",  # which is of other ports
    ]
    in_a_network = ALONE.replace("own_user_namespace()\n", "own_user_namespace()\n    namespace.new()\n")
    done = subprocess.run(
        [sys.executable, "-P", "-c", in_a_network, str(program), "-m"],
        input="".join(f"--- {number}\n{text}\n" for number, text in enumerate(texts)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=LIMIT, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if "needs a network namespace" not in answers[3].get("not_run", ""):
        pytest.skip("cannot forbid namespaces here")
    assert [outcomes(line) for line in done.stdout.splitlines()[:3]] == [{}, {"B.bind": "EADDRINUSE"}, {}]
    assert "needs other users" in answers[4]["not_run"]
    assert "needs a network namespace" in answers[6]["not_run"]
    assert [outcomes(done.stdout.splitlines()[n]) for n in (5, 7)] == [{}, {}]


def outcomes(line: str) -> dict[str, str]:
    return {step["step"]: step["outcome"] for step in json.loads(line)["steps"] if step["outcome"] != "ok"}


def test_a_call_that_hangs_costs_the_scenarios_time_and_no_more(program: Path) -> None:
    text = f"--- one\n{HANGS}wait 0.1\nC.eof()\nL.name()\nD = tcp4()\n--- two\n{HANGS}S = L.accept()\n"
    one, two = performed(program, f"{text}T = L.accept()\nT.close()\n", "-t", "0.1", "-p", "0")
    assert outcomes(one) == {"C.eof": "timeout", "L.name": "unreached", "D.socket": "unreached"}
    assert outcomes(two) == {"T.accept": "timeout", "T.close": "unreached"}


def test_each_answer_is_there_before_the_next_scenario_is_over(program: Path) -> None:
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stdout is not None
        running.stdin.write(b"--- one\nA = tcp4()\n--- two\nwait 3600\n")
        running.stdin.close()
        assert json.loads(running.stdout.readline())["title"] == "one"
        assert running.poll() is None
        running.kill()


SHARED = ["order-dependence", "autobind-reuse", "users", "mptcp", "dual-stack", "lost-ports"]


@pytest.mark.parametrize("rule", SHARED)
def test_by_several_processes_that_share_networks_every_answer_is_the_same_and_in_its_place(
    rule: str, program: Path
) -> None:
    suite = loader.load(rules=[rule], check=False)
    text = "".join(export(suite))
    one, several = ([answer(line, line) for line in performed(program, text, *how)] for how in ([], ["-j", "3"]))
    assert [title for title, _ in several] == [variant.id for variant in suite.variants]
    for variant, (_, alone), (_, shared) in zip(suite.variants, one, several, strict=True):
        at = variant.scenario, variant.id
        assert alike(variant, of_scenario(alone, *at), of_scenario(shared, *at)), variant.id


@linux_only
def test_a_process_that_is_killed_costs_the_scenario_that_it_has_in_hand(program: Path) -> None:
    text = "--- before\nA = tcp4()\n--- waits\nwait 3600\nA = tcp4()\n--- after\nA = tcp4()\n"
    with subprocess.Popen(
        [program, "-j", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None and running.stdout is not None and running.stderr is not None
        running.stdin.write(text)
        running.stdin.close()
        assert json.loads(running.stdout.readline())["title"] == "before"
        (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        while "nanosleep" not in Path(f"/proc/{child}/wchan").read_text():
            assert running.poll() is None
        os.kill(int(child), KILL)
        assert [json.loads(line)["title"] for line in running.stdout] == ["after"]
        assert running.stderr.read() == "runner: waits: the process that performs it was ended\n"
    assert running.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [["-t"], ["-t", "x"], ["-p", "-1"], ["-t", "1s"], ["-x", "1"], ["file"], ["-p", "1e9"],
     ["-j"], ["-j", "0"], ["-j", "65"], ["-j", "2x"]],
)  # fmt: skip
def test_arguments_that_are_none(program: Path, arguments: list[str]) -> None:
    done = subprocess.run([program, *arguments], input=b"", capture_output=True, timeout=LIMIT, check=False)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"usage: runner" in done.stderr


def test_no_space_for_the_output(program: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([program], input=b"A = tcp4()", stdout=full, stderr=subprocess.PIPE, timeout=LIMIT)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


def test_windows_has_the_names_of_the_data(build: Build) -> None:
    found = re.findall(r'\{ (\d+), (true|false), "([a-z0-9-]+)" \}', SOURCE.read_text())
    builds = {name: str(numbers).split(".")[2] for name, numbers in registry()["windows"]["builds"].items()}
    assert {name: number for number, _, name in found} == builds
    assert all((server == "true") == name.startswith("server") for _, server, name in found)


def test_it_compiles_for_windows(tmp_path: Path) -> None:
    compiler = shutil.which("x86_64-w64-mingw32-gcc")
    if compiler is None:
        pytest.skip("no compiler for Windows")
    command = [compiler, *FLAGS, "-o", str(tmp_path / "runner.exe"), str(SOURCE), "-lws2_32", "-liphlpapi"]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""


# --- the same texts ---------------------------------------------------------------------------------------------------

END = b"\n---\n"  # no title: nothing is performed, whatever stands above

BAD = {
    "empty": b"",
    "long line": b"A" * 100_000,
    "long for its characters": "\N{SNOWMAN}".encode() * (MAX_LINE + 1),
    "not too long for its characters": b"#" + "\N{SNOWMAN}".encode() * (MAX_LINE - 1),
    "many steps": f"S[1-{MAX_STEPS}] = tcp4()\nA = tcp4()".encode(),
    "many sections": f"--- t\nS[1-{MAX_STEPS}] = tcp4()\n".encode() * (MAX_LINES // MAX_STEPS + 1),
    "many lines": b"\n" * MAX_LINES,
    "many options": f"--- t\nS[1-5000] = tcp4({', '.join(['SO_REUSEADDR'] * 120)})\n".encode() * 3,
    "many long names": f"--- t\n{'S' * 1900}[1-4000] = tcp4()\n".encode() * 4,
    "not too many lines": b"\n" * (MAX_LINES - 3),
    "many titles": b"--- t\n" * (MAX_LINES + 1),
    "huge range": b"S[1-999999999] = tcp4()",
    "long names": b"\n".join(b"%s[%d-%d] = tcp4()" % (b"A" * 1900, n, n + 99) for n in range(100, 5000, 100)),
    "many ranges": b"A" + b"[1-2][1-3]" * 190 + b" = tcp4()",
    "backwards": b"A[3-1] = tcp4()",
    "uneven": b"A[1-3] = tcp4()\nA[1-3].bind(127.0.0.[1-4]:P)",
    "far": b"A[1-3] = tcp4()\n  A[1-3].bind(127.0.0.[254-256]:P)",
    "options": b"A = tcp4(" + b"IP_TTL," * 280 + b")",
    "unknown option": b"A = tcp4(SO_" + b"X" * 1900 + b")",
    "raw": b"A = tcp4(SO_REUSEADDR=raw:" + b"0" * 514 + b")",
    "odd": b"A = tcp4(SO_REUSEADDR= raw: 012 )",
    "a long value": b"sysctl a.b = " + b"x " * 150,
    "words": "sysctl a.b = x \t \N{SNOWMAN}  y  # z\nwait 3600.5\n".encode(),
    "waits": b"wait 3600\nwait 0.000001",
    "nul": b"A = tcp4()\0",
    "binary": bytes(range(256)) * 64,
    "not UTF-8": b"A = tcp4()\n\xc3\xa9#\xff",
    "overlong": b"# \xc0\x80",
    "surrogate": b"# \xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "cut short": b"#\n\xe2\x98",
    "mark and more": b"\xef\xbb\xbf\xef\xbb\xbfA = tcp4()",
    "mark and junk": b"\xef\xbb\xbfA\xff",
    "mark and mistake": b"\xef\xbb\xbfA",
    "line ends": b"A = tcp4()\r\nA.name()\r\r\n",
    "return": b"A = tcp4()\rA.name()",
    "control": "# \x85".encode(),
    "separator": "A = tcp4() # \u2028A.bind(127.0.0.1:1)".encode(),
    "no blank": "A\u00a0= tcp4()\u3000".encode(),
    "titles": b"--- a\n" * 1000 + b"--- b # c\nB.close()",
    "late title": b"A = tcp4()\n--- late",
}


def agree(program: Path, data: bytes) -> None:
    """Both parsers say the same of a text; of an unknown option Python names those that are close."""
    data += END
    said = [
        re.sub(r"(an option of the language).*", r"\1", text or "")
        for text in (refused(program, data), python_refuses(data))
    ]
    assert said[0] == said[1]


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_text_is_refused_at_the_same_place_in_the_same_words(checked: Path, data: bytes) -> None:
    agree(checked, data)


@pytest.fixture(scope="module")
def sample() -> list[str]:
    """Some scenarios of the suite."""
    return [variant.text for variant in shipped().variants[::80]]


PIECES = """tcp4 udp6 ( ) = . # ? - [ ] [1-3] [2-4] : P Q2 A.port .port raw: raw:00 off 0 1 65536 2147483648 -1 99999
    12345678901 SO_LINGER SO_LINGER=off IP_LOCAL_PORT_RANGE=1-2 SO_BINDTODEVICE=lo as user1 as root wait sysctl
    ephemeral address device --- x _ bind accept() [::1]:P ::ffff:1.2.3.4 RD RDWR / , SO_REUSEADDR
    TCP_LINGER2=5 .. 1-2""".split()
BLANKS = [*" \t\n\r\0\x85\u2028\xa0é", "\r\n", "A = tcp4()\n", "B = A.accept()\n", "\n--- t\n"]
PIECE = st.sampled_from(PIECES + BLANKS) | st.characters()
EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), PIECE, st.integers(1, 3)), min_size=1, max_size=5)


@settings(derandomize=True, deadline=None, database=None, max_examples=150)
@given(data=st.data(), edits=EDITS)
def test_both_parsers_take_the_same_texts(
    sample: list[str], checked: Path, data: st.DataObject, edits: list[tuple[int, int, str, int]]
) -> None:
    text = data.draw(st.sampled_from(sample))
    for at, cut, piece, times in edits:
        at %= len(text) + 1
        text = text[:at] + piece * times + text[at + cut :]
    agree(checked, text.encode("utf-8", "surrogatepass"))


def test_no_scenario_makes_it_read_what_it_must_not(sample: list[str], checked: Path) -> None:
    drawn = [*sample, *islice(random_texts(1, False), 80)]
    lines = performed(checked, "".join(f"--- {n}\n{text}\n" for n, text in enumerate(drawn)), "-p", "0", "-j", "2")
    assert [json.loads(line)["title"] for line in lines] == [str(n) for n in range(len(drawn))]
