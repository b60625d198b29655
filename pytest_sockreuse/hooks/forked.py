"""A test that goes on in a forked child, from where a fixture asks for it; what it reports comes back.

The child ends with the teardown of the test, and sends its reports, those of subtests included, and its warnings. The
parent tears down the fixtures that were set up before the fork; phase by phase its reports are the child's. So whoever
runs the test, as a plugin that runs it again does, sees one that fails or passes here.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any, Literal, NoReturn

import pytest
from _pytest.outcomes import Exit

if sys.platform == "linux":
    from ..live import namespace

VISIT = pytest.StashKey["Visit"]()

Phase = Literal["setup", "call", "teardown"]


def prepare(item: pytest.Item) -> None:
    """Have an item run so that it can go on in a child."""
    item.stash[VISIT] = Visit(item)
    manager = item.config.pluginmanager
    if not manager.has_plugin("sockreuse-forked"):
        manager.register(_Hooks(), "sockreuse-forked")


class _Hooks:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: Any = yield
        visit = item.stash.get(VISIT, None)
        return visit.report(report) if visit is not None else report  # type: ignore[return-value]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """A child never gets out of its test."""
        visit = item.stash.get(VISIT, None)
        try:
            return (yield)
        except (Exit, KeyboardInterrupt) as stop:
            if visit is not None and visit.in_child:
                visit.stop(stop)
            raise
        finally:
            if visit is not None and visit.in_child:
                os._exit(1)


class Visit:
    """A test, of which the part after `fork` is in the child."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.in_child = False
        self._answer = -1  # in the child: the file that the parent reads
        self._reports: dict[str, pytest.TestReport] = {}  # of the child, by phase
        self._logged: list[pytest.TestReport] = []  # by the child: of subtests
        self._warned: list[tuple[str, type[Warning], str, int]] = []  # in the child

    def fork(self) -> None:
        """Return in the child; the parent waits for its end and skips the rest of the test."""
        if sys.platform == "win32":
            raise AssertionError("there is no fork")
        _flush()
        with tempfile.TemporaryFile() as file:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
                parent, pid = os.getpid(), os.fork()
            if pid:
                end = _end(pid)
                file.seek(0)
                self._hear(file.read(), end)
                self.item.runtest = lambda: None  # type: ignore[method-assign,unused-ignore]
                raise pytest.skip.Exception("goes on in a child")
            self.in_child, self._answer = True, os.dup(file.fileno())
        if sys.platform == "linux":
            namespace.end_with_parent()
            if os.getppid() != parent:  # which has ended already
                os._exit(1)
        for node, (finalizers, _) in self.item.session._setupstate.stack.items():
            del finalizers[node is self.item :]  # of the parent's fixtures; an item's first is its own
        self._intercept()

    def report(self, own: pytest.TestReport) -> pytest.TestReport:
        """What is reported of a phase, of which `own` would be."""
        phase = own.when or ""
        if self.in_child:
            self._reports[phase] = own
            if phase == "teardown":
                self._tell()
            return own
        report = self._reports.get(phase, own)
        if phase == "call":
            self._log(*self._logged)
        if phase == "teardown":
            self._reports, self._logged = {}, []
            vars(self.item).pop("runtest", None)
            if own.failed and report is not own:
                self._log(report)
                return own
        return report

    def stop(self, why: BaseException) -> NoReturn:
        """In the child: end the run."""
        with contextlib.suppress(BaseException):
            self.item.session._setupstate.teardown_exact(None)
        self._tell((why.msg, why.returncode) if isinstance(why, Exit) else ())

    # --- the child ------------------------------------------------------------------------------------------------

    def _intercept(self) -> None:
        """What is reported on the way is the parent's to report."""
        manager, hook = self.item.config.pluginmanager, self.item.config.hook.pytest_runtest_logreport
        for implementation in hook.get_hookimpls():
            hook._remove_plugin(implementation.plugin)
        manager.register(self)
        warnings.showwarning = self._note  # type: ignore[assignment]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if all(report is not phase for phase in self._reports.values()):
            self._logged.append(report)

    def _note(self, message: Warning | str, category: type[Warning], name: str, line: int, *_: object) -> None:
        self._warned.append((str(message), category, name, line))

    def _tell(self, stop: tuple[Any, ...] | None = None) -> NoReturn:
        """Hand the parent all that there is to report, and why the run is to stop, if it is."""
        to_json = self.item.config.hook.pytest_report_to_serializable
        told = [
            [to_json(config=self.item.config, report=report) for report in reports]
            for reports in (self._reports.values(), self._logged)
        ]
        try:
            data = pickle.dumps((told, self._warned, stop))
        except Exception as error:
            why = f"what this test reports cannot be brought back from its child: {error}"
            data = pickle.dumps((why, [], stop))
        with open(self._answer, "wb") as file:
            file.write(data)
        _flush()
        os._exit(0)

    # --- the parent -----------------------------------------------------------------------------------------------

    def _hear(self, data: bytes, end: str) -> None:
        """Take over what the child told. Raises Exit or KeyboardInterrupt, if the run is to stop."""
        silent: Any = f"the child in which this test went on ended {end}", [], None
        told, warned, stop = pickle.loads(data) if data else silent
        if stop is not None:
            raise Exit(*stop) if stop else KeyboardInterrupt
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # what is an error, or ignored, was that in the child
            for warning in warned:
                warnings.warn_explicit(*warning)
        if isinstance(told, str):
            found, self._logged = [self._made("setup", "passed", None), self._made("call", "failed", told)], []
        else:
            of_json = self.item.config.hook.pytest_report_from_serializable
            found, self._logged = ([of_json(config=self.item.config, data=json) for json in group] for group in told)
        self._reports = {report.when: report for report in found}

    def _made(self, phase: Phase, outcome: Literal["passed", "failed"], why: str | None) -> pytest.TestReport:
        item = self.item
        return pytest.TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), outcome, why, phase)

    def _log(self, *reports: pytest.TestReport) -> None:
        for report in reports:
            self.item.ihook.pytest_runtest_logreport(report=report)


def _end(pid: int) -> str:
    """How a child ended: "with status 1". It is waited for."""
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return "too early, and nobody is told how: SIGCHLD is ignored"
    except BaseException:  # interrupted, or the test's time is up
        if sys.platform != "win32":
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return f"by signal {-code}" if code < 0 else f"with status {code}"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
