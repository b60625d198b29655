"""Properties of every prediction: it ends, it is complete, and what was observed only narrows it."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sockreuse.model import families, predict, predictions
from pytest_sockreuse.options import options
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, known, named
from pytest_sockreuse.scenario import Observation, Scenario, ScenarioError, StepOutcome

NOW, OLD = named("linux-6.18.44"), named("linux-5.10.223")
LINUX = [platform for platform in known() if platform.stack == "linux"][::4]
ADDRESS = st.sampled_from(["127.0.0.1", "127.0.0.2", "0.0.0.0"])
PORT = st.sampled_from(["P", "0", "A.port", "40001"])
CALLS = st.one_of(
    st.builds("{}.bind({}:{})?".format, st.sampled_from("ABC"), ADDRESS, PORT),
    st.builds("{}.connect({}:{})?".format, st.sampled_from("ABC"), ADDRESS, PORT),
    st.builds("{}.{}()?".format, st.sampled_from("ABC"), st.sampled_from(["listen", "disconnect", "send", "name"])),
    st.builds(
        "{}.set({}={})".format,
        st.sampled_from("ABC"),
        st.sampled_from(["SO_REUSEADDR", "SO_REUSEPORT"]),
        st.sampled_from("01"),
    ),
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Three sockets, few ports, and calls that collide."""
    size = draw(st.integers(1, 6))
    kinds = draw(st.lists(st.sampled_from(["tcp4", "udp4"]), min_size=3, max_size=3))
    options = draw(st.sampled_from(["", "SO_REUSEADDR", "SO_REUSEPORT"]))
    lines = [f"ephemeral 40000-{39999 + size}"]
    lines += [f"{name} = {kind}({options})" for name, kind in zip("ABC", kinds, strict=True)]
    return parse("\n".join(lines + draw(st.lists(CALLS, max_size=8))) + "\n")


@given(scenarios())
@settings(max_examples=150, deadline=None)
def test_a_prediction_is_complete(scenario: Scenario) -> None:
    for platform in (NOW, OLD):
        steps = predict(scenario, platform).steps
        assert [step.step for step in steps] == [step.label for step in scenario.steps if step.label]
        for step in steps:
            assert bool(step.outcomes) != bool(step.unknown)
            assert list(step.outcomes) == sorted(set(step.outcomes))


#: Written after the name of any option, where the language allows it.
VALUES = ["", "=0", "=-1", "=4294967295", "=off", "=lo", "=0-0", "=224.0.0.251%lo", "=::1%nosuch", "=raw:", "=raw:00"]


@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "udp4", "udp6"])
def test_any_value_of_an_option_has_an_answer_on_every_system(kind: str) -> None:
    newest = {platform.stack: platform for platform in known() if platform.stack in families()}
    for name, value in itertools.product(options(), [*VALUES, f"=raw:{'ff' * 20}"]):
        with contextlib.suppress(ScenarioError):
            scenario = parse(f"A = {kind}({name}{value})\nA.get({name})\nA.set({name}{value})\n")
            for platform in newest.values():
                assert predict(scenario, platform).steps


@given(scenarios())
@settings(max_examples=100, deadline=None)
def test_what_was_observed_only_narrows(scenario: Scenario) -> None:
    free = predict(scenario, NOW)
    if free.unknown:
        return
    seen: list[StepOutcome] = []
    for at, step in enumerate(free.steps):
        narrowed = predict(scenario, NOW, observed=Observation("model", tuple(seen))).steps[at]
        assert set(narrowed.outcomes) <= set(step.outcomes)
        assert narrowed.outcomes
        seen.append(StepOutcome(step.step, narrowed.outcomes[0]))


@given(scenarios(), st.permutations(LINUX))
@settings(max_examples=50, deadline=None)
def test_versions_that_share_a_prediction_would_each_get_it(scenario: Scenario, platforms: list[Platform]) -> None:
    assert list(predictions(scenario, platforms)) == [predict(scenario, platform) for platform in platforms]


@pytest.mark.parametrize("platform", ["linux-6.18", "gvisor-20240729", "freebsd-14.0", "illumos-r151058"])
@pytest.mark.parametrize("kind", ["tcp4", "udp4"])
def test_a_chosen_port_may_be_a_number_that_the_scenario_names(platform: str, kind: str) -> None:
    scenario = parse(f"A = {kind}()\nA.bind(127.0.0.1:0)\nB = {kind}()\nB.bind(127.0.0.1:51001)\n")
    assert predict(scenario, named(platform)).steps[-1].outcomes == ("EADDRINUSE", "ok")
    outside = parse(str(scenario).replace("51001", "1100"))
    assert predict(outside, named(platform)).steps[-1].outcomes == ("ok",)


def test_a_client_may_meet_itself() -> None:
    text = "C = tcp4()\nC.connect(127.0.0.1:{port})?\nS = tcp4()\nS.bind(127.0.0.1:{port})\n"
    for platform in ("linux-6.18", "windows-11"):
        assert predict(parse(text.format(port=51000)), named(platform)).steps[1].outcomes == ("ECONNREFUSED", "ok")
        assert predict(parse(text.format(port=1100)), named(platform)).steps[1].outcomes == ("ECONNREFUSED",)
    assert predict(parse(text.format(port=51000)), named("linux-6.18")).steps[3].outcomes == ("EADDRINUSE", "ok")
