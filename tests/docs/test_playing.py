"""The links from the documents into the playground, in a site that has one."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from workflow import ROOT

pytest.importorskip("sphinx", reason="needs Sphinx: tox run -e docs")

import generated
from samples import situations
from sphinx.application import Sphinx

from pytest_sockreuse.loader import load

VARIANT = "order-dependence/every-order[ip4-ra-ra-bloc-lo-lo]"
MINE = 'A = tcp4()\nA.bind(127.0.0.1:P)\nA.bind(127.0.0.1:P)  # no & trouble <with> "this"\n'
PAGES = {
    "docs/index": "# Start\n\n```{toctree}\nexplain\nhow-to/mine\n```\n",
    "docs/explain": "# Why?\n\n" + "".join(f"## {one.title}\n\nIt is.\n\n" for one in situations()),
    "docs/how-to/mine": f"# Mine\n\n```scenario\n{MINE}```\n\n| | |\n|---|---|\n| `{VARIANT}` | `sockreuse` |\n",
}


def links(top: Path) -> dict[str, list[str]]:
    """Build those pages; by page the scenarios that they lead to, below the place where the playground is."""
    for name, text in PAGES.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / f"{name}.md").write_text(text, "utf-8")
    told = {"exclude_patterns": ["out"], "html_static_path": [], "html_css_files": [], "html_theme": "basic"}
    app = Sphinx(top, ROOT / "docs", top / "out", top / "out/trees", "html", told, status=None, warningiserror=True)
    app.build()
    found = {}
    for name in PAGES:
        base = re.escape("../" * name.count("/") + "playground/index.html#scenario=")
        page = (top / "out" / f"{name}.html").read_text("utf-8")
        found[name] = [unquote(text) for text in re.findall(f'href="{base}([^"]*)"', page)]
    return found


def test_they_lead_from_scenarios_situations_and_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(generated.HAS_PLAYGROUND, "yes")
    assert links(tmp_path) == {
        "docs/index": [],
        "docs/explain": [one.text for one in situations()],
        "docs/how-to/mine": [MINE, str(load(check=False).by_id[VARIANT].scenario)],
    }


def test_a_site_without_a_playground_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(generated.HAS_PLAYGROUND, raising=False)
    assert not any(links(tmp_path).values())
