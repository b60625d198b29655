"""Who may import whom: a module imports only what stands on a lower floor, and there are no circles."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import pytest_sockreuse

ROOT = Path(pytest_sockreuse.__file__).parent

# Folder -> its floors, the ground first. What shares a floor does not import each other: neither the live side and the
# models, nor two families. What is imported for its types alone counts too. A folder that is not named here has no
# floors of its own, but no circles either.
FLOORS = {
    "": (
        "dataclass",
        "scenario intake output text uncollected version",
        "data",
        "platforms",
        "options settings",
        "lines",
        "parser runtimes verdict",
        "arguments completion suite live model",
        "diagnosis encounters expected loader pins ports recorder running",
        "endings guard hold trace",
        "report",
        "answers matrix",
        "page",
        "explorer requirement",
        "hooks",
        "commands",
        "plugin cli __init__",
    ),
    "model": (
        "clause sock course memory address outlook ports",
        "prediction",
        "machine",
        "stream option states",
        "keys",
        "linux gvisor bsd illumos windows walk",
        "wine",
        "__init__",
    ),
}
# These may import inside a function, so that a run that asks for little loads little; downward like all others.
LAZY = {"plugin", "cli", "arguments", "commands", "hooks", "recorder.reader"}
# These import by name: the face what is public, the models their families, the command what does it.
BY_NAME = {"__init__", "cli", "model.__init__"}


@cache
def _modules() -> dict[str, Path]:
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}


class Arrow(NamedTuple):
    """Who imports whom of ours: when it is loaded, "lazy" inside a function, or for its "types" alone."""

    source: str
    target: str
    how: str = ""


@cache
def _imports() -> frozenset[Arrow]:
    return frozenset(arrow for name, path in _modules().items() for arrow in _found(name, path))


def _found(name: str, path: Path) -> Iterator[Arrow]:
    how: dict[ast.AST, str] = {}
    for node in ast.walk(ast.parse(path.read_bytes())):  # what is outside comes before what is inside
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            how |= dict.fromkeys(ast.walk(node), "lazy")
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            how |= dict.fromkeys(ast.walk(node), "types")
        for target in _targets(name, node):
            yield Arrow(name, target, how.get(node, ""))


def _targets(name: str, node: ast.AST) -> Iterator[str]:
    """The modules of ours that an import statement names."""
    modules = _modules()
    if isinstance(node, ast.Import):
        places = [alias.name.removeprefix("pytest_sockreuse.") for alias in node.names if _ours(alias.name)]
    elif isinstance(node, ast.ImportFrom) and (node.level or _ours(node.module or "")):
        above = name.split(".")[: -node.level] if node.level else []
        below = (node.module or "").split(".") if node.level else (node.module or "").split(".")[1:]
        base = ".".join(part for part in (*above, *below) if part)
        places = [f"{base}.{alias.name}".strip(".") for alias in node.names]
        places = [place if {place, f"{place}.__init__"} & modules.keys() else base for place in places]
    else:
        return
    for place in places:
        yield place if place in modules else f"{place}.__init__".removeprefix(".")


def _ours(module: str) -> bool:
    return module.partition(".")[0] == "pytest_sockreuse"


def _floors(source: str, target: str) -> tuple[int, int]:
    """The floors of two modules, in the innermost folder that both are in; (1, 0) where that has none."""
    sources, targets = source.split("."), target.split(".")
    depth = 0
    while sources[depth] == targets[depth] and len(sources) > depth + 1 < len(targets):
        depth += 1
    floors = FLOORS.get(".".join(sources[:depth]))
    if floors is None or source == target:
        return 1, 0
    numbers = {name: number for number, floor in enumerate(floors) for name in floor.split()}
    return numbers[sources[depth]], numbers[targets[depth]]


def _upward(*arrows: Arrow) -> list[str]:
    return sorted(f"{a} imports {b}" for a, b, _ in arrows if _floors(a, b)[0] <= _floors(a, b)[1])


def test_every_module_has_its_floor() -> None:
    for folder, floors in FLOORS.items():
        here = ROOT.joinpath(*folder.split("."))
        there = {path.stem for path in here.glob("*.py")} | {path.parent.name for path in here.glob("*/__init__.py")}
        if folder == "":
            there |= {"__init__"}
        assert sorted(" ".join(floors).split()) == sorted(there), f"{folder or 'pytest_sockreuse'}: put it on a floor"


def test_nothing_imports_upward() -> None:
    assert len(_imports()) > 100
    assert not _upward(*_imports())


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("scenario", "parser"),
        ("live.perform", "model.clause"),
        ("model.machine", "live.__init__"),
        ("model.linux.bind", "model.bsd.table"),
        ("model.clause", "model.__init__"),
        ("report.guards", "requirement"),
        ("expected", "hooks.suite"),
    ],
)
def test_an_arrow_upward_or_along_a_floor_is_found(source: str, target: str) -> None:
    assert _upward(Arrow("hooks.suite", "scenario"), Arrow(source, target)) == [f"{source} imports {target}"]


def test_there_are_no_circles() -> None:
    graph: dict[str, set[str]] = {name: set() for name in _modules()}
    for source, target, how in _imports():
        if how != "types":  # a state names its parts, and they the machine that has it
            graph[source].add(target)
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_no_import_inside_a_function_hides_an_arrow() -> None:
    hidden = {f"{a} imports {b}" for a, b, how in _imports() if how == "lazy" and not {a, a.partition(".")[0]} & LAZY}
    assert not hidden
    by_name = {name for name, path in _modules().items() if {"import_module", "__import__"} & _words(path)}
    assert by_name == BY_NAME


def _words(path: Path) -> set[str]:
    """The names that a module uses."""
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    return {n.id for n in nodes if isinstance(n, ast.Name)} | {n.attr for n in nodes if isinstance(n, ast.Attribute)}
