"""The documents, and the languages that their examples may be in; docs/test_examples.py says how each is performed."""

from __future__ import annotations

from workflow import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "conformance/README.md", "examples/*/README.md")
    for path in ROOT.glob(pattern)
)
LANGUAGES = "console sh synopsis python scenario toml ini yaml json text".split()
