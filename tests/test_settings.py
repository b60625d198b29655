"""The facts of the settings, conformance/settings.toml: a `sysctl` line is followed, or unknown, or not run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from shipped import shipped

from pytest_sockreuse import settings as module
from pytest_sockreuse.data import DataError
from pytest_sockreuse.expected import expected
from pytest_sockreuse.model import families, not_modelled, predict, predictions
from pytest_sockreuse.parser import parse
from pytest_sockreuse.platforms import Platform, known, named, registry
from pytest_sockreuse.report.predictions import compare, show, to_json
from pytest_sockreuse.scenario import Observation, StepOutcome
from pytest_sockreuse.settings import missing, settings

BIND = "A = tcp4()\nA.bind(127.0.0.1:P)\n"
SYSTEMS = [platform for platform in known() if platform.stack in families() and not not_modelled(platform)]


@pytest.mark.parametrize("platform", SYSTEMS, ids=str)
@pytest.mark.parametrize("name", ["net.ipv4.no_such_thing", "net.inet.no_such_thing", "vm.swappiness"])
def test_a_setting_that_nobody_knows_is_never_ignored(name: str, platform: Platform) -> None:
    prediction = predict(parse(f"sysctl {name} = 1\n" + BIND), platform)
    assert all(name in step.unknown for step in prediction.steps)
    assert prediction.not_run == "" or name in prediction.not_run


@pytest.mark.parametrize(
    ("name", "platform", "version"),
    [
        ("net.ipv4.tcp_tw_reuse", "freebsd-14.0", ""),
        ("net.ipv4.tcp_tw_reuse", "windows-11", ""),
        ("net.inet.tcp.msl", "linux-6.18", ""),
        ("net.inet.tcp.msl", "gvisor-20240729", ""),
        ("net.ipv4.tcp_tw_reuse_delay", "linux-6.13", "6.14"),
        ("net.ipv4.ip_local_port_step_width", "linux-7.0", "7.1"),
        ("net.ipv4.tcp_plb_enabled", "linux-6.1.176", "6.18"),
        ("net.ipv4.tcp_rto_max_ms", "linux-6.12", "6.18"),
        ("net.ipv4.tcp_tw_recycle", "linux-6.18", ""),
        ("net.ipv4.tcp_mem", "linux-5.10", ""),
    ],
)
def test_a_setting_that_the_system_lacks_is_not_run(name: str, platform: str, version: str) -> None:
    scenario = parse(f"sysctl {name} = 1\n" + BIND)
    prediction = predict(scenario, named(platform))
    assert prediction.not_run == f"{_title(platform)} has no setting {name} that a scenario can change"
    assert show(prediction) == f"not run: {prediction.not_run}"
    assert json.loads(to_json(prediction, None)) == {"platform": prediction.platform, "not_run": prediction.not_run}
    if version:
        assert not predict(scenario, named(f"linux-{version}")).not_run


def _title(platform: str) -> str:
    found = named(platform)
    return f"{registry()[found.stack]['title']} {found.label}"


@pytest.mark.parametrize("setting", ["net.ipv4.tcp_fin_timeout = soon", "net.ipv4.tcp_tw_reuse = 3"])
def test_a_value_that_is_not_known_is_unknown_by_name(setting: str) -> None:
    prediction = predict(parse(f"sysctl {setting}\n" + BIND), named("linux-6.18"))
    assert not prediction.not_run
    assert setting.split()[0] in prediction.unknown
    assert setting.split()[2] in prediction.unknown


def test_compare_says_where_it_is_not_run() -> None:
    platforms = [named(name) for name in ("linux-6.12", "linux-6.13", "linux-6.18", "macos-15")]
    scenario = parse("sysctl net.ipv4.tcp_tw_reuse_delay = 20\n" + BIND)
    lines = compare(list(zip(platforms, predictions(scenario, platforms), strict=True))).splitlines()
    assert lines[0].split("  ")[-3:] == ["Linux 6.12.113 to 6.13.12", "Linux 6.18.44", "macOS 15"]
    assert re.fullmatch(r"A\.bind +not run +ok +not run", lines[-1])


def test_what_was_performed_against_the_prediction_is_compared_with_nothing() -> None:
    variant = next(v for v in shipped().variants if "tcp_tw_reuse_delay" in v.text)
    seen = Observation("linux-6.12.113", tuple(StepOutcome(step.label, "ok") for step in variant.scenario.steps))
    assert expected(variant, named("linux-6.12"), seen) is None


def test_no_statement_is_of_a_platform_that_lacks_the_setting() -> None:
    for variant in shipped().variants:
        for platform in SYSTEMS if variant.scenario.environment else ():
            if variant.expected(platform) is not None:
                assert missing(variant.scenario, platform) == "", variant.id


def test_the_suites_settings_are_known() -> None:
    names = {setting.name for variant in shipped().variants for setting in variant.scenario.environment}
    assert names - {""} <= settings().keys()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('["a.b"]\nvalues = "0-1"\n', "settings.toml:1: a.b needs 'on'"),
        ('\n["a.b"]\nvalues = "some"\non = ["linux"]\n', "settings.toml:2: a.b: 'values' should be LOW-HIGH or one of"),
        ('["a.b"]\nvalues = "ports"\non = ["linus"]\n', "settings.toml:1: a.b: no platform 'linus' in platforms.toml"),
    ],
)
def test_a_mistake_is_named(text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text(text)
    monkeypatch.setattr(module, "CONFORMANCE", tmp_path)
    with pytest.raises(DataError, match=re.escape(says)):
        settings.__wrapped__()
