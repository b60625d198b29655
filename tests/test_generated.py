"""What the site takes from code and data: each part is there, and names what it is made of."""

from __future__ import annotations

import re
from pathlib import Path

import generated
import pytest

from pytest_sockreuse import cli, plugin
from pytest_sockreuse.model import clauses, families
from pytest_sockreuse.options import options
from pytest_sockreuse.platforms import known, registry


def text(part: str, *words: str) -> str:
    return "\n".join(generated.PARTS[part](*words))


def test_every_part_is_used_by_a_page_and_every_page_uses_parts_that_exist() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (generated.DOCS).rglob("*.md")]
    used = {found for page in pages for found in re.findall(r"^<!-- generated: (\S+)", page, re.M)}
    assert used == set(generated.PARTS)


def test_every_command_and_argument_has_a_section() -> None:
    shown = text("commands")
    assert set(re.findall(r"^## sockreuse (.+)", shown, re.M)) == set(cli.COMMANDS)
    assert "| `--resume FILE` |" in shown


def test_every_option_setting_marker_and_fixture_is_shown() -> None:
    asked = generated.added()
    assert len(asked.options) == text("pytest-options").count("\n| `--sockreuse") > 5
    assert len(asked.settings) == text("ini").count("\n| `sockreuse_") > 4
    assert text("markers").count("\n`sockreuse") == Path(plugin.__file__).read_text().count("addinivalue_line(") > 2
    names = {name for name, value in vars(plugin).items() if hasattr(value, "_fixture_function_marker")}
    assert len(re.findall(r"^### ", text("fixtures"), re.M)) == len(names)
    assert set(generated.GIVES) <= generated.fixture_names().keys()


@pytest.mark.parametrize("stack", families())
def test_every_clause_of_a_system_is_on_its_page_once(stack: str) -> None:
    page = (generated.DOCS / "systems" / f"{stack}.md").read_text(encoding="utf-8")
    shown = re.findall(rf"^{{#{stack}-(\S+) \.clause}}", generated.filled(page), re.M)
    newest = [platform for platform in known() if platform.stack == stack][-1]
    assert len(shown) == len(set(shown))
    host = clauses([platform for platform in known() if platform.stack == "linux"][-1]) if stack == "wine" else ()
    assert {clause.name for clause in clauses(newest) if clause not in host} <= set(shown)
    assert f"]({'../systems/'}{stack}.md#{stack}-{shown[0]})" in text("all-clauses")


def test_data_is_shown_whole() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", text("socket-options"), re.M)) == set(options())
    assert set(re.findall(r"^\| `(\w+)` \|", text("platforms"), re.M)) == set(registry())
    assert "| 6.3 (6.1.32) | began | [local-range-option](systems/linux.md#linux-local-range-option)" in text(
        "history", "linux"
    )


def test_what_formats_in_markdown_is_escaped() -> None:
    assert generated.said("a * b_c <d> `e*f` [g]") == r"a \* b_c \<d\> `e*f` \[g\]"
    assert list(generated.table("a", rows=[["b|c"]]))[3] == r"| b\|c |"


@pytest.mark.parametrize("mark", ["<!-- generated: nothing -->", "<!-- generated: clauses linux no-such -->"])
def test_a_part_or_clause_that_does_not_exist_is_an_error(mark: str) -> None:
    with pytest.raises(KeyError):
        generated.filled(mark)
