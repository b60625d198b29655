"""docs/runtimes.md: its tables are made of conformance/runtimes.toml and of the models by running this file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sockreuse.encounters import meetings
from pytest_sockreuse.model import families
from pytest_sockreuse.platforms import Platform, known, registry
from pytest_sockreuse.runtimes import Listen, Runtime, named, runtimes

PAGE = Path(__file__).parents[1] / "docs" / "runtimes.md"
NEWEST = {platform.stack: platform for platform in known() if platform.stack in families()}
SHOWN = [NEWEST[stack] for stack in ("linux", "freebsd", "macos", "illumos", "windows")]
PAIRS = {
    "twice": "python-socket python-socket; flask flask; nginx flask; erlang python-socket; node flask; flask node; "
    "node nginx; nginx node; http.server flask; java java; haproxy haproxy; grpc grpc; gevent-udp gevent-udp; "
    "node-udp node-udp",
    "restart": "python-socket python-socket; flask flask; python-socket flask; erlang erlang; java java",
    "child": "gunicorn gunicorn; node flask; haproxy haproxy",
}
BEGIN, END = "<!-- {} is made by tests/test_runtimes_page.py -->", "<!-- end -->"


def what_is_set() -> Iterator[str]:
    yield "| | | Linux | macOS, BSD, illumos | Windows | backlog | seen or read in |"
    yield "|---|---|---|---|---|---|---|"
    for runtime in runtimes().values():
        linux = runtime.listen("linux")
        told = " *" if runtime.told else ""
        cells = [f"`{runtime.name}`", f"{runtime.title}: `{runtime.call}`{told}", made(linux), others(runtime, linux)]
        windows = runtime.listen("windows")
        same = windows is not None and linux is not None and windows.sets == linux.sets
        backlogs = dict.fromkeys(str(listen.backlog) for listen in runtime.on if listen.backlog is not None)
        basis = linux.basis if linux is not None else ""
        yield row(*cells, "same" if same else made(windows), ", ".join(backlogs), f"{runtime.version} ({basis})")


def others(runtime: Runtime, linux: Listen | None) -> str:
    """What it sets on the other Unix systems, those that agree together."""
    found: dict[str, list[str]] = {}
    for stack in ("macos", "freebsd", "dragonfly", "netbsd", "openbsd", "illumos"):
        if (listen := runtime.listen(stack)) is not None:
            same = linux is not None and listen.sets == linux.sets
            found.setdefault("same" if same else made(listen), []).append(registry()[stack]["title"])
    if len(found) == 1 and len(next(iter(found.values()))) == 6:
        return next(iter(found))
    return "; ".join(f"{', '.join(systems)}: {text}" for text, systems in found.items())


def made(listen: Listen | None) -> str:
    """The sockets that a call makes, in a few words."""
    if listen is None:
        return ""
    sets = listen.sets
    options = " ".join(f"`{option}`" for option in sets.options) or "no option"
    both = {None: "", True: " (IPv6 alone)", False: " (both families)"}[sets.v6only]
    names = {"::": f"`[::]`{both}", "::1": "`[::1]`"}
    where = " and ".join(names.get(host, f"`{host}`") for host in sets.address)
    protocol = ", MPTCP" if sets.protocol == "mptcp" else ""
    return f"{where}{protocol}, {options}"


def what_happens() -> Iterator[str]:
    yield row("first, then second", *(title(platform) for platform in SHOWN))
    yield row(*["---"] * (len(SHOWN) + 1))
    heads = {"twice": "", "restart": "**over TIME_WAIT**", "child": "**a child holds the socket**"}
    for scene, pairs in PAIRS.items():
        if heads[scene]:
            yield row(heads[scene], *[""] * len(SHOWN))
        for pair in pairs.split(";"):
            first, second = (named(name) for name in pair.split())
            names = ("the first", "the second") if first == second else (f"`{first.name}`", f"`{second.name}`")
            met = meetings(scene, first, second, SHOWN)
            words = [one.outcome.words(scene).format(first=names[0], second=names[1]) for one in met]
            words = ["not known" if one.outcome.ok is None else text for one, text in zip(met, words, strict=True)]
            yield row(f"`{first.name}`, `{second.name}`", *words)


def title(platform: Platform) -> str:
    return f"{registry()[platform.stack]['title']} {platform.label}"


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


PARTS = {"what is set": what_is_set, "what happens": what_happens}


def fresh(text: str) -> str:
    """The page with its tables made anew."""
    for name, lines in PARTS.items():
        before, begin, rest = text.partition(BEGIN.format(name))
        assert begin, f"no line {BEGIN.format(name)}"
        text = f"{before}{begin}\n\n" + "\n".join(lines()) + f"\n\n{END}{rest.partition(END)[2]}"
    return text


@pytest.mark.parametrize("name", PARTS)
def test_the_tables_are_fresh(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "\n".join(PARTS[name]()) in text, "run: python tests/test_runtimes_page.py"


if __name__ == "__main__":
    PAGE.write_text(fresh(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
