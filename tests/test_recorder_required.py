"""The recorder reads `require()` in the code under test: where a rule does not hold, nothing is found behind it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import pytest_sockreuse as sockreuse
from pytest_sockreuse import RuleNotHonoured, require
from pytest_sockreuse.hooks.recorder import Recording

LOCAL = ("127.0.0.1", 0)
if not Path("/proc/net/tcp").exists():  # asked so that it is not read as what skips these tests elsewhere
    pytest.skip("the rule holds on Linux", allow_module_level=True)


def punch(listener: socket.socket) -> None:
    """Bind, listen and connect from one port: what the ordering quirk allows."""
    with socket.socket() as outgoing, socket.socket() as server:
        for sock in (outgoing, server):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        outgoing.bind(LOCAL)
        server.bind(outgoing.getsockname())
        server.listen()
        outgoing.connect(listener.getsockname())


def stacks(recording: Recording) -> set[str]:
    return {platform.stack for finding in recording.findings for platform in finding.platforms}


def unknown(recording: Recording) -> set[str]:
    return {platform.partition("-")[0] for platform in recording.record.get("unknown", {})}


class Peer:
    def __init__(self) -> None:
        sockreuse.require("ordering-quirk")

    def start(self, listener: socket.socket) -> None:
        punch(listener)


def need() -> None:
    require("ordering-quirk")


try:
    require("ordering-quirk")
except RuleNotHonoured:
    HONOURED = False
else:
    HONOURED = True


def test_without_it(listener: socket.socket, socket_recording: Recording) -> None:
    punch(listener)
    assert {"macos", "freebsd"} <= stacks(socket_recording)


def test_in_the_test(listener: socket.socket, socket_recording: Recording) -> None:
    require("ordering-quirk")
    punch(listener)
    assert not stacks(socket_recording)
    assert not unknown(socket_recording)


def test_in_a_function_that_is_called(listener: socket.socket, socket_recording: Recording) -> None:
    need()
    punch(listener)
    assert not stacks(socket_recording)


def test_in_a_constructor(listener: socket.socket, socket_recording: Recording) -> None:
    peer = Peer()
    peer.start(listener)
    assert not stacks(socket_recording)
    assert {"macos", "freebsd"} <= unknown(socket_recording)


def test_in_a_statement_that_catches_it(listener: socket.socket, socket_recording: Recording) -> None:
    try:
        require("ordering-quirk")
    except RuleNotHonoured:
        return
    punch(listener)
    assert not stacks(socket_recording)


def test_kept_in_a_constant(listener: socket.socket, socket_recording: Recording) -> None:
    if HONOURED:
        punch(listener)
    assert not stacks(socket_recording)


@pytest.fixture
def guarded() -> None:
    require("ordering-quirk")


def test_in_a_fixture(guarded: None, listener: socket.socket, socket_recording: Recording) -> None:
    punch(listener)
    assert not stacks(socket_recording)


def test_another_rule_holds_there_too(listener: socket.socket, socket_recording: Recording) -> None:
    require("server-restart")
    punch(listener)
    assert {"macos", "freebsd"} <= stacks(socket_recording)
