"""What is public: one table of names, and a page that describes each."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_sockreuse

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
SECTIONS = re.findall(r"^## `(.*?)`\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_every_public_name_is_there_and_listed() -> None:
    assert dir(pytest_sockreuse) == sorted(pytest_sockreuse.__all__)
    for name in pytest_sockreuse.__all__:
        assert getattr(pytest_sockreuse, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        pytest_sockreuse.absent  # noqa: B018


def test_a_type_checker_sees_the_same_names() -> None:
    tree = ast.parse(Path(pytest_sockreuse.__file__).read_bytes())
    typed = {
        alias.asname: node.module or alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == pytest_sockreuse._PUBLIC


@pytest.mark.parametrize(("module", "text"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_the_page_has_every_public_name_and_no_other(module: str, text: str) -> None:
    first = " ".join(re.findall(r"^\| (`.*?) \|", text, re.M))
    assert {re.sub(r"\(.*", "", code) for code in re.findall(r"`(.*?)`", first)} == {
        *importlib.import_module(module).__all__
    }


def test_none_of_them_imports_pytest() -> None:
    names = ", ".join(pytest_sockreuse.__all__)
    code = f"import sys\nfrom pytest_sockreuse import {names}\nassert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
