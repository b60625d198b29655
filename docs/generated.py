"""What the pages of the site take from code and data: Markdown in place of each line `<!-- generated: PART WORD … -->`.

It is made when the site is built, so it says what the code says, and nobody has to keep it.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pytest_sockreuse import arguments, cli, endings, plugin, ports
from pytest_sockreuse.expected import honours
from pytest_sockreuse.hooks import fixtures
from pytest_sockreuse.hooks.netns import Netns
from pytest_sockreuse.loader import load
from pytest_sockreuse.options import options
from pytest_sockreuse.platforms import CONFORMANCE, known, registry, version
from pytest_sockreuse.report.clauses import Entry, book
from pytest_sockreuse.settings import settings
from pytest_sockreuse.suite import Guard, ranges

HAS_PLAYGROUND = "SOCKREUSE_SITE_HAS_PLAYGROUND"  # in the environment of a build
DOCS = Path(__file__).parent
_MARK = re.compile(r"^<!-- generated: (\S+)((?: \S+)*) -->$", re.M)
_COMMIT = re.compile(r"\b[0-9a-f]{12}\b")
_KNOWN = {"measured": "measured", "source": "read in the source", "documented": "documented", "inferred": "inferred"}

Lines = Iterator[str]


def filled(page: str) -> str:
    """A page with what is generated in it. Raises KeyError for a part or a clause that does not exist."""
    shown = {word for mark in _MARK.finditer(page) if mark[1] == "clauses" for word in mark[2].split()}

    def part(mark: re.Match[str]) -> str:
        words = mark[2].split()
        if words[1:] == ["others"]:
            words[1:] = [name for name in _book()[words[0]] if name not in shown]
        return "\n".join(PARTS[mark[1]](*words))

    return _MARK.sub(part, page)


def said(text: str) -> str:
    """A sentence of code or data, of which nothing formats but what is in backticks."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*<>~\[\]$])", r"\\\1", part) for part in parts)


BAR = r"\|"


def table(*head: str, rows: Iterable[Iterable[str]]) -> Lines:
    yield ""
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |"
    yield ""


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def systems(names: Iterable[str]) -> str:
    """Their titles, in the order of the table of platforms; `all` of them in a word."""
    found = [entry["title"] for stack, entry in registry().items() if stack in {*names}]
    return ", ".join(found)


# --- the clauses of the models ----------------------------------------------------------------------------------------


def _book() -> dict[str, dict[str, Entry]]:
    """Each system's clauses by name; of Wine, whose calls Linux performs in the end, its own."""
    if not _BOOK:
        for entry in book(None):
            _BOOK.setdefault(entry.platform.stack, {})[entry.clause.name] = entry
        linux = {entry.clause for entry in _BOOK["linux"].values()}
        _BOOK["wine"] = {name: entry for name, entry in _BOOK["wine"].items() if entry.clause not in linux}
    return _BOOK


_BOOK: dict[str, dict[str, Entry]] = {}


def clauses(stack: str, *names: str) -> Lines:
    """Paragraphs, each with its name as its anchor."""
    for name in names:
        clause = _book()[stack][name].clause
        source = said(clause.source)
        if stack == "linux":
            source = _COMMIT.sub(lambda found: f"[{found[0]}](https://git.kernel.org/linus/{found[0]})", source)
        where = [source, _KNOWN[clause.confidence], str(clause.span)]
        yield from ("", f"{{#{stack}-{name} .clause}}", f"**{name}** {said(clause.sentence)}")
        yield f"[{' · '.join(filter(None, where))}]{{.where}}"
    yield ""


def history(stack: str) -> Lines:
    """The clauses that began or ended with a version, by that version."""
    rows = []
    for name, entry in _book()[stack].items():
        for what, labels in (("since", entry.clause.span.since), ("until", entry.clause.span.until)):
            if labels:
                newest = max(labels, key=version)
                others = f" ({', '.join(label for label in labels if label != newest)})" if len(labels) > 1 else ""
                sentence = f"[{name}](systems/{stack}.md#{stack}-{name}): {said(entry.clause.sentence)}"
                rows.append((version(newest), newest + others, "began" if what == "since" else "ended", sentence))
    yield from table("version (and earlier lines)", "", "clause", rows=(row[1:] for row in sorted(rows)))


def all_clauses() -> Lines:
    """A row for each name and sentence, with the systems that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for stack, entries in _book().items():
        for name, entry in entries.items():
            found.setdefault((name, entry.clause.sentence), []).append(stack)
    rows = []
    for (name, sentence), stacks in sorted(found.items()):
        links = [f"[{registry()[stack]['title']}](../systems/{stack}.md#{stack}-{name})" for stack in stacks]
        rows.append((f"`{name}`", said(sentence), ", ".join(links)))
    yield from table("clause", "what it says", "systems", rows=rows)


def verdicts() -> Lines:
    """How many sentences of each document hold on Linux, by docs/claims.md: newest version, and elsewhere in all."""
    rows = []
    for part in re.split(r"^## ", (DOCS / "claims.md").read_text(encoding="utf-8"), flags=re.M)[1:]:
        claims = re.split(r"^### ", part, flags=re.M)
        words = [_on_linux(claim) for claim in claims[1:]]
        counts = (str(words.count(word)) for word in ("holds", "depends", "refuted"))
        elsewhere = sum(bool(re.search(r"\*\*(depends|refuted)", claim)) for claim in claims[1:])
        rows.append((claims[0].strip(), str(len(words)), *counts, str(elsewhere)))
    head = ("document", "sentences", "hold on Linux", "depend", "are refuted", "do not hold on some system")
    yield from table(*head, rows=rows)


def _on_linux(claim: str) -> str:
    """What becomes of a claim on the newest Linux, which is in the one range that has no end."""
    for word, systems_ in re.findall(r"^\| \*\*(\w+)\*\* \| (.*?) \|", claim, re.M):
        if re.search(r"\bLinux(?: since [\d.]+)? [A-Z]\b", systems_):
            return str(word)
    return ""


# --- the command ------------------------------------------------------------------------------------------------------


def commands() -> Lines:
    """A section for each, as its `--help` says."""
    for name, parser in subcommands().items():
        usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
        yield from ("", f"## sockreuse {name}", "", said(parser.description or ""), "", "```synopsis", usage, "```")
        yield from table("argument", "what it is", rows=map(_argument, _given(parser)))


def subcommands() -> dict[str, argparse.ArgumentParser]:
    """Each command's parser by the command's name."""

    def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    found: dict[str, argparse.ArgumentParser] = {}
    for name, parser in below(arguments.parser(cli.COMMANDS)).items():
        further = below(parser)
        found |= {f"{name} {word}": one for word, one in further.items()} if further else {name: parser}
    return found


def _given(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.dest != "help"]


def _argument(action: argparse.Action) -> tuple[str, str]:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None:
        metavar = "|".join(map(str, action.choices))
    name = ", ".join(action.option_strings)
    if not name or action.nargs != 0:
        name = f"{name} {metavar}".strip()
    return code(name), said(action.help or "")


# --- pytest's side ----------------------------------------------------------------------------------------------------


@dataclass
class _Asked:
    """Stands in for pytest's parser and config, and keeps what the plugin gives them."""

    options: list[tuple[tuple[str, ...], dict[str, Any]]] = field(default_factory=list)
    settings: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def getgroup(self, *_: str) -> _Asked:
        return self

    def addoption(self, *names: str, **how: Any) -> None:
        self.options.append((names, how))

    def addini(self, name: str, about: str, **how: Any) -> None:
        self.settings.append((name, about, how))

    def addinivalue_line(self, _: str, line: str) -> None:
        self.lines.append(line)


def added() -> _Asked:
    """What the plugin adds to pytest."""
    asked = _Asked()
    plugin.pytest_addoption(cast(Any, asked))
    return asked


def pytest_options() -> Lines:
    rows = []
    for names, how in added().options:
        value = how.get("metavar", "")
        text = f"{names[0]}[={value}]" if how.get("nargs") == "?" else f"{names[0]}={value}" if value else names[0]
        rows.append((code(text), said(how["help"])))
    yield from table("option", "what it does", rows=rows)


def ini() -> Lines:
    kinds = {"args": "words", "bool": "true or false"}
    rows = [(code(name), kinds.get(how.get("type", ""), "text"), said(about)) for name, about, how in added().settings]
    yield from table("setting", "form", "what it says", rows=rows)


def markers() -> Lines:
    class Config(_Asked):
        option = type("Nothing", (), {"__getattr__": lambda *_: None})()

        def getini(self, _: str) -> list[str]:
            return []

    config: Any = Config()
    plugin.pytest_configure(config)
    for line in config.lines:
        found = re.fullmatch(r"(\w+(?:\(.*\))?): (.*)", line)
        assert found, line
        marker, about = found.groups()
        yield from ("", f"`{marker}`", "", said(about), "")


#: What of ours a fixture gives, where that is called or has attributes.
GIVES: dict[str, Any] = {
    "held_port": ports.Lease,
    "held_ports": ports.Ports.hold_many,
    "held_port_factory": ports.Ports,
    "tcp": fixtures.Sockets.__call__,
    "udp": fixtures.Sockets.__call__,
    "time_wait": endings.time_wait,
    "fin_wait2": endings.fin_wait2,
    "sockreuse_netns": Netns,
    "port_range": Netns.port_range,
}


def the_fixtures() -> Lines:
    """A section for each: what it is, its scope, and how to call what it gives."""
    for name, (about, scope) in fixture_names().items():
        yield from ("", f"### {name}", "", said(about), "")
        gives = GIVES.get(name)
        if inspect.isclass(gives):
            members = [member for key, member in vars(gives).items() if not key.startswith("_")]
            calls = [f"{name}.{_signature(one)}" for one in members if inspect.isfunction(one)]
            calls += [f"{name}.{one.fget.__name__}" for one in members if isinstance(one, property) and one.fget]
        else:
            calls = [_signature(gives, name)] if gives else []
        if calls:
            yield from ("```python", *calls, "```", "")
        if scope != "function":
            yield f"Its scope is the {scope}."


def fixture_names() -> dict[str, tuple[str, str]]:
    """Each fixture's line and scope, by its name."""
    found = {}
    for made in vars(plugin).values():
        marker = getattr(made, "_fixture_function_marker", None)
        if marker is not None:
            body = made._get_wrapped_function()
            found[marker.name or body.__name__] = (inspect.getdoc(body) or "", str(marker.scope))
    return found


def _signature(function: Callable[..., Any], name: str = "") -> str:
    found = inspect.signature(function)
    own = [one for key, one in found.parameters.items() if key != "self"]
    text = f"{name or function.__name__}{found.replace(parameters=own)}"
    text = re.sub(r"<AddressFamily\.(\w+): \d+>|<class '[\w.]*?(\w+)'>", r"\1\2", text).replace(
        "socket.socket", "socket"
    )
    return re.sub(
        r": '(.*?)'(?=[,)]| =)|-> '(.*)'", lambda found: f": {found[1]}" if found[1] else f"-> {found[2]}", text
    )


# --- what lies beside the documents ---------------------------------------------------------------------------------


def page_if_there(name: str) -> Lines:
    """The entry of a page that a change may bring, in the place that it has then."""
    if (DOCS / f"{name}.md").exists():
        yield name


def beside() -> Lines:
    """Links to what is no document."""
    yield from (
        "",
        '- <a href="../matrix.html">The matrix</a>: every case of the suite on every system, and how it is known',
    )
    if os.environ.get(HAS_PLAYGROUND):
        yield '- <a href="../playground/index.html">The playground</a>: every model answers as you type'
    yield ""


# --- data -------------------------------------------------------------------------------------------------------------


def socket_options() -> Lines:
    stacks = list(options()["SO_REUSEADDR"].number)
    rows = [
        (code(name), option.form, option.level, *(_number(option.number.get(stack)) for stack in stacks))
        for name, option in options().items()
    ]
    yield from table("option", "form", "level", *(registry()[stack]["title"] for stack in stacks), rows=rows)


def _number(number: int | None) -> str:
    return "" if number is None else hex(number) if number > 255 else str(number)


def the_settings() -> Lines:
    rows = [(code(name), known_.values, systems(known_.on), str(known_.span)) for name, known_ in settings().items()]
    yield from table("setting", "values", "systems", "versions", rows=rows)


def platforms() -> Lines:
    rows = [
        (f"`{stack}`", entry["title"], ", ".join(code(f"{stack}-{label}") for label in entry["versions"]))
        for stack, entry in registry().items()
    ]
    yield from table("stack", "system", "known versions", rows=rows)


def rules() -> Lines:
    """A section for each rule that can be required."""
    for guard in load(check=False).guards.values():
        yield from _rule(guard)


def _rule(guard: Guard) -> Lines:
    yield from ("", f"## {', '.join(guard.aliases)}", "", f"`{guard.id}`", "", f"{said(guard.text)}.", "")
    held = honours(guard, known())
    for title, answer in (("Holds on", True), ("Not on", False), ("Not known of", None)):
        if places := list(ranges((platform, found is answer) for platform, found in held.items())):
            yield f"- {title} {', '.join(places)}."
    yield from (f"- Where it does not hold: {said(guard.instead)}", "")


def formats() -> Lines:
    """A section for each schema, a table for each kind of object in it."""
    for path in sorted((CONFORMANCE / "schema").glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        yield from ("", f"## {said(schema['title'])}", "", said(schema.get("description", "")), "")
        yield f"The schema: `conformance/schema/{path.name}`."
        yield from _objects(schema, "")


def _objects(schema: dict[str, Any], name: str) -> Lines:
    keys = schema.get("properties", {})
    if keys:
        if name:
            yield from ("", f"**{name}** {said(schema.get('description', ''))}")
        must = schema.get("required", ())
        rows = [(code(key), _form(one), "yes" if key in must else "", _about(one)) for key, one in keys.items()]
        yield from table("key", "form", "always", "what it says", rows=rows)
    below = {"": schema.get("additionalProperties"), **schema.get("patternProperties", {}), **schema.get("$defs", {})}
    for key, one in below.items():
        if isinstance(one, dict):
            yield from _objects(one, key or name)


def _about(schema: Any) -> str:
    return said(schema.get("description", "")) if isinstance(schema, dict) else ""


def _form(schema: Any) -> str:
    """What a value looks like, in a few words."""
    if not isinstance(schema, dict):
        return "anything" if schema else "never"
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return ", ".join(code(str(one)) for one in schema["enum"])
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    for either in ("oneOf", "anyOf"):
        if either in schema:
            return " or ".join(dict.fromkeys(map(_form, schema[either])))
    kind = schema.get("type", "")
    kinds = [kind] if isinstance(kind, str) else kind
    if kinds == ["array"]:
        return f"list of {_form(schema.get('items', True))}"
    return " or ".join(kinds) or "table"


PARTS: dict[str, Callable[..., Lines]] = {
    "clauses": clauses,
    "history": history,
    "verdicts": verdicts,
    "all-clauses": all_clauses,
    "commands": commands,
    "pytest-options": pytest_options,
    "ini": ini,
    "markers": markers,
    "fixtures": the_fixtures,
    "beside": beside,
    "page-if-there": page_if_there,
    "socket-options": socket_options,
    "settings": the_settings,
    "platforms": platforms,
    "rules": rules,
    "formats": formats,
}
