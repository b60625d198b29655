"""What is built, and what the project says about itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sockreuse.platforms import CONFORMANCE

ROOT = Path(__file__).parent.parent
DIST = os.environ.get("SOCKREUSE_DIST")

needs_dist = pytest.mark.skipif(not DIST, reason="nothing is built here: `tox run -e package`")


def data_files() -> dict[str, bytes]:
    """The data that ships: everything in conformance/ but the lab, and what tools leave behind."""
    top = ROOT / "conformance"
    found = {path.relative_to(top).as_posix(): path for path in sorted(top.rglob("*")) if path.is_file()}
    left_out = r"^lab/|(^|/)[._]"
    return {name: path.read_bytes() for name, path in found.items() if not re.search(left_out, name)}


def setup_commands() -> list[str]:
    section = re.search(r"^## Set up a clone\n(.*?)(?:^## |\Z)", (ROOT / "README.md").read_text(), re.M | re.S)
    assert section
    return [line for block in re.findall(r"^```sh\n(.*?)^```", section[1], re.M | re.S) for line in block.splitlines()]


def test_base_install_needs_pytest_and_psutil_only() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sorted(project["dependencies"]) == ["psutil", "pytest>=8"]


def test_readme_has_two_setup_commands_and_the_gate_runs_the_second() -> None:
    main_job, tests = setup_commands()
    assert main_job.endswith(".venv/bin/pytest --sockreuse --sockreuse-only")
    gate = (ROOT / ".ci" / "run").read_text().replace('"', "").replace("$venv", ".venv")
    lines = [line for line in gate.splitlines() if line in tests.split(" && ")]
    assert lines == tests.split(" && ")


def test_the_installed_data_is_that_of_the_checkout() -> None:
    assert data_files()
    for name, content in data_files().items():
        assert (CONFORMANCE / name).read_bytes() == content, name


@pytest.fixture
def built() -> Callable[[str], Path]:
    def the_one(pattern: str) -> Path:
        (path,) = Path(DIST or "").glob(pattern)
        return path

    return the_one


@needs_dist
def test_the_wheel_has_the_data_once_and_nothing_else(built: Callable[[str], Path]) -> None:
    with zipfile.ZipFile(built("*.whl")) as wheel:
        names = wheel.namelist()
        inside = "pytest_sockreuse/conformance/"
        assert {n.removeprefix(inside): wheel.read(n) for n in names if n.startswith(inside)} == data_files()
    assert len(names) == len(set(names))
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"pytest_sockreuse"}
    assert "pytest_sockreuse/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]


@needs_dist
def test_the_sdist_can_build_and_test(built: Callable[[str], Path]) -> None:
    with tarfile.open(built("*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"conformance/{name}" for name in data_files()} <= names
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/*.py")} <= names
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("conformance/lab/*.*")} <= names
    assert {"pyproject.toml", "tox.ini", "LICENSE", "README.md", "CHANGELOG.md", "docs/decisions.md"} <= names
    assert not [name for name in names if name.startswith((".tox/", ".venv/", "pytest_sockreuse/conformance"))]


@needs_dist
def test_the_wheel_reads_its_own_data(built: Callable[[str], Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(built("*.whl")) as wheel:
        wheel.extractall(tmp_path)
    code = "from pytest_sockreuse.platforms import CONFORMANCE; print(CONFORMANCE.resolve(), CONFORMANCE.is_dir())"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True
    )
    assert run.stdout.decode().split() == [str(tmp_path.resolve() / "pytest_sockreuse" / "conformance"), "True"]
