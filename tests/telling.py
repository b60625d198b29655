"""What an explanation says, read back from pytest's output."""

from __future__ import annotations

from collections.abc import Sequence


def told(lines: Sequence[str]) -> list[dict[str, list[str]]]:
    """The rows of each section, by name; lines that were folded are joined."""
    sections: list[dict[str, list[str]]] = []
    name = ""
    for line in lines:
        if line.startswith("---") and "sockreuse: " in line:
            sections.append({"why": [line.strip("- ")]})
            name = "why"
        elif not line or line[0] in "_=-":
            name = ""
        elif name and line.startswith(" "):
            sections[-1][name][-1] += " " + line.strip()
        elif name:
            name, text = line[:9].strip(), line[9:]
            sections[-1].setdefault(name, []).append(text)
    return sections
