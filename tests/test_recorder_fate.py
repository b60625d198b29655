"""Who catches an error, and whether that it is another one matters: what the recorder makes of real projects' ways.

conftest.py leaves this file out where it is not Linux: a mark would say that its tests are skipped elsewhere.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: PT009, PT011, PT017, PT027, RUF061, SIM105

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import socket
import threading
import unittest
from collections.abc import Callable, Coroutine, Iterator

import pytest
from recording import LOCAL, stacks

from pytest_sockreuse.hooks.recorder import Recording

NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT, which Linux alone has
NOWHERE = "0.0.0.0"  # connecting to it fails on Windows


@contextlib.contextmanager
def ignoring(*codes: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in codes:
            raise


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    try:
        yield
    except (OSError, AttributeError):
        pass


class Ignoring:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, OSError)


IGNORED = contextlib.suppress(OSError)


def set_it(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)


def in_a_group(sock: socket.socket) -> None:
    try:
        set_it(sock)
    except* OSError:
        pass


def test_contexts_of_ones_own(socket_recording: Recording) -> None:
    with socket.socket() as sock:
        with ignoring(errno.ENOPROTOOPT, errno.EINVAL):
            set_it(sock)
        with quiet():
            set_it(sock)
        with Ignoring():
            set_it(sock)
        with IGNORED:
            set_it(sock)
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            set_it(sock)
        in_a_group(sock)
        sock.bind(LOCAL)
    assert not socket_recording.findings


def test_a_context_for_another_error(socket_recording: Recording) -> None:
    with socket.socket() as sock:
        with ignoring(errno.EPERM):
            set_it(sock)
        sock.bind(LOCAL)
    assert socket_recording.findings and not any(found.caught for found in socket_recording.findings)


# --- a bind that is refused here, and on Windows by another error -----------------------------------------------------


def either(sock: socket.socket, address: tuple[str, int]) -> None:
    with pytest.raises(OSError, match=r".*"):
        sock.bind(address)


def by_call(sock: socket.socket, address: tuple[str, int]) -> None:
    pytest.raises(OSError, sock.bind, address)
    unittest.TestCase().assertRaises(OSError, sock.bind, address)


def one_of_two(sock: socket.socket, address: tuple[str, int]) -> None:
    try:
        sock.bind(address)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise


def the_next_one(sock: socket.socket, address: tuple[str, int]) -> None:
    for number in (address[1], 0):
        try:
            sock.bind((address[0], number))
        except OSError:
            continue
        return
    raise RuntimeError("no port is free")


def looked_at(sock: socket.socket, address: tuple[str, int]) -> None:
    with pytest.raises(OSError) as info:
        sock.bind(address)
    assert info.value.errno == errno.EADDRINUSE


def looked_at_in_the_handler(sock: socket.socket, address: tuple[str, int]) -> None:
    try:
        sock.bind(address)
    except OSError as error:
        assert error.errno == errno.EADDRINUSE


def looked_at_by_message(sock: socket.socket, address: tuple[str, int]) -> None:
    with pytest.raises(OSError, match="in use"):
        sock.bind(address)


def looked_at_by_unittest(sock: socket.socket, address: tuple[str, int]) -> None:
    case = unittest.TestCase()
    with case.assertRaises(OSError) as caught:
        sock.bind(address)
    case.assertEqual(caught.exception.errno, errno.EADDRINUSE)


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (either, set()), (by_call, set()), (one_of_two, set()), (the_next_one, set()), (looked_at, {"windows"}),
        (looked_at_in_the_handler, {"windows"}), (looked_at_by_message, {"windows"}),
        (looked_at_by_unittest, {"windows"}),
    ],
)  # fmt: skip
def test_another_error(
    refused: Callable[[socket.socket, tuple[str, int]], None],
    told: set[str],
    socket_recording: Recording,
    listener: socket.socket,  # of which the recording knows
) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        refused(sock, listener.getsockname())
    assert stacks(socket_recording) == told


# --- a connect that works here, and fails on Windows ------------------------------------------------------------------


def tried_again(port: int) -> None:
    for n in range(3):
        try:
            socket.create_connection((NOWHERE, port)).close()
            break
        except OSError:
            if n == 2:
                raise


def until_it_is_too_late(port: int) -> None:
    for _ in range(3):
        try:
            return socket.create_connection((NOWHERE, port)).close()
        except OSError:
            continue
    raise RuntimeError("the server did not start")


def the_last_one_kept(port: int) -> None:
    last = None
    for family, address in [(socket.AF_INET, (NOWHERE, port))]:
        try:
            with socket.socket(family) as sock:
                return sock.connect(address)
        except OSError as error:
            last = error
    assert last is not None
    raise last


def in_a_coroutine(port: int) -> None:
    async def main() -> None:
        _, writer = await asyncio.open_connection(NOWHERE, port)
        writer.close()

    asyncio.run(main())


def in_an_executor(port: int) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(socket.create_connection, (NOWHERE, port)).result().close()


def in_a_thread(port: int) -> None:
    thread = threading.Thread(target=lambda: socket.create_connection((NOWHERE, port)).close())
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "connect",
    [tried_again, until_it_is_too_late, the_last_one_kept, in_a_coroutine, in_an_executor, in_a_thread],
)
def test_nobody_catches_it(
    connect: Callable[[int], None], listener: socket.socket, socket_recording: Recording
) -> None:
    connect(listener.getsockname()[1])
    assert "windows" in stacks(socket_recording)
    assert not any(found.caught for found in socket_recording.findings)


# --- tasks ------------------------------------------------------------------------------------------------------------


async def waited_for(sock: socket.socket) -> None:
    set_it(sock)


async def gathered(sock: socket.socket) -> None:
    set_it(sock)


async def left_alone(sock: socket.socket) -> None:
    set_it(sock)


async def tasks_that_may_fail(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        await asyncio.wait_for(waited_for(sock), 10)
    await asyncio.gather(gathered(sock), return_exceptions=True)


async def a_task_that_may_not(sock: socket.socket) -> None:
    await asyncio.gather(left_alone(sock))


@pytest.mark.parametrize(("start", "told"), [(tasks_that_may_fail, False), (a_task_that_may_not, True)])
def test_a_task(
    start: Callable[[socket.socket], Coroutine[None, None, None]], told: bool, socket_recording: Recording
) -> None:
    with socket.socket() as sock:
        asyncio.run(start(sock))
        sock.bind(LOCAL)
    assert any(not found.caught for found in socket_recording.findings) == told
