"""Random scenarios without end, the same for the same seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from .grammar import SIZE, scenario_text

_BLOCK, _ROUND = 32, 100  # scenarios of one example, examples of one run of hypothesis


class NeedsHypothesis(Exception):
    """The extra is not installed."""

    def __init__(self) -> None:
        super().__init__("random exploration needs hypothesis: pip install 'pytest-sockreuse[explore]'")


def texts(seed: int, users: bool) -> Iterator[str]:
    """Scenarios as text. Raises NeedsHypothesis at once.

    Hypothesis draws blocks of bytes and `grammar` reads them: an example of its own for each scenario would cost more
    than the kernel does. It runs in rounds, for it remembers every example of a run.
    """
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        raise NeedsHypothesis from None
    return _texts(seed, users)


def _texts(seed: int, users: bool) -> Iterator[str]:
    for number in itertools.count():
        for block in _blocks(seed * 1_000_003 + number):
            for at in range(0, len(block), SIZE):
                yield scenario_text(block[at : at + SIZE], users)


def _blocks(seed: int) -> list[bytes]:
    import hypothesis
    from hypothesis import strategies

    found: list[bytes] = []
    size = _BLOCK * SIZE

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=_ROUND,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.binary(min_size=size, max_size=size))
    def collect(block: bytes) -> None:
        found.append(block)

    collect()
    return found[1:]  # the first is all zeros
