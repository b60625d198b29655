"""Stands for `gh`, the hosting service's command line: a repository in a JSON file, whose name is in FAKE_GH.

The one place where the service is faked. `install` puts it on a PATH; as a program it answers one request.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

EMPTY: dict[str, Any] = {
    "issues": [],
    "pulls": [],
    "refs": {"refs/heads/main": "m" * 40},
    "commits": {"m" * 40: {"tree": {"sha": "t" * 40}}},
    "trees": {"t" * 40: {}},
    "releases": [],
    "requests": [],
}


def install(directory: Path) -> Path:
    """Make `gh` in a directory for PATH; returns the file with the state, which FAKE_GH has to name."""
    program, state = directory / "gh", directory / "gh.json"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    state.write_text(json.dumps(EMPTY))
    return state


class Refused(Exception):
    pass


def _list(entries: list[dict[str, Any]], query: dict[str, str], keep: Callable[[dict[str, Any]], bool]) -> Any:
    size, page = int(query.get("per_page", "30")), int(query.get("page", "1"))
    wanted = [e for e in entries if keep(e) and query.get("state", "open") in ("all", e["state"])]
    return wanted[(page - 1) * size : page * size]


def _issues(state: dict[str, Any], query: dict[str, str]) -> Any:
    label = query.get("labels", "")
    return _list(state["issues"], query, lambda issue: not label or label in {one["name"] for one in issue["labels"]})


def _pulls(state: dict[str, Any], query: dict[str, str]) -> Any:
    head = query["head"].partition(":")[2]
    return _list(state["pulls"], query, lambda pull: pull["head"] == head and pull["base"] == query["base"])


def _create(kind: str, state: dict[str, Any], body: dict[str, Any]) -> Any:
    number = len(state["issues"]) + len(state["pulls"]) + 1
    labels = [{"name": name} for name in body.pop("labels", [])]
    made = {"number": number, "state": "open", "labels": labels, **body}
    state[kind].append(made)
    return made


def _change(kind: str, number: int, state: dict[str, Any], body: dict[str, Any]) -> Any:
    (entry,) = (entry for entry in state[kind] if entry["number"] == number)
    entry.update(body)
    return entry


def _hash(value: Any) -> str:
    return hashlib.sha1(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _tree(state: dict[str, Any], body: dict[str, Any]) -> Any:
    base = state["trees"][body["base_tree"]]
    tree = {**base, **{entry["path"]: entry["content"] for entry in body["tree"]}}
    sha = body["base_tree"] if tree == base else _hash(tree)
    state["trees"][sha] = tree
    return {"sha": sha}


def _commit(state: dict[str, Any], body: dict[str, Any]) -> Any:
    sha = _hash(body)
    state["commits"][sha] = {"tree": {"sha": body["tree"]}, "message": body["message"], "parents": body["parents"]}
    return {"sha": sha}


def _ref(state: dict[str, Any], name: str, body: dict[str, Any], new: bool) -> Any:
    if (name in state["refs"]) == new:
        raise Refused("Reference already exists" if new else "Reference does not exist")
    state["refs"][name] = body["sha"]
    return {"ref": name}


def answer(state: dict[str, Any], method: str, path: str, body: dict[str, Any]) -> Any:
    """What the service would; raises Refused for what it would refuse."""
    url = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    what = re.sub(r"^repos/[^/]+/[^/]+/", "", url.path)
    state["requests"].append(f"{method} {what}")
    if found := re.fullmatch(r"(issues|pulls)/(\d+)", what):
        return _change(found[1], int(found[2]), state, body)
    if found := re.fullmatch(r"git/(refs/heads/.+)", what):
        return _ref(state, found[1], body, new=False)
    if found := re.fullmatch(r"git/commits/(\w+)", what):
        return state["commits"][found[1]]
    match method, what:
        case "GET", "issues":
            return _issues(state, query)
        case "GET", "pulls":
            return _pulls(state, query)
        case "POST", ("issues" | "pulls") as kind:
            return _create(kind, state, body)
        case "POST", "git/trees":
            return _tree(state, body)
        case "POST", "git/commits":
            return _commit(state, body)
        case "POST", "git/refs":
            return _ref(state, body["ref"], body, new=True)
    raise Refused(f"Not Found: {method} {what}")


def main(arguments: list[str]) -> int:
    file = Path(os.environ["FAKE_GH"])
    state = json.loads(file.read_text())
    if not os.environ.get("GH_TOKEN"):
        print("gh: To get started, please run: gh auth login", file=sys.stderr)
        return 4
    if arguments[:2] == ["release", "create"]:
        notes = Path(arguments[arguments.index("--notes-file") + 1]).read_text()
        state["releases"].append({"arguments": arguments[2:], "notes": notes})
    else:
        body = json.load(sys.stdin) if "--input" in arguments else {}
        try:
            print(json.dumps(answer(state, arguments[2], arguments[3], body)))
        except Refused as error:
            print(f"gh: {error} (HTTP 404)", file=sys.stderr)
            return 1
        finally:
            file.write_text(json.dumps(state))
    file.write_text(json.dumps(state))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
