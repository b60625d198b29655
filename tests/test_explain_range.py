"""What would relieve an exhausted range: each story that the model is asked about is performed on this kernel too."""

from __future__ import annotations

import itertools
import socket

import pytest
from here import linux_only

from pytest_sockreuse.diagnosis import Asked, exhaustion
from pytest_sockreuse.diagnosis.exhaustion import _RELIEFS, _Scene
from pytest_sockreuse.live.census import Census, Seat
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current, named

WAYS = [
    _Scene(protocol, bound=bound, state=state, new_bound=new_bound, connects=connects, settings=SETTINGS)
    for SETTINGS in ({"net.ipv4.tcp_tw_reuse": "0"},)
    for protocol, bound, state, new_bound, connects in itertools.product(
        ("tcp", "udp"), (False, True), ("ESTABLISHED", "TIME_WAIT", "FIN_WAIT2"), (False, True), (False, True)
    )
    if (new_bound or connects) and (protocol == "tcp" or state == "ESTABLISHED")
] + [_Scene(listens=True, connects=False, new_listens=True)]


def outcomes(scene: _Scene, runner: Runner) -> tuple[str, str]:
    """What the first call that fails comes to, by the model and on this kernel; ok if none does."""
    scenario = parse("\n".join(scene.lines()))
    predicted = next((step for step in predict(scenario, current()).steps if step.outcomes != ("ok",)), None)
    seen = next((step.outcome for step in runner.run(scenario).steps if step.outcome != "ok"), "ok")
    return "|".join(predicted.outcomes) if predicted else "ok", seen


@linux_only
@pytest.mark.parametrize("scene", WAYS, ids=str)
def test_what_relieves_does_so_on_this_kernel(scene: _Scene, runner: Runner, namespaces: str) -> None:
    predicted, seen = outcomes(scene, runner)
    assert predicted == seen
    assert seen in ("EADDRINUSE", "EADDRNOTAVAIL", "EAGAIN")
    for relief in _RELIEFS:
        if relief.where(scene):
            predicted, seen = outcomes(relief.edit(scene), runner)
            assert predicted == seen, relief.sentence


@linux_only
@pytest.mark.parametrize(("six", "remote"), [(False, True), (True, False), (True, True)])
def test_other_addresses_are_modelled_too(six: bool, remote: bool) -> None:
    for way, state in itertools.product((False, True), ("ESTABLISHED", "TIME_WAIT")):
        scene = _Scene(six=six, remote=remote, bound=way, state=state)
        failed = exhaustion._failed(scene, current())
        assert failed is not None
        assert failed.outcomes == ("EADDRNOTAVAIL",)
        changed = [exhaustion._failed(relief.edit(scene), current()) for relief in _RELIEFS if relief.where(scene)]
        assert None in changed
        assert not any(step.unknown for step in changed if step is not None)


@pytest.mark.parametrize(
    ("name", "protocol", "clause"),
    [
        ("linux-6.18", "udp", "udp-ports-exhausted"),
        ("windows-11", "tcp", "connect-ports-exhausted"),
        ("windows-11", "udp", "bind-ports-exhausted"),
        ("macos-15", "tcp", "ports-exhausted"),
        ("freebsd-14.0", "tcp", "ports-exhausted"),
    ],
)
def test_each_system_has_its_error_where_no_port_is_left(name: str, protocol: str, clause: str) -> None:
    platform = named(name)
    there = ("127.0.0.1", 80)
    seat = Seat(socket.AF_INET, ("127.0.0.1", 40000), there, "ESTABLISHED", 1, ())
    errno = exhaustion.none_left(protocol, platform)
    asked = Asked("connect", errno, protocol, socket.AF_INET, (), ("0.0.0.0", 0), there)
    found = Census(40000, 40000, frozenset(), [seat])
    deciding, helps = exhaustion.relieved(asked, found, platform)
    assert [it.name for it in deciding] == [clause]
    assert "give the OS a wider range to choose from" in helps
