"""The site as it was built: where its links lead, and how many of them a reader follows to an answer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from situations import SITUATIONS

SITE = Path(os.environ.get("SOCKREUSE_SITE", ""))
START = "docs/index.html"
APART = {"index.html", "search.html", "genindex.html", "py-modindex.html"}  # the door, and what the theme makes

pytestmark = pytest.mark.skipif("SOCKREUSE_SITE" not in os.environ, reason="no site was built: tox run -e docs")


@dataclass
class Page(HTMLParser):
    """The links of a page, those in its text apart; its ids; what it loads."""

    text: str = field(repr=False)
    links: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)  # not in the bars at its sides
    ids: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)
    headings: dict[str, str] = field(default_factory=dict)  # the id of each section by its heading

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._in_article = 0
        self._section = self._heading = ""
        self._in_heading = False
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "article":
            self._in_article += 1
        elif tag == "section":
            self._section = given.get("id", "")
        elif re.fullmatch("h[1-6]", tag):
            self._in_heading, self._heading = True, ""
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
            if self._in_article:
                self.inner.append(given["href"])
        elif tag in ("link", "script", "img", "iframe", "source") and (given.get("src") or given.get("href")):
            self.loads.append(given.get("src") or given["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._in_article -= 1
        elif re.fullmatch("h[1-6]", tag):
            self._in_heading = False
            self.headings[self._heading.removesuffix("¶")] = self._section

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self._heading += data


@pytest.fixture(scope="module")
def site() -> dict[str, Page]:
    """Its pages by their place in it."""
    found = {path.relative_to(SITE).as_posix(): Page(path.read_text("utf-8")) for path in SITE.rglob("*.html")}
    assert len(found) > 40
    return {name: page for name, page in found.items() if not name.startswith(("matrix.html", "playground/"))}


def place(page: str, link: str) -> tuple[str, str]:
    """Where a link of a page leads: a place in the site and an anchor."""
    target, anchor = urldefrag(link)
    target = target.partition("?")[0]
    return os.path.normpath(os.path.join(os.path.dirname(page), unquote(target))) if target else page, unquote(anchor)


def foreign(link: str) -> bool:
    return re.match(r"[a-z+.-]+:|//", link) is not None


def dead(site: dict[str, Page], names: Iterable[str]) -> Iterator[str]:
    """Links of some pages to what is not there."""
    for name in names:
        page = site[name]
        for link in filter(lambda link: not foreign(link), page.links + page.loads):
            target, anchor = place(name, link)
            if not (SITE / target).exists() or (anchor and target in site and anchor not in site[target].ids):
                yield f"{name}: {link}"


def test_every_link_and_anchor_is_there(site: dict[str, Page]) -> None:
    assert list(dead(site, site)) == []


@pytest.mark.parametrize("link", ["absent.html", "explain.html#absent", "../matrix.htm"])
def test_a_dead_link_is_found(site: dict[str, Page], link: str) -> None:
    made = {**site, "docs/x.html": Page(f'<a href="{link}">')}
    assert list(dead(made, ["docs/x.html"])) == [f"docs/x.html: {link}"]


def test_no_page_loads_anything_from_elsewhere(site: dict[str, Page]) -> None:
    assert [link for page in site.values() for link in page.loads if foreign(link)] == []


def test_every_page_is_reached_from_the_start(site: dict[str, Page]) -> None:
    assert set(site) - set(clicks(site, START, inner=False)) <= APART


def clicks(site: dict[str, Page], start: str, inner: bool = True) -> dict[str, int]:
    """How many links in the texts of pages lead from one to each other page, and anchor."""
    found, round_ = {start: 0}, [start]
    while round_:
        further = []
        for name in round_:
            page = site.get(name.partition("#")[0])
            for link in (page.inner if inner else page.links) if page else ():
                target, anchor = place(name.partition("#")[0], link)
                for one in (f"{target}#{anchor}" if anchor else target, target):
                    if not foreign(link) and one not in found:
                        found[one] = found[name] + 1
                        further.append(one)
        round_ = further
    return found


def test_the_answer_to_each_situation_is_two_clicks_away(site: dict[str, Page]) -> None:
    headings = site["docs/explain.html"].headings
    away = clicks(site, START)
    assert [title for title in SITUATIONS if away[f"docs/explain.html#{headings[title]}"] > 2] == []
