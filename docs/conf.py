"""How Sphinx builds the site: `tox run -e docs`, by `build.py`.

The repository's top is where it reads from, so a link in a page is the same in an editor, on a code host and here.
"""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import generated
import playing
from pygments.lexers.special import TextLexer

from pytest_sockreuse.version import __version__

project = "pytest-sockreuse"
author = project_copyright = "The pytest-sockreuse authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "*.md", "conformance/README.md", "examples/holepunch/README.md", "attack/README.md"]
exclude_patterns = [".*", "**/.*", "build", "dist", "pytest_sockreuse", "lab-work", "leg", "merged", "node_modules"]

myst_enable_extensions = ["attrs_block", "attrs_inline"]
myst_heading_anchors = 4
smartquotes = False  # -- begins an option
default_role = "code"  # of the docstrings
autodoc_typehints_format = "short"
# Of Python's own names nothing is known without the network.
nitpick_ignore_regex = [("py:.*", r"(?!pytest_sockreuse\.(ports|endings)\.).*")]

html_theme = "furo"
html_title = f"pytest-sockreuse {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = html_copy_source = False


def fill(_app: Any, _page: str, source: list[str]) -> None:
    source[0] = generated.filled(source[0])


def setup(app: Any) -> None:
    for language in ("scenario", "synopsis"):
        app.add_lexer(language, TextLexer)
    app.connect("source-read", fill)
    if os.environ.get(generated.HAS_PLAYGROUND):
        app.connect("doctree-read", playing.link)
