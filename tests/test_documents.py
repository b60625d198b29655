"""The documents as text: an example without a language would be performed by nobody."""

from __future__ import annotations

import pytest
from documents import LANGUAGES, PAGES
from markdown_it import MarkdownIt
from workflow import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_every_example_has_a_language_that_is_performed(name: str) -> None:
    tokens = MarkdownIt().parse((ROOT / name).read_text(encoding="utf-8"))
    for token in tokens:
        assert token.type != "code_block", f"{name}:{token.map}: code in an indent has no language: use a fence"
        if token.type == "fence" and not token.info.startswith("{"):
            assert token.info in LANGUAGES, f"{name}:{token.map}: tests/docs/test_examples.py says what there is"
