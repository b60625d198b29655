"""The page without a browser: one file, of short scripts, in which what strangers write stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Conformance
from hypothesis import given
from hypothesis import strategies as st
from merging import FAILED, IDS, RULE, file_of, result

from pytest_sockreuse import page
from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix.build import build
from pytest_sockreuse.page.numbers import Strands, differences, steps

TEXTS = st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def unwound(tables: dict[str, Any], families: list[range]) -> list[list[int]]:
    """What `data.js` makes of strands."""
    strands = []
    for table, family in zip(tables["strands"], families, strict=True):
        number, found = 0, []
        for strand in table:
            parts, whole = (strand if isinstance(strand, list) else [strand]), list[int]()
            for at in range(0, len(parts), 2):
                number += parts[at]
                whole += [number] * (parts[at + 1] if at + 1 < len(parts) else len(family) - len(whole))
            found.append(whole)
        strands.append(found)
    sums = [[sum(column[: at + 1]) for at in range(len(column))] for column in tables["vectors"]]
    vectors = zip(*sums, strict=True)
    return [[number for family, at in enumerate(vector) for number in strands[family][at]] for vector in vectors]


@given(st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1))
def test_rows_come_back_from_their_strands(rows: list[list[int]]) -> None:
    families = [range(3), range(3, 4), range(4, 6)]
    strands = Strands(families)
    numbers = [strands.add(row) for row in rows]
    found = unwound(strands.tables(), families)
    assert [found[number] for number in numbers] == rows


@given(st.lists(st.integers(-9, 9)))
def test_numbers_come_back_from_their_differences(numbers: list[int]) -> None:
    found = differences(numbers)
    assert [sum(found[: at + 1]) for at in range(len(found))] == numbers
    placed = steps((at, number) for at, number in enumerate(numbers) if number)
    assert placed[1::2] == tuple(number for number in numbers if number)


@given(TEXTS)
def test_no_text_can_end_the_element_that_it_is_in(data: Any) -> None:
    text = page.in_script(data)
    assert not re.search("[<\u2028\u2029\x00-\x1f]", text)
    assert json.loads(text) == data
    assert not re.search("[<>\"']", page.escape(text))


@pytest.fixture
def small(conformance: Conformance, tmp_path: Path) -> str:
    """A page of a suite of one case, one run, and a file that was left out."""
    suite = load(conformance(sharing=RULE))
    good = file_of(tmp_path / "a.jsonl", suite, "linux-6.1.1", *(result(suite, id_, FAILED) for id_ in IDS))
    bad = tmp_path / "b<script>.jsonl"
    bad.write_text("{}")
    return page.html(build([good, bad], suite=suite, keep_going=True, all_known=False))


def test_the_page_is_whole_and_allows_its_own_script_and_style_alone(small: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', small)
    assert policy
    for element in ("style", 'script type="module"'):
        text = small.split(f"<{element}>")[1].split(f"</{element.split()[0]}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert not re.search(r"<(link|img|iframe|script src|object|embed)|@import|url\(", small)
    assert not re.search(r"\{[a-z]+\}", small.split("<style>")[0])


def test_what_was_left_out_is_on_the_page_and_is_text(small: str) -> None:
    assert "1 results file was left out" in small
    assert "b<script>" not in small
    assert "b\\u003cscript>.jsonl" in small


def test_the_sources_are_short_and_put_text_in_as_text() -> None:
    found = list(page.SOURCE.iterdir())
    assert {path.name for path in found} == {"page.html", "page.css", *(f"{name}.js" for name in page.SCRIPTS)}
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            path
        )
        assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", text), path
