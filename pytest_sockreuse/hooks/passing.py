"""A test that passed before pytest has run it: reported as pytest would, without the phases that show nothing more.

Two thirds of what an empty test costs is what pytest's own plugins do around its setup, call and teardown: captures
output, gathers logs, asks for marks, keeps the stack of what was set up. A variant that did as expected has nothing of
that, so its reports alone are made, by the same hooks. That holds where nobody but pytest is told of a phase, no mark
and no option changes what one does, and the next test is of the same collector, so that nothing is to be torn down.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import pytest

_PHASES = ("pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown")


def reported(
    item: pytest.Item, nextitem: pytest.Item | None, passes: Callable[[], bool], tell: Callable[[], object]
) -> bool:
    """Report that a test passed, if it `passes` and may be; else nothing was reported, and pytest is to run it.

    Before the report of its call it is asked to `tell` what is to be in there.
    """
    parent = item.parent
    if nextitem is None or nextitem.parent is not parent or parent is None or item.own_markers or not _is_plain(parent):
        return False
    call = _did(passes, "call")
    if call.excinfo or not call.result:
        return False
    hook = item.ihook

    def report(call: pytest.CallInfo[object]) -> None:
        hook.pytest_runtest_logreport(report=hook.pytest_runtest_makereport(item=item, call=call))

    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    report(_did(_nothing, "setup"))
    tell()
    report(call)
    report(_did(_nothing, "teardown"))
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _did(act: Callable[[], object], when: Literal["setup", "call", "teardown"]) -> pytest.CallInfo[object]:
    return pytest.CallInfo.from_call(act, when, (KeyboardInterrupt, pytest.exit.Exception))


def _nothing() -> None:
    pass


@lru_cache(1)  # asked for each of its tests
def _is_plain(parent: pytest.Collector) -> bool:
    """Whether only pytest knows of the phases of its tests, and nothing asks for more than it does for each."""
    option, hook = parent.config.option, parent.ihook
    heard = (known for phase in _PHASES for known in getattr(hook, phase).get_hookimpls())
    return (
        not (option.setupshow or option.setuponly)
        and all(mark.name == "sockreuse" for mark in parent.iter_markers())
        and all(known.function.__module__.startswith("_pytest.") for known in heard)
    )
