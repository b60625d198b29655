"""Boot a kernel on a directory of work, wait for it, leave nothing behind.

A user-mode kernel and gVisor see the host's files and run `guest.py` there. A kernel image, which without KVM is
emulated and slow, gets a file system of its own: a shell, the runner in C and the scenarios.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from functools import cache
from pathlib import Path

from archive import Files, Kernel, LabError, load_order

HERE = Path(__file__).parent
_INTERPRETER, _OURS = b"/lib64/ld-linux-x86-64.so.2", b"./ld-linux-x86-64.so.2"
#: Less waiting for grace periods when a namespace goes; nothing else that bears on sockets.
_PARAMETERS = ["quiet", "loglevel=2", "rcupdate.rcu_expedited=1"]


_stopping = threading.Event()
_running: set[subprocess.Popen[bytes]] = set()


def stop() -> None:
    """End all machines, and start no more."""
    _stopping.set()
    for process in [*_running]:
        _end(process)


def unable(kernel: Kernel, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Why a kernel cannot be booted on this machine; empty if it can."""
    if kernel.amx or "amx_tile" not in cpuinfo.read_text().split():
        return ""
    return "not booted: this processor has AMX, whose state this kernel cannot keep"


def boot(how: str, files: Files, work: Path, minutes: float) -> None:
    """Run the work on a kernel: ``guest.py``'s files appear in `work`. Raises LabError if it does not end by itself."""
    command, cwd, environment = {"uml": _uml, "image": _image, "gvisor": _gvisor}[how](files, work)
    with open(work / "console.log", "wb") as console:
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=console,
            stderr=console, start_new_session=True,
        )  # fmt: skip
        _running.add(process)
        try:
            if _stopping.is_set():
                raise LabError("stopped")
            process.wait(minutes * 60)
        except subprocess.TimeoutExpired:
            raise LabError(f"not done after {minutes:g} minutes; its console is {work / 'console.log'}") from None
        finally:
            _end(process)
            _running.discard(process)
    if how == "image":
        _unpack_answers(work)


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _uml(files: Files, work: Path) -> tuple[list[str], Path, dict[str, str]]:
    """A program for this machine; where it came with a C library it is made to start by that one."""
    program, cwd = files.program, work
    if files.libraries is not None:
        data = program.read_bytes()
        if data.count(_INTERPRETER + b"\0") != 1:
            raise LabError(f"{program} is no program that {_INTERPRETER.decode()} starts")
        program, cwd = work / "program", files.libraries
        program.write_bytes(data.replace(_INTERPRETER, _OURS.ljust(len(_INTERPRETER), b"\0")))
        program.chmod(0o755)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else str(work)
    arguments = ["mem=1G", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1"]
    arguments.append("seccomp=auto")  # since 6.16: system calls without ptrace, in two thirds of the time
    command = [str(program), *arguments, *_PARAMETERS, f"init={sys.executable}", "--"]
    command += ["-P", str(HERE / "guest.py"), "init", str(work)]
    return command, cwd, {"LD_LIBRARY_PATH": "." if files.libraries else "", "TMPDIR": memory}


def _gvisor(files: Files, work: Path) -> tuple[list[str], Path, dict[str, str]]:
    state = work / "state"
    options = [f"--root={state}", "--network=none", "--platform=systrap"]
    command = [str(files.program), *options, "do", "-force-overlay=false"]
    return [*command, sys.executable, "-P", str(HERE / "guest.py"), "sandbox", str(work)], work, {}


def _image(files: Files, work: Path) -> tuple[list[str], Path, dict[str, str]]:
    qemu, busybox = shutil.which("qemu-system-x86_64"), shutil.which("busybox")
    if qemu is None or busybox is None:
        raise LabError("needs qemu-system-x86_64 and busybox: install qemu-system-x86 and busybox-static")
    initrd = work / "initrd"
    _archive(_root_files(files, work, Path(busybox)), initrd)
    accelerator = "kvm" if _kvm_works(qemu, files.program, busybox) else "tcg"
    command = [*_machine(qemu, accelerator, files.program, initrd), "-serial", f"file:{work / 'answers.tar'}"]
    return command, work, {}


def _machine(qemu: str, accelerator: str, kernel: Path, initrd: Path) -> list[str]:
    command = [qemu, "-accel", accelerator, "-m", "1G", "-display", "none", "-monitor", "none", "-nic", "none"]
    append = " ".join(["console=ttyS0", "panic=-1", "mitigations=off", *_PARAMETERS])
    command += ["-no-reboot", "-kernel", str(kernel), "-initrd", str(initrd), "-append", append]
    return [*command, "-serial", "stdio"]


@cache
def _kvm_works(qemu: str, kernel: Path, busybox: str) -> bool:
    """Whether a machine that turns itself off does so with KVM: the device may be there and not work."""
    if not os.access("/dev/kvm", os.W_OK):
        return False
    with tempfile.TemporaryDirectory() as name:
        initrd = Path(name, "initrd")
        init = b"#!/bin/busybox sh\n/bin/busybox poweroff -f\n"
        _archive({"bin/busybox": Path(busybox).read_bytes(), "init": init}, initrd)
        command = _machine(qemu, "kvm", kernel, initrd)
        try:
            return not subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20).returncode
        except subprocess.TimeoutExpired:
            return False


def _root_files(files: Files, work: Path, busybox: Path) -> dict[str, bytes]:
    found = {"bin/busybox": busybox.read_bytes(), "init": (HERE / "init.sh").read_bytes()}
    found |= {f"work/{path.name}": path.read_bytes() for path in [work / "runner", *work.glob("*.scenario")]}
    modules = load_order(files.modules) if files.modules is not None else []
    return found | {f"modules/{n:03}-{path.name}": path.read_bytes() for n, path in enumerate(modules)}


def _archive(files: dict[str, bytes], to: Path) -> None:
    """Write `files` as a cpio archive (format newc), as Documentation/driver-api/early-userspace asks for."""
    directories = dict.fromkeys(str(above) for name in files for above in reversed(Path(name).parents[:-1]))
    entries = [(name, 0o040755, b"") for name in directories]
    entries += [(name, 0o100755, data) for name, data in files.items()]
    with open(to, "wb") as file:
        for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
            label = name.encode() + b"\0"
            fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(label), 0)
            head = b"070701" + b"".join(b"%08x" % field for field in fields) + label
            file.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))


def _unpack_answers(work: Path) -> None:
    """The machine's files came by its second serial port."""
    try:
        with tarfile.open(work / "answers.tar") as answers:
            answers.extractall(work, filter="data")
    except (tarfile.TarError, EOFError, OSError):
        raise LabError(f"it ended without its answers; its console is {work / 'console.log'}") from None
