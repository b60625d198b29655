"""One issue for each release line that drifts: ``python issues.py drift.json`` opens, updates and closes them.

An issue is ours by its label, which takes rights to give, and by a marker in its first line. There stand the legs that
showed the drift, and the cases: it is closed when all of them were measured again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hosting import Hosting

LABEL = "drift"
_MARKER = re.compile(
    r"<!-- sockreuse-drift: ([a-z0-9]+-[A-Za-z0-9._-]{1,60}) on ([A-Za-z0-9. _-]*): ([a-z0-9/ -]*) -->"
)


def keep(lines: dict[str, dict[str, Any]], hosting: Hosting) -> list[str]:
    """Make the issues say what was measured; a line for each that was touched. What was not measured is left alone."""
    known = _known(hosting)
    return [told for line, measured in lines.items() for told in _keep(line, measured, known.get(line), hosting)]


def _known(hosting: Hosting) -> dict[str, dict[str, Any]]:
    """Our issues, open and closed; of two for one line the older."""
    found: dict[str, dict[str, Any]] = {}
    for issue in hosting.all(f"issues?labels={LABEL}&state=all&sort=created&direction=asc"):
        marker = _MARKER.match(issue["body"] or "")
        if marker and "pull_request" not in issue:
            found.setdefault(marker[1], {**issue, "legs": set(marker[2].split()), "cases": set(marker[3].split())})
    return found


def _keep(line: str, measured: dict[str, Any], issue: dict[str, Any] | None, hosting: Hosting) -> Iterator[str]:
    is_open = issue is not None and issue["state"] == "open"
    legs, cases = (issue["legs"], issue["cases"]) if issue is not None and is_open else (set(), set())
    legs = legs - set(measured["measured"])  # those of which nothing is known today
    cases = cases if legs else cases & set(measured["unasked"])
    if not measured["differs"]:
        if issue is not None and is_open and not legs and not cases:
            hosting.call("PATCH", f"issues/{issue['number']}", {"state": "closed", "state_reason": "completed"})
            yield f"{line}: #{issue['number']} closed: measured, and all is as expected"
        elif issue is not None and is_open:
            why = f"{', '.join(sorted(legs))} did not measure it" if legs else f"{min(cases)} could not be asked"
            yield f"{line}: #{issue['number']} stays open: {why}"
        return
    on, of = (
        " ".join(sorted({*now, *before})) for now, before in ((measured["differs"], legs), (measured["cases"], cases))
    )
    marker = f"<!-- sockreuse-drift: {line} on {on}: {of} -->"
    wanted = {"title": measured["title"], "body": f"{marker}\n{measured['body']}"}
    if issue is None:
        made = hosting.call("POST", "issues", {**wanted, "labels": [LABEL]})
        yield f"{line}: #{made['number']} opened"
    elif not is_open:
        hosting.call("PATCH", f"issues/{issue['number']}", {**wanted, "state": "open"})
        yield f"{line}: #{issue['number']} opened again"
    elif (issue["title"], issue["body"]) != (wanted["title"], wanted["body"]):
        hosting.call("PATCH", f"issues/{issue['number']}", wanted)
        yield f"{line}: #{issue['number']} brought up to date"


if __name__ == "__main__":
    for told in keep(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Hosting()):
        print(told)
