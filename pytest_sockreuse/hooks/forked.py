"""A test that goes on in a forked child, from where a fixture asks for it; what it reports comes back.

The parent tears down the fixtures that were set up before the fork. The child sends back its reports, those of subtests
included, and its warnings.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import warnings
from typing import IO, Any, NoReturn

import pytest
from _pytest.runner import runtestprotocol

if sys.platform == "linux":
    from ..live import namespace

VISIT = pytest.StashKey["Visit"]()


def prepare(item: pytest.Item) -> None:
    """Have an item run so that it can go on in a child."""
    item.stash[VISIT] = Visit(item)
    manager = item.config.pluginmanager
    if not manager.has_plugin("sockreuse-forked"):
        manager.register(_Protocol(), "sockreuse-forked")


class _Protocol:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        visit = item.stash.get(VISIT, None)
        if visit is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in visit.run(nextitem):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True


class Visit:
    """One run of one test, of which the part after `fork` is in the child."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.in_child = False
        self._status: int | None = None  # of the child, when it has ended
        self._logged: list[pytest.TestReport] = []  # in the child: of subtests
        self._warned: list[tuple[str, type[Warning], str, int]] = []  # in the child

    def run(self, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """Run the test; returns its reports, wherever they were made."""
        self._status, following = None, _Next(self, nextitem)
        with tempfile.TemporaryFile() as file:
            try:
                reports = runtestprotocol(self.item, log=False, nextitem=following)  # type: ignore[arg-type]
                if self.in_child:
                    self._tell(reports, file)
            finally:
                if self.in_child:
                    os._exit(1)
            if self._status is None:
                return reports
            return self._told(file) + [report for report in reports if report.failed]

    def fork(self) -> None:
        """Return in the child; the parent waits for its end and skips the rest of the test."""
        if sys.platform == "win32":
            raise AssertionError("there is no fork")
        _flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            parent, pid = os.getpid(), os.fork()
        if pid:
            try:
                self._status = os.waitpid(pid, 0)[1]
            except BaseException:  # interrupted, or the test's time is up
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
            raise pytest.skip.Exception("goes on in a child")
        if sys.platform == "linux":
            namespace.end_with_parent()
            if os.getppid() != parent:  # which has ended already
                os._exit(1)
        self.in_child = True
        finalizers, _ = self.item.session._setupstate.stack[self.item]
        del finalizers[1:]  # of the parent's fixtures; the first is the item's own
        self._intercept()

    def _intercept(self) -> None:
        """What is reported on the way is the parent's to report."""
        manager, hook = self.item.config.pluginmanager, self.item.config.hook.pytest_runtest_logreport
        for implementation in hook.get_hookimpls():
            hook._remove_plugin(implementation.plugin)
        manager.register(self)
        warnings.showwarning = self._note  # type: ignore[assignment]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._logged.append(report)

    def _note(self, message: Warning | str, category: type[Warning], name: str, line: int, *_: object) -> None:
        self._warned.append((str(message), category, name, line))

    def _tell(self, reports: list[pytest.TestReport], file: IO[bytes]) -> NoReturn:
        told = [self._serialized(report) for report in reports[:1] + self._logged + reports[1:]]
        try:
            data = pickle.dumps((told, self._warned))
        except Exception as error:
            why = self._failed(f"what this test reports cannot be brought back from its child: {error}")
            data = pickle.dumps(([self._serialized(why)], []))
        file.write(data)
        file.flush()
        _flush()
        os._exit(0)

    def _told(self, file: IO[bytes]) -> list[pytest.TestReport]:
        if self._status:
            code = os.waitstatus_to_exitcode(self._status)
            end = f"by signal {-code}" if code < 0 else f"with status {code}"
            return [self._failed(f"the child in which this test went on ended {end}")]
        file.seek(0)
        told, warned = pickle.loads(file.read())
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # what is an error, or ignored, was that in the child
            for warning in warned:
                warnings.warn_explicit(*warning)
        config = self.item.config
        return [config.hook.pytest_report_from_serializable(config=config, data=data) for data in told]

    def _serialized(self, report: pytest.TestReport) -> Any:
        config = self.item.config
        return config.hook.pytest_report_to_serializable(config=config, report=report)

    def _failed(self, why: str) -> pytest.TestReport:
        return pytest.TestReport(
            self.item.nodeid, self.item.location, dict.fromkeys(self.item.keywords, 1), "failed", why, "call"
        )


class _Next:
    """The item after this one. To a child it is any sibling: nothing but the test itself is torn down."""

    def __init__(self, visit: Visit, item: pytest.Item | None) -> None:
        self._visit, self._item = visit, item

    def listchain(self) -> list[Any]:
        if self._visit.in_child:
            return self._visit.item.listchain()[:-1]
        return self._item.listchain() if self._item else []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
