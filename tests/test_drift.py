"""Drift becomes one issue for each release line, opened, updated and closed by what was measured, never by failures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import drift
import gh
import issues
import legs
import pytest
from arrivals import arrivals
from arriving import CASE, arrive, mismatch, suite, unsupported, variants
from hosting import Hosting, HostingError

from pytest_sockreuse.report.results import Result

DAY = date(2026, 11, 30)
LEGS = [legs.named(name) for name in ("ubuntu-24.04", "ubuntu-24.04-root", "freebsd-14.4")]
OUTCOME = {"listener.bind": "EADDRINUSE", "listener.listen": "unreached"}


class Service:
    """The fake repository, and what the scripts make of it."""

    def __init__(self, state: Path) -> None:
        self.file, self.hosting = state, Hosting("owner/project")

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.file.read_text())
        return state

    def change(self, **entries: Any) -> None:
        self.file.write_text(json.dumps({**self.state, **entries}))


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    (tmp_path / "bin").mkdir()
    state = gh.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("FAKE_GH", str(state))
    monkeypatch.setenv("GH_TOKEN", "secret")
    return Service(state)


Found = Mapping[str, Result | None]


@pytest.fixture
def measured(tmp_path: Path) -> Any:
    """What the merge writes of legs that found this; a leg that is not named is missing."""

    def make(link: str = "", platform: str = "linux-6.17.13", **found: Found) -> dict[str, dict[str, Any]]:
        (tmp_path / "arrived").mkdir(exist_ok=True)
        for path in (tmp_path / "arrived").iterdir():
            path.unlink()
        for name, otherwise in found.items():
            leg = {"user": "ubuntu-24.04", "root": "ubuntu-24.04-root"}[name]
            arrive(tmp_path / "arrived", leg, platform, otherwise)
        return drift.measured(arrivals(tmp_path / "arrived", suite(), DAY, LEGS), suite(), link)

    return make


def drifted(*which: int) -> Found:
    return {variants()[n]: mismatch(variants()[n], OUTCOME) for n in which}


def test_the_text_shows_one_variant_a_case_with_what_was_expected(measured: Any) -> None:
    found = measured("https://example.org/1", user=drifted(0, 1), root=drifted(0))
    entry = found["linux-6.17"]
    assert entry["title"] == "Linux 6.17 does otherwise than the suite expects"
    assert entry["differs"] == entry["measured"] == ["ubuntu-24.04", "ubuntu-24.04-root"]
    head, _, rest = entry["body"].partition("####")
    assert (
        "linux-6.17.13 (ubuntu-24.04), linux-6.17.13 (ubuntu-24.04-root): 2 variants of 1 case not as expected." in head
    )
    assert "https://example.org/1" in head
    assert f"`{CASE}`: 2 variants, on ubuntu-24.04, ubuntu-24.04-root" in rest
    assert any(f"{id_}: listener.bind gave EADDRINUSE, not ok" in rest for id_ in variants()[:2])
    assert "<-- expected ok" in rest


def test_what_failed_in_us_is_no_drift(measured: Any) -> None:
    broken = Result(variants()[0], suite().by_id[variants()[0]].content, "broken", {}, reason="the worker died")
    found = measured(user={variants()[0]: broken})
    assert found["linux-6.17"] == {
        "measured": ["ubuntu-24.04"], "differs": [], "cases": [], "unasked": [], "title": "", "body": ""
    }  # fmt: skip


def test_a_text_is_bounded(measured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MOST", 900)
    every = {id_: mismatch(id_, OUTCOME) for id_ in suite().by_id if "order-dependence/" in id_}
    body = measured(user=every)["linux-6.17"]["body"]
    assert len(body) < 1000
    assert "more cases are in the results of the run" in body


def test_an_issue_is_opened_updated_closed_and_opened_again(measured: Any, service: Service) -> None:
    def keep(**found: Found) -> list[str]:
        return issues.keep(measured(**found), service.hosting)

    assert keep(user={}) == []
    assert keep(user=drifted(0)) == ["linux-6.17: #1 opened"]
    assert keep(user=drifted(0)) == []
    assert keep(user=drifted(0, 1)) == ["linux-6.17: #1 brought up to date"]
    assert keep() == []
    assert keep(user={}) == ["linux-6.17: #1 closed: measured, and all is as expected"]
    assert keep(user={}) == []
    assert keep(user=drifted(0)) == ["linux-6.17: #1 opened again"]
    (issue,) = service.state["issues"]
    assert issue["body"].startswith(f"<!-- sockreuse-drift: linux-6.17 on ubuntu-24.04: {CASE} -->\nMeasured on")
    assert (issue["labels"], issue["state"]) == ([{"name": "drift"}], "open")


def test_a_leg_that_crashed_closes_nothing(measured: Any, service: Service) -> None:
    issues.keep(measured(root=drifted(0)), service.hosting)
    (told,) = issues.keep(measured(user={}), service.hosting)
    assert told == "linux-6.17: #1 stays open: ubuntu-24.04-root did not measure it"
    issues.keep(measured(user=drifted(1)), service.hosting)
    assert f" on ubuntu-24.04 ubuntu-24.04-root: {CASE} -->" in service.state["issues"][0]["body"]
    issues.keep(measured(user={}), service.hosting)
    assert service.state["issues"][0]["state"] == "open"
    issues.keep(measured(user={}, root={}), service.hosting)
    assert service.state["issues"][0]["state"] == "closed"


def test_a_case_that_could_not_be_asked_closes_nothing(measured: Any, service: Service) -> None:
    issues.keep(measured(user=drifted(0)), service.hosting)
    (told,) = issues.keep(measured(user={id_: unsupported(id_) for id_ in variants()}), service.hosting)
    assert told == f"linux-6.17: #1 stays open: {CASE} could not be asked"
    assert issues.keep(measured(user={}), service.hosting)[0].startswith("linux-6.17: #1 closed")


def test_another_line_is_another_issue(measured: Any, service: Service) -> None:
    issues.keep(measured(user=drifted(0)), service.hosting)
    told = issues.keep(measured(platform="linux-6.18.44", user=drifted(0)), service.hosting)
    assert told == ["linux-6.18: #2 opened"]
    assert service.state["issues"][0]["state"] == "open"


def test_only_our_own_issues_are_touched(measured: Any, service: Service) -> None:
    marker = f"<!-- sockreuse-drift: linux-6.17 on ubuntu-24.04: {CASE} -->\n"
    others = [
        {"number": 1, "state": "open", "labels": [], "title": "no label", "body": marker},
        {"number": 2, "state": "open", "labels": [{"name": "drift"}], "title": "no marker", "body": None},
        {"number": 3, "state": "open", "labels": [{"name": "drift"}], "title": "quoted", "body": f"> {marker}"},
        {
            "number": 4,
            "state": "open",
            "labels": [{"name": "drift"}],
            "title": "pull",
            "body": marker,
            "pull_request": {},
        },
    ]
    service.change(issues=others)
    assert issues.keep(measured(user=drifted(0)), service.hosting) == ["linux-6.17: #5 opened"]
    assert service.state["issues"][:4] == others


def test_an_issue_is_found_among_hundreds(measured: Any, service: Service) -> None:
    crowd = [
        {"number": n, "state": "closed", "labels": [{"name": "drift"}], "title": "", "body": f"another {n}"}
        for n in range(1, 251)
    ]
    service.change(issues=crowd)
    assert issues.keep(measured(user=drifted(0)), service.hosting) == ["linux-6.17: #251 opened"]
    assert issues.keep(measured(user=drifted(1)), service.hosting) == ["linux-6.17: #251 brought up to date"]


def test_what_the_service_refuses_is_said(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostingError, match=r"GET nowhere: gh: Not Found"):
        service.hosting.call("GET", "nowhere")
    monkeypatch.delenv("GH_TOKEN")
    with pytest.raises(HostingError, match="gh auth login"):
        service.hosting.call("GET", "issues")
