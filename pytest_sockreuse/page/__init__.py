"""The matrix as a page for people: one HTML file that asks no network for anything, and whose source can be read.

`encoding` makes the data, `source/` what is drawn from it: plain JavaScript, joined in the order of `SCRIPTS`. Whatever
results, suite or models say becomes text there; a policy in the page lets nothing run but that script.
"""

from __future__ import annotations

import base64
import hashlib
import html as _html
import json
import re
from pathlib import Path
from typing import Any

from ..matrix.differences import Difference, differences
from ..matrix.table import Matrix
from .encoding import encode

SOURCE = Path(__file__).parent / "source"
SCRIPTS = (
    "dom outcome data ranges route search grid matrix cases case front claims servers systems file own main".split()
)
_SLOT = re.compile(r"\{(\w+)\}")
_COMMENT = re.compile(r"^[ \t]*(?:/\*.*?\*/|//[^\n]*)\n", re.M | re.S)
_INDENT = re.compile(r"^\s+", re.M)


def html(matrix: Matrix) -> str:
    """The whole page."""
    data = encode(matrix)
    ten = "\n".join(_difference(one, matrix.variants[one.row].id) for one in differences(matrix, 10))
    systems = len(data["families"])
    return page(
        data,
        ten=ten,
        systems=f"{systems} systems, {len(matrix.columns)} versions of them,",
        variants=f"{len(matrix.variants):,}",
        warning=_warning(len(matrix.left_out)),
    )


def page(data: dict[str, Any], **slots: str) -> str:
    """The file that shows `data`; the `slots` are HTML."""
    style = _read("page.css")
    script = "\n".join(_read(f"{name}.js") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    filled = {
        "policy": policy,
        "style": style,
        "script": script,
        "data": in_script(data),
        **{key: escape(data[key]) for key in ("made", "version", "suite")},
        **slots,
    }
    return _SLOT.sub(lambda found: filled[found[1]], _read("page.html"))


def in_script(data: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element, or open a comment."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def escape(text: str) -> str:
    """A text as HTML."""
    return _html.escape(text, quote=True)


def _difference(one: Difference, variant: str) -> str:
    case = one.case
    link = escape(f"#/case/{variant}")
    who = "".join(f"<li>{escape(words)}: {escape(', '.join(families))}</li>" for words, families in one.groups)
    return (
        f'<li data-row="{one.row}"><p><a href="{link}">{escape(case.title)}</a></p>'
        f'<ul class="strip">{who}</ul><p class="note">{escape(case.why)}</p></li>'
    )


def _warning(left_out: int) -> str:
    if not left_out:
        return ""
    files = "file was" if left_out == 1 else "files were"
    return f'<p class="message">{left_out} results {files} left out: <a href="#/systems">which, and why</a>.</p>'


def _read(name: str) -> str:
    """A file of the page, without indents and comments with lines of their own: these are for readers of `source/`."""
    return _INDENT.sub("", _COMMENT.sub("", (SOURCE / name).read_text(encoding="utf-8")))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
