"""The conformance data: read, checked, and every mistake named by file and line, all at once."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sockreuse import guard, loader, platforms
from pytest_sockreuse.cli import main
from pytest_sockreuse.data import MAX_COMPLAINTS, MAX_FILE, DataError
from pytest_sockreuse.loader import guard_names, load, rule_ids
from pytest_sockreuse.platforms import CONFORMANCE, named

Conformance = Callable[..., Path]

TITLE = 'title = "T"\nabout = "A."\n'
HEAD = TITLE + "\n"
CASE = '[[case]]\nid = "one"\ntitle = "T"\nwhy = "W."\nclaims.X-1 = { "B.bind" = "EADDRINUSE" }\n'
SCENARIO = "scenario = '''\nA = tcp4()\nA.bind(127.0.0.1:P)\nB = tcp4()\nB.bind(127.0.0.1:P)\n'''\n"
EXPECT = (
    '[[case.expect]]\non = ["linux"]\noutcome = { "B.bind" = "EADDRINUSE" }\nbasis = "measured"\nevidence = ["here"]\n'
)
WHOLE = HEAD + CASE + SCENARIO + EXPECT


def line_of(text: str, what: str) -> int:
    """The line, from 1, where `what` first stands."""
    return text[: text.index(what)].count("\n") + 1


def wrong(root: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        load(root)
    return str(caught.value).splitlines()


def test_a_good_one_loads(conformance: Conformance) -> None:
    suite = load(conformance(sharing=WHOLE))
    (variant,) = suite.variants
    assert (variant.id, variant.case.title) == ("sharing/one", "T")
    expected = variant.expected(named("linux-6.18"))
    assert expected is not None
    assert (expected.outcome, expected.basis) == ({"B.bind": "EADDRINUSE"}, "measured")
    assert variant.expected(named("windows-11")) is None
    assert str(variant.case.at) == f"sharing.toml:{line_of(WHOLE, '[[case]]')}"


SHARING = "sharing.toml"


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("claims.X-1", "claims.X-9", "[[case]]", "no claim 'X-9' in claims.toml"),
        (CASE.splitlines()[4], "", "[[case]]", "name the claims it shows, or the fact"),
        ('["here"]', '["there"]', "[[case.expect]]", "no evidence 'there' in evidence.toml"),
        ('evidence = ["here"]\n', "", "[[case.expect]]", "basis 'measured' needs evidence"),
        ('"measured"', '"rumour"', "[[case.expect]]", "'rumour' is none of measured, documented"),
        ('["linux"]', '["linus"]', "[[case.expect]]", "no platform 'linus' in platforms.toml (linux, "),
        ("outcome =", "outcom =", "[[case.expect]]", "'outcom' is no key of an expectation (it has "),
        ("why =", "wy =", "[[case]]", "'wy' is no key of a case"),
        ("why =", "wy =", "[[case]]", "a case needs 'why'"),
        ("about =", "abut =", "title", "'abut' is no key of a rule"),
        ('why = "W."', "why = 1", "[[case]]", "'why' of a case should be a str"),
        ('id = "one"', 'id = "One Two"', "[[case]]", "'One Two' should be new, of lower case words"),
        ('outcome = { "B.bind" = "EADDRINUSE" }', 'table = "x"', "[[case.expect]]", "the first line of a table"),
        ('outcome = { "B.bind" = "EADDRINUSE" }\n', "", "[[case.expect]]", "either an outcome or a table"),
        ('outcome = { "B.bind"', 'outcome = { "C.bind"', "[[case.expect]]", "no step 'C.bind' in the scenario"),
        ('outcome = { "B.bind"', 'outcome = { "B.bind#2"', "[[case.expect]]", "no step 'B.bind#2'"),
        ('{ "B.bind" = "EADDRINUSE" }\nbasis', '{ "B.bind" = "nope" }\nbasis', "[[case.expect]]", "expects 'nope'"),
        ('claims.X-1 = { "B.bind"', 'claims.X-1 = { "Z.bind"', "[[case]]", "no step 'Z.bind'"),
        ('basis = "', 'since = ["6.x"]\nbasis = "', "[[case.expect]]", "'6.x' is no version"),
        ('basis = "', 'where.family = ["ip4"]\nbasis = "', "[[case.expect]]", "axis 'family' of this case has no ip4"),
        ("scenario =", 'axes.family = ["ip5"]\nscenario =', "[[case]]", "axis 'family' should be 'all'"),
        ("scenario =", "axes.family = [{}]\nscenario =", "[[case]]", "axis 'family' should be 'all'"),
        ("scenario =", 'axes.colour = "all"\nscenario =', "[[case]]", "no such axis"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_and_line(
    conformance: Conformance, old: str, new: str, place: str, says: str
) -> None:
    assert old in WHOLE
    text = WHOLE.replace(old, new)
    lines = wrong(conformance(sharing=text))
    found = [line for line in lines if says in line]
    assert found, lines
    assert found[0].startswith(f"{SHARING}:{line_of(text, place)}: ")


def test_a_scenario_that_does_not_parse_is_named_by_its_own_line(conformance: Conformance) -> None:
    text = WHOLE.replace("B = tcp4()", "B = tcp5()")
    (line,) = wrong(conformance(sharing=text))
    assert line.startswith(f"{SHARING}:{line_of(text, 'tcp5')}: one: line 3, column 5")
    assert "socket kind" in line


def test_a_word_in_braces_that_no_axis_gives(conformance: Conformance) -> None:
    text = WHOLE.replace("tcp4()", "{tcp}()").replace("scenario =", 'axes.family = ["ip4"]\nscenario =')
    load(conformance(sharing=text))
    text = text.replace("B = {tcp}", "B = {utp}")
    (line,) = wrong(conformance(sharing=text))
    at = line_of(text, "{utp}")
    assert line == f"{SHARING}:{at}: one[ip4]: no word {{utp}} here (there are {{family}}, {{lo}}, {{tcp}})"
    (line,) = wrong(conformance(sharing=WHOLE.replace("B = tcp4", "B = {tcp}")))
    assert line.endswith("one: no word {tcp} here (there are none; axes bring them)")


def test_a_case_is_one_scenario_without_a_title(conformance: Conformance) -> None:
    (line,) = wrong(conformance(sharing=WHOLE.replace("A = tcp4()", "--- x\nA = tcp4()")))
    assert line.endswith("one: a case is one scenario, without a line '--- TITLE'")


MANY = "".join(f"axes.x{n}.a = {{}}\naxes.x{n}.b = {{}}\n" for n in range(40))
BOMB = "".join(f'axes.x{n}.v.w{n} = "{f"{{w{n + 1}}}" * 3000}"\n' for n in range(3)) + 'axes.x3.v.w3 = "#"\n'


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        (MANY, "these axes make more than 10000 variants; take some of their values"),
        (BOMB, "one[v-v-v-v]: words in braces that name words grow too long"),
    ],
)
def test_axes_that_multiply_end_at_a_bound(axes: str, says: str, conformance: Conformance) -> None:
    text = WHOLE.replace("scenario = '''\n", f"{axes}scenario = '''\n# {{w0}}\n")
    assert any(line.endswith(says) for line in wrong(conformance(sharing=text)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"x = 1\ny = " + b"[" * 5000, "axes.toml:2: brackets in brackets, too deep to be read"),
        (b"x = 1\ny = " + b"9" * 5000, "axes.toml:2: a number too long to be read"),
        (b"x = 1\ny = '\xff'", "axes.toml:2: not UTF-8 (byte 11 of the file)"),
        (b"[x]\ny =", "axes.toml:2: Invalid value"),
        (b"#" * (MAX_FILE + 1), f"axes.toml:1: should have at most {MAX_FILE} bytes"),
    ],
    ids=["brackets", "number", "bytes", "syntax", "size"],
)
def test_a_file_that_cannot_be_read_is_one_line(text: bytes, says: str, conformance: Conformance) -> None:
    """Not followed by what every case misses in it."""
    root = conformance()
    (root / "axes.toml").write_bytes(text)
    assert wrong(root) == [says]


def test_nobody_waits_for_what_is_no_file(conformance: Conformance) -> None:
    if sys.platform == "win32":
        pytest.skip("no FIFOs")
    root = conformance()
    (root / "axes.toml").unlink()
    os.mkfifo(root / "axes.toml")
    assert wrong(root) == ["axes.toml:1: is no regular file"]


@pytest.mark.parametrize("name", ["a b", "a::b", "x\x1b[31m", "A", "-a"])
def test_the_name_of_a_rules_file_is_a_word(name: str, conformance: Conformance) -> None:
    root = conformance()
    (root / "rules" / f"{name}.toml").write_text(WHOLE)
    (line,) = wrong(root)
    assert line.endswith("the file should be called by lower case words joined by '-', then .toml")
    assert line.isprintable()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 5\n", "guards.toml:1: x should be a table with"),
        ('# x\n["sharing/a"]\naliases = 5\n', "guards.toml:2: 'aliases' of sharing/a should be a list of str"),
        ("x =", "guards.toml:1: Invalid value"),
    ],
)
def test_the_names_of_guards_are_not_read_from_a_file_that_is_wrong(
    text: str, says: str, conformance: Conformance
) -> None:
    with pytest.raises(DataError) as caught:
        guard_names(conformance(guards=text))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 5\n", "platforms.toml:1: x should be a table with"),
        ('[x]\ntitle = "X"\n', "platforms.toml:1: x needs 'versions'"),
        ('[x]\ntitle = "X"\nversions = [1]\n', "platforms.toml:1: 'versions' of x should be a list of str"),
        ('\n[x]\ntitle = "X"\nversions = ["six"]\n', "platforms.toml:2: x: 'six' is no version"),
        ('[x]\ntitle = "X"\nversions = []\n', "platforms.toml:1: x: versions are missing"),
        ("x =", "platforms.toml:1: Invalid value"),
        ("", "platforms.toml:1: should have a table, at least"),
    ],
)
def test_a_mistake_in_the_platforms_is_named(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "platforms.toml").write_text(text)
    monkeypatch.setattr(platforms, "CONFORMANCE", tmp_path)
    with pytest.raises(DataError) as caught:
        platforms.registry.__wrapped__()
    assert says in str(caught.value)


@pytest.mark.parametrize("command", [["rules"], ["check", "time-wait-reuse/x"], ["export"], ["audit"]])
def test_every_command_says_what_is_wrong_with_the_data(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object, **__: object) -> None:
        raise DataError("axes.toml:2: oh")

    monkeypatch.setattr(loader, "load", load)
    monkeypatch.setattr(guard, "load", load)
    assert main(command) == 2
    assert capsys.readouterr().err == "sockreuse: the conformance data is wrong:\naxes.toml:2: oh\n"


def test_of_many_mistakes_the_first_are_named_and_the_others_counted(conformance: Conformance) -> None:
    lines = wrong(conformance(sharing=HEAD + CASE + SCENARIO + EXPECT.replace("linux", "lunix") * 30))
    assert len(lines) == MAX_COMPLAINTS + 1
    assert "no platform 'lunix'" in lines[0]
    assert lines[-1] == f"… and {30 - MAX_COMPLAINTS} more"
    lines = str(DataError("\n".join(f"x.toml:{line}: oh" for line in range(1, 31)))).split("\n")  # of any file
    assert lines == [*(f"x.toml:{line}: oh" for line in range(1, MAX_COMPLAINTS + 1)), "… and 20 more"]


def test_syntax_errors_have_line_and_column(conformance: Conformance) -> None:
    text = WHOLE.replace('title = "T"\nwhy', "title = T\nwhy")
    lines = wrong(conformance(sharing=text))
    assert lines[0].startswith(f"{SHARING}:{line_of(text, 'title = T')}:9: ")
    lines = wrong(conformance(sharing=WHOLE + "'''"))
    assert re.match(rf"{SHARING}:\d+", lines[0])


@pytest.mark.parametrize("file", ["claims", "evidence", "axes"])
def test_syntax_errors_beside_the_rules(conformance: Conformance, file: str) -> None:
    assert f"{file}.toml:2:" in "\n".join(wrong(conformance(**{file: "[a]\nb ="})))


def test_a_missing_file_is_named(conformance: Conformance) -> None:
    root = conformance()
    (root / "claims.toml").unlink()
    assert "claims.toml: No such file" in "\n".join(wrong(root))


def test_bytes_that_are_no_text(conformance: Conformance) -> None:
    root = conformance()
    (root / "rules" / "binary.toml").write_bytes(b"title = '\xff'")
    assert wrong(root) == ["binary.toml:1: not UTF-8 (byte 9 of the file)"]


def test_a_claim_without_a_case(conformance: Conformance) -> None:
    claims = '[X-1]\ndocument = "D"\ntext = "T"\n[X-2]\ndocument = "D"\ntext = "T"\n'
    (line,) = wrong(conformance(claims=claims))
    assert line.startswith("claims.toml:4: no case shows X-2;")
    load(conformance(claims=claims), rules=["sharing"])  # some rules need not show every claim


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("claims", '[X-1]\ndocument = "D"\n'),
        ("claims", "X-1 = 3\n"),
        ("evidence", '[here]\nurl = "x"\n'),
        ("evidence", "here = 3\n"),
        ("axes", "family = 3\n"),
        ("axes", "[family]\nip4 = 3\n"),
    ],
)
def test_entries_of_another_form(conformance: Conformance, file: str, text: str) -> None:
    assert any(line.startswith(f"{file}.toml") for line in wrong(conformance(**{file: text})))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('on = ["linux"]', "on = [1]"),
        ('on = ["linux"]', "on = [[]]"),
        ('evidence = ["here"]', "evidence = [{}]"),
        ('basis = "', 'since = [6.1]\nbasis = "'),
        ('basis = "', 'where = { family = 3 }\nbasis = "'),
        ('outcome = { "B.bind" = "EADDRINUSE" }', 'outcome = { "B.bind" = 3 }'),
        ('claims.X-1 = { "B.bind" = "EADDRINUSE" }', "claims.X-1 = 3"),
        ("scenario =", "axes.own = { a = 3 }\nscenario ="),
        ("scenario =", "cells = { x = 3 }\nscenario ="),
        ("[[case]]", "case = 3\n[x]"),
    ],
)
def test_values_of_another_type(conformance: Conformance, old: str, new: str) -> None:
    assert old in WHOLE
    assert any(line.startswith(f"{SHARING}:") for line in wrong(conformance(sharing=WHOLE.replace(old, new))))


@pytest.mark.parametrize(
    "text",
    [
        WHOLE.replace("[[case]]", "[[case]]  # a note").replace("[[case.expect]]", "[[ case.expect ]]"),
        HEAD + CASE + SCENARIO + 'expect = [{ on = ["linux"], outcome = {}, basis = "inferred" }]\n',
        TITLE.replace("\n", "\n", 1) + "[[ case ]]\n" + CASE.partition("\n")[2] + SCENARIO + EXPECT,
    ],
    ids=["comments", "inline", "blanks"],
)
def test_no_spelling_of_toml_loses_a_case_or_a_statement(conformance: Conformance, text: str) -> None:
    root = conformance(sharing=text)
    try:
        cases = load(root).rules["sharing"].cases
    except DataError:
        refused = wrong(root)
        assert any(line.startswith(f"{SHARING}:") for line in refused)  # told, not lost
        assert not any("no case shows" in line for line in refused)
    else:
        assert [len(case.statements) for case in cases] == [1]


SECOND = EXPECT.replace('["linux"]', '["windows", "linux"]')


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("", "", True),
        ('since = ["6.3"]', "", True),
        ('since = ["6.1.32", "6.3"]', 'until = ["6.1.32", "6.3"]', False),
        ('since = ["6.1.32", "6.3"]', 'until = ["6.1.33", "6.3"]', True),
        ('since = ["6.3"]', 'until = ["6.4"]', True),
        ('since = ["6.3"]\nuntil = ["6.5"]', 'since = ["6.5"]', False),
    ],
)
def test_statements_for_one_platform_do_not_overlap(
    conformance: Conformance, first: str, second: str, overlap: bool
) -> None:
    text = HEAD + CASE + SCENARIO + EXPECT + first + "\n" + SECOND + second + "\n"
    root = conformance(sharing=text)
    if not overlap:
        assert len(load(root).variants[0].case.statements) == 2
        return
    (line,) = wrong(root)
    starts = [n for n, entry in enumerate(text.splitlines(), 1) if entry == "[[case.expect]]"]
    assert line.startswith(f"{SHARING}:{starts[1]}: speaks of linux in one, as line {starts[0]} does")


def test_statements_may_share_a_platform_over_different_variants(conformance: Conformance) -> None:
    axes = WHOLE.replace("scenario =", "axes.n = { a = {}, b = {} }\nscenario =")
    apart = axes + 'where.n = ["a"]\n' + EXPECT + 'where.n = ["b"]\n'
    assert len(load(conformance(sharing=apart)).variants) == 2
    (line,) = wrong(conformance(sharing=axes + 'where.n = ["a"]\n' + EXPECT))
    assert "speaks of linux in one[a]" in line


TABLE = HEAD + CASE + """\
axes.n = { a = {}, b = {} }
axes.m = { x = {}, y = {}, z = {} }
cells.in = { "B.bind" = "EADDRINUSE" }
scenario = '''
A = tcp4()
A.bind(127.0.0.1:P)
B = tcp4()
B.bind(127.0.0.1:P)
'''
  [[case.expect]]
  on = ["linux"]
  basis = "inferred"
  table = '''
n \\ m | x y  z
a     | . in ?
b     | in in in
'''
"""  # fmt: skip


def test_a_table_is_read_by_its_axes(conformance: Conformance) -> None:
    suite = load(conformance(sharing=TABLE))
    found = {variant.name: variant.expected(named("linux-6.18")) for variant in suite.variants}
    assert [name for name, expected in found.items() if expected is None] == ["one[a-z]"]
    empty = [name for name, expected in found.items() if expected is not None and not expected.outcome]
    assert empty == ["one[a-x]"]


def test_a_row_may_stand_for_several(conformance: Conformance) -> None:
    suite = load(conformance(sharing=TABLE.replace("a     | . in ?\nb ", "* ")))
    assert all(variant.expected(named("linux-6.18")) for variant in suite.variants)
    suite = load(conformance(sharing=TABLE.replace("a     | . in ?\nb ", "a,b ")))
    assert all(variant.expected(named("linux-6.18")) for variant in suite.variants)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("a     | . in ?", "a     | . in", "needs 1 values, '|', 3 of"),
        ("a     | . in ?", "a     | . in ? .", "table row 'a     | . in ? .'"),
        ("a     | . in ?", "c     | . in ?", "table row 'c"),
        ("a     | . in ?", "a     | . out ?", "table row 'a     | . out ?'"),
        ("a     | . in ?", "a b   | . in ?", "table row 'a b"),
        ("a     | . in ?", "a       . in ?", "table row"),
        ("a     | . in ?", "b     | . in ?", "a second time"),
        ("n \\ m | x y  z", "n \\ m | x y  w", "table row"),
        ("n \\ m | x y  z", "n \\ k | x y  z", "first line of a table"),
        ("n \\ m | x y  z", "x y z", "first line of a table"),
        ("n \\ m | x y  z\na     | . in ?\nb     | in in in\n", "", "first line of a table"),
    ],
)
def test_a_table_that_is_wrong(conformance: Conformance, old: str, new: str, says: str) -> None:
    text = TABLE.replace(old, new)
    assert text != TABLE
    lines = wrong(conformance(sharing=text))
    assert len(lines) == 1
    assert lines[0].startswith(f"{SHARING}:{line_of(text, '[[case.expect]]')}: ")
    assert says in lines[0]


def test_everything_that_is_wrong_is_told_at_once(conformance: Conformance) -> None:
    first = WHOLE.replace("claims.X-1", "claims.X-9").replace('["here"]', '["there"]').replace("tcp4", "tcp5")
    second = WHOLE.replace('["linux"]', '["linus"]').replace("why =", "wy =")
    third = HEAD + CASE + SCENARIO + EXPECT + CASE + SCENARIO
    text = "\n".join(wrong(conformance(sharing=first, second=second, third=third, fourth="=")))
    for what in ("'X-9'", "'there'", "'wy'", "case id 'one' should be new", "fourth.toml:1:1"):
        assert what in text, text
    assert len(re.findall(r"^second.toml:\d+: ", text, re.M)) >= 2


def test_variant_ids_and_content(conformance: Conformance) -> None:
    suite = load(conformance(sharing=TABLE))
    assert [variant.name for variant in suite.variants] == [f"one[{n}-{m}]" for n in "ab" for m in "xyz"]
    assert list(suite.by_id) == [variant.id for variant in suite.variants]
    before = {variant.id: variant.content for variant in suite.variants}
    noted = load(conformance(sharing=TABLE.replace("A = tcp4()", "A   =  tcp4( )").replace('"W."', '"X."')))
    assert {variant.id: variant.content for variant in noted.variants} == before
    other = load(conformance(sharing=TABLE.replace("A = tcp4()", "A = udp4()")))
    assert not set(before.values()) & {variant.content for variant in other.variants}
    assert suite.version == load(conformance(sharing=TABLE)).version != other.version


def test_content_is_the_same_on_every_machine(conformance: Conformance) -> None:
    (variant,) = load(conformance(sharing=WHOLE)).variants
    assert variant.content == "0392b6a014a5"


# --- the data that ships ----------------------------------------------------------------------------------------------


def test_the_data_that_ships_is_right() -> None:
    suite = load()
    assert list(suite.rules) == rule_ids()
    assert len(suite.by_id) == len(suite.variants)
    for variant in suite.variants:
        assert re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+(\[[\w.:+/*-]+\])?", variant.id), variant.id
    keys = {key for v in suite.variants for statement in v.case.statements for key in statement.evidence}
    assert keys <= set(suite.evidence)


def test_every_rule_loads_alone() -> None:
    for rule in rule_ids():
        assert list(load(rules=[rule]).rules) == [rule]


def test_the_data_lies_where_the_code_says() -> None:
    assert {path.stem for path in (CONFORMANCE / "rules").glob("*.toml")} == set(rule_ids())


BROKEN = """
from pathlib import Path
from pytest_sockreuse import options, platforms
{module}.CONFORMANCE = Path(__file__).parent
"""


@pytest.mark.parametrize(
    ("option", "module"),
    [
        ("--sockreuse", "options"),
        ("--sockreuse", "platforms"),
        ("--sockreuse-record", "options"),
        ("--sockreuse-record", "platforms"),
        ("-osockreuse_require=server-restart", "options"),
    ],
)
def test_pytest_says_what_is_wrong_with_the_data(module: str, option: str, pytester: pytest.Pytester) -> None:
    """By a usage error, whichever of its options asks for the data."""
    pytester.path.joinpath("options.toml").write_text("x = 5\n")
    pytester.path.joinpath("platforms.toml").write_text("x = 5\n")
    pytester.makeconftest(BROKEN.format(module=module))
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{module}.toml:1: x should be a table with *"])
    assert "Traceback" not in str(result.stderr)
