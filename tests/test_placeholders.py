"""What the techniques of held ports rest on, by the models of every OS and on this kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest
from here import LINUX, linux_only

from pytest_sockreuse import platforms
from pytest_sockreuse.live.placeholder import PROTOCOLS, STRICT, TECHNIQUES, Technique
from pytest_sockreuse.live.runner import Runner
from pytest_sockreuse.model import families, predict
from pytest_sockreuse.parser import parse

MODELLED = [p for p in platforms.known() if p.stack in TECHNIQUES and p.stack in families()]


def placeholder(technique: Technique, protocol: str, port: str) -> str:
    """A placeholder over IPv4 as a scenario."""
    host = technique.hosts[0][1]
    lines = [f"H = {protocol}4({'SO_REUSEADDR' if technique.reuse == 'before' else ''})", f"H.bind({host}:{port})"]
    if technique.reuse == "after":
        lines.append("H.set(SO_REUSEADDR)")
    if protocol in technique.connected and protocol == "tcp":
        lines = ["K = tcp4()", "K.bind(127.0.0.1:Q)", "K.listen()", *lines, "H.connect(127.0.0.1:Q)"]
    elif protocol in technique.connected:
        lines.append(f"H.connect({host}:9)")
    return "\n".join(lines) + "\n"


def application(technique: Technique, protocol: str, host: str) -> str:
    option = "SO_REUSEADDR" if technique.beside else ""
    use = "A.listen()" if protocol == "tcp" else "C = udp4()\nC.sendto(127.0.0.1:P)\nA.recv()"
    return f"A = {protocol}4({option})\nA.bind({host}:P)\n{use}\n"


def cases(technique: Technique, protocol: str) -> dict[str, tuple[str, dict[str, str]]]:
    """What must hold of a placeholder: the rest of a scenario, and the outcomes other than ok."""
    refused = {"B.bind": "EADDRINUSE"}
    return {
        "the application at its address": (application(technique, protocol, "127.0.0.1"), {}),
        "the application at every address": (application(technique, protocol, "0.0.0.0"), {}),
        "another without the option": (f"B = {protocol}4()\nB.bind({technique.hosts[0][1]}:P)\n", refused),
    }


QUESTIONS = [(protocol, name) for protocol in PROTOCOLS for name in cases(STRICT, "tcp")]


@pytest.mark.parametrize(("protocol", "name"), QUESTIONS)
@pytest.mark.parametrize("platform", MODELLED, ids=str)
def test_a_technique_holds_by_the_model(platform: platforms.Platform, protocol: str, name: str) -> None:
    technique = TECHNIQUES[platform.stack]
    text, outcomes = cases(technique, protocol)[name]
    prediction = predict(parse(placeholder(technique, protocol, "P") + text), platform)
    shown = {step.step: "|".join(step.outcomes) for step in prediction.steps if step.outcomes != ("ok",)}
    assert shown == outcomes, prediction


@linux_only
@pytest.mark.parametrize(("protocol", "name"), QUESTIONS)
def test_the_techniques_of_linux_hold_on_this_kernel(runner: Runner, namespaces: str, protocol: str, name: str) -> None:
    for technique in (TECHNIQUES["linux"], replace(TECHNIQUES["linux"], connected=PROTOCOLS)):
        text, outcomes = cases(technique, protocol)[name]
        seen = runner.run(parse(placeholder(technique, protocol, "P") + text))
        assert {step.step: step.outcome for step in seen.steps if step.outcome != "ok"} == outcomes


@pytest.mark.parametrize("platform", [None, *MODELLED], ids=lambda p: str(p or "this kernel"))
def test_the_os_chooses_around_a_placeholder(
    runner: Runner, isolation: str, platform: platforms.Platform | None
) -> None:
    """Of a range of two ports one is held: bind(0) and connect get the other, then nothing."""
    if platform is None and (not LINUX or isolation == "none"):
        pytest.skip("needs Linux and network namespaces")
    technique = TECHNIQUES[platform.stack if platform else "linux"]
    text = "ephemeral 40000-40001\n" + placeholder(technique, "tcp", "40001")
    text += "A = tcp4()\nA.bind(127.0.0.1:0)\nA.name()\nB = tcp4()\nB.bind(127.0.0.1:0)\n"
    scenario = parse(text)
    if platform is None:
        seen = {step.step: step.value or step.outcome for step in runner.run(scenario).steps}
    else:
        steps = predict(scenario, platform).steps
        if any(step.unknown for step in steps):
            pytest.skip(f"the model does not say: {steps[-1].unknown}")
        seen = {step.step: "|".join(map(str, step.values or step.outcomes)) for step in steps}
    assert seen["A.name"] == "127.0.0.1:40000"
    assert seen["B.bind"] not in ("ok", "")
