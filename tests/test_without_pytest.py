"""The command and `require()` in an environment that has neither pytest nor psutil, nor anything else."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

import pytest_sockreuse

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links the package into an environment")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment in which the package is alone, as ``pip install --no-deps`` leaves it."""
    root = tmp_path_factory.mktemp("bare")
    venv.create(root, symlinks=True)
    python = str(root / "bin" / "python")
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    package = Path(pytest_sockreuse.__file__).parent
    Path(site, package.name).symlink_to(package)
    return python


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["rules", "server-restart"],
        ["check", "server-restart", "ordering-quirk"],
        ["platform"],
    ],
)
def test_the_command_needs_no_pytest(bare: str, words: list[str]) -> None:
    code = (
        "import sys\n"
        "from pytest_sockreuse.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "absent = {'pytest', '_pytest', 'pluggy', 'psutil'}\n"
        "assert not absent & {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(status)"
    )
    done = subprocess.run([bare, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode in (0, 3)) == ("", True)
    assert done.stdout


def test_require_needs_no_pytest(bare: str) -> None:
    code = "import pytest_sockreuse as it; it.require('server-restart'); import pytest"
    done = subprocess.run([bare, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'pytest'"
