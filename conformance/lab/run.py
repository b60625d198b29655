"""``tox run -e lab -- PLATFORM…``: boot kernels, hold the suite and the models against them, file what was seen.

A progress line a platform; the exit status is 1 if one of them failed or departed, 2 if the question was wrong.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from archive import Archive, Files, Kernel, LabError, kernels
from bench import Job, measure
from boot import stop, unable

_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pytest-sockreuse-lab"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lab", description="Hold the suite and the models against other kernels.")
    parser.add_argument("platform", nargs="*", help="a name of kernels.toml, a path to a kernel, uml, image, or all")
    parser.add_argument(
        "--rules", default="all", metavar="RULE,…", help="these rules of the suite only; nothing is filed"
    )
    parser.add_argument("--explore", type=int, default=20_000, metavar="N", help="random scenarios (20000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the random scenarios (1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="K", help="machines at a time")
    parser.add_argument("--minutes", type=float, default=60, metavar="M", help="that one of them may take (60)")
    parser.add_argument("--cache", type=Path, default=_CACHE, metavar="DIR", help=f"what was downloaded ({_CACHE})")
    parser.add_argument(
        "--work", type=Path, default=Path("lab-work"), metavar="DIR", help="consoles and logs (lab-work)"
    )
    parser.add_argument("--into", type=Path, metavar="DIR", help="where results are filed (conformance/results)")
    return parser


def _chosen(names: Sequence[str]) -> Iterator[Kernel]:
    known = kernels()
    for name in names:
        if name == "all" or name in ("uml", "image", "gvisor"):
            yield from (kernel for kernel in known.values() if name in ("all", kernel.how))
        elif name in known:
            yield known[name]
        elif "/" in name and Path(name).is_file():
            yield _own(Path(name).resolve())
        else:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; perhaps {close[0]}?" if close else ""
            raise LabError(f"no kernel {name!r}{hint} (a path, or {', '.join(['all', *known])})")


def _own(path: Path) -> Kernel:
    with open(path, "rb") as file:
        how = "uml" if file.read(4) == b"\x7fELF" else "image"
    return Kernel(path.name, how, path=str(path))


def _runner(work: Path) -> Path:
    """The runner in C, static, for machines with other libraries or none."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise LabError("needs a C compiler for conformance/lab/runner.c: install gcc")
    program = work / "runner"
    source = Path(__file__).with_name("runner.c")
    done = subprocess.run([compiler, "-O2", "-static", "-o", program, source], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"runner.c does not compile: {done.stderr.strip().splitlines()[-1]}")
    return program


def _run(options: argparse.Namespace) -> int:
    asked = list(_chosen(options.platform or ["all"]))
    if sys.platform != "linux" or os.geteuid():
        raise LabError("is to be run on Linux, as root: the kernels under test see this machine's files as their own")
    for kernel in asked:
        if why := unable(kernel):
            print(f"{kernel.name:<18}         {why}", flush=True)
    chosen = [kernel for kernel in asked if not unable(kernel)]
    if not chosen:
        raise LabError("none of these kernels can be booted here")
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    runner = _runner(work)
    packaged = [kernel for kernel in chosen if not kernel.path]
    archive = Archive(options.cache.resolve(), packaged) if packaged else None
    job = Job(runner, options.rules, options.explore, options.seed, options.minutes, options.into)

    def one(kernel: Kernel) -> tuple[bool, str, float]:
        start = time.monotonic()
        try:
            files = Files(Path(kernel.path)) if archive is None or kernel.path else archive.fetch(kernel)
            departed, text = measure(kernel, files, work / kernel.name, job)
        except Exception as error:  # one that fails does not stop the others
            if not isinstance(error, LabError):
                traceback.print_exc()
            departed, text = True, f"failed: {error}"
        return departed, text, time.monotonic() - start

    failed = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        under_way = {pool.submit(one, kernel): kernel for kernel in chosen}
        try:
            for done in as_completed(under_way):
                departed, text, seconds = done.result()
                failed += departed
                print(f"{under_way[done].name:<18} {seconds:5.0f} s  {text}", flush=True)
        except BaseException:  # an interrupt: the machines end with us
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
    return 1 if failed else 0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _run(_parser().parse_args())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
