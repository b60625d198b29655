"""Which platform this is, told from what the OS says; names and spans of versions."""

from __future__ import annotations

import os
import platform as std_platform
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse import platforms
from pytest_sockreuse.data import DataError
from pytest_sockreuse.platforms import Platform, PlatformError, Span, asked_for, known, named, registry, version

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=200)

Unix = Callable[..., Platform]


@pytest.fixture
def unix(monkeypatch: pytest.MonkeyPatch) -> Iterator[Unix]:
    """Makes this process believe what `uname`, files and commands say."""

    def fake(
        sysname: str,
        release: str,
        build: str = "#1 SMP",
        files: dict[str, str] | None = None,
        output: dict[str, str] | None = None,
    ) -> Platform:
        uname = types.SimpleNamespace(sysname=sysname, release=release, version=build, machine="x86_64", nodename="n")
        monkeypatch.setattr(os, "uname", lambda: uname, raising=False)
        monkeypatch.setattr(sys, "platform", sysname.lower())
        monkeypatch.setattr(platforms, "_read", lambda path: (files or {}).get(path, ""))
        monkeypatch.setattr(platforms, "_output", lambda *command: (output or {}).get(" ".join(command), ""))
        platforms.current.cache_clear()
        return platforms.current()

    yield fake
    platforms.current.cache_clear()


LINUXES = {
    "plain": ("6.18.44", "#1 SMP", {}, "linux-6.18.44", ""),
    "vendor suffix": ("6.18.44-fc", "#1 SMP", {}, "linux-6.18.44", "fc"),
    "release candidate": ("7.3.0-rc4", "#1 SMP", {}, "linux-7.3.0", "rc4"),
    "no patch level": ("6.18-custom", "#1 SMP", {}, "linux-6.18", "custom"),
    "ubuntu": (
        "6.17.0-1022-azure",
        "#22~24.04.1-Ubuntu SMP",
        {"/proc/version_signature": "Ubuntu 6.17.0-1022.22~24.04.1-azure 6.17.13"},
        "linux-6.17.13",
        "1022-azure",
    ),
    "ubuntu, signature cut short": (
        "6.8.0-60-generic",
        "#63-Ubuntu SMP",
        {"/proc/version_signature": "Ubuntu 6.8.0"},
        "linux-6.8.0",
        "60-generic",
    ),
    "debian": ("6.1.0-44-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-09-02)", {}, "linux-6.1.176", "debian"),
    "debian cloud": ("6.12.0-5-cloud-amd64", "#1 SMP Debian 6.12.101-1", {}, "linux-6.12.101", "debian"),
    "wsl2": ("6.6.87.2-microsoft-standard-WSL2", "#1 SMP", {}, "linux-6.6.87.2", "microsoft-standard-WSL2"),
    "uml": ("6.1.176", "#1", {"/proc/cpuinfo": "vendor_id\t: User Mode Linux\n"}, "linux-6.1.176", "uml"),
    "red hat": ("5.14.0-503.11.1.el9_5.x86_64", "#1 SMP", {}, "linux-5.14.0", "503.11.1.el9_5.x86_64"),
    "android": ("5.10.223-android13-4-00001-g0123", "#1 SMP", {}, "linux-5.10.223", "android13-4-00001-g0123"),
    "wsl1": ("4.4.0-19041-Microsoft", "#5072-Microsoft Fri Dec 31 2021", {}, "wsl1-4.4.0", ""),
    "gvisor": ("4.4.0", "#1 SMP Sun Jan 10 15:06:54 PST 2016", {}, "gvisor-20240729", ""),
    "gvisor of 2026": ("4.19.0-gvisor", "#1 SMP Sun Jan 10 15:06:54 PST 2016", {}, "gvisor-20260427", ""),
    "4.4 itself": ("4.4.0", "#1 SMP Mon Jan 11 2016", {}, "linux-4.4.0", ""),
}  # fmt: skip


@pytest.mark.parametrize(("release", "build", "files", "name", "flavour"), LINUXES.values(), ids=LINUXES)
def test_linux_and_what_calls_itself_linux(
    unix: Unix, release: str, build: str, files: dict[str, str], name: str, flavour: str
) -> None:
    found = unix("Linux", release, build, files)
    assert (found.name, found.flavour) == (name, flavour)
    assert found.version == version(found.label)


OTHERS = {
    "freebsd": ("FreeBSD", "14.3-RELEASE-p2", {}, "freebsd-14.3", "RELEASE-p2"),
    "freebsd current": ("FreeBSD", "16.0-CURRENT", {}, "freebsd-16.0", "CURRENT"),
    "dragonfly": ("DragonFly", "6.4-RELEASE", {}, "dragonfly-6.4", "RELEASE"),
    "netbsd": ("NetBSD", "10.1_STABLE", {}, "netbsd-10.1", ""),
    "openbsd": ("OpenBSD", "7.7", {}, "openbsd-7.7", ""),
    "macos": ("Darwin", "24.6.0", {"sw_vers -productVersion": "15.6.1"}, "macos-15.6.1", "darwin-24.6.0"),
    "macos 26": ("Darwin", "25.0.0", {"sw_vers -productVersion": "26.0"}, "macos-26.0", "darwin-25.0.0"),
}


@pytest.mark.parametrize(("sysname", "release", "output", "name", "flavour"), OTHERS.values(), ids=OTHERS)
def test_other_unix(unix: Unix, sysname: str, release: str, output: dict[str, str], name: str, flavour: str) -> None:
    found = unix(sysname, release, output=output)
    assert (found.name, found.flavour) == (name, flavour)


def test_macos_without_sw_vers(unix: Unix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(std_platform, "mac_ver", lambda: ("15.6", ("", "", ""), "arm64"))
    assert unix("Darwin", "24.6.0").name == "macos-15.6"


WINDOWS = {
    "windows 10": ((10, 0, 19045), 1, "windows-10"),
    "windows 11 21H2": ((10, 0, 22000), 1, "windows-10"),
    "windows 11 24H2": ((10, 0, 26100), 1, "windows-11"),
    "windows 11 25H2": ((10, 0, 26200), 1, "windows-11"),
    "server 2016": ((10, 0, 14393), 3, "windows-server-2016"),
    "server 2019": ((10, 0, 17763), 3, "windows-server-2019"),
    "server 2022": ((10, 0, 20348), 3, "windows-server-2022"),
    "server 2025": ((10, 0, 26100), 3, "windows-server-2025"),
    "server, older": ((6, 3, 9600), 3, "windows-server-2016"),
}


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Platform]]:
    def fake(build: tuple[int, int, int], product: int, wine: str = "") -> Platform:
        found = types.SimpleNamespace(major=build[0], minor=build[1], build=build[2], product_type=product)
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(sys, "getwindowsversion", lambda: found, raising=False)
        monkeypatch.setattr(platforms, "_wine", lambda: wine)
        platforms.current.cache_clear()
        return platforms.current()

    yield fake
    platforms.current.cache_clear()


@pytest.mark.parametrize(("build", "product", "name"), WINDOWS.values(), ids=WINDOWS)
def test_windows_by_its_build(
    windows: Callable[..., Platform], build: tuple[int, int, int], product: int, name: str
) -> None:
    found = windows(build, product)
    assert found.name == name
    assert found.version == build


@pytest.mark.parametrize(
    ("says", "name"), [("8.0", "wine-8.0"), ("10.0 (Staging)", "wine-10.0"), ("10.1-rc2", "wine-10.1")]
)
def test_wine_is_not_windows_and_has_versions_of_its_own(
    windows: Callable[..., Platform], says: str, name: str
) -> None:
    assert windows((10, 0, 19045), 1, wine=says).name == name


SUNS = {
    "omnios": ("omnios-r151058-4ea7b7c0d3", "", "illumos-r151058", "omnios"),
    "smartos": ("joyent_20250124T001234Z", "", "illumos-20250124", "smartos"),
    "openindiana": ("illumos-4ea7b7c", 'NAME="OpenIndiana"\nVERSION="2024.10"\n', "illumos-2024.10", "illumos-4ea7b7c"),
    "illumos alone": ("illumos-4ea7b7c", "", "illumos-5.11", "illumos-4ea7b7c"),
    "solaris": ("11.4.62.152.3", "", "solaris-11.4.62.152", ""),
}  # fmt: skip


@pytest.mark.parametrize(("build", "release", "name", "flavour"), SUNS.values(), ids=SUNS)
def test_illumos_by_its_distribution_and_not_solaris(
    unix: Unix, build: str, release: str, name: str, flavour: str
) -> None:
    found = unix("SunOS", "5.11", build, files={"/etc/os-release": release})
    assert (found.name, found.flavour) == (name, flavour)
    assert found.version == version(found.label)


def test_describe_is_json_of_text_down_to_the_settings() -> None:
    found = platforms.describe()
    settings_ = found.pop("knobs")
    assert found["platform"] == platforms.current().name
    assert set(map(type, [*found.values(), *settings_.values()])) <= {str}
    if found["stack"] == "linux":
        assert "net.ipv4.ip_local_port_range" in settings_


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("linux-6.1.176", (6, 1, 176)),
        ("linux-6.1.5", (6, 1, 5)),
        ("freebsd-14.0", (14, 0)),
        ("macos-15", (15,)),
        ("netbsd-10.1", (10, 1)),
        ("openbsd-7.9", (7, 9)),
        ("illumos-r151058", (151058,)),
        ("illumos-r151060", (151060,)),
        ("windows-11", (10, 0, 26100)),
        ("windows-server-2025", (10, 0, 26100)),
        ("gvisor-20240729", (20240729,)),
    ],
)
def test_names_of_the_contract(name: str, numbers: tuple[int, ...]) -> None:
    assert named(name).version == numbers
    assert named(name).name == name


def test_a_patch_level_left_out_is_the_newest_of_the_line() -> None:
    newest = max(p.version for p in platforms.known() if p.stack == "linux" and p.version[:2] == (6, 18))
    assert named("linux-6.18").version == newest
    assert named("linux-6").version[0] == 6
    assert named("freebsd-14").version == max(p.version for p in platforms.known() if p.name.startswith("freebsd-14"))


def test_every_known_platform_is_found_by_its_name() -> None:
    for entry in platforms.known():
        assert named(entry.name) == entry


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("linx-6.18", "linux-6.18"),
        ("windows-12", "windows-11"),
        ("server-2025", "windows-server-2025"),
        ("freebsd14", "freebsd-14"),
        ("gvisor-20240730x", "gvisor-20240729"),
        ("linux", "linux-"),
        ("darwin", "perhaps macos-"),
        ("osx", "perhaps macos-"),
        ("win32", "perhaps windows-"),
        ("linux-", "linux-"),
        ("", "known are"),
        ("plan9-4", "known are"),
        ("linux-6.18.x", "linux-6.18"),
        ("linux-99999999999", "linux-"),
        ("macos-" + "9" * 500, "known are"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(PlatformError) as caught:
        named(name)
    assert near in str(caught.value)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("ubuntu-24.04", "linux-6.17.13"),
        ("ubuntu-24.04-arm", "linux-6.17.13"),
        ("windows-latest", "windows-server-2025"),
        ("windows-11-arm", "windows-11"),
        ("macos-15-intel", "macos-15"),
        ("macos-15", "macos-15"),  # a version's own name
        ("linux-6.1", "linux-6.1.176"),
    ],
)
def test_a_label_of_ci_is_the_platform_of_its_machines(label: str, name: str) -> None:
    assert asked_for(label).name == name


def test_the_images_that_are_measured_can_be_asked_for() -> None:
    for stack, table in registry().items():
        for image in (image for leg in table.get("legs", ()) for image in leg.get("images", ())):
            assert asked_for(image).stack == stack


@pytest.mark.parametrize(
    ("name", "near"),
    [("ubuntu-23.10", "ubuntu-2"), ("windows-last", "windows-latest"), ("ubuntu-latst", "ubuntu-latest")],
)
def test_an_unknown_label_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(PlatformError, match=f"^no platform '{name}': perhaps .*{near}.*; known are "):
        asked_for(name)


def test_of_very_many_names_the_first_and_the_last_are_told() -> None:
    with pytest.raises(PlatformError) as told:
        named("plan9")
    names = [it.name for it in known() if it.stack == "linux"]
    assert f"known are {names[0]} to {names[-1]}, gvisor-" in str(told.value)


def test_a_label_of_no_version_is_a_mistake_in_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = '[linux]\ntitle = "Linux"\nversions = ["6.1.176"]\nlabels = { ubuntu-99 = "6.17" }\n'
    (tmp_path / "platforms.toml").write_text(text)
    monkeypatch.setattr(platforms, "CONFORMANCE", tmp_path)
    with pytest.raises(DataError, match=r"^platforms\.toml:1: linux: label 'ubuntu-99' should be one of its versions"):
        registry.__wrapped__()


def test_results_are_of_a_platform_and_of_no_label() -> None:
    with pytest.raises(PlatformError):
        named("ubuntu-24.04")


# --- versions and spans -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("6.17.0-1022-azure", (6, 17, 0)),
        ("14.3-RELEASE-p2", (14, 3)),
        ("10.0.26100", (10, 0, 26100)),
        ("6.6.87.2-microsoft", (6, 6, 87, 2)),
        ("15", (15,)),
    ],
)
def test_version(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers


@pytest.mark.parametrize("text", ["", "rc1", "-6.1", ".5", "v6.1"])
def test_no_version(text: str) -> None:
    with pytest.raises(PlatformError, match="version"):
        version(text)


@pytest.mark.parametrize(
    ("since", "until", "inside", "outside"),
    [
        ((), (), ["0.1", "6.1.176", "99"], []),
        (("6.3",), (), ["6.3", "6.3.1", "7.0"], ["6.2.99", "5.99"]),
        (("6.1.32", "6.3"), (), ["6.1.32", "6.1.176", "6.3.0", "6.18.44"], ["6.1.31", "6.2.16", "6.0.99", "5.15.200"]),
        ((), ("6.1.32", "6.3"), ["6.1.31", "6.2.16", "5.10"], ["6.1.32", "6.1.176", "6.3.0", "7.0"]),
        (("14.1",), ("15",), ["14.1", "14.3"], ["14.0", "15.0", "13.5"]),
        (("10.0.22000",), (), ["10.0.22000", "10.0.26100"], ["10.0.19045"]),
    ],
)
def test_spans_know_backports(
    since: tuple[str, ...], until: tuple[str, ...], inside: list[str], outside: list[str]
) -> None:
    span = Span(since, until)
    assert [text for text in [*inside, *outside] if version(text) in span] == inside


def test_a_span_in_words() -> None:
    assert str(Span(("6.1.32", "6.3"), ("7.0",))) == "since 6.1.32, 6.3 until 7.0"
    assert str(Span()) == ""


#: Versions of three lines, small enough to try every one: patch levels 0 to 5 of lines 0.0 to 3.3.
EVERY = [(major, minor, patch) for major in range(4) for minor in range(4) for patch in range(6)]
BOUNDS = st.one_of(
    st.tuples(st.integers(1, 2), st.integers(0, 3), st.integers(1, 4)).map(lambda v: ".".join(map(str, v))),
    st.tuples(st.integers(1, 2), st.integers(0, 3)).map(lambda v: ".".join(map(str, v))),
)
SPANS = st.builds(
    Span, st.lists(BOUNDS, max_size=3, unique=True).map(tuple), st.lists(BOUNDS, max_size=3, unique=True).map(tuple)
)


@PROPERTY
@given(SPANS, SPANS)
def test_spans_overlap_iff_a_version_lies_in_both(a: Span, b: Span) -> None:
    assert a.overlaps(b) == b.overlaps(a)
    shared = [at for at in EVERY if at in a and at in b]
    assert a.overlaps(b) == bool(shared), shared[:5]


@PROPERTY
@given(st.lists(BOUNDS, min_size=1, max_size=3, unique=True).map(tuple))
def test_before_and_after_do_not_overlap(bounds: tuple[str, ...]) -> None:
    before, after = Span(until=bounds), Span(since=bounds)
    assert not before.overlaps(after)
    assert all((at in before) != (at in after) for at in EVERY)
