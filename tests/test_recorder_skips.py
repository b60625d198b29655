"""What skips a test on another system, as real projects say it: nothing is told of that system.

conftest.py leaves this file out where it is not Linux: a mark would say that its tests are skipped elsewhere.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import functools
import os
import socket
import sys
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from recording import stacks

from pytest_sockreuse.hooks.recorder import Recording

WINDOWS = os.name == "nt"
HOSTS = ["127.0.0.1"]
if not WINDOWS:
    HOSTS.append("0.0.0.0")


def told_of_windows(recording: Recording, host: str = "0.0.0.0") -> bool:
    """Whether something is told of a connect that fails there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1])).close()
    return "windows" in stacks(recording)


def need_posix() -> None:
    if WINDOWS:
        pytest.skip("not there")


@pytest.fixture
def posix() -> None:
    need_posix()


@pytest.fixture(params=["127.0.0.1" if WINDOWS else "0.0.0.0"])
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def posix_only(function: Callable[..., None]) -> Any:
    return pytest.mark.skipif(WINDOWS, reason="not there")(function)


def skip_on(*names: str) -> Any:
    return pytest.mark.skipif(sys.platform in names, reason="not there")


def requires(condition: bool) -> Any:
    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(*arguments: Any, **keywords: Any) -> None:
            if not condition:
                pytest.skip("not there")
            function(*arguments, **keywords)

        return wrapper

    return decorate


def test_by_nobody(socket_recording: Recording) -> None:
    assert told_of_windows(socket_recording)


def test_by_a_helper_of_a_fixture(posix: None, socket_recording: Recording) -> None:
    assert not told_of_windows(socket_recording)


def test_by_the_values_of_a_fixture(host: str, socket_recording: Recording) -> None:
    assert not told_of_windows(socket_recording, host)


@posix_only
def test_by_a_decorator(socket_recording: Recording) -> None:
    assert not told_of_windows(socket_recording)


@skip_on("win32", "cygwin")
def test_by_what_makes_a_mark(socket_recording: Recording) -> None:
    assert not told_of_windows(socket_recording)


@requires(os.name == "posix")
def test_by_what_makes_a_decorator(socket_recording: Recording) -> None:
    assert not told_of_windows(socket_recording)


@pytest.mark.parametrize("host", HOSTS)
def test_by_what_it_is_tried_with(host: str, socket_recording: Recording) -> None:
    assert not told_of_windows(socket_recording, host)


class TestCase(unittest.IsolatedAsyncioTestCase):
    recording: Recording

    @pytest.fixture(autouse=True)
    def _given(self, socket_recording: Recording) -> None:
        self.recording = socket_recording

    async def asyncSetUp(self) -> None:
        if WINDOWS:
            self.skipTest("not there")

    async def test_by_its_set_up(self) -> None:
        assert not told_of_windows(self.recording)


# --- what surrounds a test --------------------------------------------------------------------------------------------

MARKED = """
import os, pytest
def pytest_runtest_setup(item):
    if item.get_closest_marker("unix") and os.name != "posix":
        pytest.skip("not there")
"""
ADDED = """
import pytest, sys
def pytest_collection_modifyitems(items):
    if sys.platform == "win32":
        for item in items:
            item.add_marker(pytest.mark.skip)
"""
IGNORED = "import sys\ncollect_ignore_glob = ['test_*'] if sys.platform == 'win32' else []"
OTHERS = "import sys\ncollect_ignore = ['test_other.py'] if sys.platform == 'win32' else []"
TEST = """
import pytest, socket
{}
def test_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("0.0.0.0", server.getsockname()[1])).close()
"""


@pytest.mark.parametrize(
    ("conftest", "above", "told"),
    [
        ("", "", True), ("", 'fcntl = pytest.importorskip("fcntl")', False), (MARKED, "@pytest.mark.unix", False),
        (MARKED, "", True), (ADDED, "", False), (IGNORED, "", False), (OTHERS, "", True),
    ],
    ids=["nothing", "a-module", "a-marker", "without-it", "added", "ignored", "others-ignored"],
)  # fmt: skip
def test_by_what_surrounds_it(pytester: pytest.Pytester, conftest: str, above: str, told: bool) -> None:
    pytester.makeconftest(conftest)
    pytester.makeini("[pytest]\nmarkers = unix")
    pytester.makepyfile(TEST.format(above))
    found = pytester.runpytest_subprocess("--sockreuse-record=windows").stdout.str()
    assert ("EADDRNOTAVAIL" in found) == told
