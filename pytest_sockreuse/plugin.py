"""The pytest plugin's door: options, and nothing else imported until one of them is used."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from .hooks.recorder import Recording


_PACKAGE = f"{__package__}."
_BARE = {
    "--sockreuse": "--sockreuse=all",
    "--sockreuse-record": "--sockreuse-record=",
    "--sockreuse-record-fail": "--sockreuse-record-fail=",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sockreuse", "socket address reuse, tried on this OS")
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
        help="add N random scenarios, compared with the model of this platform",
    )
    group.addoption(
        "--sockreuse-explain",
        action="store_true",
        help="when a test fails since it could not have a port: who has it, why, and what helps",
    )
    group.addoption(
        "--sockreuse-netns", action="store_true", help="run each test in a network namespace of its own (Linux)"
    )
    group.addoption(
        "--sockreuse-record",
        nargs="?",
        const="",
        metavar="PLATFORMS",
        help="watch the tests' sockets and report what their calls would do on other platforms",
    )
    group.addoption(
        "--sockreuse-record-fail",
        nargs="?",
        const="",
        metavar="IDS",
        help="fail a test if a call would fail there; with ids if one of these is found (findings or misuse)",
    )
    group.addoption(
        "--sockreuse-record-accept", action="store_true", help="write what is found into the file sockreuse_baseline"
    )
    parser.addini("sockreuse_baseline", "a file of what --sockreuse-record finds and is accepted", default="")
    parser.addini("sockreuse_targets", "the platforms that --sockreuse-record compares with", type="args", default=[])
    parser.addini("sockreuse_rules", "the rules that a bare --sockreuse runs (all)", type="args", default=[])
    parser.addini("sockreuse_ports", "the numbers of held ports, such as 20000-20999 (any)", type="args", default=[])
    parser.addini("sockreuse_ports_without", "numbers that no held port shall have", type="args", default=[])
    parser.addini(
        "sockreuse_unused_ports",
        "answer unused_tcp_port, free_tcp_port and their like, of other plugins, too (no)",
        type="bool",
        default=False,
    )
    parser.addini("sockreuse_require", "rules without which no test shall run", type="args", default=[])
    parser.addini("sockreuse_conformance", "another directory of rules than the one that ships (for tests)", default="")
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
    known = parser.parse_known_args(args, namespace=copy.copy(early_config.option))
    known.confcutdir = early_config.known_args_namespace.confcutdir  # pytest has set it: nothing above is looked at
    early_config.known_args_namespace = known


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sockreuse: a case of the socket address reuse suite (added by --sockreuse)")
    config.addinivalue_line(
        "markers",
        "sockreuse_requires(*rules, mode='skip'): needs an OS that honours these rules (see sockreuse rules); "
        "where it does not the test is skipped, fails (mode='fail') or is expected to fail (mode='xfail')",
    )
    config.addinivalue_line(
        "markers", "sockreuse_accept(*ids): what --sockreuse-record finds in this test under these ids is accepted"
    )
    config.addinivalue_line(
        "markers",
        "sockreuse_netns(port_range=(low, high), sysctls={name: value}): run the test in a private network namespace",
    )
    sys.meta_path.insert(0, _AsWritten)
    try:
        _register(config)
    except Exception as error:
        from .data import DataError  # here: a run that asks for nothing of ours does not load it

        if isinstance(error, DataError):
            raise pytest.UsageError(f"the conformance data is wrong:\n{error}") from None
        raise


def pytest_unconfigure() -> None:
    if _AsWritten in sys.meta_path:
        sys.meta_path.remove(_AsWritten)


class _AsWritten:
    """Finds our own modules before pytest does: it would rewrite their asserts, each time where no bytecode is kept."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, path, target) if name.startswith(_PACKAGE) else None


def _register(config: pytest.Config) -> None:
    """What the options and the ini file ask for."""
    option = config.option
    if (
        option.sockreuse is not None
        or option.sockreuse_report is not None
        or option.sockreuse_only
        or option.sockreuse_select
    ):
        from .hooks.suite import SuiteSession

        config.pluginmanager.register(SuiteSession(config), "sockreuse-session")
    if option.sockreuse_explore is not None:
        from .hooks.explore import ExploreSession

        config.pluginmanager.register(ExploreSession(config), "sockreuse-explore")
    if option.sockreuse_netns and not option.collectonly:
        from .hooks.netns import Everywhere

        config.pluginmanager.register(Everywhere(), "sockreuse-netns")
    if option.sockreuse_explain:
        from .hooks.explain import Explainer

        config.pluginmanager.register(Explainer(config), "sockreuse-explain")
    if (
        option.sockreuse_record is not None
        or option.sockreuse_record_fail is not None
        or option.sockreuse_record_accept
    ):
        from .uncollected import uncollected

        with uncollected():
            from .hooks.recorder import RecordSession

            config.pluginmanager.register(RecordSession(config), "sockreuse-record")
    if config.getini("sockreuse_ports") or config.getini("sockreuse_ports_without"):
        from .hooks.numbers import asked

        asked(config)
    if config.getini("sockreuse_unused_ports"):
        from .hooks import unused  # its fixtures are found before those of plugins that are there already

        config.pluginmanager.register(unused, "sockreuse-unused")
    if config.getini("sockreuse_require"):
        from .hooks.guards import Canary

        config.pluginmanager.register(Canary(config), "sockreuse-canary")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any(item.get_closest_marker("sockreuse_requires") for item in items):
        from .hooks.guards import Guarded

        config.pluginmanager.register(Guarded(items), "sockreuse-guards")


def pytest_itemcollected(item: pytest.Item) -> None:
    if (
        item.config.option.sockreuse_netns
        or "sockreuse_netns" in getattr(item, "fixturenames", ())
        or item.get_closest_marker("sockreuse_netns")
    ):
        from .hooks.netns import prepare

        prepare(item)


# --- fixtures, whose bodies are in `fixtures` -------------------------------------------------------------------------


def _fixture(name: str, about: str, scope: Literal["session", "function"] = "function") -> Any:
    def body(request: pytest.FixtureRequest) -> Iterator[Any]:
        from .hooks import fixtures

        yield from getattr(fixtures, name)(request)

    body.__doc__ = about
    return pytest.fixture(body, name=name, scope=scope)


_port = _fixture("held_port", "A port held for this test, a number: `.socket()`, `.release()`, `.wait()`, `.port`.")
_number = _fixture("held_tcp_port", "A TCP port held for this test, as a plain int: for a server with SO_REUSEADDR.")
_ports = _fixture("held_ports", "`held_ports(n)`: ports held for this test; `consecutive=True`, `'tcp'`, `'udp'`.")
_factory = _fixture("held_port_factory", "Holds ports for the whole run: `.hold()`, `.hold_many(n)`.", "session")
_class = _fixture("socket_class", "The class of the sockets made here; a project overrides it.", "session")
_tcp = _fixture("tcp", "`tcp('SO_REUSEADDR', family=AF_INET)`: a socket, closed at the end; a leaked listener fails.")
_udp = _fixture("udp", "`udp('SO_REUSEADDR', family=AF_INET)`: a socket, closed at the end.")
_listener = _fixture("listener", "A TCP socket that listens on 127.0.0.1, at a port that the OS chose.")
_pair = _fixture("connected_pair", "The client's and the server's socket of a TCP connection on 127.0.0.1.")
_time_wait = _fixture("time_wait", "`time_wait(side='server', port=held_port)`: a port left in TIME_WAIT.")
_fin_wait2 = _fixture("fin_wait2", "`fin_wait2(side='server', port=held_port)`: a port left in FIN_WAIT2.")
_netns = _fixture("sockreuse_netns", "Runs the rest of the test in a private network namespace: `.set(sysctl, value)`.")


@pytest.fixture
def port_range(sockreuse_netns: Any) -> Any:
    """`port_range(low, high)`: the ports that the OS chooses from, in a private network namespace."""
    return sockreuse_netns.port_range


@pytest.fixture
def socket_recording(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """What the test has done with its sockets so far, and what that would do on other platforms."""
    from .hooks.recorder import recorded

    with recorded(request.config, request.node) as recording:
        yield recording
