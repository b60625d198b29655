"""What a release asks for: ``release.py checklist``, ``release.py check TAG``, ``release.py notes TAG``.

The checklist is `docs/releasing.md`. Each point of it that names a check here is checked; the others are for people,
and are listed. The exit status is 1 where a check fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_POINT = re.compile(r"^- \[ \] (?:`([a-z-]+)`: )?(.+)$", re.MULTILINE)
_HEADING = r"^## \[{version}\] - (\d{{4}}-\d\d-\d\d|not released)\n(.*?)(?=^## |\Z)"


def _text(name: str, root: Path) -> str:
    return (root / name).read_text(encoding="utf-8")


def version(root: Path = ROOT) -> str:
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', _text("pytest_sockreuse/version.py", root), re.MULTILINE)
    return found[1] if found else ""


def section(wanted: str, root: Path = ROOT) -> tuple[str, str]:
    """The day and the text of a version in the changelog; both empty where it has none."""
    found = re.search(_HEADING.format(version=re.escape(wanted)), _text("CHANGELOG.md", root), re.M | re.S)
    return (found[1], found[2].strip()) if found else ("", "")


# --- the checks: each returns what is wrong, or nothing ---------------------------------------------------------------


def is_version(root: Path = ROOT) -> str:
    return "" if version(root) else "pytest_sockreuse/version.py has no version of three numbers"


def is_in_changelog(root: Path = ROOT) -> str:
    day, text = section(version(root), root)
    if not day:
        return f"CHANGELOG.md has no section '## [{version(root)}] - YYYY-MM-DD'"
    return "" if text else f"the section of {version(root)} in CHANGELOG.md is empty"


def is_cited(root: Path = ROOT) -> str:
    found = re.search(r"^version: (.+)$", _text("CITATION.cff", root), re.MULTILINE)
    return "" if found and found[1] == version(root) else f"CITATION.cff does not say version: {version(root)}"


def is_classified(root: Path = ROOT) -> str:
    status = "5 - Production/Stable" if version(root).partition(".")[0] != "0" else "3 - Alpha"
    classifiers = tomllib.loads(_text("pyproject.toml", root))["project"]["classifiers"]
    wanted = f"Development Status :: {status}"
    return "" if wanted in classifiers else f"pyproject.toml has no classifier {wanted!r}"


def has_one_owner(root: Path = ROOT) -> str:
    """Whoever is asked about a change, and whose action the documents use, are the same, and in the project's URLs."""
    places = {
        ".github/CODEOWNERS": r" @([\w-]+)/",
        "docs/ci.md": r"uses: ([\w-]+)/pytest-sockreuse@",
        "docs/how-to/github-actions.md": r"uses: ([\w-]+)/pytest-sockreuse@",
        "pyproject.toml": r"github\.com/([\w-]+)/",
    }
    named = {place: sorted(set(re.findall(pattern, _text(place, root)))) for place, pattern in places.items()}
    if len({owner for owners in named.values() for owner in owners}) == 1:
        return ""
    return "; ".join(f"{place} names {', '.join(owners)}" for place, owners in named.items() if owners)


def is_clean(root: Path = ROOT) -> str:
    done = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True)
    return f"not committed: {done.stdout.splitlines()[0].strip()}" if done.stdout.strip() else ""


CHECKS: dict[str, Callable[[Path], str]] = {
    "version": is_version,
    "changelog": is_in_changelog,
    "citation": is_cited,
    "classifiers": is_classified,
    "owner": has_one_owner,
    "committed": is_clean,
}


def points(root: Path = ROOT) -> list[tuple[str, str]]:
    """The points of the checklist: the check of each, or nothing, and its text."""
    return [(check or "", text) for check, text in _POINT.findall(_text("docs/releasing.md", root))]


def checklist(root: Path = ROOT) -> int:
    """Print every point with how it stands."""
    status = 0
    named = [check for check, _ in points(root) if check]
    for lost in sorted(CHECKS.keys() ^ set(named)):
        what = "is checked and not in" if lost in CHECKS else "is no check, but in"
        print(f"wrong    {lost}: {what} docs/releasing.md")
        status = 1
    for check, text in points(root):
        wrong = CHECKS[check](root) if check in CHECKS else ""
        status = 1 if wrong else status
        how = "wrong" if wrong else "ok" if check in CHECKS else "by hand"
        print(f"{how:<8} {text}{f': {wrong}' if wrong else ''}")
    return status


def check(tag: str, root: Path = ROOT) -> int:
    """Whether a tag may be released: it is the version, and the changelog has it, with a day."""
    wrong = [text for text in (is_version(root), is_in_changelog(root), is_cited(root), is_classified(root)) if text]
    if tag != f"v{version(root)}":
        wrong.insert(0, f"the tag {tag} is not v{version(root)}, the version in pytest_sockreuse/version.py")
    if section(version(root), root)[0] == "not released":
        wrong.append(f"CHANGELOG.md calls {version(root)} 'not released': write the day there")
    for text in wrong:
        print(f"release: {text}", file=sys.stderr)
    return 1 if wrong else 0


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    match arguments:
        case ["checklist"]:
            return checklist(root)
        case ["check", tag]:
            return check(tag, root)
        case ["notes", tag]:
            print(section(tag.removeprefix("v"), root)[1])
            return 0
    print(f"usage: {__doc__.splitlines()[0]}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
