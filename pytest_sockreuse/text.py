"""Text that somebody else wrote, made fit for a message of ours."""

from __future__ import annotations

from collections.abc import Iterable


def visible(text: object, most: int = 100) -> str:
    """`text` in one line, of its first `most` characters: what a terminal would obey, or nobody would see, is escaped.

    For names, ids and words of files, arguments and runners. So no file can forge a line, move the cursor, turn the
    reading direction, or fill the screen; and a half of a surrogate pair, which cannot be printed, can be shown.
    """
    whole = str(text)
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in whole[:most])
    return shown if len(whole) <= most else f"{shown}…"


def few(text: str, most: int, longest: int) -> str:
    """The first `most` lines of a text, each of at most so many characters, and how many more there are."""
    lines = text.split("\n")
    shown = [visible(line, longest) for line in lines[:most]]
    return "\n".join(shown if len(lines) <= most else [*shown, f"… and {len(lines) - most} more"])


def nearest(word: str, names: Iterable[str], most: int = 3, least: float = 0.6) -> list[str]:
    """The names that are most like a word, the best first; `least` is how alike, from 0 to 1."""
    import difflib  # when a word was wrong, and else not

    return difflib.get_close_matches(word, [*names], most, least)
