"""The page as a reader uses it: every view, by mouse and by keyboard."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="needs Playwright: tox run -e browser")

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]
CASE = "order-dependence/every-order"
VARIANT = f"{CASE}[ip4-ra-ra-bloc-lo-lo]"


def rows(page: Page) -> Locator:
    return page.locator(".row.case")


def where(page: Page) -> str:
    found: str = page.evaluate("location.hash")
    return found


def test_the_front_has_ten_differences_with_who_does_what(look: Open) -> None:
    page = look()
    items = page.locator(".ten > li")
    assert items.count() == 10
    for item in items.all():
        assert item.locator("a").inner_text().strip()
        assert item.locator(".strip > li").count() >= 2
    items.first.locator("a").click()
    assert page.locator("h1").inner_text()
    assert where(page).startswith("#/case/")


def test_nothing_is_built_for_what_is_not_on_the_screen(look: Open) -> None:
    page = look("#/cases")
    assert page.locator(".grid").get_attribute("aria-rowcount") > "300"
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    first = rows(page).first.inner_text()
    page.locator(".grid").evaluate("grid => (grid.scrollTop = 9000)")
    page.wait_for_function("first => document.querySelector('.row.case').innerText !== first", arg=first)
    assert page.evaluate("document.querySelectorAll('*').length") < 3000


def test_header_and_row_names_stay_in_view(look: Open) -> None:
    page = look("#/cases", width=900)
    page.locator(".grid").evaluate("grid => { grid.scrollTop = 4000; grid.scrollLeft = 500; }")
    page.wait_for_timeout(50)
    box = page.locator(".grid").bounding_box()
    head, name = page.locator(".head").bounding_box(), rows(page).nth(5).locator(".name").bounding_box()
    assert box and head and name
    assert abs(head["y"] - box["y"]) < 3
    assert abs(name["x"] - box["x"]) < 3


def test_one_column_a_family_and_a_click_splits_it(look: Open) -> None:
    page = look("#/cases?rule=order-dependence", width=1900)
    heads = page.locator(".head .cell b")
    names = heads.all_inner_texts()
    assert len(names) == len(set(names))
    page.locator(".head .cell", has_text="Linux").click()
    assert heads.all_inner_texts().count("Linux") > 1
    assert "split=linux" in where(page)
    words = page.locator(".head .cell", has_text="Linux").locator(".below").all_inner_texts()
    assert any(text.startswith("since ") for text in words)
    assert not re.search(r"[<≤≥]", " ".join(words))
    page.locator(".head .cell", has_text="Linux").first.click()
    assert heads.all_inner_texts() == names


def test_a_row_opens_to_its_axes_and_a_cell_to_its_case(look: Open) -> None:
    page = look("#/cases?rule=order-dependence&q=every-order")
    row = rows(page).filter(has_text="Every order of bind")
    row.locator(".name").click()
    assert page.locator(".row.axes").inner_text().split()[:2] == ["first", "second"]
    assert page.locator(".row.variant").count() > 3
    assert f"open={CASE}" in where(page)
    page.reload()
    assert page.locator(".row.variant").count() > 3
    page.locator(".row.variant .cell").first.click()
    assert where(page).startswith(f"#/case/{CASE}[")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.go_back()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "gridcell"


def test_the_grid_is_walked_by_arrows_from_one_tab_stop(look: Open) -> None:
    page = look("#/cases")
    assert page.locator(".grid [tabindex='0']").count() == 1
    page.locator(".grid [tabindex='0']").focus()
    spot = "(() => { const at = document.activeElement; return [at.dataset.row, at.dataset.column].join(); })()"
    start = page.evaluate(spot)
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate(spot) == "1,0" != start
    page.keyboard.press("Control+End")
    assert page.evaluate(spot).split(",")[0] == str(int(page.locator(".grid").get_attribute("aria-rowcount") or 0) - 2)
    page.keyboard.press("Control+Home")
    assert page.evaluate(spot) == "0,-1"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")  # the head of the first family
    assert "split=linux" in where(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert where(page).startswith("#/case/")
    assert page.locator(".grid [tabindex='0']").count() <= 1


def test_search_by_word_outcome_and_difference(look: Open) -> None:
    page = look("#/cases")
    field = page.get_by_role("searchbox")
    counted = page.locator("#count")
    all_ = counted.inner_text()
    seen = set()
    for query in (
        "TIME_WAIT",
        "linux:bind",
        "linux:INUSE windows:ok",
        "differ:linux",
        "differ:macos,windows-11",
        "EADDRNOTAVAIL",
    ):
        field.fill(query)
        assert " of " in counted.inner_text()
        seen.add(counted.inner_text())
        assert page.locator(".message").inner_text() == ""
    assert len(seen) == 6
    field.fill("")
    assert counted.inner_text() == all_
    field.fill("linux:bind")
    page.reload()
    assert page.get_by_role("searchbox").input_value() == "linux:bind"
    for cell in page.locator(".row.case .cell[data-column='0']").all():
        assert "bind" in (cell.get_attribute("aria-label") or "") or " fail" in (cell.get_attribute("aria-label") or "")


def test_nothing_found_is_said_and_differs_from_what_is_unclear(look: Open) -> None:
    page = look("#/cases?q=zzzzzz")
    assert "No case fits" in page.locator(".message").inner_text()
    page.get_by_role("searchbox").fill("plan9:ok")
    assert "no platform plan9" in page.locator(".message").inner_text()
    assert "linux" in page.locator(".message").inner_text()


def test_filters_and_comparison_are_in_the_address(look: Open) -> None:
    page = look("#/cases")
    page.get_by_label("Error", exact=True).select_option("EACCES")
    page.get_by_label("Rule", exact=True).select_option("users")
    page.get_by_label("Compare", exact=True).select_option("linux-6.18.44")
    page.get_by_label("with", exact=True).select_option("freebsd-14.0")
    assert page.locator(".head .cell").count() == 2
    for part in ("errno=EACCES", "rule=users", "compare=linux-6.18.44,freebsd-14.0"):
        assert part in where(page)
    only = page.locator("#count").inner_text()
    page.get_by_label("only where they differ").uncheck()
    assert page.locator("#count").inner_text() != only
    page.reload()
    assert page.locator(".head .cell").count() == 2


def test_a_link_outlives_a_version_and_a_case(look: Open) -> None:
    page = look("#/cases?compare=linux-6.18.40,windows-11")
    assert "no linux-6.18.40" in page.locator(".message").inner_text()
    assert page.locator(".head .cell").count() == 2
    page.evaluate("location.hash = '#/case/order-dependence/gone-for-good[ip4]'")
    page.get_by_text("This page has no case").wait_for()
    page.evaluate(f"location.hash = '#/case/{CASE}[ip4-gone]'")
    page.get_by_text("here is the first of its case").wait_for()


def test_a_case_shows_every_call_on_every_platform_and_why(look: Open) -> None:
    page = look(f"#/case/{VARIANT}?on=linux-6.18.44")
    steps = page.locator(".steps tbody tr")
    assert steps.count() == 9
    assert "EADDRINUSE" in steps.nth(7).inner_text()
    assert "not reached" in steps.nth(8).inner_text()
    how = page.locator("div.how")
    assert "listener-excludes" in how.inner_text()
    assert "SO_REUSEADDR does not share with a socket that listens." in how.inner_text()
    assert "run on this version" in how.inner_text()
    assert "linux-6.18.44.jsonl" in how.inner_text()
    links = how.locator("a").all()
    assert links
    assert all((link.get_attribute("href") or "").startswith("https://") for link in links)
    page.locator(".timeline button[aria-label^=Windows]").first.click()
    assert "Windows" in how.locator("h3").inner_text()
    assert "on=windows" in where(page)


def test_the_axes_of_a_case_are_a_grid_that_arrows_walk(look: Open) -> None:
    page = look(f"#/case/{VARIANT}")
    grid = page.get_by_role("grid")
    assert grid.locator("td").count() == 16
    assert grid.locator("[tabindex='0']").count() == 1
    grid.locator("[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert "[ip4-rp-rp-bloc-lo-lo]" in where(page)
    assert "[ip4-rp-rp-bloc-lo-lo]" in page.locator(".id").inner_text()
    page.get_by_label("order", exact=True).select_option("ocbl")
    assert "[ip4-rp-rp-ocbl-lo-lo]" in where(page)


def test_the_id_and_the_commands_can_be_copied(look: Open) -> None:
    page = look(f"#/case/{VARIANT}")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".id .copy").click()
    page.locator("#status", has_text="Copied the id").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == VARIANT


@pytest.mark.parametrize(
    "id_", [VARIANT, "time-wait-reuse/restart-over-time-wait[ip4-lo-on-dead]", "clauses/backlog-full"]
)
def test_the_commands_of_a_case_work_as_they_are_shown(look: Open, tmp_path: Path, id_: str) -> None:
    page = look(f"#/case/{id_}?on=linux-6.18.44")
    by_hand, suite = page.locator(".repeat pre").all_inner_texts()
    done = subprocess.run(["bash", "-euc", by_hand], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("socket") >= 2
    done = subprocess.run(
        ["bash", "-euc", f"{suite} -p no:cacheprovider"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert re.search(r"1 (passed|skipped|xfailed)", done.stdout), done.stdout


def test_claims_lead_to_the_case_that_shows_them(look: Open) -> None:
    page = look("#/claims/B-5", width=1900)
    row = page.locator(".row.case", has_text="SO_REUSEADDR lets a server restart over TIME_WAIT")
    assert "B-5" in page.evaluate("document.activeElement.innerText")
    assert row.locator(".cell").count() == page.locator(".head .cell").count() > 8
    row.locator(".cell", has_text="depends").first.click()
    assert where(page).startswith("#/case/")
    page.go_back()
    row.locator(".name").click()
    assert "claim=B-5" in where(page)


def test_systems_say_where_each_column_is_from(look: Open) -> None:
    page = look("#/systems")
    run = page.locator("details", has_text="linux-7.3.4.jsonl")
    run.locator("summary").click()
    assert "asked" in run.inner_text()
    assert "boot" in run.inner_text()
    assert re.search(r"today|\d+ days? ago", run.inner_text())
    assert "not scored" in page.locator("main").inner_text()


def test_old_runs_say_so(look: Open) -> None:
    page = look()
    page.clock.install(time="2029-01-01")
    page.evaluate("location.hash = '#/systems'")
    page.get_by_text("newest run on this page is more than").wait_for()


def test_servers_that_take_one_port(look: Open) -> None:
    page = look("#/servers")
    page.get_by_label("First", exact=True).select_option(index=1)
    page.get_by_label("Second", exact=True).select_option(index=3)
    assert "first=" in where(page)
    assert page.locator(".pairs tr").count() > 8
    page.locator(".servers .grid .row .cell").nth(1).click()
    assert page.locator(".servers h2").first.inner_text()


def test_the_page_prints_every_row_that_is_asked_for(look: Open) -> None:
    page = look("#/cases?rule=order-dependence", height=500)
    shown = rows(page).count()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rows(page).count() > shown
    assert page.locator(".row .sign").first.is_visible()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert rows(page).count() < 12


def test_the_picture_in_the_readme(look: Open, tmp_path: Path) -> None:
    """SOCKREUSE_PICTURE=1 writes it anew."""
    kept = Path(__file__).parents[2] / "docs" / "matrix.png"
    path = kept if os.environ.get("SOCKREUSE_PICTURE") else tmp_path / kept.name
    page = look("#/cases?rule=listen-exclusivity", width=1280, height=640)
    page.locator(".row.case .cell").first.wait_for()
    page.screenshot(path=path)
    assert path.stat().st_size < 150_000
    assert path.read_bytes()[16:24] == kept.read_bytes()[16:24], "another size: SOCKREUSE_PICTURE=1 writes it anew"
