"""The facts of the options, conformance/options.toml, and whoever goes by them."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sockreuse import options as module
from pytest_sockreuse.data import DataError
from pytest_sockreuse.live.options import numbers
from pytest_sockreuse.model import families, predict
from pytest_sockreuse.options import KnownOption, options
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import CONFORMANCE, known

RUNNER = Path(__file__).parents[1] / "conformance" / "lab" / "runner.c"
#: The columns of the runner's table; gVisor has Linux' numbers, and Wine those of Windows.
SYSTEMS = ("linux", "freebsd", "dragonfly", "macos", "netbsd", "openbsd", "illumos", "windows")
FORMS = {"flag": "FLAG", "int": "WHOLE", "linger": "LINGERING", "range": "PORTS", "text": "INTERFACE_NAME"}
FORMS |= {"group": "MEMBERSHIP", "device": "INTERFACE_INDEX"}


def test_the_runner_in_c_has_the_same_table() -> None:
    rows = []
    for name, entry in options().items():
        columns = ", ".join(str(entry.number.get(system, 0)) for system in SYSTEMS)
        rows.append(f'\t{{ "{name}", {FORMS[entry.form]}, {entry.level}, ON({columns}) }},\n')
    table = "".join(rows)
    assert table in RUNNER.read_text(encoding="utf-8"), f"options[] should be\n{table}"


def test_the_runner_knows_no_name_of_a_system_but_by_its_numbers() -> None:
    """A column for each system, in the order of the macro's parameters."""
    text = RUNNER.read_text(encoding="utf-8")
    chosen = re.findall(r"#define ON\((.*?)\) (\w+)", text)
    assert [set(parameters.split(", ")) for parameters, _ in chosen] == [set("LFDMNOIW")] * len(SYSTEMS)
    assert "".join(taken for _, taken in chosen) == "LFDMNOIW"


def test_the_zero_of_no_such_option_is_no_number() -> None:
    assert all(number for entry in options().values() for number in entry.number.values())


@pytest.mark.parametrize(("guest", "host"), [("gvisor", "linux"), ("wsl1", "linux"), ("wine", "windows")])
def test_who_takes_the_programs_of_another_system_takes_its_numbers(guest: str, host: str) -> None:
    for entry in options().values():
        assert entry.number.get(guest) in (None, entry.number.get(host))


def test_every_system_with_a_model_has_numbers() -> None:
    assert set(families()) <= set(options()["SO_REUSEADDR"].number)


def test_the_name_begins_with_the_level() -> None:
    begins = {"SOL_SOCKET": "SO_", "IPPROTO_IP": "IP_", "IPPROTO_IPV6": "IPV6_", "IPPROTO_TCP": "TCP_"}
    assert all(name.startswith(begins[entry.level]) for name, entry in options().items())


HERE = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, "")


@pytest.mark.skipif(not HERE, reason="a system that Python is tested on")
def test_the_numbers_are_those_of_pythons_socket_module() -> None:
    named = {name: getattr(socket, name) for name in options() if hasattr(socket, name)}
    assert named == {name: options()[name].number.get(HERE) for name in named}
    assert {name for name, entry in options().items() if HERE in entry.number} == set(numbers())


@pytest.mark.parametrize(("compiler", "system"), [("cc", "linux"), ("x86_64-w64-mingw32-gcc", "windows")])
def test_the_numbers_are_those_of_the_headers(compiler: str, system: str, tmp_path: Path) -> None:
    """What the headers name has the number that they give it; nothing is run."""
    if shutil.which(compiler) is None or (compiler == "cc" and system != HERE):
        pytest.skip(f"no {compiler}, or for another system")
    headers = {"linux": ["sys/socket.h", "netinet/in.h", "netinet/tcp.h"], "windows": ["winsock2.h", "ws2tcpip.h"]}
    lines = [f"#include <{header}>" for header in headers[system]]
    for name, entry in options().items():
        number = entry.number.get(system)
        wrong = f"typedef char {name}_[{name} == ({number}) ? 1 : -1];" if number else f"#error {name}"
        lines += [f"#ifdef {name}", wrong, "#endif"]
    source = tmp_path / "numbers.c"
    source.write_text("\n".join(lines) + "\n")
    done = subprocess.run([compiler, "-fsyntax-only", source], capture_output=True, text=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[SO_X]\nform = ", "options.toml:2:"),
        ('[SO_X]\nform = "flag"\nlevel = "SOL_SOCKET"\n', "options.toml:1: SO_X needs 'number'"),
        ("\n[SO_X]\nform = 1\n", "options.toml:2: 'form' of SO_X should be a text of these: flag, int"),
        ('[SO_X]\nform = "flags"\nlevel = "SOL_SOCKET"\nnumber.linux = 1', "'form' of SO_X should be"),
        ('[SO_X]\nform = "flag"\nlevel = "SOL_TCP"\nnumber.linux = 1', "'level' of SO_X should be"),
        ('[SO_X]\nform = "flag"\nlevel = "SOL_SOCKET"\nnumber.linux = true', "'number' of SO_X should be"),
        ('[SO_X]\nform = "flag"\nlevel = "SOL_SOCKET"\nnumber.linux = 1\nport = true', "'port' is no key of SO_X"),
        ('[SO_X]\nform = "flag"\nlevel = "SOL_SOCKET"\nnumber.linus = 1', "options.toml:1: no system 'linus'"),
        ("SO_X = 5\n", "options.toml:1: SO_X should be a table"),
    ],
)
def test_a_mistake_is_named(text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "options.toml").write_text(text)
    monkeypatch.setattr(module, "CONFORMANCE", tmp_path)
    with pytest.raises(DataError, match=re.escape(says)):
        options.__wrapped__()


def test_the_data_says_itself_who_has_an_option() -> None:
    assert (CONFORMANCE / "options.toml").exists()
    assert set(options()["SO_EXCLBIND"].number) == {"illumos"}


NEWEST = {platform.stack: platform for platform in known() if platform.stack in families()}
ASKED = "A = {kind}()\nA.get({name})\nA.set({name})?\nB = {kind}({name})\n"


def told(name: str, stack: str, kind: str) -> list[tuple[tuple[str, ...], bool]]:
    """The outcomes predicted for reading and setting an option, and whether they are unknown."""
    prediction = predict(parse(ASKED.format(kind=kind, name=name)), NEWEST[stack])
    assert prediction.steps[0].outcomes == ("ok",)
    return [(step.outcomes, bool(step.unknown)) for step in prediction.steps[1:]]


@pytest.mark.parametrize("stack", NEWEST)
@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "udp4", "udp6"])
def test_an_option_that_no_family_names_is_unknown_on_each(
    kind: str, stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is nowhere ok, as it once was on gVisor."""
    everywhere = KnownOption("flag", "SOL_SOCKET", dict.fromkeys(NEWEST, 99))
    monkeypatch.setitem(options(), "SO_OF_TOMORROW", everywhere)
    assert told("SO_OF_TOMORROW", stack, kind) == [((), True)] * 3


@pytest.mark.parametrize("stack", NEWEST)
def test_an_option_that_a_system_does_not_have_is_refused_by_its_model(stack: str) -> None:
    absent = [name for name, entry in options().items() if stack not in entry.number and entry.form == "flag"]
    assert absent
    for name in absent:
        assert told(name, stack, "tcp6") == [(("ENOPROTOOPT",), False)] * 3
