"""What runtimes set, conformance/runtimes.toml, and what the models make of two that take one port."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path

import pytest

from pytest_sockreuse import runtimes as module
from pytest_sockreuse.cli import main
from pytest_sockreuse.data import DataError
from pytest_sockreuse.encounters import SCENES, meetings, outcome, table
from pytest_sockreuse.model import families, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import CONFORMANCE, known, named
from pytest_sockreuse.runtimes import named as runtime
from pytest_sockreuse.runtimes import runtimes

Capture = pytest.CaptureFixture[str]

RECORDS = sorted(
    (Path(__file__).parents[1] / "conformance" / "results" / "runtimes").glob("*.jsonl")
)  # no wheel has them
MODELLED = [platform for platform in known() if platform.stack in families()]
NEWEST = list({platform.stack: platform for platform in MODELLED}.values())
ONE = """[one]
title = "One"
call = "listen()"
version = "1"
address = ["::"]
options = ["SO_REUSEADDR"]
  [[one.on]]
  systems = ["linux"]
  basis = "source"
  evidence = ["libuv-tcp"]
  [[one.on]]
  systems = ["windows"]
  options = []
  basis = "source"
  evidence = ["libuv-tcp"]
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtimes.toml to be written, beside the evidence."""
    shutil.copy(CONFORMANCE / "evidence.toml", tmp_path)
    monkeypatch.setattr(module, "CONFORMANCE", tmp_path)
    return tmp_path / "runtimes.toml"


def test_a_statement_says_what_differs_from_its_table(data: Path) -> None:
    data.write_text(ONE)
    found = runtimes.__wrapped__()["one"]
    for stack, options in (("linux", ("SO_REUSEADDR",)), ("gvisor", ("SO_REUSEADDR",)), ("windows", ()), ("wine", ())):
        listen = found.listen(stack)
        assert listen is not None
        assert listen.sets.options == options
    assert found.listen("macos") is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('title = "One"\n', "", "1: one needs 'title'"),
        ('version = "1"', "version = 1", "1: 'version' of one should be a str"),
        ('address = ["::"]', 'address = ["10.0.0.1"]', "1: 'address' of one should be a list of text of these"),
        ('address = ["::"]', "address = []", "7: one: 'address' should name one at least"),
        ("one", "One", "'One' should be lower case words"),
        ("address", "adress", "1: 'adress' is no key of one"),
        ('systems = ["windows"]', 'systems = ["windws"]', "11: one: no system 'windws' (there are linux,"),
        ('systems = ["windows"]', 'systems = ["linux"]', "1: one: two statements speak of linux"),
        ('systems = ["windows"]', "systems = []", "11: one: 'systems' should name one at least"),
        ('options = ["SO_REUSEADDR"]', 'options = ["SO_REUSE"]', "7: one: 'SO_REUSE' is no flag of options.toml"),
        ('options = ["SO_REUSEADDR"]', 'options = ["IP_TTL"]', "7: one: 'IP_TTL' is no flag of options.toml"),
        ('options = ["SO_REUSEADDR"]', 'options = ["IPV6_V6ONLY"]', "(IPV6_V6ONLY is set by v6only)"),
        ("options = []", "options = []\n  backlog = -1", "11: one: 'backlog' should be from 0 to 2147483647"),
        ("options = []", "options = []\n  backlog = true", "11: one: 'backlog' of a statement should be a int"),
        ("options = []", "options = []\n  retries = 65536", "11: one: 'retries' should be from 0 to 65535"),
        ("options = []", "options = []\n  told = true", "11: one: 'told' is no key of a statement"),
        ("options = []", 'options = []\n  protocol = "udp"', "1: one: 'protocol' should be udp everywhere or nowhere"),
        ('basis = "source"', 'basis = "model"', "7: one: 'basis' of a statement should be a text of these: measured"),
        ('evidence = ["libuv-tcp"]', 'evidence = ["nowhere"]', "7: one: no evidence 'nowhere' in evidence.toml"),
        ('evidence = ["libuv-tcp"]', "evidence = []", "7: one: 'evidence' should name one at least"),
        ("[[one.on]]", "[[one.off]]", "1: 'off' is no key of one"),
        ("[one]", '["\\u001b[2J"]', "\\x1b[2J"),
        (ONE, "", "runtimes.toml:1: should have a table"),
        (ONE, "one = 3\n", "runtimes.toml:1: one should be a table"),
    ],
)
def test_a_mistake_is_named_by_its_line(old: str, new: str, says: str, data: Path) -> None:
    text = ONE.replace(old, new)
    assert text != ONE
    data.write_text(text)
    with pytest.raises(DataError) as caught:
        runtimes.__wrapped__()
    assert says.removeprefix("runtimes.toml:") in str(caught.value).split("\n")[0]
    assert all(line.startswith("runtimes.toml:") for line in str(caught.value).split("\n"))


def test_every_mistake_has_a_line_of_its_own(data: Path) -> None:
    data.write_text(ONE.replace('"source"', '"rumour"') + ONE.replace("one", "two").replace("version", "versions"))
    with pytest.raises(DataError) as caught:
        runtimes.__wrapped__()
    assert [line.split(":")[1] for line in str(caught.value).split("\n")] == ["7", "11", "16", "16"]


def test_what_is_told_on_a_system_is_what_it_has() -> None:
    """No option that the system does not have, and no runtime that would not start by the model."""
    for found, platform in itertools.product(runtimes().values(), MODELLED):
        for met in meetings("twice", found, found, [platform]):
            if met.scenario is not None and (found.name, platform.version < (5, 9)) != ("go", True):
                started = [s for s in predict(met.scenario, platform).steps if s.step.startswith("first")]
                assert all(s.outcomes == ("ok",) for s in started if "_v" not in s.step and "recv" not in s.step), met


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_what_was_seen_is_what_the_rows_say(path: Path) -> None:
    """`measured` is what two starts under strace have shown, and nothing else is."""
    seen = {line["runtime"]: line for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    platform = named(path.stem)
    for name, found in runtimes().items():
        listen = found.listen(platform.stack)
        assert (listen is not None and listen.basis == "measured") == (name in seen), name
        if listen is not None and name in seen:
            line = seen[name]
            assert line["platform"] == platform.name
            assert sorted(map(spelled, line["sockets"])) == sorted(
                spelled(f"{maker} {host.strip('[]')}") for maker, host in listen.sets.sockets
            )
            assert listen.backlog in (None, line["backlog"])
            for scene, came in (("twice", line["second"]), ("restart", line["restart"])):
                (met,) = meetings(scene, found, found, [platform])
                told = met.outcome
                assert came == ("ok" if told.ok else f"{told.step.partition('.')[2]} {told.error}"), (name, scene)


def spelled(text: str) -> tuple[str, list[str], str]:
    """A socket and its address, its options in one order."""
    maker, _, host = text.rpartition(" ")
    kind, _, options = maker.rstrip(")").partition("(")
    return kind, sorted(options.split(", ")), host


# --- two at one port --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        # no option twice; SO_REUSEADDR twice, which on Windows nothing keeps apart
        ("python-socket", "python-socket", {"linux": "bind EADDRINUSE", "windows": "bind EADDRINUSE"}),
        ("flask", "flask", {"linux": "bind EADDRINUSE", "macos": "bind EADDRINUSE", "windows": "all goes to {first}"}),
        # a wildcard, then one address
        (
            "nginx",
            "flask",
            {"linux": "EADDRINUSE", "freebsd": "all goes to {second}", "windows": "all goes to {second}"},
        ),
        ("erlang", "python-socket", {"linux": "EADDRINUSE", "freebsd": "EADDRINUSE", "windows": "both run"}),
        # dual-stack against one family
        ("node", "flask", {"linux": "EADDRINUSE", "macos": "127.0.0.1 goes to {second}, [::1] goes to {first}"}),
        ("flask", "node", {"linux": "EADDRINUSE", "illumos": "127.0.0.1 goes to {first}, [::1] goes to {second}"}),
        ("node", "nginx", {"linux": "EADDRINUSE", "macos": "EADDRINUSE", "illumos": "127.0.0.1 goes to {second}"}),
        ("java", "java", {"linux": "EADDRINUSE", "windows": "EADDRINUSE"}),
        # SO_REUSEPORT shares, or takes over
        ("haproxy", "haproxy", {"linux": "all may go to either", "freebsd": "all goes to {second}"}),
        ("gevent-udp", "gevent-udp", {"linux": "all goes to {second}", "freebsd": "EADDRINUSE", "illumos": "{first}"}),
        ("node", "jupyter", {"linux": "bind EADDRINUSE, and tries another port"}),
    ],
)
def test_two_take_one_port(first: str, second: str, says: dict[str, str]) -> None:
    platforms = [platform for platform in NEWEST if platform.stack in says]
    for met in meetings("twice", runtime(first), runtime(second), platforms):
        assert says[met.platform.stack] in met.outcome.words("twice"), met


def test_one_that_does_not_set_the_option_is_not_restarted_on_linux() -> None:
    names = [platform.stack for platform in NEWEST]
    met = meetings("restart", runtime("erlang"), runtime("flask"), NEWEST)  # the dead side lacks it
    assert [one.outcome.ok for one in met] == [name not in ("linux", "gvisor") for name in names], met
    assert {one.outcome.error for one in met} <= {"", "EADDRINUSE"}
    assert all(one.outcome.ok for one in meetings("restart", runtime("node"), runtime("node"), NEWEST))


def test_a_child_that_holds_the_socket_gets_what_comes() -> None:
    linux, macos = named("linux-6.18"), named("macos-15")
    here, there = meetings("child", runtime("node"), runtime("flask"), [linux, macos])
    assert here.outcome.words("child") == "{second} fails: bind EADDRINUSE"
    assert (there.outcome.ok, dict(there.outcome.gets)) == (True, {"127.0.0.1": "second", "[::1]": "first"})


def test_what_is_not_known_is_said() -> None:
    (met,) = meetings("twice", runtime("uvloop"), runtime("node"), [named("windows-11")])
    assert (met.scenario, met.outcome.ok) == (None, None)
    assert "what {first} sets there is not known" in met.outcome.words("twice")
    (met,) = meetings("twice", runtime("node"), runtime("node"), [named("wsl1-4.4.0")])
    assert "there is no model of wsl1" in met.outcome.words("twice")


def test_the_table_has_what_predict_says() -> None:
    platforms = [named(name) for name in ("linux-6.2", "linux-6.18", "macos-15", "windows-11")]
    found = table(platforms)
    heads = [found["classes"].index(number) for number in range(max(found["classes"]) + 1)]
    seen: set[tuple[int, int, str]] = set()
    for scene, rows in found["cells"].items():
        for (first, row), (second, number) in itertools.product(zip(heads, rows, strict=True), enumerate(heads)):
            cell = row[second]
            assert (cell is None) == (runtimes_of(found, first).udp != runtimes_of(found, number).udp)
            at = iter(platforms)
            for count, text, told in found["vectors"][cell] if cell is not None else ():
                for platform in itertools.islice(at, count):
                    if text is not None and (text, told, platform.name) not in seen:
                        written = "\n".join(found["lines"][line] for line in found["texts"][text])
                        retries = "another port" in found["outcomes"][told]["words"]
                        again = outcome(predict(parse(written), platform), retries)
                        assert found["outcomes"][told]["words"] == again.words(scene)
                        seen.add((text, told, platform.name))
    assert len(seen) > 1000
    assert [scene["id"] for scene in found["scenes"]] == list(SCENES)


def runtimes_of(found: dict[str, list[dict[str, str]]], number: int) -> module.Runtime:
    return runtime(found["runtimes"][number]["name"])


# --- at a prompt ------------------------------------------------------------------------------------------------------


def test_compare_says_what_two_runtimes_do(capsys: Capture) -> None:
    assert main(["compare", "--first", "node", "--second", "flask", "--on", "linux-6.18,macos-15"]) == 0
    out = capsys.readouterr().out
    assert "node: tcp6(SO_REUSEADDR, IPV6_V6ONLY=0) at [::] on Linux (measured)\n" in out
    twice = out.split("\n\n")[1].splitlines()
    assert twice == [
        "flask starts while node listens",
        "  Linux 6.18.44  flask fails: bind EADDRINUSE",
        "  macOS 15       both run; 127.0.0.1 goes to flask, [::1] goes to node",
    ]
    assert "node starts after node, which closed a connection and left TIME_WAIT\n  everywhere  it starts\n" in out
    assert "flask starts after node, of which a child still holds the listening socket\n" in out


def test_on_one_platform_compare_prints_what_can_be_repeated(capsys: Capture, tmp_path: Path) -> None:
    assert main(["compare", "--first", "flask", "--second", "flask", "--on", "linux-6.18"]) == 0
    out = capsys.readouterr().out
    assert "  Linux 6.18.44  the second fails: bind EADDRINUSE\n" in out
    scenario = "\n".join(re.findall(r"^    (.*)", out.split("\n\n")[1], re.M))
    path = tmp_path / "a.scenario"
    path.write_text(scenario + "\n")
    assert main(["predict", str(path), "--on", "linux-6.18"]) == 0
    assert re.search(r"^second.bind +EADDRINUSE", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--first nod --second flask", "no runtime 'nod': perhaps node or "),
        ("--first node --second flsk", "no runtime 'flsk': perhaps flask"),
        ("--first \x1b[2J --second flask", r"no runtime '\x1b[2J': known are "),
        ("--first node --second node-udp", "node listens with TCP and node-udp binds UDP"),
        ("--first node", "compare takes FILE, or --first RUNTIME and --second RUNTIME"),
        ("", "compare takes FILE, or --first RUNTIME and --second RUNTIME"),
        ("a --first node --second node", "compare takes FILE, or --first RUNTIME and --second RUNTIME"),
        ("--first node --second node --on linux-6.18,plan9", "no platform 'plan9'"),
    ],
)
def test_a_wrong_question_is_one_line(arguments: str, says: str, capsys: Capture) -> None:
    assert main(["compare", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err
