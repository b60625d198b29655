"""Each runtime that is here, started twice under strace: its sockets and what the second meets are as its row says."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from programs import PROGRAMS, Missing, command, put, version
from watch import PATIENCE, Watched

from pytest_sockreuse.encounters import Outcome, meetings
from pytest_sockreuse.platforms import current
from pytest_sockreuse.runtimes import Listen, Runtime, runtimes

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="no strace"),
    pytest.mark.skipif(current().stack != "linux", reason="strace is Linux'"),
]
_LISTEN, _TIME_WAIT = "0A", "06"  # as /proc/net/tcp spells them
_APP = (
    "def wsgi(environ, start):\n    start('200 OK', [])\n    return []\n\nasync def asgi(scope, receive, send): ...\n"
)


class Starter:
    """Starts one runtime, each time in a directory of its own. Raises Missing."""

    def __init__(self, runtime: Runtime, work: Path, tools: Path) -> None:
        self.runtime, self.work, self.tools, self.count = runtime, work, tools, 0
        self.version = version(runtime.name)
        listen = runtime.listen("linux")
        assert listen is not None
        self.listen: Listen = listen

    @cached_property
    def port(self) -> int:
        """A port that is free in the namespace, where nobody else is."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return int(free.getsockname()[1])

    @contextmanager
    def start(self) -> Iterator[Watched]:
        """The runtime, once all of its sockets listen or one has failed."""
        self.count += 1
        work = self.work / str(self.count)
        work.mkdir()
        (work / "app.py").write_text(_APP)
        words = {"PORT": str(self.port), "WORK": str(work), "CONFIG": str(work / "config")}
        (work / "config").write_text(put(PROGRAMS[self.runtime.name].get("config", ""), words))
        with Watched(command(self.runtime.name, words, self.tools), self.port, work) as watched:
            if not watched.wait(lambda: watched.failed is not None or self._listens(watched)):
                pytest.fail(f"it ended: {(work / 'output').read_text(errors='replace')[-2000:]}")
            yield watched

    def _listens(self, watched: Watched) -> bool:
        ready = [s for s in watched.sockets if not s.error and (s.backlog is not None or self.runtime.udp)]
        return len(ready) >= len(self.listen.sets.address)


@pytest.fixture(scope="session")
def record() -> Iterator[list[dict[str, Any]]]:
    """The lines that the tests add; SOCKREUSE_RUNTIMES names the file to write them to."""
    lines: list[dict[str, Any]] = []
    yield lines
    if lines and (path := os.environ.get("SOCKREUSE_RUNTIMES")):
        lines.sort(key=lambda line: str(line["runtime"]))
        Path(path).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where programs are built."""
    return tmp_path_factory.mktemp("tools")


@pytest.fixture
def starter(request: pytest.FixtureRequest, tmp_path: Path, tools: Path) -> Starter:
    try:
        return Starter(runtimes()[request.param], tmp_path, tools)
    except Missing as why:
        pytest.skip(str(why))


@pytest.mark.sockreuse_netns
@pytest.mark.parametrize("starter", list(runtimes()), indirect=True)
def test_two_starts_and_a_restart(starter: Starter, record: list[dict[str, Any]]) -> None:
    runtime, here = starter.runtime, current()
    with starter.start() as first:
        assert first.failed is None
        (twice,) = meetings("twice", runtime, runtime, [here])
        with starter.start() as second:
            seen = _met(second)
            assert seen == _said(twice.outcome)
            if second.failed is None:
                _who_gets(first, second, starter, twice.outcome)
        if not runtime.udp:
            _until(lambda: _count(starter.port, _LISTEN) == len(first.sockets), "end of the second one's listeners")
            _served(first, starter)
        first.kill()
        assert sorted((s.kind, s.host, sorted(s.options)) for s in first.sockets) == _row(starter.listen)
        backlogs = {s.backlog for s in first.sockets}
        assert backlogs == {starter.listen.backlog} or starter.listen.backlog is None
    (restart,) = meetings("restart", runtime, runtime, [here])
    if not runtime.udp:
        _until(lambda: _count(starter.port, _TIME_WAIT) > 0, "TIME_WAIT")
    with starter.start() as again:
        assert _met(again) == _said(restart.outcome)
        restarted = _met(again)
    sockets = [f"{s.kind}({', '.join(s.options)}) {s.host}" for s in first.sockets]
    backlog = first.sockets[0].backlog
    line = {"runtime": runtime.name, "version": starter.version, "platform": here.name, "sockets": sockets}
    record.append({**line, "backlog": backlog, "second": seen, "restart": restarted})


def _met(watched: Watched) -> str:
    """What a start came to: ok, or the call that failed and its errno."""
    return "ok" if watched.failed is None else watched.failed.error


def _said(outcome: Outcome) -> str:
    assert outcome.ok is not None, outcome
    return "ok" if outcome.ok else f"{outcome.step.partition('.')[2]} {outcome.error}"


def _row(listen: Listen) -> list[tuple[str, str, list[str]]]:
    """What the row says, as the log would show it; asyncio's order of addresses is that of a set."""
    rows = []
    for maker, host in listen.sets.sockets:
        kind, _, given = maker.rstrip(")").partition("(")
        rows.append((kind, host.strip("[]"), sorted(filter(None, given.split(", ")))))
    return sorted(rows)


def _who_gets(first: Watched, second: Watched, starter: Starter, outcome: Outcome) -> None:
    """Connections go, or datagrams, to whom the model says; where that may be either, it is left to chance."""
    for host, who in outcome.gets:
        before = _got(first), _got(second)
        _knock(host.strip("[]"), starter)
        _until(lambda had=before: (_got(first), _got(second)) != had, "one of them that gets it")  # type: ignore[misc]
        if who != "either":
            assert (_got(first) > before[0], _got(second) > before[1]) == (who == "first", who == "second")


def _knock(host: str, starter: Starter) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if starter.runtime.udp else socket.SOCK_STREAM
    with socket.socket(family, kind) as client:
        client.connect((host, starter.port))
        client.send(b"x")


def _served(first: Watched, starter: Starter) -> None:
    """A connection that the server accepts, and that ends with the server: so the server's side closes first."""
    host = "127.0.0.1" if starter.listen.sets.v6only is False or starter.listen.sets.address[0] != "::" else "::1"
    before, says = first.got, PROGRAMS[starter.runtime.name].get("says", "").encode()
    with socket.create_connection((host, starter.port), PATIENCE) as client:
        client.sendall(says)
        assert first.wait(lambda: first.got > before + bool(says))
        first.kill()
        while client.recv(4096):
            pass


def _got(watched: Watched) -> int:
    """What a program has got by now."""
    watched.catch_up()
    return watched.got


def _until(so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.01)  # the kernel tells nobody when; it is asked


def _count(port: int, wanted: str) -> int:
    """How many sockets of this local port the kernel has in a state."""
    count = 0
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            count += state == wanted and int(local.rpartition(":")[2], 16) == port
    return count
