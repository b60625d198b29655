"""Guards in a pytest run: tests that require a rule, and a run that requires one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lying import lying_kernel

from pytest_sockreuse import guard
from pytest_sockreuse.live.runner import Broken, Runner
from pytest_sockreuse.platforms import current
from pytest_sockreuse.scenario import Observation

ORDER = "order-dependence/outgoing-then-listener"
UNABLE = "needs a network namespace (run as root)"
REFUSED = f"{current()} does not honour {ORDER}: outgoing.connect gives EACCES, not ok (listener-after-outgoing*"
TESTS = """
import pytest

def test_free(): pass

@pytest.mark.sockreuse_requires("ordering-quirk", "server-restart"{mode})
def test_stands_on_it(): {body}
"""
FAKE = lying_kernel("EADDRINUSE", "step.step == 'second.bind'")

Fake = Callable[..., Any]
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(project: pytest.Pytester) -> Iterator[Run]:
    """Runs pytest within this process, or, with -n, in one of its own, on a test that requires the rule."""

    def run(*arguments: str, mode: str = "", body: str = "pass") -> pytest.RunResult:
        project.makepyfile(TESTS.format(mode=mode and f", mode={mode!r}", body=body))
        shown = () if "no:terminal" in arguments else ("-ra",)
        start = project.runpytest_subprocess if "-n" in arguments else project.runpytest_inprocess
        return start("--strict-markers", *shown, *arguments)

    guard._done.clear()
    yield run
    guard._done.clear()


def refuse(kernel: Fake) -> None:
    kernel({"outgoing.connect": "EACCES"})


# --- a test that requires rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["", "skip", "fail", "xfail"])
def test_where_the_rules_are_honoured_the_test_runs(run: Run, kernel: Fake, mode: str) -> None:
    fake = kernel()
    run(mode=mode).assert_outcomes(passed=2)
    run(mode=mode, body="assert 0").assert_outcomes(passed=1, failed=1)
    assert fake.started == 1  # both rules at once, and once a process


def test_the_rules_of_this_kernel(run: Run) -> None:
    outcomes = run(mode="skip").parseoutcomes()
    honoured = all(trial.honoured for trial in guard.tried(["ordering-quirk", "server-restart"]))
    assert outcomes == {"passed": 2} if honoured else {"passed": 1, "skipped": 1}


def test_elsewhere_it_is_skipped_with_the_reason(run: Run, kernel: Fake) -> None:
    refuse(kernel)
    result = run()
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED * test_elsewhere*.py:5: {REFUSED}"])


def test_or_it_fails_with_all_that_helps(run: Run, kernel: Fake) -> None:
    refuse(kernel)
    result = run(mode="fail")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            REFUSED,
            "*outgoing.connect(127.0.0.1:S) * EACCES   <-- expected ok",
            "* holds on  Linux; *",
            "* instead *",
            "* repeat *",
        ]
    )
    result.stdout.no_fnmatch_line("*guarding.py*")


@pytest.mark.parametrize(
    ("body", "ini", "outcomes"),
    [
        ("assert 0", "false", {"xfailed": 1}),
        ("pass", "false", {"xpassed": 1}),
        ("pass", "true", {"failed": 1}),
    ],
)
def test_or_it_is_expected_to_fail(run: Run, kernel: Fake, body: str, ini: str, outcomes: dict[str, int]) -> None:
    refuse(kernel)
    run("-o", f"xfail_strict={ini}", mode="xfail", body=body).assert_outcomes(passed=1, **outcomes)


@pytest.mark.parametrize(
    ("mode", "body", "outcomes"),
    [
        ("skip", "pass", {"skipped": 1}),
        ("fail", "pass", {"errors": 1}),
        ("xfail", "pass", {"xpassed": 1}),  # nobody knows whether it will fail: not even strictly expected to
        ("xfail", "assert 0", {"xfailed": 1}),
    ],
)
def test_what_cannot_be_tried_does_not_pass(
    run: Run, kernel: Fake, mode: str, body: str, outcomes: dict[str, int]
) -> None:
    kernel(not_run=UNABLE)
    result = run("-o", "xfail_strict=true", mode=mode, body=body)
    result.assert_outcomes(passed=1, **outcomes)
    result.stdout.fnmatch_lines([f"*{ORDER} cannot be tried here: {UNABLE}*"])


def test_a_trial_that_breaks_fails_the_test(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(self: Runner) -> Observation:
        raise Broken("the worker process ended with status 7")

    monkeypatch.setattr(Runner, "answer", answer)
    result = run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"{ORDER} could not be tried: the worker process ended with status 7"])


def test_markers_of_class_and_module_count_too(run: Run, pytester: pytest.Pytester, kernel: Fake) -> None:
    refuse(kernel)
    pytester.makepyfile(
        test_more="""
        import pytest, unittest
        pytestmark = pytest.mark.sockreuse_requires("ordering-quirk")

        def test_of_the_module(): assert 0

        class TestOfUnittest(unittest.TestCase):
            def test_one(self): assert 0

        @pytest.mark.sockreuse_requires("server-restart", mode="fail")
        def test_of_two(): assert 0
        """
    )
    run().assert_outcomes(passed=1, skipped=4)


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ('"ordering-qirk"', "no rule 'ordering-qirk', perhaps ordering-quirk*(see sockreuse rules)"),
        ("", "name the rules, each as a text (see sockreuse rules)"),
        ("3", "name the rules, each as a text (see sockreuse rules)"),
        ('"ordering-quirk", mode="skipp"', "mode is one of 'skip', 'fail', 'xfail'*; not mode='skipp'"),
        ('"ordering-quirk", reason="r"', "mode is one of *; not reason='r'"),
        ('"ordering-quirk", mode=["skip"]', "mode is one of *; not mode=*"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(
    run: Run, pytester: pytest.Pytester, kernel: Fake, mark: str, says: str
) -> None:
    kernel()
    pytester.makepyfile(test_wrong=f"import pytest\n\n@pytest.mark.sockreuse_requires({mark})\ndef test_it(): pass\n")
    result = run("test_wrong.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"test_wrong.py:3: sockreuse_requires: {says}".replace("[", "[[]")])
    assert not re.search(r"Traceback|guarding\.py", str(result.stdout))


def test_without_the_marker_nothing_of_ours_is_there(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_own="""
        import sys

        def test_own(pytestconfig):
            assert not pytestconfig.pluginmanager.has_plugin("sockreuse-guards")
            assert not pytestconfig.pluginmanager.has_plugin("sockreuse-canary")
        """
    )
    run("test_own.py", "-k", "own").assert_outcomes(passed=1)


def test_workers_of_xdist_skip_too(run: Run, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makeconftest(FAKE)
    result = run("-n", "2")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *does not honour time-wait-reuse/restart: second.bind gives EADDRINUSE*"])


# --- the canary -------------------------------------------------------------------------------------------------------

CANARY = ("-o", "sockreuse_require=ordering-quirk server-restart")


def test_the_canary_sings(run: Run, kernel: Fake) -> None:
    fake = kernel()
    result = run(*CANARY)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [f"sockreuse: {current()} honours {ORDER}", "sockreuse: * honours time-wait-reuse/restart"]
    )
    assert fake.started == 1


def test_the_run_fails_at_once_when_it_does_not(run: Run, kernel: Fake) -> None:
    refuse(kernel)
    result = run(*CANARY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.no_fnmatch_line("*collected*")
    result.stdout.fnmatch_lines(
        [
            "*= the rules of sockreuse_require =*",
            REFUSED,
            "* holds on  Linux; gVisor; Windows; Wine",
            "* instead   Set SO_REUSEPORT on both *",
            "To run the tests here all the same: pytest -o sockreuse_require=",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*time-wait-reuse*")


def test_a_canary_that_cannot_be_asked_fails_the_run(run: Run, kernel: Fake) -> None:
    kernel(not_run=UNABLE)
    result = run(*CANARY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"{ORDER} cannot be tried here: {UNABLE}", "To run the tests here all the same: *"])
    run(*CANARY, "-o", "sockreuse_require=").assert_outcomes(passed=1, skipped=1)


def test_collecting_asks_nothing(run: Run, kernel: Fake) -> None:
    refuse(kernel)
    assert run(*CANARY, "--collect-only").ret == 0


def test_without_a_terminal(run: Run, kernel: Fake) -> None:
    refuse(kernel)
    assert run(*CANARY, "-p", "no:terminal").ret == pytest.ExitCode.TESTS_FAILED


def test_a_canary_of_no_rule_is_a_usage_error(run: Run) -> None:
    result = run("-o", "sockreuse_require=ordering-qirk")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: sockreuse_require: no rule 'ordering-qirk', perhaps ordering-quirk*"])
    assert "Traceback" not in str(result.stderr) + str(result.stdout)


def test_the_controller_of_xdist_asks_for_its_workers(run: Run, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    run("-n", "2", "-o", "sockreuse_require=clients-close-first").assert_outcomes(passed=2)
    pytester.makeconftest(FAKE)
    result = run("-n", "2", "-o", "sockreuse_require=server-restart")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.no_fnmatch_line("*collected*")
    result.stdout.fnmatch_lines(["*does not honour time-wait-reuse/restart: second.bind gives EADDRINUSE*"])


def test_a_worker_on_another_platform_asks_for_itself(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xdist")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makeconftest(
        f"""
import os, dataclasses
import pytest_sockreuse.platforms as p
if os.environ.get("PYTEST_XDIST_WORKER"):
    here = p.current()
    p.current = lambda: dataclasses.replace(here, label=here.label + ".1")
    exec({FAKE!r})
"""
    )
    result = run("-n", "1", "-o", "sockreuse_require=server-restart")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["sockreuse_require: *.1 does not honour time-wait-reuse/restart: *"])
