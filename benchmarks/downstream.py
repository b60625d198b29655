"""The recorder over projects that live on sockets: ``python benchmarks/downstream.py [--pairs N] [NAME …]``.

Each project of downstream.toml is fetched from PyPI, and its own tests are run with the recorder and without, in turn,
where that is allowed in a network namespace from which nothing leaves. Fails where a result is another with it, or
where it finds what nobody has judged (judged.toml) or judged to be false. Prints what it found and what it cost.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import site
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import venv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

assert sys.platform != "win32", "the processor's time of child processes"

HERE = Path(__file__).parent
PROJECTS: dict[str, dict[str, Any]] = tomllib.loads((HERE / "downstream.toml").read_text())
JUDGED = HERE / "judged.toml"
_AGAIN = 3  # times that a test whose result changed is run again, in turn
_PATIENCE = 900  # seconds for one run
#: A network that ends where it begins: names are those of hosts, and what has another address goes nowhere. Without an
#: address beside the loopback's getaddrinfo() with AI_ADDRCONFIG, as anyio asks, finds nothing.
_NETWORK = (
    'says() { f=$(mktemp) && printf "$2" >$f && mount --bind $f $1; rm -f $f; }; '
    "says /etc/hosts '127.0.0.1 localhost\\n::1 localhost\\n'; says /etc/resolv.conf 'nameserver 127.0.0.1\\n'; "
    "ip link set lo up; ip link add d0 type veth peer name d1 && ip link set d1 up && "
    "ip link set d0 arp off multicast on up && "
    "ip addr add 10.11.12.13/24 dev d0 && ip addr add 2001:db8::13/64 dev d0 nodad && ip route add default dev d0; "
    'exec "$@"'
)


@dataclass
class Run:
    """One run of a suite: results by test, what was found, seconds of the clock and of the processor."""

    results: dict[str, str]
    found: dict[str, int]  # "id at place", and how many tests showed it
    unknown: dict[str, int]
    sockets: int
    wall: float
    cpu: float


class Project:
    """A project's source and what its tests need, below a directory that stays."""

    def __init__(self, name: str, work: Path) -> None:
        self.name, self.about = name, PROJECTS[name]
        self.work = work / name
        self.packages = self.work / "site-packages"

    def prepare(self) -> None:
        """Fetch what is not there yet. Raises subprocess.CalledProcessError."""
        if (self.work / "done").exists():
            return
        sites = [str(self.packages), *site.getsitepackages()]
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        release = f"{self.name}=={self.about['version']}"
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "download", "--no-deps", "--no-binary", self.name, "-d", self.work, release], check=True)
        (archive,) = self.work.glob("*.tar.gz")
        with tarfile.open(archive) as files:
            files.extractall(self.work, filter="data")
        archive.unlink()
        subprocess.run([*pip, "install", "-t", self.packages, release, *self.about["requires"]], check=True)
        venv.create(self.work / "venv", symlinks=True)  # so that what tests start has the packages too
        (found,) = (self.work / "venv" / "lib").glob("python*/site-packages")
        (found / "packages.pth").write_text("\n".join(sites))
        (self.work / "done").touch()

    def run(self, *options: str) -> Run:
        """Run its tests in a process of its own, and what it starts in the namespace ends with it."""
        source = next(path for path in self.work.iterdir() if (path / "PKG-INFO").exists())
        with tempfile.TemporaryDirectory() as name:
            out = Path(name, "results.json")
            tests = [text.replace("HERE", str(HERE / "projects")) for text in self.about["tests"]]
            command = [
                str(self.work / "venv" / "bin" / "python"),
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "results",
                "-o",
                "addopts=",
            ]
            command += ["-W", "ignore", "-p", "no:randomly", "-p", "no:random-order", *tests, *options]
            path = [str(HERE / "projects"), str(self.packages), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "RESULTS": str(out)}
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            with open(self.work / "last.log", "w") as log:
                subprocess.run(
                    [*_alone(), *command], cwd=source, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, timeout=_PATIENCE, check=False,
                )  # fmt: skip
            wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            said = json.loads(out.read_text().replace(str(HERE / "projects"), "HERE"))
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Run(said["results"], said["found"], said["unknown"], said["sockets"], wall, cpu)


def _alone() -> list[str]:
    """What runs a command in a network namespace of its own; nothing where that is forbidden."""
    for options in (["-nm"], ["-rnm"]):
        unshare = ["unshare", *options, "--kill-child", "--fork", "sh", "-c", _NETWORK, "sh"]
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
            return unshare
    return []


def changed(project: Project, without: Run, with_: Run) -> list[str]:
    """The tests whose result is another with the recorder, each time of some; chance has a part in such suites."""
    lines = []
    for test in sorted(without.results.keys() | with_.results.keys()):
        one, other = without.results.get(test), with_.results.get(test)
        if one == other:
            continue
        again = ["-k", test.rpartition("::")[2].partition("[")[0]]
        pairs = [
            (project.run(*again).results.get(test), project.run(*again, "--sockreuse-record").results.get(test))
            for _ in range(_AGAIN)
        ]
        if not any(a == b for a, b in pairs):
            lines.append(f"{test}: {one} without, {other} with the recorder")
    return lines


def judged(name: str) -> dict[str, str]:
    """What is known of the messages of a project: each with true, false or noise."""
    table = tomllib.loads(JUDGED.read_text()) if JUDGED.exists() else {}
    return {f"{one['id']} at {one['at']}": one["verdict"] for one in table.get("message", ()) if one["project"] == name}


def page() -> str:
    """The tables of docs/downstream.md, by judged.toml."""
    table = tomllib.loads(JUDGED.read_text())
    messages, measured = table["message"], table["measured"]
    lines = [
        "| project | passed, failed, skipped | with sockets | processor, s | with the recorder |",
        "|---|---|---|---|---|",
    ]
    for name, one in measured.items():
        results = f"{one['passed']}, {one['failed']}, {one['skipped']}"
        version = PROJECTS[name]["version"]
        cost = f"{one['seconds']} | x {one['cpu']}" if "cpu" in one else "- | -"
        lines.append(f"| {name} {version} | {results} | {one['sockets']} | {cost} |")
    verdicts = Counter(one["verdict"] for one in messages)
    told = ", ".join(f"{verdicts[word]} {word}" for word in ("true", "false", "noise"))
    lines += ["", f"Messages, each judged by reading the code: {told}.", ""]
    lines += ["| project, line | id | tests | judged | why |", "|---|---|---|---|---|"]
    for one in messages:
        place = f"{one['project']}, `{one['at']}`"
        lines.append(f"| {place} | `{one['id']}` | {one['tests']} | {one['verdict']} | {one['why']} |")
    return "\n".join(lines) + "\n"


def write_page(path: Path) -> None:
    """Put the tables between the marks of the page."""
    before, _, rest = path.read_text().partition("<!-- tables -->\n")
    path.write_text(f"{before}<!-- tables -->\n{page()}<!-- end -->{rest.partition('<!-- end -->')[2]}")


def tried(project: Project, pairs: int) -> tuple[dict[str, Any], list[str]]:
    """The numbers of a project, and what is wrong."""
    project.prepare()
    project.run("--sockreuse-record")  # what is compiled once is no part of a run
    runs = [(project.run(), project.run("--sockreuse-record")) for _ in range(pairs)]
    without, with_ = runs[0]
    known = judged(project.name)
    wrong = changed(project, without, with_)
    wrong += [f"not judged: {what} ({n} tests)" for what, n in with_.found.items() if what not in known]
    wrong += [f"judged to be {known[what]}: {what}" for what in with_.found if known.get(what) == "false"]
    outcomes = Counter(without.results.values())
    numbers = {
        "results": {name: outcomes[name] for name in ("passed", "failed", "skipped")},
        "sockets": with_.sockets,
        "wall": round(statistics.median(b.wall / a.wall for a, b in runs), 2),
        "cpu": round(statistics.median(b.cpu / a.cpu for a, b in runs), 2),
        "seconds": round(statistics.median(a.cpu for a, _ in runs), 1),
        "found": with_.found,
        "unknown": with_.unknown,
    }
    return numbers, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=1, help="runs without and with the recorder, in turn")
    parser.add_argument("--into", type=Path, help="write the numbers into this file, JSON")
    parser.add_argument("--work", type=Path, default=Path(sys.prefix, "downstream"), help="where projects are kept")
    parser.add_argument("--page", type=Path, help="write the tables of this page (docs/downstream.md), and run nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"projects: {', '.join(PROJECTS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - PROJECTS.keys():
        parser.error(f"no project {min(unknown)!r}")
    if arguments.page:
        write_page(arguments.page)
        return 0
    status = 0
    numbers = json.loads(arguments.into.read_text()) if arguments.into and arguments.into.exists() else {}
    for name in arguments.names or PROJECTS:
        project = Project(name, arguments.work.resolve())
        try:
            found, wrong = tried(project, arguments.pairs)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"{name}: could not be run: {error}")
            status = 1
            continue
        numbers[name] = found
        results = ", ".join(f"{count} {what}" for what, count in found["results"].items())
        print(f"{name}: {results}; {found['sockets']} with sockets; time {found['wall']}, processor {found['cpu']}")
        for line in [*(f"{n} tests: {what}" for what, n in found["found"].items()), *wrong]:
            print(f"  {line}", flush=True)
        status |= bool(wrong)
        if arguments.into:
            arguments.into.write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
