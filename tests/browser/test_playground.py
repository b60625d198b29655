"""The playground: the models themselves in the browser, asked as somebody types."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

pytest.importorskip("axe_playwright_python", reason="needs Playwright and axe: tox run -e browser")

from browsing import opening
from hostile import PAYLOADS
from samples import situations

from pytest_sockreuse.answers import answer
from pytest_sockreuse.loader import load
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


def test_a_link_carries_the_scenario_in_its_fragment_and_is_answered_within_5_seconds(
    page: Page, visit: Open, playground: str, browser: Browser
) -> None:
    text = "# ä + & % # \n" + ORDER
    type_in(page, text)
    page.wait_for_function("() => location.hash.includes('%26')")
    fragment = page.evaluate("location.hash")
    assert "(" not in fragment  # where links are pasted, brackets end them
    before = processor(browser).keys()
    other = visit(playground, fragment)
    assert sum(took for process, took in processor(browser).items() if process not in before) < 5
    assert other.get_by_role("textbox").input_value() == text
    took = other.evaluate(KEYSTROKES, 30)
    assert took[0] < 50, took  # milliseconds; the quickest, since machines are busy


#: Types so many letters, and gives the times until each answer was drawn, the shortest first.
KEYSTROKES = """async (many) => {
    const area = document.querySelector("textarea");
    const took = [];
    for (let letter = 0; letter < many; letter++) {
        const start = performance.now();
        area.value += "x";
        area.dispatchEvent(new InputEvent("input", { inputType: "insertText" }));
        while (document.documentElement.dataset.answered !== String(area.value.length)) {
            await new Promise((done) => setTimeout(done));
        }
        took.push(performance.now() - start);
    }
    return took.sort((a, b) => a - b);
}"""


def processor(browser: Browser) -> dict[int, float]:
    """Seconds of the processor that each process of the browser took: what others do does not count."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return {one["id"]: float(one["cpuTime"]) for one in found}


def test_what_does_not_answer_in_time_is_ended_and_starts_again(page: Page) -> None:
    answers = page.evaluate(
        """async () => {
            const { Asker } = await import(new URL("asker.js", location.href));
            const heard = [];
            await new Promise((ready) => {
                const asker = new Asker((state) => {
                    heard.push(state);
                    if (state !== "ready") return;
                    if (heard.length > 2) return asker.worker.terminate(ready());
                    asker.seconds = 0.0001;
                    asker.ask("answer", { text: "A = tcp4()" }).then((answer) => heard.push(answer));
                });
            });
            return heard;
        }"""
    )
    assert answers == ["loading", "ready", "loading", None, "ready"]


def test_hostile_texts_run_nothing_and_ask_for_nothing(page: Page) -> None:
    for payload in PAYLOADS:
        type_in(page, f"# {payload}\nA = tcp4()  # {payload}\n{payload}")
        page.evaluate("text => { location.hash = `#scenario=${text}`; }", payload)
    type_in(page, f"# {PAYLOADS[0]}\nA = tcp4()  # {PAYLOADS[0]}")
    page.get_by_role("button", name="Python").click()
    page.locator("#python pre").wait_for()
    page.get_by_role("button", name="Scenario", exact=True).click()
    assert page.evaluate("globalThis.ran") is None
    assert page.locator("img, iframe, svg, form, base, main style, main script").count() == 0


def test_a_worker_is_bound_by_the_policy_of_the_page(browser: Browser, playground: str) -> None:
    """Whatever Python were made to run there, it could ask nobody else."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(playground)
    answer = page.evaluate(
        """() => new Promise((tell) => {
            const code = `
                addEventListener("securitypolicyviolation", (event) => postMessage(event.effectiveDirective));
                fetch("http://127.0.0.2:9/").then(() => postMessage("sent"), () => {});`;
            const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
            worker.onmessage = ({ data }) => tell(data);
        })"""
    )
    context.close()
    assert answer == "connect-src"


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


def test_what_is_taken_begins_as_one_has_typed_though_the_answer_is_still_to_come(page: Page) -> None:
    type_in(page, "server = tcp4()\n")
    area, offers = page.get_by_role("textbox"), page.get_by_role("listbox")
    area.focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("server.")
    offers.get_by_role("option", name="bind(").wait_for()
    page.evaluate(
        """() => {
            document.execCommand("insertText", false, "lis");
            document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
        }"""
    )
    assert area.input_value() == "server = tcp4()\nserver.listen()"


def test_a_program_is_of_the_scenario_that_stands_there(page: Page) -> None:
    type_in(page, "A = tcp4()\n")
    button = page.get_by_role("button", name="Python")
    button.click()
    page.locator("#python pre").wait_for()
    page.get_by_role("button", name="Scenario", exact=True).click()
    type_in(page, ORDER)
    shown = """(button) => { button.click(); return document.querySelector("#python").innerText; }"""
    assert button.evaluate(shown) == ""
    page.locator("#python pre").wait_for()
    page.get_by_role("button", name="Scenario", exact=True).click()


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


def test_axe_finds_nothing(page: Page) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe, wrong = Axe(), []
    for width, text in itertools.product((360, 768, 1280), (ORDER, ORDER + "third = tcp4(")):
        page.set_viewport_size({"width": width, "height": 800})
        type_in(page, text)
        if text != ORDER:
            page.get_by_role("listbox").wait_for()
        for theme in ("dark", "light"):
            page.emulate_media(color_scheme=theme)
            found = axe.run(page, options={"runOnly": RULES}).response["violations"]
            wrong += [f"{width}: {one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})" for one in found]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"wider than {width}"
    assert not wrong


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_long_names_of_errors_are_not_cut(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    type_in(page, "A = udplite4()\nB = tcp4(SO_EXCLUSIVEADDRUSE)\nC = tcp6()\nC.bind([2001:db8::1]:P)\n")
    cells = page.locator("#answer .steps td")
    assert {"EPROTONOSUPPORT", "EADDRNOTAVAIL"} <= {text.strip("✗ ") for text in cells.all_inner_texts()}
    assert cells.evaluate_all("all => all.filter((one) => one.scrollWidth > one.clientWidth).length") == 0


def test_a_case_of_the_matrix_opens_in_the_playground(visit: Open, whole: Path, tmp_path: Path) -> None:
    variant = load(check=False).by_id["order-dependence/every-order[ip4-ra-ra-bloc-lo-lo]"]
    beside = '<meta name="playground" content="playground/index.html">'
    matrix = tmp_path / "matrix.html"
    matrix.write_text(whole.read_text("utf-8").replace("<title>", f"{beside}<title>", 1), "utf-8")
    page = visit(matrix, f"#/case/{variant.id}")
    target = page.get_by_role("link", name="Open in the playground").get_attribute("href")
    assert target is not None
    address, _, text = target.partition("#scenario=")
    assert address == "playground/index.html"
    assert unquote(text) == str(variant.scenario)
