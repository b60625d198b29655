"""What the tests share: a runner on this machine, held ports, small conformance directories and small projects."""

from __future__ import annotations

import importlib.metadata
import signal
import textwrap
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.platforms import CONFORMANCE, current
from pytest_sockreuse.ports import Ports
from pytest_sockreuse.scenario import Observation, Scenario, StepOutcome

pytest_plugins = ["pytester", "browsing"]

# What goes through the whole suite, or many rounds, and takes more processor time than all else: marked `slow`.
SLOW = "audit contention determinism explorer fake_kernel kept measured pinned runner_c walk".split()

# Told of Linux. A condition on the system's name would be read by what is tested there.
_RECORDER = [f"test_recorder_{name}.py" for name in ("asks", "fate", "kinds", "skips")]
collect_ignore = [] if Path("/proc/self").exists() else _RECORDER


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.removeprefix("test_") in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def foreground() -> Iterator[None]:
    """What is started heeds the signals that the background of a shell ignores, and all that is started there."""
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]
    ignored = [number for number in ignored if number != getattr(signal, "SIGPIPE", None)]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


CLAIMS = """
[X-1]
document = "A document"
text = "Two sockets never share a port"
"""
EVIDENCE = """
[here]
title = "A run of these tests"
"""
AXES = """
[family.ip4]
tcp = "tcp4"
lo = "127.0.0.1"
[family.ip6]
tcp = "tcp6"
lo = "[::1]"
"""
RULE = """
title = "Sharing"
about = "What these tests ask."

[[case]]
id = "taken"
title = "A port that is taken is taken"
why = "A server that is started twice must notice."
claims.X-1 = { "B.bind" = "EADDRINUSE" }
axes.family = ["ip4"]
scenario = '''
A = {tcp}()
A.bind({lo}:P)
B = {tcp}()
B.bind({lo}:P)
'''
  [[case.expect]]
  on = ["linux", "gvisor", "freebsd", "macos", "netbsd", "openbsd", "windows"]
  outcome = { "B.bind" = "EADDRINUSE" }
  basis = "measured"
  evidence = ["here"]
"""


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def isolation() -> str:
    """netns, userns or none: what this machine and user allow."""
    with Runner() as runner:
        return runner.isolation()


@pytest.fixture
def namespaces(isolation: str) -> str:
    """Skips where a scenario cannot have a network namespace of its own."""
    if isolation == "none":
        pytest.skip("needs network namespaces")
    return isolation


@pytest.fixture
def root_namespaces(isolation: str) -> str:
    if isolation != "netns":
        pytest.skip("needs root: other users exist only in its namespaces")
    return isolation


@pytest.fixture
def give() -> Iterator[Ports]:
    """Gives ports, which are held until the test ends."""
    with Ports() as ports:
        yield ports


@pytest.fixture
def numbers(give: Ports) -> Callable[[int], list[int]]:
    """Numbers that no other run is given, for ports of one's own."""

    def numbers(count: int) -> list[int]:
        leases = give.hold_many(count, "tcp")
        return sorted(lease.release() for lease in leases)

    return numbers


@pytest.fixture
def few(numbers: Callable[[int], list[int]]) -> Iterator[Ports]:
    """Gives seven ports and no more."""
    with Ports(among=numbers(8)) as few:
        yield few


Conformance = Callable[..., Path]


@pytest.fixture
def conformance(tmp_path: Path) -> Conformance:
    """Makes a conformance directory; a keyword replaces a file (`axes`, …) or adds a rule."""

    def make(**files: str) -> Path:
        root = tmp_path / "conformance"
        (root / "rules").mkdir(parents=True, exist_ok=True)
        (root / "platforms.toml").write_bytes((CONFORMANCE / "platforms.toml").read_bytes())
        content = {"claims": CLAIMS, "evidence": EVIDENCE, "axes": AXES, "guards": "", "sharing": RULE, **files}
        for name, text in content.items():
            place = root if name in ("claims", "evidence", "axes", "guards") else root / "rules"
            (place / f"{name.replace('_', '-')}.toml").write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return root

    return make


class FakeKernel:
    """Stands for `Runner`: performs nothing, and every step does what `behave` says of its scenario."""

    def __init__(self, behave: Callable[[Scenario], Observation]) -> None:
        self.behave, self.asked, self.started = behave, deque[Scenario](), 0

    def __call__(self) -> FakeKernel:
        self.started += 1
        return self

    def __enter__(self) -> FakeKernel:
        return self

    def __exit__(self, *_: object) -> None:
        assert not self.asked

    def begin(self) -> None: ...

    def ask(self, scenario: Scenario) -> None:
        self.asked.append(scenario)

    def answer(self) -> Observation:
        return self.behave(self.asked.popleft())


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeKernel]:
    """Replaces the OS that guards are tried on: all succeeds but for `outcomes`, or nothing can be run."""
    from pytest_sockreuse import guard

    def make(
        outcomes: Mapping[str, str] | None = None, not_run: str | Callable[[Scenario], str | None] | None = None
    ) -> FakeKernel:
        def behave(scenario: Scenario) -> Observation:
            why = not_run(scenario) if callable(not_run) else not_run
            steps = [
                StepOutcome(step.label, (outcomes or {}).get(step.label, "ok")) for step in scenario.steps if step.label
            ]
            return Observation(current().name, () if why else tuple(steps), {}, why)

        fake = FakeKernel(behave)
        monkeypatch.setattr(guard, "Runner", fake)
        return fake

    return make


@pytest.fixture(scope="session")
def installed() -> bool:
    """Whether pytest finds the plugin by itself."""
    return any(entry.name == "sockreuse" for entry in importlib.metadata.entry_points(group="pytest11"))


Run = Callable[..., pytest.RunResult]


@pytest.fixture
def project(pytester: pytest.Pytester, installed: bool, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project whose runs find our plugin, and none that costs time: hypothesis takes longer than the run."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:random_order")
    if not installed:
        monkeypatch.setenv("PYTEST_PLUGINS", "pytest_sockreuse.plugin")
    return pytester


@pytest.fixture
def run(project: pytest.Pytester) -> Run:
    """Runs a project that has one test file, with warnings as errors; spread over processes in one of its own."""

    def run(code: str, *arguments: str) -> pytest.RunResult:
        project.makepyfile(test_it=code)
        arguments = ("--strict-markers", "-W", "error", "-p", "no:cacheprovider", *arguments)
        if "-n1" in arguments:
            return project.runpytest_subprocess(*arguments, timeout=60)
        return project.runpytest_inprocess(*arguments)

    return run


@pytest.fixture(params=["netns", "userns"])
def mode(
    request: pytest.FixtureRequest, isolation: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The ways into a namespace that are open here; root has both."""
    wanted: str = request.param
    if isolation == "none" or (wanted, isolation) == ("netns", "userns"):
        pytest.skip("needs root" if isolation == "userns" else "needs network namespaces")
    from pytest_sockreuse.hooks import netns

    monkeypatch.setattr(netns, "how", netns.how)  # put back what the conftest changes
    pytester.makeconftest(
        f"import pytest_sockreuse.hooks.netns\npytest_sockreuse.hooks.netns.how = lambda: {wanted!r}\n"
    )
    return wanted
