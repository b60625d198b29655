"""The pytest plugin's door: options, and nothing else imported until one of them is used."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .recorder.session import Recording


_BARE = {"--sockreuse": "--sockreuse=all", "--sockreuse-record": "--sockreuse-record="}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sockreuse", "socket address reuse, held against the live OS")
    group.addoption(
        "--sockreuse",
        nargs="?",
        const="all",
        metavar="RULES",
        help="add the conformance suite to the run, or some of its rules (--sockreuse=RULE,…)",
    )
    group.addoption("--sockreuse-only", action="store_true", help="run the conformance suite and no other test")
    group.addoption("--sockreuse-report", metavar="FILE", help="write the suite's results to FILE (JSON lines)")
    group.addoption(
        "--sockreuse-select",
        action="append",
        default=[],
        metavar="NODEID",
        help="a node of the suite, as sockreuse::RULE::CASE",
    )
    group.addoption(
        "--sockreuse-explore",
        type=int,
        metavar="N",
        help="add N random scenarios, held against the model of this platform",
    )
    group.addoption(
        "--sockreuse-record",
        nargs="?",
        const="",
        metavar="PLATFORMS",
        help="watch the tests' sockets and tell what their calls would do on other platforms",
    )
    group.addoption("--sockreuse-record-fail", action="store_true", help="fail a test if a call would fail there")
    parser.addini("sockreuse_targets", "the platforms that --sockreuse-record holds against", type="args", default=[])
    parser.addini("sockreuse_rules", "the rules that a bare --sockreuse runs (all)", type="args", default=[])
    parser.addini("sockreuse_timeout", "seconds that one scenario may take beside its waits (10)", default="10")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Let ``--sockreuse PATH`` mean a bare --sockreuse and a path, and ``sockreuse::…`` be given like any node id."""
    asked = [n for n, arg in enumerate(args) if arg.startswith("sockreuse::")]
    if not asked and not _BARE.keys() & set(args):
        return
    changed = [_BARE.get(arg, arg) for arg in args]
    marked = [f"\0{n}" if n in asked else arg for n, arg in enumerate(changed)]  # to tell a node from an option's value
    paths = parser.parse_known_args(marked, namespace=copy.copy(early_config.option)).file_or_dir
    nodes = [args[n] for n in asked if f"\0{n}" in paths]
    changed = [arg for n, arg in enumerate(changed) if f"\0{n}" not in paths]
    if nodes and len(nodes) == len(paths):
        changed.append("--sockreuse-only")
    args[:] = changed + [f"--sockreuse-select={node}" for node in nodes]
    early_config.known_args_namespace = parser.parse_known_args(args, namespace=copy.copy(early_config.option))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sockreuse: a case of the socket address reuse suite (added by --sockreuse)")
    option = config.option
    if option.sockreuse or option.sockreuse_only or option.sockreuse_report or option.sockreuse_select:
        from .session import SuiteSession

        config.pluginmanager.register(SuiteSession(config), "sockreuse-session")
    if option.sockreuse_explore is not None:
        from .explorer.items import ExploreSession

        config.pluginmanager.register(ExploreSession(config), "sockreuse-explore")
    if option.sockreuse_record is not None or option.sockreuse_record_fail:
        from .recorder.session import RecordSession

        config.pluginmanager.register(RecordSession(config), "sockreuse-record")


@pytest.fixture
def socket_recording(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """What the test has done with its sockets so far, and what that would do on other platforms."""
    from .recorder.session import recorded

    with recorded(request.config) as recording:
        yield recording
