"""Outcomes compared with an expectation.

An expectation names the steps that do not just succeed: ``{"outgoing.bind": "EADDRINUSE"}``. Alternatives stand side by
side, ``"EADDRINUSE|EACCES"``; a recorded value may be expected too, with a port symbol or a range of ports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .dataclass import dataclass
from .scenario import Observation, StepOutcome

Outcome = Mapping[str, str]

#: match: as expected · mismatch: not so · unknown: seen, nothing expected · unsupported: this machine cannot ask ·
#: broken: the machinery failed where it should not.
VERDICTS = ("match", "mismatch", "unknown", "unsupported", "broken")
FAILURES = frozenset({"mismatch", "broken"})

_OUTCOME = re.compile(r"ok|timeout|unreached|E[A-Z0-9]{1,30}")
#: By the verb of a step, what it may record.
_VALUES = {
    "name": re.compile(r"([0-9.]{1,40}|\[[0-9a-f:.]{1,40}(%[A-Za-z0-9_.\-]{1,15})?\]):[0-9]{1,5}"),
    "get": re.compile(r"[ -~]{0,100}"),
}
#: Errors of socket() that say what a system lacks.
ABSENT = {"EPROTONOSUPPORT": "protocol", "ESOCKTNOSUPPORT": "socket type", "EAFNOSUPPORT": "address family"}


class ExpectationError(ValueError):
    """An expectation that no observation could meet."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an observation compares: the `wrong` steps' labels, or the `reason` why it was not compared."""

    state: str
    wrong: tuple[str, ...] = ()
    reason: str = ""


def is_outcome(text: str) -> bool:
    """Whether `text` is an outcome, and not a recorded value."""
    return bool(_OUTCOME.fullmatch(text))


def is_value(verb: str, text: object) -> bool:
    """Whether a step of that verb can have recorded `text`."""
    value = _VALUES.get(verb)
    return value is not None and isinstance(text, str) and bool(value.fullmatch(text))


def check_outcome(outcome: Outcome, labels: Iterable[str]) -> None:
    """Raise ExpectationError where `outcome` names a step that does not exist or an alternative that cannot be."""
    labels = set(labels)
    for label, text in outcome.items():
        if label not in labels:
            raise ExpectationError(f"no step {label!r} in the scenario (it has {', '.join(sorted(labels))})")
        recorded = label.partition("#")[0].rsplit(".", 1)[1] in ("name", "get")
        if not all(str(text).split("|")):
            raise ExpectationError(f"step {label!r} expects {text!r}, which should be alternatives joined by '|'")
        for alternative in text.split("|"):
            if not is_outcome(alternative) and not recorded:
                raise ExpectationError(
                    f"step {label!r} expects {alternative!r}: neither ok, timeout, unreached nor an errno name"
                )


def meets(step: StepOutcome, expected: str, ports: Mapping[str, int]) -> bool:
    """Whether a step did one of the alternatives of `expected`; `ports` are what the port symbols stood for."""
    return step.outcome == expected or any(
        step.outcome == alternative
        if is_outcome(alternative)
        else step.outcome == "ok" and _same_value(step.value or "", alternative, ports)
        for alternative in expected.split("|")
    )


def _same_value(value: str, expected: str, ports: Mapping[str, int]) -> bool:
    if value == expected:
        return True
    host, _, port = expected.rpartition(":")
    if not host or not re.fullmatch(r"\d+(\.\.\d+)?|[A-Z][A-Z0-9]*", port):
        return False
    seen_host, _, seen_port = value.rpartition(":")
    if seen_host != host or not seen_port.isdigit():
        return False
    if ".." in port:
        low, high = map(int, port.split(".."))
        return low <= int(seen_port) <= high
    return int(seen_port) == (ports.get(port) if port.isalnum() and not port.isdigit() else int(port))


def differences(expected: Outcome, observation: Observation) -> tuple[str, ...]:
    """The labels of the steps that did not do what `expected` says; none named means ok, or unreached."""
    return tuple(
        step.step
        for step in observation.steps
        if not (
            meets(step, expected[step.step], observation.ports)
            if step.step in expected
            else step.outcome == "ok" or (step.outcome == "unreached" and expected)
        )
    )


def shown(claims: Mapping[str, Outcome], observation: Observation, verdict: Verdict) -> dict[str, bool]:
    """For each of a case's claims, whether the observation shows it; none where it could not be asked."""
    if verdict.state == "unsupported":
        return {}
    return {id_: not differences(claim, observation) for id_, claim in claims.items()}


def judge(expected: Outcome | None, observation: Observation) -> Verdict:
    """Compare an observation with an expectation (None: nothing is expected)."""
    if observation.not_run is not None:
        return Verdict("unsupported", reason=observation.not_run)
    for step in observation.steps:
        if step.outcome not in ABSENT or not step.step.endswith(".socket"):
            continue
        if step.outcome not in (expected or {}).get(step.step, "").split("|"):
            return Verdict("unsupported", reason=f"this system lacks the {ABSENT[step.outcome]} ({step.outcome})")
    if expected is None:
        return Verdict("unknown")
    wrong = differences(expected, observation)
    return Verdict("mismatch", wrong) if wrong else Verdict("match")
