"""The playground: the models themselves in the browser, asked as somebody types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("axe_playwright_python", reason="needs Playwright and axe: tox run -e browser")

from browsing import opening
from samples import situations

from pytest_sockreuse.answers import answer
from pytest_sockreuse.parser import parse
from pytest_sockreuse.report.python import program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
ORDER = """\
listener = tcp4(SO_REUSEADDR)
outgoing = tcp4(SO_REUSEADDR)
outgoing.bind(127.0.0.1:P)
listener.bind(127.0.0.1:P)
listener.listen()
"""


@pytest.fixture(scope="module")
def page(browser: Browser, playground: str) -> Iterator[Page]:
    """One playground for many tests: Python is loaded once."""
    with opening(browser) as open_:
        yield open_(playground)


def type_in(page: Page, text: str) -> None:
    """Replaces the scenario and waits for the answer to it."""
    page.get_by_role("textbox").fill(text)
    page.wait_for_function("text => document.documentElement.dataset.answered === String(text.length)", arg=text)


def words(text: str) -> str:
    return text.replace("unreached", "not reached").replace("|", " or ")


def test_it_shows_what_the_models_say_here(page: Page) -> None:
    for text in (ORDER, ORDER + "third = tcp4()\nthird.bind(0.0.0.0:P)\n", "A = udp6(IPV6_V6ONLY)\nA.bind([::]:P)\n"):
        type_in(page, text)
        found = answer(text)
        rows = page.locator("#answer tbody tr").all()
        shown = [[cell.strip("✗± ") for cell in row.locator("td").all_inner_texts()] for row in rows]
        assert shown == [list(map(words, line["says"])) for line in found["lines"]]
        heads = page.locator("#answer thead th li").all_inner_texts()
        assert heads == [" ".join(who).strip() for group in found["groups"] for who in group["who"]]


def test_the_first_difference_is_marked_and_explained(page: Page) -> None:
    type_in(page, ORDER)
    row = page.locator("tr.differ")
    assert "listener.bind" in row.inner_text()
    assert "first difference" in row.inner_text()
    why = page.locator("#why").inner_text()
    found = answer(ORDER)
    line = found["lines"][found["differ"]]
    for _, number, _ in (entry for group in line["why"] for entry in group):
        assert found["clauses"][number]["sentence"] in why
        assert found["clauses"][number]["source"] in why


def test_any_call_can_be_explained_by_keyboard(page: Page) -> None:
    type_in(page, ORDER)
    button = page.get_by_role("button", name="listener.listen()")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.activeElement.dataset.line") == "5"
    assert page.locator("#why code").first.inner_text() == "listener.listen()"


def test_a_mistake_is_named_by_line_and_column_and_the_lines_above_are_answered(page: Page) -> None:
    type_in(page, "A = tcp4()\nA.bind(127.0.0.1:P)\nA.lissten()\n")
    message = page.locator("#message")
    assert "Line 3, column 3: expected one of" in message.inner_text()
    assert page.locator("#answer tbody tr").count() == 2
    area = page.get_by_role("textbox")
    assert area.get_attribute("aria-invalid") == "true"
    message.get_by_role("button").click()
    assert page.evaluate("document.activeElement.selectionStart") == len("A = tcp4()\nA.bind(127.0.0.1:P)\nA.")
    type_in(page, ORDER)
    assert message.inner_text() == ""


def test_a_link_carries_the_scenario_in_its_fragment(page: Page, visit: Open, playground: str) -> None:
    text = "# ä + & % # \n" + ORDER
    type_in(page, text)
    page.wait_for_function("() => location.hash.includes('%26')")
    fragment = page.evaluate("location.hash")
    other = visit(playground, fragment)
    assert other.get_by_role("textbox").input_value() == text
    assert "(" not in fragment  # where links are pasted, brackets end them


def test_words_are_offered_and_taken_by_keyboard(page: Page) -> None:
    type_in(page, "server = tcp4()\n")
    area, offers = page.get_by_role("textbox"), page.get_by_role("listbox")
    area.focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("ser")
    offers.get_by_role("option", name="server.").wait_for()
    assert page.evaluate(
        "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).innerText"
    )
    page.keyboard.press("Tab")
    page.keyboard.type("bi")
    offers.get_by_role("option", name="bind(").wait_for()
    page.keyboard.press("Enter")
    offers.get_by_role("option", name="0.0.0.0:").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    offers.get_by_role("option", name="P)").wait_for()
    page.keyboard.press("Enter")
    assert area.input_value() == "server = tcp4()\nserver.bind(0.0.0.0:P)"
    page.keyboard.press("Control+ ")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+ ")
    offers.get_by_role("option", name="server.").wait_for()
    page.keyboard.press("Escape")
    assert offers.is_hidden()
    page.keyboard.press("Tab")  # leads on, where no word is offered
    assert page.evaluate("document.activeElement.id") != "text"


def test_the_same_calls_are_shown_as_python(page: Page) -> None:
    type_in(page, ORDER)
    page.get_by_role("button", name="Python").click()
    page.locator("#python pre").wait_for()
    assert page.locator("#python pre").inner_text() == program(parse(ORDER))
    assert page.get_by_role("button", name="Python").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Scenario", exact=True).click()
    assert page.get_by_role("textbox").input_value() == ORDER


def test_one_begins_with_an_example_and_comes_back(page: Page) -> None:
    type_in(page, ORDER)
    page.wait_for_function("() => location.hash.includes('outgoing')")
    some = situations()[3]
    page.get_by_label("Begin with").select_option(label=some.title)
    page.wait_for_function("text => document.documentElement.dataset.answered === String(text.length)", arg=some.text)
    assert page.get_by_role("textbox").input_value() == some.text
    assert page.locator("#about").inner_text() == some.about
    groups = page.locator("optgroup").all()
    assert [group.locator("option").count() > 9 for group in groups] == [True] * 3
    page.go_back()
    page.wait_for_function("text => document.querySelector('textarea').value === text", arg=ORDER)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(visit: Open, playground: str, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe, wrong = Axe(), []
    page = visit(playground, "", 1280, theme)
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        for text in (ORDER, ORDER + "third = tcp4("):
            type_in(page, text)
            if text != ORDER:
                page.get_by_role("listbox").wait_for()
            found = axe.run(page, options={"runOnly": RULES}).response["violations"]
            wrong += [f"{width}: {one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})" for one in found]
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"wider than {width}"
    assert not wrong
