"""The kernel lab without a kernel, and exploration by files: drawn here, performed elsewhere, compared here."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the lab runs on Linux", allow_module_level=True)

from pytest_sockreuse.explorer import remote
from pytest_sockreuse.explorer.remote import Draft, again, disagreements, draw
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current, named
from pytest_sockreuse.report.results import ResultsError
from pytest_sockreuse.settings import missing

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance" / "lab"))

import archive
import bench
import boot
import run


def test_every_kernel_is_a_platform_of_a_line_that_is_modelled() -> None:
    for name, kernel in archive.kernels().items():
        assert named(name).name == name
        assert kernel.how in ("uml", "image", "gvisor")
        assert kernel.packages


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (["linux-5.10.46"], ["linux-5.10.46"]),
        (["uml"], ["linux-5.10.46", "linux-6.1.176", "linux-6.12.113", "linux-7.2.7"]),
        (["all"], [*archive.kernels()]),
    ],
)
def test_kernels_are_asked_for_by_name_or_kind(asked: list[str], names: list[str]) -> None:
    assert [kernel.name for kernel in run._chosen(asked)] == names


def test_an_unknown_kernel_gets_the_nearest() -> None:
    with pytest.raises(
        archive.LabError, match=r"no kernel 'linux-5\.10\.47'; perhaps linux-5\.10\.46\? \(a path, or all"
    ):
        list(run._chosen(["linux-5.10.47"]))


@pytest.mark.parametrize(("head", "how"), [(b"\x7fELF\2", "uml"), (b"MZ\0\0", "image")])
def test_a_kernel_of_ones_own_is_told_by_its_first_bytes(head: bytes, how: str, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(head)
    (kernel,) = run._chosen([str(tmp_path / "kernel")])
    assert (kernel.how, kernel.path) == (how, str(tmp_path / "kernel"))


def test_a_kernel_is_fetched_once_for_the_modules_that_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def unpack(self: archive.Archive, package: str, into: Path) -> str:
        asked.append(package)
        into.mkdir(parents=True, exist_ok=True)
        (into / "linux.uml").touch()
        return "uml 1"

    monkeypatch.setattr(archive.Archive, "_refresh", lambda _: None)
    monkeypatch.setattr(archive.Archive, "_unpack", unpack)
    kernel = archive.Kernel("linux-1", "uml", "sid", ("uml=1", "more"))
    kept = object.__new__(archive.Archive)  # no Debian is needed here
    kept._cache = tmp_path
    for modules in (["ipv6"], ["ipv6"], ["ipv6", "sctp"]):
        monkeypatch.setattr(archive, "_MODULES", modules)
        assert kept.fetch(kernel).package == "uml 1"
    assert asked == ["uml=1", "more/sid", "libc6/sid"] * 2


@pytest.mark.skipif(not shutil.which("depmod", path="/usr/sbin:/sbin:/usr/bin"), reason="needs depmod")
@pytest.mark.parametrize("place", ["lib/modules/1.0.0", "usr/lib/modules/1.0.0", "usr/lib/uml/modules/1.0.0"])
def test_modules_are_found_wherever_a_package_has_them(tmp_path: Path, place: str) -> None:
    (tmp_path / "tree" / place / "kernel/net").mkdir(parents=True)
    (tmp_path / "tree" / place / "vmlinuz").touch()  # as Debian's 7.2 has it
    archive._arrange(archive.Kernel("linux-1", "image", "sid", ("image=1",)), tmp_path)
    assert (tmp_path / "lib/modules/1.0.0/modules.dep").exists()
    assert (tmp_path / "boot/vmlinuz-1.0.0").exists()


def test_packages_without_a_kernel(tmp_path: Path) -> None:
    (tmp_path / "tree/usr/share/doc").mkdir(parents=True)
    kernel = archive.Kernel("linux-1", "image", "sid", ("image-1", "modules-1"))
    with pytest.raises(archive.LabError, match=r"no kernel is in image-1 and modules-1; kernels\.toml names"):
        archive._arrange(kernel, tmp_path)


def test_modules_are_loaded_after_what_they_depend_on(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "net/sctp/sctp.ko: lib/libcrc32c.ko net/ipv6/ipv6.ko\nnet/ipv6/ipv6.ko:\nlib/libcrc32c.ko:\nfs/other.ko:\n"
    )
    order = [path.relative_to(tmp_path).as_posix() for path in archive.load_order(tmp_path)]
    assert order == ["net/ipv6/ipv6.ko", "lib/libcrc32c.ko", "net/sctp/sctp.ko"]


def test_a_kernel_that_cannot_keep_the_processors_state_is_not_booted(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    old, new = archive.Kernel("linux-1", "uml", amx=False), archive.Kernel("linux-2", "uml")
    for flags, refused in (("fpu avx512f", False), ("fpu amx_tile avx512f", True)):
        cpuinfo.write_text(f"flags\t\t: {flags}\n")
        assert bool(boot.unable(old, cpuinfo)) == refused
        assert not boot.unable(new, cpuinfo)


def test_results_are_filed_in_this_checkout_whatever_package_is_imported() -> None:
    assert Path(__file__).parents[1] / "conformance" / "results" == bench.RESULTS


def test_a_machine_that_does_not_end_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "kernel"
    program.write_text("#!/bin/sh\nexec 3>alive; sleep 1000 & wait\n")
    program.chmod(0o755)
    os.mkfifo(tmp_path / "alive")
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(archive.LabError, match=r"not done after 0\.01 minutes; its console is"):
        boot.boot("uml", archive.Files(program), tmp_path, 0.01)
    os.set_blocking(alive, True)
    assert os.read(alive, 1) == b""  # which comes when nobody holds the other end any more
    os.close(alive)


def test_the_machines_files_are_a_cpio_archive(tmp_path: Path) -> None:
    boot._archive({"bin/sh": b"12345", "init": b""}, tmp_path / "initrd")
    data, names = (tmp_path / "initrd").read_bytes(), []
    at = 0
    while data[at : at + 6] == b"070701":
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        names.append((data[at + 110 : at + 109 + length].decode(), size, oct(fields[1])))
        at += (110 + length + 3) // 4 * 4
        at += (size + 3) // 4 * 4
    assert names == [
        ("bin", 0, "0o40755"),
        ("bin/sh", 5, "0o100755"),
        ("init", 0, "0o100755"),
        ("TRAILER!!!", 0, "0o0"),
    ]


# --- exploration by files ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drafts() -> list[Draft]:
    return draw(current(), seed=7, count=60)


Answers = Callable[[Draft], list[str]]


@pytest.fixture(scope="module")
def answers(isolation: str) -> Answers:
    """What `sockreuse run --json` prints for a draft, on this OS."""
    if isolation != "netns":
        pytest.skip("the scenarios have users, and settings")

    def perform(draft: Draft) -> list[str]:
        with Runner() as runner:
            return [
                json.dumps(runner.run(scenario).to_json(str(number))) for number, scenario in enumerate(draft.scenarios)
            ]

    return perform


def test_a_draft_is_divided_before_a_runner_would_refuse_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw(current(), seed=7, count=30)
    monkeypatch.setattr(remote, "MOST", 60)
    parts = draw(current(), seed=7, count=30)
    assert [s for part in parts for s in part.scenarios] == [s for draft in whole for s in draft.scenarios]
    assert len(parts) > 4 > len(whole)
    assert all(part.text.count("\n") <= 60 or len(part.scenarios) == 1 for part in parts)


def test_this_os_does_what_is_drawn_as_outcomes(drafts: list[Draft], answers: Answers, tmp_path: Path) -> None:
    performed = 0
    for draft in drafts:
        (tmp_path / "answers").write_text("\n".join(answers(draft)) + "\n")
        count, found = disagreements(draft, tmp_path / "answers", current())
        assert not found
        performed += count
    assert performed > 50


def test_what_is_not_foretold_is_found_and_asked_again(drafts: list[Draft], answers: Answers, tmp_path: Path) -> None:
    lines = answers(drafts[0])
    number = next(
        n for n, line in enumerate(lines) if '"bind", "outcome": "ok"' in line or '.bind", "outcome": "ok"' in line
    )
    lines[number] = lines[number].replace('.bind", "outcome": "ok"', '.bind", "outcome": "ENOMEM"', 1)
    (tmp_path / "answers").write_text("\n".join(lines) + "\n")
    _, (suspect,) = disagreements(drafts[0], tmp_path / "answers", current())
    assert "ENOMEM" in suspect.signature
    assert again([suspect]).scenarios == [drafts[0].scenarios[number]]


@pytest.mark.parametrize(("cut", "message"), [("line", "not a line that the runner prints"), ("order", "should stand")])
def test_answers_that_are_cut_or_mixed_up_are_refused(
    cut: str, message: str, drafts: list[Draft], answers: Answers, tmp_path: Path
) -> None:
    lines = answers(drafts[0])
    lines = [*lines[:-1], lines[-1][:20]] if cut == "line" else lines[1:]
    (tmp_path / "answers").write_text("\n".join(lines) + "\n")
    with pytest.raises(ResultsError, match=message):
        disagreements(drafts[0], tmp_path / "answers", current())


@pytest.mark.parametrize(
    ("platform", "environment", "chosen"),
    [
        ("linux-6.18", "", (32768, 60999)),
        ("freebsd-14.0", "", (10000, 65535)),
        ("freebsd-14.0", "ephemeral 40000-40007\n", (40000, 40007)),
        ("freebsd-14.0", "sysctl net.inet.ip.portrange.first = 20000\n", (20000, 65535)),
        ("netbsd-10", "", (49152, 65535)),
    ],
)
def test_a_symbol_is_no_port_that_the_system_chooses(platform: str, environment: str, chosen: tuple[int, int]) -> None:
    low, high = chosen
    symbols = "".join(f"{name}.bind(127.0.0.1:{name})\n" for name in "PQR")
    scenario = parse(environment + "".join(f"{name} = tcp4()\n" for name in "PQR") + symbols)
    assert remote._range(environment, named(platform)) == chosen
    assert not any(low <= port <= high for port in remote._dealt(scenario, named(platform)).values())


@pytest.mark.parametrize("platform", ["linux-6.18", "freebsd-14.0", "netbsd-10", "openbsd-7"])
def test_what_is_drawn_for_a_system_asks_only_for_settings_that_it_has(platform: str) -> None:
    drawn = [scenario for draft in draw(named(platform), seed=1, count=80) for scenario in draft.scenarios]
    asked = [setting.name for scenario in drawn for setting in scenario.environment if setting.kind == "sysctl"]
    assert not any(missing(scenario, named(platform)) for scenario in drawn)
    assert bool(asked) == (platform != "openbsd-7")
