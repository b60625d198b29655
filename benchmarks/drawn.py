"""What the page of everything weighs, and takes of Chromium's main thread, which a busy machine hardly spoils."""

from __future__ import annotations

import gzip
import importlib.util
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

QUERIES = ("bind", "linux:INUSE", "differ:macos,windows", "TIME_WAIT", "windows:ok linux:fails", "")


def page() -> str:
    """the page of all that is known: its size, and what Chromium's main thread takes to show and to filter it"""
    from pytest_sockreuse.matrix.build import build
    from pytest_sockreuse.page import html

    text = html(build()).encode()
    size = (
        f"{len(text) / 1e6:.2f} MB (at most 1.5), {len(gzip.compress(text, 9)) / 1e3:.0f} kB compressed (at most 250)"
    )
    program = shutil.which("chromium")
    if program is None or importlib.util.find_spec("playwright") is None:
        return f"{size}; not opened: no Chromium, or no Playwright"
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "matrix.html")
        path.write_bytes(text)
        return f"{size}; {_opened(program, path)}"


def _opened(program: str, path: Path) -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        tab.goto(path.as_uri())
        paint = "performance.getEntriesByType('paint').map(one => one.startTime)"
        first = []
        for _ in range(5):
            tab.reload()
            tab.wait_for_selector("html[data-ready]", state="attached")
            first.append(max(tab.evaluate(paint)) / 1000)
        ticks = tab.context.new_cdp_session(tab)
        ticks.send("Performance.enable", {"timeDomain": "threadTicks"})
        tab.reload()
        tab.wait_for_selector("html[data-ready]", state="attached")
        whole = _spent(ticks)
        tab.evaluate("location.hash = '#/cases'")
        took = []
        for query in QUERIES:
            before = _spent(ticks)
            tab.get_by_role("searchbox").fill(query)
            tab.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
            took.append(_spent(ticks) - before)
        browser.close()
    return (
        f"first content after {min(first):.2f} s (at most 1), all of it with {whole * 1000:.0f} ms of its main thread; "
        f"a filter {statistics.median(took) * 1000:.0f} ms of it (at most 100; the longest {max(took) * 1000:.0f})"
    )


def _spent(ticks: Any) -> float:
    """Seconds of the main thread."""
    metrics = ticks.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))
