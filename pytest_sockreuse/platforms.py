"""Platforms: their names, their versions, and which one this is.

A platform is a network *stack* before it is a version: gVisor, WSL 1 and Wine say they are Linux or Windows, and
are not.
The table of known ones is `conformance/platforms.toml`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .data import DataError, line_of, read, records
from .dataclass import dataclass
from .text import nearest, visible

#: The data: cases, claims, platforms, evidence. A symbolic link in a checkout, the files themselves in a wheel.
CONFORMANCE = Path(__file__).parent / "conformance"
#: Whether the data may have been changed since our tests checked it.
CHECKOUT = CONFORMANCE.is_symlink()

_NUMBERS = r"r?\d{1,9}(\.\d{1,9}){0,3}"  # r: OmniOS says r151058
Version = tuple[int, ...]
LATEST: Version = (9999,)


class PlatformError(ValueError):
    """A platform name or version that is not known; the message carries the nearest ones."""


def version(text: str) -> Version:
    """The numbers that a release begins with: ``6.17.0-1022-azure`` is (6, 17, 0), ``14.3-RELEASE-p2`` (14, 3)."""
    found = re.match(_NUMBERS, text)
    if not found:
        raise PlatformError(f"{text!r} does not begin with a version")
    return tuple(map(int, found.group().lstrip("r").split(".")))


@dataclass(frozen=True, slots=True)
class Span:
    """The versions from one of `since` up to, not including, one of `until`; empty tuples leave a side open.

    Each names release lines, because fixes are backported: ``6.1.32`` means line 6.1 from .32 on and says nothing of
    other lines, ``6.3`` means 6.3 and all that came after.
    """

    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def __contains__(self, at: Version) -> bool:
        return (not self.since or _reached(self.since, at)) and not _reached(self.until, at)

    def overlaps(self, other: Span) -> bool:
        """Whether some version lies in both; decided at the bounds, between which neither changes."""
        bounds = [version(text) for text in (*self.since, *self.until, *other.since, *other.until)]
        below = [
            (b[0], b[1] if len(b) > 1 else 0, b[2] - 1) if len(b) > 2 and b[2] else (*b[:1], *_minus(b[1:]))
            for b in bounds
        ]
        return any(at in self and at in other for at in [(0,), LATEST, *bounds, *below])

    def __str__(self) -> str:
        parts = [f"since {', '.join(self.since)}"] if self.since else []
        return " ".join([*parts, f"until {', '.join(self.until)}"] if self.until else parts)


def _minus(rest: Version) -> Version:
    return (rest[0] - 1, 9999) if rest and rest[0] else (-1,)


def _reached(lines: Iterable[str], at: Version) -> bool:
    for text in lines:
        line = version(text)
        if len(line) > 2 and at[:2] != line[:2]:
            continue
        if at >= line:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Platform:
    """A stack at a version. `label` is the version as people write it, `flavour` the vendor or wrapping, if any."""

    stack: str
    version: Version
    label: str
    flavour: str = ""

    def __hash__(self) -> int:
        return hash(self.label)  # which equal ones have in common: every prediction looks its platform up

    @property
    def name(self) -> str:
        """Such as ``linux-6.18.44``."""
        return f"{self.stack}-{self.label}"

    def __str__(self) -> str:
        return self.name


@cache
def registry() -> dict[str, dict[str, Any]]:
    """The stacks of `conformance/platforms.toml`: title and known versions of each, oldest first. Raises DataError."""
    path = CONFORMANCE / "platforms.toml"
    optional = {"builds": {"": str}, "labels": {"": str}, "settings": [str], "legs": [dict]}
    found = records(path, {"title": str, "versions": [str]}, optional)
    for stack, table in found.items():
        builds: dict[str, str] = table.get("builds", {})
        numbers = [builds.get(label, label) for label in table["versions"]]
        wrong = [text for text in numbers if not re.fullmatch(_NUMBERS, text)]
        if wrong or not numbers:
            what = f"{visible(wrong[0])!r} is no version (give it one in builds)" if wrong else "versions are missing"
            raise DataError(f"{path.name}:{line_of(stack, read(path)[1])}: {visible(stack)}: {what}")
        for label, text in table.get("labels", {}).items():
            if not any(known == text or known.startswith(f"{text}.") for known in table["versions"]):
                what = f"label {visible(repr(label))} should be one of its versions, or the beginning of one"
                raise DataError(f"{path.name}:{line_of(stack, read(path)[1])}: {visible(stack)}: {what}")
    return found


def known() -> list[Platform]:
    """Every platform of the registry, stack by stack, oldest first."""
    return list(_known())


@cache
def _known() -> tuple[Platform, ...]:
    return tuple(_entry(stack, label) for stack, table in registry().items() for label in table["versions"])


def newest(stack: str) -> Platform:
    """The newest platform of a stack that is known; of equal ones the first."""
    return max((platform for platform in known() if platform.stack == stack), key=lambda platform: platform.version)


def _entry(stack: str, label: str) -> Platform:
    builds: dict[str, str] = registry()[stack].get("builds", {})
    return Platform(stack, version(builds.get(label, label)), label)


def named(name: str) -> Platform:
    """The platform called `name`; where a patch level is left out, the newest known of that line.

    Raises PlatformError with the nearest names.
    """
    stack, _, label = name.partition("-")
    table = registry().get(stack)
    if table and label:
        if label in table["versions"]:
            return _entry(stack, label)
        if "builds" not in table and re.fullmatch(_NUMBERS, label):
            numbers = version(label)
            line = [v for v in table["versions"] if version(v)[: len(numbers)] == numbers]
            if line:
                return _entry(stack, line[-1])
            if len(numbers) > 1 or numbers[0] > 99999:  # a day, or a count
                return Platform(stack, numbers, label)
    raise _unknown(name)


#: What Python and others call systems.
_ALSO = {"darwin": "macos", "mac": "macos", "osx": "macos", "win32": "windows"}


def _unknown(name: str, labels: Iterable[str] = ()) -> PlatformError:
    names = [p.name for p in known()]
    close = nearest(_ALSO.get(name, name), [*names, *labels], 3, 0.4)
    hint = f"perhaps {' or '.join(close)}; " if close else ""
    more = f"; labels of CI are {', '.join(labels)}" if labels else ""
    spans = (_span([it for it in names if it.startswith(f"{stack}-")]) for stack in registry())
    return PlatformError(f"no platform {name!r}: {hint}known are {', '.join(spans)}{more}")


def _span(names: Sequence[str]) -> str:
    """The names of a system, of very many the first and the last."""
    return f"{names[0]} to {names[-1]}" if len(names) > 9 else ", ".join(names)


def labels() -> dict[str, Platform]:
    """What CI services call their machines, and the platform that each is now."""
    tables = registry().items()
    return {
        label: named(f"{stack}-{text}") for stack, table in tables for label, text in table.get("labels", {}).items()
    }


def asked_for(name: str) -> Platform:
    """The platform that a user calls so: by its name, or by the label of such a machine. Raises PlatformError."""
    found = labels()
    try:
        return found.get(name) or named(name)
    except PlatformError:
        raise _unknown(name, found) from None


# --- which one is this ------------------------------------------------------------------------------------------------

_KNOBS = {
    "linux": """ip_local_port_range ip_local_reserved_ports ip_autobind_reuse ip_unprivileged_port_start
        tcp_tw_reuse tcp_tw_reuse_delay tcp_timestamps tcp_fin_timeout tcp_max_tw_buckets ip_nonlocal_bind
        ip_local_port_step_width""",
    "freebsd": """net.inet.ip.portrange.first net.inet.ip.portrange.last net.inet.ip.portrange.reservedhigh
        net.inet.tcp.nolocaltimewait net.inet.tcp.msl net.inet.tcp.require_unique_port net.inet6.ip6.v6only""",
    "dragonfly": """net.inet.ip.portrange.first net.inet.ip.portrange.last kern.ipc.soaccept_reuse net.inet.tcp.msl""",
    "macos": """net.inet.ip.portrange.first net.inet.ip.portrange.last net.inet.tcp.msl net.inet6.ip6.v6only""",
    "netbsd": """net.inet.ip.anonportmin net.inet.ip.anonportmax net.inet6.ip6.v6only""",
    "openbsd": """net.inet.ip.portfirst net.inet.ip.portlast net.inet.ip.porthifirst net.inet.ip.porthilast""",
    "illumos": "smallest_anon_port largest_anon_port smallest_nonpriv_port extra_priv_ports _time_wait_interval",
}
_KNOBS["gvisor"] = _KNOBS["linux"]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536).strip()
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=False
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _linux(release: str, build: str) -> Platform:
    """Linux, or what calls itself Linux. The version is the upstream one, also where a vendor numbers differently."""
    if build == "#1 SMP Sun Jan 10 15:06:54 PST 2016" or "gvisor" in release or "-gvisor" in _read("/proc/cmdline"):
        # The sandbox does not tell its build; 4.19.0-gvisor came with the builds of April 2026.
        label = "20240729" if release.startswith("4.4") else "20260427"
        return Platform("gvisor", version(label), label)
    if "Microsoft" in release and "microsoft-standard" not in release:
        return _numbered("wsl1", release)
    upstream, flavour = release, release.partition("-")[2]
    signature = _read("/proc/version_signature").split()  # Ubuntu 6.17.0-1022.22-azure 6.17.13
    if debian := re.search(r"\bDebian (\d+\.\d+\.\d+)", build):
        upstream, flavour = debian.group(1), "debian"
    elif len(signature) == 3 and signature[0] == "Ubuntu":
        upstream = signature[2]
    if "User Mode Linux" in _read("/proc/cpuinfo"):
        flavour = "uml"
    return _numbered("linux", upstream, flavour)


def _windows(build: Version, server: bool) -> Platform:
    """Windows by its build number; a name where the registry has one that is not newer, else the build itself."""
    builds: dict[str, str] = registry()["windows"]["builds"]
    labels = [v for v in registry()["windows"]["versions"] if v.startswith("server") == server]
    label = max((v for v in labels if version(builds[v]) <= build), key=lambda v: version(builds[v]), default=labels[0])
    return Platform("windows", build, label)


def _wine() -> str:
    """The version of Wine, such as ``8.0`` or ``10.0 (Staging)``; empty on Windows itself."""
    if sys.platform == "win32":
        import ctypes

        ask = getattr(ctypes.WinDLL("ntdll"), "wine_get_version", None)
        if ask is not None:
            ask.restype = ctypes.c_char_p
            return str(ask().decode("ascii", "replace"))
    return ""


def _sunos(release: str, build: str) -> Platform:
    """illumos by the release of its distribution; Oracle Solaris, another stack since 2010, by its own."""
    if build[:1].isdigit():  # 11.4.62.152.3
        return _numbered("solaris", build)
    for flavour, form in (("omnios", r"omnios-(r\d{1,9})"), ("smartos", r"joyent_(\d{8})")):
        if found := re.match(form, build):
            return Platform("illumos", version(found.group(1)), found.group(1), flavour)
    found = re.search(r'^VERSION="?(\d{4}\.\d\d)', _read("/etc/os-release"), re.MULTILINE)  # OpenIndiana 2024.10
    return _numbered("illumos", found.group(1) if found else release, build)


def _numbered(stack: str, text: str, flavour: str = "") -> Platform:
    numbers = version(text)
    return Platform(stack, numbers, ".".join(map(str, numbers)), flavour)


@cache
def current() -> Platform:
    """The platform this process runs on."""
    if sys.platform == "win32":
        found = sys.getwindowsversion()
        if wine := _wine():
            return _numbered("wine", wine, wine.partition(" ")[2])
        return _windows((found.major, found.minor, found.build), found.product_type == 3)
    uname = os.uname()
    if uname.sysname == "Linux":
        return _linux(uname.release, uname.version)
    if uname.sysname == "Darwin":
        import platform as _platform

        label = _output("sw_vers", "-productVersion") or _platform.mac_ver()[0] or uname.release
        return Platform("macos", version(label), label, f"darwin-{uname.release}")
    if uname.sysname == "SunOS":
        return _sunos(uname.release, uname.version)
    return _numbered(uname.sysname.lower(), uname.release, uname.release.partition("-")[2])


def knobs(stack: str) -> dict[str, str]:
    """The settings that bear on ports, as this OS names them; those it does not have are left out."""
    names = _KNOBS.get(stack, "").split()
    if stack in ("linux", "gvisor"):
        values = {f"net.ipv4.{name}": _read(f"/proc/sys/net/ipv4/{name}") for name in names}
    elif stack == "illumos":
        values = {name: _output("ipadm", "show-prop", "-co", "current", "-p", name, "tcp") for name in names}
    else:
        values = {name: _output("sysctl", "-n", name) for name in names}
    return {name: " ".join(value.split()) for name, value in values.items() if value}


def describe() -> dict[str, Any]:
    """What ``sockreuse platform --json`` prints: who this is, down to the settings that bear on ports."""
    import platform as _platform

    here = current()
    return {
        "platform": here.name,
        "stack": here.stack,
        "version": here.label,
        "flavour": here.flavour,
        "release": _platform.release(),
        "build": _platform.version(),
        "machine": _platform.machine(),
        "python": _platform.python_version(),
        "knobs": knobs(here.stack),
    }
