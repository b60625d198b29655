"""The site: ``python docs/build.py SITE`` writes the pages, the matrix and, where it was built, the playground.

Sphinx is strict: a dead link within the documents, or an unknown name, ends it. Beside the pages lie `matrix.html`, of
the results that ship unless SITE has one of others already, and `playground/`, a copy of DIR (`--playground DIR`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import generated

ROOT = Path(__file__).parents[1]
DOOR = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>pytest-sockreuse</title>
<meta http-equiv="refresh" content="0; url=docs/index.html"></head>
<body><a href="docs/index.html">pytest-sockreuse</a></body></html>
"""
#: In the matrix, whose cases then link to the playground.
BESIDE = '<meta name="playground" content="playground/index.html">\n'


def build(site: Path, playground: Path | None) -> None:
    """Write the site to a directory. Raises CalledProcessError, OSError."""
    told = {generated.HAS_PLAYGROUND: "yes" if playground else ""}
    strict = ["-n", "-W", "--keep-going", "-q", "-d", str(site / ".doctrees"), "-c", str(ROOT / "docs")]
    _python("sphinx", *strict, str(ROOT), str(site), **told)
    shutil.rmtree(site / ".doctrees")
    if not (site / "matrix.html").exists():
        _python("pytest_sockreuse.cli", "report", "--html", str(site / "matrix.html"))
    if playground is not None:
        shutil.copytree(playground, site / "playground", dirs_exist_ok=True)
        matrix = (site / "matrix.html").read_text("utf-8")
        (site / "matrix.html").write_text(matrix.replace("<title>", f"{BESIDE}<title>", 1), "utf-8")
    (site / "index.html").write_text(DOOR, encoding="utf-8")


def _python(module: str, *arguments: str, **told: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, env={**os.environ, **told})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("build", description="Build the site.")
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("--playground", type=Path, metavar="DIR")
    asked = parser.parse_args(arguments)
    try:
        build(asked.site, asked.playground)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(f"the site is at {asked.site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
