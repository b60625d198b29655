"""Mutants of this repository's own files: what a slip, a bad merge or a bad mind makes of them."""

from __future__ import annotations

from random import Random

_WORDS = (b"", b"5", b"-1", b'""', b"[]", b"{}", b"null", b"true", b"NaN", b"9" * 30, b"P", b"0", b"65536", b"\0",
          b"\x1b[31m", b"\xff", b"\\ud800", "\u202e".encode(), b"\r", b"[1-9999]", b"ok|", b"x" * 3000)  # fmt: skip


def mutant(chance: Random, original: bytes, most: int = 20_000) -> bytes:
    """A piece of a file, of at most `most` bytes and cut between lines, with one to four changes."""
    lines = original.splitlines(keepends=True)
    start = chance.randrange(len(lines)) if len(original) > most else 0
    text = bytearray(b"".join(lines[start:])[:most])
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change(chance, text)
    return bytes(text)


def _change(chance: Random, text: bytearray) -> None:
    at = chance.randrange(len(text) + 1)
    end = min(len(text), at + chance.choice((1, 1, 2, 8, 80)))
    start = text.rfind(b"\n", 0, at) + 1
    line = bytes(text[start : text.find(b"\n", at) + 1 or len(text)])
    match chance.randrange(7):
        case 0:
            del text[at:end]
        case 1:
            text[at:at] = chance.choice(_WORDS)
        case 2:
            text[at:end] = chance.choice(_WORDS)
        case 3:
            text[at:end] = bytes(chance.randrange(256) for _ in range(end - at))
        case 4:  # a line again, there or elsewhere
            to = text.find(b"\n", chance.randrange(len(text) + 1)) + 1
            text[to:to] = line
        case 5:
            del text[start : start + len(line)]
        case 6:
            text[start : start + len(line)] = line.replace(b"=", chance.choice(_WORDS), 1)
