"""One scenario, a model and this OS: what was predicted compared with what was seen; a disagreement is made small."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from ..dataclass import dataclass
from ..live.runner import Runner
from ..model import DEPARTED, Prediction, StepPrediction, predict
from ..model.prediction import outcome_text
from ..parser import parse
from ..platforms import Platform
from ..scenario import Observation, Scenario, ScenarioError

HANG = 0.3  # seconds for a scenario in which the model predicts that a call does not return
TIME = 3.0  # seconds for any other
_ABSENT = ("EPROTONOSUPPORT", "ESOCKTNOSUPPORT")
_WAITING = ("accept", "recv")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A scenario that this OS and the model see differently, from the labelled step number `at` on."""

    scenario: Scenario
    prediction: Prediction
    observation: Observation
    at: int

    @property
    def signature(self) -> str:
        """The key by which equal disagreements are merged: call, prediction, observation."""
        seen, step = self.observation.steps[self.at], self.prediction.steps[self.at]
        verb = seen.step.rpartition(".")[2].partition("#")[0]
        return f"{verb}: {_outcomes(step)} by {step.clause or 'no clause'}, seen {seen.outcome}"

    def __str__(self) -> str:
        """The scenario as a case could have it: what was seen beside each step, and where that was not predicted."""
        labelled = iter(zip(self.prediction.steps, self.observation.steps, strict=True))
        texts = [str(step) for step in self.scenario.steps]
        width = max(map(len, texts), default=0)
        lines = [str(setting) for setting in self.scenario.environment]
        for step, text in zip(self.scenario.steps, texts, strict=True):
            if not step.label:
                lines.append(text)
                continue
            predicted, seen = next(labelled)
            note = f"# {seen.value or seen.outcome}"
            if seen.step == self.observation.steps[self.at].step:
                note += f"   <-- the model: {_outcomes(predicted)} ({predicted.clause or predicted.unknown})"
            elif predicted.clause not in ("", "nothing-against"):
                note += f" ({predicted.clause})"
            lines.append(f"{text:<{width}}   {note}")
        return "\n".join(lines)


def _outcomes(step: StepPrediction) -> str:
    return outcome_text(step).replace("|", " or ")


def disagreement(
    scenario: Scenario, platform: Platform, observation: Observation, inverted: Iterable[str] = ()
) -> Disagreement | None:
    """Where the observation is not what the model says, knowing what was seen before each step. Raises ModelError."""
    prediction = predict(scenario, platform, observation, inverted)
    for at, (step, seen) in enumerate(zip(prediction.steps, observation.steps, strict=True)):
        if seen.outcome in _ABSENT and seen.outcome not in step.outcomes and _verb(step) == "socket":
            return None  # a kernel that was built without the protocol
        if step.unknown == DEPARTED or not step.matches(seen.outcome, seen.value, observation.ports):
            return Disagreement(scenario, prediction, observation, at)
        if step.unknown and seen.outcome == "timeout":  # then nothing came after it
            break
    return None


class DifferentialTest:
    """Compares what this OS does with a model. `ask` hands a scenario to the runner, `answer` compares the oldest.

    Args:
        inverted: clauses of the model to invert, for trying what would be found.
    """

    def __init__(self, runner: Runner, platform: Platform, inverted: Iterable[str] = ()) -> None:
        self.runner, self.platform, self.inverted = runner, platform, frozenset(inverted)
        self._asked: deque[tuple[Scenario, Prediction]] = deque()

    def ask(self, scenario: Scenario) -> str:
        """Perform a scenario as far as the model knows it; what it does not know. `under_way` says whether anything is.

        There is no waiting where the model predicts that there is nothing. Raises ModelError.
        """
        prediction = predict(scenario, self.platform, None, self.inverted)
        if unknown := prediction.unknown:
            known = up_to_unknown(scenario, prediction)
            if known is not None:
                self._ask(known, predict(known, self.platform, None, self.inverted))
            return unknown
        self._ask(scenario, prediction)
        return ""

    @property
    def under_way(self) -> int:
        """How many scenarios were asked for and not yet answered."""
        return len(self._asked)

    def _ask(self, scenario: Scenario, prediction: Prediction) -> None:
        polls = [step.step for step in prediction.steps if _verb(step) in _WAITING and step.outcomes != ("ok",)]
        self.runner.ask(scenario, HANG if may_hang(prediction) else TIME, polls, shared=True)
        self._asked.append((scenario, prediction))

    def answer(self) -> tuple[Observation, Disagreement | None]:
        """The oldest scenario asked: what was seen, and whether it is not as predicted. Raises Broken."""
        scenario, prediction = self._asked.popleft()
        observation = self.runner.answer()
        if observation.not_run is not None or as_predicted(prediction, observation):
            return observation, None
        return observation, disagreement(scenario, self.platform, observation, self.inverted)

    def patiently(self, scenario: Scenario) -> Disagreement | None:
        """Perform a scenario once more, as ``sockreuse run`` does; nothing else may be asked for. Raises Broken."""
        observation = self.runner.run(scenario)
        if observation.not_run is not None:
            return None
        return disagreement(scenario, self.platform, observation, self.inverted)


def up_to_unknown(scenario: Scenario, prediction: Prediction) -> Scenario | None:
    """The part of a scenario up to the last step that the model knows, if that is one."""
    label = next((step.step for step in reversed(prediction.steps) if not step.unknown), None)
    if label == prediction.steps[-1].step:
        return scenario
    line = next((step.line for step in scenario.steps if step.label == label), 0)
    return _trimmed([*scenario.lines[:line]])


def may_hang(prediction: Prediction) -> bool:
    """Whether a call may not return at all, other than one that waits for something to come."""
    return any("timeout" in step.outcomes and _verb(step) not in _WAITING for step in prediction.steps)


def _verb(step: StepPrediction) -> str:
    return step.step.rpartition(".")[2].partition("#")[0]


def as_predicted(prediction: Prediction, observation: Observation) -> bool:
    """Whether the OS had no choice and did what was predicted: then nothing is to be learnt from what it chose."""
    for step, seen in zip(prediction.steps, observation.steps, strict=True):
        if step.unknown or step.outcomes != (seen.outcome,):
            return False
        if step.values and (len(step.values) > 1 or not step.values[0].matches(seen.value, observation.ports)):
            return False
    return True


# --- making it small --------------------------------------------------------------------------------------------------


def shrink(found: Disagreement, again: Callable[[Scenario], Disagreement | None], tries: int = 400) -> Disagreement:
    """The smallest scenario found that still disagrees, leaving out sockets, steps, options and marks by and by.

    `again` performs a scenario and compares; it is called `tries` times at the most.
    """
    if cut := _trimmed([*found.scenario.lines[: found.scenario.steps[_index(found)].line]]):
        found = again(cut) or found
        tries -= 1
    progress = True
    while progress and tries > 0:
        progress = False
        for smaller in _smaller([*found.scenario.lines]):
            if tries <= 0:
                break
            scenario = _trimmed(smaller)
            if scenario is None:
                continue
            tries -= 1
            if less := again(scenario):
                found, progress = less, True
                break
    return found


def _index(found: Disagreement) -> int:
    label = found.observation.steps[found.at].step
    return next(at for at, step in enumerate(found.scenario.steps) if step.label == label)


def _trimmed(lines: list[str]) -> Scenario | None:
    try:
        scenario = parse("\n".join(lines) + "\n")
    except ScenarioError:
        return None
    return scenario if scenario.steps else None


def _smaller(lines: list[str]) -> Iterator[list[str]]:
    """Texts with less in them, the greatest cuts first; not all of them are scenarios."""
    names = dict.fromkeys(found[0] for line in lines if (found := re.match(r"\w+(?=\.| = )", line)))
    for name in reversed(names):
        yield [line for line in lines if not re.search(rf"\b{name}\b", line)]
    for size in (4, 2, 1):
        for at in range(len(lines) - size, -1, -1):
            yield lines[:at] + lines[at + size :]
    for at, line in enumerate(lines):
        for less in _simpler(line):
            yield [*lines[:at], less, *lines[at + 1 :]]


def _simpler(line: str) -> Iterator[str]:
    if line.endswith("?"):
        yield line[:-1]
    if found := re.match(r"(\w+ = \w+\()(.*)(\).*)$", line):
        options = found[2].split(", ") if found[2] else []
        for at in range(len(options)):
            yield found[1] + ", ".join(options[:at] + options[at + 1 :]) + found[3]
        if " as " in line:
            yield line.partition(" as ")[0]
    if re.search(r":\w+\.port|:Q\)", line):
        yield re.sub(r":(\w+\.port|Q)\)", ":P)", line)
    if "127.0.0.2" in line:
        yield line.replace("127.0.0.2", "127.0.0.1")
