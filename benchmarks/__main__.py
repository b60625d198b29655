"""What the project costs, as ratios against references taken in the same run: ``python benchmarks [NAME …]``."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_sockreuse.scenario import Scenario

from drawn import page

assert sys.platform == "linux", "the references are Linux's system calls"

HERE = Path(__file__).parent
RUNNER = HERE.parent / "conformance" / "lab" / "runner.c"
SCENARIO = (HERE / "order.scenario").read_text()
CONNECTION = (HERE / "connection.scenario").read_text()


def _wall(command: list[str], directory: Path) -> float:
    """Seconds of one run, which must succeed."""
    start = time.perf_counter()
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _cpu(command: list[str], directory: Path) -> float:
    """CPU seconds of one run and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _pairs(
    count: int, measure: Callable[[list[str], Path], float], a: list[str], b: list[str], at: Path
) -> list[float]:
    """`measure(a) - measure(b)` of runs in turn, so a drifting machine bears on both; the first does not count."""
    return [measure(a, at) - measure(b, at) for _ in range(count + 1)][1:]


def _pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]


def case() -> str:
    """(a) wall time per case variant beyond that of as many empty parametrized tests"""
    listing = subprocess.run(
        _pytest("--sockreuse-only", "--collect-only"), cwd=HERE, capture_output=True, text=True, check=True
    ).stdout
    count = sum(line.startswith("sockreuse::") for line in listing.splitlines())
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name, "test_empty.py")
        empty.write_text(f"import pytest\n@pytest.mark.parametrize('n', range({count}))\ndef test(n): pass\n")
        extra = _pairs(
            3, _wall, _pytest("--sockreuse-only"), _pytest("test_empty.py", "-p", "no:sockreuse"), empty.parent
        )
    return f"{statistics.median(extra) / count * 1000:.2f} ms a variant, of {count} (at most 1, aim 0.4)"


def unused() -> str:
    """(b) CPU that the installed but unused plugin adds to a one-test run"""
    with tempfile.TemporaryDirectory() as name:
        Path(name, "test_one.py").write_text("def test(): pass\n")
        Path(name, "empty.py").touch()  # to look for a plugin has its cost too, which is not ours
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # whatever else is installed here would only add noise
        commands = [_pytest("test_one.py", "-p", plugin) for plugin in ("pytest_sockreuse.plugin", "empty")]
        runs = [(_cpu(commands[0], Path(name)), _cpu(commands[1], Path(name))) for _ in range(30)]
        del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        extra = min(used for used, _ in runs) - min(without for _, without in runs)  # the least disturbed of each
    modules = subprocess.run(
        [sys.executable, "-c", "import pytest, sys; before = set(sys.modules); import pytest_sockreuse.plugin\n"
         "print(*sorted(set(sys.modules) - before))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    return f"{extra * 1000:.1f} ms (at most 5); it imports {modules}"


def runner() -> str:
    """(c) the runner's time for a sample of the suite, to that of the runner in C"""
    from pytest_sockreuse.live.runner import Runner
    from pytest_sockreuse.loader import load

    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "not measured: no C compiler"
    sample = [variant.scenario for variant in load().variants[::20] if not variant.scenario.waits]
    text = "".join(f"--- {number}\n{scenario}" for number, scenario in enumerate(sample)).encode()
    ratios = []
    with tempfile.TemporaryDirectory() as name, Runner() as worker:
        program = str(Path(name, "runner"))
        subprocess.run([compiler, "-std=c99", "-O2", "-o", program, str(RUNNER)], check=True)
        for _ in range(6):
            start = time.perf_counter()
            for scenario in sample:
                worker.ask(scenario)
            for _ in sample:
                worker.answer()
            middle = time.perf_counter()
            subprocess.run([program], input=text, check=True, stdout=subprocess.DEVNULL)
            ratios.append((middle - start) / (time.perf_counter() - middle))
    return f"{statistics.median(ratios[1:]):.2f} times, of {len(sample)} scenarios (at most 2)"


def predict() -> str:
    """(d) a prediction of six steps, and the whole suite on all known platforms"""
    from pytest_sockreuse.loader import load
    from pytest_sockreuse.model import predictions
    from pytest_sockreuse.parser import parse
    from pytest_sockreuse.platforms import known

    bound, connected = (_predicted(text) for text in ("\n".join(SCENARIO.splitlines()[:-1]), CONNECTION))
    texts, platforms = [variant.text for variant in load().variants], known()
    start = time.process_time()
    scenarios = list(map(parse, texts))
    middle = time.process_time()
    for scenario in scenarios:
        for _ in predictions(scenario, platforms):
            pass
    parsed, predicted = middle - start, time.process_time() - middle
    return (
        f"bind and listen {bound[0]:.0f} a second of CPU, {bound[1]:.1f} times as long as to look up its steps in "
        f"dictionaries, with a connection {connected[0]:.0f}, {connected[1]:.1f} times; the suite on {len(platforms)} "
        f"platforms {predicted:.0f} s (at most 60), {predicted / parsed:.1f} times as long as to parse it"
    )


def _predicted(text: str) -> tuple[float, float]:
    """Predictions of six steps per second of CPU time, of twenty rounds the best; what one takes to the reference."""
    from pytest_sockreuse.model import predict
    from pytest_sockreuse.parser import parse
    from pytest_sockreuse.platforms import named

    rounds, scenario, platform = 500, parse(text), named("linux-6.18")
    assert len(scenario.steps) == 6
    took = {"predict": 1e9, "look up": 1e9}
    for _ in range(20):
        for what, act in (("predict", lambda: predict(scenario, platform)), ("look up", lambda: _look_up(scenario))):
            start = time.process_time()
            for _ in range(rounds):
                act()
            took[what] = min(took[what], (time.process_time() - start) / rounds)
    return 1 / took["predict"], took["predict"] / took["look up"]


def _look_up(scenario: Scenario) -> list[tuple[str, str]]:
    """The reference: sockets by name and ports by address in dictionaries, and no rule asked."""
    sockets: dict[str, dict[str, object]] = {}
    ports: dict[object, list[object]] = {}
    shown = []
    for step in scenario.steps:
        sk = sockets.setdefault(step.name, {})
        for option in step.options:
            sk[option.name] = option.value
        if step.address is not None:
            ports.setdefault((step.address.host, step.address.port), []).append(sk)
        sk["state"] = step.verb
        shown.append((step.label, "ok"))
    return shown


def explore() -> str:
    """(e) random exploration: the share of its time that is spent in Python, by both processes, not in the kernel"""
    from pytest_sockreuse.explorer.fuzz import Fuzz
    from pytest_sockreuse.live.runner import Runner
    from pytest_sockreuse.platforms import current

    memory = []
    start, before = time.perf_counter(), _times()
    with Runner() as worker:
        for seed in range(4):
            Fuzz(worker, current(), seed).run(2000)
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    wall, (user, kernel) = time.perf_counter() - start, (b - a for a, b in zip(before, _times(), strict=True))
    grown = (memory[-1] - memory[0]) / 1024
    return (
        f"{user / wall:.2f} of the time that passes (at most 0.5), {user / (user + kernel):.2f} of the CPU time; "
        f"{user / 8:.2f} ms a scenario; {grown:.1f} MB more after 6000 scenarios more (flat)"
    )


def _times() -> tuple[float, float]:
    """Seconds of CPU time of this process and those that it ended, in Python and in the kernel."""
    here, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return here.ru_utime + ended.ru_utime, here.ru_stime + ended.ru_stime


def record() -> str:
    """(f) what the recorder adds to a call: the median of each, on and off in turn; data that is sent costs nothing"""
    from pytest_sockreuse.recorder.events import Tape
    from pytest_sockreuse.recorder.translate import bearing
    from pytest_sockreuse.recorder.watch import recording

    seconds: dict[str, tuple[list[float], list[float]]] = {}
    with socket.create_server(("127.0.0.1", 0)) as server:
        for turn in range(20):
            with recording(Tape(1_000_000), frozenset(bearing())) if turn % 2 else contextlib.nullcontext():
                listener = server.dup()  # one that the recording knows
                for _ in range(300):
                    for call, took in _life(listener):
                        seconds.setdefault(call, ([], []))[turn % 2].append(took)
                listener.close()
    extra = {call: (statistics.median(on) - statistics.median(off)) * 1e6 for call, (off, on) in seconds.items()}
    worst = max(extra, key=extra.__getitem__)
    return f"{statistics.mean(extra.values()):.1f} µs a call (at most 2); {worst} {extra[worst]:.1f} µs"


def _life(server: socket.socket) -> Iterator[tuple[str, float]]:
    """Every call of a connection's life, with the seconds that it took."""
    made: dict[str, socket.socket] = {}

    def timed(call: str, act: Callable[[], object]) -> tuple[str, float]:
        start = time.perf_counter()
        act()
        return call, time.perf_counter() - start

    yield timed("socket", lambda: made.update(bound=socket.socket()))
    yield timed("setsockopt", lambda: made["bound"].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1))
    yield timed("bind", lambda: made["bound"].bind(("127.0.0.1", 0)))
    yield timed("getsockname", lambda: made["bound"].getsockname())
    yield timed("listen", lambda: made["bound"].listen())
    yield timed("close", lambda: made["bound"].close())
    made["client"] = socket.socket()
    address = server.getsockname()
    yield timed("connect", lambda: made["client"].connect(address))
    yield timed("accept", lambda: made.update(child=server.accept()[0]))
    yield timed("send", lambda: made["client"].send(b"x"))
    yield timed("recv", lambda: made["child"].recv(1))
    yield timed("shutdown", lambda: made["client"].shutdown(socket.SHUT_WR))
    yield timed("close", lambda: made["client"].close())
    made["child"].close()


def lab() -> str:
    """(g) the suite on all user-mode kernels, by two at a time, once they are downloaded; asked for by name"""
    program = [sys.executable, str(RUNNER.with_name("run.py")), "uml", "--explore", "0", "--jobs", "2"]
    with tempfile.TemporaryDirectory() as name:
        at = ["--work", str(Path(name, "work")), "--into", name]
        subprocess.run([*program, *at, "--rules", "order-dependence"], check=True, stdout=subprocess.DEVNULL)
        seconds = _wall([*program, *at], Path(name))
    return f"{seconds / 60:.1f} minutes, as root and as a user (at most 10)"


_MERGE = """
import resource, sys
from pathlib import Path
from pytest_sockreuse.matrix.build import build
matrix = build(sorted(Path(sys.argv[1]).iterdir()), all_known=False)
used = resource.getrusage(resource.RUSAGE_SELF)
print(len(matrix.columns), len(matrix.variants), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def merge() -> str:
    """(h) results of 60 platforms merged, to what json.loads alone takes for their lines"""
    from pytest_sockreuse.matrix.build import committed

    with tempfile.TemporaryDirectory() as name:
        lines: list[str] = []
        for number, path in zip(range(60), itertools.cycle(committed())):
            header, *rest = path.read_text().splitlines()
            about = json.loads(header)
            line = about["platform"].rsplit(".", 1)[0] if about["platform"].count(".") > 1 else about["platform"]
            about |= {"platform": f"{line}.{1000 + number}", "build": f"made up, number {number}"}
            lines += [json.dumps(about), *rest]
            Path(name, f"{number:02}.jsonl").write_text("\n".join([json.dumps(about), *rest]) + "\n")
        start = time.process_time()
        for line in lines:
            json.loads(line)
        bare = time.process_time() - start
        command = [sys.executable, "-c", _MERGE, name]
        platforms, variants, seconds, memory = subprocess.check_output(command, text=True).split()
    size = f"{platforms} platforms of {variants} variants"
    return (
        f"{float(seconds):.1f} s of CPU time (at most 8), {float(seconds) / bare:.0f} times json.loads; "
        f"{float(memory):.0f} MB (at most 150); {size}"
    )


def main() -> None:
    benchmarks = {call.__name__: call for call in (case, unused, runner, predict, explore, record, lab, merge, page)}
    for name in sys.argv[1:] or [name for name in benchmarks if name != "lab"]:
        print(f"{benchmarks[name].__doc__}: {benchmarks[name]()}", flush=True)


if __name__ == "__main__":
    main()
