"""One kernel on the bench: its work laid out, the machine run, what came back judged and filed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from archive import Files, Kernel, LabError, load_order
from boot import boot

from pytest_sockreuse import loader
from pytest_sockreuse.explorer.differential import Disagreement
from pytest_sockreuse.explorer.remote import Draft, again, disagreements, draw
from pytest_sockreuse.platforms import named
from pytest_sockreuse.report.exchange import export, load
from pytest_sockreuse.report.results import Result, Results, ResultsError, read, write
from pytest_sockreuse.suite import Suite
from pytest_sockreuse.verdict import FAILURES, is_outcome

#: Those of this checkout: the package that is imported may lie elsewhere.
RESULTS = Path(__file__).parents[1] / "results"
#: What of a kernel's configuration bears on the suite.
_CONFIG = re.compile(r"^CONFIG_(IPV6|MPTCP|MPTCP_IPV6|IP_SCTP|INET_DIAG|DUMMY|NET_NS|USER_NS|HZ)=(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Job:
    """What is done on every kernel. `runner` is the program in C; results are filed `into` a directory."""

    runner: Path
    rules: str
    explore: int
    seed: int
    minutes: float
    into: Path | None


@cache
def _suite(rules: str) -> Suite:
    return loader.load(rules=None if rules == "all" else rules.split(","))


def measure(kernel: Kernel, files: Files, work: Path, job: Job) -> tuple[bool, str]:
    """Whether the kernel departed from what was expected of it, and a line about it. Raises LabError."""
    drafts = draw(named(kernel.name), job.seed, job.explore) if job.explore and not kernel.path else []
    _lay_out(kernel, files, work, job, drafts)
    boot(kernel.how, files, work, job.minutes)
    statuses = _statuses(work)
    root, user = (_results(work, who, job) for who in ("root", "user"))
    explored, departures = _explored(kernel, files, work, job, drafts)
    (work / "disagreements.txt").write_text("\n\n".join(map(str, departures)))
    failures = [*_changed(root)]
    if job.rules == "all":
        _file(kernel, files, root, job)
    failures += [
        f"{who}: {_failures(results)}" for who, results in (("root", root), ("user", user)) if _failures(results)
    ]
    name = root.about["platform"]
    if kernel.name != name and not kernel.path:
        failures.append(f"it says that it is {name}")
    summary = f"{_counts(root)}; as a user {_counts(user)}; {explored} random, {len(departures)} disagreements"
    if statuses["explore"]:
        failures.append("the runner failed at the random scenarios")
    return bool(failures or departures), "; ".join([summary, *failures])


def _lay_out(kernel: Kernel, files: Files, work: Path, job: Job, drafts: list[Draft]) -> None:
    """What `guest.py` and `init.sh` look for."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(parents=True)
    shutil.copy(job.runner, work / "runner")
    (work / "rules").write_text(job.rules)
    for number, draft in enumerate(drafts):
        (work / f"explore{number}-{draft.options}.scenario").write_text(draft.text)
    if kernel.how == "image" and job.rules:
        suite = _suite(job.rules)
        (work / "suite.scenario").write_text("".join(export(suite)))
        one_each = (suite.by_id[id_] for id_ in _one_of_each_case(suite))
        (work / "user.scenario").write_text("".join(f"--- {variant.id}\n{variant.scenario}" for variant in one_each))
    if kernel.how == "uml" and files.modules is not None:
        (work / "modules").mkdir()
        for number, module in enumerate(load_order(files.modules)):
            shutil.copy(module, work / "modules" / f"{number:03}-{module.name}")


def _one_of_each_case(suite: Suite) -> list[str]:
    """What an emulated machine, which is slow, performs as a user."""
    return [case.variants[0].id for rule in suite.rules.values() for case in rule.cases]


def _statuses(work: Path) -> dict[str, int]:
    try:
        statuses: dict[str, int] = json.loads((work / "done.json").read_text())
    except (OSError, ValueError):
        raise LabError(f"it ended before its work; its console is {work / 'console.log'}") from None
    if "error" in statuses:
        raise LabError(f"{str(statuses['error']).strip().splitlines()[-1]}; its logs are in {work}")
    return statuses


def _results(work: Path, who: str, job: Job) -> Results:
    """What came of the suite: a report of pytest's, or the answers of the runner in C."""
    try:
        suite = _suite(job.rules)
        if (work / f"{who}.jsonl").exists():
            return read(work / f"{who}.jsonl", suite)[0]
        return load([work / f"{who}.answers"], suite, _one_of_each_case(suite) if who == "user" else None)
    except ResultsError as error:
        raise LabError(f"no results as {who}: {error}") from None


def _file(kernel: Kernel, files: Files, results: Results, job: Job) -> None:
    """Keep the results among those of the other platforms, with what they come from."""
    about = {
        "package": files.package,
        "date": datetime.now(UTC).date().isoformat(),
        "boot": {"uml": "user-mode Linux", "image": "an emulated machine", "gvisor": "runsc do"}[kernel.how],
        "config": dict(_CONFIG.findall(files.config)),
    }
    if kernel.how == "image":
        about["isolation"] = "netns"
    results.about |= {key: value for key, value in about.items() if value} | {"selected": len(results.results)}
    # What follows from the outcome and the suite changes with the suite, and is not kept.
    results.results = {id_: replace(r, basis="", claims={}) for id_, r in results.results.items()}
    write((job.into or RESULTS) / f"{results.about['platform']}.jsonl", [results], _suite(job.rules))


def _changed(results: Results) -> Iterator[str]:
    """Where a kernel now does otherwise than in the results that were filed of it, if there are any."""
    path = RESULTS / f"{results.about['platform']}.jsonl"
    if not path.exists():
        return
    suite = _suite("all")
    filed = read(path, suite)[0].results
    changed = []
    for id_, now in results.results.items():
        then = filed.get(id_)
        if then is None or then.content != now.content or "unknown" in (now.verdict, then.verdict):
            continue
        stated = suite.by_id[id_].expected(named(results.about["platform"]))
        free = stated is None or any("|" in text for text in stated.outcome.values())
        if now.verdict != then.verdict or (not free and _errors(now) != _errors(then)):
            changed.append(id_)
    if changed:
        yield f"{len(changed)} not as filed: {', '.join(changed[:2])}{', …' if len(changed) > 2 else ''}"


def _errors(result: Result) -> dict[str, str]:
    """What a result says of calls that fail; recorded values may be the system's to choose."""
    return {step: outcome for step, outcome in result.outcome.items() if is_outcome(outcome)}


def _explored(
    kernel: Kernel, files: Files, work: Path, job: Job, drafts: list[Draft]
) -> tuple[int, list[Disagreement]]:
    """The random scenarios: how many were performed, and which disagree, also when performed a second time."""
    platform = named(kernel.name) if drafts else None
    performed, suspects = 0, []
    try:
        for number, draft in enumerate(drafts):
            assert platform is not None
            count, found = disagreements(draft, work / f"explore{number}-{draft.options}.jsonl", platform)
            performed += count
            suspects += found
        if suspects and platform is not None:
            second = again(suspects)
            apart = work / "again"
            _lay_out(kernel, files, apart, Job(job.runner, "", 0, 0, job.minutes, None), [second])
            boot(kernel.how, files, apart, job.minutes)
            _, suspects = disagreements(second, apart / f"explore0-{second.options}.jsonl", platform)
    except ResultsError as error:
        raise LabError(f"the random scenarios: {error}") from None
    return performed, suspects


def _failures(results: Results) -> str:
    failed = sorted(result.id for result in results.results.values() if result.verdict in FAILURES)
    more = f" and {len(failed) - 2} more" if len(failed) > 2 else ""
    return ", ".join(failed[:2]) + more


def _counts(results: Results) -> str:
    def count(verdict: str) -> Iterator[str]:
        number = sum(result.verdict == verdict for result in results.results.values())
        if number:
            yield f"{number} {verdict}"

    return ", ".join(
        text for verdict in ("match", "mismatch", "broken", "unknown", "unsupported") for text in count(verdict)
    )
