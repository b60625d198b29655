"""Foreign text in our messages: one line, bounded, and nothing that a terminal obeys."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse.text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux-6.18.44", "linux-6.18.44"),
        ("dünn 'größer' 漢字", "dünn 'größer' 漢字"),
        (r"C:\results.jsonl", r"C:\results.jsonl"),
        ("\x1b[2Jx\x07", r"\x1b[2Jx\x07"),  # ESC, BEL
        ("\x9b2J\x7f\b", r"\x9b2J\x7f\x08"),  # the one-character CSI, DEL, backspace
        ("a\nsockreuse: all is well\r", r"a\nsockreuse: all is well\r"),
        ("\u202eevil\u2066\u2028", r"\u202eevil\u2066\u2028"),  # reading direction, line separator
        ("\ud800\udcff", r"\ud800\udcff"),  # halves of pairs, as of a file name that is no text
        (None, "None"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: object, shown: str) -> None:
    assert visible(text) == shown


def test_what_is_long_is_cut_and_says_so() -> None:
    assert visible("x" * 100) == "x" * 100
    assert visible("x" * 5_000_000) == "x" * 100 + "…"
    assert visible("x" * 9, most=3) == "xxx…"


@settings(derandomize=True, deadline=None, database=None)
@given(st.text(st.characters(), max_size=150))  # surrogates too
def test_any_text_ends_as_one_printable_line(text: str) -> None:
    shown = visible(text)
    shown.encode()  # as printing does
    assert len(shown) <= 100 * len(r"\U0010ffff") + 1
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
