"""What strangers write into results, and anybody into the suite, never runs: by escaping, and by the policy alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

pytest.importorskip("playwright", reason="needs Playwright: tox run -e browser")

from hostile import PAYLOADS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pytest_sockreuse.page as ours

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: Runs nothing, but leads away: only the escaping stands against it.
AWAY = "<meta http-equiv=refresh content='0;url=https://example.invalid/'>"
FRAGMENTS = ("", "#/cases", "#/cases?q={}", "#/case/{}", "#/claims/{}", "#/servers", "#/systems", "#/file", "#/{}")
#: What the script tells apart, and nobody but us writes.
OURS = {"bases", "seen", "holds", "cells", "made", "version", "suite"}


def planted(data: Any, payloads: Iterator[str]) -> Any:
    """The data with the next payload behind every text in it; of long tables behind those that are used first."""
    if isinstance(data, dict):
        return {name: found if name in OURS else planted(found, payloads) for name, found in data.items()}
    if isinstance(data, list | tuple):
        return [planted(one, payloads) if at < 12 else one for at, one in enumerate(data)]
    return data + next(payloads) if isinstance(data, str) else data


def small(data: dict[str, Any]) -> dict[str, Any]:
    """A few of everything: what is drawn is of every kind, and a page is loaded in no time."""
    cases, servers = data["cases"][:6], data["servers"]
    return data | {
        "cases": cases,
        "rules": data["rules"][:1],
        "rows": data["rows"][: sum(case[-1] for case in cases)],
        "claims": data["claims"][:3],
        "servers": servers | {"runtimes": servers["runtimes"][:2]},
    }


@pytest.fixture(scope="module")
def data(whole: Path) -> dict[str, Any]:
    text = whole.read_text(encoding="utf-8")
    start = text.index('type="application/json">') + len('type="application/json">')
    return small(json.loads(text[start : text.index("</script>", start)]))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page without its escaping: texts are parsed as HTML wherever they are put."""
    reader = ours._read

    def read(name: str) -> str:
        text = reader(name)
        if name == "dom.js":
            text = text.replace(
                "made.append(child)",
                "child instanceof Node ? made.append(child) : made.insertAdjacentHTML('beforeend', child)",
            )
            text = text.replace('if (!/^https:\\/\\/[^\\s"<>]+$/.test(address ?? "")) return text;\n', "")
            assert text.count("insertAdjacentHTML") == 1
            assert "https" not in text
        return text

    monkeypatch.setattr(ours, "_read", read)
    monkeypatch.setattr(ours, "in_script", json.dumps)
    monkeypatch.setattr(ours, "escape", str)


def made(data: dict[str, Any], payloads: list[str], tmp_path: Path) -> Path:
    ten = f'<li data-row="0"><p><a href="#/case/x">{ours.escape(payloads[0])}</a></p><ul class="strip"></ul></li>'
    path = tmp_path / "hostile.html"
    text = ours.page(planted(data, itertools.cycle(payloads)), ten=ten, systems="", variants="", warning="")
    path.write_text(text, encoding="utf-8")
    return path


def ran(browser: Browser, path: Path, payload: str) -> list[str]:
    """What happened that should not when every view was looked at: a script ran, something else was asked for."""
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("requestfailed", lambda request: asked.extend([request.url] * ("csp" not in (request.failure or ""))))
    page.on("requestfinished", lambda request: asked.extend([request.url] * (not request.url.startswith("file:"))))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    for fragment in FRAGMENTS:
        page.goto(path.as_uri() + fragment.replace("{}", quote(payload, safe="<>'\"=/:;")), wait_until="load")
        page.evaluate("for (const trap of document.querySelectorAll('[id^=trap]')) trap.click()")
        if page.evaluate("globalThis.ran !== undefined"):
            asked.append(f"ran in {fragment}")
    context.close()
    return asked


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payloads=st.lists(st.builds("{}{}".format, st.text(max_size=20), st.sampled_from([*PAYLOADS, AWAY])), min_size=5)
)
def test_nothing_runs_and_nothing_is_asked_for(
    browser: Browser, data: dict[str, Any], tmp_path: Path, payloads: list[str]
) -> None:
    path = made(data, payloads, tmp_path)
    assert ran(browser, path, payloads[0]) == []


ENDS = [payload for payload in PAYLOADS if "</script>" in payload]


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    "payloads", [[one for one in PAYLOADS if one not in ENDS], [*ENDS, *[""] * 50]], ids=["drawn", "in the data"]
)
def test_the_policy_holds_without_the_escaping(
    browser: Browser, data: dict[str, Any], tmp_path: Path, payloads: list[str]
) -> None:
    assert ran(browser, made(data, payloads, tmp_path), payloads[0]) == []


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("payload", [PAYLOADS[0], PAYLOADS[1], ENDS[-1]])
def test_without_both_they_do_run(browser: Browser, data: dict[str, Any], tmp_path: Path, payload: str) -> None:
    path = made(data, [payload, *[""] * 20], tmp_path)
    path.write_text(path.read_text().replace("Content-Security-Policy", "X-None", 1), encoding="utf-8")
    assert ran(browser, path, payload)
