"""A results file of one's own, dropped on the page; and what the script makes of the suite, held against the suite."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright", reason="needs Playwright: tox run -e browser")

from pytest_sockreuse.loader import load
from pytest_sockreuse.matrix.build import committed
from pytest_sockreuse.report.fold import unfold
from pytest_sockreuse.report.ranges import folded
from pytest_sockreuse.report.results import read

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
RESULTS = next(path for path in committed() if path.name == "linux-6.18.44.jsonl")


def taken(page: Page, *files: Path) -> str:
    page.get_by_label("Choose a results file").set_input_files(files)
    page.locator("#taken h2, #taken .wrong").first.wait_for()
    text: str = page.locator("#taken").inner_text()
    return text


def changed(tmp_path: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    change(lines)
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_file_is_compared_with_what_is_known(look: Open) -> None:
    page = look("#/file")
    text = taken(page, RESULTS)
    found = re.search(r"(\d+) as this page says of Linux 6\.18\.44", text)
    assert found
    asked = sum(result.verdict == "match" for result in read(RESULTS)[0].results.values())
    assert int(found[1]) > 0.95 * asked
    assert "0 otherwise" in text
    page.get_by_role("link", name="All cases").click()
    assert page.locator(".head .cell b").first.inner_text() == "Your file"
    assert page.locator(".row.case .cell[data-column='0']").first.get_attribute("aria-label")
    page.get_by_role("searchbox").fill("differ:yours,windows")
    assert " of " in page.locator("#count").inner_text()


def test_what_a_file_shows_otherwise_is_listed_and_can_be_compared(look: Open, tmp_path: Path) -> None:
    def other(lines: list[dict[str, Any]]) -> None:
        line = next(
            line
            for line in lines
            if line.get("verdict") == "match" and line["outcome"].get("second.bind") == "EADDRINUSE"
        )
        line["outcome"] = {"second.bind": "EACCES"}
        line["verdict"] = "mismatch"

    page = look("#/file")
    text = taken(page, changed(tmp_path, other))
    assert not re.search(r"\b0 otherwise", text)
    assert "second.bind fails with EACCES" in text
    page.get_by_role("link", name="Compared with Linux 6.18.44").click()
    assert page.locator(".row.case").count() >= 1
    assert page.locator(".head .cell").count() == 2


def test_a_file_of_format_1_is_the_same(look: Open, tmp_path: Path) -> None:
    def one_a_line(lines: list[dict[str, Any]]) -> None:
        known = load(check=False).by_id
        head, *middle, foot = lines
        spread = [
            line | {"id": id_, "content": known[id_].content}
            for line in middle
            for id_ in unfold(line["id"], 10**6)
            if id_ in known
        ]
        lines[:] = [head | {"sockreuse": 1}, *spread, foot | {"results": len(spread)}]

    page = look("#/file")
    whole = re.findall(r"\d+ as this page says", taken(page, RESULTS))
    page.reload()
    assert re.findall(r"\d+ as this page says", taken(page, changed(tmp_path, one_a_line))) == whole


def test_a_dropped_file_is_taken_in_any_view(look: Open) -> None:
    page = look("#/claims")
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.jsonl"));
            dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        RESULTS.read_text(),
    )
    page.get_by_role("heading", name="dropped.jsonl").wait_for()


HEAD, *_ = LINES = RESULTS.read_text().splitlines()
BOMB = '{"id": "a/b[%s]", "content": "084eadf52dac", "verdict": "match", "outcome": {}}' % ("{a,b}" * 40)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1"),
        ("<html>", "line 1"),
        ('{"sockreuse": 9}', "format 1 or 2"),
        ("\n".join(LINES[:-1]), "no footer"),
        (HEAD + '\n{"footer": true, "results": 5}', "5 results announced"),
        ("[" * 100_000, "line 1"),
        (f"{HEAD}\n{BOMB}", "too many"),
    ],
    ids=["empty", "page", "format", "cut", "count", "deep", "bomb"],
)
def test_a_file_that_is_none_is_refused_with_its_line(look: Open, tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    page = look("#/file")
    assert why in taken(page, path)
    assert "Could not read bad.jsonl" in page.locator("#taken").inner_text()


def test_the_script_knows_ids_texts_and_labels_of_every_variant_and_the_words_of_ranges(
    visit: Open, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pytest_sockreuse.page as ours

    reader = ours._read
    bared = "\nglobalThis.inner = { idOf, textOf, labelsOf, variants, unfolded, folded };\n"
    monkeypatch.setattr(ours, "_read", lambda name: reader(name) + bared * (name == "main.js"))
    path = tmp_path / "bared.html"
    found = re.search(r'type="application/json">\n(.*)\n</script>', whole.read_text())
    assert found
    path.write_text(ours.page(json.loads(found[1]), ten="", systems="", variants="", warning=""))
    page = visit(path, "#/cases")
    suite = load(check=False)
    ids = page.evaluate("inner.variants.map(inner.idOf)")
    assert ids == [variant.id for variant in suite.variants]
    texts = page.evaluate("inner.variants.map(inner.textOf)")
    assert [text.rstrip("\n") for text in texts] == [str(variant.scenario).rstrip("\n") for variant in suite.variants]
    assert page.evaluate("inner.variants.map(inner.labelsOf)") == [list(variant.labels) for variant in suite.variants]
    lines = [line["id"] for line in map(json.loads, RESULTS.read_text().splitlines()) if "id" in line]
    assert page.evaluate("lines => lines.map(line => inner.unfolded(line, 1e6))", lines) == [
        unfold(line, 10**6) for line in lines
    ]
    labels = ["10", "server-2016", "4.9.1", "4.9.7", "5.0.1", "5.1", "6.0.2"]
    does = list(itertools.product([None, 1, 2], repeat=4))
    for some in (labels[:4], labels[2:6], labels[3:]):
        shown = page.evaluate(
            """([labels, does]) => does.map((one) => {
                const platforms = labels.map((label, at) => ({ label, does: one[at] }));
                const found = inner.folded({ platforms }, (a, b) => a.does === b.does, (it) => it.does === null);
                return found.filter((range) => !range.gap).map((range) => [range.first, range.last, range.words]);
            })""",
            [some, does],
        )
        wanted = [[[one.first, one.last, one.words or "every version"] for one in folded(some, it)] for it in does]
        assert shown == wanted
