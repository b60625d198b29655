"""Every command and example of the README and the documents, as a newcomer meets them: ``python fresh_clone.py``.

What is committed is cloned into a new directory. There tox builds the site and performs the examples, and those that
set something up too, which `tox run -e docs` leaves out: in new virtual environments, without any cache, with a home
and an environment of their own, and as an unprivileged user where this one is root. Its status is tox's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
USER = "1000"
#: What is kept of the caller's environment: where programs are, and how the registry is reached.
KEPT = (
    "PATH",
    "LANG",
    "PIP_INDEX_URL",
    "PIP_CONFIG_FILE",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "npm_config_registry",
)


def environment(home: Path) -> dict[str, str]:
    """A newcomer's."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    none = {"PIP_NO_CACHE_DIR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "npm_config_cache": str(home / "npm")}
    return {"LANG": "C.UTF-8", **kept, **none, "HOME": str(home), "TMPDIR": str(home / "tmp"), "SOCKREUSE_FRESH": "1"}


def performed(top: Path, arguments: Sequence[str]) -> int:
    """Clone into `top` and perform all of it; the status of the first command that fails, or 0."""
    clone, home = top / "pytest-sockreuse", top / "home"
    (home / "tmp").mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, clone], check=True)
    as_user: list[str] = []
    python3 = sys.executable
    if sys.platform != "win32" and os.getuid() == 0:
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
        subprocess.run(["chown", "-R", f"{USER}:{USER}", top], check=True)
        python3 = "python3"  # that user's: this one's may lie where only root can look
    python = str(top / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    for command in (
        [python3, "-m", "venv", str(top / "venv")],
        [python, "-m", "pip", "install", "-q", "tox"],
        [python, "-m", "tox", "run", "-e", "docs", "--", "--durations=8", "-rs", *arguments],
    ):
        began = time.monotonic()
        status = subprocess.run([*as_user, *command], cwd=clone, env=environment(home)).returncode
        print(f"{time.monotonic() - began:6.0f} s  status {status}  {' '.join(command)}", flush=True)
        if status:
            return status
    return 0


def main() -> int:
    parser = argparse.ArgumentParser("fresh_clone", description="Perform the documents from a fresh clone.")
    parser.add_argument("argument", nargs="*", help="of pytest, as in -k CONTRIBUTING")
    arguments = parser.parse_args().argument
    with tempfile.TemporaryDirectory(prefix="sockreuse-fresh-") as top:
        os.chmod(top, 0o755)
        return performed(Path(top), arguments)


if __name__ == "__main__":
    sys.exit(main())
