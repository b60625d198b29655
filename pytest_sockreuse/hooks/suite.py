"""The suite as part of a pytest run: collected, performed ahead of need, reported from wherever it ran."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from .. import loader, output
from ..data import DataError
from ..live.runner import Broken
from ..platforms import CHECKOUT, CONFORMANCE, current, describe
from ..report.mismatch import mismatch_text
from ..report.results import Result, Results, write
from ..report.summary import summarize
from ..scenario import Observation
from ..suite import Expectation, Rule, Suite, Variant
from ..text import nearest, visible
from ..verdict import FAILURES, Verdict, judge, shown
from .ahead import Ahead
from .passing import reported

Found = tuple[Observation | None, Verdict, Expectation | None]

_ISOLATION = {
    "netns": "network namespace",
    "userns": "network namespace of a user namespace",
    "none": "no network namespace",
    "": "collected only",
}


class SuiteSession:
    """One run's state: the suite, the runner, and on the controller what came back."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        try:
            seconds = float(config.getini("sockreuse_timeout").encode("ascii"))
            if not 0 < seconds <= 86_400:
                raise ValueError
        except ValueError:
            raise pytest.UsageError(
                f"sockreuse_timeout: {config.getini('sockreuse_timeout')!r} is no number of seconds"
            ) from None
        self.root = Path(config.getini("sockreuse_conformance") or CONFORMANCE)
        self.select: list[str] = config.option.sockreuse_select
        self.ahead = Ahead(seconds, shared=not self.select)  # what somebody asks to look at is performed alone
        if not config.option.collectonly:
            self.ahead.begin()  # while the data is read
        try:
            self.suite = self._load()
            self._check_nodes()
            self.report = self._report_path()
            self.isolation = "" if config.option.collectonly else self.ahead.isolation()
        except Broken as error:
            raise pytest.UsageError(f"sockreuse: {error}") from None
        except pytest.UsageError:
            self.ahead.close()
            raise
        self.results: dict[str, Results] = {}
        self._seen_here: dict[str, Result] = {}  # by the node of a test that this process performs
        self.selected = 0
        self.unwritten = ""  # why the report is not

    def _load(self) -> Suite:
        text = self.config.option.sockreuse
        ini: list[str] = self.config.getini("sockreuse_rules")
        wanted = ini if text in (None, "all") else [text]
        rules = [rule for entry in wanted for rule in entry.split(",") if rule]
        known = loader.rule_ids(self.root)
        if wanted and not rules:
            given = f"sockreuse_rules = {' '.join(ini)}" if wanted is ini else f"--sockreuse={text}"
            raise pytest.UsageError(f"{given} names no rule (there are {', '.join(known)})")
        for rule in rules:
            if rule not in known:
                close = nearest(rule, known, 1, 0.4)
                hint = f"; perhaps {close[0]}?" if close else ""
                raise pytest.UsageError(f"--sockreuse: no rule {rule!r}{hint} (there are {', '.join(known)})")
        try:
            listed = self.config.option.collectonly and self.root == CONFORMANCE  # ours, and not performed
            check = not listed and (self.root != CONFORMANCE or CHECKOUT)
            suite = loader.load(self.root, rules or None, check=check)
            for variant in suite.variants:
                _ = variant.text if listed else variant.scenario
            return suite
        except DataError as error:
            raise pytest.UsageError(f"the conformance data is wrong:\n{error}") from None

    def _check_nodes(self) -> None:
        """The nodes that were named; here, since a worker of xdist cannot say what is wrong when it collects."""
        variants = self.suite.variants if self.select else ()
        ids = [f"sockreuse::{variant.case.rule}::{variant.name}" for variant in variants]
        for node in self.select:
            if not any(_under(id_, node) for id_ in ids):
                raise pytest.UsageError(
                    f"no node {node!r} in the suite (see pytest --sockreuse-only --collect-only -q)"
                )

    def _report_path(self) -> Path | None:
        if self.config.option.sockreuse_report is None or hasattr(self.config, "workerinput"):
            return None
        path = Path(self.config.invocation_params.dir, self.config.option.sockreuse_report)
        try:
            output.check(path)
        except OSError as error:
            why = f"{visible(path, 1000)}: {error.strerror}"
            raise pytest.UsageError(f"--sockreuse-report: {why}; name another file, or make its directory") from None
        return path

    # --- collecting -----------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[None]:
        if not isinstance(collector, pytest.Session):
            return (yield)
        root = Root.from_parent(collector, name="sockreuse", nodeid="sockreuse", owner=self)
        root.add_marker(pytest.mark.sockreuse)  # and so each of its items has it
        if self.config.option.sockreuse_only:
            collector.collect = lambda: iter(())  # type: ignore[method-assign]
        report: Any = yield
        if report.passed:
            report.result.append(root)
        return report  # type: ignore[no-any-return]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.select:
            gone = [i for i in items if isinstance(i, SuiteItem) and not any(_under(i.nodeid, n) for n in self.select)]
            self.config.hook.pytest_deselected(items=gone)
            items[:] = [item for item in items if item not in set(gone)]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        variants = [item.variant for item in session.items if isinstance(item, SuiteItem)]
        self.selected = len(variants)
        if not hasattr(self.config, "workerinput") and not self.config.option.collectonly:
            self.ahead.expect(variants)  # not of an xdist worker, which is told of its next case only

    # --- running --------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Have the worker process perform the coming cases while pytest is busy with reports."""
        if not isinstance(item, SuiteItem):
            return None
        self.ahead.fill()
        self.ahead.ask(item.variant)
        if isinstance(nextitem, SuiteItem):
            self.ahead.ask(nextitem.variant)
        return reported(item, nextitem, item.passes, item.tell) or None

    def observe(self, variant: Variant) -> Found:
        """Perform a variant, or fetch what was performed ahead, and judge it.

        What is not as expected is performed again, in a namespace of its own, and only that is believed.
        """
        try:
            found = _judged(variant, self.ahead.fetch(variant))
            if found[1].state not in ("match", "unsupported") and self.ahead.shared:
                found = _judged(variant, self.ahead.fetch_alone(variant))
        except Broken as error:
            return None, Verdict("broken", reason=str(error)), None
        return found

    def note_result(self, node: str, result: Result) -> None:
        """What the test of a node showed, for its report, which need not be read back then."""
        if not hasattr(self.config, "workerinput"):
            self._seen_here[node] = result

    # --- reporting ------------------------------------------------------------------------------------------------

    def pytest_report_header(self) -> str:
        here = current()
        flavour = f" ({here.flavour})" if here.flavour else ""
        cases = sum(len(rule.cases) for rule in self.suite.rules.values())
        return (
            f"sockreuse: {here}{flavour}, {_ISOLATION[self.isolation]}, {cases} cases in "
            f"{len(self.suite.variants)} variants, suite {self.suite.version}"
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" or hasattr(self.config, "workerinput"):
            return
        if result := self._seen_here.pop(report.nodeid, None):
            self._add(current().name, result)
            return
        properties = dict(report.user_properties)
        if self._is_ours(report.nodeid, properties.get("sockreuse_case")):
            self._add(str(properties["sockreuse_platform"]), Result.from_properties(properties))

    def _add(self, platform: str, result: Result) -> None:
        self.results.setdefault(platform, Results({"platform": platform, "suite": self.suite.version})).add(result)

    def _is_ours(self, nodeid: str, case: object) -> bool:
        """Whether a report is of that case of the suite, not of a test with a property of that name."""
        variant = self.suite.by_id.get(case) if isinstance(case, str) else None
        return variant is not None and nodeid.partition("@")[0] == f"sockreuse::{variant.case.rule}::{variant.name}"

    def _about(self) -> dict[str, Any]:
        return {**describe(), "isolation": self.isolation, "suite": self.suite.version, "selected": self.selected}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.ahead.close()
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["sockreuse"] = json.dumps(self._about())
            return
        if self.selected:
            self._note(self._about())
        if self.report is not None:
            try:
                write(self.report, self.results.values(), self.suite)
            except OSError as error:
                why = f"{visible(self.report, 1000)}: {error.strerror}"
                self.unwritten = f"--sockreuse-report: {why}; the results are not written"
                session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """What an xdist worker says of itself at its end; one that crashed does not, and its results lack a footer."""
        about = getattr(node, "workeroutput", {}).get("sockreuse")
        if about:
            self._note(json.loads(about))

    def _note(self, about: dict[str, Any]) -> None:
        self.results.setdefault(about["platform"], Results({})).about.update(about)

    def note_records(self, records: dict[str, Any]) -> None:
        """Keep what the recorder found, for the header of this platform's results."""
        self._note({"platform": current().name, "recorder": records})

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for results in filter(lambda results: results.results, self.results.values()):
            summarize(terminalreporter, results, self.suite)
        if self.unwritten:
            terminalreporter.write_line(self.unwritten, red=True)

    def pytest_unconfigure(self) -> None:
        self.ahead.close()


def _judged(variant: Variant, seen: Observation) -> tuple[Observation, Verdict, Expectation | None]:
    expected = variant.expected(current())
    if expected is None:  # nothing is stated: what a model says, whose import takes a tenth of a short run
        from ..expected import expected as expectation

        expected = expectation(variant, current(), seen)
    return seen, judge(expected.outcome if expected else None, seen), expected


def _under(nodeid: str, node: str) -> bool:
    return nodeid == node or nodeid.startswith((f"{node}::", f"{node}["))


class Root(pytest.Collector):
    """``sockreuse``: the suite."""

    def __init__(self, owner: SuiteSession, **rest: Any) -> None:
        super().__init__(**rest)
        self.owner = owner

    def collect(self) -> Iterator[pytest.Collector]:
        for rule in self.owner.suite.rules.values():
            yield RuleNode.from_parent(self, name=rule.id, rule=rule)


class RuleNode(pytest.Collector):
    """``sockreuse::RULE``."""

    parent: Root

    def __init__(self, rule: Rule, **rest: Any) -> None:
        super().__init__(**rest)
        self.rule = rule
        self.file: str | None = None  # of its tests, as pytest shows it

    def collect(self) -> Iterator[pytest.Item]:
        for case in self.rule.cases:
            for variant in case.variants:
                node = f"{self.nodeid}::{variant.name}"  # whole, for pytest to see the brackets
                yield SuiteItem.from_parent(
                    self, name=variant.name, nodeid=node, variant=variant, owner=self.parent.owner
                )


class SuiteItem(pytest.Item):
    """``sockreuse::RULE::CASE[VARIANT]``: one scenario, performed and judged."""

    parent: RuleNode

    def __init__(self, variant: Variant, owner: SuiteSession, **rest: Any) -> None:
        super().__init__(**rest)
        self.variant, self.owner = variant, owner
        self._found: Found | None = None

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.variant.case.at.file, self.variant.case.at.line - 1, self.nodeid

    @cached_property
    def location(self) -> tuple[str, int | None, str]:
        """As pytest has it, which asks for the file of each test anew."""
        if self.parent.file is None:
            self.parent.file = super().location[0]
        return self.parent.file, self.variant.case.at.line - 1, self.nodeid

    def passes(self) -> bool:
        """Whether it did as expected; what it did is kept for `tell` and `runtest`."""
        self._found = self.owner.observe(self.variant)
        return self._found[1].state == "match"

    def tell(self) -> Found:
        """Have its reports say what it showed."""
        found, self._found = self._found or self.owner.observe(self.variant), None  # it may be run again
        observation, verdict, expected = found
        claims = shown(self.variant.case.claims, observation, verdict) if observation is not None else {}
        result = Result.of(self.variant, observation, verdict, expected, claims)
        self.owner.note_result(self.nodeid, result)
        self.user_properties += [*result.to_properties().items(), ("sockreuse_platform", current().name)]
        return found

    def runtest(self) -> None:
        observation, verdict, expected = self.tell()
        if verdict.state == "unsupported":
            pytest.skip(f"unsupported: {verdict.reason}")
        if verdict.state in FAILURES:
            pytest.fail(mismatch_text(self.variant, observation, verdict, expected, self.owner.suite), pytrace=False)
