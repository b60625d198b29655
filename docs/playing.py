"""Where the site has the playground, what documents ask is asked there: links below each scenario, below each situation
of `explain.md`, and from each variant of the suite that a page names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes

from pytest_sockreuse.loader import load

_TABLE = Path(__file__).parents[1] / "playground" / "situations.toml"
_SITUATIONS = {title: one["scenario"].lstrip("\n") for title, one in tomllib.loads(_TABLE.read_text("utf-8")).items()}
WORDS = "Open in the playground"


def link(app: Any, page: nodes.document) -> None:
    """Puts the links into a page."""
    name: str = app.env.docname
    base = "../" * name.count("/") + "playground/index.html#scenario="
    for block in list(page.findall(nodes.literal_block)):
        if block["language"] == "scenario":
            _below(block, base + quote(block.astext()))
    for section in page.findall(nodes.section) if name == "docs/explain" else ():
        title = next(iter(section.findall(nodes.title)))
        if title.astext() in _SITUATIONS:
            _below(title, base + quote(_SITUATIONS[title.astext()]))
    for literal, id_ in list(_variants(page)):
        literal.replace_self(nodes.reference("", "", literal.deepcopy(), refuri=base + quote(str(id_)), reftitle=WORDS))


def _below(node: nodes.Element, address: str) -> None:
    node.parent.insert(node.parent.index(node) + 1, nodes.paragraph("", "", nodes.reference("", WORDS, refuri=address)))


def _variants(page: nodes.document) -> Iterator[tuple[nodes.literal, Any]]:
    """What names a variant of the suite, and its scenario."""
    suite = load(check=False).by_id
    for literal in page.findall(nodes.literal):
        if variant := suite.get(literal.astext()):
            yield literal, variant.scenario
