"""Forked processes that share work: one that ends ahead of time ends all of them, and none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from ..live import interrupts
from ..live.ready import ready
from ..live.runner import how_it_ended

if sys.platform == "linux":
    from ..live.namespace import end_with_parent

_Work = TypeVar("_Work")
_Done = TypeVar("_Done")


class Ended(Exception):
    """Work was not done: a process for it could not be had, or has ended; the message says how."""


def share(
    begin: Callable[[], Callable[[_Work], _Done]], work: Iterable[_Work], processes: int
) -> Generator[tuple[_Work, _Done], None, None]:
    """Each piece of work and what was made of it, as they are done, by up to so many processes.

    Each calls `begin`, and then what that returns with one piece after another. Raises Ended.
    """
    todo = list(work)[::-1]
    members: dict[Connection, BaseProcess] = {}
    under_way: dict[Connection, _Work] = {}

    def give(connection: Connection) -> None:
        if todo:
            under_way[connection] = todo.pop()
            with suppress(OSError):  # it has ended, as reading will show
                connection.send(under_way[connection])

    try:
        for _ in range(min(processes, len(todo))):
            connection, process = _started(begin)
            members[connection] = process
            give(connection)
        while under_way:
            for connection in ready(under_way):
                yield under_way.pop(connection), _answer(connection, members[connection])
                give(connection)
    except OSError as error:
        raise Ended(f"a process that shares the work cannot be started ({error.strerror})") from None
    finally:
        for connection, process in members.items():
            with suppress(OSError):  # a sandbox may refuse to; it ends where no work comes
                process.kill()
            connection.close()
        for process in members.values():
            process.join()


def _started(begin: Callable[[], Callable[[_Work], _Done]]) -> tuple[Connection, BaseProcess]:
    """A process that waits for work, and leaves interrupts to its parent. Raises OSError."""
    if sys.platform == "win32":
        raise AssertionError("there is no fork")
    context = multiprocessing.get_context("fork")
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(ours, its, begin, os.getpid()), daemon=True)
    with interrupts.held_back():
        process.start()
    its.close()
    return ours, process


def _answer(connection: Connection, process: BaseProcess) -> Any:
    try:
        done, why = connection.recv()
    except (EOFError, OSError):
        process.join()
        done, why = None, f"a process that shares the work {how_it_ended(process.exitcode)}"
    if why:
        raise Ended(why)
    return done


def _serve(
    parents: Connection, connection: Connection, begin: Callable[[], Callable[[_Work], _Done]], parent: int
) -> None:
    if sys.platform == "linux":
        parents.close()  # lest it keeps its own open
        interrupts.ignore()
        try:
            do = begin()
            end_with_parent()  # which a change of user would undo
            while os.getppid() == parent:
                connection.send((do(connection.recv()), ""))
        except EOFError:
            pass
        except OSError as error:
            with suppress(OSError):
                connection.send((None, f"a process that shares the work cannot go on ({error.strerror})"))
