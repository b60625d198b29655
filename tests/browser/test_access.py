"""axe finds nothing in any view, theme and width; colour is never alone; and what the page weighs and takes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("axe_playwright_python", reason="needs Playwright and axe: tox run -e browser")

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
VIEWS = (
    "",
    "#/cases",
    "#/cases?split=linux&rule=order-dependence&open=order-dependence/every-order",
    "#/cases?q=zzz",
    "#/case/order-dependence/every-order[ip4-ra-ra-bloc-lo-lo]?on=linux-6.18.44",
    "#/claims",
    "#/servers",
    "#/systems",
    "#/file",
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_axe_finds_nothing(look: Open, width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe, wrong = Axe(), []
    page = look("", width, theme)
    for view in VIEWS:
        page.evaluate("to => { location.hash = to || '#/'; }", view)
        page.wait_for_function(
            "to => location.hash.startsWith(to.split('?')[0]) && document.querySelector('main > *')", arg=view
        )
        page.evaluate("document.querySelectorAll('main details').forEach((one, at) => (one.open = at < 4))")
        found = axe.run(page, options={"runOnly": RULES}).response["violations"]
        wrong += [f"{view}: {one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})" for one in found]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is wider than the window"
    assert not wrong


def test_no_text_is_small_and_every_cell_has_a_sign(look: Open) -> None:
    page = look("#/cases")
    texts = "[...document.querySelectorAll('body *')].filter(one => one.textContent.trim())"
    sizes = page.evaluate(f"{texts}.map(one => parseFloat(getComputedStyle(one).fontSize))")
    assert min(sizes) >= 15
    for cell in page.locator(".row.case .cell").all()[:60]:
        assert cell.inner_text().strip()[0] in "✓✗±?\N{EN DASH}"
        assert cell.get_attribute("aria-label")


def test_kinds_of_knowledge_are_told_apart_without_colour(look: Open) -> None:
    page = look()
    marks = page.locator(".legend .mark").all_inner_texts()
    assert len(marks) == len(set(marks)) >= 7


def test_the_page_is_small_and_quick(look: Open, whole: Path) -> None:
    data = whole.read_bytes()
    assert len(data) <= 1_500_000
    assert len(gzip.compress(data, 9)) <= 250_000
    page = look("#/cases")
    ticks = page.context.new_cdp_session(page)
    ticks.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = ticks.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    took = []
    for query in ("bind", "linux:INUSE", "differ:macos,windows", "TIME_WAIT", ""):
        before = spent()
        page.get_by_role("searchbox").fill(query)
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        took.append(spent() - before)
    assert sorted(took)[2] < 0.1, took
