"""All scenarios of a scope as paths in a graph: those after which scope and model remember the same go on alike.

So a step is predicted once for all the scenarios that lead to it, not once for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..model import predict, predict_state
from ..parser import parse
from ..platforms import Platform
from ..scenario import Step
from .scope import Board, Call, Scope

_NOTHING_CHANGED = frozenset({"EINVAL", "EISCONN", "ENOTCONN", "EOPNOTSUPP", "timeout"})


class State:
    """Where paths meet. `lines` is one scenario that leads here; `calls` what may follow, once that was asked."""

    __slots__ = ("board", "lines", "calls", "final")

    def __init__(self, board: Board, lines: tuple[str, ...]) -> None:
        self.board, self.lines = board, lines
        self.calls: list[Edge] = []
        self.final = True  # of the calls it is not known where they lead


class Edge(NamedTuple):
    """One call more: its steps, what the model predicts of each, where it leads if anything can follow.

    `predicted` has ``|`` between outcomes where there are several, and is empty where the model does not know.
    """

    steps: tuple[Step, ...]
    predicted: tuple[str, ...]
    state: State | None


class Path(NamedTuple):
    """A scenario, as far as it has got: its steps, their predictions, where it leads, the calls that made it."""

    steps: tuple[Step, ...]
    predicted: tuple[str, ...]
    state: State | None
    depth: int = 0

    @property
    def text(self) -> str:
        return "".join(f"{step}\n" for step in self.steps)


class Graph:
    """The scenarios of a scope on a platform."""

    def __init__(self, scope: Scope, platform: Platform) -> None:
        self.platform = platform
        self.root = Path((), (), State(Board(scope), ()))
        self._states: dict[tuple[Board, bytes], State] = {}
        self._steps: dict[str, Step] = {}

    def longer(self, path: Path, size: int) -> Iterator[Path]:
        """Each scenario of up to `size` calls with one call more than `path`. Raises ModelError."""
        if path.state is None or path.depth == size:
            return
        for steps, predicted, state in self._calls(path.state, path.depth + 1 == size):
            yield Path(path.steps + steps, path.predicted + predicted, state, path.depth + 1)

    def _calls(self, state: State, final: bool) -> list[Edge]:
        if not state.calls or (state.final and not final):
            state.calls, state.final = [self._edge(state, call, final) for call in state.board.calls()], final
        return state.calls

    def _edge(self, state: State, call: Call, final: bool) -> Edge:
        lines = state.lines + call.lines
        scenario = parse("\n".join(lines))
        prediction, memory = (
            (predict(scenario, self.platform), b"") if final else predict_state(scenario, self.platform)
        )
        at = len(state.lines)
        steps = tuple(
            self._steps.setdefault(line, step) for line, step in zip(call.lines, scenario.steps[at:], strict=True)
        )
        predicted = tuple("|".join(step.outcomes) for step in prediction.steps[at:])
        outcomes = prediction.steps[-1].outcomes
        if final or not outcomes or _NOTHING_CHANGED.issuperset(outcomes):
            return Edge(steps, predicted, None)
        board = call.succeeded if "ok" in outcomes else call.failed
        return Edge(steps, predicted, self._states.setdefault((board, memory), State(board, lines)))
