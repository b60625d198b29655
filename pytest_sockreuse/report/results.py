"""Results as JSON lines: a header (platform, settings, suite), a line for each answer of a case, a footer.

A line names all variants that gave its answer (see `fold`); in files of format 1 it names one. A file without its
footer is truncated, and is never read as a pass. A file may hold several platforms, one after another.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from .. import intake, output
from ..dataclass import dataclass
from ..loader import BASES
from ..scenario import CALLS, Observation, StepOutcome
from ..suite import Expectation, Suite, Variant
from ..text import visible
from ..verdict import FAILURES, VERDICTS, Verdict, is_outcome, is_value
from .fold import fold, unfold

FORMAT = 2
MAX = 64 * 1024 * 1024  # bytes of a file
MAX_LINE = 1024 * 1024
MOST = 200_000  # results in a file
LONG = 10_000  # characters of a reason

_PLATFORM = re.compile(r"[a-z0-9]+-[A-Za-z0-9._-]{1,60}")
_HASH = re.compile(r"[0-9a-f]{12}")
_STEP = re.compile(
    rf"[A-Za-z][A-Za-z0-9_]*\.({'|'.join(sorted({call.verb for call in CALLS} - {'wait'}))})(#[1-9][0-9]*)?"
)
_ADDRESS = (
    r"([0-9.]{1,40}|\[[0-9a-f:.]{1,40}(%[A-Za-z0-9_.\-]{1,15})?\]):([0-9]{1,5}(\.\.[0-9]{1,5})?|[A-Z][A-Z0-9]{0,20})"
)
_CHOSEN = re.compile(rf"{_ADDRESS}(\|{_ADDRESS})*")  # a port by its symbol, or those that the system chooses from
_CLAIM = re.compile(r"[A-Z]-[1-9][0-9]*")


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
        cls,
        variant: Variant,
        observation: Observation | None,
        verdict: Verdict,
        expected: Expectation | None,
        claims: Mapping[str, bool],
    ) -> Result:
        """What a variant showed. Where the system chose as it may, that is said and not what it chose this time."""
        outcome = {}
        if observation is not None:
            names = {str(port): symbol for symbol, port in observation.ports.items()}
            met = expected.outcome if expected is not None and verdict.state == "match" else {}
            for step in observation.steps:
                text = step.outcome if step.value is None else _symbolic(step.value, names)
                if expected is not None and text != met.get(step.step, text):
                    alternatives = [_symbolic(one, names) for one in met[step.step].split("|")]
                    text = _chosen(text, alternatives, expected.basis)
                if text != "ok":
                    outcome[step.step] = text
        basis = expected.basis if expected is not None else ""
        return cls(variant.id, variant.content, verdict.state, outcome, basis, claims, verdict.reason[:LONG])

    def to_properties(self) -> dict[str, str]:
        """As properties of a test report, which travel through xdist and into JUnit XML."""
        return {
            "sockreuse_case": self.id,
            "sockreuse_content": self.content,
            "sockreuse_verdict": self.verdict,
            "sockreuse_outcome": json.dumps(self.outcome) if self.outcome else "{}",
            "sockreuse_basis": self.basis,
            "sockreuse_claims": json.dumps(self.claims) if self.claims else "{}",
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


def observed(
    platform: str, labels: Iterable[str], outcome: Mapping[str, str], not_run: str | None
) -> Iterator[Observation]:
    """What was seen, as far as a result keeps it: values carry port symbols, not numbers.

    Where the system chose there are several, such that each step shows each of its alternatives.
    """
    seen = {label: outcome.get(label, "ok").split("|") for label in labels}
    for number in range(max(map(len, seen.values()), default=1)):
        texts = {label: texts[min(number, len(texts) - 1)] for label, texts in seen.items()}
        steps = (StepOutcome(k, text) if is_outcome(text) else StepOutcome(k, "ok", text) for k, text in texts.items())
        yield Observation(platform, tuple(steps), not_run=not_run)


def _chosen(text: str, alternatives: Sequence[str], basis: str) -> str:
    """All that the system may choose from, where it does: ports at an address; or to succeed or not.

    Not where the expectation may have alternatives for want of knowledge: what was seen is more then.
    """
    host, colon, _ = text.rpartition(":")
    if colon:
        return "|".join(one for one in alternatives if one.rpartition(":")[0] == host) or text
    free = basis in ("measured", "model") and "ok" in alternatives and all(map(is_outcome, alternatives))
    return "|".join(alternatives) if free else text


def _symbolic(value: str, names: Mapping[str, str]) -> str:
    """A recorded address with its port symbol in place of the number, which changes from run to run."""
    host, colon, port = value.rpartition(":")
    return f"{host}:{names[port]}" if colon and port in names else value


@dataclass
class Results:
    """The results of one platform. `about` is the header: what the platform said of itself; `at` its place, if read."""

    about: dict[str, Any]
    results: dict[str, Result] = field(default_factory=dict)
    at: str = ""

    def add(self, result: Result) -> None:
        """Take a result in; of two of one variant (from two workers on one platform) the failure is kept."""
        kept = self.results.get(result.id)
        if kept is None or kept.verdict not in FAILURES:
            self.results[result.id] = result

    @property
    def complete(self) -> bool:
        """Whether every selected case reported."""
        return "selected" in self.about and len(self.results) >= self.about["selected"]


def text_of(platforms: Iterable[Results], suite: Suite) -> str:
    """The text of a results file. Platforms whose run was cut short get no footer."""
    found: list[dict[str, Any]] = []
    for platform in platforms:
        about = {key: value for key, value in platform.about.items() if key != "selected"}
        found += [{"sockreuse": FORMAT, **about}, *_together(platform.results.values(), suite)]
        if platform.complete:
            found.append({"footer": True, "results": len(platform.results)})
    return "".join(json.dumps(line) + "\n" for line in found)


def _together(results: Iterable[Result], suite: Suite) -> list[dict[str, Any]]:
    """A line for each answer that a case got, with the variants that gave it; sorted.

    Variants that were asked something else than this suite asks keep the content that tells so.
    """
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for result in results:
        line = result.to_json()
        case, bracket, _ = line.pop("id").partition("[")
        content = line.pop("content")
        variant = suite.by_id.get(result.id)
        own = "" if variant is not None and variant.content == content else content
        groups[case, bracket, own, json.dumps(line)].append(result.id)
    found = []
    for (case, _, own, answer), ids in groups.items():
        known = [suite.by_id[id_] for id_ in sorted(ids) if id_ in suite.by_id]
        values = [v.values for v in known] if len(known) == len(ids) else [(id_[len(case) + 1 : -1],) for id_ in ids]
        found.append({"id": fold(case, values), "content": own or _content(known), **json.loads(answer)})
    return sorted(found, key=lambda line: str(line["id"]))


def _content(variants: Iterable[Variant]) -> str:
    """What was asked of several variants: a hash of their contents; of one variant its own."""
    first, *others = (variant.content for variant in variants)
    return hashlib.sha256("".join([first, *others]).encode()).hexdigest()[:12] if others else first


def write(path: Path, platforms: Iterable[Results], suite: Suite) -> None:
    """Write a results file, as `output.write` does. Raises OSError."""
    output.write(path, text_of(platforms, suite))


# --- reading ----------------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A line of a results file: some variants, what each of them was asked, and what all of them showed."""

    at: str
    ids: Sequence[str]
    contents: Sequence[str]
    verdict: str
    outcome: Mapping[str, str]
    basis: str
    claims: Mapping[str, bool]
    reason: str


def read(path: Path, suite: Suite | None = None) -> list[Results]:
    """Read a results file. Raises ResultsError for one that is truncated, or is none."""
    found = []
    for results, line in read_lines(path, suite):
        if line is None:
            found.append(results)
            continue
        for id_, content in zip(line.ids, line.contents, strict=True):
            results.results[id_] = Result(id_, content, *line[3:])
    return found


def read_lines(path: Path, suite: Suite | None = None) -> Iterator[tuple[Results, Line | None]]:
    """Each line of a results file, with the empty results of its platform; and without one where these are whole.

    Variants that share a line get their own contents where `suite` asks all of them what they were asked. Else they
    keep the line's, which is the content of no scenario. Raises ResultsError.
    """
    known = suite.by_id if suite is not None else {}
    platforms: set[str] = set()
    results, sorted_, left, before = None, False, MOST, ""
    ids: set[str] = set()
    for at, text in lines(path):
        entry = entry_of(text, at)
        if "sockreuse" in entry:
            if results is not None:
                raise ResultsError(f"{at}: a footer should stand before the next header")
            sorted_ = entry["sockreuse"] == FORMAT  # a file of format 1 may have been put together by hand
            results, ids, before = _header(entry, at), set(), ""
            if results.about["platform"] in platforms:
                raise ResultsError(f"{at}: {results.about['platform']} a second time")
            platforms.add(results.about["platform"])
        elif results is None:
            raise ResultsError(f"{at}: a header should stand here")
        elif "footer" in entry:
            _footer(entry, results, len(ids), at)
            yield results, None
            results = None
        else:
            line = _line(entry, known, left, at)
            left -= len(line.ids)
            if not ids.isdisjoint(line.ids) or len(set(line.ids)) < len(line.ids):
                twice = [id_ for id_, following in pairwise(line.ids) if id_ == following]  # they are sorted
                raise ResultsError(f"{at}: {min([*ids.intersection(line.ids), *twice])} a second time")
            ids.update(line.ids)
            if sorted_ and entry["id"] < before:
                raise ResultsError(f"{at}: {visible(entry['id'])} should stand before {visible(before)}")
            before = entry["id"]
            yield results, line
    if results is not None or not platforms:
        raise ResultsError(
            f"{visible(path, 1000)}: no footer: the file is truncated, or its run was cut short; make it anew"
        )


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line of a file of at most `MAX` bytes, after its place. Raises ResultsError."""
    name = visible(path, 1000)
    try:
        data = intake.read(path, MAX)
    except OSError as error:
        raise ResultsError(f"{name}: {error.strerror}") from None
    if len(data) > MAX:
        raise ResultsError(f"{name}: larger than {MAX} bytes")
    for number, line in enumerate(io.BytesIO(data or b"\n"), 1):
        at = f"{name}:{number}"
        if len(line) > MAX_LINE:  # what it would be in memory is thirty times as large
            raise ResultsError(f"{at}: longer than {MAX_LINE} bytes")
        try:
            yield at, line.decode().removesuffix("\n")
        except UnicodeDecodeError:
            raise ResultsError(f"{at}: not UTF-8") from None


def entry_of(text: str, at: str, what: str = "a line of a results file") -> dict[str, Any]:
    """The JSON object that a line is. Raises ResultsError, also for a key that stands twice and a half of a pair."""
    try:
        entry = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
        if "\\ud" in text.lower():
            json.dumps(entry, ensure_ascii=False).encode()
        if not isinstance(entry, dict):
            _refuse()
    except (ValueError, RecursionError):
        raise ResultsError(f"{at}: not {what}") from None
    return entry


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        _refuse()
    return entry


def _refuse(_: str = "") -> NoReturn:
    raise ValueError


def _header(entry: dict[str, Any], at: str) -> Results:
    form, knobs = entry.pop("sockreuse"), entry.get("knobs", {})
    if type(form) is not int or form not in range(1, FORMAT + 1):
        raise ResultsError(f"{at}: a header of format 1 or {FORMAT} should stand here")
    if not _is(entry.get("platform"), _PLATFORM):
        raise ResultsError(f"{at}: a header should name its platform, as in linux-6.18.44")
    if not _is(entry.get("suite"), _HASH):
        raise ResultsError(f"{at}: a header should name its suite, by twelve hexadecimal digits")
    if not isinstance(knobs, dict) or not all(isinstance(value, str) for value in knobs.values()):
        raise ResultsError(f"{at}: a header's knobs should be texts by name")
    return Results(entry, at=at)


def _footer(entry: Mapping[str, Any], results: Results, count: int, at: str) -> None:
    announced = entry.get("results")
    if entry.keys() != {"footer", "results"} or entry["footer"] is not True or type(announced) is not int:
        raise ResultsError(f"{at}: not a line of a results file")
    if announced != count:
        raise ResultsError(f"{at}: {visible(announced)} results announced, {count} there")
    results.about["selected"] = announced


def _line(entry: Mapping[str, Any], known: Mapping[str, Variant], most: int, at: str) -> Line:
    """What a line tells. Raises ResultsError."""
    if not _is_line(entry):
        raise ResultsError(f"{at}: not a line of a results file")
    try:
        ids = sorted(unfold(entry["id"], most))
    except ValueError as error:
        raise ResultsError(f"{at}: {error}") from None
    asked = [known[id_] for id_ in ids if id_ in known]
    own = len(asked) == len(ids) and _content(asked) == entry["content"]
    contents = [variant.content for variant in asked] if own else [entry["content"]] * len(ids)
    rest = entry.get("basis", ""), entry.get("claims", {}), entry.get("reason", "")
    return Line(at, ids, contents, entry["verdict"], entry["outcome"], *rest)


def _is_line(entry: Mapping[str, Any]) -> bool:
    """Whether a line is as `schema/result.json` says; but for its id."""
    needed, more = {"id", "content", "verdict", "outcome"}, {"basis", "claims", "reason"}
    outcome, claims = entry.get("outcome"), entry.get("claims", {})
    return (
        needed <= entry.keys() <= needed | more
        and isinstance(entry["id"], str)
        and _is(entry["content"], _HASH)
        and entry["verdict"] in VERDICTS
        and isinstance(outcome, dict)
        and all(_is(step, _STEP) and _is_shown(step, text) for step, text in outcome.items())
        and isinstance(claims, dict)
        and all(_is(claim, _CLAIM) and isinstance(holds, bool) for claim, holds in claims.items())
        and entry.get("basis", BASES[0]) in BASES
        and isinstance(reason := entry.get("reason", "x"), str)
        and 0 < len(reason) <= LONG
    )


def _is_shown(step: str, text: Any) -> bool:
    verb = step.partition("#")[0].rpartition(".")[2]
    if not isinstance(text, str) or len(text) > 1000:
        return False
    return all(map(is_outcome, text.split("|"))) or is_value(verb, text) or (verb == "name" and _is(text, _CHOSEN))


def _is(text: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None
