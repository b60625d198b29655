"""The recorder as part of a pytest run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from ..data import DataError
from ..live.port_blocks import given
from ..platforms import Platform, current
from ..recorder import children
from ..recorder.accepted import Entry, accept, all_found, begun, load, save
from ..recorder.calls import Piece
from ..recorder.children import Children
from ..recorder.compare import Comparer, Comparison, Finding, first
from ..recorder.events import Event, Tape, Trail, forget_threads, threads
from ..recorder.locations import Place, gap, start_at
from ..recorder.misuse import Found, guesses, misuses
from ..recorder.reader import Memory
from ..recorder.reconstruct import Trace, reconstruct
from ..recorder.report import Record, fails, record, report, summarize, text
from ..recorder.required import oracle
from ..recorder.translate import bearing
from ..recorder.watch import Unwatchable, look_again, recording, watched_class
from ..scenario import Scenario
from ..text import nearest, visible
from ..uncollected import uncollected
from .skipped import asking_on, honoured, skipped_on
from .targets import known_ids, wanted

LIMIT = 5_000  # calls of one test that are recorded
_PROPERTY = "sockreuse_record"


#: The targets that are left out for a piece, or (None) of which nothing is said.
_There = Callable[[Piece], dict[Platform, bool | None]]


def _everywhere(_: Piece) -> dict[Platform, bool | None]:
    return {}


class Recorder:
    """A tape and what holds it against the targets."""

    def __init__(self, on: list[Platform], directory: Path) -> None:
        self.targets, self.directory = on, directory
        self.comparer = Comparer(current(), on)
        self.tape = Tape(LIMIT)
        self.options = frozenset(bearing())
        self.memory = Memory()
        self.old = 0  # events that were there when the test began
        self.guesses: dict[int, Trail] = {}  # ports that were found free before this test
        self.started = 0  # processes, when the test began
        self.children: Children | None = None
        self.item: pytest.Item | None = None  # the test that runs
        self._skipped: tuple[pytest.Item | None, dict[Platform, bool | None]] = None, {}

    @contextmanager
    def running(self) -> Iterator[Recorder]:
        """Record in here."""
        if given:  # what a lease had before this run is anybody's number
            from ..ports import leases

            given.intersection_update(leases())
        self.children = Children(self.tape)
        oracle[:] = [honoured]
        start_at(str(self.directory))
        try:
            with recording(self.tape, self.options), threads(), children.counting():
                yield self
        finally:
            self.children.close()

    @property
    def idle(self) -> bool:
        """Whether nothing was done since the test began."""
        nobody = (self.children is None or not self.children.any()) and children.started == self.started
        return nobody and len(self.tape.events) == self.old and not self.tape.cut

    def traces(self, last: bool = False) -> tuple[list[Trace], list[Event]]:
        """The traces of this process and of its children since the test began; the events to go on with."""
        trace, rest = reconstruct(list(self.tape.events), self.old)
        if self.tape.cut:
            trace.left_out[f"calls beyond the first {self.tape.limit} of a test"] += self.tape.cut
        forked = self.children.collect(last) if self.children is not None else ()
        return [trace, *(reconstruct(events, old)[0] for events, old in forked)], rest

    def compared(self, traces: list[Trace]) -> tuple[list[Comparison], list[Found]]:
        """What the targets would do, and the misuse."""
        comparisons = self._compared(traces, _everywhere)
        found = list(self._misused(comparisons, _everywhere))
        if found or any(comparison.findings for comparison in comparisons):  # of few tests: what skips them is read
            comparisons = self._compared(traces, self._there)
            found = list(self._misused(comparisons, self._there))
        return comparisons, found

    def _compared(self, traces: list[Trace], there: _There) -> list[Comparison]:
        return [
            comparison
            for trace in traces
            for comparison in first([self.comparer.compare(piece, there(piece)) for piece in trace.pieces], trace)
        ]

    def _misused(self, comparisons: list[Comparison], there: _There) -> Iterator[Found]:
        for comparison in comparisons:
            left_out = there(comparison.piece)
            seen_on = [current(), *(platform for platform in self.targets if platform not in left_out)]
            yield from misuses(comparison.piece, seen_on, self.guesses)

    def _there(self, piece: Piece) -> dict[Platform, bool | None]:
        """The targets on which the test would be skipped, or (None) may be, or may not do this.

        That is where its own code may go another way, and its part in a piece is not seen.
        """
        name = getattr(getattr(self.item, "function", None), "__name__", "")
        gaps = {gap(call.trail, name) for call in piece.calls if call.trail} if self.item is not None else set()
        if self.item is None or not any(gaps):
            return self.skipped()
        return {**dict.fromkeys(asking_on(self.item, self.targets, "cut" in gaps)), **self.skipped()}

    @property
    def place(self) -> Place | None:
        """Where the test begins."""
        if self.item is None:
            return None
        return Place(str(self.item.path), (self.item.location[1] or 0) + 1, self.item.name, 0)

    def skipped(self) -> dict[Platform, bool | None]:
        """The targets on which the test would be skipped, or (None) may be."""
        item = self.item
        if item is None:
            return {}
        if self._skipped[0] is not item:
            self._skipped = item, skipped_on(item, self.targets)
        return self._skipped[1]


class Recording:
    """What the test has done with its sockets so far; the fixture ``socket_recording``."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @property
    def scenario(self) -> Scenario:
        """The calls of this process as a scenario."""
        return self._recorder.traces()[0][0].scenario

    @property
    def findings(self) -> list[Finding]:
        """The calls that would do something else on the platforms that are compared with."""
        comparisons, _ = self._recorder.compared(self._recorder.traces()[0])
        return [found for comparison in comparisons for found in comparison.findings]

    @property
    def misuse(self) -> list[Found]:
        """The misuse that the calls show."""
        return self._recorder.compared(self._recorder.traces()[0])[1]

    @property
    def record(self) -> Record:
        """What was found, ready for JSON."""
        traces, _ = self._recorder.traces()
        return record(traces, *self._recorder.compared(traces), self._recorder.place)

    @property
    def report(self) -> str:
        """What was found, as text; empty if nothing was."""
        return report(self.record)


class RecordSession:
    """One run's state: the recorder, and on the controller what came back."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        asked: str = config.option.sockreuse_record or ""
        names = [name for name in asked.split(",") if name]
        self.recorder = Recorder(wanted(config, names), config.invocation_params.dir)
        fail: str | None = config.option.sockreuse_record_fail
        self.fail = fail is not None
        self.ids = [name.strip() for name in (fail or "").split(",") if name.strip()]
        self._known(self.ids, "--sockreuse-record-fail")
        self.baseline, self.accepted = self._baseline(config)
        self.reported: set[str] = set()  # what the test was failed for already
        self.records: dict[str, Record] = {}
        self.unwatched = ""  # why nothing is recorded, and what to do
        self.open = ExitStack()

    def _baseline(self, config: pytest.Config) -> tuple[Path | None, dict[Entry, str]]:
        """The file of what is accepted, and what it says."""
        name: str = config.getini("sockreuse_baseline")
        if not name:
            if config.option.sockreuse_record_accept:
                raise pytest.UsageError("--sockreuse-record-accept: the ini file names no file (sockreuse_baseline)")
            return None, {}
        path = (config.inipath.parent if config.inipath is not None else config.rootpath) / name
        try:
            found = begun(path) if config.option.sockreuse_record_accept else load(path)
        except DataError as error:
            raise pytest.UsageError(f"sockreuse_baseline: {error}") from None
        self._known(sorted({one.id for one in found}), f"sockreuse_baseline: {visible(path.name)}")
        return path, found

    def _known(self, ids: list[str], whose: str) -> None:
        """Raises pytest.UsageError if an id is none."""
        if ids and (wrong := [id_ for id_ in ids if id_ not in known_ids(tuple(self.recorder.targets))]):
            close = nearest(wrong[0], known_ids(tuple(self.recorder.targets)), 3)
            hint = f", perhaps {' or '.join(close)}" if close else "; docs/recorder.md lists them"
            raise pytest.UsageError(f"{whose}: nothing is found under the id {wrong[0]!r}{hint}")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("sockreuse_accept"):
                self._known(list(map(str, mark.args)) or [""], f"{item.nodeid}: sockreuse_accept")

    def _accept(self, entry: Record) -> Record:
        """Note what is accepted."""
        item = self.recorder.item
        marks = item.iter_markers("sockreuse_accept") if item is not None else ()
        used = accept(entry, [name for mark in marks for name in mark.args], self.accepted)
        if used:
            entry["baseline"] = sorted(map(astuple, used))
        return entry

    def pytest_sessionstart(self) -> None:
        try:
            watched_class()
        except Unwatchable as error:
            if self.fail:  # a run that finds nothing for this reason must not pass
                raise pytest.UsageError(f"--sockreuse-record-fail: {error}") from None
            self.unwatched = str(error)
            return
        if not self.config.pluginmanager.hasplugin("dsession"):  # with xdist the workers run the tests
            self.open.enter_context(self.recorder.running())

    def pytest_unconfigure(self) -> None:
        self.open.close()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.recorder.item = item
        self.recorder.started = children.started
        forget_threads()
        self.recorder.old = len(self.recorder.tape.events)
        self.reported.clear()
        return (yield)

    def pytest_fixture_setup(self) -> None:
        look_again()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        look_again()
        result = yield
        if self.fail:
            entry: Record = {}
            with suppress(Exception):  # what goes wrong here will go wrong at the end, and is told then
                traces, _ = self.recorder.traces()
                entry = self._accept(record(traces, *self.recorder.compared(traces), self.recorder.place))
            self._fail(entry)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        try:
            result = yield
        except BaseException:
            self._finish(item)
            raise
        entry = self._finish(item)
        if self.fail:
            self._fail(entry)
        return result

    def _finish(self, item: pytest.Item) -> Record:
        """The test is over: what was found in it goes into its report. No mistake of ours is the test's failure."""
        recorder = self.recorder
        item.user_properties[:] = [(name, value) for name, value in item.user_properties if name != _PROPERTY]
        recorder.memory.test_is_over()
        if recorder.idle:
            return {}
        try:
            with uncollected():
                entry, told = self._found()
        except Exception as error:
            recorder.tape.fds.clear()
            recorder.tape.go_on([])
            recorder.old = 0
            what = f"tests that the recorder could not follow, a mistake of pytest-sockreuse ({type(error).__name__})"
            entry, told = {"left_out": {what: 1}}, True
        if told:
            item.user_properties.append((_PROPERTY, json.dumps(entry)))
        return entry

    def _found(self) -> tuple[Record, bool]:
        """What was found in the test that is over, and whether it had sockets; the tape goes on."""
        recorder, tape = self.recorder, self.recorder.tape
        traces, rest = recorder.traces(last=True)
        if tape.cut:  # whatever was cut may have been what these sockets did
            rest = []
            tape.fds.clear()
        tape.go_on(rest)
        recorder.old = len(rest)
        comparisons, found = recorder.compared(traces)
        entry = self._accept(record(traces, comparisons, found, recorder.place))
        for trace in traces:
            recorder.guesses.update(guesses(trace))
        if processes := children.started - recorder.started:
            entry |= {"processes": processes, "sockets": bool(comparisons)}
        return entry, bool(comparisons or entry)

    def _fail(self, entry: Record) -> None:
        """Fail the test for what it was not failed for yet, with the calls in question."""
        found = fails(entry, self.ids)
        new = {said: one["piece"] for one in found if (said := text(one)) not in self.reported}
        self.reported.update(new)
        if new:
            pytest.fail("\n\n".join(f"{said}\n\n{piece}" for said, piece in new.items()), pytrace=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown" and not hasattr(self.config, "workerinput"):
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    self.records[report.nodeid] = json.loads(str(value))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Put the records into the suite's results, where such are written."""
        suite: Any = self.config.pluginmanager.get_plugin("sockreuse-session")
        if suite is not None and self.records:
            suite.note_records(self.records)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unwatched:
            terminalreporter.write_line(f"sockreuse: nothing is recorded: {self.unwatched}")
        elif not hasattr(self.config, "workerinput"):
            targets = [platform.name for platform in self.recorder.targets]
            met = {Entry(*one) for entry in self.records.values() for one in entry.get("baseline", ())}
            unmet = sorted(str(one) for one in self.accepted.keys() - met)
            width: int = terminalreporter._tw.fullwidth
            if self.config.option.sockreuse_record_accept and self.baseline is not None:
                unmet = []
                self._write(terminalreporter, self.baseline)
            summarize(terminalreporter, self.records, targets, width, unmet, self.config.option.verbose > 0)

    def _write(self, terminalreporter: pytest.TerminalReporter, path: Path) -> None:
        """Accept what was found."""
        found = all_found(self.records.values())
        try:
            count = save(path, found, self.accepted)
        except OSError as error:
            terminalreporter.write_line(f"sockreuse: {visible(path.name)} cannot be written: {error.strerror}")
            return
        for one in found:
            one["accepted"] = "baseline"
        terminalreporter.write_line(f"sockreuse: {count} entries are in {visible(path.name)}")


@contextmanager
def recorded(config: pytest.Config, item: pytest.Item | None = None) -> Iterator[Recording]:
    """What the fixture gives: with ``--sockreuse-record`` the recording that runs, else one of its own."""
    session: RecordSession | None = config.pluginmanager.get_plugin("sockreuse-record")
    if session is not None:
        yield Recording(session.recorder)
        return
    with Recorder(wanted(config, []), config.invocation_params.dir).running() as recorder:
        recorder.item = item
        yield Recording(recorder)
