"""The suite as part of a pytest run, in a project of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from here import linux_only
from junitparser import JUnitXml
from lying import lying_kernel

from pytest_sockreuse import platforms
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.platforms import current
from pytest_sockreuse.report.results import ResultsError, read

ALL = '["linux", "gvisor", "freebsd", "macos", "netbsd", "openbsd", "windows"]'
ORDER = f"""
title = "Order"
about = "More that these tests ask."

[[case]]
id = "free"
title = "A port that is free can be bound"
why = "Else nothing works."
fact = "A free port is free."
scenario = '''
A = tcp4()
A.bind(127.0.0.1:P)
'''
  [[case.expect]]
  on = {ALL}
  outcome = {{}}
  basis = "inferred"

[[case]]
id = "open-question"
title = "Nobody knows, neither data nor model"
why = "It is data all the same."
fact = "Unknown is no failure."
scenario = '''
A = udp4()
A.set(IP_ADD_MEMBERSHIP=raw:e00000fb00000000)?
'''

[[case]]
id = "impossible"
title = "A setting that no namespace isolates"
why = "The host stays as it is."
fact = "Nothing on the host changes."
scenario = '''
sysctl kernel.hostname = other
A = tcp4()
'''
"""


class Project:
    """A project with one test of its own, and a small suite in place of the one that ships."""

    def __init__(self, pytester: pytest.Pytester, root: Path) -> None:
        self.pytester, self.path, self.root = pytester, pytester.path, root

    def run(self, *arguments: str | Path) -> pytest.RunResult:
        """Run pytest within this process."""
        return self.pytester.runpytest_inprocess(*arguments)

    def spawn(self, *arguments: str | Path) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*arguments, timeout=60)

    def report(self, *arguments: str) -> tuple[pytest.RunResult, Path]:
        path = self.path / "results.jsonl"
        run = self.spawn if {"-n", "--dist=each"} & {*arguments} else self.run
        return run("--sockreuse-report", path, *arguments), path

    def kernel_without_eaddrinuse(self) -> None:
        self.pytester.makeconftest(lying_kernel("ok", "step.outcome == 'EADDRINUSE'"))

    def ini(self, *lines: str) -> None:
        self.pytester.makeini("\n".join(["[pytest]", *lines]))


@pytest.fixture
def project(project: pytest.Pytester, conformance: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Project:
    root = conformance(order=ORDER)
    monkeypatch.setenv("PYTEST_ADDOPTS", f"{os.environ['PYTEST_ADDOPTS']} -o 'sockreuse_conformance={root}'")
    for place, name in ((platforms, "current"), (Runner, "ask"), (Runner, "answer")):
        monkeypatch.setattr(place, name, getattr(place, name))  # put back what a conftest changes
    project.makepyfile(test_own="def test_own(): pass")
    return Project(project, root)


def refuses(result: pytest.RunResult) -> str:
    """The one clear line of a usage error; no traceback."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = str(result.stderr)
    assert "Traceback" not in text + str(result.stdout)
    lines = [line for line in text.splitlines() if line.startswith("ERROR: ")]
    assert len(lines) == 1, text
    return lines[0]


NODES = [
    "sockreuse::order::free",
    "sockreuse::order::open-question",
    "sockreuse::order::impossible",
    "sockreuse::sharing::taken[ip4]",
]


# --- what is run ------------------------------------------------------------------------------------------------------


def test_the_suite_is_added_to_the_run(project: Project) -> None:
    result = project.spawn("--sockreuse", "-v", "--strict-markers", "--strict-config", "-W", "error")
    result.assert_outcomes(passed=4, skipped=1)
    result.stdout.fnmatch_lines(
        [
            f"sockreuse: {current()}*, 4 cases in 4 variants, suite *",
            "test_own.py::test_own PASSED*",
            "sockreuse::order::free PASSED*",
            "sockreuse::order::open-question PASSED*",
            "sockreuse::order::impossible SKIPPED*",
            "sockreuse::sharing::taken?ip4? PASSED*",
            f"*= sockreuse on {current()} =*",
            "*match  unknown  unsupported",
            "order *1 *1 *1",
            "sharing *1 *·*",
            "unsupported here:",
            "*1  *",
        ]
    )


def test_without_the_option_nothing_of_ours_is_there(project: Project) -> None:
    project.pytester.makepyfile(
        test_own="""
        import sys

        def test_own(pytestconfig):
            ours = [name for name in sys.modules if name.split(".")[0] == "pytest_sockreuse"]
            assert sorted(ours) == ["pytest_sockreuse", "pytest_sockreuse.plugin"]
            assert not pytestconfig.pluginmanager.has_plugin("sockreuse-session")
        """
    )
    result = project.spawn("--strict-markers")
    result.assert_outcomes(passed=1)
    assert "sockreuse on" not in str(result.stdout)


def test_the_plugin_module_imports_nothing_beyond_pytest() -> None:
    code = (
        "import sys, pytest; sys.path[:0] = sys.argv[1:]; before = set(sys.modules)\n"
        "import pytest_sockreuse.plugin; print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code, *sys.path], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["pytest_sockreuse", "pytest_sockreuse.plugin"]


def test_only(project: Project) -> None:
    project.run("--sockreuse-only").assert_outcomes(passed=3, skipped=1)
    project.run("--sockreuse=sharing", "--sockreuse-only").assert_outcomes(passed=1)
    project.run("--sockreuse=sharing", "--sockreuse-only", "test_own.py").assert_outcomes(passed=1)


def test_rules_are_picked(project: Project) -> None:
    project.run("--sockreuse=sharing").assert_outcomes(passed=2)
    project.run("--sockreuse=sharing,order").assert_outcomes(passed=4, skipped=1)
    project.ini("sockreuse_rules = sharing")
    project.run("--sockreuse").assert_outcomes(passed=2)
    project.run("--sockreuse=order").assert_outcomes(passed=3, skipped=1)
    project.run().assert_outcomes(passed=1)


def test_a_path_after_the_option_is_a_path(project: Project) -> None:
    project.pytester.makepyfile(test_other="def test_other(): assert 0")
    result = project.run("--sockreuse", "test_own.py", "-v")
    result.assert_outcomes(passed=4, skipped=1)
    result.stdout.fnmatch_lines(["test_own.py::test_own PASSED*", "sockreuse::sharing::taken*"])


def test_node_ids_are_arguments(project: Project) -> None:
    project.run("sockreuse::sharing::taken[ip4]").assert_outcomes(passed=1)
    project.run("sockreuse::sharing::taken").assert_outcomes(passed=1)
    result = project.run("test_own.py", "sockreuse::order", "-v")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.no_fnmatch_line("*taken*")
    assert "'sockreuse::sharing::absent'" in refuses(project.run("sockreuse::sharing::absent"))


def test_collect_only_shows_the_node_ids(project: Project) -> None:
    result = project.run("--sockreuse", "--co", "-q")
    assert result.ret == 0
    assert result.outlines[: 1 + len(NODES)] == ["test_own.py::test_own", *NODES]
    assert "sockreuse on" not in str(result.stdout)


@pytest.mark.parametrize(
    ("arguments", "passed", "skipped"),
    [
        (["-k", "taken"], 1, 0),
        (["-k", "order and not free"], 1, 1),
        (["-k", "own or free"], 2, 0),
        (["-m", "sockreuse"], 3, 1),
        (["-m", "not sockreuse"], 1, 0),
        (["--deselect", "sockreuse::order"], 2, 0),
    ],
)
def test_selection(project: Project, arguments: list[str], passed: int, skipped: int) -> None:
    project.run("--sockreuse", *arguments).assert_outcomes(
        passed=passed, skipped=skipped, deselected=5 - passed - skipped
    )


def test_switched_off(project: Project, installed: bool) -> None:
    if not installed:
        pytest.skip("needs the plugin installed, to be blocked by its name")
    project.spawn("-p", "no:sockreuse").assert_outcomes(passed=1)
    assert project.spawn("-p", "no:sockreuse", "--sockreuse").ret == pytest.ExitCode.USAGE_ERROR


def test_the_suite_that_ships(project: Project) -> None:
    result = project.run("-o", "sockreuse_conformance=", "--sockreuse=order-dependence", "--sockreuse-only", "-q")
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] > 0


# --- mismatches -------------------------------------------------------------------------------------------------------


def test_what_lies_above_the_project_is_not_looked_at(project: Project, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("raise AssertionError")
    (tmp_path / "below").mkdir()
    os.chdir(tmp_path / "below")  # which pytester takes back
    assert project.run("--sockreuse", "--rootdir=.").ret == pytest.ExitCode.OK


def test_a_mismatch_prints_what_a_kernel_developer_wants(project: Project) -> None:
    project.kernel_without_eaddrinuse()
    result = project.run("--sockreuse")
    result.assert_outcomes(passed=3, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "sharing/taken?ip4?: B.bind gave ok, not EADDRINUSE",
            "    A port that is taken is taken",
            "",
            "    A = tcp4()            ok",
            "    A.bind(127.0.0.1:P)   ok",
            "    B = tcp4()            ok",
            "    B.bind(127.0.0.1:P)   ok   <-- expected EADDRINUSE",
            "",
            f"platform    {current()}, P=*",
            "claim       X-1 Two sockets never share a port",
            "depends     A server that is started twice must notice.",
            "as seen on  no platform that we know",
            "basis       measured; A run of these tests",
            "data        sharing.toml:4",
            "repeat      pytest 'sockreuse::sharing::taken?ip4?'",
            "claims that this platform refutes:",
            "  X-1 * Two sockets never share a port (sharing/taken?ip4?)",
        ]
    )
    text = str(result.stdout)
    assert "Traceback" not in text
    assert "session.py" not in text
    assert "def runtest" not in text


def test_the_repeat_command_repeats(project: Project) -> None:
    project.kernel_without_eaddrinuse()
    result = project.run("sockreuse::sharing::taken[ip4]")
    result.assert_outcomes(failed=1)


def test_last_failed_and_exit_first(project: Project) -> None:
    project.kernel_without_eaddrinuse()
    project.run("--sockreuse", "-x", "sockreuse::sharing", "sockreuse::order").assert_outcomes(
        passed=2, skipped=1, failed=1
    )
    project.run("--sockreuse", "--lf").assert_outcomes(failed=1)


def test_a_broken_runner_fails_the_case_and_says_so(project: Project) -> None:
    project.pytester.makeconftest("""
from pytest_sockreuse.live.runner import Broken, Runner
asked, real_ask, real = [], Runner.ask, Runner.answer
def ask(self, scenario, **rest):
    asked.append(scenario.lines)
    real_ask(self, scenario, **rest)
def answer(self):
    lines = asked.pop(0)
    if "A = tcp4()" in lines and len(lines) == 2:
        real(self)
        raise Broken("the worker process ended with status -9 in the middle of the scenario")
    return real(self)
Runner.ask, Runner.answer = ask, answer
""")
    result, path = project.report("--sockreuse", "-v")
    assert result.parseoutcomes()["failed"] >= 1
    result.stdout.fnmatch_lines(["order/free is broken: the worker process ended with status -9*", "*A = tcp4()"])
    assert "Traceback" not in str(result.stdout)
    (results,) = read(path)
    assert results.results["order/free"].verdict == "broken"
    assert results.results["sharing/taken[ip4]"].verdict == "match"


@linux_only
@pytest.mark.usefixtures("namespaces")
def test_what_departs_in_a_shared_namespace_is_performed_again_alone(project: Project) -> None:
    project.pytester.makeconftest("""
from collections import deque
from dataclasses import replace
from pytest_sockreuse.live.runner import Runner
asked, ask, answer = deque(), Runner.ask, Runner.answer

def noted(self, scenario, shared=False, **rest):
    asked.append(shared)
    print(shared, file=open("asked", "a"))
    ask(self, scenario, shared=shared, **rest)

def lying(self):
    seen = answer(self)
    steps = tuple(replace(step, outcome="EIO") if asked[0] else step for step in seen.steps)
    return replace(seen, steps=steps) if asked.popleft() else seen

Runner.ask, Runner.answer = noted, lying
""")
    project.spawn("--sockreuse", "--sockreuse-only", "-k", "free or taken").assert_outcomes(passed=2)
    flags = Path(project.path, "asked")
    assert sorted(flags.read_text().split()) == ["False", "False", "True", "True"]
    flags.unlink()
    project.spawn("--sockreuse-only", "--sockreuse", "sockreuse::order::free").assert_outcomes(passed=1)
    assert flags.read_text() == "False\n", "what somebody asks to look at is alone from the start"


# --- results ----------------------------------------------------------------------------------------------------------


def test_the_report_has_every_result_and_a_footer(project: Project) -> None:
    result, path = project.report("--sockreuse")
    assert result.ret == 0
    (results,) = read(path)
    assert results.about["platform"] == str(current())
    assert {"suite", "isolation", "release", "knobs", "python"} <= set(results.about)
    assert {id_: entry.verdict for id_, entry in results.results.items()} == {
        "order/free": "match",
        "order/impossible": "unsupported",
        "order/open-question": "unknown",
        "sharing/taken[ip4]": "match",
    }
    taken = results.results["sharing/taken[ip4]"]
    assert (taken.outcome, taken.basis, taken.claims) == ({"B.bind": "EADDRINUSE"}, "measured", {"X-1": True})
    assert results.results["order/impossible"].reason
    lines = path.read_text().splitlines()
    assert json.loads(lines[-1]) == {"footer": True, "results": 4}


def test_a_property_that_is_named_like_ours_is_not_believed(project: Project) -> None:
    """Neither one that is made well, under the node of a test of the project, nor odd ones."""
    project.pytester.makepyfile(
        test_own="""
        import pytest

        WHOLE = {
            "case": "sharing/taken[ip4]", "content": "0" * 12, "verdict": "mismatch", "outcome": "{}", "basis": "",
            "claims": '{"X-1": false}', "reason": "", "platform": "linux-\\x1b[31m6",
        }

        @pytest.mark.parametrize("odd", [WHOLE, {"case": "x"}, {"case": None}, {"case": ["sharing/taken[ip4]"]}])
        def test_own(record_property, odd):
            for name, value in odd.items():
                record_property(f"sockreuse_{name}", value)
        """
    )
    result, path = project.report("--sockreuse")
    result.assert_outcomes(passed=7, skipped=1)
    assert result.ret == 0
    (results,) = read(path)
    assert results.results["sharing/taken[ip4]"].verdict == "match"
    assert "refutes" not in str(result.stdout)


def test_the_report_alone_runs_the_suite_too(project: Project) -> None:
    result, path = project.report()
    result.assert_outcomes(passed=4, skipped=1)
    assert len(read(path)[0].results) == 4


def test_the_report_lies_where_pytest_was_called(project: Project) -> None:
    (project.path / "below").mkdir()
    project.run("--sockreuse=sharing", "--sockreuse-report=below/r.jsonl").assert_outcomes(passed=2)
    assert len(read(project.path / "below" / "r.jsonl")[0].results) == 1


def test_a_selection_is_complete_in_itself(project: Project) -> None:
    _, path = project.report("--sockreuse", "-k", "taken")
    assert list(read(path)[0].results) == ["sharing/taken[ip4]"]


CUT_SHORT: dict[str, tuple[str, list[str]]] = {
    "exit first": ("def test_own(): assert 0", ["-x"]),
    "interrupt": ("def test_own(): raise KeyboardInterrupt", []),
    "exit": ("import pytest\ndef test_own(): pytest.exit('enough')", []),
}


@pytest.mark.parametrize(("test", "arguments"), CUT_SHORT.values(), ids=CUT_SHORT)
def test_a_run_cut_short_leaves_no_footer(project: Project, test: str, arguments: list[str]) -> None:
    project.pytester.makepyfile(test_own=test)
    path = project.path / "results.jsonl"
    result = project.spawn("--sockreuse", "--sockreuse-report", path, *arguments)
    assert result.ret in (1, 2)
    with pytest.raises(ResultsError, match="no footer"):
        read(path)


def test_a_mismatch_first_and_then_nothing_more_leaves_no_footer(project: Project) -> None:
    project.kernel_without_eaddrinuse()
    (project.root / "rules" / "zeta.toml").write_text(ORDER)
    result, path = project.report("--sockreuse", "-x")
    result.assert_outcomes(passed=3, skipped=1, failed=1)
    with pytest.raises(ResultsError, match="no footer"):
        read(path)


def test_junit_xml_has_the_properties(project: Project) -> None:
    project.run("--sockreuse", "--junit-xml=r.xml", "-o", "junit_family=xunit1").assert_outcomes(passed=4, skipped=1)
    suites = JUnitXml.fromfile(str(project.path / "r.xml"))
    cases = {case.name: case for suite in suites for case in suite}
    assert sum(suite.tests for suite in suites) == len(cases) == 5
    found = {entry.get("name"): entry.get("value") for entry in cases["taken[ip4]"]._elem.iter("property")}
    assert found["sockreuse_case"] == "sharing/taken[ip4]"
    assert found["sockreuse_verdict"] == "match"
    assert found["sockreuse_outcome"] == '{"B.bind": "EADDRINUSE"}'
    assert found["sockreuse_basis"] == "measured"
    assert found["sockreuse_platform"] == str(current())


# --- several processes ------------------------------------------------------------------------------------------------


def without(results: Any) -> dict[str, tuple[str, Any]]:
    return {id_: (entry.verdict, entry.outcome) for id_, entry in results.results.items()}


def test_xdist_reports_as_one_process_does(project: Project) -> None:
    pytest.importorskip("xdist")
    project.report("--sockreuse")
    alone = read(project.path / "results.jsonl")
    (project.path / "results.jsonl").unlink()
    result, path = project.report("--sockreuse", "-n", "2")
    result.assert_outcomes(passed=4, skipped=1)
    spread = read(path)
    assert [without(results) for results in spread] == [without(results) for results in alone]
    assert spread[0].about == alone[0].about
    assert not list(project.path.glob("**/.results*"))


def test_each_worker_may_be_another_platform(project: Project) -> None:
    pytest.importorskip("xdist")
    project.pytester.makeconftest("""
import os, dataclasses
import pytest_sockreuse.platforms as p
if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
    real = p.current()
    p.current = lambda: dataclasses.replace(real, label=real.label + ".1")
""")
    result, path = project.report("--sockreuse", "--dist=each", "--tx=2*popen", "test_own.py")
    result.assert_outcomes(passed=8, skipped=2)
    here, there = sorted(read(path), key=lambda results: str(results.about["platform"]))
    assert there.about["platform"] == f"{here.about['platform']}.1"
    assert len(here.results) == len(there.results) == 4
    result.stdout.fnmatch_lines(["*= sockreuse on *", "*= sockreuse on *"])


def test_a_worker_that_crashes_leaves_no_footer(project: Project) -> None:
    pytest.importorskip("xdist")
    project.pytester.makepyfile(test_own="import os\ndef test_own(): os._exit(1)")
    _, path = project.report("--sockreuse", "-n", "1", "--max-worker-restart=0")
    with pytest.raises(ResultsError):
        read(path)


def test_a_mismatch_comes_through_xdist(project: Project) -> None:
    pytest.importorskip("xdist")
    project.kernel_without_eaddrinuse()
    result = project.spawn("--sockreuse", "-n", "2")
    result.assert_outcomes(passed=3, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*B.bind(127.0.0.1:P)   ok   <-- expected EADDRINUSE"])


def test_a_node_that_is_none_is_said_before_the_workers_start(project: Project) -> None:
    pytest.importorskip("xdist")
    assert "'sockreuse::sharing::absent'" in refuses(project.spawn("sockreuse::sharing::absent", "-n", "2"))


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_an_unknown_rule_gets_the_nearest(project: Project) -> None:
    line = refuses(project.run("--sockreuse=shering"))
    assert "no rule 'shering'; perhaps sharing? (there are order, sharing)" in line
    project.ini("sockreuse_rules = nothing-like-it")
    assert "no rule 'nothing-like-it'" in refuses(project.run("--sockreuse"))


def test_an_option_left_empty_is_refused(project: Project) -> None:
    """As by a variable of a CI that is not set."""
    for option in ("--sockreuse=", "--sockreuse=,"):
        assert f"{option} names no rule (there are order, sharing)" in refuses(project.run(option))
    assert "--sockreuse-report" in refuses(project.run("--sockreuse-report="))
    project.ini("sockreuse_rules = ,")
    assert "sockreuse_rules = , names no rule" in refuses(project.run("--sockreuse"))


@pytest.mark.parametrize("value", ["soon", "", "-1", "0", "nan", "inf", "1e999"])
def test_a_timeout_that_is_none(project: Project, value: str) -> None:
    project.ini(f"sockreuse_timeout = {value}")
    assert "sockreuse_timeout" in refuses(project.run("--sockreuse"))
    project.run().assert_outcomes(passed=1)


def test_a_timeout(project: Project) -> None:
    project.ini("sockreuse_timeout = 2.5")
    project.run("--sockreuse=sharing").assert_outcomes(passed=2)


@pytest.mark.parametrize("path", ["absent/r.jsonl", ".", "", "x" * 300, "test_own.py/r.jsonl"])
def test_a_report_that_cannot_be_written_is_refused_at_once(project: Project, path: str) -> None:
    assert re.search(
        r": [A-Z][a-z ]+; name another file", refuses(project.run("--sockreuse", f"--sockreuse-report={path}"))
    )


def test_a_report_that_cannot_be_written_at_the_end_costs_one_line(project: Project) -> None:
    """And nothing else of the run is lost."""
    project.pytester.makepyfile(
        test_own="""
        import pathlib

        def test_own():
            pathlib.Path("sub").rmdir()
            assert 0, "its own"
        """
    )
    project.pytester.mkdir("sub")
    result = project.run("--sockreuse=sharing", "--sockreuse-report=sub/r.jsonl", "--junitxml=out.xml")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: its own",
            "--sockreuse-report: *sub/r.jsonl: No such file or directory; the results are not written",
            "FAILED test_own.py::test_own *",
        ]
    )
    assert "Traceback" not in str(result.stdout) + str(result.stderr)
    assert (project.path / "out.xml").exists()
    project.pytester.makepyfile(test_own="import pathlib\ndef test_own(): pathlib.Path('sub').rmdir()")
    project.pytester.mkdir("sub")
    result = project.run("--sockreuse=sharing", "--sockreuse-report=sub/r.jsonl")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_report_to_standard_output(project: Project) -> None:
    result = project.spawn("--sockreuse=sharing", "--sockreuse-report=/dev/stdout")
    assert result.ret == 0
    result.stdout.fnmatch_lines(['*{"sockreuse": *', '{"footer": true, "results": 1}'])


def test_data_that_is_wrong(project: Project) -> None:
    (project.root / "rules" / "order.toml").write_text(ORDER.replace('id = "free"', 'id = "free"\nide = 1'))
    result = project.run("--sockreuse")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "order.toml:5: 'ide' is no key of a case" in str(result.stderr)
    assert "Traceback" not in str(result.stderr)


def test_data_of_ones_own_that_is_wrong_is_told_where_it_is_only_listed(project: Project) -> None:
    (project.root / "rules" / "order.toml").write_text(ORDER.replace("A.bind(127.0.0.1:P)", "A.bnd(127.0.0.1:P)", 1))
    result = project.run("--sockreuse", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "order.toml:" in str(result.stderr)
    assert "Traceback" not in str(result.stderr)
