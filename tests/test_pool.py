"""Work that forked processes share, and what becomes of them: nothing is lost in silence, and nobody is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

import pytest

from pytest_sockreuse.explorer.pool import Ended, share

if sys.platform != "linux":
    pytest.skip("elsewhere no process has a namespace of its own", allow_module_level=True)
else:
    assert sys.platform == "linux"


def doubles() -> Callable[[int], int]:
    return lambda number: 2 * number


@pytest.mark.parametrize("processes", [1, 3, 100])
def test_each_piece_is_done_once(processes: int) -> None:
    with closing(share(doubles, range(20), processes)) as done:
        assert dict(done) == {number: 2 * number for number in range(20)}


def killed() -> Callable[[int], int]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def leaves() -> Callable[[int], int]:
    return lambda number: os._exit(number)


def refuses() -> Callable[[int], int]:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize(
    ("begin", "why"),
    [
        (killed, r"a process that shares the work was ended by SIGKILL \(by hand, .*: see dmesg\)"),
        (leaves, r"a process that shares the work ended with status 3"),
        (refuses, r"a process that shares the work cannot go on \(Operation not permitted\)"),
    ],
)
def test_one_that_ends_ends_all(begin: Callable[[], Callable[[int], int]], why: str) -> None:
    with closing(share(begin, [3, 3, 3], 2)) as done, pytest.raises(Ended, match=f"^{why}$"):
        list(done)


def test_one_that_cannot_be_started_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(Ended, match=r"^a process that shares the work cannot be started \(Resource temporarily unav"):
        list(share(doubles, range(3), 2))


EXPLORE = "-m pytest_sockreuse.cli explore --exhaustive 5 --processes 2 --on linux-6.18"
SAID = {  # of a signal and who gets it: status and standard error
    ("INT", "all"): (130, ""),
    ("TERM", "one"): (-15, ""),
    ("KILL", "one"): (-9, ""),
    ("HUP", "all"): (-1, ""),
}


@pytest.mark.usefixtures("namespaces", "foreground")
@pytest.mark.parametrize(("name", "who"), SAID, ids="-".join)
def test_an_exploration_ends_with_all_that_it_started(name: str, who: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, *EXPLORE.split()], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("tcp4, up to 5 calls: ")
    (os.killpg if who == "all" else os.kill)(process.pid, getattr(signal, f"SIG{name}"))
    _, error = process.communicate(timeout=60)  # until the last that shares its standard error has ended
    assert (process.returncode, error) == SAID[name, who]


def test_where_nobody_may_be_killed_they_end_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("multiprocessing.process.BaseProcess.kill", refuse)
    with closing(share(doubles, range(5), 3)) as done:
        assert len(list(done)) == 5
