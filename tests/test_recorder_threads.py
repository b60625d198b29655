"""What a thread or a task does is judged by the code that started it, too."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_sockreuse.hooks.recorder import Recording
from pytest_sockreuse.recorder.locations import places

NOWHERE = "0.0.0.0"  # connecting to it fails on Windows


def stacks(recording: Recording) -> set[str]:
    return {platform.stack for finding in recording.findings for platform in finding.platforms}


def to_nowhere(port: int) -> None:
    with socket.create_connection((NOWHERE, port)):
        pass


def in_a_thread(port: int) -> None:
    thread = threading.Thread(target=to_nowhere, args=(port,))
    thread.start()
    thread.join()


def in_a_pool(port: int) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(to_nowhere, port).result()


def in_a_task(port: int) -> None:
    async def connect() -> None:
        to_nowhere(port)

    async def start() -> None:
        await asyncio.create_task(connect())

    asyncio.run(start())


def as_a_callback(port: int) -> None:
    async def start() -> None:
        asyncio.get_running_loop().call_soon(to_nowhere, port)
        await asyncio.sleep(0)

    asyncio.run(start())


@pytest.fixture
def worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # its thread is started before anybody records
        yield pool


WAYS = [in_a_thread, in_a_pool, in_a_task, as_a_callback]


@pytest.mark.parametrize("act", WAYS)
def test_without_a_condition(act: Callable[[int], None], listener: socket.socket, socket_recording: Recording) -> None:
    act(listener.getsockname()[1])
    assert "windows" in stacks(socket_recording)


@pytest.mark.parametrize("act", WAYS)
def test_a_condition_of_the_test(
    act: Callable[[int], None], listener: socket.socket, socket_recording: Recording
) -> None:
    if sys.platform == "win32":
        return
    act(listener.getsockname()[1])
    assert "windows" not in stacks(socket_recording)


def test_a_condition_of_the_test_and_a_thread_from_before(
    worker: ThreadPoolExecutor, listener: socket.socket, socket_recording: Recording
) -> None:
    if sys.platform == "win32":
        return
    worker.submit(to_nowhere, listener.getsockname()[1]).result()
    assert "windows" not in stacks(socket_recording)
    assert "windows-11" in socket_recording.record["unknown"]


def test_a_thread_from_before(worker: ThreadPoolExecutor, listener: socket.socket, socket_recording: Recording) -> None:
    worker.submit(to_nowhere, listener.getsockname()[1]).result()
    assert "windows" in stacks(socket_recording)


def started(port: int) -> None:
    if os.name != "nt":
        in_a_thread(port)


def test_a_condition_of_whoever_starts_the_thread(listener: socket.socket, socket_recording: Recording) -> None:
    started(listener.getsockname()[1])
    assert "windows" not in stacks(socket_recording)


async def where_it_is_posix(port: int) -> None:
    async def connect() -> None:
        to_nowhere(port)

    if os.name == "posix":
        await asyncio.create_task(connect())


async def by_a_helper(port: int) -> None:
    await where_it_is_posix(port)


def test_a_condition_between_the_test_and_a_task(listener: socket.socket, socket_recording: Recording) -> None:
    asyncio.run(by_a_helper(listener.getsockname()[1]))
    assert "windows" not in stacks(socket_recording)
    assert "windows-11" in socket_recording.record["unknown"]


async def elsewhere(port: int) -> None:
    if os.name == "posix":  # no task is started by this
        to_nowhere(port)


async def in_a_task_of_its_own(port: int) -> None:
    async def connect() -> None:
        to_nowhere(port)

    await asyncio.create_task(connect())


def test_a_condition_on_another_way(listener: socket.socket, socket_recording: Recording) -> None:
    port = listener.getsockname()[1]
    if port < 0:
        asyncio.run(elsewhere(port))
    asyncio.run(in_a_task_of_its_own(port))
    assert "windows" in stacks(socket_recording)


def test_the_line_that_started_it_is_shown(listener: socket.socket, socket_recording: Recording) -> None:
    in_a_thread(listener.getsockname()[1])
    (found,) = [one for one in socket_recording.findings if "windows" in {p.stack for p in one.platforms}]
    assert "thread.start()" in [place.source.strip() for place in places(found.trail)]


class Service:
    """A server of which the coroutine is made here, and run there."""

    def __init__(self, port: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.made = self.loop.create_server(asyncio.Protocol, host="127.0.0.1", port=port)

    def run(self) -> None:
        self.server = self.loop.run_until_complete(self.made)

    def close(self) -> None:
        self.server.close()
        self.loop.close()


def in_another_place(port: int) -> None:
    service = Service(port)
    service.run()
    by_another(port)
    service.close()


def at_once(port: int) -> None:
    async def start() -> None:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host="127.0.0.1", port=port)
        by_another(port)
        server.close()

    asyncio.run(start())


def by_another(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


@pytest.mark.parametrize("act", [in_another_place, at_once])
def test_asyncio_sets_no_option_on_windows(
    act: Callable[[int], None], held_tcp_port: int, socket_recording: Recording
) -> None:
    act(held_tcp_port)
    assert "reuseaddr-on-windows" not in [found.misuse.id for found in socket_recording.misuse]
