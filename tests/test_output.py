"""Whatever stands at a path, what is written there leaves it what it was."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("links, modes, pipes and devices", allow_module_level=True)

import resource

from pytest_sockreuse import output
from pytest_sockreuse.cli import main


def new(path: Path) -> None:
    pass


def private(path: Path) -> None:
    path.write_text("old")
    path.chmod(0o600)


def link(path: Path) -> None:
    private(path.with_name("target"))
    path.symlink_to("target")


def dangling(path: Path) -> None:
    path.symlink_to("target")


@pytest.mark.parametrize("before", [new, private, link, dangling])
@pytest.mark.parametrize("name", ["r.jsonl", "x" * 250])
def test_a_file_is_replaced_where_it_is_and_keeps_its_mode(
    tmp_path: Path, before: Callable[[Path], None], name: str
) -> None:
    path = tmp_path / name
    before(path)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    output.check(path)
    output.write(path, "new")
    assert path.read_text() == "new"
    assert path.is_symlink() is (before in (link, dangling))
    assert mode in (None, stat.S_IMODE(path.stat().st_mode))
    assert {file.name for file in tmp_path.iterdir()} <= {name, "target"}


def test_a_device_is_written_to() -> None:
    """Of a terminal, which nothing can take the place of: this test is not to cost a machine its /dev/null."""
    master, slave = os.openpty()
    path = Path(os.ttyname(slave))
    try:
        output.check(path)
        output.write(path, "new\n")
        assert os.read(master, 100) == b"new\r\n"
        assert path.is_char_device()
    finally:
        os.close(master)
        os.close(slave)


def test_a_pipe_is_written_to_and_one_without_a_reader_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    output.check(path)
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
        output.write(path, "new")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        output.write(path, "new")
        assert os.read(reader, 100) == b"new"
    finally:
        os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize("name", [".", "absent/file", "file/file", "x" * 300])
def test_what_cannot_be_written_is_known_before(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r".") as before:
        output.check(tmp_path / name)
    with pytest.raises(OSError, match=r".") as now:
        output.write(tmp_path / name, "new")
    assert before.value.errno == now.value.errno
    assert os.listdir(tmp_path) == ["file"]


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            output.write(tmp_path / "file", "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_standard_output_is_gone_on_with(tmp_path: Path) -> None:
    """What the caller has sent to a file is not written over."""
    code = "import sys; from pathlib import Path; from pytest_sockreuse import output\n"
    code += "print('before', flush=True); output.write(Path('/dev/stdout'), 'new\\n'); print('after')"
    with open(tmp_path / "out", "wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert (tmp_path / "out").read_text() == "before\nnew\nafter\n"


def test_export_writes_so_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link(tmp_path / "suite")
    assert main(["export", str(tmp_path / "suite")]) == 0
    assert (tmp_path / "suite").is_symlink()
    assert (tmp_path / "target").read_text().startswith("# The suite ")
    assert main(["export", str(tmp_path / "absent" / "suite")]) == 2
    assert capsys.readouterr().err.endswith("suite: No such file or directory\n")
