"""Guards: the rules an application may require, found by name, tried on this OS, and what is said where it does not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import shipped

import pytest_sockreuse
from pytest_sockreuse import cli, guard
from pytest_sockreuse.data import DataError
from pytest_sockreuse.expected import agrees, honours
from pytest_sockreuse.guard import Trial, UnknownRule, find, tried
from pytest_sockreuse.live.runner import Broken, Runner
from pytest_sockreuse.loader import guard_names, load
from pytest_sockreuse.platforms import current, known
from pytest_sockreuse.requirement import RuleNotHonoured, RuleNotTried, require
from pytest_sockreuse.scenario import Observation, StepOutcome
from pytest_sockreuse.verdict import differences, judge

GUARDS = sorted(shipped().guards)
ORDER = "order-dependence/outgoing-then-listener"
UNABLE = "needs a network namespace (run as root)"

Capture = pytest.CaptureFixture[str]
Conformance = Callable[..., Path]
Fake = Callable[..., Any]
PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=200)


@pytest.fixture(autouse=True)
def _nothing_tried_yet() -> Iterator[None]:
    guard._done.clear()
    yield
    guard._done.clear()


# --- the data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", GUARDS)
def test_a_guard_has_one_answer_for_a_platform(id_: str) -> None:
    """It holds somewhere, and on no platform in one variant and not in another: so some of them can speak for all."""
    one = find(id_)
    answers = [honours(replace(one, variants=(variant,)), known()) for variant in one.variants]
    for platform in known():
        assert not {True, False} <= {answer[platform] for answer in answers}, platform
    assert any(all(answer[platform] for answer in answers) for platform in known())


INSTEAD = {id_: names for id_ in GUARDS if (names := re.findall(r"[a-z0-9-]+/[a-z0-9-]+", find(id_).instead))}


@pytest.mark.parametrize("id_", INSTEAD)
def test_what_is_to_be_done_instead_can_be_done(id_: str) -> None:
    """The rules that it names exist, and each holds on a platform on which the guard does not, if there is one."""
    held = honours(find(id_), known())
    without = [platform for platform in known() if held[platform] is False] or known()
    for name in INSTEAD[id_]:
        assert True in honours(find(name), without).values(), name


@pytest.mark.skipif(current().stack != "linux", reason="what is expected elsewhere is not yet measured")
@pytest.mark.parametrize("id_", GUARDS)
def test_this_kernel_does_what_is_known_of_it(id_: str) -> None:
    (trial,) = tried([id_])
    if trial.honoured is None:
        pytest.skip(trial.untried)
    assert trial.honoured is honours(trial.guard, [current()])[current()]


@pytest.mark.parametrize("id_", GUARDS)
def test_a_kernel_that_does_otherwise_at_any_step_is_noticed(id_: str) -> None:
    (trial,) = tried([id_])
    for variant, observation, verdict in trial.seen:
        if observation is None or verdict.state != "match":
            continue
        for n, step in enumerate(observation.steps):
            changed = (*observation.steps[:n], replace(step, outcome="ENOMEM", value=None), *observation.steps[n + 1 :])
            other = judge(trial.guard.outcome, replace(observation, steps=changed))
            assert Trial(trial.guard, ((variant, observation, other),)).honoured is False, step


GUARD = """
["sharing/never-two"]
aliases = ["alone"]
text = "A port is one socket's"
case = "taken"
where = { family = ["ip4"] }
outcome = { "B.bind" = "EADDRINUSE" }
instead = "Ask first."
"""


def test_a_guard_is_read(conformance: Conformance) -> None:
    root = conformance(guards=GUARD)
    (found,) = load(root).guards.values()
    assert (found.id, found.aliases, found.outcome) == ("sharing/never-two", ("alone",), {"B.bind": "EADDRINUSE"})
    assert [variant.id for variant in found.variants] == ["sharing/taken[ip4]"]
    assert guard_names(root) == {"sharing/never-two": "sharing/never-two", "alone": "sharing/never-two"}
    assert not load(root, rules=[]).guards


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("text =", "txt =", "'txt' is no key of guard sharing/never-two"),
        ('instead = "Ask first."', "", "guard sharing/never-two needs 'instead'"),
        ('"alone"', '"Alone"', "'Alone' should be lower case words joined by '-'"),
        ('"alone"', '"taken"', "'taken' should be lower case words joined by '-', and no case's id"),
        ('case = "taken"', 'case = "token"', "no case 'token' in sharing (taken)"),
        ('["ip4"]', '["ip5"]', "axis 'family' of taken has no ip5"),
        ("family =", "colour =", "axis 'colour' of taken has no ip4"),
        ('"B.bind" =', '"C.bind" =', "no step 'C.bind' in the scenario"),
        ('"EADDRINUSE" }', '"taken" }', "expects 'taken'"),
        ("sharing/never-two", "sharring/never-two", "its id should be RULE/NAME"),
        ("sharing/never-two", "sharing/Never", "'Never' should be lower case words"),
        ('["sharing/never-two"]', '["sharing/another"]\n', "'text'"),
    ],
)
def test_a_mistake_in_a_guard_is_named_with_its_line(conformance: Conformance, old: str, new: str, says: str) -> None:
    assert old in GUARD
    with pytest.raises(DataError) as error:
        load(conformance(guards=GUARD.replace(old, new) if new[-1:] != "\n" else f"{new}{GUARD}"))
    assert says in str(error.value)
    assert str(error.value).startswith("guards.toml:1: ")


def test_two_guards_of_one_name(conformance: Conformance) -> None:
    with pytest.raises(match=r"guards.toml:8: guard sharing/more: another guard is called alone"):
        load(conformance(guards=GUARD + GUARD.lstrip().replace("never-two", "more")))


# --- where it holds ---------------------------------------------------------------------------------------------------

STEPS = ("A.bind", "B.bind", "B.listen")
ERRORS = ("EADDRINUSE", "EACCES", "timeout")
OUTCOMES = st.dictionaries(
    st.sampled_from(STEPS),
    st.sets(st.sampled_from(["ok", *ERRORS]), min_size=1).map(lambda words: "|".join(sorted(words))),
)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """Of the steps of two sockets; what follows a failed step of its socket is unreached."""
    seen: dict[str, str] = {}
    for step in STEPS:
        failed = any(seen[other] != "ok" for other in seen if other[0] == step[0])
        seen[step] = "unreached" if failed else draw(st.sampled_from(["ok", *ERRORS]))
    return Observation("linux-6.18.44", tuple(StepOutcome(step, outcome) for step, outcome in seen.items()))


@PROPERTY
@given(OUTCOMES, OUTCOMES, observations())
def test_what_cannot_agree_is_never_seen(stated: dict[str, str], wanted: dict[str, str], seen: Observation) -> None:
    if agrees(stated, wanted, STEPS) is False and not differences(stated, seen):
        assert differences(wanted, seen)


@PROPERTY
@given(observations(), OUTCOMES)
def test_what_is_stated_whole_decides_as_seeing_it_would(seen: Observation, wanted: dict[str, str]) -> None:
    stated = {step.step: step.outcome for step in seen.steps}
    assert agrees(stated, wanted, STEPS) is (not differences(wanted, seen))


@PROPERTY
@given(OUTCOMES)
def test_an_outcome_meets_itself(outcome: dict[str, str]) -> None:
    assert agrees(outcome, outcome, STEPS) is True


@pytest.mark.parametrize(
    ("stated", "wanted", "answer"),
    [
        ({"A.bind": "ok|EACCES"}, {}, None),
        ({"A.name": "127.0.0.1:40000..40007"}, {}, True),
        ({"A.name": "127.0.0.1:40000..40007"}, {"A.name": "127.0.0.1:40000"}, None),
        ({"A.name": "127.0.0.1:P"}, {"A.name": "127.0.0.1:P|[::1]:P"}, True),
        ({}, {"A.name": "127.0.0.1:P"}, None),
        ({"A.name": "EINVAL"}, {"A.name": "127.0.0.1:P"}, False),
    ],
)
def test_alternatives_and_values(stated: dict[str, str], wanted: dict[str, str], answer: bool | None) -> None:
    assert agrees(stated, wanted, ("A.bind", "A.name")) is answer


# --- by name ----------------------------------------------------------------------------------------------------------


def test_a_rule_is_found_by_id_and_by_alias() -> None:
    assert find("ordering-quirk") == find(ORDER)
    assert all("/" in name or find(name).id == id_ for name, id_ in guard_names().items())


def test_a_case_that_shows_a_claim_is_a_rule_whole_or_in_a_variant() -> None:
    whole, one = find("order-dependence/outgoing-after-listener"), find("order-dependence/outgoing-after-listener[ip4]")
    assert len(whole.variants) == 2
    assert [variant.id for variant in one.variants] == [one.id]
    assert whole.outcome == one.outcome == {"outgoing.bind": "EADDRINUSE"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ordering-qirk", "no rule 'ordering-qirk', perhaps ordering-quirk"),
        ("order-dependence/outgoing-than-listener", f"perhaps {ORDER}"),
        ("order-dependence/all-bound-before-lisen", "perhaps order-dependence/all-bound-before-listen"),
        ("order-dependence/outgoing-after-listener[ip5]", "no rule "),
        ("", "no rule ''; there are ordering-quirk, "),
        ("../guards", "no rule '../guards'"),
        ("order-dependence/every-order", "shows no claim, so nothing says what would honour it"),
        ("listen-exclusivity/bind-where-another-listens", "shows claims of several outcomes (A-1, K-1, K-2)"),
    ],
)
def test_what_is_no_rule(name: str, says: str) -> None:
    with pytest.raises(UnknownRule) as error:
        find(name)
    assert says in str(error.value)
    assert "sockreuse rules" in str(error.value)
    assert "\n" not in str(error.value)


# --- required ---------------------------------------------------------------------------------------------------------


def test_an_application_requires_a_rule(kernel: Fake) -> None:
    fake = kernel()
    pytest_sockreuse.require("ordering-quirk", "server-restart")
    pytest_sockreuse.require("ordering-quirk")
    pytest_sockreuse.require()
    assert fake.started == 1  # once a process


def test_a_rule_of_this_kernel_is_honoured() -> None:
    """Restarting over TIME_WAIT with the option on both holds on every platform that we know."""
    require("server-restart")
    require("clients-close-first", "time-wait-reuse/restart")


def test_a_changed_kernel_is_told_with_all_that_helps(kernel: Fake) -> None:
    kernel({"listener.bind": "EADDRINUSE"})
    with pytest.raises(RuleNotHonoured) as error:
        require("ordering-quirk")
    text = str(error.value)
    assert text.startswith(
        f"{current()} does not honour {ORDER}: listener.bind gives EADDRINUSE, not ok (listener-after-"
    )
    assert "listener.bind(127.0.0.1:P)      EADDRINUSE   <-- expected ok" in text
    assert re.search(r"holds on +Linux; gVisor; Windows; Wine", text)
    assert "instead   Set SO_REUSEPORT on both (order-dependence/reuseport-for-listener-and-outgoing)" in text
    assert f"repeat    sockreuse check '{ORDER}'" in text
    if current().stack == "linux":
        assert "clause    reuseaddr-shares: They share if both have SO_REUSEADDR" in text
        assert "by which listener.bind gave ok until now" in text


def test_what_cannot_be_tried_does_not_pass(kernel: Fake) -> None:
    kernel(not_run=UNABLE)
    with pytest.raises(RuleNotTried, match=re.escape(f"{ORDER} cannot be tried here: {UNABLE}")):
        require("ordering-quirk")


def test_what_can_be_tried_in_part_speaks_for_the_rest_and_says_so(kernel: Fake) -> None:
    kernel(not_run=lambda scenario: UNABLE if "0.0.0.0" in str(scenario) or "[::]" in str(scenario) else None)
    (trial,) = tried(["ordering-quirk"])
    assert trial.honoured
    assert str(trial) == f"{current()} honours {ORDER} (2 of 4 variants; the others: {UNABLE})"


def test_a_broken_trial_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(self: Runner) -> Observation:
        raise Broken("the worker process ended with status 9 in the middle of the scenario")

    monkeypatch.setattr(Runner, "answer", answer)
    with pytest.raises(RuleNotTried, match="could not be tried: the worker process ended with status 9"):
        require("ordering-quirk")


def test_a_frozen_application_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(guard, "Runner", None)
    with pytest.raises(RuleNotTried, match="needs a Python interpreter beside the program, which is frozen"):
        require("ordering-quirk")


def test_the_package_imports_nothing_until_it_is_asked() -> None:
    code = (
        "import sys, pytest_sockreuse as sockreuse\n"
        "assert [name for name in sys.modules if name.startswith('pytest_sockreuse')] == ['pytest_sockreuse']\n"
        "sockreuse.require('server-restart')\n"
        "assert sockreuse.RuleNotHonoured.__mro__[1] is sockreuse.GuardError\n"
        "assert 'pytest' not in sys.modules\n"
        "sockreuse.absent"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "AttributeError: module 'pytest_sockreuse' has no attribute 'absent'"


# --- at the shell -----------------------------------------------------------------------------------------------------


def test_check_says_what_is_honoured(kernel: Fake, capsys: Capture) -> None:
    kernel()
    assert cli.main(["check", "ordering-quirk", "server-restart"]) == 0
    out = [f"{current()} honours {ORDER}", f"{current()} honours time-wait-reuse/restart"]
    assert capsys.readouterr().out.splitlines() == out


@pytest.mark.parametrize(
    ("changes", "status", "found"),
    [
        ({}, 0, {"honoured": True, "tried": 4}),
        (
            {"outcomes": {"listener.listen": "EACCES"}},
            1,
            {"honoured": False, "tried": 4, "step": "listener.listen", "outcome": "EACCES"},
        ),
        ({"not_run": UNABLE}, 3, {"honoured": None, "tried": 0, "reason": UNABLE}),
    ],
)
def test_check_answers_a_machine(
    kernel: Fake,
    capsys: Capture,
    changes: dict[str, object],
    status: int,
    found: dict[str, object],
) -> None:
    kernel(**changes)
    assert cli.main(["check", "--json", "ordering-quirk"]) == status
    line = json.loads(capsys.readouterr().out)
    assert {"rule": ORDER, "platform": current().name, "variants": 4, **found}.items() <= line.items()


def test_check_of_all_tries_every_guard(kernel: Fake, capsys: Capture) -> None:
    kernel(not_run=UNABLE)
    assert cli.main(["check", "--all", "--json"]) == 3
    assert [json.loads(line)["rule"] for line in capsys.readouterr().out.splitlines()] == GUARDS


@pytest.mark.parametrize("changes", [{}, {"outcomes": {"listener.listen": "EACCES"}}, {"not_run": UNABLE}])
def test_a_quiet_check_says_it_by_its_status(kernel: Fake, capsys: Capture, changes: dict[str, object]) -> None:
    kernel(**changes)
    status = cli.main(["check", "ordering-quirk"])
    capsys.readouterr()
    assert cli.main(["check", "--quiet", "ordering-quirk"]) == status
    assert capsys.readouterr() == ("", "")


def test_what_is_refused_goes_before_what_cannot_be_tried(kernel: Fake) -> None:
    kernel({"listener.listen": "EACCES"}, lambda scenario: UNABLE if "accept" in str(scenario) else None)
    assert cli.main(["check", "--quiet", "server-restart"]) == 3
    assert cli.main(["check", "--quiet", "server-restart", "ordering-quirk"]) == 1


def test_a_check_that_broke_failed(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def answer(self: Runner) -> Observation:
        raise Broken("the worker process ended with status 9")

    monkeypatch.setattr(Runner, "answer", answer)
    assert cli.main(["check", "ordering-quirk"]) == 1
    assert capsys.readouterr().out.startswith(f"{ORDER} could not be tried: the worker process ended with status 9\n")


@pytest.mark.parametrize("words", [[], ["--all", "ordering-quirk"], ["--quiet"]])
def test_check_needs_to_know_what_to_try(words: list[str], capsys: Capture) -> None:
    assert cli.main(["check", *words]) == 2
    assert capsys.readouterr().err.startswith(
        "sockreuse: check needs the rules to try, or --all of those with an alias"
    )


def test_check_of_no_rule_is_a_mistake(capsys: Capture) -> None:
    assert cli.main(["check", "ordering-qirk"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sockreuse: no rule 'ordering-qirk', perhaps ordering-quirk")
    assert err.count("\n") == 1


def test_rules_lists_ids_aliases_and_where_they_hold(capsys: Capture) -> None:
    assert cli.main(["rules"]) == 0
    out = capsys.readouterr().out
    for one in shipped().guards.values():
        assert f"{one.id} ({', '.join(one.aliases)})\n    {one.text[:60]}" in out
    assert "Holds on Linux 6.1.176, Linux 6.3.13 to 7.3.4." in out
    assert "order-dependence/all-bound-before-listen\n" in out
    assert "order-dependence/every-order\n" not in out


def test_rules_are_described_one_by_one(capsys: Capture) -> None:
    case = "order-dependence/all-bound-before-listen"
    assert cli.main(["rules", "ordering-quirk", case]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{ORDER} (") and f"\n{case}\n" in out
    assert out.count("\n    Holds on ") == 2 and out.count("\n    Else: ") == 1
    assert cli.main(["rules", "ordering-qirk"]) == 2
    assert capsys.readouterr().err.startswith("sockreuse: no rule 'ordering-qirk', perhaps ordering-quirk")


def test_rules_are_described_for_a_machine(capsys: Capture) -> None:
    assert cli.main(["rules", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["rule"] for entry in found if "holds" in entry] == [*shipped().guards]
    assert cli.main(["rules", "--json", "ordering-quirk"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry in found and "ordering-quirk" in entry["aliases"]
    platforms = [name for key in ("holds", "fails", "unknown") for name in entry[key]]
    assert sorted(platforms) == sorted(platform.name for platform in known())
    held = honours(find(ORDER), known())
    assert entry["holds"] == [platform.name for platform, found in held.items() if found]


def test_a_guard_of_its_own_is_shown_without_a_model(kernel: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the platform is not modelled no clause is named, and the rest is said all the same."""
    from pytest_sockreuse.report import guards

    kernel({"listener.bind": "EADDRINUSE"})
    other = replace(current(), stack="plan9", label="4")
    monkeypatch.setattr(guards, "current", lambda: other)
    text = guards.refusal(tried(["ordering-quirk"])[0])
    assert "clause" not in text
    assert "instead" in text
