"""Random scenarios without end, the same for the same seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random

from .grammar import SIZE, scenario_text

_BLOCK, _ROUND = 32, 100  # scenarios of one example, examples of one run of hypothesis


class NeedsHypothesis(Exception):
    """The extra is not installed."""

    def __init__(self) -> None:
        super().__init__("random exploration needs hypothesis: pip install 'pytest-sockreuse[explore]'")


def texts(seed: int, users: bool) -> Iterator[str]:
    """Scenarios as text. Raises NeedsHypothesis at once.

    Hypothesis draws a source of chance for each block of scenarios, whose bytes `grammar` reads: an example of its own
    for each scenario, or each byte, would cost more than the kernel does. It runs in rounds, for it remembers every
    example of a run.
    """
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        raise NeedsHypothesis from None
    return _texts(seed, users)


def _texts(seed: int, users: bool) -> Iterator[str]:
    for number in itertools.count():
        for chance in _chances(seed * 1_000_003 + number):
            for _ in range(_BLOCK):
                yield scenario_text(chance.randbytes(SIZE), users)


def _chances(seed: int) -> list[Random]:
    import hypothesis
    from hypothesis import strategies

    found: list[Random] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=_ROUND,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.randoms(use_true_random=True))
    def collect(chance: Random) -> None:
        found.append(chance)

    collect()
    return found
