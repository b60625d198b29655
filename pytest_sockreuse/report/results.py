"""Results as JSON lines: a header (platform, settings, suite), one line a case, a footer.

A file without its footer is truncated, and is never read as a pass. A file may hold several platforms, one after
another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..scenario import Observation, StepOutcome
from ..suite import Variant
from ..verdict import FAILURES, VERDICTS, Verdict, is_outcome

FORMAT = 1
MAX = 64 * 1024 * 1024


class ResultsError(ValueError):
    """A results file that cannot be believed; the message names file, line and remedy."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one variant showed: `outcome` names the steps that were not just ok, and the values recorded."""

    id: str
    content: str
    verdict: str
    outcome: Mapping[str, str]
    basis: str = ""
    claims: Mapping[str, bool] = field(default_factory=dict)
    reason: str = ""

    @classmethod
    def of(
        cls, variant: Variant, observation: Observation | None, verdict: Verdict, basis: str, claims: Mapping[str, bool]
    ) -> Result:
        outcome = {}
        if observation is not None:
            names = {port: symbol for symbol, port in observation.ports.items()}
            for step in observation.steps:
                if step.outcome != "ok":
                    outcome[step.step] = step.outcome
                elif step.value is not None:
                    outcome[step.step] = _symbolic(step.value, names)
        return cls(variant.id, variant.content, verdict.state, outcome, basis, claims, verdict.reason)

    def observation(self, variant: Variant, platform: str) -> Observation:
        """What was seen, as far as a result keeps it: values carry port symbols, not numbers."""
        steps = []
        for label in (step.label for step in variant.scenario.steps if step.label):
            text = self.outcome.get(label, "ok")
            steps.append(StepOutcome(label, text) if is_outcome(text) else StepOutcome(label, "ok", text))
        return Observation(platform, tuple(steps), not_run=self.reason if self.verdict == "unsupported" else None)

    def to_properties(self) -> dict[str, str]:
        """As properties of a test report, which travel through xdist and into JUnit XML."""
        return {
            "sockreuse_case": self.id,
            "sockreuse_content": self.content,
            "sockreuse_verdict": self.verdict,
            "sockreuse_outcome": json.dumps(self.outcome),
            "sockreuse_basis": self.basis,
            "sockreuse_claims": json.dumps(self.claims),
            "sockreuse_reason": self.reason,
        }

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Result:
        text = {key.removeprefix("sockreuse_"): str(value) for key, value in properties.items()}
        return cls(
            text["case"], text["content"], text["verdict"], json.loads(text["outcome"]), text["basis"],
            json.loads(text["claims"]), text["reason"],
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The line of a results file; what is empty is left out."""
        line = {"id": self.id, "content": self.content, "verdict": self.verdict, "outcome": dict(self.outcome)}
        rest = {"basis": self.basis, "claims": dict(self.claims), "reason": self.reason}
        return line | {key: value for key, value in rest.items() if value}


def _symbolic(value: str, names: Mapping[int, str]) -> str:
    """A recorded address with its port symbol in place of the number, which changes from run to run."""
    host, colon, port = value.rpartition(":")
    return f"{host}:{names[int(port)]}" if colon and port.isdigit() and int(port) in names else value


@dataclass
class Results:
    """The results of one platform. `about` is the header: what the platform said of itself."""

    about: dict[str, Any]
    results: dict[str, Result] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Take a result in; of two of one variant (from two workers on one platform) the failure is kept."""
        kept = self.results.get(result.id)
        if kept is None or kept.verdict not in FAILURES:
            self.results[result.id] = result

    @property
    def complete(self) -> bool:
        """Whether every selected case reported."""
        return "selected" in self.about and len(self.results) >= self.about["selected"]


def text_of(platforms: Iterable[Results]) -> str:
    """The text of a results file. Platforms whose run was cut short get no footer."""
    lines: list[dict[str, Any]] = []
    for platform in platforms:
        lines.append(
            {"sockreuse": FORMAT, **{key: value for key, value in platform.about.items() if key != "selected"}}
        )
        lines += [result.to_json() for _, result in sorted(platform.results.items())]
        if platform.complete:
            lines.append({"footer": True, "results": len(platform.results)})
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def write(path: Path, platforms: Iterable[Results]) -> None:
    """Write a results file, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text_of(platforms), encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def read(path: Path) -> list[Results]:
    """Read a results file. Raises ResultsError for one that is truncated, or is none."""
    try:
        if path.stat().st_size > MAX:
            raise ResultsError(f"{path}: larger than {MAX} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path}: {error}") from None
    found: list[Results] = []
    open_ = False
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        try:
            entry = json.loads(line)
            if "sockreuse" in entry:
                if open_ or entry["sockreuse"] != FORMAT or not isinstance(entry["platform"], str):
                    raise ResultsError(
                        f"{path}:{number}: a header of format {FORMAT} should stand here, after a footer"
                    )
                found.append(Results(entry))
                open_ = True
            elif not open_:
                raise ResultsError(f"{path}:{number}: a header should stand here")
            elif "footer" in entry:
                if entry["results"] != len(found[-1].results):
                    raise ResultsError(
                        f"{path}:{number}: {entry['results']} results announced, {len(found[-1].results)} there"
                    )
                open_ = False
            else:
                result = _result(entry)
                if result.id in found[-1].results:
                    raise ResultsError(f"{path}:{number}: {result.id} a second time")
                found[-1].results[result.id] = result
        except ResultsError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ResultsError(f"{path}:{number}: not a line of a results file") from None
    if open_ or not found:
        raise ResultsError(f"{path}: no footer: the file is truncated, or its run was cut short; make it anew")
    return found


def _result(entry: Mapping[str, Any]) -> Result:
    result = Result(
        entry["id"], entry["content"], entry["verdict"], entry["outcome"], entry.get("basis", ""),
        entry.get("claims", {}), entry.get("reason", ""),
    )  # fmt: skip
    texts = [result.id, result.content, result.basis, result.reason, *result.outcome, *result.outcome.values()]
    if result.verdict not in VERDICTS or any(type(text) is not str or len(text) > 10_000 for text in texts):
        raise ValueError
    if {type(value) for value in result.claims.values()} - {bool}:
        raise ValueError
    return result
