"""What is written of the matrix: each form is one, whatever strangers wrote, and says itself what was left out."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from markdown_it import MarkdownIt
from merging import FAILED, IDS, RULE, file_of, result

from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix import as_ctrf, as_json, claims_page, markdown
from pytest_sockreuse.matrix import build as building
from pytest_sockreuse.matrix.badges import badges
from pytest_sockreuse.matrix.build import build
from pytest_sockreuse.matrix.overview import overview
from pytest_sockreuse.matrix.table import Matrix
from pytest_sockreuse.platforms import CONFORMANCE

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=40)
SCHEMA = Draft202012Validator(json.loads((CONFORMANCE / "schema" / "matrix.json").read_text()))
HOSTILE = [
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "@everyone",
    "a|@everyone",
    "<!--", "[x](javascript:alert(1))", "![x](//evil.example/x.png)", "https://evil.example/", "www.evil.example",
    "` @everyone `", "``` @everyone", "`<img src=x onerror=alert(1)>`", "\\`@everyone\\`", "&lt;script&gt;alert(1)",
    "\u2028", "\u202eevil", "\x1b[2J", "**x**", "#1", "$(id)", "{{7*7}}", "\ud800", " @everyone ", "</code>@everyone",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=20), min_size=1, max_size=3).map("".join)


@pytest.fixture
def merged(conformance: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Matrix]:
    """A made-up platform of which these are the facts and the reason, beside one that departs; a file is left out."""
    monkeypatch.setattr(building, "PREDICTIONS", tmp_path / "none")
    suite = load(conformance(sharing=RULE))

    def merge(text: str = "x", name: str = "left-out") -> Matrix:
        shown = [result(suite, IDS[0], FAILED, "unknown"), result(suite, IDS[1], {}, "unsupported", text or "x")]
        one = file_of(tmp_path / "a.jsonl", suite, "plan9-4", *shown, build=text, boot=text, knobs={"x": text})
        two = file_of(tmp_path / "b.jsonl", suite, "linux-6.18.44", result(suite, IDS[0], {}, "mismatch"))
        return build([one, two, tmp_path / f"{name}.jsonl"], suite=suite, all_known=False, keep_going=True)

    return merge


def as_html(text: str) -> ElementTree.Element:
    """Markdown as a host shows it, links found; what stood in it as HTML is kept."""
    rendered = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
    return ElementTree.fromstring(f"<page>{rendered.replace('<br>', '<br/>')}</page>")


def test_each_form_is_one_whatever_a_stranger_wrote(merged: Callable[..., Matrix]) -> None:
    for text in HOSTILE:
        _holds(merged(text, text.replace("/", "")))

    @PROPERTY
    @given(TEXTS)
    def holds(text: str) -> None:
        _holds(merged(text))

    holds()


def _holds(matrix: Matrix) -> None:
    assert not list(SCHEMA.iter_errors(json.loads(as_json.text(matrix))))
    json.loads(as_ctrf.text(matrix))
    assert all(line.isprintable() for line in overview(matrix))
    assert all(json.loads(badge)["schemaVersion"] == 1 for name, badge in badges(matrix) if name.endswith("json"))
    for page in (markdown.text(matrix), claims_page.text(matrix)):
        html = as_html(page)
        tags = {element.tag for element in html.iter()}
        assert tags <= set("page h1 h2 h3 p ol ul li strong code table thead tbody tr th td".split()), tags
        loose = [element.text for element in html.iter() if element.tag != "code"] + [e.tail for e in html.iter()]
        assert not re.search(r"@everyone|evil|onerror|alert", "".join(filter(None, loose)))


def test_each_form_says_what_was_left_out(merged: Callable[..., Matrix]) -> None:
    matrix = merged()
    texts = [form.text(matrix) for form in (as_json, as_ctrf, markdown, claims_page)]
    for text in (*texts, "\n".join(overview(matrix)), dict(badges(matrix))["left-out.txt"]):
        assert "left-out.jsonl" in text
        assert "No such file or directory" in text


def test_markdown_has_a_limit_and_says_what_is_left_out(merged: Callable[..., Matrix]) -> None:
    matrix = merged()
    whole = markdown.text(matrix)
    assert "for a summary has a limit" not in whole
    shorter = markdown.text(matrix, len(whole.encode()) - 1)
    assert len(shorter.encode()) < len(whole.encode())
    assert "Left out, for a summary has a limit: 1 of 1 cases. The page has them all." in shorter


def test_no_text_of_a_stranger_is_long_in_markdown() -> None:
    assert len(markdown.code("`" * 1_000_000)) < 1500


def test_ctrf_tells_what_a_run_came_to(merged: Callable[..., Matrix]) -> None:
    found = json.loads(as_ctrf.text(merged()))["results"]
    found_of = {test["labels"]["platform"]: test["status"] for test in found["tests"]}
    assert found_of == {"linux-6.18.44": "failed", "plan9-4": "other"}
    assert found["tests"][0]["message"] == f"not what was known: {IDS[0]}"
    assert sum(found["summary"][status] for status in as_ctrf.STATUSES) == found["summary"]["tests"] == 2


def test_ctrf_is_accepted_by_its_schema(merged: Callable[..., Matrix]) -> None:
    schema = Path(os.environ.get("SOCKREUSE_CTRF", "node_modules/ctrf"), "dist", "ctrf-schema-0.0.json")
    if not schema.exists():
        pytest.skip("needs the schema: npm install --no-save ctrf@0.3.0")
    validator = Draft7Validator(json.loads(schema.read_text()))
    wrong: list[Any] = list(validator.iter_errors(json.loads(as_ctrf.text(merged()))))
    assert not wrong


def test_a_badge_says_whether_a_platform_does_as_is_known(merged: Callable[..., Matrix]) -> None:
    found = {name: json.loads(text)["message"] for name, text in badges(merged()) if name.endswith(".json")}
    messages = {"linux-6.18.44/sharing": "1 not as known", "plan9-4/sharing": "recorded", "left-out": "1"}
    assert found == {f"{name}.json": message for name, message in messages.items()}
