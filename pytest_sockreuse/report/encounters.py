"""What happens when two runtimes take one port, as text: what each sets, then for each scene where what happens."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence

from ..encounters import SCENES, Meeting, meetings, title
from ..platforms import Platform, registry
from ..runtimes import HOSTS, Listen, Runtime


def compare(first: Runtime, second: Runtime, platforms: Sequence[Platform]) -> Iterator[str]:
    """What each of the runtimes sets there, then each scene; on one platform alone also the scenario to repeat it."""
    for runtime in dict.fromkeys((first, second)):
        yield from _sets(runtime, platforms)
    names = ("the first", "the second") if first == second else (first.name, second.name)
    for scene, one, other in _asked(first, second):
        yield ""
        yield title(scene, one, other)
        met = meetings(scene, one, other, platforms)
        here = names if (one, other) == (first, second) else ("the old one", "it")
        groups = list(_groups(scene, met))
        if len(met) > 1 and len({words for words, _ in groups}) == 1:
            groups = [(groups[0][0], [])]
        rows = [(_span(group), words.format(first=here[0], second=here[1])) for words, group in groups]
        width = max(len(where) for where, _ in rows)
        yield from (f"  {where:<{width}}  {words}" for where, words in rows)
        if len(met) == 1 and met[0].scenario is not None:
            yield textwrap.indent(str(met[0].scenario).rstrip(), "    ")


def _asked(first: Runtime, second: Runtime) -> Iterator[tuple[str, Runtime, Runtime]]:
    """The scenes of the two, after the first the restart of each by itself."""
    for scene in SCENES:
        yield scene, first, second
        if scene == "twice" and first != second:
            yield "restart", first, first
            yield "restart", second, second


def _groups(scene: str, met: Sequence[Meeting]) -> Iterator[tuple[str, list[Platform]]]:
    """Neighbours of one stack on which the same happens."""
    for (_, words), group in itertools.groupby(met, key=lambda one: (one.platform.stack, one.outcome.words(scene))):
        yield words, [one.platform for one in group]


def _span(platforms: Sequence[Platform]) -> str:
    if not platforms:
        return "everywhere"
    name, first, last = registry()[platforms[0].stack]["title"], platforms[0].label, platforms[-1].label
    return f"{name} {first}" if first == last else f"{name} {first} to {last}"


def _sets(runtime: Runtime, platforms: Sequence[Platform]) -> Iterator[str]:
    """A line for each thing that the runtime sets on some of the platforms; a guest counts as its host."""
    stacks: dict[Listen, dict[str, None]] = {}
    for stack in dict.fromkeys(platform.stack for platform in platforms):
        if (listen := runtime.listen(stack)) is not None:
            home = stack if stack in listen.systems else HOSTS[stack]
            stacks.setdefault(listen, {})[registry()[home]["title"]] = None
    for listen, where in stacks.items():
        yield f"{runtime.name}: {sockets(listen)} on {', '.join(where)} ({listen.basis})"


def sockets(listen: Listen) -> str:
    """What a listen call makes, in the language's words."""
    return ", ".join(f"{maker} at {host}" for maker, host in listen.sets.sockets)
