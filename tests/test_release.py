"""A release: the tag is the version, the changelog has it, and the checklist is what the script checks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import release
from workflow import ROOT

FILES = """CHANGELOG.md CITATION.cff pyproject.toml .github/CODEOWNERS docs/ci.md docs/how-to/github-actions.md
    docs/releasing.md pytest_sockreuse/version.py""".split()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout in which all is as a release of 1.2.3 wants it."""
    root = tmp_path / "tree"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    (root / "pytest_sockreuse/version.py").write_text('"""Doc."""\n\n__version__ = "1.2.3"\n')
    (root / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [1.2.3] - 2026-12-01\n\n- New.\n\n## [1.2.2] - 2026-11-01\n\n- Old.\n"
    )
    (root / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.3\n")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "all"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def test_a_tag_that_is_the_version_passes(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["check", "v1.2.3"], tree) == 0
    assert release.main(["notes", "v1.2.3"], tree) == 0
    assert capsys.readouterr().out == "- New.\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("CHANGELOG.md", "[1.2.3] - 2026-12-01", "[1.2.4] - 2026-12-01", "CHANGELOG.md has no section '## [1.2.3] - "),
        ("CHANGELOG.md", "[1.2.3] - 2026-12-01", "[Unreleased]", "CHANGELOG.md has no section '## [1.2.3] - "),
        ("CHANGELOG.md", "[1.2.3] - 2026-12-01", "[1.2.3] - soon", "CHANGELOG.md has no section '## [1.2.3] - "),
        ("CHANGELOG.md", "[1.2.3] - 2026-12-01", "[1.2.3] - not released", "calls 1.2.3 'not released'"),
        ("CHANGELOG.md", "- New.\n", "", "the section of 1.2.3 in CHANGELOG.md is empty"),
        ("CITATION.cff", "1.2.3", "1.2.2", "CITATION.cff does not say version: 1.2.3"),
        ("pyproject.toml", "5 - Production/Stable", "3 - Alpha", "has no classifier 'Development Status :: 5"),
        ("pytest_sockreuse/version.py", "1.2.3", "1.2.4", "the tag v1.2.3 is not v1.2.4"),
        ("pytest_sockreuse/version.py", "1.2.3", "1.2.3.dev0", "has no version of three numbers"),
    ],
)
def test_a_tag_that_may_not_be_released(
    file: str, old: str, new: str, message: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (tree / file).read_text()
    assert old in text
    (tree / file).write_text(text.replace(old, new, 1))
    assert release.main(["check", "v1.2.3"], tree) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2", "v1.2.3-rc1", ""])
def test_another_tag(tag: str, tree: Path) -> None:
    assert release.main(["check", tag], tree) == 1


def test_the_checklist_names_every_check_and_no_other(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["checklist"], tree) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("ok ") for line in lines) == len(release.CHECKS)
    assert sum(line.startswith("by hand ") for line in lines) == len(release.points(tree)) - len(release.CHECKS) > 5


def test_a_checklist_that_lost_a_point(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (tree / "docs/releasing.md").read_text()
    (tree / "docs/releasing.md").write_text(text.replace("- [ ] `citation`: ", "- [ ] `cited`: "))
    assert release.main(["checklist"], tree) == 1
    out = capsys.readouterr().out
    assert "wrong    cited: is no check, but in docs/releasing.md\n" in out
    assert "wrong    citation: is checked and not in docs/releasing.md\n" in out
    assert "not committed: M docs/releasing.md" in out


def test_two_owners(tree: Path) -> None:
    text = (tree / ".github/CODEOWNERS").read_text()
    (tree / ".github/CODEOWNERS").write_text(text.replace("@pytest-sockreuse/", "@somebody/", 1))
    assert release.has_one_owner(tree).startswith(
        ".github/CODEOWNERS names pytest-sockreuse, somebody; docs/ci.md names "
    )


def test_a_question_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["publish"]) == 2
    assert capsys.readouterr().err.startswith("usage: ")


@pytest.mark.parametrize("check", [check for check in release.CHECKS if check != "committed"])
def test_this_tree_is_prepared(check: str) -> None:
    assert release.CHECKS[check](ROOT) == ""
