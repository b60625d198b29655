"""Predictions that are kept as data: what they say is what the models say today."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from shipped import shipped

from pytest_sockreuse.data import DataError
from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix import claims_page, kept
from pytest_sockreuse.matrix.build import PREDICTIONS, build
from pytest_sockreuse.matrix.kept import Stack, keep
from pytest_sockreuse.matrix.shape import ordered
from pytest_sockreuse.matrix.table import UNKNOWN
from pytest_sockreuse.model import families, predict
from pytest_sockreuse.model.prediction import outcome_text
from pytest_sockreuse.platforms import CONFORMANCE, known, named
from pytest_sockreuse.suite import Suite


@pytest.fixture(scope="module")
def suite() -> Suite:
    return shipped()


def _due(*_: object) -> None:
    pytest.fail("run `sockreuse results predict`, and commit what it writes")


@pytest.mark.parametrize("name", families())
def test_what_is_kept_is_of_these_models_and_this_suite(
    suite: Suite, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "predict_asking", _due)
    stack = Stack(name, suite, PREDICTIONS)
    if stack.anew:
        _due()
    platforms = [platform for platform in known() if platform.stack == name]
    for at, platform in enumerate(platforms):
        column = stack.column(platform)
        for row in range(17 * at, len(column), 1500):
            steps = predict(suite.variants[row].scenario, platform).steps
            said = tuple(UNKNOWN if step.unknown else ordered(outcome_text(step)) for step in steps)
            assert (column[row].outcome or (UNKNOWN,) * len(steps)) == said, suite.variants[row].id


@pytest.mark.parametrize("name", families())
def test_what_is_kept_meets_its_schema(name: str) -> None:
    schema = Draft202012Validator(json.loads((CONFORMANCE / "schema" / "prediction.json").read_text()))
    header, *lines = map(json.loads, (PREDICTIONS / f"{name}.jsonl").read_text().splitlines())
    assert all(map(schema.is_valid, (header, *lines[:4], *lines[4::20])))


def test_what_is_kept_serves_a_version_that_nobody_listed(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "predict_asking", None)
    assert len(Stack("linux", suite, PREDICTIONS).column(named("linux-6.12.50"))) == len(suite.variants)


@pytest.fixture
def small(conformance: Callable[..., Path]) -> Suite:
    return load(conformance())


def test_what_was_kept_is_found_again(small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list(keep(small, known(), tmp_path / "kept"))
    assert lines[0] == "kept/linux.jsonl: 1 cases predicted anew"
    written = (tmp_path / "kept" / "linux.jsonl").read_text()
    monkeypatch.setattr(kept, "predict_asking", None)  # nothing is predicted again
    list(keep(small, known(), tmp_path / "kept"))
    assert (tmp_path / "kept" / "linux.jsonl").read_text() == written


@pytest.mark.parametrize(("old", "new"), [('"model":"', '"model":"0'), ('"content":"', '"content":"0')])
def test_what_is_of_other_models_or_scenarios_is_predicted_anew(
    small: Suite, tmp_path: Path, old: str, new: str
) -> None:
    list(keep(small, known(), tmp_path))
    path = tmp_path / "linux.jsonl"
    path.write_text(path.read_text().replace(old, new).replace("EADDRINUSE", "ENEVER"))
    stack = Stack("linux", small, tmp_path)
    assert stack.anew == 1
    assert stack.column(named("linux-6.18"))[0].outcome[-1] == "EADDRINUSE"


def test_a_damaged_file_is_named(small: Suite, tmp_path: Path) -> None:
    list(keep(small, known(), tmp_path))
    path = tmp_path / "linux.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(DataError, match=r"linux\.jsonl: damaged .*; make it anew by `sockreuse results predict`"):
        Stack("linux", small, tmp_path)


def test_the_page_of_claims_is_that_of_the_results() -> None:
    page = Path(__file__).parents[1] / "docs" / "claims.md"
    what = "run `sockreuse report --claims docs/claims.md`, and commit what it writes"
    assert page.read_text(encoding="utf-8") == claims_page.text(build()), what


def test_a_model_is_known_by_its_own_sources_and_those_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Path(kept.__file__).parents[1]
    for name in ("model", "settings.py", "options.py"):
        copy = shutil.copytree if (package / name).is_dir() else shutil.copy
        copy(package / name, tmp_path / name)
    monkeypatch.setattr(kept, "__file__", str(tmp_path / "matrix" / "kept.py"))

    def changed(source: str) -> set[str]:
        before = {name: kept.model.__wrapped__(name) for name in families()}
        with open(tmp_path / source, "a") as file:
            file.write("#\n")
        return {name for name, known in before.items() if kept.model.__wrapped__(name) != known}

    assert changed("model/linux/tcp.py") == {"linux", "wine"}
    assert changed("model/bsd/macos.py") == {"freebsd", "dragonfly", "macos", "netbsd", "openbsd"}
    assert changed("model/walk.py") == changed("options.py") == set(families())
