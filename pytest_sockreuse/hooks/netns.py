"""A test in a network namespace of its own: the fixture and marker ``sockreuse_netns``, ``port_range``, and the option
``--sockreuse-netns``, which gives each test of a run the marker.

Root's test moves to a new namespace and comes back. Who is not root needs a user namespace first, and that cannot be
left again; nor can any where setns is refused. Such a test goes on in a forked child, from where this fixture is set
up, and its reports come back.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NoReturn

import pytest

from ..live import NotRun
from ..live.errnos import name_of
from ..live.sandbox import REMEDY, isolation
from ..settings import settings
from ..text import nearest, visible
from . import forked

if sys.platform == "linux":
    from ..live import namespace

FIXTURE = "sockreuse_netns"
_RANGE = "net.ipv4.ip_local_port_range"


@cache
def how() -> str:
    """netns, userns or none, as `live.sandbox.isolation` says: tried once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, of which it uses none
        return isolation()


@cache
def _can_come_back() -> bool:
    return sys.platform == "linux" and namespace.can_come_back()


def _forks() -> bool:
    """Whether such a test goes on in a child."""
    return how() == "userns" or (how() == "netns" and not _can_come_back())


class Netns:
    """The private network namespace that a test is in; `isolation` is netns, or userns in a forked child."""

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation

    def set(self, name: str, value: object) -> None:
        """Give a setting such as ``net.ipv4.ip_autobind_reuse`` a value in this namespace.

        Skips the test where this kernel has no such setting, fails it where the name or the value is wrong.
        """
        if sys.platform == "linux":
            if not namespace.is_isolated(name):
                _fail(f"{name!r} is no setting that a network namespace isolates ({namespace.ISOLATED})")
            try:
                namespace.write(name, str(value))
                if name == _RANGE and (watch := sys.modules.get("pytest_sockreuse.recorder.watch")) is not None:
                    watch.narrowed(str(value))
            except NotRun as why:
                if close := _misspelt(name):
                    _fail(f"{why}: it has {close}")
                pytest.skip(str(why))
            except OSError as error:
                _fail(f"{name} = {visible(value)} is refused by this kernel ({name_of(error)})")

    def port_range(self, low: int, high: int) -> None:
        """Have the OS choose ports from `low` to `high` only."""
        if not (type(low) is type(high) is int and 1 <= low <= high <= 65535):
            _fail(f"port_range({low!r}, {high!r}): two numbers are wanted that go up, from 1 to 65535")
        self.set(_RANGE, f"{low} {high}")


def _misspelt(name: str) -> str:
    """A setting that this kernel has, and whose name is nearly this one, which no kernel is known to have."""
    if name in settings():
        return ""
    folder, _, last = name.rpartition(".")
    with contextlib.suppress(OSError):
        close = nearest(last, os.listdir(f"/proc/sys/{folder.replace('.', '/')}"), 1, 0.9)
        return f"{folder}.{close[0]}" if close else ""
    return ""


def _fail(message: str) -> NoReturn:
    raise pytest.fail.Exception(message, pytrace=False) from None


def private(request: pytest.FixtureRequest) -> Iterator[Netns]:
    """The fixture ``sockreuse_netns``."""
    isolation = how()
    if isolation == "none":
        pytest.skip(f"needs a network namespace ({REMEDY})")
    if sys.platform == "linux":
        if _forks():
            visit = request.node.stash.get(forked.VISIT, None)
            if visit is None:
                _fail("sockreuse_netns: without root it must be an argument of the test or its marker, not asked later")
            request.getfixturevalue("tmp_path_factory").getbasetemp()  # else each child makes one of its own
            visit.fork()
            if isolation == "userns":
                namespace.own_user_namespace(as_root=False)
            namespace.new()
            namespace.quickack()
            yield _prepared(request.node, Netns(isolation))
        else:
            here = namespace.Place()
            try:
                namespace.new()
                namespace.quickack()
                yield _prepared(request.node, Netns(isolation))
            finally:
                try:
                    here.enter()
                except OSError as error:
                    pytest.exit(
                        f"{request.node.nodeid}: the test cannot come back from its network namespace "
                        f"({name_of(error)}), in which later ones would run: it is to change its user in a child"
                    )
                finally:
                    here.close()
    else:
        raise AssertionError("only Linux has namespaces")


def _prepared(item: pytest.Item, netns: Netns) -> Netns:
    """With what the marker asks for."""
    for marker in [*item.iter_markers(FIXTURE)][::-1]:  # the nearest last
        asked = dict(marker.kwargs)
        ports, sysctls = asked.pop("port_range", None), asked.pop("sysctls", {})
        for unknown in [*marker.args, *asked]:
            _fail(f"unexpected argument {unknown!r}: sockreuse_netns takes port_range=(low, high) and sysctls={{…}}")
        if ports is not None:
            if not isinstance(ports, (tuple, list)) or len(ports) != 2:
                _fail(f"sockreuse_netns: port_range={ports!r} is no pair of ports (low, high)")
            netns.port_range(*ports)
        if not isinstance(sysctls, Mapping):
            _fail(f"sockreuse_netns: sysctls={sysctls!r} is no table {{name: value}}")
        for name, value in sysctls.items():
            netns.set(name, value)
    return netns


def prepare(item: pytest.Item) -> None:
    """See to an item that names the fixture or has the marker."""
    if not isinstance(item, pytest.Function):
        return
    names = item.fixturenames
    if FIXTURE not in names:  # the marker: before the test's own fixtures, after those that outlive it
        defined = item._fixtureinfo.name2fixturedefs
        names.insert(sum(1 for name in names if name in defined and defined[name][-1].scope != "function"), FIXTURE)
    if _forks():
        forked.prepare(item)


class Everywhere:
    """``--sockreuse-netns``: says how each test comes to its namespace, or ends a run that can have none."""

    def __init__(self) -> None:
        if how() == "none":
            raise pytest.UsageError(f"--sockreuse-netns: this machine gives no network namespace ({REMEDY})")

    def pytest_report_header(self) -> str:
        where = "in a child process, by a user namespace" if _forks() else "as root"
        return f"sockreuse: each test function in a network namespace of its own, {where}"
