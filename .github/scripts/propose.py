"""``python propose.py DIRECTORY BASE SHA LINK``: one pull request with what the merge laid out, kept up to date.

The commit is made by the service, so this job has no credentials on its disk, and nothing but
data and the page of claims is taken.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from hosting import Hosting, HostingError

BRANCH = "measured-by-the-weekly-run"
TITLE = "Measured by the weekly run"
_OURS = re.compile(
    r"conformance/(rules/[a-z0-9-]+\.toml|results/[a-z0-9]+-[A-Za-z0-9._-]{1,60}\.jsonl|predictions/[a-z0-9]+\.jsonl)"
    r"|docs/claims\.md"
)


def files(directory: Path) -> dict[str, str]:
    """What is proposed, by the names in the repository. Raises ValueError for what no measurement changes."""
    found = {path.relative_to(directory).as_posix(): path for path in sorted(directory.rglob("*")) if path.is_file()}
    for name in found:
        if not _OURS.fullmatch(name):
            raise ValueError(f"{name!r} is nothing that a measurement changes")
    return {name: path.read_text(encoding="utf-8") for name, path in found.items()}


def propose(texts: dict[str, str], hosting: Hosting, base: str, sha: str, link: str) -> str:
    """Open the pull request against `base` at commit `sha`, or bring it up to date; a line that says which."""
    parent = hosting.call("GET", f"git/commits/{sha}")
    entries = [{"path": name, "mode": "100644", "type": "blob", "content": text} for name, text in texts.items()]
    tree = hosting.call("POST", "git/trees", {"base_tree": parent["tree"]["sha"], "tree": entries})
    if tree["sha"] == parent["tree"]["sha"]:
        return "nothing is new"
    commit = hosting.call("POST", "git/commits", {"message": _message(texts), "tree": tree["sha"], "parents": [sha]})
    try:
        hosting.call("PATCH", f"git/refs/heads/{BRANCH}", {"sha": commit["sha"], "force": True})
    except HostingError:  # there is no such branch yet
        hosting.call("POST", "git/refs", {"ref": f"refs/heads/{BRANCH}", "sha": commit["sha"]})
    owner = hosting.repository.partition("/")[0]
    body = f"{_message(texts)}\n\nThe run: {link}" if link else _message(texts)
    for pull in hosting.all(f"pulls?state=open&head={owner}:{BRANCH}&base={base}"):
        hosting.call("PATCH", f"pulls/{pull['number']}", {"body": body})
        return f"#{pull['number']} brought up to date"
    made = hosting.call("POST", "pulls", {"title": TITLE, "head": BRANCH, "base": base, "body": body})
    return f"#{made['number']} opened"


def _message(texts: dict[str, str]) -> str:
    results = [Path(name).stem for name in texts if "/results/" in name]
    rules = [Path(name).stem for name in texts if "/rules/" in name]
    return (
        f"{TITLE}\n\nWhat these runs show of every cell is stated as measured: {', '.join(results) or 'those filed'}.\n"
        f"Rules that change: {', '.join(rules)}. Each diff is that of `sockreuse results apply`.\n"
        "Predictions and the page of claims are those that `sockreuse results predict` and "
        "`sockreuse report --claims docs/claims.md` write after that."
    )


if __name__ == "__main__":
    directory, base, sha, link = sys.argv[1:]
    print(propose(files(Path(directory)), Hosting(), base, sha, link))
