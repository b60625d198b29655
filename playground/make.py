"""Builds the playground into a directory that any static server can serve: python playground/make.py OUT.

The models themselves run in the browser, in Pyodide, Python for WebAssembly. It comes from npm in the version below, is
held by its hash, and lies in OUT: the page asks nobody else for anything.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from samples import samples

ROOT = Path(__file__).parents[1]
SOURCE = Path(__file__).parent / "source"
PAGE = ROOT / "pytest_sockreuse" / "page" / "source"

PYODIDE = "pyodide@314.0.7"
INTEGRITY = "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="  # sha512
NEEDED = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
LOCK = "pyodide-lock.json"

#: What the bridge imports, and what that reads.
MODULES = ("answers", "completion")
DATA = ("options.toml", "platforms.toml", "settings.toml")
#: Of the scripts of the page of `sockreuse report --html`, what the playground draws with too.
SHARED = {"dom": "el outside hidden announce bounded copyable choice plural", "outcome": "saidCell signed"}
NEEDS = {"outcome": {"dom": "el"}}


class BuildError(Exception):
    """What is wrong, in one line that says what helps."""


def build(out: Path, packed: Path | None = None) -> None:
    """Writes the playground into `out`; with `packed`, npm's file of Pyodide, without asking npm. Raises BuildError."""
    out.mkdir(parents=True, exist_ok=True)
    for path in SOURCE.iterdir():
        shutil.copyfile(path, out / path.name)
    (out / "style.css").write_text("".join(map(_read, (PAGE / "page.css", SOURCE / "playground.css"))), "utf-8")
    for name, exported in SHARED.items():
        needs = "".join(f'import {{ {what} }} from "./{other}.js";\n' for other, what in NEEDS.get(name, {}).items())
        script = f"{needs}{_read(PAGE / f'{name}.js')}\nexport {{ {', '.join(exported.split())} }};\n"
        (out / f"{name}.js").write_text(script, "utf-8")
    _package(out / "package.zip")
    groups = [{"title": title, "examples": [one._asdict() for one in some]} for title, some in samples().items()]
    (out / "examples.json").write_text(json.dumps(groups), "utf-8")
    _pyodide(out / "pyodide", packed)
    _run("node", str(Path(__file__).with_name("compile.mjs")), str(out))


def _read(path: Path) -> str:
    return path.read_text("utf-8")


def _package(path: Path) -> None:
    """Our modules that are needed, in an archive that is the same each time."""
    names = sorted(_modules()) + sorted(f"pytest_sockreuse/conformance/{name}" for name in DATA)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), (ROOT / name).read_bytes(), zipfile.ZIP_DEFLATED)


def _modules() -> Iterator[str]:
    """The files of our modules that the bridge imports, and of those that they import."""
    code = (
        f"from pytest_sockreuse import {', '.join(MODULES)}, model; model.families(); import sys; print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in found.stdout.split():
        if name.partition(".")[0] == "pytest_sockreuse":
            path = name.replace(".", "/")
            yield f"{path}.py" if (ROOT / f"{path}.py").exists() else f"{path}/__init__.py"


def _pyodide(out: Path, packed: Path | None) -> None:
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        path = packed or _fetched(Path(work))
        found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise BuildError(f"{path.name} is not {PYODIDE}: its sha512 is {found}, not {INTEGRITY}")
        with tarfile.open(path) as archive:
            for name in (*NEEDED, LOCK):
                member = archive.extractfile(f"package/{name}")
                assert member is not None
                (out / name).write_bytes(member.read())
    lock = json.loads(_read(out / LOCK))
    (out / LOCK).write_text(json.dumps({"info": lock["info"], "packages": {}}), "utf-8")  # none can be loaded


def _fetched(work: Path) -> Path:
    return work / _run("npm", "pack", "--silent", PYODIDE, at=work).split()[-1]


def _run(program: str, *arguments: str, at: Path = ROOT) -> str:
    found = shutil.which(program)
    if found is None:
        raise BuildError(f"{program} is missing, of Debian's packages nodejs and npm")
    done = subprocess.run([found, *arguments], cwd=at, capture_output=True, text=True, check=False)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-8:]
        raise BuildError("\n".join([f"{program} {arguments[0]} failed:", *(line[:200] for line in last)]))
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="the directory, which is made")
    parser.add_argument("--pyodide", type=Path, metavar="FILE", help="npm's file, instead of fetching it")
    arguments = parser.parse_args()
    try:
        build(arguments.out, arguments.pyodide)
    except BuildError as error:
        print(f"make.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
