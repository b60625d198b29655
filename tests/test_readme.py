"""What the README promises: its example is a file that does what is printed there, and every command is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_sockreuse import cli
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import not_modelled, predict
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import current

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "restart.scenario"


def test_the_example_is_a_file_and_does_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"```scenario\n{EXAMPLE.read_text()}```" in README
    found = re.search(r"^\$ sockreuse (compare examples/restart[^\n]*)\n(.*?)^```", README, re.M | re.S)
    assert found
    monkeypatch.chdir(ROOT)
    assert cli.main(found[1].split()) == 0
    assert capsys.readouterr().out == found[2]


@pytest.mark.usefixtures("namespaces")
@pytest.mark.skipif(bool(not_modelled(current())), reason="no model of this platform")
def test_this_machine_does_with_the_example_what_its_model_says(runner: Runner) -> None:
    scenario = parse(EXAMPLE.read_text())
    runner.ask(scenario)
    observation = runner.answer()
    prediction = predict(scenario, current())
    assert [step.outcome for step in observation.steps] == ["|".join(step.outcomes) for step in prediction.steps]


def test_every_command_is_listed() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    listed = re.findall(r"^sockreuse ((?:results )?\w+)", page, re.M)
    assert set(listed) == set(cli.COMMANDS)


def test_every_file_that_is_named_is_there() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link
    page = (ROOT / "docs" / "source.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| (`pytest_sockreuse/.*?) \|", page, re.M):
        for name in re.findall(r"`(.*?)`", row):
            assert (ROOT / name).exists() or (ROOT / "pytest_sockreuse" / name).exists(), name


def test_it_is_read_in_sixty_seconds() -> None:
    """At 150 words a minute, to where one goes next; a line of code takes as long as two words, the picture is seen."""
    text = re.sub(r"!\[.*?\)", "", README.partition("## Where to go next")[0])
    code = re.findall(r"^```.*?^```", text, re.M | re.S)
    words = len(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).split()) + 2 * sum(map(_lines, code))
    assert 100 < words <= 150


def _lines(fence: str) -> int:
    return fence.count("\n") - 1
