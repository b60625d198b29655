"""Inside the kernel that is measured: the suite as root and as an ordinary user, then random scenarios.

``python guest.py HOW DIRECTORY``. DIRECTORY, at the same path as on the host, is the one place that can be written; its
file `rules` says which rules. HOW is ``init`` where this is the first process of its machine. `done.json` comes last.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

assert sys.platform == "linux"

_USER = 64000  # nobody's id on the systems that we know
_BIND, _POWER_OFF, _FINIT_MODULE = 0x1000, 0x4321FEDC, 313
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str | Path, target: str | Path, kind: str, options: str = "", flags: int = 0) -> None:
    """mount(2). Raises OSError."""
    if _libc.mount(str(source).encode(), str(target).encode(), kind.encode(), flags, options.encode()):
        code = ctypes.get_errno()
        raise OSError(code, f"mounting {target}: {os.strerror(code)}")


def begin_machine(directory: Path) -> None:
    """A user-mode kernel starts on the host's files, which it may read, and nothing else."""
    mount("proc", "/proc", "proc")
    mount("sys", "/sys", "sysfs")
    mount("out", directory, "hostfs", str(directory))
    for module in sorted(directory.glob("modules/*")):
        with open(module, "rb") as file:
            if _libc.syscall(_FINIT_MODULE, file.fileno(), b"", 0):
                print(f"not loaded: {module.name}: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
    # There are no others to be had, and looking for one costs a process at each socket() of a protocol that is absent.
    Path("/proc/sys/kernel/modprobe").write_text("\n")


def open_to_users(paths: set[Path]) -> None:
    """Let every user come to `paths`, also where one lies in a directory that is root's alone: that is covered."""
    held = {path: os.open(path, os.O_PATH) for path in sorted(paths)}
    for path, handle in held.items():
        for above in reversed(path.parents):
            if above.exists() and not above.stat().st_mode & 1:
                mount("open", above, "tmpfs", "mode=755")
        path.mkdir(parents=True, exist_ok=True)
        if not os.path.samestat(path.stat(), os.fstat(handle)):
            mount(f"/proc/self/fd/{handle}", path, "", flags=_BIND)
        os.close(handle)


def _become_user() -> None:
    os.setgroups([])
    os.setgid(_USER)
    os.setuid(_USER)


def suite(directory: Path, who: str) -> int:
    """Run the suite as `who`, root or user; its report is ``root.jsonl`` or ``user.jsonl``. Returns pytest's status."""
    home = directory / "tmp" / who
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    rules = (directory / "rules").read_text()
    if not rules:
        return 0
    command = [sys.executable, "-m", "pytest", f"--sockreuse={rules}", "--sockreuse-only", "-q"]
    command += ["--rootdir", str(home), "-c", "/dev/null", "-p", "no:cacheprovider", "--sockreuse-report", "report"]
    with open(directory / f"{who}.log", "wb") as log:
        status = subprocess.run(
            command, cwd=home, env={**os.environ, "HOME": str(home), "TMPDIR": str(home)}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, preexec_fn=_become_user if who == "user" else None, check=False,
        ).returncode  # fmt: skip
    if (home / "report").exists():
        shutil.copyfile(home / "report", directory / f"{who}.jsonl")
    return status


def explore(directory: Path) -> int:
    """Perform what the host has drawn, if it has, by the runner in C. Returns its status."""
    status = 0
    for scenarios in sorted(directory.glob("explore*.scenario")):
        options = scenarios.stem.split("-")[1:]  # such as explore0-p0-t3
        arguments = [word for option in options for word in (f"-{option[0]}", option[1:])]
        with open(scenarios, "rb") as source, open(scenarios.with_suffix(".jsonl"), "wb") as answers:
            status |= subprocess.run(
                [directory / "runner", *arguments], stdin=source, stdout=answers, check=False
            ).returncode
    return status


def measure(how: str, directory: Path) -> None:
    """All of it; what went wrong is in `done.json` too."""
    statuses: dict[str, object] = {}
    try:
        if how == "init":
            begin_machine(directory)
        os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", PYTHONDONTWRITEBYTECODE="1")
        mount("tmp", directory / "tmp", "tmpfs", "mode=1777")
        statuses["root"] = suite(directory, "root")
        statuses["explore"] = explore(directory)
        open_to_users({Path(sys.prefix), Path(sys.base_prefix), directory})
        statuses["user"] = suite(directory, "user")
    except Exception:
        statuses["error"] = traceback.format_exc()
    (directory / "done.json").write_text(json.dumps(statuses) + "\n")


if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2]))
    if sys.argv[1] == "init":
        os.sync()
        _libc.reboot(_POWER_OFF)
