"""Kernels out of an archive of packages: lists of our own, files checked by apt against the archive's signed hashes."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_KEYRING = "/usr/share/keyrings/{}-archive-keyring.gpg"
_MIRROR = {
    "debian": "http://deb.debian.org/debian",
    "debian-security": "http://deb.debian.org/debian-security",
    "ubuntu": "http://archive.ubuntu.com/ubuntu",
}
#: Modules that the suite needs; what they depend on comes with them.
_MODULES = ["ipv6", "crc32c_generic", "hmac", "sha1_generic", "md5", "sctp", "dummy", "inet_diag", "tcp_diag"]
_PROGRAMS = ("vmlinuz*", "linux.uml", "runsc")


class LabError(Exception):
    """A kernel cannot be had or run; one line for whoever asked."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What can be booted: `name` is the platform that it should turn out to be, `how` uml, image or gvisor."""

    name: str
    how: str
    suite: str = ""
    packages: tuple[str, ...] = ()
    archive: str = "debian"
    path: str = ""  # of one's own kernel, which is no package
    amx: bool = True  # whether it can keep the state of a processor that has AMX


@dataclass(frozen=True, slots=True)
class Files:
    """A kernel that is there: its program or image, its modules, package and version, C library, configuration."""

    program: Path
    modules: Path | None = None
    package: str = ""
    libraries: Path | None = None
    config: str = ""


def kernels() -> dict[str, Kernel]:
    """What `kernels.toml` names, in its order."""
    with open(Path(__file__).with_name("kernels.toml"), "rb") as file:
        table = tomllib.load(file)
    entries = [Kernel(**(entry | {"packages": tuple(entry["packages"])})) for entry in table["kernel"]]
    return {kernel.name: kernel for kernel in entries}


class Archive:
    """The archives of some kernels, kept at `cache`. The machine's own apt is asked nothing and changed in nothing."""

    def __init__(self, cache: Path, wanted: Iterable[Kernel]) -> None:
        self._cache = cache
        suites = {(kernel.archive, kernel.suite) for kernel in wanted}
        needed = ["apt-get", "dpkg-deb", *sorted(_KEYRING.format(archive) for archive, _ in suites)]
        if missing := [name for name in needed if shutil.which(name) is None and not Path(name).exists()]:
            raise LabError(f"needs {', '.join(missing)}: apt, and the keyring of each archive that is asked")
        for part in ("lists/partial", "archives/partial"):
            (cache / part).mkdir(parents=True, exist_ok=True)
        suites |= {(archive, suite.partition("-")[0]) for archive, suite in suites}
        self._suites = [_line(archive, suite) for archive, suite in sorted(suites)]
        self._lock, self._fresh = threading.Lock(), False

    def _apt(self, *arguments: str, cwd: Path) -> str:
        own = {
            "Dir::Etc::sourcelist": self._cache / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": self._cache / "lists", "Dir::Cache": self._cache, "APT::Sandbox::User": "root",
            "Acquire::Retries": 3,
        }  # fmt: skip
        options = [word for key, value in own.items() for word in ("-o", f"{key}={value}")]
        done = subprocess.run(["apt-get", "-q", *options, *arguments], cwd=cwd, capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"apt-get {' '.join(arguments)}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        return done.stdout

    def fetch(self, kernel: Kernel) -> Files:
        """A kernel, downloaded and unpacked unless that was done before, for the same modules. Raises LabError."""
        home, wanted = self._cache / kernel.name, " ".join((*kernel.packages, *_MODULES))
        done = home / "done"
        if not done.exists() or done.read_text() != wanted:
            self._refresh()
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            # Without a version it is the suite's: apt would take the newest of all suites.
            exact = [name if "=" in name else f"{name}/{kernel.suite}" for name in kernel.packages]
            package, *_ = [self._unpack(name, home / "tree") for name in exact]
            _arrange(kernel, home)
            if kernel.how == "uml":  # which may want a newer C library than the host's
                self._unpack(f"libc6/{kernel.suite}", home / "libc")
            (home / "package").write_text(package)
            done.write_text(wanted)
        return found(home)

    def _refresh(self) -> None:
        """Fetch the package lists, once."""
        with self._lock:
            if not self._fresh:
                (self._cache / "sources.list").write_text("".join(self._suites))
                self._apt("update", cwd=self._cache)
                self._fresh = True

    def _unpack(self, package: str, into: Path) -> str:
        """Download one package and unpack it; returns its name and version."""
        drawer = into.parent / "deb"
        drawer.mkdir()
        try:
            self._apt("download", package, cwd=drawer)
        except LabError as error:
            raise LabError(f"{error}; kernels.toml may name another of its line") from None
        (file,) = drawer.iterdir()
        subprocess.run(["dpkg-deb", "-x", file, into], check=True)
        shutil.rmtree(drawer)
        return " ".join(file.name.replace("%3a", ":").split("_")[:2])


def _line(archive: str, suite: str) -> str:
    mirror = _MIRROR["debian-security" if archive == "debian" and "security" in suite else archive]
    return f"deb [signed-by={_KEYRING.format(archive)}] {mirror} {suite} main\n"


def _arrange(kernel: Kernel, home: Path) -> None:
    """Put what is needed where `found` looks for it, and drop the rest of the packages."""
    tree = home / "tree"
    modules = next((path.parent for path in tree.rglob("modules/*/kernel")), None)
    program = next((path for name in _PROGRAMS for path in tree.rglob(name) if path.is_file()), None)
    if program is None:
        raise LabError(f"no kernel is in {' and '.join(kernel.packages)}; kernels.toml names the wrong package")
    (home / "boot").mkdir()
    program.rename(home / "boot" / (f"vmlinuz-{modules.name}" if modules and kernel.how == "image" else program.name))
    for config in [*tree.rglob("config-*"), *tree.rglob("config.gz"), *tree.rglob("modules/*/config")]:
        data = config.read_bytes()
        (home / "boot/config").write_bytes(gzip.decompress(data) if config.suffix == ".gz" else data)
    if modules is not None:
        _keep_modules(modules)
        (home / "lib/modules").mkdir(parents=True)
        modules.rename(home / "lib/modules" / modules.name)
        _index(home, modules.name)
    shutil.rmtree(tree)


def found(home: Path) -> Files:
    """What `fetch` left at `home`."""
    (program,) = (path for path in (home / "boot").iterdir() if path.name != "config")
    libraries = next(home.glob("libc/**/libc.so.6"), None)
    config = home / "boot/config"
    return Files(
        program, next(home.glob("lib/modules/*"), None), (home / "package").read_text(),
        libraries.parent if libraries else None, config.read_text() if config.exists() else "",
    )  # fmt: skip


def _keep_modules(directory: Path) -> None:
    """Leave the modules that are needed, uncompressed: a machine that starts cannot unpack them."""
    paths = {path.name.split(".")[0].replace("-", "_"): path for path in directory.rglob("*.ko*")}
    kept: set[str] = set()
    queue = [name for name in _MODULES if name in paths]
    while queue:
        name = queue.pop()
        if name in kept or name not in paths:
            continue
        kept.add(name)
        path = paths.pop(name)
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
            path.with_suffix("").write_bytes(data)
            path.unlink()
        if depends := re.search(rb"\0depends=([\w,-]+)\0", data):
            queue += depends[1].decode().replace("-", "_").split(",")
    for path in paths.values():
        path.unlink()


def _index(home: Path, release: str) -> None:
    depmod = shutil.which("depmod", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if depmod is None:
        raise LabError("needs depmod: install the package kmod")
    subprocess.run([depmod, "-b", home, release], check=True, stderr=subprocess.DEVNULL)


def load_order(modules: Path) -> list[Path]:
    """The modules that the suite needs, each after those that it depends on itself."""
    lines = [line.split(":", 1) for line in (modules / "modules.dep").read_text().splitlines()]
    depends = {Path(name).stem.replace("-", "_"): [*reversed(needs.split()), name] for name, needs in lines}
    order = dict.fromkeys(path for name in _MODULES for path in depends.get(name, ()))
    return [modules / name for name in order]
