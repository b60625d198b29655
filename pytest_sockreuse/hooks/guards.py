"""Guards in a pytest run: the marker ``sockreuse_requires``, and the canary, ini ``sockreuse_require``."""

from __future__ import annotations

from typing import Any

import pytest

from ..guard import GuardError, Trial, find, tried
from ..platforms import current
from ..report.guards import refusal

_MODES = ("skip", "fail", "xfail")


class Guarded:
    """The tests of this process that carry the marker; all their rules are tried before the first of them."""

    def __init__(self, items: list[pytest.Item]) -> None:
        marks = [mark for item in items for mark in item.iter_markers("sockreuse_requires")]
        self.rules = [name for mark in marks if not _mistake(mark) for name in mark.args]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Mark the test, before pytest looks at its marks, or fail it."""
        for mark in item.iter_markers("sockreuse_requires"):
            if mistake := _mistake(mark):
                file, line, _ = item.location
                pytest.fail(f"{file}:{(line or 0) + 1}: sockreuse_requires: {mistake}", pytrace=False)
            tried(self.rules)
            for trial in tried(mark.args):
                if not trial.honoured:
                    _apply(trial, mark.kwargs.get("mode", "skip"), item)


def _mistake(mark: pytest.Mark) -> str:
    """What is wrong with how the marker was written; else empty."""
    if not mark.args or not all(isinstance(name, str) for name in mark.args):
        return "name the rules, each as a text (see sockreuse rules)"
    if set(mark.kwargs) - {"mode"} or mark.kwargs.get("mode", "skip") not in _MODES:
        given = ", ".join(f"{key}={value!r}" for key, value in mark.kwargs.items())
        return f"mode is one of {', '.join(map(repr, _MODES))}, and there are no other keywords; not {given}"
    try:
        for name in mark.args:
            find(name)
    except GuardError as error:
        return str(error)
    return ""


def _apply(trial: Trial, mode: str, item: pytest.Item) -> None:
    if mode == "fail" or trial.broken:
        pytest.fail(refusal(trial), pytrace=False)
    elif mode == "skip":
        item.add_marker(pytest.mark.skip(reason=str(trial)))
    elif trial.honoured is None:  # nobody knows whether the test will fail
        item.add_marker(pytest.mark.xfail(reason=str(trial), strict=False))
    else:
        item.add_marker(pytest.mark.xfail(reason=str(trial)))


class Canary:
    """The rules without which no test shall run: tried before the first, by the controller of xdist for its workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.names: list[str] = config.getini("sockreuse_require")
        self.worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.bad: list[Trial] = []
        for name in self.names:
            try:
                find(name)
            except GuardError as error:
                raise pytest.UsageError(f"sockreuse_require: {error}") from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """End the run if a rule is not honoured."""
        if self.config.option.collectonly or (self.worker and self.worker["sockreuse_canary"] == current().name):
            return
        self.bad = [trial for trial in tried(self.names) if not trial.honoured]
        if self.bad and self.worker is None:
            reporter: pytest.TerminalReporter | None = self.config.pluginmanager.get_plugin("terminalreporter")
            if reporter is not None:
                reporter.section("the rules of sockreuse_require")
                for trial in self.bad:
                    reporter.write_line(refusal(trial))
                reporter.write_line("To run the tests here all the same: pytest -o sockreuse_require=")
            pytest.exit("; ".join(map(str, self.bad)), returncode=pytest.ExitCode.TESTS_FAILED)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist on which platform the rules were tried."""
        node.workerinput["sockreuse_canary"] = current().name

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """On a worker that is a platform of its own each test fails: a worker cannot end the run."""
        for trial in self.bad:
            pytest.fail(f"sockreuse_require: {refusal(trial)}", pytrace=False)

    def pytest_report_header(self) -> list[str]:
        return [] if self.config.option.collectonly else [f"sockreuse: {trial}" for trial in tried(self.names)]
