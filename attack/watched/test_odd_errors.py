"""Errors that are none of a socket, or not what errors are."""

from __future__ import annotations

import errno

import pytest


class Odd(OSError):
    @property
    def errno(self) -> int:  # type: ignore[override]
        raise RuntimeError


def test_odd_errors() -> None:
    with pytest.raises(Odd):
        raise Odd
    loop = OSError(errno.EADDRINUSE, "\x1b[31m")
    loop.__cause__ = loop
    with pytest.raises(OSError, match="31m"):
        raise loop
