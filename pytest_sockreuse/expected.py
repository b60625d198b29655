"""What a platform is expected to do with a variant: what is stated, else what its model says; where the two differ.

And so where a guard holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from .dataclass import dataclass
from .model import DEPARTED, Prediction, StepPrediction, families, predict, predictions
from .model.ports import Value, mask
from .model.prediction import outcome_text
from .platforms import Platform
from .scenario import Observation
from .suite import Expectation, Guard, Suite, Variant
from .verdict import Outcome, is_outcome


def expected(variant: Variant, platform: Platform, observation: Observation) -> Expectation | None:
    """The expectation to compare `observation` with, or None where nobody knows.

    The model is asked with what was observed, so that it can follow a choice that is the OS's to make; from where that
    is not what it says on, without.
    """
    stated = variant.expected(platform)
    if stated is not None or platform.stack not in families() or observation.not_run is not None:
        return stated
    prediction = predict(variant.scenario, platform, observation)
    if departed := [step.unknown for step in prediction.steps].count(DEPARTED):
        rest = predict(variant.scenario, platform).steps[-departed:]
        prediction = Prediction(prediction.platform, (*prediction.steps[:-departed], *rest))
    return _modelled(prediction)


def _modelled(prediction: Prediction) -> Expectation | None:
    if prediction.unknown:
        return None
    outcome = {step.step: outcome_text(step) for step in prediction.steps if step.outcomes != ("ok",) or step.values}
    names = ", ".join(dict.fromkeys(step.clause for step in prediction.steps if step.outcomes != ("ok",)))
    return Expectation(outcome, "model", note=f"clauses {names}" if names else "")


def honours(guard: Guard, platforms: Sequence[Platform]) -> dict[Platform, bool | None]:
    """Whether each of the platforms does, in every variant, what the guard is on; None where nobody knows."""
    found: dict[Platform, list[bool | None]] = {platform: [] for platform in platforms}
    for variant in guard.variants:
        stated = {platform: variant.expected(platform) for platform in platforms}
        rest = [platform for platform, entry in stated.items() if entry is None]
        predicted = map(_modelled, predictions(variant.scenario, rest))
        for platform, entry in {**stated, **dict(zip(rest, predicted, strict=True))}.items():
            answer = None if entry is None else agrees(entry.outcome, guard.outcome, variant.scenario.labels)
            found[platform].append(answer)
    return {platform: False if False in tried else True if True in tried else None for platform, tried in found.items()}


def agrees(given: Outcome, wanted: Outcome, labels: Collection[str]) -> bool | None:
    """Whether an outcome that is `given` for the steps `labels` meets the one that is `wanted`.

    None where that is not known, or the OS may choose.
    """
    steps = [_agrees(_words(given, step), _words(wanted, step), step in given) for step in labels]
    return False if False in steps else None if None in steps else True


def _words(outcome: Outcome, step: str) -> set[str]:
    return set(outcome[step].split("|") if step in outcome else ("ok", "unreached") if outcome else ("ok",))


def _agrees(may: set[str], must: set[str], said: bool) -> bool | None:
    """One step's alternatives; what is not `said` of it, ok or unreached, contradicts neither of the two."""
    if "ok" in must:
        may = {word if is_outcome(word) else "ok" for word in may}
    if may <= must or (may & must and not said):
        return True
    recorded = not all(map(is_outcome, must))  # the values may be the same, written otherwise
    return None if may & must or (recorded and any(word == "ok" or not is_outcome(word) for word in may)) else False


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A statement and a model that cannot both be right, and the steps in question."""

    variant: Variant
    platform: Platform
    stated: Expectation
    steps: tuple[StepPrediction, ...]

    def __str__(self) -> str:
        parts = (
            f"{step.step}: stated {self.stated.outcome.get(step.step, 'ok')} ({self.stated.basis}), "
            f"modelled {outcome_text(step)} ({step.clause})"
            for step in self.steps
        )
        return f"{self.variant.id} on {self.platform}: {'; '.join(parts)}"


def disagreements(suite: Suite, platforms: Sequence[Platform]) -> Iterator[Disagreement]:
    """Every variant and platform where statement and model differ. What the model does not know is no disagreement."""
    for case in (case for rule in suite.rules.values() for case in rule.cases):
        alike: dict[tuple[int, ...], list[Platform]] = {}  # platforms of which the same is stated
        for platform in platforms:
            alike.setdefault(tuple(map(id, case.stated(platform))), []).append(platform)
        for variant in case.variants:
            yield from _disagreements(variant, alike.values())


def _disagreements(variant: Variant, groups: Iterable[Sequence[Platform]]) -> Iterator[Disagreement]:
    stated: dict[Platform, Expectation] = {}
    for group in groups:
        expectation = variant.expected(group[0])
        if expectation is not None and expectation.basis != "model":
            stated |= dict.fromkeys(group, expectation)
    predicted = list(predictions(variant.scenario, stated))
    found: dict[tuple[int, int], tuple[StepPrediction, ...]] = {}  # by expectation and prediction, few of which differ
    for (platform, expectation), prediction in zip(stated.items(), predicted, strict=True):
        both = id(expectation), id(prediction.steps)
        if both not in found:
            found[both] = tuple(_parting(expectation, prediction))
        if found[both]:
            yield Disagreement(variant, platform, expectation, found[both])


def _parting(stated: Expectation, prediction: Prediction) -> Iterator[StepPrediction]:
    for step in prediction.steps:
        if step.unknown:
            continue
        text = stated.outcome.get(step.step)
        if text is None:
            allowed = {"ok", "unreached"} if stated.outcome else {"ok"}
            if not allowed.issuperset(step.outcomes):
                yield step
        elif not all(_stated(outcome, step.values, text.split("|")) for outcome in step.outcomes):
            yield step


def _stated(outcome: str, values: Sequence[Value] | None, alternatives: Sequence[str]) -> bool:
    if outcome in alternatives:
        return True
    return outcome == "ok" and bool(values) and all(_value_stated(value, alternatives) for value in values or ())


def _value_stated(value: Value, alternatives: Sequence[str]) -> bool:
    if not value.ports:
        return str(value) in alternatives
    covered = 0
    for alternative in alternatives:
        host, _, port = alternative.rpartition(":")
        if host == value.text and (found := re.fullmatch(r"(\d+)(?:\.\.(\d+))?", port)):
            covered |= mask(int(found[1]), int(found[2] or found[1]))
    return not value.ports & ~covered
