"""Our `dataclass` does what the standard library's does."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from pytest_sockreuse import dataclass as ours
from pytest_sockreuse.platforms import Span

_WAYS = [
    {"frozen": frozen, "eq": eq, "slots": slots}
    for frozen in (False, True)
    for eq in (False, True)
    for slots in (False, True)
]


def _made(dataclass: Callable[..., Any], way: dict[str, bool]) -> Any:
    @dataclass(**way)
    class Port:
        """A port."""

        number: int
        held: bool = False
        names: list[str] = dataclasses.field(default_factory=list)

    return Port


def _did(function: Callable[[], object]) -> object:
    try:
        return function()
    except (TypeError, AttributeError) as error:
        return type(error)


@pytest.mark.parametrize("way", _WAYS, ids=str)
def test_it_is_as_the_standard_librarys(way: dict[str, bool]) -> None:
    def answers(dataclass: Callable[..., Any]) -> list[object]:
        kind = _made(dataclass, way)
        one, other = kind(1, names=[]), kind(2, True)
        return [
            one == kind(1), one == other, one != (1, False, []), repr(other).replace("ours", ""), kind.__match_args__,
            _did(lambda: setattr(other, "number", 3)), _did(lambda: delattr(other, "held")), _did(lambda: kind()),
            dataclasses.asdict(dataclasses.replace(one, held=True)), kind(1).names is kind(1).names,
            hasattr(one, "__dict__"), kind.__hash__ is None, kind.__dataclass_params__.frozen,
            _did(lambda: hash(kind(1, names=())) == hash(kind(1, names=()))), _did(lambda: kind(1, number=2)),
        ]  # fmt: skip

    assert answers(ours.dataclass) == answers(dataclasses.dataclass)


def test_a_hash_is_that_of_the_values() -> None:
    port = _made(ours.dataclass, {"frozen": True})(1, names=())
    assert hash(port) == hash((1, False, ()))


def test_what_is_frozen_goes_through_pickle() -> None:
    span = Span(("6.1",), ("6.3",))
    assert pickle.loads(pickle.dumps(span)) == span
