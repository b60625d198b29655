"""What is asked from a shell, against a Python that does as little as can be, and as many tests that are empty."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_sockreuse.loader import load

from .ratio import OURS, PYTEST, Ratio, least, ran

_COMMAND = [sys.executable, "-c", "from pytest_sockreuse.cli import main; raise SystemExit(main())"]
_RULE = "order-dependence"


def version() -> Ratio:
    """`sockreuse --version`, to a Python that does nothing"""
    return least(9, lambda: ran([*_COMMAND, "--version"]), lambda: ran([sys.executable, "-c", "pass"]))


def check() -> Ratio:
    """`sockreuse check ordering-quirk`, to `import pytest`"""
    reference = [sys.executable, "-c", "import pytest"]
    return least(3, lambda: ran([*_COMMAND, "check", "ordering-quirk"]), lambda: ran(reference))


def unused() -> Ratio:
    """a run of one test with the plugin installed and not used, to one with an empty plugin"""
    with _tests(1) as at:
        Path(at, "empty.py").touch()  # to look for a plugin has its cost too, which is not ours
        return least(3, lambda: ran([*OURS, "test_empty.py"], at), lambda: ran([*PYTEST, "-p", "empty"], at))


def rule() -> Ratio:
    """`pytest --sockreuse=order-dependence`, to as many empty tests"""
    count = len(load(rules=[_RULE], check=False).variants)
    with _tests(count) as at:
        ours = [*OURS, f"--sockreuse={_RULE}", "--sockreuse-only"]
        return least(2, lambda: ran(ours, at), lambda: ran(PYTEST, at))


def collect() -> Ratio:
    """`pytest --sockreuse --collect-only`, to as many empty tests"""
    return _whole("--collect-only")


def suite() -> Ratio:
    """a variant of the whole suite, to an empty test"""
    return _whole().each(len(load(check=False).variants), "variant")


def _whole(*more: str) -> Ratio:
    with _tests(len(load(check=False).variants)) as at:
        return least(1, lambda: ran([*OURS, "--sockreuse-only", *more], at), lambda: ran([*PYTEST, *more], at))


@contextmanager
def _tests(count: int) -> Iterator[Path]:
    """A directory of so many tests that are empty."""
    with tempfile.TemporaryDirectory() as name:
        text = f"import pytest\n@pytest.mark.parametrize('n', range({count}))\ndef test(n): pass\n"
        Path(name, "test_empty.py").write_text(text)
        yield Path(name)
