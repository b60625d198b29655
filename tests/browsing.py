"""A real browser, and in it the page of everything, or the playground. What a test opens asks for nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
Open = Callable[..., "Page"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """What is made by the first worker that asks for it, while the others do something else or wait."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = shared / name
    with open(shared / f"{name}.lock", "w") as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = base / f"{name}.part"
            make(part)
            part.rename(made)
    return made


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of everything that is known."""

    def make(path: Path) -> None:
        from pytest_sockreuse.matrix.build import build
        from pytest_sockreuse.page import html

        path.write_text(html(build()), encoding="utf-8")

    return once(tmp_path_factory, "matrix.html", make)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the playground, which is built here, or lies where SOCKREUSE_PLAYGROUND says."""
    built = os.environ.get("SOCKREUSE_PLAYGROUND")
    if not built and not shutil.which("npm"):
        pytest.skip("needs Node.js and npm: apt-get install npm")
    script = Path(__file__).parents[1] / "playground" / "make.py"

    def make(path: Path) -> None:
        subprocess.run([sys.executable, script, path], check=True)

    out = Path(built) if built else once(tmp_path_factory, "playground", make)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(out))) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join()


@contextlib.contextmanager
def opening(browser: Browser) -> Iterator[Open]:
    """Opens a file or an address at a fragment, in a window and theme, and waits until it is ready.

    In the end nothing was asked for but that file, or what lies below that address, and no script failed.
    """
    wrong: list[str] = []
    contexts = []

    def open_(
        where: Path | str, fragment: str = "", width: int = 1280, theme: str = "light", height: int = 800
    ) -> Page:
        address = where if isinstance(where, str) else where.as_uri()

        def own(url: str) -> bool:
            return url.removeprefix("blob:").startswith(address) if address.endswith("/") else url == address

        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(90_000)  # a bound alone: machines may be busy
        context.on("request", lambda asked: None if own(asked.url.split("#")[0]) else wrong.append(asked.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(f"{address}{fragment}")
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Opens a file, or an address, as `opening` does."""
    with opening(browser) as open_:
        yield open_


@pytest.fixture
def look(visit: Open, whole: Path) -> Open:
    """Opens the page of everything."""
    return partial(visit, whole)
